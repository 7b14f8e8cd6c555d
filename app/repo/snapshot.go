package repo

import (
	"bytes"

	"coffer/crypto"
)

// A DeviceID names one profile on one computer.
type DeviceID [16]byte

// Seen is the newest snapshot of another device that the writer of a snapshot
// knew.
type Seen struct {
	Device   DeviceID
	Sequence uint64
	Name     Name
}

// A Snapshot is one backup (docs/format.md, section 8).
type Snapshot struct {
	Name           Name // of the stored object; not in its body
	Started, Ended Time
	Device         DeviceID
	Computer       string
	OS             string
	User           string
	Sources        []string // absolute paths, raw bytes, ascending
	Root           Content
	Files          int64
	Folders        int64
	Bytes          int64
	Unreadable     int64
	Sequence       uint64
	Previous       Name // zero with Sequence 1
	Seen           []Seen
	Tool           string
	Exclude        []string
}

const (
	snapStarted = 1 + iota
	snapEnded
	snapDevice
	snapComputer
	snapOS
	snapUser
	snapSources
	snapIDs
	snapDepth
	snapFiles
	snapFolders
	snapBytes
	snapUnreadable
	snapSequence
	snapPrevious
	snapSeen
	snapTool
	snapExclude
)

func (s *Snapshot) body() []byte {
	m := newMap(nil)
	m.time(snapStarted, s.Started)
	m.time(snapEnded, s.Ended)
	m.bytes(snapDevice, string(s.Device[:]))
	m.text(snapComputer, s.Computer)
	m.text(snapOS, s.OS)
	m.text(snapUser, s.User)
	m.key(snapSources)
	m.b = appendCBOR(m.b, cborArray, uint64(len(s.Sources)))
	for _, p := range s.Sources {
		m.b = appendBytes(m.b, p)
	}
	m.content(snapIDs, snapDepth, s.Root)
	m.uint(snapFiles, uint64(s.Files))
	m.uint(snapFolders, uint64(s.Folders))
	m.uint(snapBytes, uint64(s.Bytes))
	m.uint(snapUnreadable, uint64(s.Unreadable))
	m.uint(snapSequence, s.Sequence)
	if s.Previous != (Name{}) {
		m.bytes(snapPrevious, string(s.Previous[:]))
	}
	m.optSeen(s.Seen)
	m.text(snapTool, s.Tool)
	if len(s.Exclude) > 0 {
		m.key(snapExclude)
		m.b = appendCBOR(m.b, cborArray, uint64(len(s.Exclude)))
		for _, x := range s.Exclude {
			m.b = appendText(m.b, x)
		}
	}
	return m.end()
}

func (m *mapWriter) optSeen(seen []Seen) {
	if len(seen) == 0 {
		return
	}
	m.key(snapSeen)
	m.b = appendCBOR(m.b, cborArray, uint64(len(seen)))
	for _, v := range seen {
		m.b = appendBytes(appendCBOR(m.b, cborArray, 3), v.Device[:])
		m.b = appendUint(m.b, v.Sequence)
		m.b = appendBytes(m.b, v.Name[:])
	}
}

const snapText = 4096 // bytes of a text in a snapshot

func parseSnapshot(body []byte) (*Snapshot, error) {
	s := new(Snapshot)
	d := decoder{b: body}
	seen := d.fields(func(key uint64) bool { return d.snapshotField(key, s) })
	need := keyMask(snapStarted, snapEnded, snapDevice, snapComputer, snapOS, snapUser, snapSources, snapFiles,
		snapFolders, snapBytes, snapUnreadable, snapSequence, snapTool)
	first := s.Sequence == 1
	if err := d.done(); err != nil {
		return nil, err
	}
	chained := (seen&keyMask(snapPrevious) == 0) == first
	if seen&need != need || !chained || s.Root.Depth > 0 && len(s.Root.IDs) == 0 {
		return nil, errFormat
	}
	return s, nil
}

func (d *decoder) snapshotField(key uint64, s *Snapshot) bool {
	switch key {
	case snapStarted:
		s.Started = d.time()
	case snapEnded:
		s.Ended = d.time()
	case snapDevice:
		d.exact(s.Device[:])
	case snapComputer:
		s.Computer = d.text(snapText)
	case snapOS:
		s.OS = d.text(snapText)
	case snapUser:
		s.User = d.text(snapText)
	case snapSources:
		s.Sources = d.sources()
	case snapIDs:
		s.Root.IDs = d.ids()
	case snapDepth:
		s.Root.Depth = int(d.optUint(maxDepth))
	case snapFiles:
		s.Files = d.size()
	case snapFolders:
		s.Folders = d.size()
	case snapBytes:
		s.Bytes = d.size()
	case snapUnreadable:
		s.Unreadable = d.size()
	case snapSequence:
		s.Sequence = d.optUint(1<<63 - 1)
	case snapPrevious:
		if d.exact(s.Previous[:]); s.Previous == (Name{}) {
			d.fail()
		}
	case snapSeen:
		s.Seen = d.seen()
	case snapTool:
		s.Tool = d.text(snapText)
	case snapExclude:
		s.Exclude = d.excludes()
	default:
		return false
	}
	return true
}

func (d *decoder) sources() (paths []string) {
	for range d.array(maxSnapshot) {
		p := string(d.bytes(maxSnapshot))
		if d.failed || p == "" || len(paths) > 0 && paths[len(paths)-1] >= p {
			d.fail()
			return nil
		}
		paths = append(paths, p)
	}
	return paths
}

func (d *decoder) seen() (all []Seen) {
	for range d.array(maxSnapshot) {
		var v Seen
		d.tuple(3)
		d.exact(v.Device[:])
		v.Sequence = d.optUint(1<<63 - 1)
		d.exact(v.Name[:])
		if d.failed || len(all) > 0 && bytes.Compare(all[len(all)-1].Device[:], v.Device[:]) >= 0 {
			d.fail()
			return nil
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		d.fail()
	}
	return all
}

func (d *decoder) excludes() (all []string) {
	for range d.array(maxSnapshot) {
		all = append(all, d.text(snapText))
	}
	if len(all) == 0 {
		d.fail()
	}
	return all
}

func sealSnapshot(keys *crypto.Keys, s *Snapshot) []byte {
	return sealBody(keys, crypto.KindSnapshot, frameSnapshot, s.body())
}

func openSnapshot(keys *crypto.Keys, stored []byte) (*Snapshot, error) {
	body, err := openBody(keys, crypto.KindSnapshot, frameSnapshot, stored, maxSnapshot)
	if err != nil {
		return nil, err
	}
	return parseSnapshot(body)
}
