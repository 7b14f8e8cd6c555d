package app

import (
	"testing"
	"time"
)

func TestGrowth(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	done := func(daysAgo float64, stored int64) Run {
		return Run{
			Kind: RunBackup, Started: now.Add(-time.Duration(daysAgo * float64(day))), Stored: stored, Summary: &BackupSummary{},
		}
	}
	broken := done(5, 1_000_000)
	broken.Summary = nil
	checked := done(4, 1_000_000)
	checked.Kind = RunCheck
	for name, c := range map[string]struct {
		runs []Run
		want int64
	}{
		"nothing":              {nil, -1},
		"one":                  {[]Run{done(1, 100)}, -1},
		"two":                  {[]Run{done(9, 100), done(1, 900)}, -1},
		"three in a day":       {[]Run{done(0.9, 100), done(0.5, 200), done(0.1, 300)}, -1},
		"three":                {[]Run{done(10, 100), done(5, 300), done(0, 1100)}, 100},
		"unchanged":            {[]Run{done(10, 100), done(5, 100), done(0, 100)}, 0},
		"shrunk":               {[]Run{done(10, 500), done(5, 100), done(0, 100)}, 0},
		"the old do not count": {[]Run{done(90, 0), done(40, 1), done(10, 1000), done(5, 1500), done(0, 2000)}, 100},
		"others do not count":  {[]Run{done(10, 1000), broken, checked, done(3, 1500), done(0, 2000)}, 100},
		"only others":          {[]Run{broken, checked, done(1, 1)}, -1},
	} {
		if got := growth(c.runs, now); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestEnoughUntil(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		free, grows int64
		want        string
	}{
		{-1, 100, ""},
		{100, -1, ""},
		{100, 0, ""},
		{0, 5, "2026-11-21"},
		{1000, 100, "2026-12-01"},
		{365_000, 1000, "2027-11-21"},
		{1 << 62, 1, ""},
	} {
		if got := dateText(enoughUntil(now, c.free, c.grows)); got != c.want {
			t.Errorf("%d bytes at %d a day: %q, want %q", c.free, c.grows, got, c.want)
		}
	}
}

func TestRunsOfOnePlace(t *testing.T) {
	runs := []Run{{Kind: RunBackup}, {Kind: RunBackup, Place: "a"}, {Kind: RunBackup, Place: "b"}}
	if first, second := runsAt(runs, "a", true), runsAt(runs, "b", false); len(first) != 2 || len(second) != 1 {
		t.Errorf("%v, %v", first, second)
	}
}
