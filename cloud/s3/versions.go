package s3

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"

	"coffer/cloud"
)

// maxVersions is how many versions of one key are kept in memory: the oldest.
// Who covers an object comes after who put it, and cannot make older ones.
const maxVersions = 1000

// A history is what a bucket with versioning has of one key.
type history struct {
	versions []listed // with bytes, the newest first
	markers  []listed
	hidden   bool // a delete marker is on top
	dropped  bool // there were more than maxVersions
}

func (h *history) add(k listed) {
	h.hidden = h.hidden || k.marker && k.latest
	list := &h.versions
	if k.marker {
		list = &h.markers
	}
	*list = append(*list, k)
	if len(*list) > 2*maxVersions {
		*list = slices.Delete(*list, 0, maxVersions)
		h.dropped = true
	}
}

// current is the version on top, if one with bytes is.
func (h *history) current() (listed, bool) {
	for _, v := range h.versions {
		if v.latest {
			return v, true
		}
	}
	return listed{}, false
}

// find returns the object of a name: in a bucket with versions that with the
// right bytes, wherever it is. If none has them it is the current one, and who
// opens it will know. None: ErrNotFound.
func (d *Driver) find(ctx context.Context, name string) (entry, error) {
	p, err := d.enter(ctx)
	if err != nil {
		return entry{}, err
	}
	if !p.versioned() {
		return d.stat(ctx, name, "")
	}
	if d.isHidden(name) {
		return entry{}, errHidden
	}
	if version := d.pinned(name); version != "" {
		e, err := d.stat(ctx, name, version)
		if !isAbsent(err) {
			return e, err
		}
		d.unpin(name)
	}
	now, err := d.stat(ctx, name, "")
	if err == nil && named(name, now.sum) && !d.isDoubted(name) {
		d.pin(name, now.version)
		return now, nil
	}
	if err != nil && !isAbsent(err) {
		return entry{}, err
	}
	h, unknown := d.history(ctx, name)
	if isUnknown(unknown) && err == nil {
		return now, nil // these keys may not look below
	}
	if unknown != nil {
		return entry{}, unknown
	}
	return d.choose(ctx, name, h)
}

// choose picks the version of a name with the right bytes.
func (d *Driver) choose(ctx context.Context, name string, h *history) (entry, error) {
	current, visible := h.current()
	promised := !named(name, "")
	if promised && (len(h.versions) > 1 || !visible) {
		for _, v := range slices.Backward(h.versions) { // the oldest first: it nearly always is
			e, right, err := d.try(ctx, name, v)
			if err != nil {
				return entry{}, err
			}
			if right {
				d.pin(name, v.version)
				return e, nil
			}
		}
	}
	if !visible {
		return entry{}, fmt.Errorf("%w in the bucket", cloud.ErrNotFound)
	}
	return entry{version: current.version, size: current.size}, nil
}

// try reports whether a version has the bytes that the name promises: as the
// server says, or else by reading it.
func (d *Driver) try(ctx context.Context, name string, v listed) (e entry, right bool, err error) {
	e, err = d.stat(ctx, name, v.version)
	if isAbsent(err) {
		return entry{}, false, nil // removed since
	}
	if err != nil {
		return entry{}, false, err
	}
	if e.sum == "" || d.isDoubted(name) {
		sum, _, err := d.digest(ctx, name, v.version, -1)
		if isAbsent(err) {
			return entry{}, false, nil
		}
		if err != nil {
			return entry{}, false, fmt.Errorf("read version: %w", err)
		}
		e.sum = hex.EncodeToString(sum[:])
	}
	e.version = v.version
	return e, named(name, e.sum), nil
}

// history lists the versions of one name.
func (d *Driver) history(ctx context.Context, name string) (*history, error) {
	h := &history{}
	err := d.eachHistory(ctx, d.key(name), func(key string, of *history) (bool, error) {
		if key == d.key(name) {
			h = of
		}
		return key != d.key(name), nil
	})
	return h, err
}

// eachHistory lists the keys that begin with prefix, with all their versions.
func (d *Driver) eachHistory(ctx context.Context, prefix string, f func(key string, h *history) (bool, error)) error {
	query := url.Values{"prefix": {prefix}, "delimiter": {"/"}, "encoding-type": {"url"}, "versions": {""}}
	open := map[string]*history{} // of keys that may go on
	enough := false
	flush := func(except string) error {
		for key, h := range open {
			if enough || key == except {
				continue
			}
			more, err := f(key, h)
			if err != nil {
				return err
			}
			enough = !more
			delete(open, key)
		}
		return nil
	}
	err := d.eachPage(ctx, query, func(keys []listed, doc *page) (bool, error) {
		for _, k := range keys {
			if open[k.key] == nil {
				open[k.key] = &history{}
			}
			open[k.key].add(k)
		}
		last := ""
		if doc.IsTruncated {
			last, _ = doc.plain(doc.NextKeyMarker) // its versions may go on
		}
		err := flush(last)
		return !enough, err
	})
	if err != nil || enough {
		return err
	}
	return flush("")
}

// eachRecovered is a listing of what can be had, whatever somebody deleted or
// overwrote.
func (d *Driver) eachRecovered(ctx context.Context, prefix string, show func(cloud.Object) bool) error {
	return d.eachHistory(ctx, d.key(prefix), func(key string, h *history) (bool, error) {
		name, ours := d.nameOf(key, prefix)
		if !ours || len(h.versions) == 0 || d.isHidden(name) {
			return true, nil
		}
		e, err := d.choose(ctx, name, h)
		if isAbsent(err) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		return show(cloud.Object{Name: name, Size: e.size}), nil
	})
}
