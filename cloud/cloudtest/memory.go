// Package cloudtest holds what tests of places need.
//
//   - [Run] is the conformance suite: a driver is done when it passes, and passes
//     [RunFaulty], which is the same under faults and in troubles that last.
//   - [RunWorld] is about what others do in a place behind the driver's back, and
//     [RunMany] about 100,000 objects.
//   - [Memory] is a place in memory, which can lag, be full, be damaged and be
//     copied (a copy kept and put back is a rollback).
//   - [Faulty] is a driver that fails on purpose: each request in four outcomes
//     (done, failed, failed but done, hung until cancelled), and answers that
//     are cut, flipped, incomplete or repeated. [Faulty.AllFired] lets a test
//     insist that everything it planned did happen.
//
// It is for tests only.
package cloudtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"coffer/cloud"
)

// A Memory is a driver of a place in memory. It is safe for concurrent use.
type Memory struct {
	// Lag, if set, reports whether a listing still omits the object, given how
	// many listings began since it was put (1: this is the first). Set it
	// before use.
	Lag func(name string, listings int) bool
	// Room is how many bytes the place holds; 0: any. Set it before use, or
	// between requests.
	Room int64

	mu       sync.Mutex
	objects  map[string]memoryObject // guarded by mu
	listings int                     // guarded by mu
}

type memoryObject struct {
	data  []byte // never changed in place: readers hold it
	putAt int    // Memory.listings when it was put
}

// NewMemory returns an empty place.
func NewMemory() *Memory { return &Memory{objects: map[string]memoryObject{}} }

// Put implements [cloud.Driver].
func (m *Memory) Put(ctx context.Context, name string, src cloud.Source) error {
	data, err := readSource(ctx, src)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.objects[name]; ok {
		if !bytes.Equal(old.data, data) {
			return cloud.ErrExists
		}
		return nil
	}
	if m.Room > 0 && m.used()+int64(len(data)) > m.Room {
		return cloud.ErrFull
	}
	m.objects[name] = memoryObject{data, m.listings}
	return nil
}

// readSource reads src in pieces, so that a test can cancel between them.
func readSource(ctx context.Context, src cloud.Source) ([]byte, error) {
	data := make([]byte, src.Size())
	for off := 0; off < len(data); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		piece := data[off:min(off+64<<10, len(data))]
		n, err := src.ReadAt(piece, int64(off))
		if n < len(piece) {
			return nil, fmt.Errorf("read source: %w", err)
		}
		off += n
	}
	if sha256.Sum256(data) != src.SHA256() {
		return nil, cloud.ErrChecksum
	}
	return data, ctx.Err()
}

// Get implements [cloud.Driver].
func (m *Memory) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	data, err := m.look(ctx, name)
	if err != nil {
		return nil, err
	}
	size := int64(len(data))
	if n < 0 {
		n = max(0, size-off)
	}
	if off > size || n > size-off {
		return nil, cloud.ErrRange
	}
	return memoryReader{bytes.NewReader(data[off : off+n])}, nil
}

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

func (m *Memory) look(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	object, ok := m.objects[name]
	if !ok {
		return nil, cloud.ErrNotFound
	}
	return object.data, nil
}

// List implements [cloud.Driver].
func (m *Memory) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		for _, object := range m.visible(prefix) {
			if err := ctx.Err(); err != nil {
				yield(cloud.Object{}, err)
				return
			}
			if !yield(object, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(cloud.Object{}, err)
		}
	}
}

func (m *Memory) visible(prefix string) []cloud.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listings++
	var found []cloud.Object
	for name, object := range m.objects {
		late := m.Lag != nil && m.Lag(name, m.listings-object.putAt)
		if strings.HasPrefix(name, prefix) && !late {
			found = append(found, cloud.Object{Name: name, Size: int64(len(object.data))})
		}
	}
	return found
}

// Delete implements [cloud.Driver].
func (m *Memory) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, name)
	return nil
}

// Stat implements [cloud.Stater].
func (m *Memory) Stat(ctx context.Context, name string) (cloud.Object, error) {
	data, err := m.look(ctx, name)
	return cloud.Object{Name: name, Size: int64(len(data))}, err
}

// Capacity implements [cloud.Capacitor].
func (m *Memory) Capacity(ctx context.Context) (cloud.Capacity, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Room == 0 {
		return cloud.Capacity{Free: -1, Total: -1}, ctx.Err()
	}
	return cloud.Capacity{Free: max(0, m.Room-m.used()), Total: m.Room}, ctx.Err()
}

// used returns the bytes stored. The caller holds mu.
func (m *Memory) used() int64 {
	sum := int64(0)
	for _, object := range m.objects {
		sum += int64(len(object.data))
	}
	return sum
}

// Caps implements [cloud.Driver].
func (m *Memory) Caps() cloud.Caps {
	return cloud.Caps{PutIfAbsent: true, ListAfterPut: m.Lag == nil}
}

// Names returns the names of all objects, listed yet or not, sorted.
func (m *Memory) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

// Set stores data under name whatever the name and whatever was there: what a
// thief, a sync client or a broken disk does. Nil data removes the object.
func (m *Memory) Set(name string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data == nil {
		delete(m.objects, name)
		return
	}
	m.objects[name] = memoryObject{slices.Clone(data), m.listings}
}

// Data returns a copy of the object's bytes, or nil.
func (m *Memory) Data(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.objects[name].data)
}

// Clone returns a copy of the place as it is now.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{Lag: m.Lag, Room: m.Room, objects: maps.Clone(m.objects), listings: m.listings}
}
