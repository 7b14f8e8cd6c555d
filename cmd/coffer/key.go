package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A keyHolder knows the 64 digits of a profile.
type keyHolder interface {
	RecoveryLines(ctx context.Context) ([8]app.RecoveryLine, error)
	VerifyRecovery(ctx context.Context, text []byte) error
	ReadSheetPDF(ctx context.Context, r io.Reader) (app.RootKey, error)
	MarkSheetProven() error
	WriteSheet(ctx context.Context, w io.Writer, key app.RootKey, paper, place string) error
	SheetInsideSources(path string) bool
	Overview(ctx context.Context) (app.Overview, error)
}

func (p *program) keyCommand() *cobra.Command {
	return p.group("key", "The recovery key: show it, print it, prove it", `
The recovery key is 64 digits that open the backup without any password or vault. Whoever
has them can read everything; nobody can make them again.`,
		p.keyShowCommand(), p.keySheetCommand(), p.keyVerifyCommand())
}

func (p *program) keyShowCommand() *cobra.Command {
	var secrets secretFlags
	var yes bool
	cmd := p.command("show", "Show the 64 digits", `
Shows the recovery key as 8 numbered lines of 8 digits, each with a line check of 2 digits
(which is never asked for). On a terminal it asks first, because others may see the screen.

  coffer key show`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			p.console.outputIsData()
			return p.withKey(ctx, &secrets, func(a profile) error { return p.keyShow(ctx, a, yes) })
		})
	secrets.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask first")
	return cmd
}

func (p *program) keyShow(ctx context.Context, a keyHolder, yes bool) error {
	if !yes && p.interactive() {
		answer, err := p.askLine("Whoever sees these digits can open your backup. Is nobody looking? Type yes to show them:")
		if err != nil {
			return err
		}
		if !strings.EqualFold(answer, "yes") {
			return &commandError{code: app.CodeCanceled, says: "The key was not shown."}
		}
	}
	lines, err := a.RecoveryLines(ctx)
	if err != nil {
		return err
	}
	for i, line := range lines {
		if _, err := fmt.Fprintf(p.stdout, "%d.  %s   %s\n", i+1, line.Digits, line.Check); err != nil {
			return outputError(errors.Join(errOutput, err))
		}
	}
	return nil
}

func (p *program) keySheetCommand() *cobra.Command {
	var secrets secretFlags
	var paper string
	cmd := p.command("sheet FILE.pdf", "Make the recovery sheet, to print", `
Writes the recovery sheet, one page to print: the 64 digits as 8 lines and as a QR code,
where the backup is, and how to get files back. Print it, keep it outside this computer,
and prove it with 'coffer key verify'.

  coffer key sheet sheet.pdf
  coffer key sheet sheet.pdf --paper Letter`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			if paper != "A4" && paper != "Letter" {
				return usage("The value of --paper is not known.", "It is A4 or Letter.")
			}
			return p.withKey(ctx, &secrets, func(a profile) error { return p.keySheet(ctx, a, args[0], paper) })
		})
	secrets.add(cmd)
	cmd.Flags().StringVar(&paper, "paper", "A4", "size of the `PAPER`: A4 or Letter")
	must(cmd.RegisterFlagCompletionFunc("paper", cobra.FixedCompletions([]string{"A4", "Letter"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (p *program) keySheet(ctx context.Context, a keyHolder, name, paper string) error {
	o, err := a.Overview(ctx)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	defer func() { clear(page.Bytes()) }()
	if err := a.WriteSheet(ctx, &page, app.RootKey{}, paper, o.Place); err != nil {
		return err
	}
	file, err := newFile(name)
	if err != nil {
		return err
	}
	if err := writeAndClose(file, page.Bytes()); err != nil {
		return err
	}
	if a.SheetInsideSources(name) {
		p.console.warn("Warning: %s lies in a folder that is backed up. A key inside the box that it opens helps nobody: keep it elsewhere too.", printable(name))
	}
	if p.console.json {
		return p.console.record("summary", struct{ namedPath }{pathRecord(name)})
	}
	return p.console.done("The recovery sheet is in %s. Print it, and keep it outside this computer.\nThen prove it: coffer key verify", printable(name))
}

func (p *program) keyVerifyCommand() *cobra.Command {
	var secrets secretFlags
	cmd := p.command("verify", "Prove that a recovery sheet opens this backup", `
Checks that the 64 digits on a sheet open this backup. They are asked for line by line,
and a line with a typing error is named at once; --key-file reads them, or a recovery
sheet as PDF, from a file. Nothing is sent anywhere.

  coffer key verify
  coffer key verify --key-file sheet.pdf`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error { return p.keyVerify(ctx, secrets) })
	// The key is what is proven here, not a way in: the other two flags unlock.
	secrets.add(cmd)
	return cmd
}

func (p *program) keyVerify(ctx context.Context, secrets secretFlags) error {
	sheet := secrets.key
	secrets.key = ""
	return p.withKey(ctx, &secrets, func(a profile) error {
		digits, err := p.sheetDigits(ctx, a, sheet)
		if err != nil {
			return err
		}
		defer digits.Wipe()
		digits.Expose(func(text []byte) { err = a.VerifyRecovery(ctx, text) })
		if err != nil {
			return err
		}
		if err := a.MarkSheetProven(); err != nil {
			return err
		}
		if p.console.json {
			return p.console.record("summary", struct {
				Opens bool `json:"opens"`
			}{true})
		}
		return p.console.result("These 64 digits open this backup.")
	})
}

// sheetDigits reads the digits to prove: from a text, from a PDF, or from the user.
func (p *program) sheetDigits(ctx context.Context, a keyHolder, name string) (app.Secret, error) {
	if name == "" {
		key, err := p.askKey()
		return digitsOf(key), err
	}
	if !isPDF(name) {
		return p.readSecretFile(name)
	}
	f, err := os.Open(name)
	if err != nil {
		return app.Secret{}, fmt.Errorf("open sheet: %w", err)
	}
	defer f.Close()
	key, err := a.ReadSheetPDF(ctx, f)
	return digitsOf(key), err
}

// isPDF reports whether the file begins as a PDF does. What cannot be read is not one.
func isPDF(name string) bool {
	if name == "-" {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, 5)
	_, err = io.ReadFull(f, begin)
	return err == nil && string(begin) == "%PDF-"
}

// digitsOf writes a key as its digits and wipes it.
func digitsOf(key app.RootKey) (digits app.Secret) {
	defer key.Wipe()
	key.Expose(func(b []byte) { digits = app.NewSecret(fmt.Appendf(make([]byte, 0, 2*len(b)), "%x", b)) })
	return digits
}
