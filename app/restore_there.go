package app

import (
	"context"
	"slices"

	"coffer/app/repo"
	"coffer/app/source"
	"coffer/app/target"
)

// settled decides about a name that is taken, where that needs no data: the same
// file is there already, or the policy keeps what is there.
func (r *restore) settled(ctx context.Context, f *restoreFile, there source.Info) (o target.Outcome, ok bool, err error) {
	keep := target.Outcome{Result: target.Skipped, Name: f.name}
	if r.policy == target.Skip {
		return keep, true, nil
	}
	if there.Type != source.TypeFile {
		return target.Outcome{}, false, nil
	}
	same := there.Size == f.entry.Size && r.sameAs(ctx, f, f.name)
	if ctx.Err() != nil {
		return target.Outcome{}, false, context.Cause(ctx)
	}
	if same {
		o := target.Outcome{Result: target.Identical, Name: f.name}
		if r.policy == target.Replace {
			o.Lost, err = f.folder.SetMeta(f.name, metaOf(&f.entry))
		}
		r.meter.bytes.Add(dataBytes(&f.entry))
		return o, true, err
	}
	newer := !there.ModTime.Before(source.Time(f.entry.ModTime))
	return keep, r.policy == target.KeepNewer && newer, nil
}

// sameAs reads a file at the target and compares each chunk by its id.
func (r *restore) sameAs(ctx context.Context, f *restoreFile, name string) bool {
	there, err := f.folder.OpenExisting(name)
	if err != nil {
		return false
	}
	defer there.Close()
	if there.Info().Size != f.entry.Size {
		return false
	}
	hasher := r.session.keys.NewChunkHasher()
	l := newLayout(&f.entry)
	size := f.entry.HoleBytes()
	buf := make([]byte, 0, 64<<10)
	for id, err := range r.session.repo.IDs(ctx, f.entry.Content) {
		place, err2 := r.session.repo.Locate(id)
		if err != nil || err2 != nil || r.options.Gate.Wait(ctx) != nil {
			return false
		}
		size += int64(place.Length)
		buf = slices.Grow(buf[:0], int(place.Length))[:place.Length]
		rest := buf
		for off, piece := range l.place(buf) {
			if n, err := there.ReadAt(piece, off); n < len(piece) && err != nil {
				return false
			}
			rest = rest[len(piece):]
		}
		if len(rest) > 0 || hasher.Sum(buf) != id {
			return false
		}
	}
	return size == f.entry.Size && zerosIn(ctx, there, f.entry.Holes)
}

// zerosIn reports whether the holes of a file read as zeros.
func zerosIn(ctx context.Context, f target.Existing, holes []repo.Range) bool {
	buf := make([]byte, 64<<10)
	for _, h := range holes {
		if h.Length > 1<<30 {
			continue // a file of holes a disk long would take hours; the data was compared
		}
		for at := h.Offset; at < h.Offset+h.Length; {
			part := buf[:min(int64(len(buf)), h.Offset+h.Length-at)]
			if n, err := f.ReadAt(part, at); n < len(part) && err != nil || ctx.Err() != nil {
				return false
			}
			for _, c := range part {
				if c != 0 {
					return false
				}
			}
			at += int64(len(part))
		}
	}
	return true
}
