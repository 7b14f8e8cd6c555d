package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

// A program is one run of coffer-vault: what it reads and where it writes.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	harden         func(*slog.Logger)

	ctx     context.Context // ends at the first Ctrl-C or SIGTERM; nil: never
	data    string          // flag --data
	json    bool            // flag --json
	running bool            // a command has begun: from here on an error is no mistake of usage
}

// run does what args ask for and returns the exit status.
func (p *program) run(args []string) int {
	if p.ctx == nil {
		p.ctx = context.Background()
	}
	// Before flags are parsed: a wrong flag is an error too.
	p.json = wantsJSON(args)
	root := p.rootCommand()
	root.SetArgs(args)
	return p.finish(root.ExecuteContext(p.ctx))
}

// wantsJSON looks for --json where cobra would, without understanding the rest.
func wantsJSON(args []string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == "--json" || a == "--json=true" {
			return true
		}
	}
	return false
}

// A doneError ends a command that has said everything itself with a status of its own.
type doneError struct{ status int }

func (e doneError) Error() string { return fmt.Sprintf("coffer-vault: done with status %d", e.status) }

// A usageError is a mistake in the arguments, with its sentence.
type usageError struct{ says, advice string }

func (e *usageError) Error() string { return "coffer-vault: " + e.says }

func usage(says, advice string) error { return &usageError{says, advice} }

// finish says what went wrong and returns the exit status. The one place where an error
// becomes a sentence.
func (p *program) finish(err error) int {
	var done doneError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &done):
		return done.status
	}
	f := p.explain(err)
	if p.json {
		_ = p.record("error", struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		}{f.Code, strings.TrimSpace(f.Says + " " + f.Advice)})
	} else {
		p.note("%s", strings.TrimSpace(f.Says+"\n"+f.Advice))
	}
	return exitStatus(f.Code)
}

const codeUsage = "usage"

func (p *program) explain(err error) node.Failure {
	var own *usageError
	switch {
	case errors.As(err, &own):
		return node.Failure{Code: codeUsage, Says: own.says, Advice: own.advice}
	case !p.running:
		first, _, _ := strings.Cut(err.Error(), "\n")
		return node.Failure{Code: codeUsage, Says: fmt.Sprintf("%s%s.", strings.ToUpper(first[:1]), first[1:]), Advice: advice(err)}
	}
	return node.Explain(err)
}

// advice repeats cobra's guess at a mistyped command, else points at the help.
func advice(err error) string {
	if _, guess, found := strings.Cut(err.Error(), "Did you mean this?"); found {
		if words := strings.Fields(guess); len(words) > 0 {
			return "Did you mean 'coffer-vault " + words[0] + "'?"
		}
	}
	return "Run it with --help to see how it is used."
}

// command makes a cobra command whose errors before run are mistakes of usage.
func (p *program) command(use, short, long string, args cobra.PositionalArgs, run func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: strings.TrimSpace(long), Args: args,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.running = true
			return run(cmd.Context(), args)
		},
	}
}

// must stops a program whose own command tree is wrong: it cannot happen to a user.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// result writes text that was asked for to standard output. With JSON it is left out: a
// record says the same.
func (p *program) result(format string, args ...any) error {
	if p.json {
		return nil
	}
	_, err := fmt.Fprintf(p.stdout, format+"\n", args...)
	return err
}

// note writes for people, to standard error.
func (p *program) note(format string, args ...any) { fmt.Fprintf(p.stderr, format+"\n", args...) }

// record writes one line of JSON, when JSON was asked for: v's fields after the type. What
// is not ASCII is escaped, so that no name in it moves a terminal.
func (p *program) record(kind string, v any) error {
	if !p.json {
		return nil
	}
	var body strings.Builder
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode %s: %w", kind, err)
	}
	rest := strings.TrimSuffix(body.String(), "\n")[1:]
	if rest != "}" {
		rest = "," + rest
	}
	_, err := io.WriteString(p.stdout, asciiJSON(`{"type":"`+kind+`"`+rest)+"\n")
	return err
}

// asciiJSON escapes all that is not ASCII. It can only stand inside of strings.
func asciiJSON(line string) string {
	var b strings.Builder
	for _, r := range line {
		switch {
		case r < 0x7f:
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\u%04x\u%04x`, (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// dir returns the vault's folder.
func (p *program) dir() (string, error) {
	dir := p.data
	if dir == "" {
		dir = node.DefaultDir()
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find folder: %w", err)
	}
	return abs, nil
}

// ownDir is dir, for a command that writes into the folder.
func (p *program) ownDir() (string, error) {
	dir, err := p.dir()
	if err != nil {
		return "", err
	}
	if err := guarded(dir); err != nil {
		return "", err
	}
	return dir, asOwner(dir)
}

// mayWrite says whether this user may have the vault's files changed: the program that runs
// writes as itself.
func (p *program) mayWrite(a *node.Access) error {
	if a.Running() {
		return nil
	}
	_, err := p.ownDir()
	return err
}

// options are those of every command.
func (p *program) options() node.Options { return node.Options{Log: p.stderr, Version: version()} }

// withVault runs work on the vault that runs, or on its files.
func (p *program) withVault(ctx context.Context, work func(*node.Access) error) error {
	dir, err := p.dir()
	if err != nil {
		return err
	}
	a, err := node.Reach(ctx, dir, p.options())
	if err != nil {
		return err
	}
	defer a.Close()
	return work(a)
}

// maxInput bounds what is read from a file or standard input, in bytes.
const maxInput = 64 << 10

// readInput reads a file, or standard input for "-".
func (p *program) readInput(path string) ([]byte, error) {
	from := p.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, usage(fmt.Sprintf("The file %q cannot be read.", path), "Is it there, and may this user read it?")
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil || len(b) > maxInput {
		return nil, usage(fmt.Sprintf("What is in %q is too long, or cannot be read.", path), "")
	}
	return b, nil
}
