package tpm

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"coffer/vault/server/seal"
	"coffer/vault/server/store"
)

// again opens the store after the line broke. The first call may find it broken.
func (w *world) again() {
	w.t.Helper()
	wake(w.t, w.chip)
	w.mustOpen(Options{})
}

// A write is broken off at each command to the chip, before it and after it. Whatever was
// acknowledged is there; what was not is there or not; the store goes on; and the file of
// before is refused as soon as anything went on.
func TestCrashAtEachStepOfAWrite(t *testing.T) {
	for _, what := range []fault{failed, failedOn} {
		t.Run(fmt.Sprint("fault ", what), func(t *testing.T) {
			w, line := newWired(t, Options{})
			w.register(id(1), "count 0")
			count, faults := 0, 0
			for step := 0; ; step++ {
				before := w.save()
				fired := line.nth(step, 0, what)
				err := w.replace(id(1), fmt.Sprint("count ", count+1))
				line.set(nil)
				if !fired() {
					must(t, err)
					break
				}
				faults++
				w.again()
				got, _, bodyErr := w.body(id(1))
				must(t, bodyErr)
				switch {
				case got == fmt.Sprint("count ", count+1):
					count++
				case err == nil:
					t.Fatalf("step %d: acknowledged, and lost: %q", step, got)
				case got != fmt.Sprint("count ", count):
					t.Fatalf("step %d: %q", step, got)
				}
				after := w.save()
				w.put(before)
				wantErr(t, w.open(Options{}), ErrRolledBack)
				w.put(after)
				w.mustOpen(Options{})
			}
			if faults < 5 {
				t.Errorf("%d faults: too few for a write", faults)
			}
		})
	}
}

// The same while something is destroyed: it is gone, or it is as it was; its neighbour is.
func TestCrashAtEachStepOfADestruction(t *testing.T) {
	for _, what := range []fault{failed, failedOn} {
		t.Run(fmt.Sprint("fault ", what), func(t *testing.T) {
			w, line := newWired(t, Options{})
			faults := 0
			for step := 0; ; step++ {
				victim := id(step)
				other := neighbour(victim)
				w.register(victim, "body")
				if _, _, err := w.Fetch(t.Context(), other); errors.Is(err, store.ErrNotFound) {
					w.register(other, "neighbour")
				}
				row, revision, err := w.Fetch(t.Context(), victim)
				must(t, err)
				old, sealed, _ := splitRow(row)
				handle, err := w.NewKey(t.Context(), victim)
				must(t, err)
				tomb, err := w.Seal(t.Context(), victim, handle, []byte("tombstone"))
				must(t, err)
				fired := line.nth(step, 0, what)
				err = w.Erase(t.Context(), victim, revision, joinRow(handle, tomb))
				line.set(nil)
				if !fired() {
					must(t, err)
					break
				}
				faults++
				w.again()
				w.wantBody(other, "neighbour")
				got, _, bodyErr := w.body(victim)
				must(t, bodyErr)
				_, openErr := w.Epochs.Open(t.Context(), victim, old, sealed)
				switch {
				case got == "tombstone":
					wantErr(t, openErr, seal.ErrOpen)
				case err == nil || got != "body" || openErr != nil:
					t.Fatalf("step %d: %q, %v, %v", step, got, err, openErr)
				}
			}
			if faults < 5 {
				t.Errorf("%d faults: too few", faults)
			}
		})
	}
}

// And while the store is opened.
func TestCrashAtEachStepOfAnOpen(t *testing.T) {
	for _, what := range []fault{failed, failedOn} {
		t.Run(fmt.Sprint("fault ", what), func(t *testing.T) {
			w, line := newWired(t, Options{})
			w.register(id(1), "body")
			faults := 0
			for step := 0; ; step++ {
				fired := line.nth(step, 0, what)
				err := w.open(Options{})
				line.set(nil)
				if !fired() {
					must(t, err)
					break
				}
				faults++
				w.again()
				w.wantBody(id(1), "body")
			}
			if faults < 10 {
				t.Errorf("%d faults: too few for an open", faults)
			}
		})
	}
}

// While the store is made: the counter of a store that did not come about is deleted, or
// left alone; never is there a store without one.
func TestCrashAtEachStepOfACreate(t *testing.T) {
	w, line := newWired(t, Options{})
	faults := 0
	for step := 0; ; step++ {
		w.close()
		w.path = filepath.Join(t.TempDir(), "new.db")
		fired := line.nth(step, 0, failedOn)
		options := Options{Create: true, Index: DefaultIndex + uint32(step+1)<<16}
		err := w.open(options)
		line.set(nil)
		if !fired() {
			must(t, err)
			break
		}
		faults++
		wake(t, w.chip)
		w.mustOpen(options)
		w.register(id(1), "body")
		w.mustOpen(Options{})
		w.wantBody(id(1), "body")
	}
	if faults < 10 {
		t.Errorf("%d faults", faults)
	}
}

// Somebody cuts the power between transaction and counter, saves the file, puts the one of
// before back, and waits until the store has gone on: the saved one, whose epoch the
// counter has passed by then, or is just at, must not open.
func TestStatesThatWereNeverCountedAreDead(t *testing.T) {
	w, line := newWired(t, Options{})
	w.register(id(1), "count 0")
	var saved [][]byte
	refused := func(when string) {
		t.Helper()
		today := w.save()
		for i, file := range saved {
			w.put(file)
			if err := w.open(Options{}); !errors.Is(err, ErrRolledBack) {
				t.Fatalf("%s: file %d: %v", when, i, err)
			}
		}
		w.put(today)
		w.mustOpen(Options{})
	}
	for n := range 3 {
		before := w.save()
		fired := line.nth(0, tpm2.TPMCCNVIncrement, failed)
		if err := w.replace(id(1), "never counted"); err == nil || !fired() {
			t.Fatal("the counter was not cut off")
		}
		line.set(nil)
		saved = append(saved, w.save())
		w.put(before)
		if n == 2 { // the power goes again, while the old file is opened
			line.nth(0, tpm2.TPMCCNVIncrement, failed)
			wake(t, w.chip)
			if w.open(Options{}) == nil {
				t.Fatal("opened without its counter")
			}
			line.set(nil)
			halfOpen := w.save() // has no write that the old file has not, until one is acknowledged
			w.put(before)
			w.again()
			must(t, w.replace(id(1), "count 0"))
			saved = append(saved, halfOpen)
		}
		w.again() // nothing was acknowledged since: this is a state as good as any
		w.wantBody(id(1), "count 0")
		refused("at once")
		must(t, w.replace(id(1), "count 0"))
		refused("later")
	}
}

// An evaluation is broken off at each command: each answer was charged, and no try comes
// back.
func TestCountingThroughFaults(t *testing.T) {
	w, line := newWired(t, Options{})
	c := &counted{world: w}
	c.count()
	o := newOwner(t, 100)
	ref := c.newOPRF(id(1), o)
	c.register(id(1), "reference")
	c.arm(id(1), ref, o)
	answers, left := 0, 100
	for _, what := range []fault{failed, failedOn} {
		for step := 0; ; step++ {
			fired := line.nth(step, 0, what)
			_, err := c.evaluate(id(1), ref)
			line.set(nil)
			if err == nil {
				answers++
			}
			if !fired() {
				must(t, err)
				break
			}
			if err != nil {
				wantErr(t, err, seal.ErrHardware)
			}
			wake(t, w.chip)
			now, err := c.Left(t.Context(), id(1), ref)
			must(t, err)
			if now > left || 100-now < answers {
				t.Fatalf("step %d: %d left after %d, with %d answers", step, now, left, answers)
			}
			left = now
		}
	}
	if answers < 2 || 100-left < answers {
		t.Errorf("%d answers, %d charged", answers, 100-left)
	}
}

// Somebody else raises the counter too: in the same moment, so that it comes out at the
// right value, or beyond it. Whoever cannot be sure to be alone answers nothing.
func TestSomebodyElseCounts(t *testing.T) {
	w, line := newWired(t, Options{})
	w.register(id(1), "body")
	file := w.save()
	fired := line.nth(0, tpm2.TPMCCNVIncrement, twice) // one of two steps: the sum is right
	wantErr(t, w.open(Options{}), ErrTampered)
	if !fired() {
		t.Fatal("nobody counted")
	}
	line.set(nil)
	w.mustOpen(Options{})
	w.wantBody(id(1), "body")
	fired = line.nth(0, tpm2.TPMCCNVIncrement, twice)
	wantErr(t, w.replace(id(1), "charged"), ErrTampered)
	if !fired() {
		t.Fatal("nobody counted")
	}
	line.set(nil)
	_, _, err := w.Fetch(t.Context(), id(1))
	wantErr(t, err, store.ErrClosed)
	w.put(file)
	wantErr(t, w.open(Options{}), ErrRolledBack)
}
