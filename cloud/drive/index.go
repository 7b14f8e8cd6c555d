package drive

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	driveapi "google.golang.org/api/drive/v3"

	"coffer/cloud"
)

const (
	// freshFor is how long a listing is good for: one backup asks for heads,
	// snapshots and indexes in a row, and each listing costs 100 units of quota
	// a page.
	freshFor = time.Minute
	// ownFor is how long what we wrote is believed to be there although listings
	// do not show it. After that another device has deleted it.
	ownFor = time.Hour

	fileFields = "id,name,size,md5Checksum,sha256Checksum,createdTime,trashed,parents"
)

// An entry is one file that holds, or may hold, an object.
type entry struct {
	id, name    string
	size        int64  // bytes
	sha256, md5 string // lower-case hex, by Drive; "" if it did not say
	parent      string
	created     time.Time
	learned     time.Time // when we heard of it
	own         time.Time // when we wrote it; zero: somebody else did
}

// entryOf reads what Drive says about a file, and reports whether it can hold an
// object at all.
func entryOf(f *driveapi.File) (entry, bool) {
	e := entry{
		id: f.Id, name: f.Name, size: f.Size, created: created(f.CreatedTime),
		sha256: strings.ToLower(f.Sha256Checksum), md5: strings.ToLower(f.Md5Checksum), learned: time.Now(),
	}
	if len(f.Parents) > 0 {
		e.parent = f.Parents[0]
	}
	return e, validID(e.id) && cloud.ValidName(e.name) && e.size >= 0 && !f.Trashed
}

// promised reports whether Drive's hash is the one in the name.
func (e entry) promised() bool {
	_, digits, ok := strings.Cut(e.name, "-")
	return ok && digits != "" && strings.HasPrefix(e.sha256, digits)
}

// better orders the files of one name: the object first. See [Driver].
func better(a, b entry) int {
	if a.promised() != b.promised() {
		if a.promised() {
			return -1
		}
		return 1
	}
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.id, b.id))
}

// same reports whether both files have, by Drive, the same bytes.
func same(a, b entry) bool {
	if a.size != b.size {
		return false
	}
	if a.sha256 != "" && b.sha256 != "" {
		return a.sha256 == b.sha256
	}
	return a.md5 != "" && a.md5 == b.md5
}

// holds reports whether the file has the bytes of src, and whether Drive's word
// is enough to tell.
func (e entry) holds(src cloud.Source) (equal, sure bool) {
	if e.size != src.Size() {
		return false, true
	}
	if e.sha256 != "" {
		sum := src.SHA256()
		return e.sha256 == hex.EncodeToString(sum[:]), true
	}
	return false, false
}

// An index knows the files by their names: what listings showed, and on top of
// it what we wrote and deleted, which listings learn late.
type index struct {
	mu       sync.Mutex
	files    map[string][]entry // guarded by mu; by name, the best first
	deleted  map[string]bool    // guarded by mu; ids that are gone: they do not come back
	complete time.Time          // guarded by mu; when the last whole listing began; zero: none
}

func newIndex() index { return index{files: map[string][]entry{}, deleted: map[string]bool{}} }

// learn takes in what Drive says about a file.
func (x *index) learn(e entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.deleted[e.id] {
		return // an old listing
	}
	list := x.files[e.name]
	if i := slices.IndexFunc(list, func(o entry) bool { return o.id == e.id }); i >= 0 {
		if e.own.IsZero() {
			e.own = list[i].own
		}
		list[i] = e
	} else {
		list = append(list, e)
	}
	slices.SortFunc(list, better)
	x.files[e.name] = list
}

// drop forgets a file for good.
func (x *index) drop(name, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.deleted[id] = true
	x.remove(name, func(e entry) bool { return e.id == id })
}

// remove forgets files of a name. The caller holds mu.
func (x *index) remove(name string, which func(entry) bool) {
	list := slices.DeleteFunc(x.files[name], which)
	if len(list) == 0 {
		delete(x.files, name)
		return
	}
	x.files[name] = list
}

// of returns the files of a name, the object first.
func (x *index) of(name string) []entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.files[name])
}

// objects returns the object of each name with the prefix.
func (x *index) objects(prefix string) []cloud.Object {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []cloud.Object
	for name, list := range x.files {
		if strings.HasPrefix(name, prefix) {
			all = append(all, cloud.Object{Name: name, Size: list[0].size})
		}
	}
	return all
}

// listed ends a whole listing that began at that moment: what it did not show,
// and was known before, is gone; our own gets time to appear.
func (x *index) listed(began time.Time, shown map[string]bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name := range x.files {
		x.remove(name, func(e entry) bool {
			return !shown[e.id] && e.learned.Before(began) && began.Sub(e.own) > ownFor
		})
	}
	x.complete = began
}

// isListed reports whether there ever was a whole listing, and whether it is
// fresh.
func (x *index) isListed() (ever, fresh bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.complete.IsZero(), !x.complete.IsZero() && time.Since(x.complete) < freshFor
}

// stale makes the next listing a new one.
func (x *index) stale() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.complete = time.Time{}
}
