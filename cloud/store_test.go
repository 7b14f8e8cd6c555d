package cloud_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

const (
	put  = cloudtest.Put
	get  = cloudtest.Get
	fail = cloudtest.Fail
)

var (
	data = []byte("some sealed bytes")
	name = cloud.Name("pack", data)
)

// store returns a Store over a faulty place that holds nothing.
func store(plan ...cloudtest.Shot) (*cloud.Store, *cloudtest.Faulty, *cloudtest.Memory) {
	m := cloudtest.NewMemory()
	f := cloudtest.NewFaulty(m, plan...)
	return cloud.New(f, cloud.Options{}), f, m
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

// Every write in four outcomes: the Store makes each of them a success.
func TestEveryOutcomeOfAWrite(t *testing.T) {
	for _, fault := range []cloudtest.Fault{cloudtest.Fail, cloudtest.FailDone, cloudtest.Hang, cloudtest.HangDone, cloudtest.Flip} {
		t.Run("Put/"+string(fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f, m := store(cloudtest.Shot{Op: put, At: 1, Fault: fault})
				if err := s.Put(t.Context(), name, data); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(m.Data(name), data) || !f.AllFired() || f.Calls(put) != 2 {
					t.Fatalf("%d bytes, %d requests, fired %v", len(m.Data(name)), f.Calls(put), f.AllFired())
				}
			})
		})
		if fault == cloudtest.Flip {
			continue // nothing to flip in a deletion
		}
		t.Run("Delete/"+string(fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f, m := store(cloudtest.Shot{Op: cloudtest.Delete, At: 1, Fault: fault})
				m.Set(name, data)
				if err := s.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
				if m.Data(name) != nil || !f.AllFired() || f.Calls(cloudtest.Delete) != 2 {
					t.Fatalf("still there %v, fired %v", m.Data(name) != nil, f.AllFired())
				}
			})
		})
	}
}

func TestEveryOutcomeOfARead(t *testing.T) {
	for _, fault := range []cloudtest.Fault{cloudtest.Fail, cloudtest.Hang, cloudtest.Flip, cloudtest.Truncate, cloudtest.Break, cloudtest.Dribble} {
		t.Run(string(fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f, m := store(cloudtest.Shot{Op: get, At: 1, Fault: fault})
				m.Set(name, data)
				got, err := s.Get(t.Context(), name)
				if err != nil || !bytes.Equal(got, data) || !f.AllFired() {
					t.Fatalf("got %q, %v, fired %v", got, err, f.AllFired())
				}
				if fault == cloudtest.Flip {
					return // nobody here can know, of a part
				}
				s, f, m = store(cloudtest.Shot{Op: get, At: 1, Fault: fault})
				m.Set(name, data)
				p := make([]byte, 6)
				if err := s.ReadAt(t.Context(), name, p, 5); err != nil || string(p) != "sealed" || !f.AllFired() {
					t.Fatalf("read %q, %v, fired %v", p, err, f.AllFired())
				}
			})
		})
	}
}

// What waiting does not heal is asked once; damage twice; the rest until the
// budget is used up.
func TestWhatIsTriedAgain(t *testing.T) {
	unknown := errors.New("something new")
	for _, c := range []struct {
		err   error
		tries int // 0: many
	}{
		{cloud.ErrNotFound, 1},
		{cloud.ErrExists, 1},
		{cloud.ErrRange, 1},
		{cloud.ErrTooLarge, 1},
		{cloud.ErrFull, 1},
		{cloud.ErrAuth, 1},
		{cloud.ErrDenied, 1},
		{cloud.ErrReadOnly, 1},
		{cloud.ErrNoPlace, 1},
		{cloud.ErrUnsupported, 1},
		{cloud.Final(cloud.ErrOffline), 1},
		{cloud.Final(unknown), 1},
		{fmt.Errorf("wrapped: %w", cloud.Final(cloud.ErrLimit)), 1},
		{cloud.ErrChecksum, 2},
		{cloud.ErrOffline, 0},
		{cloud.ErrLimit, 0},
		{unknown, 0},
		{context.DeadlineExceeded, 0}, // a driver's own, not ours
	} {
		synctest.Test(t, func(t *testing.T) {
			s, f, _ := store(cloudtest.Shot{Op: put, Fault: fail, Err: c.err})
			start := time.Now()
			err := s.Put(t.Context(), name, data)
			wantError(t, "put", err, c.err)
			if !strings.Contains(err.Error(), "put "+name) {
				t.Errorf("%q does not say what failed", err)
			}
			took, calls := time.Since(start), f.Calls(put)
			most, patience := 12, 5*time.Minute
			if errors.Is(c.err, cloud.ErrLimit) { // it is there, and asks for time
				most, patience = 60, 15*time.Minute
				if c.tries == 0 && took < 10*time.Minute {
					t.Errorf("%v: gave up after %v, before anybody knows whether it means the day", c.err, took)
				}
			}
			if c.tries > 0 && calls != c.tries || c.tries == 0 && (calls < 5 || calls > most) {
				t.Errorf("%v: %d requests", c.err, calls)
			}
			if took > patience || c.tries == 1 && took != 0 {
				t.Errorf("%v: gave up after %v", c.err, took)
			}
		})
	}
}

func TestLimitIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(100 * time.Second)
		s, _, _ := store(cloudtest.Shot{Op: put, At: 1, Fault: fail, Err: &cloud.LimitError{Until: until}})
		if err := s.Put(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
		if late := time.Since(until); late < 0 || late > time.Second {
			t.Errorf("tried again %v after the moment that was asked for", late)
		}
	})
	synctest.Test(t, func(t *testing.T) { // tomorrow: say so now
		until := time.Now().Add(10 * time.Hour)
		s, f, _ := store(cloudtest.Shot{Op: put, Fault: fail, Err: &cloud.LimitError{Until: until}})
		start := time.Now()
		err := s.Put(t.Context(), name, data)
		var limit *cloud.LimitError
		if !errors.Is(err, cloud.ErrLimit) || !errors.As(err, &limit) || !limit.Until.Equal(until) {
			t.Fatalf("error %v", err)
		}
		if f.Calls(put) != 1 || time.Since(start) != 0 {
			t.Errorf("%d requests, %v", f.Calls(put), time.Since(start))
		}
	})
}

func TestCancelWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := store(cloudtest.Shot{Op: put, Fault: fail}, cloudtest.Shot{Op: get, Fault: cloudtest.Hang})
		for what, call := range map[string]func(ctx context.Context) error{
			"between tries": func(ctx context.Context) error { return s.Put(ctx, name, data) },
			"in a request":  func(ctx context.Context) error { _, err := s.Get(ctx, name); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			start := time.Now()
			wantError(t, what, call(ctx), context.DeadlineExceeded)
			if took := time.Since(start); took != 700*time.Millisecond {
				t.Errorf("%s: %v", what, took)
			}
			cancel()
		}
	})
}

// A stuckDriver obeys no context: a system call on a dead network mount.
type stuckDriver struct {
	*cloudtest.Memory
	free chan struct{} // closed when the mount comes back
	sent chan []byte   // what Put read then, or nil
}

func (d stuckDriver) Put(_ context.Context, _ string, src cloud.Source) error {
	<-d.free
	p := make([]byte, src.Size())
	if _, err := src.ReadAt(p, 0); err != nil {
		p = nil
	}
	d.sent <- p
	return nil
}

func (d stuckDriver) Get(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(&stuckReader{d}), nil
}

type stuckReader struct{ d stuckDriver }

func (r *stuckReader) Read(p []byte) (int, error) {
	<-r.d.free
	for i := range p {
		p[i] = 'X'
	}
	return len(p), nil
}

// The buffers of an abandoned request belong to the caller again.
func TestAbandonedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stuckDriver{cloudtest.NewMemory(), make(chan struct{}), make(chan []byte, 1)}
		s := cloud.New(d, cloud.Options{})
		start := time.Now()
		buffer := bytes.Clone(data)
		wantError(t, "put", s.Put(t.Context(), name, buffer), cloud.ErrOffline)
		if took := time.Since(start); took != 65*time.Second {
			t.Errorf("given up after %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := []byte("untouched")
		wantError(t, "read", s.ReadAt(ctx, name, p, 0), context.DeadlineExceeded)

		clear(buffer) // reused for other bytes
		close(d.free)
		if sent := <-d.sent; sent != nil {
			t.Errorf("an abandoned put still read %q", sent)
		}
		synctest.Wait()
		if string(p) != "untouched" {
			t.Errorf("an abandoned read still wrote %q", p)
		}
	})
}

// A slowDriver moves a byte every 50 seconds.
type slowDriver struct{ *cloudtest.Memory }

func (d slowDriver) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	r, err := d.Memory.Get(ctx, name, off, n)
	return slowReader{r}, err
}

type slowReader struct{ io.ReadCloser }

func (r slowReader) Read(p []byte) (int, error) {
	<-time.After(50 * time.Second)
	return r.ReadCloser.Read(p[:min(len(p), 1)])
}

func TestSlowIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := slowDriver{cloudtest.NewMemory()}
		d.Set(name, data)
		f := cloudtest.NewFaulty(d)
		s := cloud.New(f, cloud.Options{})
		if got, err := s.Get(t.Context(), name); err != nil || !bytes.Equal(got, data) {
			t.Fatal(got, err)
		}
		p := make([]byte, 10)
		if err := s.ReadAt(t.Context(), name, p, 0); err != nil || f.Calls(get) != 2 {
			t.Fatal(err, f.Calls(get))
		}
	})
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, m := store()
		s.Pause()
		s.Pause()
		done := make(chan error, 1)
		go func() { done <- s.Put(t.Context(), name, data) }()
		synctest.Wait()
		if f.Calls(put) != 0 {
			t.Fatal("a request started in the pause")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := s.Stat(ctx, name)
		wantError(t, "stat in the pause", err, context.DeadlineExceeded)
		s.Resume()
		s.Resume()
		if err := <-done; err != nil || m.Data(name) == nil {
			t.Fatal(err)
		}
	})
}

func TestListIsAUnion(t *testing.T) {
	m := cloudtest.NewMemory()
	m.Lag = func(name string, _ int) bool { return strings.HasPrefix(name, "snap-") }
	f := cloudtest.NewFaulty(m, cloudtest.Shot{Op: cloudtest.List, Fault: cloudtest.Repeat})
	s := cloud.New(f, cloud.Options{})
	late := cloud.Name("snap", data)
	for _, n := range []string{name, late} {
		if err := s.Put(t.Context(), n, data); err != nil {
			t.Fatal(err)
		}
	}
	theirs := cloud.Name("head", []byte("theirs"))
	m.Set(theirs, []byte("theirs"))
	m.Set("pack-conflicted copy", []byte("foreign"))
	wantNames := func(prefix string, want ...string) {
		t.Helper()
		var got []string
		for object, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, object.Name)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("list %q: %v, want %v", prefix, got, want)
		}
	}
	wantNames("", theirs, name, late)
	wantNames("pack-", name)
	wantNames("snap-", late)
	if err := s.Delete(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	wantNames("", theirs, name)
}

// A listing that breaks half-way must not yield its first half twice.
func TestBrokenListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, m := store(cloudtest.Shot{Op: cloudtest.List, At: 1, Fault: cloudtest.Break})
		m.Set(name, data)
		m.Set(cloud.Name("snap", data), data)
		count := 0
		for _, err := range s.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			count++
		}
		if count != 2 || !f.AllFired() {
			t.Fatalf("%d objects, fired %v", count, f.AllFired())
		}
	})
}

func TestArguments(t *testing.T) {
	s, f, m := store()
	for _, bad := range []string{"", "pack-", "../" + name, name + "0", "README", strings.ToUpper(name)} {
		wantError(t, "put", s.Put(t.Context(), bad, data), fs.ErrInvalid)
		wantError(t, "delete", s.Delete(t.Context(), bad), fs.ErrInvalid)
		wantError(t, "read", s.ReadAt(t.Context(), bad, nil, 0), fs.ErrInvalid)
		_, err := s.Get(t.Context(), bad)
		wantError(t, "get", err, fs.ErrInvalid)
		_, err = s.Stat(t.Context(), bad)
		wantError(t, "stat", err, fs.ErrInvalid)
	}
	wantError(t, "read", s.ReadAt(t.Context(), name, nil, -1), fs.ErrInvalid)
	wantError(t, "put of other bytes", s.Put(t.Context(), name, []byte("other")), cloud.ErrChecksum)
	if f.Calls(put)+f.Calls(get) != 0 || len(m.Names()) != 0 {
		t.Error("the place was asked")
	}
	if err := s.Put(t.Context(), "README.txt", []byte("any text")); err != nil {
		t.Error(err)
	}
}

func TestLargeObjects(t *testing.T) {
	m := cloudtest.NewMemory()
	s := cloud.New(m, cloud.Options{MaxObject: 1000})
	for n, want := range map[int]error{999: nil, 1000: nil, 1001: cloud.ErrTooLarge} {
		b := bytes.Repeat([]byte{'x'}, n)
		wantError(t, fmt.Sprint("put ", n), s.Put(t.Context(), cloud.Name("pack", b), b), want)
		m.Set(cloud.Name("snap", b), b)
		_, err := s.Get(t.Context(), cloud.Name("snap", b))
		wantError(t, fmt.Sprint("get ", n), err, want)
		// A place that does not say how much comes is bounded all the same.
		f := cloudtest.NewFaulty(m, cloudtest.Shot{Op: get, Fault: cloudtest.Dribble})
		_, err = cloud.New(f, cloud.Options{MaxObject: 1000}).Get(t.Context(), cloud.Name("snap", b))
		wantError(t, fmt.Sprint("get of unknown length ", n), err, want)
	}
}

// A bareDriver has no Stat, no Capacity and a listing that is late.
type bareDriver struct{ cloud.Driver }

func TestStatWithoutStater(t *testing.T) {
	m := cloudtest.NewMemory()
	late := true
	m.Lag = func(string, int) bool { return late }
	s := cloud.New(bareDriver{m}, cloud.Options{})
	_, err := s.Stat(t.Context(), name)
	wantError(t, "stat", err, cloud.ErrNotFound)
	m.Set(name, data)
	for range 2 {
		if o, err := s.Stat(t.Context(), name); err != nil || o != (cloud.Object{Name: name, Size: int64(len(data))}) {
			t.Fatal(o, err)
		}
		late = false
	}
	_, err = s.Capacity(t.Context())
	wantError(t, "capacity", err, cloud.ErrUnsupported)
}

func TestValidName(t *testing.T) {
	for _, kind := range []string{"head", "pack", "index", "snap"} {
		good := cloud.Name(kind, data)
		if !cloud.ValidName(good) {
			t.Fatalf("%s is refused", good)
		}
		for i := range good {
			for _, bad := range []string{good[:i], good[:i] + "G" + good[i+1:], good[:i] + good[i+1:], good[:i] + "/" + good[i:]} {
				if cloud.ValidName(bad) {
					t.Errorf("%q passes", bad)
				}
			}
		}
	}
	if !cloud.ValidName("README.txt") || cloud.ValidName("readme.txt") {
		t.Error("README.txt")
	}
}

func FuzzValidName(f *testing.F) {
	f.Add(name)
	f.Add("README.txt")
	f.Add("pack-")
	f.Add("pack--" + strings.Repeat("0", 39))
	f.Fuzz(func(t *testing.T, s string) {
		if !cloud.ValidName(s) {
			return
		}
		if len(s) > 46 || strings.ContainsAny(s, "/\\\x00: ") || s != "README.txt" && s != strings.ToLower(s) {
			t.Errorf("%q passes", s)
		}
	})
}
