package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A setupMaker makes a new backup.
type setupMaker interface {
	Setup(ctx context.Context, o app.SetupOptions) (app.SetupResult, error)
}

// sourceFlags say what is left out of a backup.
type sourceFlags struct {
	exclude     []string
	excludeFrom string
}

func (s *sourceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&s.exclude, "exclude", nil, "leave out what matches `PATTERN` (may be repeated)")
	cmd.Flags().StringVar(&s.excludeFrom, "exclude-from", "", "read patterns from `FILE`, one a line; # begins a comment")
}

type setupFlags struct {
	secrets secretFlags
	sources sourceFlags
	connect connectFlags
	to      string
	vault   string
	newKey  bool
	keepKey string
}

func (p *program) setupCommand() *cobra.Command {
	var f setupFlags
	cmd := p.command("setup --to PLACE [SOURCE...]", "Make a new backup", `
Makes a new, empty backup in a place, and remembers which folders go into it. The folder
of the place is made when its parent exists. Nothing is backed up yet: 'coffer backup'
does that.

Choose how to get back in:
  a password       short enough to remember; a vault guards it and counts the tries
                   (without any flag it is asked for; --password-file reads it). The vault
                   is on this computer, or with --vault on a network
  a recovery key   64 digits, and nothing else (--new-key prints them once, alone, on
                   standard output; --key-file takes your own)
  a passphrase     long; no vault guards it (--passphrase-file)

Nobody can reset any of these for you. Save the recovery sheet: 'coffer key sheet'.

  coffer setup --to /media/disk/Backup ~/Documents ~/Pictures
  coffer setup --to /media/disk/Backup --vault 'coffer-vault://...' ~/Documents
  coffer setup --to /media/disk/Backup --new-key ~/Documents > recovery-key.txt
  coffer setup --to drive: --drive-client client.json ~/Documents
  coffer setup --to sftp://ann@nas.example/backup --ssh-key ~/.ssh/id_ed25519 ~/Documents`,
		cobra.ArbitraryArgs, func(ctx context.Context, args []string) error { return p.setup(ctx, &f, args) })
	f.secrets.add(cmd)
	f.sources.add(cmd)
	f.connect.add(cmd)
	cmd.Flags().StringVar(&f.to, "to", "", "the `PLACE` that keeps the backup: a folder, or see 'coffer help places'")
	cmd.Flags().BoolVar(&f.newKey, "new-key", false, "lock with a new 64-digit key, printed once on standard output")
	addKeepKey(cmd, &f.keepKey)
	addVault(cmd, &f.vault)
	must(cmd.MarkFlagRequired("to"))
	must(cmd.MarkFlagDirname("to"))
	cmd.MarkFlagsMutuallyExclusive("new-key", "password-file", "passphrase-file", "key-file")
	for _, other := range []string{"new-key", "passphrase-file", "key-file"} {
		cmd.MarkFlagsMutuallyExclusive("vault", other)
	}
	return cmd
}

func addVault(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "vault", "", "the `LINK` of the vault on a network that guards the password; default: the vault on this computer")
}

// showVault says who runs a vault, before anybody thinks of a password for it.
func (p *program) showVault(ctx context.Context, a vaultKeeper, link string) error {
	if link == "" {
		return nil
	}
	d, err := a.InspectVault(ctx, link)
	if err != nil {
		return aboutLink(err)
	}
	if !p.console.json {
		p.console.note("%s", describeText(d))
	}
	return nil
}

// must stops a program whose own command tree is wrong: it cannot happen to a user.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func addKeepKey(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "keep-key", "", "`WHERE` this computer keeps the key: keyring, file, or ask (nowhere); default: keyring, else file")
	must(cmd.RegisterFlagCompletionFunc("keep-key", cobra.FixedCompletions([]string{"keyring", "file", "ask"}, cobra.ShellCompDirectiveNoFileComp)))
}

func parseKeepKey(value string) (app.KeepKey, error) {
	switch k := app.KeepKey(value); k {
	case app.KeepAuto, app.KeepKeyring, app.KeepFile, app.KeepAsk:
		return k, nil
	}
	return "", usage("The value of --keep-key is not known.", "It is keyring, file or ask.")
}

func (p *program) setup(ctx context.Context, f *setupFlags, args []string) error {
	if f.newKey {
		p.console.outputIsData()
	}
	keep, err := parseKeepKey(f.keepKey)
	if err != nil {
		return err
	}
	sources, exclude, err := f.sources.resolve(args)
	if err != nil {
		return err
	}
	if err := f.connect.oneStdin(f.secrets.password, f.secrets.passphrase, f.secrets.key); err != nil {
		return err
	}
	var w wayIn
	ask := !f.newKey && !f.secrets.given() && p.interactive()
	if !ask {
		if w, err = p.setupLock(f); err != nil {
			return err
		}
	}
	defer func() { w.wipe() }()
	return p.withProfile(func(a profile, _ app.Config) error {
		to, err := p.connect(ctx, a, &f.connect, f.to)
		if err != nil {
			return err
		}
		if err := p.showVault(ctx, a, f.vault); err != nil {
			return err
		}
		// After the place: nobody is to think of a password for one that is not there.
		if ask {
			if w, err = p.setupLock(f); err != nil {
				return err
			}
		}
		made, err := a.Setup(ctx, app.SetupOptions{
			To: to, Create: true, Sources: sources, Exclude: exclude,
			Lock: w.lock, Secret: w.secret, Key: w.key, KeepKey: keep, Vault: f.vault, Browser: p.browser,
		})
		if err != nil {
			return err
		}
		defer made.Key.Wipe()
		return p.saySetup(f, w.lock, keep, made)
	})
}

// setupLock takes the new lock from the flags, or asks for a password.
func (p *program) setupLock(f *setupFlags) (wayIn, error) {
	if f.newKey {
		return wayIn{lock: app.LockKey}, nil
	}
	if f.secrets.given() {
		return f.secrets.read(p)
	}
	if !p.interactive() {
		return wayIn{}, usage("How shall this backup be locked?",
			"Give --password-file, --new-key, --key-file or --passphrase-file, or run it on a terminal to be asked for a password.")
	}
	p.console.warn("Choose a password. A vault guards it: after a few wrong tries its key is gone.\nNobody can reset this for you.")
	secret, err := p.newSecret(app.LockPassword)
	return wayIn{lock: app.LockPassword, secret: secret}, err
}

// saySetup says what was made. With --new-key the digits are the only thing on standard
// output, and the last thing that can go wrong.
func (p *program) saySetup(f *setupFlags, lock app.LockKind, keep app.KeepKey, made app.SetupResult) error {
	say := func(format string, args ...any) error {
		if !f.newKey {
			return p.console.done(format, args...)
		}
		if !p.console.json {
			p.console.note(format, args...)
		}
		return nil
	}
	p.sayNotices(made.Notices)
	if f.newKey {
		if err := p.printDigits(made.Key); err != nil {
			return err
		}
		p.console.note("These 64 digits open this backup. Keep them on paper, outside this computer.")
	}
	if p.console.json {
		return p.console.record("summary", struct {
			Repository string           `json:"repository"`
			Notices    []app.NoticeCode `json:"notices"`
		}{made.Repository, noticeCodes(made.Notices)})
	}
	kept := keep != app.KeepAsk && !slices.ContainsFunc(made.Notices, func(n app.Notice) bool { return n.Code == app.NoticeKeyNotKept })
	return say("Ready. Who can open this backup: %s. Nobody else.\n"+
		"Nobody can reset this for you. Save the recovery sheet: coffer key sheet FILE.pdf\n"+
		"Next: coffer backup", whoOpens(lock, kept))
}

// whoOpens lists the ways in; kept says that this computer keeps the key.
func whoOpens(lock app.LockKind, kept bool) string {
	var ways []string
	if kept {
		ways = append(ways, "this computer")
	}
	switch lock {
	case app.LockPassword:
		ways = append(ways, "your password")
	case app.LockPassphrase:
		ways = append(ways, "your passphrase")
	}
	return strings.Join(append(ways, "the 64 digits of your recovery sheet"), ", ")
}

// printDigits writes the 64 digits, alone on one line, on standard output.
func (p *program) printDigits(key app.RootKey) error {
	var err error
	key.Expose(func(b []byte) {
		line := append(hex.AppendEncode(make([]byte, 0, 2*len(b)+1), b), '\n')
		_, err = p.stdout.Write(line)
		clear(line)
	})
	if err != nil {
		return &commandError{
			code: app.CodeDisk, err: err,
			says:   "The backup was made, but the 64 digits could not be printed.",
			advice: "'coffer key show' prints them again while this computer keeps the key.",
		}
	}
	return nil
}

// resolve makes sources absolute and collects the patterns.
func (s sourceFlags) resolve(args []string) (sources, exclude []string, err error) {
	if sources, err = absolute(args); err != nil {
		return nil, nil, err
	}
	exclude = append(exclude, s.exclude...)
	if s.excludeFrom == "" {
		return sources, exclude, nil
	}
	more, err := readPatterns(s.excludeFrom)
	if err != nil {
		return nil, nil, &commandError{
			code: app.CodeUsage, path: s.excludeFrom, err: err,
			says: fmt.Sprintf("The file %s could not be read.", printable(s.excludeFrom)), advice: "It holds patterns, one a line.",
		}
	}
	return sources, append(exclude, more...), nil
}

func absolute(paths []string) ([]string, error) {
	out := make([]string, 0, len(paths))
	for _, path := range paths {
		if path == "" {
			return nil, usage("A source is empty.", "Is a variable of a script not set?")
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("find working folder: %w", err)
		}
		out = append(out, abs)
	}
	return out, nil
}

// maxPatterns bounds a file of patterns: every file of a backup is compared with each.
const maxPatterns = 10000

var errPatterns = errors.New("coffer: not a file of patterns")

func readPatterns(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parsePatterns(f)
}

// parsePatterns reads patterns, one a line. Empty lines and lines that begin with # are
// left out. Lines are at most 4 KiB, as paths are.
func parsePatterns(r io.Reader) (patterns []string, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4<<10), 4<<10)
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if strings.ContainsRune(line, 0) || len(patterns) == maxPatterns {
			return nil, errPatterns
		}
		if strings.TrimSpace(line) != "" && line[0] != '#' {
			patterns = append(patterns, line)
		}
	}
	return patterns, lines.Err()
}
