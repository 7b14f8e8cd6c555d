package source

import (
	"os/user"
	"strconv"
	"sync"
)

// owners remembers the names of user and group numbers for one walk: a look-up
// reads /etc/passwd or asks a directory server.
type owners struct {
	mu     sync.RWMutex
	users  map[uint32]string // guarded by mu; empty: nobody of that number
	groups map[uint32]string // guarded by mu
}

func newOwners() *owners {
	return &owners{users: map[uint32]string{}, groups: map[uint32]string{}}
}

func (o *owners) user(id uint32) string {
	return o.name(o.users, id, func(s string) string {
		if u, err := user.LookupId(s); err == nil {
			return u.Username
		}
		return ""
	})
}

func (o *owners) group(id uint32) string {
	return o.name(o.groups, id, func(s string) string {
		if g, err := user.LookupGroupId(s); err == nil {
			return g.Name
		}
		return ""
	})
}

func (o *owners) name(known map[uint32]string, id uint32, look func(string) string) string {
	if id == NoID {
		return ""
	}
	o.mu.RLock()
	name, ok := known[id]
	o.mu.RUnlock()
	if ok {
		return name
	}
	name = look(strconv.FormatUint(uint64(id), 10))
	o.mu.Lock()
	known[id] = name
	o.mu.Unlock()
	return name
}
