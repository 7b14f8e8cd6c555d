package main

import (
	"context"

	"github.com/spf13/cobra"

	"coffer/app"
)

// changeMarks is the first letter of a line: what happened on the way from A to B.
var changeMarks = map[string]string{"added": "+", "removed": "-", "changed": "~", "metadata": "m"}

// diffSummary counts the changes of each kind.
type diffSummary struct {
	Added    int64 `json:"added"`
	Removed  int64 `json:"removed"`
	Changed  int64 `json:"changed"`
	Metadata int64 `json:"metadata"`
}

func (s *diffSummary) count(kind string) {
	switch kind {
	case "added":
		s.Added++
	case "removed":
		s.Removed++
	case "metadata":
		s.Metadata++
	default:
		s.Changed++
	}
}

func (p *program) diffCommand() *cobra.Command {
	var secrets secretFlags
	cmd := p.command("diff A B", "Say what changed between two backups", `
Lists what is different in snapshot B from snapshot A: + added, - removed, ~ changed
content, m changed only in mode, owner or date.

  coffer diff 3f9a07bc latest`,
		cobra.ExactArgs(2), func(ctx context.Context, args []string) error {
			return p.withKey(ctx, &secrets, func(a profile) error { return p.diff(ctx, a, args[0], args[1]) })
		})
	secrets.add(cmd)
	p.firstIsSnapshot(cmd, 2)
	return cmd
}

func (p *program) diff(ctx context.Context, a browser, from, to string) error {
	var sum diffSummary
	err := a.Diff(ctx, from, to, func(c app.Change) error {
		sum.count(c.Kind)
		if p.console.json {
			return p.console.record("change", struct {
				Kind string `json:"kind"`
				namedPath
				A *entryRecord `json:"a,omitempty"`
				B *entryRecord `json:"b,omitempty"`
			}{c.Kind, pathRecord(c.Path), entryOrNil(c.A), entryOrNil(c.B)})
		}
		mark, ok := changeMarks[c.Kind]
		if !ok {
			mark = "~"
		}
		return p.console.result("%s %s", mark, printable(c.Path))
	})
	if err != nil {
		return err
	}
	if p.console.json {
		return p.console.record("summary", sum)
	}
	p.console.note("%s added, %s removed, %s changed, %s with other mode, owner or date.",
		number(sum.Added), number(sum.Removed), number(sum.Changed), number(sum.Metadata))
	return nil
}

func entryOrNil(e *app.EntryInfo) *entryRecord {
	if e == nil {
		return nil
	}
	r := entryOf(*e)
	return &r
}
