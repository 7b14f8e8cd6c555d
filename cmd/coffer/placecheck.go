package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"coffer/app"
)

func (p *program) placeTestCommand() *cobra.Command {
	var connect connectFlags
	cmd := p.command("test PLACE", "Try whether a place can keep a backup", `
Tries a place, one of this backup or any other: writes, reads, lists and deletes a few
objects that it makes itself, and removes them. It says what the place can promise and
what it cannot, and how fast it is. What is stored there is not touched.

  coffer place test /media/disk/Backup
  coffer place test s3:https://s3.example/bucket --access-key ID --secret-key-file key.txt`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			return p.withProfile(func(a profile, _ app.Config) error {
				dest, err := p.connectNew(ctx, a, &connect, args[0])
				if err != nil {
					return err
				}
				result, err := a.TestPlace(ctx, dest, p.sayPlaceCheck)
				if err != nil {
					return err
				}
				return p.sayPlaceTest(result)
			})
		})
	connect.add(cmd)
	return cmd
}

// checkWords say what a step is about.
var checkWords = map[string]string{
	app.CheckWrite:     "A small object is stored",
	app.CheckRead:      "It comes back as it was",
	app.CheckRanges:    "Parts of it come back, and never fewer bytes than asked for",
	app.CheckList:      "It is listed",
	app.CheckOverwrite: "Other bytes do not replace it",
	app.CheckLarge:     "A large object goes there and back",
	app.CheckDelete:    "What is deleted is gone",
}

type checkRecord struct {
	app.PlaceCheck
	Code    app.Code `json:"code,omitempty"`
	Message string   `json:"message,omitempty"`
}

func (p *program) sayPlaceCheck(c app.PlaceCheck) {
	failed := complaint{}
	if !c.OK && !c.Skipped {
		failed = complain(c.Failure, nil)
	}
	if p.console.json {
		_ = p.console.record("check", checkRecord{c, failed.code, failed.says})
		return
	}
	text := checkWords[c.Name]
	if text == "" {
		text = printable(c.Name)
	}
	switch {
	case c.Skipped:
		_ = p.console.done("  -      %s", text)
	case c.OK:
		_ = p.console.done("  yes    %s", text)
	default:
		_ = p.console.done("  NO     %s: %s", text, failed.says)
	}
}

// promiseWords say what a promise is, kept and not kept.
var promiseWords = map[string][2]string{
	app.PromiseListed:   {"what was stored is listed at once", "a listing may be late: Coffer remembers what it stored itself"},
	app.PromiseFirst:    {"of two writers of one name, one wins", "two writers of one name are not told apart: names are hashes, so nothing depends on it"},
	app.PromiseResumes:  {"an upload that was cut goes on at the byte", "an upload that was cut begins again with its object"},
	app.PromiseVersions: {"what was deleted or overwritten can be brought back", "what is deleted is gone"},
	app.PromiseLocked:   {"objects can be locked against everybody", "whoever may write may also delete"},
	app.PromiseChecksum: {"the place checks the hash of what it gets", "only Coffer checks hashes, when it reads"},
	app.PromiseRemote:   {"it says whether an object has left this computer", ""},
}

func (p *program) sayPlaceTest(t app.PlaceTest) error {
	status := exitDone
	if !t.OK() {
		status = exitFailed
	}
	if p.console.json {
		promises := map[string]string{}
		for _, promise := range t.Promises {
			promises[promise.Name] = promise.Kept
		}
		if err := p.console.record("summary", struct {
			Place    string            `json:"place"`
			OK       bool              `json:"ok"`
			Promises map[string]string `json:"promises"`
			Up       float64           `json:"up"`   // bytes a second; 0: not measured
			Down     float64           `json:"down"` // bytes a second; 0: not measured
			Seconds  float64           `json:"seconds"`
		}{t.Dest, t.OK(), promises, t.Up, t.Down, t.Seconds}); err != nil {
			return err
		}
		return ended(status)
	}
	if err := p.console.result("%s", placeTestText(t)); err != nil {
		return err
	}
	return ended(status)
}

func placeTestText(t app.PlaceTest) string {
	var b strings.Builder
	b.WriteString("This kind of place:\n")
	for _, promise := range t.Promises {
		words := promiseWords[promise.Name]
		text, mark := words[1], "-"
		if promise.Kept == app.PromiseKept {
			text, mark = words[0], "+"
		}
		if text != "" {
			fmt.Fprintf(&b, "  %s %s\n", mark, text)
		}
	}
	if t.Up > 0 && t.Down > 0 {
		fmt.Fprintf(&b, "Speed: %s/s there, %s/s back.\n", bytesText(int64(t.Up)), bytesText(int64(t.Down)))
	}
	if t.OK() {
		b.WriteString("This place can keep a backup.")
	} else {
		b.WriteString("This place cannot keep a backup as it is.")
	}
	return b.String()
}
