package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A backupMaker makes one snapshot.
type backupMaker interface {
	Backup(ctx context.Context, o app.BackupOptions) (app.BackupSummary, error)
}

func (p *program) backupCommand() *cobra.Command {
	var secrets secretFlags
	var sources sourceFlags
	var anyway bool
	cmd := p.command("backup [SOURCE...]", "Back up now", `
Stores one snapshot of the folders that were chosen at set-up, or of the SOURCEs given
here. Only what is new is stored. It may be stopped at any moment and loses nothing: the
next backup goes on from there.

A file that cannot be read is named, the others are backed up, and the exit status is 3.

  coffer backup
  coffer backup --exclude '*.iso' ~/Documents`,
		cobra.ArbitraryArgs, func(ctx context.Context, args []string) error {
			from, exclude, err := sources.resolve(args)
			if err != nil {
				return err
			}
			return p.withKey(ctx, &secrets, func(a profile) error {
				return p.backup(ctx, a, app.BackupOptions{Sources: from, Exclude: exclude, Place: p.flags.place, Anyway: anyway})
			})
		})
	secrets.add(cmd)
	sources.add(cmd)
	cmd.Flags().BoolVar(&anyway, "anyway", false, "also over a network that costs by the byte")
	return cmd
}

func (p *program) backup(ctx context.Context, a backupMaker, o app.BackupOptions) error {
	o.Progress, o.Problem = p.newProgress().show, p.sayProblem
	s, err := a.Backup(ctx, o)
	if err != nil && s.Snapshot == "" {
		return p.stoppedAs(err, "Nothing is lost: the next backup goes on from here.")
	}
	status := exitDone
	if err != nil {
		// The snapshot was stored, and then something is to be said all the same, such as
		// that older ones are gone. A summary comes last.
		status = p.finish(err)
	} else if s.Unreadable > 0 {
		status = exitPartly
	}
	if err := p.sayBackup(s); err != nil {
		return err
	}
	return ended(status)
}

func (p *program) sayBackup(s app.BackupSummary) error {
	switch {
	case p.console.json:
		return p.console.record("summary", s)
	case p.console.quiet:
		p.sayNews(s.Vault)
		return nil
	}
	err := p.console.result("%s", backupText(s))
	p.sayNews(s.Vault)
	return err
}

// sayNews says what the user should hear of the vault without having asked: also with
// --quiet, so that a job at night says it by mail, until somebody has looked.
func (p *program) sayNews(list []app.VaultWarning) {
	for _, w := range list {
		if text := warningText(w); text != "" {
			p.console.warn("Careful: %s", text)
		}
	}
	if len(list) > 0 {
		p.console.note("'coffer vault status' shows the vault.")
	}
}

// stoppedAs adds to "Stopped." what was kept, when somebody stopped the work.
func (p *program) stoppedAs(err error, kept string) error {
	if p.ctx.Err() == nil {
		return err
	}
	return &commandError{code: app.CodeCanceled, says: "Stopped.", advice: kept, err: err}
}

func backupText(s app.BackupSummary) string {
	text := fmt.Sprintf("Backed up %s (%s) in %s.\n%s new, %s changed, %s unchanged; %s new, %s stored.\nSnapshot %s",
		count(s.Files, "file", "files"), bytesText(s.Bytes), seconds(s.Seconds),
		number(s.NewFiles), number(s.ChangedFiles), number(s.UnchangedFiles),
		bytesText(s.NewBytes), bytesText(s.StoredBytes), printable(s.Snapshot))
	for _, place := range s.Places {
		text += "\n  " + placeSummaryText(place)
	}
	if until := enoughText(s.Free, s.EnoughUntil); until != "" && len(s.Places) == 0 {
		text += "\n" + until
	}
	if s.Whereabouts != "" {
		text += "\n" + whereaboutsText(s.Whereabouts)
	}
	if s.Unreadable > 0 {
		text += fmt.Sprintf("\n%s could not be read, and the backup is without them: they are named above.", count(s.Unreadable, "file or folder", "files or folders"))
	}
	return text
}

// placeSummaryText says what came of one of several places.
func placeSummaryText(s app.PlaceSummary) string {
	text := printable(s.Place) + ": "
	switch {
	case s.Snapshot != "":
		text += bytesText(s.StoredBytes) + " stored"
	case s.State == app.PlaceWaiting:
		text += "waiting, and will catch up"
	default:
		text += "no backup"
	}
	if s.Code != "" {
		text += " (" + string(s.Code) + ")"
	}
	if until := enoughText(s.Free, s.EnoughUntil); until != "" {
		text += ". " + until
	}
	return text
}

// enoughText says how much room is left, and for how long that will do.
func enoughText(free int64, until string) string {
	if free <= 0 {
		return ""
	}
	text := bytesText(free) + " free"
	if t, err := time.Parse(time.DateOnly, until); err == nil {
		text += ", enough until about " + monthText(t)
	}
	return text + "."
}

// whereaboutsText is for a place that another program uploads.
func whereaboutsText(where string) string {
	if where == "here" {
		return "It is on this computer, and not yet in the cloud: the other program uploads it."
	}
	return "It is on this computer; whether it is in the cloud already cannot be told from here."
}

// sayProblem names a file that was not dealt with as it should have been, when it happens.
func (p *program) sayProblem(problem app.Problem) {
	if p.console.json {
		_ = p.console.record("error", errorRecord{
			app.Code("file-" + problem.Kind), problemText(problem), pathOrNil(problem.Path),
		})
		return
	}
	if p.console.quiet && problem.Kind == app.ProblemSkipped {
		return // a socket is nothing to be told of every night
	}
	p.console.warn("%s", problemText(problem))
}

// problemTitles begins the line that names a file.
var problemTitles = map[string]string{
	app.ProblemUnreadable: "Not done",
	app.ProblemChanged:    "Changed while it was read",
	app.ProblemPartly:     "Only partly read",
	app.ProblemSkipped:    "Left out",
	app.ProblemVanished:   "Vanished meanwhile",
}

func problemText(problem app.Problem) string {
	title, ok := problemTitles[problem.Kind]
	if !ok {
		title = "Not done"
	}
	text := title + ": " + printable(problem.Path)
	if problem.Reason != "" {
		text += " (" + printable(problem.Reason) + ")"
	}
	return text
}
