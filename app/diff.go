package app

import (
	"context"
	"iter"
	"slices"

	"coffer/app/repo"
)

// A Change is one difference between two snapshots.
type Change struct {
	Kind string // one of the Change constants
	Path string
	A, B *EntryInfo // nil where it is not
}

// The kinds of changes.
const (
	ChangeAdded    = "added"
	ChangeRemoved  = "removed"
	ChangeContent  = "changed"
	ChangeMetadata = "metadata"
)

// Diff calls fn for each difference from snapshot refA to refB, in the order of
// paths. Folders that share their pages are not looked into.
func (a *App) Diff(ctx context.Context, refA, refB string, fn func(Change) error) error {
	s, first, err := a.openSnapshot(ctx, refA)
	if err != nil {
		return err
	}
	defer s.close()
	second, err := s.find(ctx, refB)
	if err != nil {
		return err
	}
	d := differ{s, ctx, fn}
	return d.folders(first.Root, second.Root, "/")
}

type differ struct {
	*session
	ctx context.Context
	fn  func(Change) error
}

func (d *differ) folders(a, b repo.Content, dir string) error {
	if contentKey(a) == contentKey(b) {
		return nil
	}
	nextA, stopA := iter.Pull2(d.repo.Folder(d.ctx, a))
	defer stopA()
	nextB, stopB := iter.Pull2(d.repo.Folder(d.ctx, b))
	defer stopB()
	ea, errA, moreA := nextA()
	eb, errB, moreB := nextB()
	for moreA || moreB {
		if errA != nil {
			return errA
		}
		if errB != nil {
			return errB
		}
		var err error
		switch {
		case !moreB || moreA && ea.Name < eb.Name:
			err = d.only(ChangeRemoved, &ea, dir)
			ea, errA, moreA = nextA()
		case !moreA || eb.Name < ea.Name:
			err = d.only(ChangeAdded, &eb, dir)
			eb, errB, moreB = nextB()
		default:
			err = d.both(&ea, &eb, dir)
			ea, errA, moreA = nextA()
			eb, errB, moreB = nextB()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// only tells of an entry that one side has, and of all below it.
func (d *differ) only(kind string, e *repo.Entry, dir string) error {
	info := entryInfo(dir, e)
	c := Change{Kind: kind, Path: info.Path, A: &info}
	if kind == ChangeAdded {
		c.A, c.B = nil, &info
	}
	if err := d.fn(c); err != nil {
		return err
	}
	if e.Type != repo.TypeFolder {
		return nil
	}
	for below, err := range d.repo.Folder(d.ctx, e.Content) {
		if err == nil {
			err = d.only(kind, &below, info.Path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *differ) both(a, b *repo.Entry, dir string) error {
	if a.Type != b.Type {
		if err := d.only(ChangeRemoved, a, dir); err != nil {
			return err
		}
		return d.only(ChangeAdded, b, dir)
	}
	ia, ib := entryInfo(dir, a), entryInfo(dir, b)
	c := Change{Path: ia.Path, A: &ia, B: &ib}
	switch {
	case a.Type != repo.TypeFolder && !sameContent(a, b):
		c.Kind = ChangeContent
	case !sameMeta(*a, *b):
		c.Kind = ChangeMetadata
	}
	if c.Kind != "" {
		if err := d.fn(c); err != nil {
			return err
		}
	}
	if a.Type == repo.TypeFolder {
		return d.folders(a.Content, b.Content, ia.Path)
	}
	return nil
}

// sameContent reports whether two files or links of one type hold the same.
func sameContent(a, b *repo.Entry) bool {
	return a.Size == b.Size && a.Link == b.Link && a.Content.Depth == b.Content.Depth &&
		slices.Equal(a.Content.IDs, b.Content.IDs) && slices.Equal(a.Holes, b.Holes)
}

// sameMeta leaves aside what says nothing to people: inodes, change times, and
// content, which was compared before.
func sameMeta(a, b repo.Entry) bool {
	for _, e := range []*repo.Entry{&a, &b} {
		e.ChangeTime, e.Inode, e.Device, e.Content = repo.Time{}, 0, 0, repo.Content{}
	}
	return a.Equal(&b)
}
