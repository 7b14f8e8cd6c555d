package target

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"coffer/app/source"
)

// TestParallel is for the race detector: many writers in few folders, more
// folders than are kept open, and one file written by all.
func TestParallel(t *testing.T) {
	tg, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tg.Close()
	root, err := tg.MkdirAll(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	const workers, piece = 4, 10_000
	shared, err := root.Create("shared", workers*piece)
	if err != nil {
		t.Fatal(err)
	}
	meta := Meta{Mode: 0o600, UID: source.NoID, GID: source.NoID, User: "root", Group: "root"}
	work := func(w int) error {
		data := make([]byte, piece)
		for i := range 5000 {
			data[i] = byte(w + 1)
		}
		if _, err := shared.WriteAt(data, int64(w*piece)); err != nil {
			return err
		}
		for i := range 2 * maxOpen {
			d, err := tg.MkdirAll([]string{"all", fmt.Sprint(i)})
			if err != nil {
				return err
			}
			_, err = d.WriteSmall(fmt.Sprint(w), data[:10], meta, KeepBoth)
			_, serr := d.WriteSmall("same", data[:w+1], meta, KeepBoth)
			if err = errors.Join(err, serr, d.Close()); err != nil {
				return err
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() { errs[w] = work(w) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if out, err := shared.Commit(meta, KeepBoth); err != nil || out.Result != Written {
		t.Fatalf("%+v, %v", out, err)
	}
	for i := range 2 * maxOpen {
		d, err := tg.MkdirAll([]string{"all", fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		names, err := d.at.names()
		if err != nil || len(names) != 2*workers { // each its own, and "same" four times under four names
			t.Fatalf("%d: %q, %v", i, names, err)
		}
		d.Close()
	}
}
