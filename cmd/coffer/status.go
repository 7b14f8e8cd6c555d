package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coffer/app"
)

// An overviewer says how a profile stands.
type overviewer interface {
	Overview(ctx context.Context) (app.Overview, error)
}

func (p *program) statusCommand() *cobra.Command {
	return p.command("status", "Say how the backup stands, and what needs you", `
Says when the last backup was, and what needs attention, each with what to do. It asks no
place, no vault and no key: it says what this computer knows.

The exit status is 0 whatever it says, and 1 where no backup is set up. A script that watches
reads the JSON: state is "safe", and attention is empty.

As JSON: state ("never", "safe", "working", "waiting", "late", "danger"), last_backup, place,
free and stored (bytes; -1: not known), sources, attention (code and what belongs to it).

  coffer status
  coffer status --json`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withProfile(func(a profile, _ app.Config) error { return p.status(ctx, a) })
		})
}

func (p *program) status(ctx context.Context, a overviewer) error {
	o, err := a.Overview(ctx)
	if err != nil {
		return err
	}
	if !o.SetUp {
		return app.ErrNotSetUp
	}
	if !p.console.json {
		return p.console.result("%s", overviewText(o, time.Now()))
	}
	record := overviewRecord{
		State: o.State, LastBackup: moment(o.LastBackup), Place: o.Place, Free: o.PlaceFree, Stored: o.StoredBytes,
		Sources: append([]string{}, o.Sources...), Attention: []attentionRecord{},
	}
	for _, a := range o.Attention {
		record.Attention = append(record.Attention, attentionRecord{a.Code, a.Args})
	}
	return p.console.record("summary", record)
}

// An overviewRecord is how a profile stands, as JSON.
type overviewRecord struct {
	State      string            `json:"state"`
	LastBackup *time.Time        `json:"last_backup,omitempty"`
	Place      string            `json:"place"`
	Free       int64             `json:"free"`   // bytes; -1: not known
	Stored     int64             `json:"stored"` // bytes; -1: not known
	Sources    []string          `json:"sources"`
	Attention  []attentionRecord `json:"attention"`
}

type attentionRecord struct {
	Code app.AttentionCode `json:"code"`
	Args map[string]string `json:"args,omitempty"`
}

// overviewText is how a profile stands, as people read it.
func overviewText(o app.Overview, now time.Time) string {
	var b strings.Builder
	b.WriteString(standText(o, now))
	fmt.Fprintf(&b, "\nPlace: %s", printable(o.Place))
	if o.StoredBytes >= 0 {
		fmt.Fprintf(&b, ", %s stored", bytesText(o.StoredBytes))
	}
	if o.PlaceFree >= 0 {
		fmt.Fprintf(&b, ", %s free", bytesText(o.PlaceFree))
	}
	if o.Locked {
		b.WriteString("\nThe key is asked for each time.")
	}
	for _, a := range o.Attention {
		fmt.Fprintf(&b, "\nCareful: %s", attentionText(a))
	}
	return b.String()
}

func standText(o app.Overview, now time.Time) string {
	last := "No backup has been made yet."
	if !o.LastBackup.IsZero() {
		last = fmt.Sprintf("The last backup was on %s.", dateText(o.LastBackup))
	}
	switch o.State {
	case app.StateSafe:
		return "Backed up. " + last
	case app.StateWorking:
		return "A Coffer is working in this profile now. " + last
	case app.StateWaiting:
		return "Waiting: no place could be reached. " + last
	case app.StateLate, app.StateDanger:
		if o.LastBackup.IsZero() || now.Sub(o.LastBackup) < 3*24*time.Hour {
			return last
		}
		if o.State == app.StateDanger {
			return "In danger. " + last
		}
		return "Late. " + last
	}
	return last
}

// attentions has a sentence for every line that needs somebody, with what to do.
var attentions = map[app.AttentionCode][]string{
	app.AttentionDanger:       say("There has been no backup for {days} days: 'coffer backup'.", "There has been no backup for a long time: 'coffer backup'."),
	app.AttentionLate:         say("There has been no backup for {days} days: 'coffer backup'.", "There has been no backup for days: 'coffer backup'."),
	app.AttentionLastFailed:   say("The last attempt did not end well ({code}).", "The last attempt did not end well."),
	app.AttentionVault:        say("There is something to see about the vault: 'coffer vault status'."),
	app.AttentionPasswordHalf: say("A change of the password was interrupted. The old one still works; set the new one again: 'coffer password change'."),
	app.AttentionSheet:        say("The recovery sheet is not proven: 'coffer key sheet FILE.pdf', then 'coffer key verify'."),
	app.AttentionNoSources:    say("Nothing is chosen to be backed up: 'coffer backup FOLDER...'."),
	app.AttentionUnreadable:   say("Files that could not be read last time: {count}. 'coffer backup' names them.", "Some files could not be read last time. 'coffer backup' names them."),
	app.AttentionPractice:     say("Do you still know the password? 'coffer password practice' uses no try."),
	app.AttentionKeyInFile:    say("The key is kept in the file {path}: whoever can read it can open the backup.", "The key is kept in a file: whoever can read it can open the backup."),
	app.AttentionPlaceLate:    say("No backup in {place} for {days} days. Is a disk unplugged, or a server off?", "One of the places has had no backup for days."),
	app.AttentionPlaceTrouble: say("The last attempt to back up to {place} did not end well ({code}): 'coffer place list'.", "The last attempt to back up to one of the places did not end well: 'coffer place list'."),
	app.AttentionSpace:        say("{place} will be full in about {days} days.", "One of the places will be full soon."),
}

func attentionText(a app.Attention) string {
	switch a.Code {
	case app.AttentionVault:
		if text := warningText(app.VaultWarning{Code: app.VaultWarningCode(a.Args["warning"]), Args: a.Args}); text != "" {
			return text
		}
	case app.AttentionLastFailed:
		c := complain(app.Failure{Code: app.Code(a.Args["code"]), Args: a.Args}, nil)
		return "The last attempt did not end well. " + strings.TrimSpace(c.says+" "+c.advice)
	}
	if text := fill(attentions[a.Code], a.Args); text != "" {
		return text
	}
	return printable(string(a.Code)) // of a newer package app
}
