package app

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"coffer/app/repo"
	"coffer/vault"
)

// An anchor is the newest snapshot of each device in each place, as the devices have told
// the vault, which keeps it sealed. A place that is asked by a computer which never saw it
// can show any old state of the backup, and all of it will verify; but it cannot reach what
// the vault keeps.
//
// Its bytes: 0x01, entries (2), the entries, zeros up to a multiple of 256. An entry is
// place (8), device (16), name of the snapshot (20), sequence (8), generation of the head
// (8), seconds since 1970 (8), length of the computer's name (1), the name. Entries stand
// newest first, then by place and device; a place and a device have one.
type anchor []anchorEntry

type anchorEntry struct {
	place    placeTag
	device   repo.DeviceID
	snapshot repo.Name
	sequence uint64 // of the snapshot, from 1
	head     uint64 // generation of the place's head then
	at       int64  // when the snapshot was begun, seconds since 1970
	computer string // for people: at most 48 bytes
}

// A placeTag names a place as one computer writes it. Another computer may reach the same
// place by another name: see missing.
type placeTag [8]byte

func tagOf(e placeEntry) (t placeTag) {
	sum := sha256.Sum256([]byte("coffer/1/place-of-anchor\x00" + e.Kind + "\x00" + e.Dest))
	copy(t[:], sum[:])
	return t
}

const (
	anchorVersion = 1
	anchorPad     = 256
	entrySize     = 8 + 16 + 20 + 8 + 8 + 8 + 1 // without the name
	maxAnchor     = vault.MaxAnchor / anchorPad * anchorPad
)

var errAnchor = errors.New("app: the anchor is not one")

// encode drops the oldest entries until the rest fits.
func (a anchor) encode() []byte {
	list := slices.Clone(a)
	slices.SortFunc(list, anchorEntry.compare)
	var body []byte
	count := 0
	for _, e := range list {
		if 3+len(body)+entrySize+len(e.computer) > maxAnchor {
			break
		}
		body = e.append(body)
		count++
	}
	out := append(binary.BigEndian.AppendUint16([]byte{anchorVersion}, uint16(count)), body...)
	return append(out, make([]byte, -len(out)&(anchorPad-1))...)
}

func (e anchorEntry) append(b []byte) []byte {
	b = append(b, e.place[:]...)
	b = append(b, e.device[:]...)
	b = append(b, e.snapshot[:]...)
	b = binary.BigEndian.AppendUint64(b, e.sequence)
	b = binary.BigEndian.AppendUint64(b, e.head)
	b = binary.BigEndian.AppendUint64(b, uint64(e.at))
	b = append(b, byte(len(e.computer)))
	return append(b, e.computer...)
}

func (e anchorEntry) compare(o anchorEntry) int {
	return cmp.Or(cmp.Compare(o.at, e.at), bytes.Compare(e.place[:], o.place[:]), bytes.Compare(e.device[:], o.device[:]))
}

func (e anchorEntry) check() bool {
	return e.sequence > 0 && e.at >= 0 && len(e.computer) <= maxComputer && utf8.ValidString(e.computer) &&
		(e.computer == "" || computerName(e.computer) == e.computer)
}

// parseAnchor reads what encode wrote, and nothing else; of nil it makes none. It was
// sealed with the owner's key, so a mistake of ours is all that can be wrong with it.
func parseAnchor(data []byte) (anchor, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) < 3 || len(data) > maxAnchor || data[0] != anchorVersion {
		return nil, errAnchor
	}
	rest := data[3:]
	var list anchor
	for range binary.BigEndian.Uint16(data[1:]) {
		var e anchorEntry
		var ok bool
		if e, rest, ok = cutEntry(rest); !ok {
			return nil, errAnchor
		}
		list = append(list, e)
	}
	if !list.isStrict() || !bytes.Equal(list.encode(), data) {
		return nil, errAnchor
	}
	return list, nil
}

func cutEntry(b []byte) (e anchorEntry, rest []byte, ok bool) {
	if len(b) < entrySize || len(b) < entrySize+int(b[entrySize-1]) {
		return e, nil, false
	}
	end := entrySize + int(b[entrySize-1])
	copy(e.place[:], b)
	copy(e.device[:], b[8:])
	copy(e.snapshot[:], b[24:])
	e.sequence = binary.BigEndian.Uint64(b[44:])
	e.head = binary.BigEndian.Uint64(b[52:])
	e.at = int64(binary.BigEndian.Uint64(b[60:]))
	e.computer = string(b[entrySize:end])
	return e, b[end:], e.check()
}

func (a anchor) isStrict() bool {
	seen := map[anchorEntry]bool{}
	for _, e := range a {
		key := anchorEntry{place: e.place, device: e.device}
		if seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

// with returns the anchor with e in it, unless that is older than what is there.
func (a anchor) with(e anchorEntry) anchor {
	i := slices.IndexFunc(a, func(o anchorEntry) bool { return o.place == e.place && o.device == e.device })
	if i < 0 {
		return append(slices.Clone(a), e)
	}
	out := slices.Clone(a)
	if e.sequence > out[i].sequence {
		e.head = max(e.head, out[i].head)
		out[i] = e
	}
	return out
}

// newest is when the newest snapshot was begun; zero: there is none.
func (a anchor) newest() time.Time {
	if len(a) == 0 {
		return time.Time{}
	}
	return unixTime(slices.MaxFunc(a, func(x, y anchorEntry) int { return cmp.Compare(x.at, y.at) }).at)
}

// shown is what a place shows of its snapshots.
type shown struct {
	tag      placeTag
	sequence map[repo.DeviceID]uint64 // the highest of each device
	head     uint64                   // generation of the newest true head; 0: not to be compared
}

func newShown(e placeEntry, snapshots []*repo.Snapshot, head *repo.Head) shown {
	s := shown{tag: tagOf(e), sequence: map[repo.DeviceID]uint64{}}
	for _, snapshot := range snapshots {
		s.sequence[snapshot.Device] = max(s.sequence[snapshot.Device], snapshot.Sequence)
	}
	if head != nil {
		s.head = head.Generation
	}
	return s
}

func (s shown) has(e anchorEntry) bool { return s.sequence[e.device] >= e.sequence }

// missing returns the entries that a place should show, and does not.
//
// Of a place that some computer knows by this very name all its entries are wanted. One
// that nobody knows so may be any of the others, reached another way, or a copy of one: it
// is enough that it shows all of one of them, or nothing of any.
func (a anchor) missing(s shown) []anchorEntry {
	groups := map[placeTag][]anchorEntry{}
	for _, e := range a {
		groups[e.place] = append(groups[e.place], e)
	}
	if own, ok := groups[s.tag]; ok {
		return slices.DeleteFunc(own, func(e anchorEntry) bool { return s.has(e) && (s.head == 0 || s.head >= e.head) })
	}
	var least []anchorEntry
	for _, group := range groups {
		if !slices.ContainsFunc(group, func(e anchorEntry) bool { return s.sequence[e.device] > 0 }) {
			continue // another place
		}
		lost := slices.DeleteFunc(group, s.has)
		if len(lost) == 0 {
			return nil
		}
		if least == nil || len(lost) < len(least) {
			least = lost
		}
	}
	slices.SortFunc(least, anchorEntry.compare)
	return least
}

// rollback says which newest backup is missing: of entries that are, newest first.
func rollback(missing []anchorEntry) *RollbackError {
	first := slices.MinFunc(missing, anchorEntry.compare)
	e := &RollbackError{Computer: first.computer, At: unixTime(first.at)}
	for _, m := range missing {
		e.Snapshots = append(e.Snapshots, m.snapshot.String())
	}
	return e
}
