package app

import (
	"context"

	"coffer/app/repo"
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
		shareContent(&it.entry, &it.first.entry)
	}
	return a.file(it)
}

// shareContent makes e another name of first, which is in the tree already.
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
	if err := in.folder.Add(e); err != nil {
		return err
	}
	if e.Type != repo.TypeFile || e.State == repo.StateUnreadable {
		return nil
	}
	a.count(it)
	if it.news != newsNone && e.Size >= repo.SmallChunk && e.State == repo.StateOK {
		return a.journal.add(recordFile, in.path, e)
	}
	return nil
}

func (a *assembler) count(it *item) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.summary
	s.Files++
	s.Bytes += it.entry.Size
	switch it.news {
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
	if err := a.open[len(a.open)-1].folder.Add(&done.entry); err != nil {
		return err
	}
	if _, known := a.journal.past.folders[done.path]; known || done.path == "" {
		return nil
	}
	return a.journal.add(recordFolder, done.path, &done.entry)
}
