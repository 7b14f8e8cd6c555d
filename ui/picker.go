package ui

import (
	"context"
	"errors"
	"path/filepath"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/dialog"
	"fyne.io/fyne/v2/storage"
	"github.com/ncruces/zenity"
)

// A Picker asks for a folder or a file with the dialog that people know from their other
// programs. Each method returns at once; chosen is called on the UI goroutine with an
// absolute path, or never, when nothing was chosen or the scope was closed.
type Picker interface {
	// Folder asks for a folder that exists or is made in the dialog.
	Folder(sc *scope, title, start string, chosen func(path string))
	// Open asks for a PDF that exists.
	Open(sc *scope, title, start string, chosen func(path string))
	// File asks for any file that exists.
	File(sc *scope, title, start string, chosen func(path string))
	// Save asks where a new file goes; the dialog asks before an old one is replaced.
	Save(sc *scope, title, suggested string, chosen func(path string))
}

// nativePicker uses the system's dialog where there is one, else fyne's.
type nativePicker struct {
	window fyne.Window
}

func (p nativePicker) Folder(sc *scope, title, start string, chosen func(string)) {
	p.native(sc, chosen, func(ctx context.Context) (string, error) {
		return zenity.SelectFile(zenity.Context(ctx), zenity.Title(title), zenity.Directory(), zenity.Filename(asFolder(start)))
	}, func() {
		d := dialog.NewFolderOpen(func(u fyne.ListableURI, err error) {
			if err == nil && u != nil {
				chosen(u.Path())
			}
		}, p.window)
		p.show(d, start)
	})
}

func (p nativePicker) Open(sc *scope, title, start string, chosen func(string)) {
	p.file(sc, title, start, chosen, []zenity.Option{zenity.FileFilter{Name: "PDF", Patterns: []string{"*.pdf"}, CaseFold: true}},
		storage.NewExtensionFileFilter([]string{".pdf", ".PDF"}))
}

func (p nativePicker) File(sc *scope, title, start string, chosen func(string)) {
	p.file(sc, title, start, chosen, nil, nil)
}

// file asks for a file that passes a filter, or for any without one.
func (p nativePicker) file(sc *scope, title, start string, chosen func(string), filter []zenity.Option, own storage.FileFilter) {
	p.native(sc, chosen, func(ctx context.Context) (string, error) {
		options := append([]zenity.Option{zenity.Context(ctx), zenity.Title(title), zenity.Filename(start)}, filter...)
		return zenity.SelectFile(options...)
	}, func() {
		d := dialog.NewFileOpen(func(f fyne.URIReadCloser, err error) {
			if err == nil && f != nil {
				path := f.URI().Path()
				f.Close()
				chosen(path)
			}
		}, p.window)
		if own != nil {
			d.SetFilter(own)
		}
		p.show(d, filepath.Dir(start))
	})
}

func (p nativePicker) Save(sc *scope, title, suggested string, chosen func(string)) {
	p.native(sc, chosen, func(ctx context.Context) (string, error) {
		return zenity.SelectFileSave(zenity.Context(ctx), zenity.Title(title), zenity.Filename(suggested), zenity.ConfirmOverwrite())
	}, func() {
		// fyne's dialog would make the file itself; a folder is enough, the name is known.
		d := dialog.NewFolderOpen(func(u fyne.ListableURI, err error) {
			if err == nil && u != nil {
				chosen(filepath.Join(u.Path(), filepath.Base(suggested)))
			}
		}, p.window)
		p.show(d, filepath.Dir(suggested))
	})
}

// native asks the system's dialog, and falls back when the system has none. Somebody who
// closed the dialog has chosen nothing, and is not asked again.
func (p nativePicker) native(sc *scope, chosen func(string), ask func(context.Context) (string, error), fallback func()) {
	run(sc, func(ctx context.Context) (string, error) { return ask(ctx) }, func(path string, err error) {
		switch {
		case err == nil:
			chosen(path)
		case errors.Is(err, zenity.ErrCanceled):
		default:
			fallback()
		}
	})
}

type located interface {
	SetLocation(fyne.ListableURI)
	Resize(fyne.Size)
	Show()
}

func (p nativePicker) show(d located, start string) {
	if start != "" {
		if u, err := storage.ListerForURI(storage.NewFileURI(start)); err == nil {
			d.SetLocation(u)
		}
	}
	d.Resize(p.window.Canvas().Size().Subtract(fyne.NewSize(80, 80)))
	d.Show()
}

// asFolder makes zenity open the folder itself and not the one around it.
func asFolder(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(path) + string(filepath.Separator)
}
