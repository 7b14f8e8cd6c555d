package repo

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"coffer/crypto"
)

// Frame types (docs/format.md, section 3.2).
const (
	frameSegment  = 1
	frameFooter   = 2
	frameTrailer  = 3
	frameIndex    = 4
	frameSnapshot = 5
	frameHead     = 6
)

const trailerSize = 8 + crypto.FrameOverhead

// A Name is the part of an object's name that tells it apart: the first 20
// bytes of the SHA-256 of its stored bytes.
type Name [20]byte

// String returns 40 lower-case hexadecimal digits.
func (n Name) String() string { return hex.EncodeToString(n[:]) }

func packName(n Name) string { return "pack-" + n.String() }
func snapName(n Name) string { return "snap-" + n.String() }

// ParseName reads the form that String writes.
func ParseName(digits string) (Name, bool) { return parseName("snap", "snap-"+digits) }

// parseName returns the Name in an object name of the kind, such as "pack".
func parseName(kind, object string) (n Name, ok bool) {
	digits, ok := cutKind(kind, object)
	if !ok || len(digits) != 40 {
		return n, false
	}
	_, err := hex.Decode(n[:], []byte(digits))
	return n, err == nil && n.String() == digits // upper case is another name at most places
}

func cutKind(kind, object string) (digits string, ok bool) {
	if len(object) <= len(kind)+1 || object[:len(kind)] != kind || object[len(kind)] != '-' {
		return "", false
	}
	return object[len(kind)+1:], true
}

// segmentExtra is the additional data of a segment's frame: its method and raw
// length cannot be changed without the tag noticing.
func segmentExtra(raw uint32, method uint8) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 5), raw), method)
}

// A packBuilder fills one pack in memory. Not for concurrent use.
type packBuilder struct {
	buf      []byte
	sealer   *crypto.Sealer
	opener   *crypto.Opener
	segments []segmentEntry
	table    int    // bytes of the pack table so far
	check    []byte // a segment opened again, to compare
}

// start begins a new pack in the builder's memory.
func (p *packBuilder) start(keys *crypto.Keys, target int) {
	if p.buf == nil {
		p.buf = make([]byte, 0, target+maxChunk+maxChunk/8)
	}
	p.sealer = keys.NewSealer(crypto.KindPack)
	p.opener = p.sealer.Opener()
	header := p.sealer.Header()
	p.buf = append(p.buf[:0], header[:]...)
	p.segments, p.table = nil, 4
}

// full reports whether the pack should go: nothing that is added later may make it larger
// than a reader takes.
func (p *packBuilder) full(target int) bool {
	return len(p.buf)+p.table >= target || p.table >= tableTarget
}

// add seals one segment; plain is what method made of raw bytes. What was
// sealed is opened again and compared: a bad memory cell must not become a
// backup that nobody can restore.
func (p *packBuilder) add(plain []byte, raw uint32, method uint8, chunks []chunkEntry) error {
	frame := crypto.Frame{Type: frameSegment, Number: uint64(len(p.segments))}
	extra := segmentExtra(raw, method)
	at := len(p.buf)
	p.buf = p.sealer.Seal(p.buf, plain, frame, extra)
	var err error
	if p.check, err = p.opener.Open(p.check[:0], p.buf[at:], frame, extra); err != nil || !bytes.Equal(p.check, plain) {
		return fmt.Errorf("compare sealed data: %w: this computer's memory may be faulty", ErrDamaged)
	}
	p.segments = append(p.segments, segmentEntry{uint32(len(p.buf) - at), raw, method, chunks})
	p.table += segmentEntrySize + (len(chunks)-1)*chunkEntrySize
	return nil
}

// finish writes footer and trailer and returns the stored bytes, which stay the
// builder's.
func (p *packBuilder) finish() []byte {
	table := appendTable(make([]byte, 0, p.table+1), p.segments)
	table = pad(table, len(p.buf)+crypto.FrameOverhead+trailerSize)
	p.buf = p.sealer.Seal(p.buf, table, crypto.Frame{Type: frameFooter}, nil)
	trailer := binary.BigEndian.AppendUint32(nil, uint32(len(table)+crypto.FrameOverhead))
	trailer = binary.BigEndian.AppendUint32(trailer, uint32(len(p.segments)))
	p.buf = p.sealer.Seal(p.buf, trailer, crypto.Frame{Type: frameTrailer}, nil)
	return p.buf
}

// parseTrailer returns the length of the footer's frame and the number of
// segments.
func parseTrailer(o *crypto.Opener, sealed []byte) (footer, segments int, err error) {
	plain, err := o.Open(nil, sealed, crypto.Frame{Type: frameTrailer}, nil)
	if err != nil {
		return 0, 0, err
	}
	if len(plain) != 8 {
		return 0, 0, errFormat
	}
	return int(binary.BigEndian.Uint32(plain)), int(binary.BigEndian.Uint32(plain[4:])), nil
}

// parseFooter returns the pack table of a pack of size bytes.
func parseFooter(o *crypto.Opener, sealed []byte, size, segments int) ([]segmentEntry, error) {
	plain, err := o.Open(nil, sealed, crypto.Frame{Type: frameFooter}, nil)
	if err != nil {
		return nil, err
	}
	table, err := unpad(plain, size-len(plain))
	if err != nil {
		return nil, err
	}
	r := tableReader{b: table}
	entries := r.table()
	if r.failed || len(r.b) != 0 || len(entries) != segments {
		return nil, errFormat
	}
	if segmentsEnd(entries)+int64(len(sealed)+trailerSize) != int64(size) {
		return nil, errFormat
	}
	return entries, nil
}

// segmentsEnd returns the offset at which the last segment of a pack ends. A table from
// outside can claim more than 32 bits hold.
func segmentsEnd(entries []segmentEntry) int64 {
	end := int64(crypto.HeaderSize)
	for _, s := range entries {
		end += int64(s.sealed)
	}
	return end
}
