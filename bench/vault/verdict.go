package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// A sample is how a vault stood at one moment.
type sample struct {
	at    time.Duration // since the beginning
	files int           // open ones; -1: it may not be seen
	memory
}

// sample looks at the vault every minute, and twenty times at least.
func (t *target) sample(ctx context.Context, running func() bool, last time.Duration) (all []sample, err error) {
	pid, err := t.pid()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	for running() {
		m, err := memoryOf(pid)
		if err != nil {
			return all, fmt.Errorf("the vault that is left alone has ended: %w", err)
		}
		s := sample{time.Since(begun), -1, m}
		if open, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd")); err == nil {
			s.files = len(open)
		}
		all = append(all, s)
		rest(ctx, min(time.Minute, last/20))
	}
	return all, nil
}

// slope returns by how many bytes an hour the vault's own memory grows: a line through the
// samples after the first quarter, in which caches and pools fill.
func slope(all []sample) float64 {
	all = all[len(all)/4:]
	var x, y float64
	for _, s := range all {
		x += s.at.Hours() / float64(len(all))
		y += float64(s.Anon) / float64(len(all))
	}
	var above, below float64
	for _, s := range all {
		above += (s.at.Hours() - x) * (float64(s.Anon) - y)
		below += (s.at.Hours() - x) * (s.at.Hours() - x)
	}
	if below == 0 {
		return 0
	}
	return above / below
}

func printSoak(out io.Writer, targets []*target, samples []sample, took time.Duration) {
	var rows [][]string
	for _, t := range targets {
		for _, what := range slices.Sorted(maps.Keys(t.seen)) {
			n := t.seen[what]
			rows = append(rows, []string{t.name, what, strconv.Itoa(n.done), strconv.Itoa(n.cut)})
		}
	}
	table(out, fmt.Sprintf("Mixed load for %v", took.Round(time.Second)), []string{"vault", "what", "as expected", "cut off by a kill"}, rows)
	for _, t := range targets {
		var away, longest time.Duration
		for _, o := range t.outages {
			d := o.end.Sub(o.begin)
			away, longest = away+d, max(longest, d)
		}
		if n := len(t.outages); n > 0 {
			fmt.Fprintf(out, "\nThe vault that is %s: %d kills; back after %v on average, %v at most.\n",
				t.name, n, (away / time.Duration(n)).Round(time.Millisecond), longest.Round(time.Millisecond))
		}
	}
	rows = nil
	for _, s := range samples {
		rows = append(rows, []string{fmt.Sprintf("%.1f", s.at.Minutes()), mebibytes(s.Anon), mebibytes(s.File), strconv.Itoa(s.files)})
	}
	table(out, "Memory of the vault that is left alone", []string{"minute", "own MiB", "file MiB", "open files"}, rows)
	if len(samples) > 0 {
		fmt.Fprintf(out, "\nIts own memory grows by %.2f MiB an hour (a line through the last three quarters).\n", slope(samples)/(1<<20))
	}
}

// growth is what the memory of a vault may seem to grow by during a run and be flat: a
// heap that is collected swings by more than that.
const growth = 8 << 20

// verdict returns what was wrong.
func verdict(out io.Writer, targets []*target, samples []sample, last time.Duration) error {
	var wrong []error
	for _, t := range targets {
		wrong = append(wrong, t.wrong...)
		if t.seen["right finish"] == nil || t.seen["right finish"].done == 0 {
			wrong = append(wrong, fmt.Errorf("the vault that is %s was never opened: nothing was tried", t.name))
		}
	}
	if len(samples) < 10 {
		wrong = append(wrong, errors.New("too few samples of memory"))
	} else {
		first, end := samples[len(samples)/4], samples[len(samples)-1]
		if grown := slope(samples) * last.Hours(); grown > growth {
			wrong = append(wrong, fmt.Errorf("memory grows: %.1f MiB in this run", grown/(1<<20)))
		}
		if first.files >= 0 && end.files > first.files+16 {
			wrong = append(wrong, fmt.Errorf("%d files were open, and at the end %d", first.files, end.files))
		}
	}
	if len(wrong) == 0 {
		fmt.Fprintln(out, "\n**Nothing without an explanation; memory flat.**")
		return nil
	}
	fmt.Fprintf(out, "\n**%d things without an explanation:**\n\n", len(wrong))
	for _, err := range wrong[:min(20, len(wrong))] {
		fmt.Fprintf(out, "- %v\n", err)
	}
	return errors.New("the soak has failed")
}
