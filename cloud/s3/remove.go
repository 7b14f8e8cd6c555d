package s3

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"coffer/cloud"
)

// Delete implements [cloud.Driver]. In a bucket with versions it removes all of
// them; those that are locked it hides below a delete marker, and for this driver
// the object is gone.
func (d *Driver) Delete(ctx context.Context, name string) error {
	p, err := d.enter(ctx)
	if err != nil {
		return err
	}
	key := d.key(name)
	if !p.versioned() {
		return d.removeKey(ctx, key, "")
	}
	defer d.unpin(name)
	for {
		h, err := d.history(ctx, name)
		if isUnknown(err) { // these keys may not look below
			d.hide(name, true)
			return d.removeKey(ctx, key, "")
		}
		if err != nil {
			return err
		}
		removed, kept, err := d.removeVersions(ctx, key, h.versions)
		if err != nil {
			return err
		}
		switch {
		case h.dropped && removed > 0:
			continue // there are more
		case !kept:
			_, _, err := d.removeVersions(ctx, key, h.markers)
			return err
		case !h.hidden:
			if err := d.removeKey(ctx, key, ""); err != nil {
				return fmt.Errorf("hide object: %w", err)
			}
		}
		d.hide(name, true)
		return nil
	}
}

// reveal takes the delete markers off a name, if it is hidden.
func (d *Driver) reveal(ctx context.Context, name string) error {
	p, err := d.enter(ctx)
	if err != nil || !p.versioned() {
		return err
	}
	if _, err := d.stat(ctx, name, ""); !isAbsent(err) {
		return err
	}
	h, err := d.history(ctx, name)
	if err != nil {
		return err
	}
	_, kept, err := d.removeVersions(ctx, d.key(name), h.markers)
	if err == nil && kept {
		err = fmt.Errorf("remove delete marker: %w", cloud.ErrDenied)
	}
	return err
}

// removeVersions removes what may be removed.
func (d *Driver) removeVersions(ctx context.Context, key string, versions []listed) (removed int, kept bool, err error) {
	for _, v := range versions {
		err := d.removeKey(ctx, key, v.version)
		switch {
		case err == nil:
			removed++
		case isUnknown(err): // a lock, or no right to; refusals have many words
			kept = true
		default:
			return removed, kept, err
		}
	}
	return removed, kept, nil
}

// removeKey deletes one version of a key, or ("") the key. That it is absent is
// no error.
func (d *Driver) removeKey(ctx context.Context, key, version string) error {
	err := d.with(ctx, func(ctx context.Context, p *place, n *note) error {
		err := p.core.RemoveObject(ctx, d.at.bucket, key, minio.RemoveObjectOptions{VersionID: version})
		if n.status/100 == 2 {
			return nil // the library insists on 204
		}
		return err
	})
	if errors.Is(err, cloud.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

// Maintain implements [cloud.Maintainer]. It removes what a probe left that was
// interrupted more than a day ago, and delete markers of ours that hide nothing.
// Hidden objects stay: nobody can tell who hid them. Uploads in parts are never
// ours, and stay too.
func (d *Driver) Maintain(ctx context.Context) (tidied int, err error) {
	p, err := d.enter(ctx)
	if err != nil {
		return 0, err
	}
	if !p.versioned() {
		var left []string
		err := d.eachKey(ctx, probePrefix, func(k listed) bool {
			if d.isOldProbe(k.key) {
				left = append(left, k.key)
			}
			return true
		})
		for _, key := range left {
			if err == nil {
				err = d.removeKey(ctx, key, "")
				tidied++
			}
		}
		return tidied, err
	}
	err = d.eachHistory(ctx, d.key(""), func(key string, h *history) (bool, error) {
		_, ours := d.nameOf(key, "")
		switch probe := d.isOldProbe(key); {
		case probe:
			removed, kept, err := d.removeVersions(ctx, key, h.versions)
			tidied += removed
			if err != nil || kept {
				return true, err
			}
		case !ours || len(h.versions) > 0 || h.dropped:
			return true, nil
		}
		removed, _, err := d.removeVersions(ctx, key, h.markers)
		tidied += removed
		return true, err
	})
	return tidied, err
}

// isOldProbe reports whether the key is that of a probe of more than a day ago.
func (d *Driver) isOldProbe(key string) bool {
	stamp, ok := strings.CutPrefix(key, d.key(probePrefix))
	if !ok {
		return false
	}
	nanos, err := strconv.ParseInt(stamp, 36, 64)
	return err == nil && time.Since(time.Unix(0, nanos)) > 24*time.Hour
}
