package cloudtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"coffer/cloud"
)

// A check is one promise of [cloud.Driver]. It gets an empty place.
type check struct {
	name string
	run  func(t *testing.T, d cloud.Driver)
}

func driverChecks() []check {
	return []check{
		{"EmptyList", checkEmptyList},
		{"Missing", checkMissing},
		{"Sizes", checkSizes},
		{"PutAgain", checkPutAgain},
		{"PutOtherBytes", checkPutOtherBytes},
		{"Ranges", checkRanges},
		{"RangesOutside", checkRangesOutside},
		{"ReadersAreIndependent", checkReadersAreIndependent},
		{"Prefixes", checkPrefixes},
		{"ManyObjects", checkManyObjects},
		{"ListStopsEarly", checkListStopsEarly},
		{"WritersOfOneName", checkWritersOfOneName},
		{"WritersOfSameBytes", checkWritersOfSameBytes},
		{"DeleteTwice", checkDeleteTwice},
		{"Cancelled", checkCancelled},
		{"CancelledInTheMiddle", checkCancelledInTheMiddle},
		{"FailingSource", checkFailingSource},
		{"LyingSource", checkLyingSource},
		{"Capacity", checkCapacity},
	}
}

// Run checks that the driver keeps every promise of [cloud.Driver], and that a
// [cloud.Store] over it keeps its own. Each check opens an empty place.
func Run(t *testing.T, open func(t *testing.T) cloud.Driver) {
	for _, c := range driverChecks() {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
	for _, c := range storeChecks() {
		t.Run("Store/"+c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// content returns n bytes that look random and are the same for one seed.
func content(seed uint64, n int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprintf("content %d", seed))
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails
	return data
}

// sizes are those of objects that matter; the last is larger than any buffer.
func sizes() []int {
	if testing.Short() || Race {
		return []int{0, 1, 4 << 10, 1<<20 + 1}
	}
	return []int{0, 1, 4 << 10, 20<<20 + 1}
}

func mustPut(t *testing.T, d cloud.Driver, name string, data []byte) {
	t.Helper()
	if err := d.Put(t.Context(), name, cloud.Bytes(data)); err != nil {
		t.Fatalf("put %s, %d bytes: %v", name, len(data), err)
	}
}

// get reads a range to its end.
func get(ctx context.Context, d cloud.Driver, name string, off, n int64) ([]byte, error) {
	r, err := d.Get(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func wantData(t *testing.T, d cloud.Driver, name string, want []byte) {
	t.Helper()
	got, err := get(t.Context(), d, name, 0, -1)
	if err != nil {
		t.Fatalf("get %s: %v", name, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("get %s: %d bytes, not the %d that were put", name, len(got), len(want))
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

// wantAbsent requires that name is not there, by every way of looking.
func wantAbsent(t *testing.T, d cloud.Driver, name string) {
	t.Helper()
	_, err := get(t.Context(), d, name, 0, -1)
	wantError(t, "get of an absent object", err, cloud.ErrNotFound)
	if s, ok := d.(cloud.Stater); ok {
		_, err := s.Stat(t.Context(), name)
		wantError(t, "stat of an absent object", err, cloud.ErrNotFound)
	}
	if d.Caps().ListAfterPut {
		wantListed(t, d, "", nil)
	}
}

// list returns name -> size of a listing, and fails on anything improper in it.
func list(t *testing.T, d cloud.Driver, prefix string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for object, err := range d.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		if !cloud.ValidName(object.Name) || !strings.HasPrefix(object.Name, prefix) {
			t.Fatalf("list %q has %q", prefix, object.Name)
		}
		found[object.Name] = object.Size
	}
	return found
}

// wantListed requires the listing to be want (name -> size), as far as this
// kind of place promises.
func wantListed(t *testing.T, d cloud.Driver, prefix string, want map[string]int64) {
	t.Helper()
	found := list(t, d, prefix)
	for name, size := range found {
		if wanted, ok := want[name]; !ok || wanted != size {
			t.Fatalf("list %q has %s of %d bytes; want %d, %v", prefix, name, size, wanted, ok)
		}
	}
	if d.Caps().ListAfterPut && len(found) != len(want) {
		t.Fatalf("list %q has %d objects, want %d", prefix, len(found), len(want))
	}
}

func checkEmptyList(t *testing.T, d cloud.Driver) {
	for _, prefix := range []string{"", "head-", "pack-"} {
		wantListed(t, d, prefix, nil)
	}
}

func checkMissing(t *testing.T, d cloud.Driver) {
	name := cloud.Name("pack", []byte("never put"))
	wantAbsent(t, d, name)
	_, err := get(t.Context(), d, name, 10, 10)
	wantError(t, "get a range of an absent object", err, cloud.ErrNotFound)
	if err := d.Delete(t.Context(), name); err != nil {
		t.Fatalf("delete of an absent object: %v", err)
	}
}

func checkSizes(t *testing.T, d cloud.Driver) {
	want := map[string]int64{}
	for i, n := range sizes() {
		data := content(uint64(i), n)
		name := cloud.Name("pack", data)
		mustPut(t, d, name, data)
		want[name] = int64(n)
		wantData(t, d, name, data)
		if s, ok := d.(cloud.Stater); ok {
			object, err := s.Stat(t.Context(), name)
			if err != nil || object.Name != name || object.Size != int64(n) {
				t.Fatalf("stat %s: %+v, %v; want %d bytes", name, object, err, n)
			}
		}
	}
	mustPut(t, d, "README.txt", []byte("a note"))
	want["README.txt"] = 6
	wantListed(t, d, "", want)
}

func checkPutAgain(t *testing.T, d cloud.Driver) {
	data := content(1, 100_000)
	name := cloud.Name("snap", data)
	for range 3 {
		mustPut(t, d, name, data)
	}
	wantData(t, d, name, data)
	wantListed(t, d, "", map[string]int64{name: 100_000})
}

func checkPutOtherBytes(t *testing.T, d cloud.Driver) {
	data := content(1, 1000)
	name := cloud.Name("pack", data)
	mustPut(t, d, name, data)
	flipped := bytes.Clone(data)
	flipped[999] ^= 1
	for _, other := range [][]byte{flipped, data[:999], append(bytes.Clone(data), 0), nil} {
		err := d.Put(t.Context(), name, cloud.Bytes(other))
		wantError(t, fmt.Sprintf("put of %d other bytes", len(other)), err, cloud.ErrExists)
		wantData(t, d, name, data)
	}
	wantListed(t, d, "", map[string]int64{name: 1000})
}

func checkRanges(t *testing.T, d cloud.Driver) {
	const size = 300_000
	data := content(1, size)
	name := cloud.Name("pack", data)
	mustPut(t, d, name, data)
	for _, r := range []struct{ off, n int64 }{
		{0, 0},
		{0, 1},
		{0, size},
		{1, size - 1},
		{size - 1, 1},
		{size, 0},
		{size / 2, 0},
		{65_535, 2},
		{100_000, 131_072},
		{0, -1},
		{1, -1},
		{size - 1, -1},
		{size, -1},
	} {
		n := r.n
		if n < 0 {
			n = size - r.off
		}
		got, err := get(t.Context(), d, name, r.off, r.n)
		if err != nil || !bytes.Equal(got, data[r.off:r.off+n]) {
			t.Fatalf("get %d bytes from %d: %d bytes, right %v, error %v",
				r.n, r.off, len(got), bytes.Equal(got, data[r.off:r.off+n]), err)
		}
	}
}

func checkRangesOutside(t *testing.T, d cloud.Driver) {
	for _, size := range []int64{0, 1, 1000} {
		data := content(uint64(size), int(size))
		name := cloud.Name("pack", data)
		mustPut(t, d, name, data)
		for _, r := range []struct{ off, n int64 }{
			{0, size + 1},
			{size, 1},
			{size + 1, 0},
			{size + 1, 1},
			{size + 1, -1},
			{1 << 40, 1 << 40},
			{1<<63 - 1, 1<<63 - 1},
			{0, 1<<63 - 1},
			{1<<63 - 1, -1},
		} {
			_, err := get(t.Context(), d, name, r.off, r.n)
			wantError(t, fmt.Sprintf("get %d bytes from %d of %d", r.n, r.off, size), err, cloud.ErrRange)
		}
	}
}

func checkReadersAreIndependent(t *testing.T, d cloud.Driver) {
	data := content(1, 500_000)
	name := cloud.Name("pack", data)
	mustPut(t, d, name, data)
	abandoned, err := d.Get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(abandoned, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	wantData(t, d, name, data)
	if err := abandoned.Close(); err != nil {
		t.Fatalf("close a reader that was not read to its end: %v", err)
	}
	wantData(t, d, name, data)
}

func checkPrefixes(t *testing.T, d cloud.Driver) {
	want := map[string]map[string]int64{"": {}}
	for i, kind := range []string{"head", "pack", "index", "snap"} {
		want[kind+"-"] = map[string]int64{}
		for j := range 3 {
			data := content(uint64(10*i+j), 10+j)
			name := cloud.Name(kind, data)
			mustPut(t, d, name, data)
			want[kind+"-"][name] = int64(10 + j)
			want[""][name] = int64(10 + j)
			want[name] = map[string]int64{name: int64(10 + j)}
		}
	}
	want["pack-zz"] = nil
	for prefix, objects := range want {
		wantListed(t, d, prefix, objects)
	}
}

// checkManyObjects is about pages: 1,100 is more than any service gives at once.
func checkManyObjects(t *testing.T, d cloud.Driver) {
	count := 1100
	if testing.Short() || Race {
		count = 110
	}
	want := map[string]int64{}
	for i := range count {
		data := fmt.Appendf(nil, "object %d", i)
		name := cloud.Name("index", data)
		mustPut(t, d, name, data)
		want[name] = int64(len(data))
	}
	wantListed(t, d, "", want)
	wantListed(t, d, "index-", want)
	wantListed(t, d, "pack-", nil)
}

func checkListStopsEarly(t *testing.T, d cloud.Driver) {
	for i := range 5 {
		data := content(uint64(i), 10)
		mustPut(t, d, cloud.Name("pack", data), data)
	}
	for range d.List(t.Context(), "") {
		break // a driver that yields again panics
	}
}

// checkWritersOfOneName: the bytes under a name are those of one writer, whole.
func checkWritersOfOneName(t *testing.T, d cloud.Driver) {
	const writers = 16
	name := cloud.Name("head", []byte("contended"))
	won := race(writers, func(i int) error {
		return d.Put(t.Context(), name, cloud.Bytes(content(uint64(i), 200_000)))
	})
	winners := 0
	for i, err := range won {
		if err == nil {
			winners++
			continue
		}
		wantError(t, fmt.Sprintf("writer %d", i), err, cloud.ErrExists)
	}
	if winners == 0 || d.Caps().PutIfAbsent && winners != 1 {
		t.Fatalf("%d of %d writers of different bytes succeeded", winners, writers)
	}
	got, err := get(t.Context(), d, name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range won {
		if bytes.Equal(got, content(uint64(i), 200_000)) && err == nil {
			wantListed(t, d, "", map[string]int64{name: 200_000})
			return
		}
	}
	t.Fatalf("%d bytes are there, of no writer that succeeded", len(got))
}

func checkWritersOfSameBytes(t *testing.T, d cloud.Driver) {
	data := content(1, 200_000)
	name := cloud.Name("pack", data)
	for i, err := range race(16, func(int) error { return d.Put(t.Context(), name, cloud.Bytes(data)) }) {
		if err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
	wantData(t, d, name, data)
	wantListed(t, d, "", map[string]int64{name: 200_000})
}

// race calls f(0) to f(n-1) at once and returns their errors.
func race(n int, f func(i int) error) []error {
	results := make([]error, n)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-start
			results[i] = f(i)
		})
	}
	close(start)
	done.Wait()
	return results
}

func checkDeleteTwice(t *testing.T, d cloud.Driver) {
	data, kept := content(1, 1000), content(2, 1000)
	name, other := cloud.Name("pack", data), cloud.Name("pack", kept)
	mustPut(t, d, other, kept)
	for range 2 {
		mustPut(t, d, name, data)
		for range 2 {
			if err := d.Delete(t.Context(), name); err != nil {
				t.Fatalf("delete: %v", err)
			}
		}
		_, err := get(t.Context(), d, name, 0, -1)
		wantError(t, "get of a deleted object", err, cloud.ErrNotFound)
	}
	wantData(t, d, other, kept)
	if d.Caps().ListAfterPut {
		wantListed(t, d, "", map[string]int64{other: 1000})
	}
}

func checkCancelled(t *testing.T, d cloud.Driver) {
	data := content(1, 1000)
	name := cloud.Name("pack", data)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, "cancelled put", d.Put(ctx, name, cloud.Bytes(data)), context.Canceled)
	wantAbsent(t, d, name)
	mustPut(t, d, name, data)
	_, err := get(ctx, d, name, 0, -1)
	wantError(t, "cancelled get", err, context.Canceled)
	wantError(t, "cancelled delete", d.Delete(ctx, name), context.Canceled)
	wantData(t, d, name, data)
	err = nil
	for _, e := range d.List(ctx, "") {
		err = e
	}
	wantError(t, "cancelled list", err, context.Canceled)
	if s, ok := d.(cloud.Stater); ok {
		_, err := s.Stat(ctx, name)
		wantError(t, "cancelled stat", err, context.Canceled)
	}
}

// A hookedSource calls hook before each read after the first of its bytes.
type hookedSource struct {
	cloud.Source
	hook func() error
}

func (s hookedSource) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 || int64(len(p)) == s.Size() {
		if err := s.hook(); err != nil {
			return 0, err
		}
	}
	return s.Source.ReadAt(p, off)
}

func checkCancelledInTheMiddle(t *testing.T, d cloud.Driver) {
	data := content(1, 4<<20)
	name := cloud.Name("pack", data)
	ctx, cancel := context.WithCancel(t.Context())
	err := d.Put(ctx, name, hookedSource{cloud.Bytes(data), func() error { cancel(); return nil }})
	wantError(t, "put that was cancelled in the middle", err, context.Canceled)
	wantAbsent(t, d, name)
	mustPut(t, d, name, data)
	wantData(t, d, name, data)
}

func checkFailingSource(t *testing.T, d cloud.Driver) {
	data := content(1, 4<<20)
	name := cloud.Name("pack", data)
	broken := errors.New("broken source")
	err := d.Put(t.Context(), name, hookedSource{cloud.Bytes(data), func() error { return broken }})
	wantError(t, "put of a source that fails", err, broken)
	wantAbsent(t, d, name)
	mustPut(t, d, name, data)
}

// A lyingSource promises another hash.
type lyingSource struct{ cloud.Source }

func (s lyingSource) SHA256() [32]byte {
	sum := s.Source.SHA256()
	sum[0] ^= 1
	return sum
}

func checkLyingSource(t *testing.T, d cloud.Driver) {
	for _, n := range []int{0, 1, 1 << 20} {
		data := content(uint64(n), n)
		name := cloud.Name("pack", data)
		err := d.Put(t.Context(), name, lyingSource{cloud.Bytes(data)})
		wantError(t, fmt.Sprintf("put of %d bytes that have another hash", n), err, cloud.ErrChecksum)
		wantAbsent(t, d, name)
	}
}

func checkCapacity(t *testing.T, d cloud.Driver) {
	c, ok := d.(cloud.Capacitor)
	if !ok {
		return
	}
	room, err := c.Capacity(t.Context())
	if errors.Is(err, cloud.ErrUnsupported) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if room.Free < -1 || room.Total < -1 || room.Total == 0 || room.Total > 0 && room.Free > room.Total {
		t.Fatalf("capacity %+v", room)
	}
}
