package source

import "time"

// NoID is the UID or GID of an Info on a system without numeric owners.
const NoID = ^uint32(0)

// A Type says what kind of thing has a name in a folder.
type Type uint8

// The types of a folder's entries. Links are entries of their own.
const (
	TypeFile Type = iota
	TypeDir
	TypeSymlink
	TypeOther // FIFO, socket, device: Info.Other has the word
)

// String returns one English word.
func (t Type) String() string {
	switch t {
	case TypeFile:
		return "file"
	case TypeDir:
		return "folder"
	case TypeSymlink:
		return "link"
	default:
		return "other"
	}
}

// A Time counts seconds since 1970-01-01 UTC, before it too, and nanoseconds
// 0..999,999,999 forward from that second. Unlike an int64 of nanoseconds it
// holds every date that a disk can hold. The zero Time means unknown where a
// field says so.
type Time struct {
	Sec  int64
	Nsec uint32
}

// IsZero reports whether t is the zero Time.
func (t Time) IsZero() bool { return t == Time{} }

// Time converts t for the standard library, in UTC.
func (t Time) Time() time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// TimeOf is the inverse of [Time.Time].
func TimeOf(t time.Time) Time { return Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())} }

// Before reports whether t is earlier than u. It is for the policy that keeps
// the newer file; whether a file changed is decided by equality.
func (t Time) Before(u Time) bool {
	return t.Sec < u.Sec || t.Sec == u.Sec && t.Nsec < u.Nsec
}

// An Info is what one lstat says.
type Info struct {
	Name       string // raw bytes of the last path element; empty for the Info of a Dir
	Type       Type
	Other      string // for TypeOther: "FIFO", "socket", "device", ...
	Mode       uint32 // bits 07777: permission, set-user-ID, set-group-ID, sticky
	Size       int64  // bytes; of a link, the length of its target
	ModTime    Time
	ChangeTime Time   // of contents or metadata (ctime); cannot be set by programs
	BirthTime  Time   // zero if unknown
	Inode      uint64 // with Device the file's identity; 0 if unknown
	Device     uint64
	Links      uint32
	UID, GID   uint32 // NoID on Windows
	Blocks     int64  // allocated, in units of 512 bytes; fewer than Size says: holes
	WinAttrs   uint32 // FILE_ATTRIBUTE_* on Windows
	Flags      uint32 // st_flags on macOS
}

// Sparse reports whether the file occupies less than its size, so that
// [File.Extents] is worth calling. Small and inline files may say yes and turn
// out to have no holes; compressed ones too.
func (i Info) Sparse() bool { return i.Type == TypeFile && i.Blocks*512 < i.Size }

// Attributes that say that the contents are elsewhere.
const (
	sfDataless             = 0x40000000 // macOS sys/stat.h SF_DATALESS
	attrOffline            = 0x00001000 // Windows FILE_ATTRIBUTE_OFFLINE
	attrRecallOnOpen       = 0x00040000 // FILE_ATTRIBUTE_RECALL_ON_OPEN
	attrRecallOnData       = 0x00400000 // FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS
	windowsPlaceholderBits = attrOffline | attrRecallOnOpen | attrRecallOnData
)

// Placeholder reports whether the contents are kept by a cloud service and
// reading them would download them (iCloud's dataless files, OneDrive's).
func (i Info) Placeholder() bool {
	return i.Flags&sfDataless != 0 || i.WinAttrs&windowsPlaceholderBits != 0
}

// SameFile reports whether a and b are one file under two names, or at two
// times.
func SameFile(a, b Info) bool {
	return a.Inode != 0 && a.Inode == b.Inode && a.Device == b.Device
}

// Changed reports whether a file may have changed between two Infos of it: size,
// times of modification and of change, and inode are compared for equality, not
// order, so that no clock that goes back hides a change. The device is left out:
// snapshots and network folders get a new number at every mount.
func Changed(before, after Info) bool {
	return before.Type != after.Type || before.Size != after.Size ||
		before.ModTime != after.ModTime || before.ChangeTime != after.ChangeTime ||
		before.Inode != after.Inode
}

// An Xattr is one extended attribute. On Linux POSIX ACLs are among them
// (system.posix_acl_access and system.posix_acl_default).
type Xattr struct {
	Name  string
	Value []byte
}

// An Extra is what more system calls say about a file.
type Extra struct {
	User, Group string  // names of UID and GID; empty if this system has none
	Xattrs      []Xattr // sorted by name; nil on Windows and where unsupported
	XattrErr    error   // why some attributes could not be read; those read are there
}

// An Extent is the range of bytes [Off, Off+Len).
type Extent struct {
	Off, Len int64
}
