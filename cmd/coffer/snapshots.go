package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A browser looks into a backup.
type browser interface {
	Snapshots(ctx context.Context) ([]app.SnapshotInfo, error)
	Snapshot(ctx context.Context, ref string) (app.SnapshotInfo, error)
	List(ctx context.Context, ref, path string, fn func(app.EntryInfo) error) error
	Walk(ctx context.Context, ref, path string, fn func(app.EntryInfo) error) error
	Find(ctx context.Context, pattern string, fn func(app.SnapshotInfo, app.EntryInfo) error) error
	Cat(ctx context.Context, ref, path string, w io.Writer) error
	Diff(ctx context.Context, refA, refB string, fn func(app.Change) error) error
}

// snapshotRecord is a snapshot as JSON.
type snapshotRecord struct {
	Snapshot   string    `json:"snapshot"`
	Time       time.Time `json:"time"`
	Computer   string    `json:"computer"`
	System     string    `json:"os"`
	User       string    `json:"user"`
	Sources    []string  `json:"sources"`
	SourcesRaw []string  `json:"sources_base64,omitempty"` // of all, when one is not UTF-8
	Files      int64     `json:"files"`
	Dirs       int64     `json:"dirs"`
	Bytes      int64     `json:"bytes"`
	Unreadable int64     `json:"unreadable"`
	Sequence   uint64    `json:"sequence"`
}

func snapshotOf(s app.SnapshotInfo) snapshotRecord {
	return snapshotRecord{s.ID, s.Time, s.Computer, s.OS, s.User, append([]string{}, s.Sources...), exactPaths(s.Sources), s.Files, s.Dirs, s.Bytes, s.Unreadable, s.Sequence}
}

func (p *program) snapshotsCommand() *cobra.Command {
	var secrets secretFlags
	cmd := p.command("snapshots", "List the backups that were made", `
Lists all snapshots, the oldest first. Other commands take the first digits of an ID, or
'latest' for the newest.

  coffer snapshots
  coffer ls latest`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withKey(ctx, &secrets, func(a profile) error { return p.snapshots(ctx, a) })
		})
	secrets.add(cmd)
	return cmd
}

func (p *program) snapshots(ctx context.Context, a browser) error {
	list, err := a.Snapshots(ctx)
	if err != nil {
		return err
	}
	if !p.console.json {
		return p.console.result("%s", snapshotsText(list))
	}
	for _, s := range list {
		if err := p.console.record("snapshot", snapshotOf(s)); err != nil {
			return err
		}
	}
	return p.console.record("summary", struct {
		Snapshots int `json:"snapshots"`
	}{len(list)})
}

// shortID is how much of an ID people see and type.
func shortID(id string) string { return id[:min(12, len(id))] }

func snapshotsText(list []app.SnapshotInfo) string {
	if len(list) == 0 {
		return "There are no snapshots yet. Make one: coffer backup"
	}
	rows := [][]string{{"ID", "Made", "Computer", "Files", "Size", "Folders"}}
	for _, s := range list {
		names := make([]string, 0, len(s.Sources))
		for _, source := range s.Sources {
			names = append(names, printable(source))
		}
		files := number(s.Files)
		if s.Unreadable > 0 {
			files += " (" + number(s.Unreadable) + " not read)"
		}
		rows = append(rows, []string{printable(shortID(s.ID)), dateText(s.Time), printable(s.Computer), files, bytesText(s.Bytes), strings.Join(names, ", ")})
	}
	return table(rows)
}

// table lays rows out in columns that line up in any script.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row[:len(row)-1] {
			b.WriteString(pad(cell, widths[i]+2))
		}
		b.WriteString(row[len(row)-1])
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return strings.Join(lines, "\n")
}

// completeSnapshots offers 'latest' and the IDs to the shell, when they come quickly: the
// key may be kept nowhere, and the place may be slow.
func (p *program) completeSnapshots(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ids := []string{"latest\tthe newest"}
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	_ = p.withProfile(func(a profile, _ app.Config) error {
		list, err := a.Snapshots(ctx)
		for i := len(list) - 1; i >= 0; i-- {
			ids = append(ids, shortID(list[i].ID)+"\t"+dateText(list[i].Time))
		}
		return err
	})
	return ids, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// firstIsSnapshot completes the first n arguments as snapshots and nothing after them.
func (p *program) firstIsSnapshot(cmd *cobra.Command, n int) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p.completeSnapshots(cmd, args, begun)
	}
}
