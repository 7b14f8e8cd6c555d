package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a condition may take on a machine that is busy with other things.
const patience = 60 * time.Second

// A desk is a display with a window manager, a bus, and a home that nobody else uses.
type desk struct {
	*testing.T
	env     []string
	home    string
	profile string // the profile
	shots   string // folder for pictures of the screen
	shot    int
	log     *logReader
}

// newDesk starts a display. Everything started here ends with the test.
func newDesk(t *testing.T, name string) *desk {
	t.Helper()
	for _, tool := range []string{"Xvfb", "openbox", "xdotool", "dbus-daemon", "pdftotext", "import"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v (scripts/packages.sh window installs it)", err)
		}
	}
	d := &desk{T: t, home: t.TempDir(), shots: os.Getenv("COFFER_E2E_SHOTS")}
	if d.shots == "" {
		d.shots = t.TempDir()
	}
	d.shots = filepath.Join(d.shots, name)
	must(t, os.MkdirAll(d.shots, 0o755))
	runtime := t.TempDir()
	must(t, os.Chmod(runtime, 0o700))
	d.profile = filepath.Join(d.home, ".config", "coffer")
	d.env = []string{
		"HOME=" + d.home, "XDG_RUNTIME_DIR=" + runtime, "PATH=" + os.Getenv("PATH"),
		"LC_ALL=en_US.UTF-8", "COFFER_HOME=" + d.profile, "COFFER_LOG=debug", "LIBGL_ALWAYS_SOFTWARE=1", "NO_AT_BRIDGE=1",
	}
	d.display()
	d.bus(runtime)
	d.start("openbox", "--sm-disable")
	return d
}

// display starts Xvfb on a number that it finds by itself.
func (d *desk) display() {
	r, w, err := os.Pipe()
	must(d.T, err)
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1280x860x24", "-nolisten", "tcp", "+extension", "GLX")
	cmd.ExtraFiles = []*os.File{w}
	d.run(cmd)
	w.Close()
	number, err := bufio.NewReader(r).ReadString('\n')
	must(d.T, err)
	r.Close()
	d.env = append(d.env, "DISPLAY=:"+strings.TrimSpace(number))
}

// bus starts a message bus, so that no keyring of the real session is met.
func (d *desk) bus(runtime string) {
	address := "unix:path=" + filepath.Join(runtime, "bus")
	d.start("dbus-daemon", "--session", "--nofork", "--nopidfile", "--address="+address)
	d.until("the bus", func() bool { _, err := os.Stat(filepath.Join(runtime, "bus")); return err == nil })
	d.env = append(d.env, "DBUS_SESSION_BUS_ADDRESS="+address)
}

// start runs a program in the background until the test ends.
func (d *desk) start(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = d.env
	return d.run(cmd)
}

func (d *desk) run(cmd *exec.Cmd) *exec.Cmd {
	var said bytes.Buffer
	cmd.Stderr, cmd.Stdout = &said, &said
	must(d.T, cmd.Start())
	d.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // "signal: killed"
		if d.Failed() && said.Len() > 0 {
			d.Logf("%s said:\n%s", filepath.Base(cmd.Path), said.String())
		}
	})
	return cmd
}

// openCoffer starts the window and waits for its first screen.
func (d *desk) openCoffer(first string) {
	binary, err := filepath.Abs(filepath.Join("..", "build", "coffer-desktop"))
	must(d.T, err)
	if other := os.Getenv("COFFER_DESKTOP"); other != "" {
		binary = other
	}
	d.log = &logReader{path: filepath.Join(d.profile, "log", "coffer.log")}
	d.start(binary)
	d.screen(first)
	// The window has to be there for the keyboard before keys mean anything.
	d.tool("search", "--sync", "--onlyvisible", "--name", "^Coffer$", "windowfocus", "--sync")
}

// tool runs xdotool.
func (d *desk) tool(args ...string) {
	d.Helper()
	cmd := exec.Command("xdotool", args...)
	cmd.Env = d.env
	if out, err := cmd.CombinedOutput(); err != nil {
		d.Fatalf("xdotool %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func (d *desk) key(names ...string) { d.tool(append([]string{"key", "--delay", "30"}, names...)...) }
func (d *desk) text(s string)       { d.tool("type", "--delay", "15", s) }

// screen waits until a screen is shown, and takes a picture of it.
func (d *desk) screen(name string) {
	d.Helper()
	d.logged("screen shown", "name", name)
	d.picture(name)
}

// logged waits for a line of the log and returns it.
func (d *desk) logged(message string, pairs ...string) (entry map[string]any) {
	d.Helper()
	d.until(message+" "+strings.Join(pairs, " "), func() bool {
		entry = d.log.find(d.T, message, pairs)
		return entry != nil
	})
	return entry
}

// picture saves what the screen shows.
func (d *desk) picture(name string) {
	d.shot++
	file := filepath.Join(d.shots, fmt.Sprintf("%02d-%s.png", d.shot, strings.ReplaceAll(name, "/", "-")))
	cmd := exec.Command("import", "-silent", "-window", "root", file)
	cmd.Env = d.env
	if out, err := cmd.CombinedOutput(); err != nil {
		d.Logf("no picture: %v: %s", err, out)
	}
}

// until waits for a condition, and fails when it does not come.
func (d *desk) until(what string, is func() bool) {
	d.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !is() {
		select {
		case <-end:
			d.picture("failed")
			d.Fatalf("still not: %s (pictures in %s)", what, d.shots)
		case <-tick.C:
		}
	}
}

// logReader reads the log line by line. Each line is found once.
type logReader struct {
	path string
	at   int64
	seen []map[string]any
}

// find takes the first line with this message and these pairs, and all lines before it.
func (l *logReader) find(t *testing.T, message string, pairs []string) map[string]any {
	l.read(t)
	for i, entry := range l.seen {
		if entry["msg"] != message {
			continue
		}
		fits := true
		for p := 0; p+1 < len(pairs); p += 2 {
			fits = fits && fmt.Sprint(entry[pairs[p]]) == pairs[p+1]
		}
		if fits {
			l.seen = l.seen[i+1:]
			return entry
		}
	}
	return nil
}

func (l *logReader) read(t *testing.T) {
	f, err := os.Open(l.path)
	if err != nil {
		return // not written yet
	}
	defer f.Close()
	_, err = f.Seek(l.at, io.SeekStart)
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, err)
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return
		}
		l.at += int64(len(line)) + 1
		b = rest
		var entry map[string]any
		if json.Unmarshal(line, &entry) == nil {
			l.seen = append(l.seen, entry)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
