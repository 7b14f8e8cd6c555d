package source

import (
	"context"
	"path/filepath"
	"strings"
)

// progressEvery bounds how often Measure reports, in entries.
const progressEvery = 1024

// Measure counts the regular files below the folder at path and their bytes, as
// rules leave them, for the screen that asks what to keep. progress, if not nil,
// is called in between with the sums so far. Links are not followed; pseudo file
// systems and caches are not entered; a file with several names counts for each;
// what cannot be read counts nothing. It returns early with the error of ctx,
// and otherwise an error only if path itself cannot be opened.
func Measure(ctx context.Context, path string, rules Rules, progress func(files, bytes int64)) (files, bytes int64, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return 0, 0, wrap("open folder", path, err)
	}
	d, err := OpenDir(path)
	if err != nil {
		return 0, 0, err
	}
	defer d.Close()
	m := measurer{rules: rules, root: d.Info(), progress: progress}
	err = m.folder(ctx, d, strings.TrimRight(slashes(path), "/"))
	if progress != nil {
		progress(m.files, m.bytes)
	}
	return m.files, m.bytes, err
}

type measurer struct {
	rules        Rules
	root         Info
	progress     func(files, bytes int64)
	files, bytes int64
	seen         int
}

// folder returns only errors of ctx.
func (m *measurer) folder(ctx context.Context, d *Dir, path string) error {
	names, err := d.names()
	if err != nil {
		return ctx.Err()
	}
	for _, name := range names {
		if m.seen++; m.seen%progressEvery == 0 && m.progress != nil {
			m.progress(m.files, m.bytes)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.Lstat(name)
		if err != nil || m.rules.Excluded(path+"/"+name, info.Type == TypeDir) {
			continue
		}
		switch info.Type {
		case TypeFile:
			m.files++
			m.bytes += info.Size
		case TypeDir:
			if err := m.enter(ctx, d, name, path+"/"+name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *measurer) enter(ctx context.Context, up *Dir, name, path string) error {
	d, err := up.OpenDir(name)
	if err != nil { // also: deeper than the system lets us look
		return ctx.Err()
	}
	defer d.Close()
	if SkipMount(d, m.root) || IsCacheDir(d) {
		return nil
	}
	return m.folder(ctx, d, path)
}
