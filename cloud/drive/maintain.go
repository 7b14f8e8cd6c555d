package drive

import (
	"context"
	"fmt"
	"time"

	driveapi "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"

	"coffer/cloud"
)

// A Report is what [Driver.Tidy] found and did.
type Report struct {
	Deleted int // files that were the same as an object, name and bytes
	Moved   int // files that lay in another folder of the place
	Unequal int // files that have an object's name and other bytes; they are left alone
}

// Maintain implements [cloud.Maintainer]: see [Driver.Tidy].
func (d *Driver) Maintain(ctx context.Context) (int, error) {
	report, err := d.Tidy(ctx)
	return report.Deleted + report.Moved, err
}

// Tidy tidies up after devices that did the same thing at the same moment:
// of files with one name and the same bytes it deletes all but the object, and
// files of a second folder it moves into the first. Folders stay, even empty
// ones: deleting a folder deletes what a late listing does not show in it.
//
// Two devices may do it at once: the file that all of them would choose is
// deleted by none.
func (d *Driver) Tidy(ctx context.Context) (Report, error) {
	d.index.stale()
	if _, err := d.relist(ctx, "", func(cloud.Object, error) bool { return true }); err != nil {
		return Report{}, fmt.Errorf("list files: %w", err)
	}
	p, err := d.enter(ctx)
	if err != nil {
		return Report{}, err
	}
	var report Report
	for _, o := range d.index.objects("") {
		if err := d.tidy(ctx, p, o.Name, &report); err != nil {
			return report, err
		}
	}
	return report, nil
}

// tidy does it for one name.
func (d *Driver) tidy(ctx context.Context, p *place, name string, report *Report) error {
	known := d.index.of(name)
	if len(known) == 1 && known[0].parent == p.home {
		return nil // nearly all of them: no request
	}
	kept, err := d.confirm(ctx, name)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range d.index.of(name) {
		switch {
		case e.id == kept.id:
		case better(e, kept) < 0: // not the one to keep after all: next time
			return nil
		case !same(e, kept):
			report.Unequal++
		default:
			if err := d.deleteFile(ctx, name, e.id); err != nil {
				return err
			}
			report.Deleted++
		}
	}
	if kept.parent == p.home || kept.parent == "" {
		return nil
	}
	return d.move(ctx, p, kept, report)
}

// move brings a file home.
func (d *Driver) move(ctx context.Context, p *place, e entry, report *Report) error {
	f, err := d.api.Files.Update(e.id, &driveapi.File{}).AddParents(p.home).RemoveParents(e.parent).
		Fields(googleapi.Field(fileFields)).Context(ctx).Do()
	if err = classify(err); isNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("move file: %w", err)
	}
	if moved, ok := entryOf(f); ok {
		moved.learned = time.Now()
		d.index.learn(moved)
	}
	report.Moved++
	return nil
}
