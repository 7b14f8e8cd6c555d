package cloudtest_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

// broken are drivers that break one promise each.
func broken() map[string]func(m *cloudtest.Memory) cloud.Driver {
	return map[string]func(m *cloudtest.Memory) cloud.Driver{
		"overwrites":        func(m *cloudtest.Memory) cloud.Driver { return overwrites{m} },
		"trusts":            func(m *cloudtest.Memory) cloud.Driver { return trusts{m} },
		"deaf":              func(m *cloudtest.Memory) cloud.Driver { return deaf{m} },
		"short":             func(m *cloudtest.Memory) cloud.Driver { return short{m} },
		"strictDelete":      func(m *cloudtest.Memory) cloud.Driver { return strictDelete{m} },
		"onePage":           func(m *cloudtest.Memory) cloud.Driver { return onePage{m} },
		"listsForeign":      func(m *cloudtest.Memory) cloud.Driver { return listsForeign{m} },
		"noPrefix":          func(m *cloudtest.Memory) cloud.Driver { return noPrefix{m} },
		"everybodySucceeds": func(m *cloudtest.Memory) cloud.Driver { return everybodySucceeds{m} },
	}
}

type overwrites struct{ *cloudtest.Memory }

func (d overwrites) Put(ctx context.Context, name string, src cloud.Source) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.Memory.Put(ctx, name, src); !errors.Is(err, cloud.ErrExists) {
		return err
	}
	d.Set(name, nil)
	return d.Memory.Put(ctx, name, src)
}

// trusts stores what arrives, whatever its hash.
type trusts struct{ *cloudtest.Memory }

func (d trusts) Put(ctx context.Context, name string, src cloud.Source) error {
	data, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size()))
	if err != nil {
		return err
	}
	return d.Memory.Put(ctx, name, cloud.Bytes(data))
}

// deaf does not hear of cancellation.
type deaf struct{ *cloudtest.Memory }

func (d deaf) Put(ctx context.Context, name string, src cloud.Source) error {
	return d.Memory.Put(context.WithoutCancel(ctx), name, src)
}

// short gives what there is of a range.
type short struct{ *cloudtest.Memory }

func (d short) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	r, err := d.Memory.Get(ctx, name, off, n)
	if errors.Is(err, cloud.ErrRange) {
		size := int64(len(d.Data(name)))
		return d.Memory.Get(ctx, name, min(off, size), -1)
	}
	return r, err
}

type strictDelete struct{ *cloudtest.Memory }

func (d strictDelete) Delete(ctx context.Context, name string) error {
	if d.Data(name) == nil {
		return cloud.ErrNotFound
	}
	return d.Memory.Delete(ctx, name)
}

// onePage forgets that a listing has more than one page.
type onePage struct{ *cloudtest.Memory }

func (d onePage) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		left := 100
		for object, err := range d.Memory.List(ctx, prefix) {
			if left--; left < 0 || !yield(object, err) {
				return
			}
		}
	}
}

type listsForeign struct{ *cloudtest.Memory }

func (d listsForeign) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		if !yield(cloud.Object{Name: prefix + ".coffer-tmp-1"}, nil) {
			return
		}
		d.Memory.List(ctx, prefix)(yield)
	}
}

type noPrefix struct{ *cloudtest.Memory }

func (d noPrefix) List(ctx context.Context, _ string) iter.Seq2[cloud.Object, error] {
	return d.Memory.List(ctx, "")
}

type everybodySucceeds struct{ *cloudtest.Memory }

func (d everybodySucceeds) Put(ctx context.Context, name string, src cloud.Source) error {
	err := d.Memory.Put(ctx, name, src)
	if errors.Is(err, cloud.ErrExists) {
		return nil
	}
	return err
}

// modest is a place in memory that lists objects only, as drivers do: [cloudtest.Memory]
// itself shows a Store all that somebody set.
type modest struct{ *cloudtest.Memory }

func (d modest) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		for object, err := range d.Memory.List(ctx, prefix) {
			if (err != nil || cloud.ValidName(object.Name)) && !yield(object, err) {
				return
			}
		}
	}
}

// tidies removes what it does not know.
type tidies struct{ modest }

func (d tidies) Maintain(context.Context) (int, error) {
	for _, name := range d.Names() {
		if !cloud.ValidName(name) {
			d.Set(name, nil)
		}
	}
	return 1, nil
}

// believes takes a name that is there for the bytes that should be.
type believes struct{ modest }

func (d believes) Put(ctx context.Context, name string, src cloud.Source) error {
	if d.Data(name) != nil {
		return nil
	}
	return d.Memory.Put(ctx, name, src)
}

// remembers lists what it put itself.
type remembers struct {
	modest
	own map[string]bool
}

func (d remembers) Put(ctx context.Context, name string, src cloud.Source) error {
	d.own[name] = true
	return d.Memory.Put(ctx, name, src)
}

func (d remembers) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		for object, err := range d.modest.List(ctx, prefix) {
			if d.own[object.Name] && !yield(object, err) {
				return
			}
		}
	}
}

// brokenWorlds break one promise each about what they did not put there.
func brokenWorlds() map[string]func(m *cloudtest.Memory) cloud.Driver {
	return map[string]func(m *cloudtest.Memory) cloud.Driver{
		"tidies":    func(m *cloudtest.Memory) cloud.Driver { return tidies{modest{m}} },
		"believes":  func(m *cloudtest.Memory) cloud.Driver { return believes{modest{m}} },
		"remembers": func(m *cloudtest.Memory) cloud.Driver { return remembers{modest{m}, map[string]bool{}} },
		"lists":     func(m *cloudtest.Memory) cloud.Driver { return listsForeign{m} },
	}
}

const brokenVar = "COFFER_TEST_BROKEN_DRIVER"

// TestBrokenDriver is the child of TestSuiteFindsBrokenDrivers.
func TestBrokenDriver(t *testing.T) {
	kind := os.Getenv(brokenVar)
	if open, ok := broken()[kind]; ok {
		cloudtest.Run(t, func(*testing.T) cloud.Driver { return open(cloudtest.NewMemory()) })
		return
	}
	open, ok := brokenWorlds()[kind]
	if !ok {
		t.Skip("runs only as a child of TestSuiteFindsBrokenDrivers")
	}
	cloudtest.RunWorld(t, func(*testing.T) cloudtest.World { return memoryWorld(open) })
}

// A suite that cannot fail checks nothing: each broken driver must be found.
func TestSuiteFindsBrokenDrivers(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kinds := slices.Concat(slices.Collect(maps.Keys(broken())), slices.Collect(maps.Keys(brokenWorlds())))
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), self, "-test.short",
				"-test.run=^TestBrokenDriver$", "-test.skip=^TestBrokenDriver$/^Store$") // a Store would wait in real time
			cmd.Env = append(os.Environ(), brokenVar+"="+kind)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestBrokenDriver/") {
				t.Fatalf("the suite passed a driver that breaks a promise (%v):\n%s", err, out)
			}
		})
	}
}
