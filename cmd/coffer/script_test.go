package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/testscript"

	"coffer/app"
	"coffer/internal/wiring"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"coffer": func() { os.Exit(realMain(storyConfig)) },
	})
}

// storyConfig is the configuration of the real program, but for two things: no story
// touches the keyring of whoever runs the tests, and a guess costs the least that the
// crypto allows, because a story makes dozens.
func storyConfig(home string, getenv func(string) string) (app.Config, error) {
	cfg, err := wiring.Config(home, getenv)
	cfg.Keyring = nil
	cfg.KDF.MemoryKiB, cfg.KDF.Time, cfg.KDF.Threads = 64<<10, 3, 4
	return cfg, err
}

// The stories: the real program against temporary folders. See testdata/script.
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	vaults := &builtVault{dir: t.TempDir()}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for _, v := range []string{
				"HOME=" + env.WorkDir + "/user", "COFFER_HOME=" + env.WorkDir + "/home", "TZ=UTC",
				"XDG_CONFIG_HOME=", "XDG_DATA_HOME=", "XDG_CACHE_HOME=", "DBUS_SESSION_BUS_ADDRESS=",
			} {
				name, value, _ := strings.Cut(v, "=")
				env.Setenv(name, value)
			}
			env.Values[runningVaults{}] = map[string]func(){}
			env.Setenv("HOSTILE", "/esc\x1b[2J\u009b2J\u202e/x")
			return os.MkdirAll(env.WorkDir+"/user", 0o700)
		},
		Condition: condition,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": cmdStatus, "same": cmdSame, "odd-names": cmdOddNames, "flip": cmdFlip, "summary": cmdSummary,
			"leaks": cmdLeaks, "tmpfs": cmdTmpfs, "as-nobody": cmdAsNobody, "hold-lock": cmdHoldLock, "interrupt": cmdInterrupt,
			"random": cmdRandom, "save": cmdSave, "newer-format": cmdNewerFormat,
			"vault-make": vaults.makeVault, "vault-start": vaults.startVault, "vault-stop": vaults.stopVault,
		},
	})
}

func condition(name string) (bool, error) {
	switch name {
	case "mount":
		return canMount(), nil
	case "root":
		return runtime.GOOS == "linux" && os.Getuid() == 0, nil
	}
	return false, fmt.Errorf("condition %q is not known", name)
}

// status N PROGRAM ARGS... runs a program and wants exactly this exit status.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program args...")
	}
	err := ts.Exec(args[1], args[2:]...)
	wantStatus(ts, args[0], err)
}

func wantStatus(ts *testscript.TestScript, want string, err error) {
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("run: %v", err)
	}
	if strconv.Itoa(got) != want {
		ts.Fatalf("exit status %d, want %s", got, want)
	}
}

// same FOLDER FOLDER compares names, contents, links, modes and times of two folders. A !
// wants a difference.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: same folder folder")
	}
	a, b := listTree(ts, args[0]), listTree(ts, args[1])
	if len(a) < 2 {
		ts.Fatalf("%s holds nothing to compare", args[0])
	}
	difference := firstDifference(a, b)
	if (difference != "") != neg {
		ts.Fatalf("difference: %q (%q and %q)", difference, a[difference], b[difference])
	}
}

func listTree(ts *testscript.TestScript, dir string) map[string]string {
	dir = ts.MkAbs(dir)
	held := map[string]string{}
	ts.Check(filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		content, err := contentOf(path, e)
		held[name] = fmt.Sprintf("%v %d %s", info.Mode(), info.ModTime().UnixNano(), content)
		if e.IsDir() && path == dir {
			held[name] = "folder"
		}
		return err
	}))
	return held
}

// odd-names FOLDER makes files whose names try to write to the terminal.
func cmdOddNames(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	for _, name := range []string{"new\nline", "esc\x1b[2Jape", "bad\xff\xfeutf8", "c1\u009b2Jcsi", "bidi\u202etxt.exe", " space ", strings.Repeat("n", 255)} {
		ts.Check(os.WriteFile(filepath.Join(dir, name), []byte("content of "+name), 0o600))
	}
}

// random FILE SIZE makes a file that does not compress, the same in each run.
func cmdRandom(ts *testscript.TestScript, neg bool, args []string) {
	size, err := parseSize(args[1])
	ts.Check(err)
	content := make([]byte, size)
	x := uint64(88172645463325252) + uint64(len(args[0]))
	for i := range content {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		content[i] = byte(x)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
}

// save NAME PATTERN puts the first match of PATTERN (or its first group) in standard
// output into the environment.
func cmdSave(ts *testscript.TestScript, neg bool, args []string) {
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	m := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("%s is not in the output", args[1])
	}
	ts.Setenv(args[0], m[len(m)-1])
}

// newer-format FOLDER makes every head of a place one of the next version of the format,
// under the name that such a head has (docs/format.md, sections 2 and 3.1).
func cmdNewerFormat(ts *testscript.TestScript, neg bool, args []string) {
	const versionAt = 6
	heads, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "head-*"))
	if err != nil || len(heads) == 0 {
		ts.Fatalf("no heads in %s: %v", args[0], err)
	}
	for _, name := range heads {
		content, err := os.ReadFile(name)
		ts.Check(err)
		content[versionAt]++
		ts.Check(os.Remove(name))
		sum := sha256.Sum256(content)
		name = filepath.Join(filepath.Dir(name), "head-"+hex.EncodeToString(sum[:])[:40])
		ts.Check(os.WriteFile(name, content, 0o600))
	}
}

// flip PATTERN changes one bit in the middle of the first file that matches, and saves
// its name as $FLIPPED.
func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	if err != nil || len(files) == 0 {
		ts.Fatalf("no file matches %s: %v", args[0], err)
	}
	content, err := os.ReadFile(files[0])
	ts.Check(err)
	content[len(content)/2] ^= 1
	ts.Check(os.Chmod(files[0], 0o600))
	ts.Check(os.WriteFile(files[0], content, 0o600))
	ts.Setenv("FLIPPED", filepath.Base(files[0]))
}

// summary KEYS... wants every line of standard output to be a record, and the last one to
// be a summary with exactly these keys.
func cmdSummary(ts *testscript.TestScript, neg bool, args []string) {
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\n"), "\n")
	var last map[string]any
	for _, line := range lines {
		last = nil
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			ts.Fatalf("%q: %v", line, err)
		}
		if kind, _ := last["type"].(string); kind == "" {
			ts.Fatalf("%q has no type", line)
		}
	}
	if last["type"] != "summary" {
		ts.Fatalf("the last record is %v", last)
	}
	delete(last, "type")
	var keys []string
	for k := range last {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	slices.Sort(args)
	if !slices.Equal(keys, args) {
		ts.Fatalf("keys %q, want %q", keys, args)
	}
}

// leaks FOLDER FILE... fails when something in FOLDER, a name or a content, holds what one
// of the files holds (without its newline), in one of the ways that text is written. A !
// wants a leak, to show that the search finds one.
func cmdLeaks(ts *testscript.TestScript, neg bool, args []string) {
	var needles [][]byte
	for _, name := range args[1:] {
		secret := []byte(strings.TrimSuffix(ts.ReadFile(name), "\n"))
		if len(secret) < 6 {
			ts.Fatalf("%s is too short to look for", name)
		}
		needles = append(needles, spellings(secret)...)
	}
	files, leak := 0, ""
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		for _, needle := range needles {
			if bytes.Contains(content, needle) || strings.Contains(path, string(needle)) {
				leak = fmt.Sprintf("%s holds %q", path, needle)
			}
		}
		return err
	}))
	if files == 0 {
		ts.Fatalf("no files in %s: nothing was looked at", args[0])
	}
	if (leak != "") != neg {
		ts.Fatalf("leak: %q", leak)
	}
}

// spellings are the ways in which a secret may stand in a file: as it is, in hexadecimal,
// in base64 at each of the three alignments, in UTF-16, and in JSON. Of base64 the ends
// are left out, which depend on what is beside them.
func spellings(secret []byte) [][]byte {
	all := [][]byte{secret, []byte(hex.EncodeToString(secret)), []byte(strings.ToUpper(hex.EncodeToString(secret)))}
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		all = append(all, []byte(strings.TrimRight(text, "=")[4:len(strings.TrimRight(text, "="))-2]))
	}
	var wide []byte
	for _, unit := range utf16.Encode([]rune(string(secret))) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	return append(all, wide)
}

// interrupt ARGS... runs coffer with --json, sends it Ctrl-C when the first progress
// arrives, and wants it to end with 130.
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	path, err := exec.LookPath(filepath.Join(binFolder(ts), "coffer"))
	ts.Check(err)
	cmd := exec.Command(path, append([]string{"--json"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "COFFER_HOME", "COFFER_VAULT_DIR", "PATH", "TMPDIR", "TZ"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	out := &firstLine{arrived: make(chan struct{})}
	cmd.Stdout = out
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-out.arrived:
	case err := <-ended:
		ts.Fatalf("it ended before it said anything: %v", err)
	case <-time.After(time.Minute):
		ts.Fatalf("no progress in a minute")
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	select {
	case err := <-ended:
		fmt.Fprint(ts.Stdout(), out.text.String())
		wantStatus(ts, "130", err)
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		ts.Fatalf("it did not end within a minute of Ctrl-C")
	}
}

// firstLine says when something has been written.
type firstLine struct {
	text    bytes.Buffer
	arrived chan struct{}
}

func (f *firstLine) Write(b []byte) (int, error) {
	if f.text.Len() == 0 {
		close(f.arrived)
	}
	return f.text.Write(b)
}

// binFolder is where the program under test is: testscript puts it first in PATH.
func binFolder(ts *testscript.TestScript) string {
	first, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator))
	return first
}
