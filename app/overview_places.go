package app

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// What Home says of the places. One place that has a newer backup than three days is enough
// to be safe; each other one that is late, or in trouble, gets a line of its own.

// places is what is known of each place.
func (f homeFacts) places() []Place {
	var list []Place
	for i, e := range f.profile.Places {
		list = append(list, placeOf(e, runsAt(f.runs, e.ID, i == 0), f.now))
	}
	return list
}

// allWait reports whether the last backup reached no place, and nobody failed.
func allWait(places []Place) bool {
	waiting := false
	for _, p := range places {
		if p.LastRun != nil && p.LastRun.Summary != nil {
			return false
		}
		waiting = waiting || isWaitingCode(p.Trouble.Code)
	}
	return waiting
}

// troubles are what the last backup met. Of one place, and of what no place is to blame
// for, it is that the backup failed.
func troubles(places []Place) (list []Attention) {
	failed := slices.DeleteFunc(slices.Clone(places), func(p Place) bool {
		return p.Trouble.Code == "" || isWaitingCode(p.Trouble.Code)
	})
	if len(failed) == 0 {
		return nil
	}
	first := failed[0].Trouble
	if len(places) == 1 || len(failed) == len(places) && !slices.ContainsFunc(failed, func(p Place) bool {
		return p.Trouble.Code != first.Code || p.Trouble.Args["place"] != ""
	}) {
		return []Attention{{Code: AttentionLastFailed, Args: withCode(first)}}
	}
	for _, p := range failed {
		args := withCode(p.Trouble)
		args["place"] = p.Dest
		list = append(list, Attention{Code: AttentionPlaceTrouble, Args: args})
	}
	return list
}

// lateness names the places that are behind where there are several. One in trouble has a
// line already.
func lateness(places []Place, now time.Time) (list []Attention) {
	if len(places) == 1 {
		return nil
	}
	for _, p := range places {
		age := p.age(now)
		if age < lateAfter || p.State == PlaceTrouble {
			continue
		}
		args := days(age)
		args["place"] = p.Dest
		list = append(list, Attention{Code: AttentionPlaceLate, Args: args})
	}
	return list
}

// shortages names the places that will be full within a month.
func shortages(places []Place, now time.Time) (list []Attention) {
	for _, p := range places {
		left := p.Enough.Sub(now)
		if p.Enough.IsZero() || left >= spaceSoon {
			continue
		}
		list = append(list, Attention{Code: AttentionSpace, Args: map[string]string{
			"place": p.Dest, "days": strconv.Itoa(int(max(0, left) / day)),
		}})
	}
	return list
}

func withCode(f Failure) map[string]string {
	args := maps.Clone(f.Args)
	if args == nil {
		args = map[string]string{}
	}
	args["code"] = string(f.Code)
	return args
}
