package app_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

const (
	childHome = "COFFER_TEST_CHILD_HOME"
)

// smallPacks makes the place ask for packs of a megabyte, so that a test of a few megabytes
// has as many of them as a backup of some gigabytes.
type smallPacks struct{ cloud.Driver }

func (d smallPacks) Caps() cloud.Caps {
	caps := d.Driver.Caps()
	caps.PackSize = 1 << 20
	return caps
}

func small(d cloud.Driver) cloud.Driver { return smallPacks{d} }

// TestChildBackup is not a test: the tests of this file run it in a process of its own that
// they kill. It backs up and says on standard output what it reads.
func TestChildBackup(t *testing.T) {
	home := os.Getenv(childHome)
	if home == "" {
		t.Skip("the other tests start it")
	}
	a, err := app.New(app.Config{Home: home, Computer: "ANN-LAPTOP", Places: &apptest.World{Driver: small}})
	must(t, err)
	o := app.BackupAt(app.BackupOptions{}, time.Now().Add(time.Minute), func(path string) {
		fmt.Printf("read %q\n", path)
	})
	o.Problem = func(p app.Problem) { fmt.Printf("problem %s %s %s\n", p.Kind, filepath.Base(p.Path), p.Reason) }
	s, err := a.Backup(t.Context(), o)
	status, _ := os.ReadFile("/proc/self/status")
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	fmt.Printf("done %d %d %s\n", s.Files, s.Unreadable, strings.Fields(peak + " 0")[0])
	must(t, err)
}

// A child is a backup in a process of its own.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	reads []string
	told  []string // problems
	done  string   // files, unreadable ones, and the most memory used in KiB
}

func startBackup(t *testing.T, c *apptest.Computer) *child {
	t.Helper()
	return startProgram(t, c, exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildBackup$"))
}

func startProgram(t *testing.T, c *apptest.Computer, cmd *exec.Cmd) *child {
	t.Helper()
	cmd.Env = append(os.Environ(), childHome+"="+c.Home)
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	return &child{cmd: cmd, lines: bufio.NewScanner(out)}
}

// until reads what the child says, up to its n-th file or its end.
func (k *child) until(n int) {
	for len(k.reads) < n && k.lines.Scan() {
		if path, ok := strings.CutPrefix(k.lines.Text(), "read "); ok {
			k.reads = append(k.reads, path)
		} else if problem, ok := strings.CutPrefix(k.lines.Text(), "problem "); ok {
			k.told = append(k.told, problem)
		} else if strings.HasPrefix(k.lines.Text(), "done ") {
			k.done = k.lines.Text()
		}
	}
}

func (k *child) kill(t *testing.T) {
	t.Helper()
	must(t, k.cmd.Process.Kill())
	k.until(1 << 30)
	_ = k.cmd.Wait() // it was killed
}

// killWorld has a source of 60 MB in 3,000 files, and keeps the key in a file, for the child.
func killWorld(t *testing.T, files, size int) (*apptest.World, *apptest.Computer) {
	t.Helper()
	w := apptest.New(t)
	w.Driver = small
	c := w.Computer("ANN-LAPTOP")
	c.NoKeyring()
	for i := range files {
		path := filepath.Join(c.Docs, fmt.Sprint("d", i%60), fmt.Sprint("f", i))
		n := size / 4
		if i%10 == 0 {
			n = size * 31 / 4
		}
		writeFile(t, path, string(noise(path, n)))
	}
	setup(t, w, c, func(o *app.SetupOptions) { o.Lock, o.Secret = app.LockKey, app.Secret{} })
	return w, c
}

func TestKilledAtRandomMoments(t *testing.T) {
	kills, files, size := 6, 600, 8_000
	if !testing.Short() && !cloudtest.Race { // of this many it takes a minute
		kills, files, size = 50, 3000, 20_000
	}
	_, c := killWorld(t, files, size)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range kills {
		k := startBackup(t, c)
		k.until(rng.IntN(files * 11 / 10))
		k.kill(t)
		if i%10 == 9 || i == kills-1 {
			mustCheckWorld(t, c)
		}
		// Something changes, so that there is always something to do.
		path := filepath.Join(c.Docs, fmt.Sprint("d", i%60), fmt.Sprint("f", i))
		writeFile(t, path, string(noise(fmt.Sprint(path, i), size)))
	}
	want := treeOf(t, c.Docs)
	mustBackup(t, c)
	mustCheck(t, c)
	receipt, target := mustRestore(t, c, app.RestoreOptions{})
	if receipt.Failed > 0 {
		t.Error(receipt.Text())
	}
	sameTrees(t, want, treeOf(t, under(target, c.Docs)))
}

// mustCheckWorld checks a place in which there may be no snapshot yet.
func mustCheckWorld(t *testing.T, c *apptest.Computer) {
	t.Helper()
	if report, err := c.App.Check(t.Context(), app.CheckOptions{ReadData: true}); err != nil {
		t.Errorf("check after a kill: %v %+v", err, report.Damaged)
	}
}

func TestRunAfterAKillGoesOn(t *testing.T) {
	parts := []int{10, 50, 90}
	if cloudtest.Race { // each is two whole backups of 24 MB; without the race detector they are three
		parts = parts[2:]
	}
	w, c := killWorld(t, 1200, 20_000)
	for _, part := range parts {
		for _, name := range w.Objects("") {
			if !strings.HasPrefix(name, "head-") {
				must(t, os.Remove(filepath.Join(w.Place, name)))
			}
		}
		must(t, os.RemoveAll(filepath.Join(c.Home, "state", "places")))
		first := startBackup(t, c)
		first.until(1200 * part / 100)
		first.kill(t)
		packs := len(w.Objects("pack-"))
		second := startBackup(t, c)
		second.until(1 << 30)
		must(t, second.cmd.Wait())
		again := 0
		for _, path := range second.reads {
			if slices.Contains(first.reads, path) {
				again++
			}
		}
		t.Logf("killed at %d %%: %d packs; the second run read %d files, %d of them again", part, packs, len(second.reads), again)
		// Some 24 MB are 24 packs and those of the tree; what was on its way at the kill is
		// stored again, and that is no more than 8.
		if n := len(w.Objects("pack-")); n > 24+3+8 {
			t.Errorf("there are %d packs in the end", n)
		}
		// How much was read and not stored hangs on how fast the disk is beside the
		// processor; but by then most of it was.
		if part == 90 && again > len(first.reads)*3/4 {
			t.Errorf("of %d files %d were read again", len(first.reads), again)
		}
		if len(first.reads) >= 600 && packs == 0 {
			t.Error("nothing had been stored")
		}
	}
	mustCheck(t, c)
}
