package app_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"coffer/app"
)

// What this user may not read is named and counted, and stands in the snapshot. Root may
// read everything, so the backup runs as somebody else.
func TestUnreadableFilesAndFolders(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	const nobody = 65534
	_, c := killWorld(t, 3, 100)
	for name, mode := range map[string]os.FileMode{"closed file": 0, "closed folder": 0, "list only": 0o444} {
		path := filepath.Join(c.Docs, name)
		if name == "closed file" {
			writeFile(t, path, "secret")
		} else {
			writeFile(t, filepath.Join(path, "in it"), "secret")
		}
		must(t, os.Chmod(path, mode))
	}
	// The test's own folder is closed to others, and so is the program.
	world := filepath.Dir(filepath.Dir(c.Docs))
	must(t, os.Chmod(filepath.Dir(world), 0o755))
	program, err := os.ReadFile(os.Args[0])
	must(t, err)
	must(t, os.WriteFile(filepath.Join(world, "program"), program, 0o755))
	must(t, filepath.WalkDir(world, func(path string, _ fs.DirEntry, err error) error {
		return os.Chown(path, nobody, nobody)
	}))
	cmd := exec.CommandContext(t.Context(), filepath.Join(world, "program"), "-test.run=^TestChildBackup$")
	cmd.Dir = world
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	k := startProgram(t, c, cmd)
	k.until(1 << 30)
	must(t, k.cmd.Wait())
	slices.Sort(k.told)
	want := []string{
		"unreadable closed file permission denied", "unreadable closed folder permission denied",
		"unreadable in it permission denied",
	}
	if !slices.Equal(k.told, want) || !strings.HasPrefix(k.done, "done 6 3 ") {
		t.Errorf("told %q, %s", k.told, k.done)
	}
	states := map[string]string{}
	must(t, c.App.Walk(t.Context(), "latest", c.Docs, func(e app.EntryInfo) error {
		states[e.Name] = e.State
		return nil
	}))
	for _, name := range []string{"closed file", "closed folder", "in it"} {
		if states[name] != "unreadable" {
			t.Errorf("%s is %q in the snapshot", name, states[name])
		}
	}
	mustCheck(t, c)
	receipt, _ := mustRestore(t, c, app.RestoreOptions{})
	if receipt.Failed != 3 || receipt.Restored != 6 {
		t.Error(receipt.Text())
	}
}
