package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"coffer/app"
)

func (p *program) demoCommand() *cobra.Command {
	return p.command("demo", "See Coffer at work, in a temporary folder", `
Makes a small folder, backs it up, changes it, backs it up again, and restores both states
byte for byte, through a vault of its own. It tries a wrong password once, reads all stored
data back, and removes everything at the end. Your own files and backups are not touched.

  coffer demo`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error { return p.demo(ctx) })
}

// A demo is a whole Coffer in a temporary folder: two computers, one vault, one place.
type demo struct {
	*program
	dir      string
	password app.Secret
	step     int
	first    map[string]string // what the folder held at the first backup: see snapshotFolder
	second   map[string]string
	ids      []string
}

func (p *program) demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "coffer-demo-")
	if err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	d := &demo{program: p, dir: dir, password: app.SuggestWords(5)}
	defer d.password.Wipe()
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := d.play(ctx); err != nil {
		return err
	}
	if p.console.json {
		return p.console.record("summary", struct {
			Steps int `json:"steps"`
		}{d.step})
	}
	return p.console.result("Everything was as it should be. The temporary folder is removed.")
}

// play goes through the steps; the first one that is not as promised ends it.
func (d *demo) play(ctx context.Context) error {
	if err := d.makeFiles(); err != nil {
		return err
	}
	if err := d.onComputer("first", func(a profile) error { return d.backUpTwice(ctx, a) }); err != nil {
		return err
	}
	return d.onComputer("second", func(a profile) error { return d.joinAndRestore(ctx, a) })
}

// say tells one step.
func (d *demo) say(format string, args ...any) error {
	d.step++
	return d.console.result("%d. %s", d.step, fmt.Sprintf(format, args...))
}

// differs is the failure of a demo: something came back other than it should have.
func differs(what string) error {
	return &commandError{code: app.CodeInternal, says: "The demonstration failed: " + what + ".", advice: "Please report this."}
}

func (d *demo) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}

// onComputer runs work on a profile of its own. The computers of a demo share one vault,
// as two profiles of a user do, and have no keyring: nothing may stay behind.
func (d *demo) onComputer(name string, work func(a profile) error) (err error) {
	cfg, err := d.config(d.path(name), func(string) string { return "" })
	if err != nil {
		return err
	}
	cfg.VaultDir, cfg.Keyring = d.path("vault"), nil
	cfg.Memory = d.flags.memoryBytes
	a, err := d.newProfile(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return work(a)
}

// makeFiles fills the folder that is backed up. Its contents follow from a small formula,
// so that a demonstration is the same each time.
func (d *demo) makeFiles() error {
	picture := make([]byte, 300_000)
	for i, x := 0, uint32(1); i < len(picture); i++ {
		x = x*1664525 + 1013904223
		picture[i] = byte(x >> 24)
	}
	copy(picture, "\x89PNG\r\n\x1a\n")
	files := map[string]string{
		"letter.txt":                  strings.Repeat("Dear Ann, the boat arrives on Tuesday.\n", 200),
		"pictures/harbour.png":        string(picture),
		"notes/Grüße aus Köln.txt":    "Viele Grüße\n",
		"notes/写真の説明.txt":             "港の写真\n",
		"notes/ملاحظات.txt":           "رسالة قصيرة\n",
		"notes/empty.txt":             "",
		"notes/deep/er/and/deeper.md": "# Found again\n",
	}
	for name, content := range files {
		path := d.path("files", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return fmt.Errorf("make file: %w", err)
		}
	}
	if runtime.GOOS != "windows" { // there, links need a right that few users have
		if err := os.Symlink("letter.txt", d.path("files", "newest letter")); err != nil {
			return fmt.Errorf("make link: %w", err)
		}
	}
	return d.say("Made a folder with %s: text, a picture, names in four scripts.", count(int64(len(files)), "file", "files"))
}

// backUpTwice sets up a backup with a password, and makes two snapshots of a folder that
// changes between them.
func (d *demo) backUpTwice(ctx context.Context, a profile) (err error) {
	made, err := a.Setup(ctx, app.SetupOptions{
		To: d.path("place"), Create: true, Sources: []string{d.path("files")},
		Lock: app.LockPassword, Secret: d.password.Clone(), KeepKey: app.KeepFile,
	})
	if err != nil {
		return err
	}
	made.Key.Wipe()
	if err := d.say("Set up a backup with a password of five random words, which a vault guards."); err != nil {
		return err
	}
	if d.first, err = d.backUp(ctx, a); err != nil {
		return err
	}
	letter := d.path("files", "letter.txt")
	if err := os.WriteFile(letter, []byte("Dear Ann, the boat is late: Thursday.\n"), 0o600); err != nil {
		return fmt.Errorf("change file: %w", err)
	}
	if err := os.Remove(d.path("files", "notes", "empty.txt")); err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	if err := d.say("Changed one file and deleted another."); err != nil {
		return err
	}
	d.second, err = d.backUp(ctx, a)
	return err
}

// backUp makes one snapshot and returns what the folder held.
func (d *demo) backUp(ctx context.Context, a profile) (map[string]string, error) {
	s, err := a.Backup(ctx, app.BackupOptions{Progress: d.newProgress().show, Problem: d.sayProblem})
	if err != nil {
		return nil, err
	}
	d.console.clearLine()
	if s.Unreadable > 0 {
		return nil, differs("a file that the demonstration made could not be read")
	}
	d.ids = append(d.ids, s.Snapshot)
	held, err := snapshotFolder(d.path("files"))
	if err != nil {
		return nil, err
	}
	return held, d.say("Backed up %s (%s) in %s: %d new, %d changed, %d unchanged; %s stored.",
		count(s.Files, "file", "files"), bytesText(s.Bytes), seconds(s.Seconds),
		s.NewFiles, s.ChangedFiles, s.UnchangedFiles, bytesText(s.StoredBytes))
}

// joinAndRestore opens the backup where the key is not kept, with one wrong try, restores
// both snapshots, and reads all data back.
func (d *demo) joinAndRestore(ctx context.Context, a profile) error {
	open := func(password app.Secret) error {
		_, err := a.Open(ctx, app.OpenOptions{From: d.path("place"), Lock: app.LockPassword, Secret: password, KeepKey: app.KeepFile})
		return err
	}
	f := app.Explain(open(app.NewSecret([]byte("not the password of this demo"))))
	if f.Code != app.CodeWrongPassword {
		return differs("a wrong password was not refused as one")
	}
	if err := d.say("On a second computer, tried a wrong password. The vault: %s", complain(f, nil).says); err != nil {
		return err
	}
	if err := open(d.password.Clone()); err != nil {
		return err
	}
	if err := d.say("Opened the backup with the right password. That sets the tries back."); err != nil {
		return err
	}
	for i, want := range []map[string]string{d.first, d.second} {
		if err := d.restoreAndCompare(ctx, a, d.ids[i], fmt.Sprint("restored-", i+1), want); err != nil {
			return err
		}
	}
	report, err := a.Check(ctx, app.CheckOptions{ReadData: true, Percent: 100, Progress: d.newProgress().show})
	if err != nil {
		return err
	}
	d.console.clearLine()
	return d.say("Read all %s back from the place (%s) and found them whole.", count(report.Objects, "object", "objects"), bytesText(report.BytesRead))
}

// restoreAndCompare restores one snapshot and compares it with what the folder held.
func (d *demo) restoreAndCompare(ctx context.Context, a profile, id, name string, want map[string]string) error {
	target := d.path(name)
	r, err := a.Restore(ctx, app.RestoreOptions{Snapshot: id, Target: target, Verify: true, Progress: d.newProgress().show, Problem: d.sayProblem})
	if err != nil {
		return err
	}
	d.console.clearLine()
	folder, err := restoredFolder(target)
	if err != nil {
		return err
	}
	got, err := snapshotFolder(folder)
	if err != nil {
		return err
	}
	if what := firstDifference(want, got); what != "" {
		return differs(printable(what) + " came back different")
	}
	return d.say("Restored snapshot %s: %s (%s), %d checked by hash, every byte the same.",
		shortID(id), count(r.Restored, "file or link", "files and links"), bytesText(r.Bytes), r.Verified)
}

// restoredFolder finds the folder of the demo below a target, where it lies under its
// full path.
func restoredFolder(target string) (found string, err error) {
	err = filepath.WalkDir(target, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && e.Name() == "files" {
			found = path
			return fs.SkipAll
		}
		return err
	})
	if err == nil && found == "" {
		err = differs("the restored folder is not there")
	}
	return found, err
}

// snapshotFolder returns what a folder holds: relative names with slashes, and for each
// its content, where it leads, or that it is a folder.
func snapshotFolder(dir string) (map[string]string, error) {
	held := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		held[filepath.ToSlash(name)], err = contentOf(path, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read folder of the demonstration: %w", err)
	}
	return held, nil
}

func contentOf(path string, e fs.DirEntry) (string, error) {
	switch {
	case e.IsDir():
		return "folder", nil
	case e.Type()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		return "link to " + to, err
	}
	content, err := os.ReadFile(path)
	return "file with " + string(content), err
}

// firstDifference names something that only one of two folders holds, or holds otherwise.
func firstDifference(want, got map[string]string) string {
	for name, content := range want {
		if other, ok := got[name]; !ok || other != content {
			return name
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			return name
		}
	}
	return ""
}
