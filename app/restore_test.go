package app_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coffer/app"
)

func TestRestorePolicies(t *testing.T) {
	for _, tt := range []struct {
		policy     app.Conflict
		older      string // what a file is afterwards that was older on disk
		newer      string
		copies     int
		skipped    int64
		renamed    int64
		folderMode os.FileMode
	}{
		{app.ConflictKeepBoth, "on disk", "on disk", 2, 0, 2, 0o700},
		{"", "on disk", "on disk", 2, 0, 2, 0o700},
		{app.ConflictKeepNewer, "backup", "on disk", 0, 1, 0, 0o700},
		{app.ConflictReplace, "backup", "backup", 0, 0, 0, 0o755},
		{app.ConflictSkip, "on disk", "on disk", 0, 3, 0, 0o700},
	} {
		t.Run(string(tt.policy), func(t *testing.T) {
			_, c := newEngine(t)
			now := time.Now().Truncate(time.Second)
			for _, name := range []string{"older", "newer", "same"} {
				writeFile(t, filepath.Join(c.Docs, "d", name), "backup")
				must(t, os.Chtimes(filepath.Join(c.Docs, "d", name), now, now))
			}
			mustBackup(t, c)
			target := filepath.Join(t.TempDir(), "target")
			there := filepath.Join(under(target, c.Docs), "d")
			for name, by := range map[string]time.Duration{"older": -time.Hour, "newer": time.Hour} {
				writeFile(t, filepath.Join(there, name), "on disk")
				must(t, os.Chtimes(filepath.Join(there, name), now.Add(by), now.Add(by)))
			}
			writeFile(t, filepath.Join(there, "same"), "backup")
			must(t, os.Chmod(there, 0o700))
			o := app.RestoreOptions{Snapshot: "latest", Target: target, Conflict: tt.policy, Paths: []string{filepath.Join(c.Docs, "d")}}
			plan, err := c.App.PlanRestore(t.Context(), o)
			if err != nil || plan.Existing != 3 || plan.Files != 3 || !plan.TargetNotEmpty || plan.Bytes != 18 || plan.Free <= 0 ||
				plan.TargetInsideSource || !strings.HasPrefix(plan.Sample, there) {
				t.Errorf("plan: %+v, %v", plan, err)
			}
			receipt, _ := mustRestore(t, c, o)
			for name, want := range map[string]string{"older": tt.older, "newer": tt.newer, "same": "backup"} {
				if got, err := os.ReadFile(filepath.Join(there, name)); err != nil || string(got) != want {
					t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
				}
			}
			copies, err := filepath.Glob(filepath.Join(there, "*restored*"))
			must(t, err)
			if len(copies) != tt.copies || receipt.Skipped != tt.skipped || receipt.Renamed != tt.renamed || receipt.Failed != 0 {
				t.Errorf("copies %q, receipt %s", copies, receipt.Text())
			}
			info, err := os.Stat(there)
			must(t, err)
			if info.Mode().Perm() != tt.folderMode {
				t.Errorf("the folder that was there has mode %v", info.Mode())
			}
			// The same again changes nothing and makes no more copies.
			before := treeOf(t, there)
			mustRestore(t, c, o)
			sameTrees(t, before, treeOf(t, there))
		})
	}
}

func TestRestoreRefusesTargets(t *testing.T) {
	_, c := newEngine(t)
	mustBackup(t, c)
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "in the way")
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(c.Docs, link))
	for name, tt := range map[string]struct {
		o    app.RestoreOptions
		want app.Code
	}{
		"a source":            {app.RestoreOptions{Target: c.Docs}, app.CodeTargetInSource},
		"inside a source":     {app.RestoreOptions{Target: filepath.Join(c.Docs, "new", "er")}, app.CodeTargetInSource},
		"a link to a source":  {app.RestoreOptions{Target: filepath.Join(link, "new")}, app.CodeTargetInSource},
		"a file":              {app.RestoreOptions{Target: file}, app.CodeTargetNotFolder},
		"below a file":        {app.RestoreOptions{Target: filepath.Join(file, "x")}, app.CodeTargetNotFolder},
		"nowhere":             {app.RestoreOptions{}, app.CodeTargetDenied},
		"no such path":        {app.RestoreOptions{Target: t.TempDir(), Paths: []string{"/none"}}, app.CodeNoPath},
		"a path below a file": {app.RestoreOptions{Target: t.TempDir(), Paths: []string{filepath.Join(c.Docs, "letter.txt", "x")}}, app.CodeNoPath},
		"no such snapshot":    {app.RestoreOptions{Target: t.TempDir(), Snapshot: "ffffffff"}, app.CodeNoSnapshot},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.o.Snapshot == "" {
				tt.o.Snapshot = "latest"
			}
			before := treeOf(t, c.Docs)
			_, err := c.App.Restore(t.Context(), tt.o)
			mustExplain(t, err, tt.want)
			sameTrees(t, before, treeOf(t, c.Docs))
		})
	}
}

func TestRestoreOfSomePaths(t *testing.T) {
	_, c := newEngine(t)
	for _, name := range []string{"a/1", "a/b/2", "a/b/c/3", "d/4"} {
		writeFile(t, filepath.Join(c.Docs, name), name)
	}
	mustBackup(t, c)
	receipt, target := mustRestore(t, c, app.RestoreOptions{
		Paths: []string{filepath.Join(c.Docs, "a", "b"), filepath.Join(c.Docs, "a", "b", "c"), filepath.Join(c.Docs, "d", "4")},
	})
	got := treeOf(t, under(target, c.Docs))
	if len(got) != 7 || receipt.Restored != 3 {
		t.Errorf("restored %v, %s", got, receipt.Text())
	}
	want := treeOf(t, c.Docs)
	for path := range got {
		if got[path] != want[path] {
			t.Errorf("%s is %s, was %s", path, got[path], want[path])
		}
	}
}

// A restore is cut off at random moments, again and again, and then ends.
func TestInterruptedRestoreGoesOn(t *testing.T) {
	_, c := newEngine(t)
	interruptibleTree(t, c.Docs)
	mustBackup(t, c)
	want := treeOf(t, c.Docs)
	for round := range 4 {
		rng := rand.New(rand.NewPCG(uint64(round), 1))
		target := filepath.Join(t.TempDir(), "target")
		cut := 0
		for range 6 {
			ctx := endsAfter(t, rng.IntN(4000))
			_, err := c.App.Restore(ctx, app.RestoreOptions{Snapshot: "latest", Target: target})
			if err != nil {
				mustExplain(t, err, app.CodeCanceled)
				cut++
			}
		}
		if cut == 0 {
			t.Error("no restore was cut off")
		}
		receipt, _ := mustRestore(t, c, app.RestoreOptions{Target: target, Verify: true})
		if receipt.Failed+receipt.Renamed+receipt.Skipped > 0 || receipt.Identical == 0 {
			t.Errorf("receipt: %s", receipt.Text())
		}
		sameTrees(t, want, treeOf(t, under(target, c.Docs)))
	}
	if left, err := filepath.Glob(filepath.Join(c.Home, "state", "restore-*")); err != nil || len(left) > 0 {
		t.Errorf("left in the profile: %q, %v", left, err)
	}
}

// interruptibleTree has small and large files, links, and folders with attributes of
// their own.
func interruptibleTree(t *testing.T, dir string) {
	t.Helper()
	old := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	for i := range 400 {
		path := filepath.Join(dir, fmt.Sprint("d", i%40), fmt.Sprint("f", i))
		writeFile(t, path, string(noise(path, 100+i*10)))
		if i%20 == 0 {
			must(t, os.WriteFile(path+".large", noise(path, 300_000), 0o600))
			must(t, os.Link(path+".large", filepath.Join(dir, fmt.Sprint("d", i%7), fmt.Sprint("link", i))))
		}
	}
	for i := range 40 {
		must(t, os.Chmod(filepath.Join(dir, fmt.Sprint("d", i)), 0o750))
		must(t, os.Chtimes(filepath.Join(dir, fmt.Sprint("d", i)), old, old))
	}
}

func TestVerifyFindsWhatTheDiskDidNotKeep(t *testing.T) {
	_, c := newEngine(t)
	must(t, os.WriteFile(filepath.Join(c.Docs, "large"), noise("large", 3<<20), 0o600))
	mustBackup(t, c)
	target := filepath.Join(t.TempDir(), "target")
	spoiled := map[string]bool{}
	o := app.RestoreOptions{Snapshot: "latest", Target: target, Verify: true}
	receipt, err := c.App.Restore(t.Context(), app.RestoreWith(o, func(path string) {
		if name := filepath.Base(path); name == "large" || name == "letter.txt" {
			f, err := os.OpenFile(filepath.Join(under(target, c.Docs), name), os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt([]byte("X"), 3)
			must(t, errors.Join(err, f.Close()))
			spoiled[path] = true
		}
	}))
	must(t, err)
	if len(spoiled) != 2 || receipt.Failed != 2 || len(receipt.Problems) != 2 || receipt.Verified != 2 {
		t.Fatalf("spoiled %v, receipt %s", spoiled, receipt.Text())
	}
	for _, p := range receipt.Problems {
		if !spoiled[p.Path] {
			t.Errorf("%+v", p)
		}
	}
}

// Restore and check take no lock: they work while a backup does, and it while they do.
func TestOthersWorkDuringABackup(t *testing.T) {
	_, c := newEngine(t)
	mustBackup(t, c)
	writeFile(t, filepath.Join(c.Docs, "new"), "new")
	worked := false
	o := app.BackupAt(app.BackupOptions{}, time.Now().Add(time.Hour), func(string) {
		if worked {
			return
		}
		worked = true
		mustRestore(t, c, app.RestoreOptions{})
		mustCheck(t, c)
		_, err := c.App.Backup(t.Context(), app.BackupOptions{})
		mustExplain(t, err, app.CodeProfileBusy)
	})
	if _, err := c.App.Backup(t.Context(), o); err != nil || !worked {
		t.Fatalf("%v, %v", err, worked)
	}
}
