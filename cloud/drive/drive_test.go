package drive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/drive"
	"coffer/cloud/drive/drivetest"
)

// keptTokens is a store of sign-ins in memory.
type keptTokens struct {
	mu    sync.Mutex
	token drive.Token // guarded by mu
}

func (k *keptTokens) Load(context.Context) (drive.Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.token, nil
}

func (k *keptTokens) Save(_ context.Context, t drive.Token) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.token = t
	return nil
}

// config is a place on the fake, signed in as Alice.
func config(t *testing.T, f *drivetest.Fake) drive.Config {
	t.Helper()
	client, err := drive.ParseClient(f.ClientJSON(""))
	if err != nil {
		t.Fatal(err)
	}
	return drive.Config{
		Client: client, Tokens: &keptTokens{token: drive.NewToken(f.SignedIn(drivetest.Alice()), drive.Account{})},
		Create: true, Endpoint: f.Endpoint(), Transport: f.Transport(), Chunk: 256 << 10,
	}
}

func mustOpen(t *testing.T, c drive.Config) *drive.Driver {
	t.Helper()
	d, err := drive.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// content returns n bytes that look random and are the same for one seed.
func content(seed, n int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprintf("content %d", seed))
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails, by contract
	return data
}

func mustPut(t *testing.T, d *drive.Driver, data []byte) string {
	t.Helper()
	name := cloud.Name("pack", data)
	if err := d.Put(t.Context(), name, cloud.Bytes(data)); err != nil {
		t.Fatalf("put: %v", err)
	}
	return name
}

func read(ctx context.Context, d *drive.Driver, name string) ([]byte, error) {
	r, err := d.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var data bytes.Buffer
	if sized, ok := r.(interface{ Size() int64 }); ok {
		data.Grow(int(sized.Size()) + bytes.MinRead)
	}
	_, err = data.ReadFrom(r)
	return data.Bytes(), err
}

func wantData(t *testing.T, d *drive.Driver, name string, want []byte) {
	t.Helper()
	got, err := read(t.Context(), d, name)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("get %s: %d of %d bytes, %v", name, len(got), len(want), err)
	}
}

func wantIs(t *testing.T, what string, err error, classes ...error) {
	t.Helper()
	for _, class := range classes {
		if !errors.Is(err, class) {
			t.Fatalf("%s: %v, want %v", what, err, class)
		}
	}
}

// names lists everything.
func names(t *testing.T, d *drive.Driver) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for o, err := range d.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		found[o.Name] = true
	}
	return found
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*drivetest.Fake){
		"Calm":            func(*drivetest.Fake) {},
		"Lagging":         func(f *drivetest.Fake) { f.Lag = 3 },
		"SmallPagesNoSHA": func(f *drivetest.Fake) { f.PageSize, f.NoSHA = 17, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloudtest.Run(t, func(t *testing.T) cloud.Driver {
				f := drivetest.New(t)
				set(f)
				c := config(t, f)
				if name == "Calm" { // the journal has tests of its own, and each fsync takes its time
					c.State = t.TempDir()
				}
				return mustOpen(t, c)
			})
		})
	}
}

// TestConformanceOnTheWire runs a part over real connections.
func TestConformanceOnTheWire(t *testing.T) {
	f := drivetest.New(t)
	f.NoSHA, f.NoMD5 = true, true // so that all is read back as well
	base := f.Serve()
	client, err := drive.ParseClient(f.ClientJSON(base))
	if err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, drive.Config{
		Client: client, Tokens: &keptTokens{token: drive.NewToken(f.SignedIn(drivetest.Alice()), drive.Account{})},
		Create: true, Endpoint: base, Chunk: 256 << 10, State: t.TempDir(),
	})
	for i, n := range []int{0, 1, 256 << 10, 256<<10 + 1, 1 << 20} {
		data := content(i, n)
		name := mustPut(t, d, data)
		wantData(t, d, name, data)
	}
	f.Plan(drivetest.Fault{Op: drivetest.Chunk, Kind: drivetest.Lost, Skip: 1, Times: 2})
	data := content(9, 1<<20)
	name := mustPut(t, d, data)
	f.Plan(drivetest.Fault{Op: drivetest.Media, Kind: drivetest.Truncate, N: 1000})
	_, err = read(t.Context(), d, name)
	wantIs(t, "a download that breaks", err, cloud.ErrOffline)
	wantData(t, d, name, data)
	if files := f.Named(name); len(files) != 1 || f.Fired() != 3 {
		t.Fatalf("%d files, %d faults", len(files), f.Fired())
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFaultyDriver(t *testing.T) {
	cloudtest.RunFaulty(t, func(t *testing.T) *cloudtest.Faulty {
		return cloudtest.NewRandom(t, mustOpen(t, config(t, drivetest.New(t))), 7, 0.25)
	})
}

// inStorm is how many objects there are in a storm, and stormPage how many of them
// a listing shows a page: four pages. A listing succeeds only if all of its requests
// do, so that with objects that only grow in number it would stop to succeed at all.
const (
	inStorm   = 12
	stormPage = 4
)

// TestRandomFaults: a Store over Drive gets every answer right while the
// service fails in all its ways, at least 300 times.
func TestRandomFaults(t *testing.T) {
	for _, lag := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			f := drivetest.New(t)
			f.Lag, f.PageSize = lag, stormPage
			c := config(t, f)
			f.Random(t, uint64(41+lag), 0.25)
			s := cloud.New(mustOpen(t, c), cloud.Options{Budget: time.Hour})
			kept := map[string][]byte{}
			for round := 0; f.Fired() < 300; round++ {
				if round > 500 {
					t.Fatalf("only %d faults", f.Fired())
				}
				stormRound(t, s, round, kept)
			}
			f.Heal()
			calmAfter(t, f, c, kept)
		})
	}
}

// patient calls f again when it is told of damage or of a limit, or twice in a row
// that its token is not good: under so many faults all of it comes more often
// than a Store forgives.
func patient(f func() error) error {
	err := f()
	for tries := 0; err != nil && tries < 30; tries++ {
		if !errors.Is(err, cloud.ErrChecksum) && !errors.Is(err, cloud.ErrLimit) && !errors.Is(err, cloud.ErrOffline) && !errors.Is(err, cloud.ErrAuth) {
			return err
		}
		time.Sleep(time.Hour)
		err = f()
	}
	return err
}

func stormRound(t *testing.T, s *cloud.Store, round int, kept map[string][]byte) {
	t.Helper()
	data := content(round, []int{0, 1000, 300 << 10, 700<<10 + 5}[round%4])
	name := cloud.Name("pack", data)
	var got []byte
	for what, op := range map[string]func() error{
		"put": func() error { return s.Put(t.Context(), name, data) },
		"get": func() (err error) { got, err = s.Get(t.Context(), name); return err },
	} {
		if what == "get" && kept[name] == nil {
			continue // the order of maps is random, on purpose
		}
		if err := patient(op); err != nil {
			t.Fatalf("round %d, %s: %v", round, what, err)
		}
		if what == "put" {
			kept[name] = data
		} else if !bytes.Equal(got, data) {
			t.Fatalf("round %d: other bytes", round)
		}
	}
	for gone := range kept {
		if len(kept) < inStorm {
			break
		}
		if err := patient(func() error { return s.Delete(t.Context(), gone) }); err != nil {
			t.Fatalf("round %d, delete: %v", round, err)
		}
		delete(kept, gone)
	}
	listed := map[string]bool{}
	err := patient(func() error {
		for o, err := range s.List(t.Context(), "") {
			if err != nil {
				return err
			}
			listed[o.Name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatalf("round %d, list: %v", round, err)
	}
	for name := range kept {
		if !listed[name] {
			t.Fatalf("round %d: list lacks %s", round, name)
		}
	}
}

// calmAfter: another device finds every object whole, and one file for each.
func calmAfter(t *testing.T, f *drivetest.Fake, c drive.Config, kept map[string][]byte) {
	t.Helper()
	d := mustOpen(t, c)
	for range f.Lag + 1 { // what was uploaded twice at the very end shows in a later listing
		if _, err := d.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range kept {
		wantData(t, d, name, data)
		if files := f.Named(name); len(files) != 1 {
			t.Errorf("%d files of %s", len(files), name)
		}
	}
	folders := 0
	for _, x := range f.Files() {
		if x.Folder {
			folders++
		} else if kept[x.Name] == nil {
			t.Errorf("%s is there and was deleted", x.Name)
		}
	}
	if folders != 1 {
		t.Errorf("%d folders", folders)
	}
}

// TestDevicesOfOneFolder: sixteen devices start at the same moment, none of
// them sees in a listing what the others did, and nothing is lost.
func TestDevicesOfOneFolder(t *testing.T) {
	t.Parallel()
	f := drivetest.New(t)
	f.Lag = 40
	shared := content(99, 300<<10)
	written := map[string][]byte{cloud.Name("pack", shared): shared}
	var mu sync.Mutex
	var devices sync.WaitGroup
	for i := range 16 {
		c := config(t, f)
		devices.Go(func() {
			d := mustOpen(t, c)
			for j := range 4 {
				for _, data := range [][]byte{content(100*i+j, 2000), shared} {
					name := mustPutFrom(t, d, data)
					mu.Lock()
					written[name] = data
					mu.Unlock()
					if got, err := read(t.Context(), d, name); err != nil || !bytes.Equal(got, data) {
						t.Errorf("device %d does not read what it wrote: %v", i, err)
					}
				}
			}
		})
	}
	devices.Wait()
	for range f.Lag { // time passes
		if err := listOnce(t, mustOpen(t, config(t, f))); err != nil {
			t.Fatal(err)
		}
	}
	late := mustOpen(t, config(t, f))
	for name := range written {
		if !names(t, late)[name] {
			t.Errorf("%s is not listed", name)
		}
	}
	report, err := late.Tidy(t.Context())
	if err != nil || report.Unequal != 0 {
		t.Fatalf("maintain: %+v, %v", report, err)
	}
	t.Logf("maintain: %+v", report)
	late = mustOpen(t, config(t, f))
	home := ""
	for name, data := range written {
		wantData(t, late, name, data)
		files := f.Named(name)
		if len(files) != 1 {
			t.Errorf("%d files of %s", len(files), name)
		}
		if home == "" {
			home = files[0].Parent
		}
		if files[0].Parent != home {
			t.Errorf("%s is in another folder", name)
		}
	}
}

// mustPutFrom is mustPut for other goroutines.
func mustPutFrom(t *testing.T, d *drive.Driver, data []byte) string {
	name := cloud.Name("pack", data)
	if err := d.Put(t.Context(), name, cloud.Bytes(data)); err != nil {
		t.Errorf("put: %v", err)
	}
	return name
}

func listOnce(t *testing.T, d *drive.Driver) error {
	for _, err := range d.List(t.Context(), "") {
		if err != nil {
			return err
		}
	}
	return nil
}
