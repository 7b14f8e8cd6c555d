package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"coffer/app"
)

func (p *program) catCommand() *cobra.Command {
	var secrets secretFlags
	cmd := p.command("cat SNAPSHOT PATH", "Write one file of a backup to standard output", `
Writes the content of a file, as it was backed up, to standard output, checked on the way.
Names and messages are made safe for a terminal; the content of your file is not changed.

  coffer cat latest /home/ann/notes.txt
  coffer cat 3f9a07bc /home/ann/photo.jpg > photo.jpg`,
		cobra.ExactArgs(2), func(ctx context.Context, args []string) error {
			p.console.outputIsData()
			return p.withKey(ctx, &secrets, func(a profile) error {
				return p.cat(ctx, a, args[0], args[1])
			})
		})
	secrets.add(cmd)
	p.firstIsSnapshot(cmd, 1)
	return cmd
}

func (p *program) cat(ctx context.Context, a browser, snapshot, path string) error {
	err := a.Cat(ctx, snapshot, path, outputWriter{p.stdout})
	if errors.Is(err, app.ErrNotFile) {
		return &commandError{
			code: app.CodeUsage, path: path, err: err,
			says: fmt.Sprintf("%s is not a file, so it has no content to write.", printable(path)), advice: "'coffer ls' lists a folder.",
		}
	}
	return outputError(err)
}

// errOutput marks a failure of standard output, which is no failure of the backup.
var errOutput = errors.New("coffer: write to standard output")

// An outputWriter tells its own errors apart from those of the backup.
type outputWriter struct{ w io.Writer }

func (o outputWriter) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err != nil {
		err = errors.Join(errOutput, err)
	}
	return n, err
}

// outputError says what became of standard output. That its reader left is quiet, as it
// is on systems with SIGPIPE.
func outputError(err error) error {
	if !errors.Is(err, errOutput) {
		return err
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed) {
		return doneError{exitFailed}
	}
	return &commandError{
		code: app.CodeDisk, err: err,
		says: "The file could not be written to standard output.", advice: "Is the disk full?",
	}
}
