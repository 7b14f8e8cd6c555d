package app

import (
	"iter"

	"coffer/app/repo"
)

// A layout says where in a file its data lies: chunks hold the data without
// holes, so a chunk may be torn apart by them.
type layout struct {
	holes []repo.Range
	at    int64 // where in the file the next byte of data goes
}

func newLayout(e *repo.Entry) *layout { return &layout{holes: e.Holes} }

// place yields the pieces of the next chunk with their offsets in the file.
func (l *layout) place(chunk []byte) iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		for len(chunk) > 0 {
			n := int64(len(chunk))
			if len(l.holes) > 0 {
				hole := l.holes[0]
				if l.at == hole.Offset {
					l.at, l.holes = hole.Offset+hole.Length, l.holes[1:]
					continue
				}
				n = min(n, hole.Offset-l.at)
			}
			at := l.at
			l.at += n
			if !yield(at, chunk[:n]) {
				return
			}
			chunk = chunk[n:]
		}
	}
}

// skip moves on by n bytes of data and returns the layout as it was before.
func (l *layout) skip(n int64) layout {
	before := *l
	for n > 0 {
		step := n
		if len(l.holes) > 0 {
			hole := l.holes[0]
			if l.at == hole.Offset {
				l.at, l.holes = hole.Offset+hole.Length, l.holes[1:]
				continue
			}
			step = min(step, hole.Offset-l.at)
		}
		l.at += step
		n -= step
	}
	return before
}
