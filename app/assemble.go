package app

import (
	"context"

	"coffer/app/repo"
	"coffer/app/source"
)

// An assembler puts entries into folders, in the order of the scan, which is the
// order of the tree: nothing is kept but the folders that are open.
type assembler struct {
	*backup
	bundle *repo.Bundle
	open   []openFolder // the root first
}

type openFolder struct {
	entry  repo.Entry
	path   string
	folder *repo.Folder
}

// assemble is a stage: it ends when all batches are in the tree, and returns the
// root's content.
func (b *backup) assemble(ctx context.Context) (repo.Content, error) {
	a := &assembler{backup: b, bundle: b.writer.NewTreeBundle()}
	a.open = []openFolder{{folder: a.bundle.NewFolder()}}
	for batch := range b.batches {
		batch.pending.Wait()
		if ctx.Err() != nil {
			continue // readers have ended their jobs without doing them
		}
		for i := range batch.items {
			if err := a.item(&batch.items[i]); err != nil {
				b.fail(err)
				return repo.Content{}, err
			}
		}
		a.journal.flush()
	}
	if ctx.Err() != nil {
		return repo.Content{}, context.Cause(ctx)
	}
	root, err := a.open[0].folder.End()
	if err != nil {
		return repo.Content{}, err
	}
	return root, a.bundle.Flush()
}

func (a *assembler) item(it *item) error {
	switch it.kind {
	case itemEnter:
		a.open = append(a.open, openFolder{it.entry, it.path, a.bundle.NewFolder()})
		return nil
	case itemLeave:
		return a.leave()
	}
	if it.drop {
		return nil
	}
	if it.first != nil {
		a.share(it)
	}
	return a.file(it)
}

// share makes an item another name of its first, which is in the tree already or
// vanished before it was read: this one then is there and was not read.
func (a *assembler) share(it *item) {
	if it.first.drop {
		it.entry.State, it.entry.Reason = repo.StateUnreadable, source.Reason(source.ErrVanished)
	} else {
		shareContent(&it.entry, &it.first.entry)
	}
	a.tell(&it.entry, it.path)
}

func shareContent(e, first *repo.Entry) {
	e.Size, e.Content, e.Holes = first.Size, first.Content, first.Holes
	e.State, e.Reason, e.Unreadable = first.State, first.Reason, first.Unreadable
	e.Device, e.Inode = first.Device, first.Inode
}

func (a *assembler) file(it *item) (err error) {
	e := &it.entry
	if e.Content.Depth == 0 {
		if e.Content, err = a.bundle.PutContent(e.Content.IDs); err != nil {
			return err
		}
	}
	in := &a.open[len(a.open)-1]
	if stored, err := a.add(in, e); !stored {
		return err
	}
	if e.Type != repo.TypeFile || e.State == repo.StateUnreadable {
		return nil
	}
	a.count(it)
	if it.news != newsNone && !it.noted && e.State == repo.StateOK {
		a.journal.add(in.path, e)
	}
	return nil
}

// add puts an entry into a folder. One that the format cannot hold is named and left
// out: it must not keep all others from being backed up.
func (a *assembler) add(in *openFolder, e *repo.Entry) (stored bool, err error) {
	if e.Check() != nil {
		a.problem(ProblemUnreadable, join(in.path, e.Name), "has attributes that cannot be stored")
		return false, nil //nolint:nilerr // it is a problem of this entry, and named
	}
	err = in.folder.Add(e)
	return err == nil, err
}

func (a *assembler) count(it *item) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.summary
	s.Files++
	s.Bytes += it.entry.Size
	news := it.news
	if it.old != nil && sameContent(it.old, &it.entry) && sameMeta(*it.old, it.entry) {
		news = newsNone // it was read, and nothing has changed
	}
	switch news {
	case newsNew:
		s.NewFiles++
	case newsChanged:
		s.ChangedFiles++
	case newsNone:
		s.UnchangedFiles++
	}
}

// leave ends the folder that was entered last.
func (a *assembler) leave() error {
	done := a.open[len(a.open)-1]
	a.open = a.open[:len(a.open)-1]
	content, err := done.folder.End()
	if err != nil {
		return err
	}
	done.entry.Content = content
	a.mu.Lock()
	a.summary.Dirs++
	a.mu.Unlock()
	_, err = a.add(&a.open[len(a.open)-1], &done.entry)
	return err
}
