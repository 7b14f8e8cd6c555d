package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A joiner joins a backup that is in a place already.
type joiner interface {
	Open(ctx context.Context, o app.OpenOptions) (app.OpenResult, error)
	InspectPlace(ctx context.Context, dest string) (app.PlaceInfo, error)
}

type openFlags struct {
	secrets    secretFlags
	sources    sourceFlags
	connect    connectFlags
	from       string
	repository string
	keepKey    string
	old        bool
}

func (p *program) openCommand() *cobra.Command {
	var f openFlags
	cmd := p.command("open --from PLACE [SOURCE...]", "Join an existing backup on this computer", `
Opens a backup that is in a place already, so that this computer can restore from it and
back up into it. SOURCE are the folders of this computer that will be backed up; they may
be left out.

Without a flag it asks for the password, the passphrase or the 64 digits, whichever the
backup has. A password whose vault is on a network is tried there; one whose vault is on
another computer cannot be tried here, and costs no try.

When the vault knows of newer backups than the place shows, it stops: somebody shows an old
state. Only who knows why goes on, with --old-place.

  coffer open --from /media/disk/Backup
  coffer open --from /media/disk/Backup --key-file recovery-key.txt ~/Documents`,
		cobra.ArbitraryArgs, func(ctx context.Context, args []string) error { return p.openBackup(ctx, &f, args) })
	f.secrets.add(cmd)
	f.sources.add(cmd)
	f.connect.add(cmd)
	cmd.Flags().StringVar(&f.from, "from", "", "the `PLACE` that keeps the backup: a folder, or see 'coffer help places'")
	cmd.Flags().StringVar(&f.repository, "repository", "", "which backup, where the place keeps several: the first digits of its `ID`")
	cmd.Flags().BoolVar(&f.old, "old-place", false, "also open a place that lacks newer backups which the vault knows of")
	addKeepKey(cmd, &f.keepKey)
	must(cmd.MarkFlagRequired("from"))
	must(cmd.MarkFlagDirname("from"))
	return cmd
}

func (p *program) openBackup(ctx context.Context, f *openFlags, args []string) error {
	keep, err := parseKeepKey(f.keepKey)
	if err != nil {
		return err
	}
	o := app.OpenOptions{From: f.from, Repository: f.repository, KeepKey: keep, Old: f.old}
	if o.Sources, o.Exclude, err = f.sources.resolve(args); err != nil {
		return err
	}
	if err := f.connect.oneStdin(f.secrets.password, f.secrets.passphrase, f.secrets.key); err != nil {
		return err
	}
	return p.withProfile(func(a profile, _ app.Config) error {
		if o.From, err = p.connect(ctx, a, &f.connect, f.from); err != nil {
			return err
		}
		f.from = o.From
		var joined app.OpenResult
		try := func(w wayIn) (err error) {
			o.Lock, o.Secret, o.Key = w.lock, w.secret, w.key
			joined, err = a.Open(ctx, o)
			return err
		}
		if err := p.enter(ctx, a, f, try); err != nil {
			return err
		}
		return p.sayOpened(joined)
	})
}

// enter tries the way in that a flag gives, or asks for one that the backup has.
func (p *program) enter(ctx context.Context, a profile, f *openFlags, try func(wayIn) error) error {
	if f.secrets.given() {
		w, err := f.secrets.read(p)
		if err != nil {
			return err
		}
		defer w.wipe()
		return try(w)
	}
	if !p.interactive() {
		return errNobodyToAsk()
	}
	place, err := a.InspectPlace(ctx, f.from)
	if err != nil {
		return err
	}
	ways := waysOf(place, f.repository)
	if slices.ContainsFunc(ways, func(w app.WayIn) bool { return w.VaultKind == app.VaultServer }) {
		// Who runs it and how many tries are left is said before one is used.
		if ways, err = a.WaysIn(ctx, f.from, f.repository); err != nil {
			return err
		}
	}
	return p.askIn(ctx, ways, try)
}

// waysOf returns the ways into the backup that was asked for. Where that is not clear,
// the 64 digits remain, and Open says what it misses.
func waysOf(place app.PlaceInfo, repository string) []app.WayIn {
	var found []app.BackupInfo
	for _, b := range place.Backups {
		if strings.HasPrefix(b.Repository, repository) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		return nil
	}
	return found[0].Ways
}

func (p *program) sayOpened(r app.OpenResult) error {
	p.sayNotices(r.Notices)
	if p.console.json {
		return p.console.record("summary", struct {
			Repository string           `json:"repository"`
			Computer   string           `json:"computer"`
			Notices    []app.NoticeCode `json:"notices"`
		}{r.Repository, r.Computer, noticeCodes(r.Notices)})
	}
	of := ""
	if r.Computer != "" && !r.MadeAt.IsZero() {
		of = ", made " + dayText(r.MadeAt) + " on " + printable(r.Computer)
	}
	return p.console.done("The backup is open on this computer%s.\nNext: coffer snapshots, or coffer restore latest --target FOLDER", of)
}
