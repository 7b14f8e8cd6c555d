package app

import "time"

// How fast a place fills up, from what runs noted. Nothing here asks anybody.

const (
	// growthOver is how far back growth is looked at: a month has holidays and quiet weeks.
	growthOver = 30 * day
	// growthLeast and growthRuns are how much history makes a forecast: less of it would
	// take the first backup, or one evening of sorting photos, for a habit.
	growthLeast = 2 * day
	growthRuns  = 3
	// inSight is how far ahead a forecast means anything.
	inSight = 10 * 365 * day
	// spaceSoon is how long before the end the user is told.
	spaceSoon = 30 * day
)

// growth returns by how many bytes a day a place has grown lately, 0 where it shrank, or -1
// where too little is known. runs are those of the place, oldest first. Only backups that
// came to their end count: what an interrupted one stored is part of the next.
func growth(runs []Run, now time.Time) int64 {
	var first, last *Run
	count := 0
	for i := range runs {
		r := &runs[i]
		if r.Kind != RunBackup || r.Summary == nil || r.Stored <= 0 || now.Sub(r.end()) > growthOver {
			continue
		}
		if first == nil {
			first = r
		}
		last = r
		count++
	}
	if count < growthRuns {
		return -1
	}
	span := last.end().Sub(first.end())
	if span < growthLeast {
		return -1
	}
	grown := float64(max(0, last.Stored-first.Stored))
	return int64(grown / (float64(span) / float64(day)))
}

// enoughUntil returns when free bytes are used up by grows bytes a day; the zero time where
// that is not known or not in sight.
func enoughUntil(now time.Time, free, grows int64) time.Time {
	if free < 0 || grows <= 0 {
		return time.Time{}
	}
	days := float64(free) / float64(grows)
	if days > float64(inSight/day) {
		return time.Time{}
	}
	return now.Add(time.Duration(days * float64(day)))
}

// dateText writes the date of a moment as RFC 3339 does, "" for the zero time.
func dateText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}

// runsAt returns the runs of one place. Runs of before there were several are those of the
// first place.
func runsAt(runs []Run, id string, first bool) []Run {
	var own []Run
	for _, r := range runs {
		if r.Place == id || r.Place == "" && first {
			own = append(own, r)
		}
	}
	return own
}
