package repo

import (
	"context"
	"errors"
	"fmt"

	"coffer/crypto"
)

// folder looks at all entries below a content, and reports whether they are whole. Pages
// that were whole in another snapshot, or elsewhere, are not looked at again.
func (c *checker) folder(ctx context.Context, content Content, path string, depth int) (whole bool, err error) {
	if depth > MaxFolders {
		return false, c.need(path, "", errFormat)
	}
	whole = true
	last := ""
	for id, err := range c.repo.IDs(ctx, content) {
		if err != nil {
			return false, c.need(path, "", err)
		}
		p, err := c.page(ctx, id, path, depth)
		if err != nil {
			return false, err
		}
		if p == nil {
			whole = false
			continue
		}
		if p.first <= last {
			return false, c.need(path, "", fmt.Errorf("%w: names of a folder do not ascend", ErrDamaged))
		}
		last = p.last
		whole = whole && p.whole
	}
	return whole, nil
}

// page looks at the entries of one page; nil when it cannot be had.
func (c *checker) page(ctx context.Context, id crypto.ChunkID, path string, depth int) (*pageState, error) {
	p := c.pages[id]
	if p != nil && (p.whole || p.visits >= maxVisits) {
		return p, nil
	}
	if object, lost := c.bad[id]; lost {
		return nil, c.need(path, object, nil)
	}
	entries, err := c.repo.page(ctx, id, "")
	if err != nil {
		return nil, c.need(path, "", err)
	}
	if p == nil {
		p = &pageState{first: entries[0].Name, last: entries[len(entries)-1].Name}
		c.pages[id] = p
	}
	p.visits++
	whole := true
	for i := range entries {
		ok, err := c.entry(ctx, &entries[i], path, depth)
		if err != nil {
			return nil, err
		}
		whole = whole && ok
	}
	// A page with trouble below is looked at again: it may lie at another path in
	// another snapshot.
	p.whole = whole
	return p, nil
}

// entry reports whether all that the entry needs is there.
func (c *checker) entry(ctx context.Context, e *Entry, path string, depth int) (whole bool, err error) {
	path += "/" + e.Name
	if e.Type == TypeFolder {
		return c.folder(ctx, e.Content, path, depth+1)
	}
	whole = true
	size := e.HoleBytes()
	for id, err := range c.repo.IDs(ctx, e.Content) {
		if err != nil {
			return false, c.need(path, "", err)
		}
		at, err := c.repo.Locate(id)
		object, lost := c.bad[id]
		if lost || err != nil {
			whole = false
			if err := c.need(path, object, err); err != nil {
				return false, err
			}
		}
		size += int64(at.Length)
	}
	if whole && size != e.Size && e.State != StateUnreadable {
		return false, c.need(path, "", fmt.Errorf("%w: its chunks do not add up to its size", ErrDamaged))
	}
	return whole, nil
}

// need notes that path needs an object that is in trouble. Other trouble than that is
// returned.
func (c *checker) need(path, object string, err error) error {
	var oe *ObjectError
	ofObject := errors.As(err, &oe) && isReadError(err)
	if err != nil && !ofObject && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrDamaged) && !errors.Is(err, errFormat) {
		return err
	}
	if object == "" && ofObject {
		object = oe.Object
	}
	if path == "" {
		path = "/" // the root itself
	}
	if c.paths[object] == nil {
		c.paths[object] = map[string]bool{}
	}
	if len(c.paths[object]) < maxPaths {
		c.paths[object][path] = true
	}
	reason := "is damaged"
	if object == "" {
		reason = "data that no object holds"
	}
	c.tell(object, reason)
	return nil
}
