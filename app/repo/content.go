package repo

import (
	"encoding/binary"
	"fmt"

	"coffer/crypto"
)

// How lists of chunks and pages of folders are cut (docs/format.md, sections
// 7.1 and 7.2): by content, so that a change in a huge file or folder stores one
// list or page again and not all.
const (
	listInPlace = 64
	listMin     = 64
	listMax     = 4096
	listMask    = 511
	pageMin     = 16 << 10
	pageMax     = 256 << 10
)

// PutContent returns the content list of chunks, storing lists of lists where
// they are many.
func (b *Bundle) PutContent(ids []crypto.ChunkID) (Content, error) {
	c := Content{IDs: ids}
	for len(c.IDs) > listInPlace {
		var above []crypto.ChunkID
		for rest := c.IDs; len(rest) > 0; {
			n := cutList(rest)
			id, err := b.Put(joinIDs(rest[:n]))
			if err != nil {
				return Content{}, err
			}
			above, rest = append(above, id), rest[n:]
		}
		c = Content{above, c.Depth + 1}
	}
	if c.Depth > maxDepth {
		return Content{}, fmt.Errorf("store content: more than %d levels of lists", maxDepth)
	}
	return c, nil
}

func cutList(ids []crypto.ChunkID) int {
	for i := listMin - 1; i < min(len(ids), listMax); i++ {
		if binary.BigEndian.Uint16(ids[i][30:])&listMask == 0 {
			return i + 1
		}
	}
	return min(len(ids), listMax)
}

func joinIDs(ids []crypto.ChunkID) []byte {
	joined := make([]byte, 0, len(ids)*len(crypto.ChunkID{}))
	for i := range ids {
		joined = append(joined, ids[i][:]...)
	}
	return joined
}

// A Folder collects the entries of one folder and stores them as pages.
type Folder struct {
	b     *Bundle
	page  []byte // entries of the page that is being filled
	n     int
	last  string
	pages []crypto.ChunkID
}

// NewFolder returns an empty folder.
func (b *Bundle) NewFolder() *Folder { return &Folder{b: b} }

// Add appends an entry; names ascend. What a reader would refuse (Entry.Check) is not
// added.
func (f *Folder) Add(e *Entry) error {
	if err := e.Check(); err != nil {
		return fmt.Errorf("add entry to folder: %w", err)
	}
	if e.Name <= f.last {
		return fmt.Errorf("add entry to folder: names do not ascend: %w", errFormat)
	}
	f.last = e.Name
	f.page = e.append(f.page)
	f.n++
	if len(f.page) < pageMin {
		return nil
	}
	if id := f.b.hasher.Sum([]byte(e.Name)); id[31] != 0 && len(f.page) < pageMax {
		return nil
	}
	return f.endPage()
}

func (f *Folder) endPage() error {
	id, err := f.b.Put(appendPage(f.n, f.page))
	if err != nil {
		return err
	}
	f.pages = append(f.pages, id)
	f.page, f.n = f.page[:0], 0
	return nil
}

// End returns the folder's content.
func (f *Folder) End() (Content, error) {
	if f.n > 0 {
		if err := f.endPage(); err != nil {
			return Content{}, err
		}
	}
	return f.b.PutContent(f.pages)
}
