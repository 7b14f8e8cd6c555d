package main

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"coffer/app"
)

// entryRecord is a file or folder of a snapshot as JSON.
type entryRecord struct {
	namedPath
	Kind    string    `json:"kind"` // "file", "dir", "symlink"
	Mode    uint32    `json:"mode"`
	Size    int64     `json:"size"`
	ModTime time.Time `json:"mtime"`
	Link    string    `json:"link,omitempty"`
	LinkRaw string    `json:"link_base64,omitempty"` // when it is not UTF-8
	User    string    `json:"user,omitempty"`
	Group   string    `json:"group,omitempty"`
	State   string    `json:"state,omitempty"` // "changed", "partly", "unreadable"
}

func entryOf(e app.EntryInfo) entryRecord {
	link := pathRecord(e.Link)
	return entryRecord{pathRecord(e.Path), e.Type, e.Mode, e.Size, e.ModTime, link.Path, link.Base64, e.User, e.Group, e.State}
}

func (p *program) lsCommand() *cobra.Command {
	var secrets secretFlags
	var long, recursive bool
	cmd := p.command("ls SNAPSHOT [PATH]", "List a folder of a backup", `
Lists what a snapshot has in the folder PATH, or in its top folder. A name with characters
that a terminal could act on is shown in quotes; --json gives names exactly.

  coffer ls latest
  coffer ls -l latest /home/ann/Documents`,
		cobra.RangeArgs(1, 2), func(ctx context.Context, args []string) error {
			path := ""
			if len(args) == 2 {
				path = args[1]
			}
			return p.withKey(ctx, &secrets, func(a profile) error {
				return p.ls(ctx, a, args[0], path, long, recursive)
			})
		})
	secrets.add(cmd)
	cmd.Flags().BoolVarP(&long, "long", "l", false, "with mode, owner, size and date")
	cmd.Flags().BoolVarP(&recursive, "recursive", "R", false, "with everything below")
	p.firstIsSnapshot(cmd, 1)
	return cmd
}

func (p *program) ls(ctx context.Context, a browser, snapshot, path string, long, recursive bool) error {
	visit := a.List
	if recursive {
		visit = a.Walk
	}
	var entries int64
	err := visit(ctx, snapshot, path, func(e app.EntryInfo) error {
		entries++
		if p.console.json {
			return p.console.record("entry", entryOf(e))
		}
		name := e.Name
		if recursive {
			name = e.Path
		}
		if long {
			return p.console.result("%s", longLine(e, name))
		}
		return p.console.result("%s", entryName(e, name))
	})
	if err != nil || !p.console.json {
		return err
	}
	return p.console.record("summary", struct {
		Entries int64 `json:"entries"`
	}{entries})
}

// entryName shows a name; a slash at its end says that it is a folder.
func entryName(e app.EntryInfo, name string) string {
	if e.Type == "dir" {
		return printable(name) + "/"
	}
	return printable(name)
}

func longLine(e app.EntryInfo, name string) string {
	owner := printable(e.User)
	if e.User == "" {
		owner = "-"
	}
	line := fmt.Sprintf("%s  %s  %12s  %s  %s", modeText(e), pad(owner, 8), number(e.Size), pad(dateText(e.ModTime), 23), entryName(e, name))
	if e.Type == "symlink" {
		line += " -> " + printable(e.Link)
	}
	if e.State != "" {
		line += "  (" + printable(e.State) + ")"
	}
	return line
}

func modeText(e app.EntryInfo) string {
	mode := fs.FileMode(e.Mode & 0o777)
	switch e.Type {
	case "dir":
		mode |= fs.ModeDir
	case "symlink":
		mode |= fs.ModeSymlink
	}
	return mode.String()
}
