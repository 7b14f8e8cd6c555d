package cloudtest_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

func TestMemory(t *testing.T) {
	cloudtest.Run(t, func(*testing.T) cloud.Driver { return cloudtest.NewMemory() })
}

func TestMemoryThatLags(t *testing.T) {
	cloudtest.Run(t, func(*testing.T) cloud.Driver {
		m := cloudtest.NewMemory()
		m.Lag = func(_ string, listings int) bool { return listings <= 3 }
		return m
	})
}

// memoryWorld is a world in memory, seen through drivers of some kind.
func memoryWorld(open func(*cloudtest.Memory) cloud.Driver) cloudtest.World {
	m := cloudtest.NewMemory()
	return cloudtest.World{
		Driver:  open(m),
		Another: func(*testing.T) cloud.Driver { return open(m) },
		Drop:    func(_ *testing.T, name string, data []byte) { m.Set(name, data) },
		Names:   func(*testing.T) []string { return m.Names() },
	}
}

func TestMemoryWorld(t *testing.T) {
	cloudtest.RunWorld(t, func(*testing.T) cloudtest.World {
		return memoryWorld(func(m *cloudtest.Memory) cloud.Driver { return modest{m} })
	})
}

func TestManyInMemory(t *testing.T) {
	n := 100_000
	if cloudtest.Race {
		n = 5000
	}
	m := cloudtest.NewMemory()
	for i := range n {
		data := cloudtest.Numbered(i)
		m.Set(cloud.Name("index", data), data)
	}
	t.Logf("%+v", cloudtest.RunMany(t, m, n))
}

func TestFaultyMemory(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		cloudtest.RunFaulty(t, func(t *testing.T) *cloudtest.Faulty {
			return cloudtest.NewRandom(t, cloudtest.NewMemory(), seed, 0.2)
		})
	}
}

func TestFaultsAreReal(t *testing.T) {
	data := bytes.Repeat([]byte("coffer"), 100)
	name := cloud.Name("pack", data)
	open := func(shot cloudtest.Shot) (*cloudtest.Faulty, *cloudtest.Memory) {
		m := cloudtest.NewMemory()
		m.Set(name, data)
		return cloudtest.NewFaulty(m, shot), m
	}
	for _, fault := range []cloudtest.Fault{cloudtest.Flip, cloudtest.Truncate, cloudtest.Break} {
		f, _ := open(cloudtest.Shot{Op: cloudtest.Get, At: 1, Fault: fault})
		for try, wantBad := range []bool{true, false} {
			r, err := f.Get(t.Context(), name, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if bad := err != nil || !bytes.Equal(got, data); bad != wantBad {
				t.Errorf("%s, try %d: bad %v, want %v", fault, try, bad, wantBad)
			}
		}
		if !f.AllFired() {
			t.Errorf("%s did not fire", fault)
		}
	}

	f, m := open(cloudtest.Shot{Op: cloudtest.Delete, At: 1, Fault: cloudtest.FailDone})
	if err := f.Delete(t.Context(), name); !errors.Is(err, cloud.ErrOffline) || m.Data(name) != nil {
		t.Errorf("failed but done: error %v, still there %v", err, m.Data(name) != nil)
	}
	f, m = open(cloudtest.Shot{Op: cloudtest.Delete, At: 2, Fault: cloudtest.Fail, Err: cloud.ErrDenied})
	if err := f.Delete(t.Context(), name); err != nil || m.Data(name) != nil || f.AllFired() {
		t.Errorf("first delete: %v", err)
	}
	if err := f.Delete(t.Context(), name); !errors.Is(err, cloud.ErrDenied) || !f.AllFired() {
		t.Errorf("second delete: %v", err)
	}
}

func TestListingFaults(t *testing.T) {
	count := func(fault cloudtest.Fault) (objects int, last error) {
		f := cloudtest.NewFaulty(cloudtest.NewMemory(), cloudtest.Shot{Op: cloudtest.List, Fault: fault})
		for _, s := range []string{"one", "two", "three"} {
			data := []byte(s)
			if err := f.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)); err != nil {
				t.Fatal(err)
			}
		}
		for _, err := range f.List(t.Context(), "") {
			if err != nil {
				return objects, err
			}
			objects++
		}
		return objects, nil
	}
	for fault, want := range map[cloudtest.Fault]int{cloudtest.Omit: 2, cloudtest.Repeat: 6, cloudtest.Break: 1, cloudtest.Fail: 0} {
		got, err := count(fault)
		if wantErr := fault == cloudtest.Break || fault == cloudtest.Fail; got != want || (err != nil) != wantErr {
			t.Errorf("%s: %d objects, error %v; want %d", fault, got, err, want)
		}
	}
}

func TestHangEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := []byte("x")
		name := cloud.Name("pack", data)
		for fault, done := range map[cloudtest.Fault]bool{cloudtest.Hang: false, cloudtest.HangDone: true} {
			m := cloudtest.NewMemory()
			f := cloudtest.NewFaulty(m, cloudtest.Shot{Op: cloudtest.Put, At: 1, Fault: fault})
			s := cloud.New(f, cloud.Options{Budget: -1})
			if err := s.Put(t.Context(), name, data); !errors.Is(err, cloud.ErrOffline) {
				t.Errorf("%s: %v", fault, err)
			}
			if got := m.Data(name) != nil; got != done {
				t.Errorf("%s: there %v, want %v", fault, got, done)
			}
		}
	})
}

func TestMemoryIsFull(t *testing.T) {
	m := cloudtest.NewMemory()
	m.Room = 150
	one, two := bytes.Repeat([]byte{1}, 100), bytes.Repeat([]byte{2}, 100)
	s := cloud.New(m, cloud.Options{})
	if err := s.Put(t.Context(), cloud.Name("pack", one), one); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), cloud.Name("pack", two), two); !errors.Is(err, cloud.ErrFull) {
		t.Fatalf("put into a full place: %v", err)
	}
	if room, err := s.Capacity(t.Context()); err != nil || room != (cloud.Capacity{Free: 50, Total: 150}) {
		t.Fatalf("capacity %+v, %v", room, err)
	}
	if err := s.Delete(t.Context(), cloud.Name("pack", one)); err != nil {
		t.Fatalf("delete in a full place: %v", err)
	}
	if err := s.Put(t.Context(), cloud.Name("pack", two), two); err != nil {
		t.Fatal(err)
	}
}

func TestCloneIsApart(t *testing.T) {
	m := cloudtest.NewMemory()
	m.Set("pack-a", []byte("old"))
	kept := m.Clone()
	m.Set("pack-a", nil)
	m.Set("pack-b", []byte("new"))
	if got := kept.Names(); len(got) != 1 || got[0] != "pack-a" {
		t.Fatalf("clone has %v", got)
	}
}
