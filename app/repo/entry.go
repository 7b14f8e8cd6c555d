package repo

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"coffer/crypto"
)

// A Type says what an entry is.
type Type uint8

// The types of entries.
const (
	TypeFile    Type = 0
	TypeFolder  Type = 1
	TypeSymlink Type = 2
)

// A State says how well a source could be read.
type State uint8

// The states of an entry.
const (
	StateOK         State = 0
	StateChanged    State = 1 // the file changed while it was read
	StatePartly     State = 2 // ranges could not be read
	StateUnreadable State = 3 // nothing could be read
)

// A Time is seconds since 1970 and nanoseconds, 0 to 999,999,999. Zero stands
// for unknown where a time is optional.
type Time struct {
	Sec  int64
	Nsec uint32
}

// A Range is a part of a file.
type Range struct{ Offset, Length int64 }

// An Xattr is an extended attribute.
type Xattr struct{ Name, Value string }

// A Content is a content list: the chunks of a file or of a folder's pages
// (docs/format.md, section 7.1).
type Content struct {
	IDs   []crypto.ChunkID
	Depth int
}

// An Entry is a file, folder or symbolic link in a tree (docs/format.md,
// section 7.3). Strings are raw bytes, as the system has them.
type Entry struct {
	Name       string
	Type       Type
	Mode       uint32 // permission, set-user-ID, set-group-ID and sticky bits
	ModTime    Time
	ChangeTime Time
	BirthTime  Time
	Inode      uint64
	Device     uint64 // only of files with several hard links
	UID, GID   uint32
	User       string
	Group      string
	Size       int64
	Content    Content
	Holes      []Range
	Link       string
	Xattrs     []Xattr
	State      State
	Reason     string
	Unreadable []Range
	WinAttrs   uint32
	Flags      uint32
}

// Keys of an entry's map.
const (
	keyName = 1 + iota
	keyType
	keyMode
	keyModTime
	keyChangeTime
	keyInode
	keyUID
	keyGID
	keyUser
	keyGroup
	keySize
	keyIDs
	keyDepth
	keyHoles
	keyLink
	keyDevice
	keyXattrs
	keyState
	keyReason
	keyUnreadable
	keyWinAttrs
	keyFlags
	keyBirthTime
)

// append writes the entry as CBOR.
func (e *Entry) append(b []byte) []byte {
	m := newMap(b)
	m.bytes(keyName, e.Name)
	m.uint(keyType, uint64(e.Type))
	m.uint(keyMode, uint64(e.Mode))
	m.time(keyModTime, e.ModTime)
	m.optTime(keyChangeTime, e.ChangeTime)
	m.optUint(keyInode, e.Inode)
	m.uint(keyUID, uint64(e.UID))
	m.uint(keyGID, uint64(e.GID))
	m.optBytes(keyUser, e.User)
	m.optBytes(keyGroup, e.Group)
	if e.Type == TypeFile {
		m.uint(keySize, uint64(e.Size))
	}
	m.content(keyIDs, keyDepth, e.Content)
	m.optRanges(keyHoles, e.Holes)
	if e.Type == TypeSymlink {
		m.bytes(keyLink, e.Link)
	}
	m.optUint(keyDevice, e.Device)
	m.optXattrs(e.Xattrs)
	m.optUint(keyState, uint64(e.State))
	if e.Reason != "" {
		m.text(keyReason, e.Reason)
	}
	m.optRanges(keyUnreadable, e.Unreadable)
	m.optUint(keyWinAttrs, uint64(e.WinAttrs))
	m.optUint(keyFlags, uint64(e.Flags))
	m.optTime(keyBirthTime, e.BirthTime)
	return m.end()
}

func appendTime(b []byte, t Time) []byte {
	b = appendInt(appendCBOR(b, cborArray, 2), t.Sec)
	return appendUint(b, uint64(t.Nsec))
}

func (m *mapWriter) time(k uint64, t Time) { m.key(k); m.b = appendTime(m.b, t) }

func (m *mapWriter) optTime(k uint64, t Time) {
	if t != (Time{}) {
		m.time(k, t)
	}
}

func (m *mapWriter) content(kIDs, kDepth uint64, c Content) {
	if len(c.IDs) == 0 {
		return
	}
	m.key(kIDs)
	m.b = appendCBOR(m.b, cborBytes, uint64(len(c.IDs)*len(c.IDs[0])))
	for i := range c.IDs {
		m.b = append(m.b, c.IDs[i][:]...)
	}
	m.optUint(kDepth, uint64(c.Depth))
}

func (m *mapWriter) optRanges(k uint64, rs []Range) {
	if len(rs) == 0 {
		return
	}
	m.key(k)
	m.b = appendCBOR(m.b, cborArray, uint64(len(rs)))
	for _, r := range rs {
		m.b = appendUint(appendCBOR(m.b, cborArray, 2), uint64(r.Offset))
		m.b = appendUint(m.b, uint64(r.Length))
	}
}

func (m *mapWriter) optXattrs(xs []Xattr) {
	if len(xs) == 0 {
		return
	}
	m.key(keyXattrs)
	m.b = appendCBOR(m.b, cborArray, uint64(len(xs)))
	for _, x := range xs {
		m.b = appendBytes(appendCBOR(m.b, cborArray, 2), x.Name)
		m.b = appendBytes(m.b, x.Value)
	}
}

// entry reads one entry into e, which is empty. A parser that accepts only what append
// writes needs no second opinion: tests hold the two against each other.
func (d *decoder) entry(e *Entry) {
	m := d.openMap()
	for key, ok := d.next(&m); ok; key, ok = d.next(&m) {
		if !d.field(key, e) {
			d.fail()
		}
	}
	if !d.failed && (m.seen&required[e.Type] != required[e.Type] || m.seen&^permitted[e.Type] != 0 || !e.coherent()) {
		d.fail()
	}
}

func (d *decoder) field(key uint64, e *Entry) bool {
	switch key {
	case keyName:
		e.Name = string(d.bytes(maxName))
	case keyType:
		e.Type = Type(d.uint(uint64(TypeSymlink)))
	case keyMode:
		e.Mode = uint32(d.uint(maxMode))
	case keyModTime:
		e.ModTime = d.time()
	case keyChangeTime:
		e.ChangeTime = d.optTime()
	case keyInode:
		e.Inode = d.optUint(1<<64 - 1)
	case keyUID:
		e.UID = uint32(d.uint(1<<32 - 1))
	case keyGID:
		e.GID = uint32(d.uint(1<<32 - 1))
	case keyUser:
		e.User = d.repeated(&d.user)
	case keyGroup:
		e.Group = d.repeated(&d.group)
	case keySize:
		e.Size = d.size()
	case keyIDs:
		e.Content.IDs = d.ids()
	case keyDepth:
		e.Content.Depth = int(d.optUint(maxDepth))
	default:
		return d.rareField(key, e)
	}
	return true
}

func (d *decoder) rareField(key uint64, e *Entry) bool {
	switch key {
	case keyHoles:
		e.Holes = d.ranges()
	case keyLink:
		e.Link = string(d.bytes(maxLink))
	case keyDevice:
		e.Device = d.optUint(1<<64 - 1)
	case keyXattrs:
		e.Xattrs = d.xattrs()
	case keyState:
		e.State = State(d.optUint(uint64(StateUnreadable)))
	case keyReason:
		if e.Reason = d.text(maxName); e.Reason == "" {
			d.fail()
		}
	case keyUnreadable:
		e.Unreadable = d.ranges()
	case keyWinAttrs:
		e.WinAttrs = uint32(d.optUint(1<<32 - 1))
	case keyFlags:
		e.Flags = uint32(d.optUint(1<<32 - 1))
	case keyBirthTime:
		e.BirthTime = d.optTime()
	default:
		return false
	}
	return true
}

func (d *decoder) time() (t Time) {
	d.tuple(2)
	t.Sec = d.int()
	t.Nsec = uint32(d.uint(maxNsec))
	return t
}

// The opt forms refuse the zero value, which is written by leaving it out.
func (d *decoder) optTime() Time {
	t := d.time()
	if t == (Time{}) {
		d.fail()
	}
	return t
}

func (d *decoder) optUint(limit uint64) uint64 {
	n := d.uint(limit)
	if n == 0 {
		d.fail()
	}
	return n
}

// repeated reads a string that is seldom another than last, which it shares then.
func (d *decoder) repeated(last *string) string {
	b := d.bytes(maxName)
	if len(b) == 0 {
		d.fail()
	}
	if string(b) != *last {
		*last = string(b)
	}
	return *last
}

// ids reads joined chunk ids, at least one.
func (d *decoder) ids() []crypto.ChunkID {
	ids, err := splitIDs(d.bytes(maxChunk))
	if err != nil {
		d.fail()
	}
	return ids
}

func splitIDs(joined []byte) ([]crypto.ChunkID, error) {
	const size = len(crypto.ChunkID{})
	if len(joined) == 0 || len(joined)%size != 0 {
		return nil, errFormat
	}
	ids := make([]crypto.ChunkID, len(joined)/size)
	for i := range ids {
		copy(ids[i][:], joined[i*size:])
	}
	return ids, nil
}

// ranges reads ranges that ascend and do not touch, at least one.
func (d *decoder) ranges() []Range {
	n := d.array(maxHoles)
	rs := make([]Range, 0, n)
	for range n {
		d.tuple(2)
		rs = append(rs, Range{d.size(), d.size()})
	}
	if len(rs) == 0 || !apart(rs) {
		d.fail()
	}
	return rs
}

// apart reports whether ranges ascend and do not touch.
func apart(rs []Range) bool {
	last := int64(-1)
	for _, r := range rs {
		if r.Offset <= last || r.Length <= 0 || r.Length > math.MaxInt64-r.Offset {
			return false
		}
		last = r.Offset + r.Length
	}
	return true
}

func (d *decoder) xattrs() []Xattr {
	n := d.array(maxXattrs)
	xs := make([]Xattr, 0, min(n, 64))
	for range n {
		d.tuple(2)
		xs = append(xs, Xattr{string(d.bytes(maxName)), string(d.bytes(maxXattrs))})
		if d.failed {
			return nil
		}
	}
	if len(xs) == 0 || !validXattrs(xs) {
		d.fail()
	}
	return xs
}

// validXattrs reports whether attributes ascend by name and are not too large.
func validXattrs(xs []Xattr) bool {
	total, last := 0, ""
	for _, x := range xs {
		total += len(x.Name) + len(x.Value)
		if x.Name <= last || len(x.Name) > maxName || total > maxXattrs {
			return false
		}
		last = x.Name
	}
	return true
}

var (
	required = [3]uint64{
		TypeFile:    keyMask(keyName, keyType, keyMode, keyModTime, keyUID, keyGID, keySize),
		TypeFolder:  keyMask(keyName, keyType, keyMode, keyModTime, keyUID, keyGID),
		TypeSymlink: keyMask(keyName, keyType, keyMode, keyModTime, keyUID, keyGID, keyLink),
	}
	optional  = keyMask(keyChangeTime, keyInode, keyUser, keyGroup, keyXattrs, keyWinAttrs, keyFlags, keyBirthTime)
	permitted = [3]uint64{
		TypeFile: required[TypeFile] | optional | keyMask(keyIDs, keyDepth, keyHoles, keyDevice, keyState, keyReason,
			keyUnreadable),
		TypeFolder:  required[TypeFolder] | optional | keyMask(keyIDs, keyDepth, keyState, keyReason),
		TypeSymlink: required[TypeSymlink] | optional,
	}
)

// coherent reports whether the fields of an entry hold together.
func (e *Entry) coherent() bool {
	if !ValidName(e.Name) || e.Content.Depth > 0 && len(e.Content.IDs) == 0 {
		return false
	}
	if (e.State >= StatePartly) != (e.Reason != "") || (e.State == StatePartly && e.Type == TypeFile) != (len(e.Unreadable) > 0) {
		return false
	}
	if e.State == StateUnreadable && len(e.Content.IDs)+len(e.Holes) > 0 {
		return false
	}
	if n := len(e.Holes); n > 0 && e.Holes[n-1].Offset+e.Holes[n-1].Length > e.Size {
		return false
	}
	return within(e.Unreadable, e.Holes)
}

// Check reports why a reader would refuse the entry, or nil: one entry that does not parse
// takes its whole page of a folder with it. Folder.Add refuses such an entry; who would
// rather store less of it asks before.
func (e *Entry) Check() error {
	switch {
	case e.Type > TypeSymlink || e.Mode > maxMode:
		return fmt.Errorf("type or mode: %w", errFormat)
	case max(e.ModTime.Nsec, e.ChangeTime.Nsec, e.BirthTime.Nsec) > maxNsec:
		return fmt.Errorf("time: %w", errFormat)
	case max(len(e.User), len(e.Group), len(e.Reason)) > maxName || !utf8.ValidString(e.Reason):
		return fmt.Errorf("user, group or reason: %w", errFormat)
	case e.State > StateUnreadable || e.Content.Depth < 0 || e.Content.Depth > maxDepth || len(e.Content.IDs)*len(crypto.ChunkID{}) > maxChunk:
		return fmt.Errorf("state or content: %w", errFormat)
	case max(len(e.Holes), len(e.Unreadable)) > maxHoles || !apart(e.Holes) || !apart(e.Unreadable):
		return fmt.Errorf("holes: %w", errFormat)
	case !validXattrs(e.Xattrs):
		return fmt.Errorf("extended attributes: %w", errFormat)
	case len(e.Link) > maxLink || e.Type != TypeSymlink && e.Link != "":
		return fmt.Errorf("link target: %w", errFormat)
	case e.Type != TypeFile && (e.Size != 0 || e.Device != 0 || len(e.Holes) > 0) || e.Size < 0:
		return fmt.Errorf("size, device or holes: %w", errFormat)
	case e.Type == TypeSymlink && (e.State != StateOK || len(e.Content.IDs) > 0):
		return fmt.Errorf("state or content of a link: %w", errFormat)
	case !e.coherent():
		return fmt.Errorf("fields that contradict each other: %w", errFormat)
	}
	return nil
}

// within reports whether each range of inner lies in one of outer.
func within(inner, outer []Range) bool {
	for _, r := range inner {
		for len(outer) > 0 && outer[0].Offset+outer[0].Length <= r.Offset {
			outer = outer[1:]
		}
		if len(outer) == 0 || r.Offset < outer[0].Offset || r.Offset+r.Length > outer[0].Offset+outer[0].Length {
			return false
		}
	}
	return true
}

// ValidName reports whether name can be the name of an entry: a restore must not be led
// out of its folder by one.
func ValidName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= maxName && !strings.ContainsAny(name, "/\x00")
}

// HoleBytes returns the bytes of a file that are not in its data.
func (e *Entry) HoleBytes() (n int64) {
	for _, h := range e.Holes {
		n += h.Length
	}
	return n
}

// parsePage returns the entries of a page of a folder. after is the last name
// of the page before it, or empty.
func parsePage(page []byte, after string) ([]Entry, error) {
	d := decoder{b: page}
	n := d.array(maxChunk)
	entries := make([]Entry, 0, min(n, 1<<10))
	for range n {
		entries = append(entries, Entry{})
		e := &entries[len(entries)-1]
		if d.entry(e); d.failed || e.Name <= after {
			return nil, errFormat
		}
		after = e.Name
	}
	if len(entries) == 0 {
		return nil, errFormat
	}
	return entries, d.done()
}

// appendPage writes entries, already in the form of CBOR, as a page.
func appendPage(n int, entries []byte) []byte {
	return append(appendCBOR(make([]byte, 0, len(entries)+5), cborArray, uint64(n)), entries...)
}

// Equal reports whether two entries are the same, content and all.
func (e *Entry) Equal(o *Entry) bool { return bytes.Equal(e.append(nil), o.append(nil)) }

// AppendCBOR appends the entry in the form of pages to b.
func (e *Entry) AppendCBOR(b []byte) []byte { return e.append(b) }

// ParseEntry reads one entry, and nothing after it.
func ParseEntry(b []byte) (Entry, error) {
	d := decoder{b: b}
	var e Entry
	d.entry(&e)
	if err := d.done(); err != nil {
		return Entry{}, err
	}
	return e, nil
}
