package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"coffer/app"
)

// A program is one run of coffer: what it reads, where it writes, and how it finds the
// profile. Tests give it other streams and another profile.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	config         func(home string, getenv func(string) string) (app.Config, error)
	newProfile     func(app.Config) (profile, error)
	limitMemory    func(budget int64)

	ctx     context.Context // ends at the first Ctrl-C; nil: never
	signals *signals        // nil: nobody watches
	flags   globalFlags
	console *console
	hushed  bool // the terminal does not show what is typed
	running bool // a command has begun: from here on an error is no mistake of usage
}

// globalFlags are those that every command takes.
type globalFlags struct {
	home, place          string
	json, quiet, verbose bool
	memory               string
	memoryBytes          int64
}

// A profile is what the commands need of *app.App. Each file declares the part that its
// command uses.
type profile interface {
	unlocker     // unlock.go
	setupMaker   // setup.go
	joiner       // open.go
	backupMaker  // backup.go
	browser      // snapshots.go
	restorer     // restore.go
	checker      // check.go
	keyHolder    // key.go
	passwordUser // password.go
	vaultKeeper  // vault.go
	connector    // connect.go
	placeKeeper  // place.go
	networker    // network.go
	Close() error
}

// run does what args ask for and returns the exit status.
func (p *program) run(args []string) int {
	if p.ctx == nil {
		p.ctx = context.Background()
	}
	// The console is needed before flags are parsed: a wrong flag is an error too, and a
	// script that asked for JSON gets it as JSON.
	p.console = newConsole(p.stdout, p.stderr, wantsJSON(args))
	if p.signals != nil {
		p.signals.attach(p.console)
	}
	root := p.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(p.ctx)
	p.console.clearLine()
	return p.finish(err)
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

// finish says what went wrong and returns the exit status. The one place where an error
// becomes a sentence.
func (p *program) finish(err error) int {
	var done doneError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &done):
		return done.status // the command has said it all
	}
	says := p.explain(err)
	p.console.fail(says)
	return exitStatus(says.code)
}

// explain turns an error into what is said of it.
func (p *program) explain(err error) complaint {
	var own *commandError
	switch {
	case errors.As(err, &own):
		return complaint{code: own.code, says: own.says, advice: own.advice, path: own.path, details: own.err}
	case !p.running:
		return complaint{code: app.CodeUsage, says: usageSentence(err), advice: usageAdvice(err)}
	case p.ctx.Err() != nil:
		// Whatever the work made of it, the cause was that somebody stopped it.
		return complain(app.Failure{Code: app.CodeCanceled}, err)
	}
	return complain(app.Explain(err), err)
}

// usageSentence repeats what cobra says of the arguments. They were typed by the user, so
// they may be shown, but made safe: a script can pass a file name on.
func usageSentence(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	for _, flag := range []string{"password", "passphrase", "key"} {
		if strings.HasPrefix(first, "unknown flag: --"+flag) && !strings.HasPrefix(first, "unknown flag: --"+flag+"-") {
			return "Secrets are never given on the command line, where other programs can read them: use --" + flag + "-file, or wait to be asked."
		}
	}
	if needsQuotes(first) {
		first = printable(first)
	}
	return strings.ToUpper(first[:1]) + first[1:] + "."
}

// usageAdvice repeats cobra's guess at a mistyped command, else points at the help.
func usageAdvice(err error) string {
	if _, guess, found := strings.Cut(err.Error(), "Did you mean this?"); found {
		if words := strings.Fields(guess); len(words) > 0 {
			return "Did you mean 'coffer " + words[0] + "'?"
		}
	}
	return "Run it with --help to see how it is used."
}

// A doneError ends a command that has said everything itself with a status of its own.
type doneError struct{ status int }

func (e doneError) Error() string { return fmt.Sprintf("coffer: done with status %d", e.status) }

// ended is nil for exitDone, else a doneError.
func ended(status int) error {
	if status == exitDone {
		return nil
	}
	return doneError{status}
}

// A commandError is a failure that only the command line knows, with its sentence. Its
// says and advice hold no raw names: they are made with printable.
type commandError struct {
	code         app.Code
	says, advice string
	path         string // raw bytes, for JSON
	err          error  // shown with --verbose; may be nil
}

func (e *commandError) Error() string { return "coffer: " + e.says }
func (e *commandError) Unwrap() error { return e.err }

// usage returns an error about the arguments.
func usage(says, advice string) error {
	return &commandError{code: app.CodeUsage, says: says, advice: advice}
}

// command makes a cobra command whose errors before run are mistakes of usage.
func (p *program) command(use, short, long string, args cobra.PositionalArgs, run func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: strings.TrimSpace(long), Args: args,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.applyFlags(); err != nil {
				return err
			}
			p.running = true
			return run(cmd.Context(), args)
		},
	}
}

// The engine needs a few buffers whatever the budget; less than this is a mistake.
const minMemory = 64 << 20

// applyFlags puts the flags that every command takes to work.
func (p *program) applyFlags() error {
	p.console.json, p.console.quiet, p.console.verbose = p.flags.json, p.flags.quiet, p.flags.verbose
	n, err := parseSize(p.flags.memory)
	if err != nil {
		return usage("The value of --memory is not a size.", "Write it like 256MiB or 1GiB.")
	}
	if n < minMemory {
		return usage("The value of --memory is too small.", "Coffer needs at least "+fmt.Sprint(minMemory>>20)+"MiB.")
	}
	p.flags.memoryBytes = n
	if p.limitMemory != nil {
		p.limitMemory(n)
	}
	return nil
}

// openProfile reads the profile that the flags and the environment name.
func (p *program) openProfile() (profile, app.Config, error) {
	cfg, err := p.config(p.flags.home, p.getenv)
	if err != nil {
		return nil, cfg, err
	}
	cfg.Memory = p.flags.memoryBytes
	a, err := p.newProfile(cfg)
	if err == nil && p.flags.place != "" {
		if err = a.UsePlace(p.flags.place); err != nil {
			err = errors.Join(err, a.Close())
		}
	}
	return a, cfg, err
}

// withProfile runs work on the profile and closes it.
func (p *program) withProfile(work func(a profile, cfg app.Config) error) (err error) {
	a, cfg, err := p.openProfile()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return work(a, cfg)
}

// interactive reports whether there is somebody to ask. What counts is standard input: a
// job that has a terminal somewhere but reads from /dev/null must not hang at a question.
func (p *program) interactive() bool { return isTerminal(p.stdin) }

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
