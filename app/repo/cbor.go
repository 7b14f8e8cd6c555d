package repo

import (
	"encoding/binary"
	"unicode/utf8"
)

// Deterministic CBOR (RFC 8949, section 4.2.1), the part of it that the format
// uses: integers, byte and text strings, arrays, and maps with small integer
// keys. It is written here because trees have millions of entries, and
// because a decoder that cannot read any other form needs no second pass that
// checks the form.
const (
	cborUint  = 0
	cborNeg   = 1
	cborBytes = 2
	cborText  = 3
	cborArray = 4
	cborMap   = 5
)

func appendCBOR(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendUint(b []byte, n uint64) []byte { return appendCBOR(b, cborUint, n) }

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendCBOR(b, cborNeg, uint64(-1-n))
	}
	return appendCBOR(b, cborUint, uint64(n))
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(appendCBOR(b, cborBytes, uint64(len(s))), s...)
}

func appendText(b []byte, s string) []byte {
	return append(appendCBOR(b, cborText, uint64(len(s))), s...)
}

// A mapWriter writes the pairs of a map in ascending order of keys and counts
// them; the count stands before them, so it is put in at the end.
type mapWriter struct {
	b     []byte
	start int
	n     int
}

// newMap reserves one byte for the count: maps here have at most 23 pairs.
func newMap(b []byte) mapWriter { return mapWriter{b: append(b, 0), start: len(b)} }

func (m *mapWriter) key(k uint64) { m.b = appendUint(m.b, k); m.n++ }

func (m *mapWriter) uint(k, v uint64) { m.key(k); m.b = appendUint(m.b, v) }

func (m *mapWriter) bytes(k uint64, v string) { m.key(k); m.b = appendBytes(m.b, v) }

func (m *mapWriter) text(k uint64, v string) { m.key(k); m.b = appendText(m.b, v) }

// The opt forms leave out what is zero or empty.
func (m *mapWriter) optUint(k, v uint64) {
	if v != 0 {
		m.uint(k, v)
	}
}

func (m *mapWriter) optBytes(k uint64, v string) {
	if v != "" {
		m.bytes(k, v)
	}
}

func (m *mapWriter) end() []byte {
	if m.n > 23 {
		panic("repo: internal error: a map of more than 23 pairs")
	}
	m.b[m.start] = cborMap<<5 | byte(m.n)
	return m.b
}

// A decoder reads deterministic CBOR and nothing else. After the first fault it
// gives zero values and keeps failed true, so callers check once.
type decoder struct {
	b           []byte
	failed      bool
	user, group string // of the last entry: most entries have the same
}

func (d *decoder) fail() { d.failed, d.b = true, nil }

// head reads an item's head and returns its argument. Longer forms than needed
// are refused.
func (d *decoder) head(major byte) uint64 {
	got, n := d.anyHead()
	if got != major {
		d.fail()
		return 0
	}
	return n
}

func (d *decoder) anyHead() (major byte, n uint64) {
	if len(d.b) == 0 {
		d.fail()
		return 0, 0
	}
	first := d.b[0]
	major, info := first>>5, first&31
	d.b = d.b[1:]
	if info < 24 {
		return major, uint64(info)
	}
	if info > 27 {
		d.fail()
		return 0, 0
	}
	size := 1 << (info - 24)
	if len(d.b) < size {
		d.fail()
		return 0, 0
	}
	for _, c := range d.b[:size] {
		n = n<<8 | uint64(c)
	}
	d.b = d.b[size:]
	smallest := [4]uint64{24, 1 << 8, 1 << 16, 1 << 32}
	if n < smallest[info-24] {
		d.fail()
		return 0, 0
	}
	return major, n
}

// uint reads an unsigned integer of at most limit.
func (d *decoder) uint(limit uint64) uint64 {
	n := d.head(cborUint)
	if n > limit {
		d.fail()
		return 0
	}
	return n
}

// size reads a length or offset: it fits an int64.
func (d *decoder) size() int64 { return int64(d.uint(1<<63 - 1)) }

func (d *decoder) int() int64 {
	major, n := d.anyHead()
	if n > 1<<63-1 || major > cborNeg {
		d.fail()
		return 0
	}
	if major == cborNeg {
		return -1 - int64(n)
	}
	return int64(n)
}

// bytes reads a byte string of at most limit bytes; it shares the input's
// memory.
func (d *decoder) bytes(limit int) []byte { return d.str(cborBytes, limit) }

// exact reads a byte string into all of dst.
func (d *decoder) exact(dst []byte) {
	if b := d.bytes(len(dst)); len(b) == len(dst) {
		copy(dst, b)
		return
	}
	d.fail()
}

func (d *decoder) text(limit int) string {
	b := d.str(cborText, limit)
	if !utf8.Valid(b) {
		d.fail()
		return ""
	}
	return string(b)
}

func (d *decoder) str(major byte, limit int) []byte {
	n := d.head(major)
	if n > uint64(limit) || n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

// array reads the head of an array of at most limit items. Each item takes a
// byte at least, so a count beyond the input is refused before it is believed.
func (d *decoder) array(limit int) int {
	n := d.head(cborArray)
	if n > uint64(limit) || n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

// tuple reads the head of an array of exactly n items.
func (d *decoder) tuple(n int) {
	if d.array(n) != n {
		d.fail()
	}
}

// fields reads a map and calls field for each key, ascending; field reads the
// value, and reports false for a key that it does not know.
func (d *decoder) fields(field func(key uint64) bool) (seen uint64) {
	m := d.openMap()
	for key, ok := d.next(&m); ok; key, ok = d.next(&m) {
		if !field(key) {
			d.fail()
		}
	}
	return m.seen
}

// A mapReader is where a decoder is in a map. Entries are read with it, as a closure for
// each would cost more than the entry.
type mapReader struct {
	left uint64 // pairs to come
	min  uint64 // least key that may come
	seen uint64 // set of keys so far
}

func (d *decoder) openMap() mapReader {
	n := d.head(cborMap)
	if n > 63 {
		d.fail()
		n = 0
	}
	return mapReader{left: n}
}

// next reads the next key. It reports false at the end and after a fault.
func (d *decoder) next(m *mapReader) (key uint64, ok bool) {
	if m.left == 0 || d.failed {
		return 0, false
	}
	key = d.uint(63)
	if d.failed || key < m.min {
		d.fail()
		return 0, false
	}
	m.left, m.min = m.left-1, key+1
	m.seen |= 1 << key
	return key, true
}

// done reports a fault, or bytes that are left over.
func (d *decoder) done() error {
	if d.failed || len(d.b) != 0 {
		return errFormat
	}
	return nil
}

// keyMask returns the set of keys, in the form that fields returns.
func keyMask(keys ...uint64) (m uint64) {
	for _, k := range keys {
		m |= 1 << k
	}
	return m
}
