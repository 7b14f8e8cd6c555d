package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coffer/app"
)

// openTerminal makes a terminal: what is written to person arrives at program as typed.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// answer plays the person: it waits for each question and types the answer. It returns
// all that was seen on the screen.
func answer(t *testing.T, person *os.File, dialog ...string) string {
	t.Helper()
	var seen bytes.Buffer
	from := 0
	b := make([]byte, 1024)
	for len(dialog) > 0 {
		if at := strings.Index(seen.String()[from:], dialog[0]); at >= 0 {
			from += at + len(dialog[0])
			if len(dialog) > 1 {
				io.WriteString(person, dialog[1])
			}
			dialog = dialog[min(2, len(dialog)):]
			continue
		}
		n, err := person.Read(b)
		if err != nil {
			t.Fatalf("waiting for %q: %v; seen %q", dialog[0], err, seen.String())
		}
		seen.Write(b[:n])
	}
	return seen.String()
}

// runOnTerminal runs a command on a terminal on which somebody answers.
func runOnTerminal(t *testing.T, f *fakeProfile, args []string, dialog ...string) (status int, seen string) {
	t.Helper()
	person, tty := openTerminal(t)
	p := &program{
		stdin: tty, stdout: tty, stderr: tty, ctx: t.Context(),
		getenv:     func(string) string { return "" },
		config:     func(home string, _ func(string) string) (app.Config, error) { return app.Config{Home: home}, nil },
		newProfile: func(app.Config) (profile, error) { return f, nil },
	}
	ended := make(chan int, 1)
	go func() {
		ended <- p.run(args)
		io.WriteString(tty, "THE END")
	}()
	seen = answer(t, person, append(dialog, "THE END")...)
	return <-ended, seen
}

// A secret is not shown while it is typed, is asked for twice when it is set, and what is
// wrong with it is said before the second time.
func TestASecretIsNotShownWhileItIsTyped(t *testing.T) {
	f := &fakeProfile{key: app.NewRootKey()}
	status, seen := runOnTerminal(t, f, []string{"setup", "--to", "P"},
		"New password:", "short\n",
		"at least 8 characters", "",
		"New password:", "seven green boats sail home\n",
		"The same once more:", "seven grey boats sail home\n",
		"The two differ", "",
		"New password:", "seven green boats sail home\n",
		"The same once more:", "seven green boats sail home\n",
		"Ready.", "")
	if status != exitDone || f.setupOptions.Lock != app.LockPassword {
		t.Errorf("status %d, %+v", status, f.setupOptions)
	}
	if strings.Contains(seen, "boats") || strings.Contains(seen, "short\r") {
		t.Errorf("the screen showed %q", seen)
	}
}

// Where the key is kept nowhere it is asked for; tries are said before.
func TestTriesAreSaidBeforeTheFirstOne(t *testing.T) {
	f := &fakeProfile{overview: app.Overview{
		SetUp: true, Locked: true, KeptIn: app.KeepAsk,
		WaysIn: []app.WayIn{{Kind: app.LockPassword, VaultHere: true, TriesLeft: 7}},
	}}
	status, seen := runOnTerminal(t, f, []string{"snapshots"},
		"7 tries are left.", "", "Password:", "correct horse\n")
	if status != exitDone || f.unlockSecret != "correct horse" || strings.Contains(seen, "horse") {
		t.Errorf("status %d, secret of %d bytes, seen %q", status, len(f.unlockSecret), seen)
	}
	// Nothing typed is no try.
	f.unlockSecret = ""
	if status, _ := runOnTerminal(t, f, []string{"snapshots"}, "Password:", "\n", "No try was used", ""); status != exitCanceled || f.unlockSecret != "" {
		t.Errorf("status %d", status)
	}
}

// A progress line stands on one line of the terminal, and is gone at the end.
func TestProgressOnATerminal(t *testing.T) {
	status, seen := runOnTerminal(t, &fakeProfile{}, []string{"backup"}, "Backed up", "")
	if status != exitDone || !strings.Contains(seen, "\rBacking up: ") || !strings.Contains(seen, "/home/ann") || strings.Contains(seen, "\x1b") {
		t.Errorf("status %d, seen %q", status, seen)
	}
}

// stoppingProfile is stopped in the middle of everything.
type stoppingProfile struct {
	fakeProfile
	stop func()
}

func (s *stoppingProfile) Backup(ctx context.Context, _ app.BackupOptions) (app.BackupSummary, error) {
	s.stop()
	<-ctx.Done()
	return app.BackupSummary{}, errors.Join(errors.New("upload"), ctx.Err())
}

// The first signal cancels, the command says what was kept, and the status is 130.
func TestFirstSignalCancels(t *testing.T) {
	var out, errs bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	p := &program{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs, ctx: ctx, signals: &signals{},
		getenv: func(string) string { return "" },
		config: func(string, func(string) string) (app.Config, error) { return app.Config{}, nil },
	}
	p.newProfile = func(app.Config) (profile, error) {
		return &stoppingProfile{stop: func() { p.signals.handle(1, cancel) }}, nil
	}
	if status := p.run([]string{"backup"}); status != exitCanceled {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{"Press Ctrl-C again to end at once", "Stopped.", "Nothing is lost: the next backup goes on from here."} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("%q is not in %q", want, errs.String())
		}
	}
}
