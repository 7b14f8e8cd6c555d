package vault_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const movePassword = "quince 4417 lantern"

// A computer has coffer, as it is built, with a profile of its own.
type computer struct {
	*testing.T
	home string
}

func newComputer(t *testing.T) *computer {
	t.Helper()
	c := &computer{t, t.TempDir()}
	must(t, os.WriteFile(filepath.Join(c.home, "password"), []byte(movePassword+"\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(c.home, "wrong"), []byte("medlar 1 lamp\n"), 0o600))
	must(t, os.Mkdir(filepath.Join(c.home, "Documents"), 0o700))
	must(t, os.WriteFile(filepath.Join(c.home, "Documents", "letter"), []byte("Dear Ann"), 0o600))
	return c
}

func (c *computer) command(args ...string) *exec.Cmd {
	c.Helper()
	path, err := builtCoffer()
	must(c.T, err)
	cmd := exec.Command(path, append([]string{"-C", filepath.Join(c.home, "profile")}, args...)...)
	cmd.Env = []string{"HOME=" + c.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + c.home, "LC_ALL=C.UTF-8"}
	cmd.Dir = c.home
	return cmd
}

// run returns what the command said, and its exit status.
func (c *computer) run(args ...string) (out, said string, status int) {
	c.Helper()
	var o, e bytes.Buffer
	cmd := c.command(args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.Fatalf("coffer %v: %v", args, err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func (c *computer) must(args ...string) (out string) {
	c.Helper()
	out, said, status := c.run(args...)
	if status != 0 {
		c.Fatalf("coffer %v: exit status %d\n%s%s", args, status, out, said)
	}
	return out
}

// summary is the last line of a command with --json.
func (c *computer) summary(args ...string) map[string]any {
	c.Helper()
	lines := strings.Split(strings.TrimSpace(c.must(append([]string{"--json"}, args...)...)), "\n")
	var v map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &v); err != nil {
		c.Fatalf("coffer %v: %v: %s", args, err, lines)
	}
	return v
}

// TestMoves: the program as it is built takes the password of a backup from this computer's
// vault to one on a network, and back.
func TestMoves(t *testing.T) {
	inWorlds(t, func(w *world) bool { return w.store == "bolt" }, func(t *testing.T, w *world) {
		if w.seal == "soft" {
			testKilledMoves(t, w)
			return
		}
		testHardwareMove(t, w)
	})
}

// A mover is a computer with a backup behind a password.
type mover struct {
	*computer
	place string
	link  string
}

func newMover(t *testing.T, w *world) *mover {
	t.Helper()
	m := &mover{newComputer(t), "", w.link.String()}
	m.place = filepath.Join(m.home, "Place")
	m.must("setup", "--to", m.place, "--password-file", "password", "Documents")
	m.must("backup")
	return m
}

// there and here are the two directions.
func (m *mover) there() []string {
	return []string{"vault", "move", m.link, "--password-file", "password"}
}
func (m *mover) here() []string {
	return []string{"vault", "move", "--here", "--password-file", "password"}
}

// kind asks the vault that guards the password now, which must know the record as a good one
// with all tries, and says where it is: "server" or "embedded".
func (m *mover) kind() string {
	m.Helper()
	s := m.summary("vault", "status")
	if s["reachable"] != true || s["state"] != "active" || s["tries_left"] != float64(tries) {
		m.Fatalf("the vault that guards the password: %v", s)
	}
	return s["kind"].(string)
}

// opens requires that another computer opens the backup with the password.
func (m *mover) opens() *computer {
	m.Helper()
	other := newComputer(m.T)
	other.must("open", "--from", m.place, "--password-file", "password")
	other.must("snapshots")
	return other
}

// changing are the points of a move at which something becomes known that lasts: a file gets
// its name, or loses it.
const changing = `^before (rename|remove) `

// stride is how far apart the kills of one run are: a dozen commands follow each. Another run
// begins elsewhere, so that every point gets its turn; COFFER_E2E_STRIDE=1 takes them all.
func stride(t *testing.T) int {
	text := os.Getenv("COFFER_E2E_STRIDE")
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("COFFER_E2E_STRIDE is %q", text)
	}
	return n
}

// testKilledMoves kills a move to the vault and one back before changes that it makes to
// profile and place, one after the other. After each: the vault that guards the password is
// asked, a backup is made, where the password is on the network another computer opens the
// backup with it; and the same command, given again, ends what was begun.
func testKilledMoves(t *testing.T, w *world) {
	m := newMover(t, w)
	through := map[string]bool{}
	killed := map[string][]string{}
	step := stride(t)
	for at := 1 + rand.N(step); !through["server"] || !through["embedded"]; at += step {
		if at > 60 {
			t.Fatal("a move has no end")
		}
		for _, d := range []struct {
			to   string
			args []string
		}{{"server", m.there()}, {"embedded", m.here()}} {
			if through[d.to] {
				m.must(d.args...) // for the other direction
				continue
			}
			did, status := runUntil(t, at, changing, m.command(d.args...))
			if through[d.to] = status == 0; status != 0 && status != 128+9 {
				t.Fatalf("%v: exit status %d at %s", d.args, status, told(did.points))
			}
			if !through[d.to] {
				killed[d.to] = append(killed[d.to], did.points[len(did.points)-1])
			}
			m.goesOn(d.to, d.args)
		}
	}
	for to, points := range killed {
		if len(points) < 2 {
			t.Errorf("a move to the vault (%s) was killed %d times only", to, len(points))
		}
		t.Logf("a move to the vault (%s) was killed %d times: %s", to, len(points), strings.Join(points, ", "))
	}
}

// goesOn requires that all is well after a move that may have been killed.
func (m *mover) goesOn(to string, args []string) {
	m.Helper()
	before := m.kind()
	m.must("backup")
	if before == "server" {
		m.opens()
	}
	out, said, status := m.run(append([]string{"--json"}, args...)...)
	switch {
	case status != 0 && before != to, status != 0 && !strings.Contains(out+said, "vault-same"):
		m.Fatalf("%v, again, from the vault (%s): exit status %d\n%s%s", args, before, status, out, said)
	case m.kind() != to:
		m.Fatalf("after %v the password is not in the vault (%s)", args, to)
	case to == "server" && before != to:
		m.opens()
	}
}

// testHardwareMove takes a password to a vault with hardware. What is counted there for a
// computer that only has the password is what the first computer is shown, and what both are
// told of the hardware is what docs/vault-protocol.md says of it.
func testHardwareMove(t *testing.T, w *world) {
	m := newMover(t, w)
	m.must(m.there()...)
	want := map[string]struct{ enforced, text string }{
		"tpm":        {"tpm", "Hardware: yes. A TPM counts the tries, against everybody.\nThe chip has proven that just now.\n"},
		"tpm-epochs": {"program", "Hardware: yes. Its keys are bound to a TPM, which notices old copies; its program counts the tries.\n"},
		"pkcs11":     {"token", "Hardware: yes. Its keys cannot leave a token; its program counts the tries.\n"},
	}[w.seal]
	left := func(n int) {
		t.Helper()
		s := m.summary("vault", "status")
		if s["state"] != "active" || s["tries_left"] != float64(n) || s["hardware"] != true || s["enforced"] != want.enforced || s["attested"] != (w.seal == "tpm") {
			t.Fatalf("want %d tries left, enforced by %s: %v", n, want.enforced, s)
		}
	}
	left(tries)
	if text := m.must("vault", "status"); !strings.Contains(text, want.text) {
		t.Errorf("no %q in\n%s", want.text, text)
	}
	other := newComputer(t)
	for n := tries - 1; n >= tries-2; n-- {
		out, said, status := other.run("--json", "open", "--from", m.place, "--password-file", "wrong")
		if status != 4 || !strings.Contains(out+said, `"wrong-password"`) {
			t.Fatalf("a wrong password: exit status %d\n%s%s", status, out, said)
		}
		left(n)
	}
	other.must("open", "--from", m.place, "--password-file", "password")
	left(tries)
	if text := other.must("vault", "status"); !strings.Contains(text, want.text) {
		t.Errorf("on another computer: no %q in\n%s", want.text, text)
	}
	m.must("backup")
	m.must(m.here()...)
	if out, said, status := newComputer(t).run("open", "--from", m.place, "--password-file", "password"); status == 0 {
		t.Fatalf("the vault that was left still opens the backup: %s%s", out, said)
	}
	if m.kind() != "embedded" {
		t.Fatal("the password did not come back")
	}
}
