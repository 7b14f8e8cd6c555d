package ui

import (
	"time"

	"coffer/app"
)

const (
	day24 = 24 * time.Hour
	year  = 365 * day24

	// growthShare is how much of what people keep comes anew in a year, as long as nothing
	// is measured: folders grow by about a third, and older versions of what changed stay.
	growthShare = 0.5
	// enoughForEver is from when nobody plans any more.
	enoughForEver = 10 * year
)

// A spaceNeed is what will be stored in a place.
type spaceNeed struct {
	first int64 // bytes of the first backup
	aDay  int64 // bytes of each day after it; 0: not known, guessed from first
}

// enoughFor estimates how long free bytes will do. ok is false when they do not even hold
// the first backup, or when nothing is known.
func (n spaceNeed) enoughFor(free int64) (d time.Duration, ok bool) {
	aDay := float64(n.aDay)
	if aDay <= 0 {
		aDay = float64(n.first) * growthShare / 365
	}
	if free < n.first || aDay <= 0 {
		return 0, false
	}
	days := float64(free-n.first) / aDay
	return min(time.Duration(days)*day24, enoughForEver), true
}

// enoughText writes an estimate in one unit, as roughly as it is.
func enoughText(d time.Duration) string {
	const month = year / 12
	switch months := int64((d + month/2) / month); {
	case d >= enoughForEver:
		return say("enough.ever")
	case d < month:
		return say("enough.weeks")
	case months < 23:
		return sayN("enough.months", months)
	}
	return sayN("enough.years", int64((d+year/2)/year))
}

// monthOf writes a date that is not known to the day.
func monthOf(t time.Time) string {
	return say("format.month", "month", say("month."+itoa(int(t.Month()))), "year", t.Year())
}

// freeText is the free space of a place, and how long it will do.
func freeText(info app.PlaceInfo, need spaceNeed) string {
	if info.Free < 0 {
		return say("found.free-unknown")
	}
	text := say("found.free", "free", size(info.Free))
	if info.Total > 0 {
		text = say("found.free-of", "free", size(info.Free), "total", size(info.Total))
	}
	if d, ok := need.enoughFor(info.Free); ok {
		return text + ", " + enoughText(d)
	}
	return text
}
