package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"coffer/app"
)

// maxSecretFile bounds a file with a secret. The longest that is of use is a pasted
// recovery sheet, under 2 KiB; a wrong path may name a disk image.
const maxSecretFile = 64 << 10

// secretFlags are the files from which a command may take its way in. None of them holds
// a secret itself: the arguments of a process are public on its computer.
type secretFlags struct{ password, passphrase, key string }

// add gives cmd the three flags. At most one may be used.
func (s *secretFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.password, "password-file", "", "read the password from `FILE` (- is standard input)")
	f.StringVar(&s.passphrase, "passphrase-file", "", "read the passphrase from `FILE` (- is standard input)")
	f.StringVar(&s.key, "key-file", "", "read the 64-digit recovery key from `FILE` (- is standard input)")
	cmd.MarkFlagsMutuallyExclusive("password-file", "passphrase-file", "key-file")
}

func (s secretFlags) given() bool { return s.password != "" || s.passphrase != "" || s.key != "" }

// A wayIn is the secret that the user gave, and what kind it is.
type wayIn struct {
	lock   app.LockKind
	secret app.Secret
	key    app.RootKey
}

// wipe overwrites what the program holds of the secret.
func (w wayIn) wipe() {
	w.secret.Wipe()
	w.key.Wipe()
}

// read takes the secret from the file that a flag names.
func (s secretFlags) read(p *program) (w wayIn, err error) {
	switch {
	case s.password != "":
		w.lock = app.LockPassword
		w.secret, err = p.readSecretFile(s.password)
	case s.passphrase != "":
		w.lock = app.LockPassphrase
		w.secret, err = p.readSecretFile(s.passphrase)
	case s.key != "":
		w.lock = app.LockKey
		w.key, err = p.readKeyFile(s.key)
	}
	return w, err
}

// readSecretFile reads a secret from a file, or from standard input when name is "-". One
// newline at its end is not part of it: editors and echo put one there.
func (p *program) readSecretFile(name string) (app.Secret, error) {
	var text []byte
	var err error
	// It may be a pipe that nobody writes to. Nothing is lost while a secret is read, so
	// that Ctrl-C may end the process as it does at a prompt.
	p.signals.whileAsking(func() { text, err = p.readBounded(name) })
	if err != nil {
		return app.Secret{}, &commandError{
			code: app.CodeUsage, path: name, err: err,
			says:   fmt.Sprintf("The file %s could not be read.", printable(name)),
			advice: secretFileAdvice(err),
		}
	}
	trimmed := bytes.TrimSuffix(text, []byte("\n"))
	trimmed = bytes.TrimSuffix(trimmed, []byte("\r"))
	if len(trimmed) == 0 {
		return app.Secret{}, &commandError{
			code: app.CodeUsage, path: name,
			says:   fmt.Sprintf("The file %s is empty.", printable(name)),
			advice: "It must hold the secret on one line.",
		}
	}
	return app.NewSecret(trimmed), nil
}

var errSecretTooLong = errors.New("coffer: longer than 64 KiB")

func secretFileAdvice(err error) string {
	switch {
	case errors.Is(err, errSecretTooLong):
		return "It is longer than 64 KiB: no secret is. Is it the right file?"
	case errors.Is(err, os.ErrNotExist):
		return "There is no such file."
	case errors.Is(err, os.ErrPermission):
		return "You may not read it."
	}
	return "Is it a file that holds the secret on one line?"
}

func (p *program) readBounded(name string) ([]byte, error) {
	r := p.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		p.warnIfShared(f)
		r = f
	}
	// One allocation of the full size: a buffer that grows would leave copies behind.
	text := make([]byte, maxSecretFile+1)
	n, err := io.ReadFull(r, text)
	switch {
	case err == nil:
		clear(text)
		return nil, errSecretTooLong
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return text[:n], nil
	}
	clear(text)
	return nil, err
}

// warnIfShared says that other users of this computer can read a file with a secret. On
// Windows the mode says nothing of who may read.
func (p *program) warnIfShared(f *os.File) {
	info, err := f.Stat()
	if err != nil || runtime.GOOS == "windows" || !info.Mode().IsRegular() || info.Mode().Perm()&0o044 == 0 {
		return
	}
	p.console.warn("Warning: other users of this computer can read %s. 'chmod 600' keeps it to you.", printable(f.Name()))
}

// readKeyFile reads the 64 digits from a file, in any form that people have them in.
func (p *program) readKeyFile(name string) (key app.RootKey, err error) {
	text, err := p.readSecretFile(name)
	if err != nil {
		return key, err
	}
	defer text.Wipe()
	text.Expose(func(digits []byte) { key, err = app.ParseRecoveryKey(digits) })
	return key, err
}

// hush stops the terminal from showing what is typed, until show is called. It comes
// before the question: what is typed or pasted early would be shown otherwise. Inside
// another hush it does nothing, so that a dialog can be hidden as a whole.
func (p *program) hush() (show func(), err error) {
	f, ok := p.stdin.(*os.File)
	if !ok || !p.interactive() {
		return nil, errNobodyToAsk()
	}
	if p.hushed {
		return func() {}, nil
	}
	restore, err := hideTyping(f)
	if err != nil {
		return nil, err
	}
	p.hushed = true
	p.signals.set(restore)
	return func() {
		p.signals.set(nil)
		restore()
		p.hushed = false
	}, nil
}

// askSecret asks for a secret on the terminal, without showing it.
func (p *program) askSecret(prompt string) (app.Secret, error) {
	show, err := p.hush()
	if err != nil {
		return app.Secret{}, err
	}
	defer show()
	out, done := p.promptTo()
	defer done()
	io.WriteString(out, prompt+" ")
	text, err := term.ReadPassword(int(p.stdin.(*os.File).Fd()))
	io.WriteString(out, "\n") // the one that was typed was not shown either
	if errors.Is(err, io.EOF) {
		return app.Secret{}, &commandError{code: app.CodeCanceled, says: "Nothing was typed."}
	}
	if err != nil {
		return app.Secret{}, fmt.Errorf("read from terminal: %w", err)
	}
	return app.NewSecret(text), nil
}

// askLine asks a question whose answer may be seen.
func (p *program) askLine(prompt string) (string, error) {
	if !p.interactive() {
		return "", errNobodyToAsk()
	}
	out, done := p.promptTo()
	defer done()
	io.WriteString(out, prompt+" ")
	var line []byte
	var err error
	p.signals.whileAsking(func() { line, err = readLine(p.stdin) })
	return strings.TrimSpace(string(line)), err
}

// promptTo returns where a question is seen: standard error, or the terminal itself when
// standard error goes elsewhere (`coffer backup 2> log`).
func (p *program) promptTo() (w io.Writer, done func()) {
	p.console.clearLine()
	if isTerminal(p.stderr) {
		return p.stderr, func() {}
	}
	name := "/dev/tty"
	if runtime.GOOS == "windows" {
		name = "CONOUT$"
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return p.stderr, func() {}
	}
	return f, func() { f.Close() }
}

func errNobodyToAsk() error {
	return usage("There is no terminal to ask on.",
		"Give the secret in a file: --password-file, --passphrase-file or --key-file (- is standard input).")
}

// readLine reads up to a newline and nothing beyond it: what follows belongs to the next
// prompt.
func readLine(r io.Reader) (line []byte, err error) {
	one := make([]byte, 1)
	for len(line) < maxSecretFile {
		n, err := r.Read(one)
		if n == 1 && one[0] == '\n' {
			return line, nil
		}
		line = append(line, one[:n]...)
		if err != nil {
			return line, err
		}
	}
	return line, errSecretTooLong
}

// newSecret asks for a password or passphrase that is being set: what is wrong with it is
// said before it has to be typed again, and it is asked twice.
func (p *program) newSecret(lock app.LockKind) (app.Secret, error) {
	name := "password"
	if lock == app.LockPassphrase {
		name = "passphrase"
	}
	show, err := p.hush()
	if err != nil {
		return app.Secret{}, err
	}
	defer show()
	for {
		first, err := p.askSecret("New " + name + ":")
		if err != nil {
			return app.Secret{}, err
		}
		if !p.takes(lock, first) {
			first.Wipe()
			continue
		}
		again, err := p.askSecret("The same once more:")
		if err != nil {
			first.Wipe()
			return app.Secret{}, err
		}
		same := first.Equal(again)
		again.Wipe()
		if same {
			return first, nil
		}
		first.Wipe()
		p.console.warn("The two differ. Nothing was set.")
	}
}

// takes says what is wrong with a new secret and reports whether it can be set.
func (p *program) takes(lock app.LockKind, secret app.Secret) bool {
	advise := app.AdvisePassword
	if lock == app.LockPassphrase {
		advise = app.AdvisePassphrase
	}
	advice := advise(secret, nil)
	for _, w := range advice.Warnings {
		p.console.warn("%s", passwordWarning(w))
	}
	if !advice.OK {
		p.console.warn("%s", passwordProblem(lock, advice.Problem))
	}
	return advice.OK
}

// askKey asks for the 64 digits, line by line, and says at once which line has a typing
// error. All digits at once are taken too.
func (p *program) askKey() (app.RootKey, error) {
	show, err := p.hush()
	if err != nil {
		return app.RootKey{}, err
	}
	defer show()
	p.console.warn("Type the 64 digits, line by line as on your recovery sheet, or all at once. They are not shown.")
	var text []byte
	defer func() { clear(text) }()
	for n := 1; n <= 8; {
		line, err := p.askSecret(fmt.Sprintf("Line %d of 8:", n))
		if err != nil {
			return app.RootKey{}, err
		}
		state := app.LineEmpty
		var whole app.RootKey
		line.Expose(func(b []byte) {
			if state = app.CheckRecoveryLine(n, string(b)); state == app.LineRight {
				text = append(append(text, b...), '\n')
			} else if n == 1 && len(b) >= 64 {
				whole, err = app.ParseRecoveryKey(b)
			}
		})
		line.Wipe()
		switch {
		case err != nil:
			return app.RootKey{}, err
		case !whole.IsZero():
			return whole, nil
		case state == app.LineRight:
			n++
		default:
			p.console.warn("Line %d is not right: it has 8 digits (0-9, a-f), and a typing error shows here.", n)
		}
	}
	return app.ParseRecoveryKey(text)
}
