package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A checker proves that a backup is whole.
type checker interface {
	Check(ctx context.Context, o app.CheckOptions) (app.CheckReport, error)
}

func (p *program) checkCommand() *cobra.Command {
	var secrets secretFlags
	var readData string
	cmd := p.command("check [--read-data[=PERCENT]]", "Prove that the backup is whole", `
Checks that everything that the snapshots need is in the place and fits together. With
--read-data the stored data is read back and opened too, all of it or a share. Nothing
is taken from a cache. Every damaged object is named with the files that need it, and the
exit status is then 6.

  coffer check
  coffer check --read-data
  coffer check --read-data=10%`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			o, err := checkOptions(readData)
			if err != nil {
				return err
			}
			return p.withKey(ctx, &secrets, func(a profile) error { return p.check(ctx, a, o) })
		})
	secrets.add(cmd)
	cmd.Flags().StringVar(&readData, "read-data", "", "read the stored data back, all of it or `PERCENT`")
	cmd.Flags().Lookup("read-data").NoOptDefVal = "100"
	return cmd
}

// checkOptions reads the value of --read-data: "", "10" or "10%".
func checkOptions(readData string) (o app.CheckOptions, err error) {
	if readData == "" {
		return o, nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(readData, "%"))
	if err != nil || n < 1 || n > 100 {
		return o, usage("The value of --read-data is not a percentage.", "It is a whole number from 1 to 100; without one, everything is read.")
	}
	return app.CheckOptions{ReadData: true, Percent: n}, nil
}

func (p *program) check(ctx context.Context, a checker, o app.CheckOptions) error {
	o.Progress = p.newProgress().show
	report, err := a.Check(ctx, o)
	if len(report.Damaged) == 0 && err != nil {
		return p.stoppedAs(err, "A check changes nothing.")
	}
	if p.ctx.Err() != nil {
		err = errors.Join(err, p.ctx.Err()) // found damage, then stopped: both are said
	}
	if err := p.sayReport(report); err != nil {
		return err
	}
	switch {
	case len(report.Damaged) > 0:
		return doneError{exitDamaged}
	default:
		return err
	}
}

// damageRecord is one damaged object as JSON.
type damageRecord struct {
	Object string   `json:"object"`
	Chunks int64    `json:"chunks"`
	Paths  []string `json:"paths"`
	Base64 []string `json:"paths_base64,omitempty"` // of all paths, when one is not UTF-8
}

// checkSummary is a report as JSON: these keys and no others.
type checkSummary struct {
	Objects   int64          `json:"objects"`
	BytesRead int64          `json:"bytes_read"`
	Damaged   []damageRecord `json:"damaged"`
}

func (p *program) sayReport(r app.CheckReport) error {
	if !p.console.json {
		return p.console.result("%s", reportText(r))
	}
	s := checkSummary{r.Objects, r.BytesRead, []damageRecord{}}
	for _, d := range r.Damaged {
		s.Damaged = append(s.Damaged, damageOf(d))
	}
	return p.console.record("summary", s)
}

func damageOf(d app.Damage) damageRecord {
	return damageRecord{d.Object, d.Chunks, append([]string{}, d.Paths...), exactPaths(d.Paths)}
}

// exactPaths gives a list of paths in base64 when one of them is not UTF-8.
func exactPaths(paths []string) (exact []string) {
	if utf8.ValidString(strings.Join(paths, "")) {
		return nil
	}
	for _, path := range paths {
		exact = append(exact, base64.StdEncoding.EncodeToString([]byte(path)))
	}
	return exact
}

func reportText(r app.CheckReport) string {
	checked := fmt.Sprintf("Checked %s of %s in %s", count(r.Objects, "object", "objects"), count(r.Snapshots, "snapshot", "snapshots"), seconds(r.Seconds))
	if r.BytesRead > 0 {
		checked += ", " + bytesText(r.BytesRead) + " read"
	}
	if len(r.Damaged) == 0 {
		return "The backup is whole. " + checked + "."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "The backup is damaged: %s.\n", count(int64(len(r.Damaged)), "object", "objects"))
	for _, d := range r.Damaged {
		fmt.Fprintf(&b, "  %s", printable(d.Object))
		if d.Reason != "" {
			fmt.Fprintf(&b, " (%s)", printable(d.Reason))
		}
		fmt.Fprintln(&b)
		for _, path := range d.Paths {
			fmt.Fprintf(&b, "    %s\n", printable(path))
		}
	}
	b.WriteString("Other files can still be restored. Nothing was deleted.\n" + checked + ".")
	return b.String()
}
