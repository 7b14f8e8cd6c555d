package drive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	driveapi "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"

	"coffer/cloud"
)

const (
	folderType = "application/vnd.google-apps.folder"
	property   = "cofferPlace" // its value is the name that the folder was made with

	maxPages = 20_000 // at 1,000 files a page, more than the Store takes
)

// A place is where the objects are. There is one folder, unless two devices made
// theirs at the same moment: neither could see the other's in a listing yet. So
// objects are looked for in all of them, and written to the oldest.
type place struct {
	home string
	all  []string // with home; never empty
}

// find looks for the place and makes it if that is wanted. The caller holds
// entering.
func (d *Driver) find(ctx context.Context) (*place, error) {
	if err := d.identify(ctx); err != nil {
		return nil, err
	}
	folders, err := d.folders(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for the folder: %w", err)
	}
	p, err := choose(folders)
	if errors.Is(err, cloud.ErrNoPlace) && !errors.Is(err, cloud.ErrTrashed) && d.create {
		p, err = d.makeFolder(ctx)
	}
	if err != nil {
		return nil, err
	}
	d.setPlace(p)
	// Only a memory for the next run, which finds the folder without it too.
	if err := d.journal.savePlace(knownPlace{Folder: p.home, Name: d.folder, Account: d.account.ID}); err != nil {
		return nil, fmt.Errorf("remember the folder: %w", cloud.Final(err))
	}
	return p, nil
}

// choose takes the folders that are not in the trash, the oldest as home.
func choose(folders []*driveapi.File) (*place, error) {
	if len(folders) == 0 {
		return nil, &classed{fmt.Errorf("look for the folder: %w", cloud.ErrNoPlace)}
	}
	slices.SortFunc(folders, older)
	var p place
	for _, f := range folders {
		if !f.Trashed && !slices.Contains(p.all, f.Id) {
			p.all = append(p.all, f.Id)
		}
	}
	if len(p.all) == 0 {
		return nil, &classed{cloud.ErrTrashed}
	}
	p.home = p.all[0]
	return &p, nil
}

// older orders files by age, and by id where that is equal: the same on every
// device.
func older(a, b *driveapi.File) int {
	return cmp.Or(created(a.CreatedTime).Compare(created(b.CreatedTime)), cmp.Compare(a.Id, b.Id))
}

// folders returns every folder of this place, those in the trash too: the ones
// that a search finds, and the one that was used last. (A search may not show
// yet what a listing lag hides.)
func (d *Driver) folders(ctx context.Context) ([]*driveapi.File, error) {
	q := fmt.Sprintf("mimeType = '%s' and appProperties has { key='%s' and value='%s' }", folderType, property, quote(d.folder))
	var found []*driveapi.File
	err := d.pages(ctx, q, "id,createdTime,trashed", func(files []*driveapi.File) bool {
		found = append(found, files...)
		return len(found) < 1000
	})
	if err != nil {
		return nil, err
	}
	for _, id := range []string{d.journal.loadPlace().folder(d.folder), d.pending} {
		if id == "" || slices.ContainsFunc(found, func(f *driveapi.File) bool { return f.Id == id }) {
			continue
		}
		f, err := d.api.Files.Get(id).Fields("id,createdTime,trashed").Context(ctx).Do()
		if err = classify(err); err == nil {
			found = append(found, f)
		} else if !isNotFound(err) {
			return nil, err
		}
	}
	return slices.DeleteFunc(found, func(f *driveapi.File) bool { return !validID(f.Id) }), nil
}

// makeFolder makes the folder. It keeps the id until it is done, so that an
// answer that was lost does not make a second one.
func (d *Driver) makeFolder(ctx context.Context) (*place, error) {
	if d.pending == "" {
		id, err := d.newID(ctx)
		if err != nil {
			return nil, err
		}
		d.pending = id
	}
	_, err := d.api.Files.Create(&driveapi.File{
		Id: d.pending, Name: d.folder, MimeType: folderType,
		AppProperties: map[string]string{property: d.folder},
	}).Fields("id").Context(ctx).Do()
	if err = classify(err); err != nil && !errors.Is(err, errTaken) {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	p := &place{home: d.pending, all: []string{d.pending}}
	d.pending = ""
	return p, nil
}

// quote makes s part of a query's string.
func quote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s)
}

// inside is the query for the files in any of the folders.
func (p *place) inside() string {
	parts := make([]string, len(p.all))
	for i, id := range p.all {
		parts[i] = "'" + id + "' in parents"
	}
	return "(" + strings.Join(parts, " or ") + ")"
}

// pages lists files, a page at a time, until page wants no more. A search that
// Drive calls incomplete is an error: a backup that is not seen is one that
// looks lost.
func (d *Driver) pages(ctx context.Context, q string, fields googleapi.Field, page func([]*driveapi.File) bool) error {
	call := d.api.Files.List().Q(q).Spaces("drive").Corpora("user").PageSize(1000).
		Fields("nextPageToken,incompleteSearch,files(" + fields + ")").Context(ctx)
	seen := map[string]bool{}
	for range maxPages {
		list, err := call.Do()
		if err != nil {
			return classify(err)
		}
		if list.IncompleteSearch {
			return &classed{fmt.Errorf("%w: drive did not search everywhere", cloud.ErrOffline)}
		}
		for _, f := range list.Files {
			if f == nil {
				return &classed{fmt.Errorf("%w: a file that is none", cloud.ErrOffline)}
			}
		}
		if !page(list.Files) || list.NextPageToken == "" {
			return nil
		}
		if seen[list.NextPageToken] {
			return &classed{fmt.Errorf("%w: a listing that goes in circles", cloud.ErrOffline)}
		}
		seen[list.NextPageToken] = true
		call.PageToken(list.NextPageToken)
	}
	return &classed{cloud.Final(fmt.Errorf("%w: a listing without an end", cloud.ErrTooLarge))}
}

// Restore takes out of Drive's trash the folder and the objects that are in it,
// and returns how many files it brought back. Coffer itself deletes without the
// trash, so what is in there was put there by somebody.
func (d *Driver) Restore(ctx context.Context) (int, error) {
	if err := d.entering.Lock(ctx); err != nil {
		return 0, err
	}
	defer d.entering.Unlock()
	if err := d.identify(ctx); err != nil {
		return 0, err
	}
	folders, err := d.folders(ctx)
	if err != nil {
		return 0, fmt.Errorf("look for the folder: %w", err)
	}
	restored := 0
	for _, f := range folders {
		if !f.Trashed {
			continue
		}
		if err := d.untrash(ctx, f.Id); err != nil {
			return restored, err
		}
		f.Trashed = false
		restored++
	}
	p, err := choose(folders)
	if err != nil {
		return restored, err
	}
	n, err := d.restoreFiles(ctx, p)
	d.setPlace(nil) // and look again
	d.index.stale()
	return restored + n, err
}

func (d *Driver) restoreFiles(ctx context.Context, p *place) (int, error) {
	var ids []string
	err := d.pages(ctx, p.inside()+" and trashed = true", "id,name,explicitlyTrashed", func(files []*driveapi.File) bool {
		for _, f := range files {
			if f.ExplicitlyTrashed && cloud.ValidName(f.Name) && validID(f.Id) {
				ids = append(ids, f.Id)
			}
		}
		return true
	})
	if err != nil {
		return 0, fmt.Errorf("look into the trash: %w", err)
	}
	for i, id := range ids {
		if err := d.untrash(ctx, id); err != nil {
			return i, err
		}
	}
	return len(ids), nil
}

func (d *Driver) untrash(ctx context.Context, id string) error {
	change := &driveapi.File{Trashed: false, ForceSendFields: []string{"Trashed"}}
	_, err := d.api.Files.Update(id, change).Fields("id").Context(ctx).Do()
	if err = classify(err); err != nil && !isNotFound(err) {
		return fmt.Errorf("take out of the trash: %w", err)
	}
	return nil
}
