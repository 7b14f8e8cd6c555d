package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"coffer/cloud"
	"coffer/crypto/aead"
	"coffer/internal/durable"
)

// A PlaceCheck is one step of TestPlace.
type PlaceCheck struct {
	Name    string  `json:"name"` // one of the Check constants
	OK      bool    `json:"ok"`
	Skipped bool    `json:"skipped,omitempty"` // an earlier step failed, or the place would keep what is tried
	Failure Failure `json:"-"`
	Seconds float64 `json:"seconds"`
}

// The steps of TestPlace, in their order.
const (
	CheckWrite     = "write"     // a small object is stored
	CheckRead      = "read"      // and comes back as it was
	CheckRanges    = "ranges"    // parts of it too, and never fewer bytes than asked for
	CheckList      = "list"      // it is listed
	CheckOverwrite = "overwrite" // other bytes do not replace it
	CheckLarge     = "large"     // an object as large as a pack goes and comes
	CheckDelete    = "delete"    // what is deleted is gone, and deleting again is no error
)

// A PlaceTest is what a place was found to do.
type PlaceTest struct {
	Dest     string // canonical
	Checks   []PlaceCheck
	Promises []Promise
	Up, Down float64 // bytes a second of the large object; 0 not measured
	Seconds  float64
}

// OK reports that no step failed.
func (t PlaceTest) OK() bool {
	return !slices.ContainsFunc(t.Checks, func(c PlaceCheck) bool { return !c.OK && !c.Skipped })
}

const (
	testSmall = 64 << 10
	testLarge = 8 << 20
)

// testMark begins what TestPlace stores, for whoever finds it after a crash.
const testMark = "Coffer tried whether this place can keep a backup. This file may be deleted.\n"

// TestPlace tries what a backup needs of a place, with objects that it makes itself and
// removes at the end; after a crash, the next test of the place removes them. Nothing else
// there is touched. step, if not nil, hears of each check. What the place fails at is in
// the result; the error says that it could not be tried.
func (a *App) TestPlace(ctx context.Context, dest string, step func(PlaceCheck)) (PlaceTest, error) {
	started := time.Now()
	store, err := a.openAny(ctx, dest)
	if err != nil {
		return PlaceTest{Dest: store.entry.Dest}, fmt.Errorf("test place: %w", err)
	}
	defer store.Close()
	t := placeTest{app: a, store: store, step: step}
	t.result.Dest = store.entry.Dest
	if err := t.sweep(ctx); err != nil {
		return t.result, fmt.Errorf("test place: %w", atPlace(store.entry.Dest, err))
	}
	err = t.run(ctx)
	t.result.Promises = promises(store.Caps())
	t.result.Seconds = time.Since(started).Seconds()
	if err != nil {
		return t.result, fmt.Errorf("test place: %w", err)
	}
	return t.result, nil
}

// openAny opens a place of the profile, by its id or text, or another one. The store is
// never nil, as that of openDest.
func (a *App) openAny(ctx context.Context, ref string) (*placeStore, error) {
	p, err := a.loadProfile()
	if err != nil {
		return &placeStore{}, err
	}
	if e, ok := p.place(ref); ok {
		return a.openDriver(ctx, e, false)
	}
	return a.openDest(ctx, ref, false)
}

// placeTest is one call of TestPlace.
type placeTest struct {
	app    *App
	store  *placeStore
	step   func(PlaceCheck)
	result PlaceTest

	small, large []byte
	name, big    string
}

func (t *placeTest) run(ctx context.Context) error {
	t.small, t.large = testObject(testSmall), testObject(testLarge)
	t.name, t.big = cloud.Name("pack", t.small), cloud.Name("pack", t.large)
	if err := t.note(); err != nil {
		return err
	}
	steps := []struct {
		name string
		run  func(context.Context) error
	}{
		{CheckWrite, t.write},
		{CheckRead, t.read},
		{CheckRanges, t.ranges},
		{CheckList, t.list},
		{CheckOverwrite, t.overwrite},
		{CheckLarge, t.transfer},
		{CheckDelete, t.remove},
	}
	written := true
	for _, s := range steps {
		check := PlaceCheck{Name: s.name, Skipped: !written || s.name == CheckLarge && t.keeps()}
		if !check.Skipped {
			started := time.Now()
			err := s.run(ctx)
			if ctx.Err() != nil {
				break
			}
			check.OK, check.Failure = err == nil, Explain(atPlace(t.result.Dest, err))
			check.Seconds = time.Since(started).Seconds()
		}
		written = written && (check.OK || s.name != CheckWrite)
		t.result.Checks = append(t.result.Checks, check)
		if t.step != nil {
			t.step(check)
		}
	}
	if err := t.sweep(context.WithoutCancel(ctx)); err != nil && ctx.Err() == nil && t.result.OK() {
		return err
	}
	return context.Cause(ctx)
}

// keeps reports that the place locks what is put: a large object would stay for weeks.
func (t *placeTest) keeps() bool { return t.store.entry.Options["lock-days"] != "" }

// testObject returns n bytes that nobody has.
func testObject(n int) []byte {
	return append([]byte(testMark), aead.Random(n-len(testMark))...)
}

func (t *placeTest) write(ctx context.Context) error {
	return t.store.Put(ctx, t.name, t.small)
}

func (t *placeTest) read(ctx context.Context) error {
	_, err := t.store.Get(ctx, t.name) // which holds the bytes against the name
	return err
}

func (t *placeTest) ranges(ctx context.Context) error {
	for _, r := range []struct{ off, n int }{{0, 1}, {1000, 5000}, {testSmall - 1, 1}} {
		part := make([]byte, r.n)
		if err := t.store.ReadAt(ctx, t.name, part, int64(r.off)); err != nil {
			return err
		}
		if !bytes.Equal(part, t.small[r.off:r.off+r.n]) {
			return fmt.Errorf("%w: %d bytes from %d", cloud.ErrChecksum, r.n, r.off)
		}
	}
	err := t.store.ReadAt(ctx, t.name, make([]byte, 2), testSmall-1)
	if err == nil {
		return fmt.Errorf("%w: a byte after the last", cloud.ErrChecksum)
	}
	if !errors.Is(err, cloud.ErrRange) {
		return err
	}
	return nil
}

// list looks with other eyes: the store that put the object would list it in any case.
func (t *placeTest) list(ctx context.Context) error {
	other, err := t.app.openAny(ctx, t.result.Dest)
	if err != nil {
		return err
	}
	defer other.Close()
	for object, err := range other.List(ctx, t.name) {
		if err != nil {
			return err
		}
		if object.Name == t.name && object.Size == testSmall {
			return nil
		}
	}
	if t.store.Caps().ListAfterPut {
		return fmt.Errorf("%w: stored, and not listed", cloud.ErrNotFound)
	}
	return nil // it says itself that listings are late
}

// overwrite asks the driver itself: the store would not even try.
func (t *placeTest) overwrite(ctx context.Context) error {
	err := t.store.driver.Put(ctx, t.name, cloud.Bytes(testObject(testSmall)))
	if err != nil && !errors.Is(err, cloud.ErrExists) {
		return err
	}
	return t.read(ctx)
}

func (t *placeTest) transfer(ctx context.Context) error {
	started := time.Now()
	if err := t.store.Put(ctx, t.big, t.large); err != nil {
		return err
	}
	put := time.Now()
	if _, err := t.store.Get(ctx, t.big); err != nil {
		return err
	}
	t.result.Up = testLarge / max(put.Sub(started).Seconds(), 1e-6)
	t.result.Down = testLarge / max(time.Since(put).Seconds(), 1e-6)
	return nil
}

func (t *placeTest) remove(ctx context.Context) error {
	for range 2 {
		if err := t.store.Delete(ctx, t.name); err != nil {
			return err
		}
	}
	r, err := t.store.driver.Get(ctx, t.name, 0, -1)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		if err = errors.Join(err, r.Close()); err == nil && !t.store.Caps().Versions {
			return fmt.Errorf("%w: deleted, and still there", cloud.ErrExists)
		}
		return err
	}
	if !errors.Is(err, cloud.ErrNotFound) {
		return err
	}
	return nil
}

// testNote is state/place-test.json: what a test is about to put where.
type testNote struct {
	Version int      `json:"version"`
	Dest    rawText  `json:"destination"`
	Objects []string `json:"objects"`
}

const maxTestNote = 1 << 20

func (t *placeTest) notePath() string { return filepath.Join(t.app.stateDir(), "place-test.json") }

func (t *placeTest) note() error {
	data, err := json.MarshalIndent(testNote{1, rawText(t.result.Dest), []string{t.name, t.big}}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode note of the test: %w", err)
	}
	if err := durable.WriteFile(t.notePath(), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write note of the test: %w", err)
	}
	return nil
}

// sweep removes what a test put there, this one or one that crashed.
func (t *placeTest) sweep(ctx context.Context) error {
	note := t.noted()
	if string(note.Dest) != t.result.Dest {
		return nil // no note, or one of another place
	}
	for _, name := range note.Objects {
		if err := t.store.Delete(ctx, name); err != nil {
			return fmt.Errorf("remove what was tried: %w", err)
		}
	}
	return removeFile(t.notePath())
}

// noted reads the note; one that cannot be read is none.
func (t *placeTest) noted() (note testNote) {
	data, err := readBounded(t.notePath(), maxTestNote)
	if err != nil || json.Unmarshal(data, &note) != nil {
		return testNote{}
	}
	return note
}

// promises says what a place can keep, from what its driver knows of it.
func promises(c cloud.Caps) []Promise {
	kept := func(name string, is bool) Promise {
		if is {
			return Promise{name, PromiseKept}
		}
		return Promise{name, PromiseNot}
	}
	return []Promise{
		kept(PromiseListed, c.ListAfterPut),
		kept(PromiseFirst, c.PutIfAbsent),
		kept(PromiseResumes, c.ResumePut),
		kept(PromiseChecksum, c.ServerSum != ""),
		kept(PromiseVersions, c.Versions),
		kept(PromiseLocked, c.Lock),
		kept(PromiseRemote, c.RemoteConfirm),
	}
}
