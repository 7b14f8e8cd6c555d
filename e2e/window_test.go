package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const password = "lantern quartz bay 7"

// TestFirstBackupAndBack is what somebody does on their first day: choose, protect, back up,
// and get everything back.
// Then the computer is lost, and a new one gets everything back with the sheet alone.
func TestFirstBackupAndBack(t *testing.T) {
	if os.Getenv("COFFER_E2E") == "" {
		t.Skip("COFFER_E2E is not set: make test sets it")
	}
	if runtime.GOOS != "linux" {
		t.Skip("drives the window through X11, which only Linux has here")
	}
	d := newDesk(t, "old")
	docs := filepath.Join(d.home, "Documents")
	fillFolder(t, docs)
	place := filepath.Join(t.TempDir(), "Backup")

	d.openCoffer("start")
	d.setUp(place, func() { d.key("Return") }) // a password is chosen already
	d.key("Return")                            // Try it now
	d.getBack()
	same(t, docs, filepath.Join(d.home, "Restored files", docs))
	d.receipt()
	lines := sheetLines(t, d.sheet())

	other := newDesk(t, "new")
	other.openCoffer("start")
	other.openWithSheet(place, lines)
	other.getBack()
	same(t, docs, filepath.Join(other.home, "Restored files", docs))
}

// openWithSheet finds the backup on a computer that knows nothing of it. The password's
// vault is gone with the old one: the sheet is what opens it.
func (d *desk) openWithSheet(place string, lines [8]string) {
	d.key("Tab", "Return") // Get files back
	d.screen("restore/where")
	d.logged("kinds shown")
	d.key("Return") // a disk or folder is chosen already: it is what works here at once
	d.screen("restore/place")
	d.text(place)
	d.logged("place inspected", "backups", "1")
	d.key("Return")
	d.screen("restore/which")
	d.key("Return")
	d.screen("restore/open")
	for _, l := range lines {
		d.text(l)
		d.key("Tab")
	}
	d.logged("key whole")
	d.picture("key-typed")
	d.key("Tab", "Return") // over Back to Open
}

// sheet is where the recovery sheet is saved unless somebody chooses another place.
func (d *desk) sheet() string { return filepath.Join(d.home, "Coffer recovery sheet.pdf") }

// setUp goes through the first run, with the keyboard alone. lock answers the question how
// to get back in.
func (d *desk) setUp(place string, lock func()) {
	d.key("Return") // Back up this computer
	d.screen("setup/promise")
	d.key("Return")
	d.screen("setup/sources")
	d.logged("sources counted")
	d.picture("sources-counted")
	d.key("Return")
	d.screen("setup/where")
	d.logged("kinds shown")
	d.key("Return") // a disk or folder is chosen already: it is what works here at once
	d.screen("setup/place")
	d.text(place)
	d.logged("place inspected")
	d.picture("where-inspected")
	d.key("Return")
	d.screen("setup/lock")
	lock()
	d.screen("setup/password")
	d.text(password)
	d.key("Return")
	d.text(password)
	d.picture("password-typed")
	d.key("Return")
	d.screen("setup/sheet")
	d.key("Return") // save it where Coffer suggests
	sheet := d.sheet()
	d.until("the sheet is saved", func() bool { _, err := os.Stat(sheet); return err == nil })
	d.logged("sheet saved")
	d.picture("sheet-saved")
	d.key("Return")
	asked := d.logged("lines asked")
	d.screen("setup/prove")
	lines := sheetLines(d.T, sheet)
	d.text(lines[int(asked["first"].(float64))-1])
	d.key("Return")
	d.text(lines[int(asked["second"].(float64))-1])
	d.logged("sheet proven")
	d.picture("proven")
	d.key("Return")
	d.screen("setup/ready")
	d.key("Return")
	d.screen("home")
	ended := d.logged("backup ended")
	if fmt.Sprint(ended["files"]) != "6" {
		d.Fatalf("the first backup: %v", ended)
	}
	d.logged("overview shown", "state", "safe")
	d.picture("home-first-backup")
}

// getBack restores everything into a folder of its own.
func (d *desk) getBack() {
	d.screen("restore/what")
	d.key("Return") // everything
	d.screen("restore/when")
	d.logged("moments shown")
	d.key("Return")
	d.screen("restore/target")
	d.key("Return") // a folder of its own
	d.screen("restore/before")
	d.logged("plan shown")
	d.picture("plan")
	d.key("Return")
	d.screen("restore/running")
	ended := d.logged("restore ended")
	if fmt.Sprint(ended["failed"]) != "0" {
		d.Fatalf("the restore: %v", ended)
	}
	d.screen("restore/done")
}

// receipt saves the receipt from the last page.
func (d *desk) receipt() {
	d.key("shift+Tab", "space") // from Go to Home back to Save the receipt
	found := ""
	d.until("a receipt", func() bool {
		list, err := filepath.Glob(filepath.Join(d.home, "Coffer receipt *.txt"))
		must(d.T, err)
		if len(list) > 0 {
			found = list[0]
		}
		return found != ""
	})
	text, err := os.ReadFile(found)
	must(d.T, err)
	if !bytes.Contains(text, []byte("6")) || !bytes.Contains(text, []byte("Restored files")) {
		d.Errorf("the receipt says:\n%s", text)
	}
	d.picture("receipt-saved")
}

// fillFolder makes files of many kinds.
func fillFolder(t *testing.T, dir string) {
	t.Helper()
	for name, size := range map[string]int{
		"letter to Marie.txt": 1200, "empty": 0, "Taxes/2025.csv": 48_000,
		"Taxes/receipts/märz.pdf": 300_000, "photo.jpg": 2_500_000, "日記.txt": 99,
	} {
		b := make([]byte, size)
		state := uint32(len(name) + size)
		for i := range b {
			state = state*1664525 + 1013904223
			b[i] = byte(state >> 24)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, b, 0o644))
	}
}

// same fails unless two folders hold the same files.
func same(t *testing.T, want, got string) {
	t.Helper()
	files := 0
	must(t, filepath.WalkDir(want, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		rel, err := filepath.Rel(want, path)
		if err != nil {
			return err
		}
		a, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(got, rel))
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s came back different", rel)
		}
		return nil
	}))
	if files == 0 {
		t.Fatal("compared no files")
	}
}

// sheetLines reads the eight lines from the PDF, as somebody reads them from paper.
func sheetLines(t *testing.T, pdf string) [8]string {
	t.Helper()
	out, err := exec.Command("pdftotext", "-layout", pdf, "-").Output()
	must(t, err)
	var lines [8]string
	n := 0
	for _, m := range regexp.MustCompile(`\b([1-8])[.:)]?\s+([0-9a-f]{4} [0-9a-f]{4})\b`).FindAllStringSubmatch(string(out), -1) {
		lines[m[1][0]-'1'] = m[2]
		n++
	}
	if n != 8 {
		t.Fatalf("found %d lines of the key on the sheet:\n%s", n, strings.TrimSpace(string(out)))
	}
	return lines
}
