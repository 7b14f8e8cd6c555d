package target

import (
	"os/user"
	"strconv"
	"sync"

	"coffer/app/source"
)

// A Meta is what a restore sets besides contents.
//
// Order and safety: the owner first, by name and then by number; then extended
// attributes; then the mode, where set-user-ID and set-group-ID bits are left
// off if the owner could not be set, for they would give away the wrong owner's
// rights; then the times, to the nanosecond; flags last, for some forbid any
// change. What the system does not take is returned as plain words such as
// "owner: permission denied": one of the Lost constants, and where there is one
// a reason.
type Meta struct {
	Mode        uint32 // bits 07777
	ModTime     source.Time
	BirthTime   source.Time // zero: unknown
	UID, GID    uint32      // source.NoID: unknown
	User, Group string      // empty: unknown
	Xattrs      []source.Xattr
	WinAttrs    uint32
	Flags       uint32 // macOS st_flags
}

// What may be lost. LostXattr is followed by the attribute's name.
const (
	LostOwner     = "owner"
	LostSetID     = "set-user-ID and set-group-ID bits"
	LostMode      = "permissions"
	LostXattr     = "extended attribute "
	LostACL       = "access control list"
	LostTime      = "modification time"
	LostBirthTime = "creation time"
	LostFlags     = "flags"
	LostWinAttrs  = "Windows attributes"
)

// MetaOf makes a Meta of what package source says of a file.
func MetaOf(info source.Info, extra source.Extra) Meta {
	return Meta{
		Mode: info.Mode, ModTime: info.ModTime, BirthTime: info.BirthTime,
		UID: info.UID, GID: info.GID, User: extra.User, Group: extra.Group,
		Xattrs: extra.Xattrs, WinAttrs: info.WinAttrs, Flags: info.Flags,
	}
}

// lostBecause joins what was lost with the reason.
func lostBecause(what string, err error) string {
	return what + ": " + Reason(wrap("set", "", err))
}

// aclXattrs are the attributes of Linux that hold ACLs.
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// xattrWord is the plain word for an attribute.
func xattrWord(name string) string {
	if name == aclAccess || name == aclDefault {
		return LostACL
	}
	return LostXattr + strconv.Quote(name)
}

// hasXattr reports whether m sets the attribute.
func (m *Meta) hasXattr(name string) bool {
	for _, x := range m.Xattrs {
		if x.Name == name {
			return true
		}
	}
	return false
}

// ids remembers the numbers of user and group names for one Target: a look-up
// reads /etc/passwd or asks a directory server.
type ids struct {
	mu     sync.Mutex
	users  map[string]uint32 // guarded by mu; NoID: nobody of that name
	groups map[string]uint32 // guarded by mu
}

// owner returns the numbers that m's owner has on this computer: those of the
// names if they are known here, else the numbers themselves. NoID: leave it.
func (o *ids) owner(m *Meta) (uid, gid uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	uid = number(o.users, m.User, m.UID, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	gid = number(o.groups, m.Group, m.GID, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	return uid, gid
}

func number(known map[string]uint32, name string, id uint32, look func(string) (string, error)) uint32 {
	if name == "" || id == source.NoID {
		return id
	}
	n, ok := known[name]
	if !ok {
		n = source.NoID
		if text, err := look(name); err == nil {
			if v, err := strconv.ParseUint(text, 10, 32); err == nil {
				n = uint32(v)
			}
		}
		known[name] = n
	}
	if n == source.NoID {
		return id
	}
	return n
}
