package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"coffer/app"
)

func (p *program) findCommand() *cobra.Command {
	var secrets secretFlags
	cmd := p.command("find PATTERN", "Find files by name in all backups", `
Finds files and folders whose name matches PATTERN, in every snapshot. * stands for any
characters, ? for one, [a-z] for one of several. A PATTERN with a slash is compared with
the whole path.

  coffer find 'thesis*.odt'
  coffer find '/home/ann/Pictures/*.jpg'`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			return p.withKey(ctx, &secrets, func(a profile) error { return p.find(ctx, a, args[0]) })
		})
	secrets.add(cmd)
	return cmd
}

func (p *program) find(ctx context.Context, a browser, pattern string) error {
	var matches int64
	err := a.Find(ctx, pattern, func(s app.SnapshotInfo, e app.EntryInfo) error {
		matches++
		if p.console.json {
			return p.console.record("match", struct {
				Snapshot string    `json:"snapshot"`
				Time     time.Time `json:"time"`
				entryRecord
			}{s.ID, s.Time, entryOf(e)})
		}
		return p.console.result("%s  %s  %s", printable(shortID(s.ID)), pad(dateText(s.Time), 23), entryName(e, e.Path))
	})
	if errors.Is(err, app.ErrPattern) {
		return usage(fmt.Sprintf("%s is not a pattern.", printable(pattern)), "Is a bracket left open? * stands for any characters, ? for one, [a-z] for one of several.")
	}
	if err != nil {
		return err
	}
	if p.console.json {
		return p.console.record("summary", struct {
			Matches int64 `json:"matches"`
		}{matches})
	}
	if matches == 0 {
		p.console.note("Nothing of that name is in any backup.")
	}
	return nil
}
