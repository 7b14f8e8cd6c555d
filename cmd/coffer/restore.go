package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A restorer writes files back.
type restorer interface {
	Restore(ctx context.Context, o app.RestoreOptions) (app.Receipt, error)
}

type restoreFlags struct {
	secrets  secretFlags
	target   string
	conflict string
	verify   bool
	receipt  string
}

// conflicts are the policies for a file that is in the target already.
var conflicts = []string{"keep-both", "keep-newer", "replace", "skip"}

func (p *program) restoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := p.command("restore SNAPSHOT [PATH...] --target FOLDER", "Get files back", `
Writes the files of a snapshot, or only those at PATH, below the target folder, each with
its full path. What happens to a file that is there already, --on-conflict says:
  keep-both    the restored file gets another name (this is the default)
  keep-newer   the newer one stays
  replace      the restored one stays
  skip         the one that is there stays

The end is a receipt: restored, checked, renamed, and what was not restored and why. If
something was not restored, the exit status is 3.

  coffer restore latest --target ~/Restored
  coffer restore latest /home/ann/Documents --target ~/Restored --verify`,
		cobra.MinimumNArgs(1), func(ctx context.Context, args []string) error {
			return p.restoreArgs(ctx, &f, args)
		})
	f.secrets.add(cmd)
	cmd.Flags().StringVar(&f.target, "target", "", "write below `FOLDER`; it is made when its parent exists")
	cmd.Flags().StringVar(&f.conflict, "on-conflict", "", "`POLICY` for files that are there: keep-both, keep-newer, replace or skip")
	cmd.Flags().BoolVar(&f.verify, "verify", false, "read every restored file back and compare it")
	cmd.Flags().StringVar(&f.receipt, "receipt", "", "write the receipt to the new `FILE` too")
	must(cmd.MarkFlagRequired("target"))
	must(cmd.MarkFlagDirname("target"))
	must(cmd.RegisterFlagCompletionFunc("on-conflict", cobra.FixedCompletions(conflicts, cobra.ShellCompDirectiveNoFileComp)))
	p.firstIsSnapshot(cmd, 1)
	return cmd
}

func (p *program) restoreArgs(ctx context.Context, f *restoreFlags, args []string) error {
	o := app.RestoreOptions{Snapshot: args[0], Paths: args[1:], Conflict: app.Conflict(f.conflict), Verify: f.verify}
	if f.conflict != "" && !slices.Contains(conflicts, f.conflict) {
		return usage("The value of --on-conflict is not known.", "It is keep-both, keep-newer, replace or skip.")
	}
	if f.target == "" {
		return usage("The target is empty.", "Is a variable of a script not set?")
	}
	target, err := filepath.Abs(f.target)
	if err != nil {
		return fmt.Errorf("find working folder: %w", err)
	}
	o.Target = target
	return p.withKey(ctx, &f.secrets, func(a profile) error { return p.restore(ctx, a, o, f.receipt) })
}

func (p *program) restore(ctx context.Context, a restorer, o app.RestoreOptions, receipt string) (err error) {
	file, err := newFile(receipt) // a receipt that cannot be written is said before hours of work
	if err != nil {
		return err
	}
	o.Progress, o.Problem = p.newProgress().show, p.sayProblem
	r, err := a.Restore(ctx, o)
	if err != nil {
		discard(file)
		if r.Restored > 0 {
			p.console.note("Before that, %s (%s) came back.", count(r.Restored, "file", "files"), bytesText(r.Bytes))
		}
		return p.stoppedAs(err, "What was restored so far stays, and is whole: the same command goes on from there.")
	}
	if file != nil {
		if err := writeAndClose(file, []byte(receiptText(r)+"\n")); err != nil {
			return err
		}
	}
	if err := p.sayReceipt(r); err != nil {
		return err
	}
	if r.Failed > 0 {
		return doneError{exitPartly}
	}
	return nil
}

// restoreSummary is a receipt as JSON: these keys and no others.
type restoreSummary struct {
	Restored int64   `json:"restored"`
	Verified int64   `json:"verified"`
	Bytes    int64   `json:"bytes"`
	Renamed  int64   `json:"renamed"`
	Skipped  int64   `json:"skipped"`
	Failed   int64   `json:"failed"`
	Seconds  float64 `json:"seconds"`
}

func (p *program) sayReceipt(r app.Receipt) error {
	if p.console.json {
		return p.console.record("summary", restoreSummary{r.Restored, r.Verified, r.Bytes, r.Renamed, r.Skipped, r.Failed, r.Seconds})
	}
	return p.console.result("%s", receiptText(r))
}

// maxListed bounds each list of a receipt: what is beyond is counted.
const maxListed = 1000

// receiptText says what a restore did. It is not r.Text, whose names are raw bytes.
func receiptText(r app.Receipt) string {
	var b strings.Builder
	heading := fmt.Sprintf("Restored %s (%s) in %s.", count(r.Restored, "file", "files"), bytesText(r.Bytes), seconds(r.Seconds))
	if r.Restored == 0 {
		heading = "Nothing was restored."
	}
	fmt.Fprintf(&b, "%s\n  from      snapshot %s\n  to        %s\n  started   %s\n", heading, printable(r.Snapshot), printable(r.Target), dateText(r.StartedAt))
	fmt.Fprintf(&b, "  checked by hash  %s\n", number(r.Verified))
	for _, line := range []struct {
		n    int64
		text string
	}{
		{r.Identical, "the same already"}, {r.Renamed, "renamed"}, {r.Skipped, "left as they were"}, {r.Failed, "not restored"},
	} {
		if line.n > 0 {
			fmt.Fprintf(&b, "  %s  %s\n", pad(line.text, 15), number(line.n))
		}
	}
	listProblems(&b, "Not restored:", r.Problems)
	listRenames(&b, r.Renames)
	listProblems(&b, "What this system could not take:", r.Lost)
	return strings.TrimSuffix(b.String(), "\n")
}

func listProblems(b *strings.Builder, title string, list []app.Problem) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(b, title)
	for _, p := range list[:min(len(list), maxListed)] {
		fmt.Fprintf(b, "  %s (%s)\n", printable(p.Path), printable(p.Reason))
	}
	more(b, len(list))
}

func listRenames(b *strings.Builder, list []app.Rename) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(b, "Renamed:")
	for _, r := range list[:min(len(list), maxListed)] {
		fmt.Fprintf(b, "  %s -> %s\n", printable(r.From), printable(r.To))
	}
	more(b, len(list))
}

func more(b *strings.Builder, n int) {
	if n > maxListed {
		fmt.Fprintf(b, "  and %s more\n", number(int64(n-maxListed)))
	}
}

// newFile makes a file that must not exist yet, for this user alone; nil for no name.
func newFile(name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return f, nil
	}
	advice := "Does its folder exist, and may you write there?"
	if errors.Is(err, os.ErrExist) {
		advice = "There is a file of that name already: choose another name."
	}
	return nil, &commandError{
		code: app.CodeUsage, path: name, err: err,
		says: fmt.Sprintf("The file %s could not be made.", printable(name)), advice: advice,
	}
}

// discard removes a file that newFile made in vain.
func discard(f *os.File) {
	if f != nil {
		f.Close()
		os.Remove(f.Name())
	}
}

// writeAndClose fills a file that newFile made, down to the disk; when that fails there is
// no file, rather than half of one.
func writeAndClose(f *os.File, content []byte) error {
	_, err := f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		return nil
	}
	os.Remove(f.Name())
	return &commandError{
		code: app.CodeDisk, path: f.Name(), err: err,
		says: fmt.Sprintf("The file %s could not be written.", printable(f.Name())), advice: "Is the disk full?",
	}
}
