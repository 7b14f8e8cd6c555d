package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/app"
)

func TestBackup(t *testing.T) {
	f := &fakeProfile{backup: app.BackupSummary{Snapshot: "3f9a07bc", Files: 1234, Bytes: 2_900_000_000, NewFiles: 12, Seconds: 12.3}}
	r := runFake(t, f, "backup", "--exclude", "*.iso", "relative", "/abs")
	if r.status != exitDone {
		t.Fatalf("status %d: %s", r.status, r.err)
	}
	for _, want := range []string{"1,234 files", "2.9 GB", "12 seconds", "3f9a07bc"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in %q", want, r.out)
		}
	}
	wd, _ := os.Getwd()
	abs, _ := filepath.Abs("/abs")
	if want := []string{filepath.Join(wd, "relative"), abs}; !slices.Equal(f.backupOptions.Sources, want) {
		t.Errorf("sources %q, want %q", f.backupOptions.Sources, want)
	}
	if !slices.Equal(f.backupOptions.Exclude, []string{"*.iso"}) {
		t.Errorf("exclude %q", f.backupOptions.Exclude)
	}
	if f.closed != 1 {
		t.Errorf("closed %d times", f.closed)
	}
}

func TestBackupThatMissedAFileEndsWith3AndNamesIt(t *testing.T) {
	f := &fakeProfile{
		backup:   app.BackupSummary{Files: 1, Unreadable: 1},
		problems: []app.Problem{{Path: "/home/ann/\x1b[2Jx\xff", Reason: "permission denied", Kind: app.ProblemUnreadable}},
	}
	r := runFake(t, f, "backup")
	if r.status != exitPartly || !strings.Contains(r.err, `Not done: "/home/ann/\x1b[2Jx\xff" (permission denied)`) {
		t.Errorf("status %d: %q", r.status, r.err)
	}
	r = runFake(t, f, "backup", "--json")
	if r.status != exitPartly || r.err != "" {
		t.Errorf("status %d: %q", r.status, r.err)
	}
	first := r.records(t)[0]
	if first["type"] != "error" || first["code"] != "file-unreadable" || first["path_base64"] != "L2hvbWUvYW5uLxtbMkp4/w==" {
		t.Errorf("record %v", first)
	}
}

// The keys of the summaries are a promise to scripts: these, and no others.
func TestSummaryKeys(t *testing.T) {
	f := &fakeProfile{report: app.CheckReport{Damaged: []app.Damage{{Object: "pack-00", Chunks: 2, Paths: []string{"/a"}}}}}
	for _, c := range []struct {
		args, keys string
	}{
		{"backup --json", "bytes changed_files dirs files new_bytes new_files seconds snapshot stored_bytes type unchanged_files unreadable"},
		{"restore latest --target T --json", "bytes failed renamed restored seconds skipped type verified"},
		{"check --json", "bytes_read damaged objects type"},
		{"snapshots --json", "snapshots type"},
		{"ls latest --json", "entries type"},
		{"find x --json", "matches type"},
		{"diff a b --json", "added changed metadata removed type"},
		{"vault status --json", "anchored attested computer enforced hardware kind left_behind log reachable sealer state store tries tries_left type warnings where"},
		{"version --json", "go system type version"},
	} {
		r := runFake(t, f, strings.Fields(c.args)...)
		if got := strings.Join(r.summaryKeys(t), " "); got != c.keys {
			t.Errorf("%s: keys %s, want %s", c.args, got, c.keys)
		}
	}
	records := runFake(t, f, "check", "--json").records(t)
	damaged := records[len(records)-1]["damaged"].([]any)[0].(map[string]any)
	if len(damaged) != 3 || damaged["object"] != "pack-00" || damaged["chunks"] != 2.0 || damaged["paths"].([]any)[0] != "/a" {
		t.Errorf("damaged %v", damaged)
	}
}

// A backup that was stored, and then found that older ones are gone, says both.
func TestBackupWithAnAlarmAfterIt(t *testing.T) {
	f := &fakeProfile{err: app.ErrRollback, backup: app.BackupSummary{Snapshot: "3f9a07bc"}}
	r := runFake(t, f, "backup")
	if r.status != exitFailed || !strings.Contains(r.out, "Snapshot 3f9a07bc") || !strings.Contains(r.err, "older state of the backup") {
		t.Errorf("status %d: %s%s", r.status, r.out, r.err)
	}
	r = runFake(t, f, "backup", "--json")
	r.summaryKeys(t)
	if all := r.records(t); r.status != exitFailed || all[len(all)-2]["code"] != "rollback" {
		t.Errorf("status %d: %v", r.status, all)
	}
}

func TestWrongValuesAreSaidInASentence(t *testing.T) {
	if r := runFake(t, &fakeProfile{err: app.ErrNotFile}, "cat", "latest", "/d"); r.status != exitUsage || !strings.Contains(r.err, "/d is not a file") {
		t.Errorf("status %d: %s", r.status, r.err)
	}
	if r := runFake(t, &fakeProfile{err: app.ErrPattern}, "find", "[a"); r.status != exitUsage || !strings.Contains(r.err, "[a is not a pattern") {
		t.Errorf("status %d: %s", r.status, r.err)
	}
}

func TestCheckNamesDamageAndEndsWith6(t *testing.T) {
	f := &fakeProfile{
		err:    errors.New("damaged"),
		report: app.CheckReport{Objects: 3, Damaged: []app.Damage{{Object: "pack-00", Chunks: 1, Paths: []string{"/a\n"}}}},
	}
	r := runFake(t, f, "check", "--read-data=10%")
	if r.status != exitDamaged || !strings.Contains(r.out, "pack-00") || !strings.Contains(r.out, `"/a\n"`) {
		t.Errorf("status %d: %s%s", r.status, r.out, r.err)
	}
	if !f.checkOptions.ReadData || f.checkOptions.Percent != 10 {
		t.Errorf("options %+v", f.checkOptions)
	}
	f = &fakeProfile{}
	if r := runFake(t, f, "check", "--read-data"); r.status != exitDone || f.checkOptions.Percent != 100 {
		t.Errorf("status %d, options %+v", r.status, f.checkOptions)
	}
	if r := runFake(t, f, "check"); r.status != exitDone || f.checkOptions.ReadData {
		t.Errorf("status %d, options %+v", r.status, f.checkOptions)
	}
}

func TestUsageEndsWith2(t *testing.T) {
	for _, args := range []string{
		"bakup", "backup --no-such-flag", "ls", "ls a b c", "cat a", "diff a", "find", "restore latest", "restore --target T",
		"restore latest --target T --on-conflict both", "check --read-data=0", "check --read-data=101", "check --read-data=x",
		"check extra", "setup", "setup --to P", "setup --to P --new-key --key-file F", "setup --to P --new-key --keep-key cloud",
		"open", "open --from P", "open --from P --key-file A --password-file B", "key", "key nonsense", "key sheet",
		"key sheet F --paper A5", "password", "vault", "backup --memory 1", "backup --memory lots", "snapshots extra",
		"backup --password-file /no/such/file", "password change", "password practice",
	} {
		r := runFake(t, &fakeProfile{}, strings.Fields(args)...)
		if r.status != exitUsage || r.err == "" || r.out != "" {
			t.Errorf("%s: status %d, out %q, err %q", args, r.status, r.out, r.err)
		}
		r = runFake(t, &fakeProfile{}, append(strings.Fields(args), "--json")...)
		r.out += r.err // with --new-key, standard output is for the digits alone
		all := r.records(t)
		if last := all[len(all)-1]; r.status != exitUsage || last["type"] != "error" || last["code"] != "usage" || last["message"] == "" {
			t.Errorf("%s --json: status %d, %v", args, r.status, last)
		}
	}
}

func TestASecretAsAnArgumentIsRefusedAndNotRepeated(t *testing.T) {
	for _, args := range [][]string{{"backup", "--password", "hunter2hunter2"}, {"backup", "--password=hunter2hunter2"}, {"open", "--from", "P", "--key=hunter2hunter2"}} {
		r := runFake(t, &fakeProfile{}, args...)
		if r.status != exitUsage || !strings.Contains(r.err, "never given on the command line") || strings.Contains(r.err, "hunter2") {
			t.Errorf("%q: status %d: %s", args, r.status, r.err)
		}
	}
}

func TestSetup(t *testing.T) {
	f := &fakeProfile{key: app.NewRootKey()}
	name := secretFile(t, "correct horse\n")
	r := runFake(t, f, "setup", "--to", "/place", "--password-file", name, "--keep-key", "ask", "--exclude", "a", "--exclude", "b,c", "/src")
	if r.status != exitDone || f.setupOptions.Lock != app.LockPassword || f.setupOptions.KeepKey != app.KeepAsk || f.setupOptions.To != "/place" {
		t.Fatalf("status %d, %+v: %s", r.status, f.setupOptions, r.err)
	}
	if !slices.Equal(f.setupOptions.Exclude, []string{"a", "b,c"}) {
		t.Errorf("exclude %q", f.setupOptions.Exclude)
	}
	if !f.setupOptions.Secret.IsZero() {
		t.Error("the password is still in memory after the command")
	}
	if strings.Contains(r.out+r.err, "correct horse") {
		t.Error("the password was printed")
	}
}

func TestNewKeyIsAloneOnStandardOutput(t *testing.T) {
	for _, args := range [][]string{{"setup", "--to", "P", "--new-key"}, {"setup", "--to", "P", "--new-key", "--json"}, {"setup", "--to", "P", "--new-key", "--quiet"}} {
		f := &fakeProfile{key: app.NewRootKey()}
		digits := ""
		f.key.Expose(func(b []byte) { digits = fmt.Sprintf("%x\n", b) })
		r := runFake(t, f, args...)
		if r.status != exitDone || r.out != digits || len(r.out) != 65 {
			t.Errorf("%q: status %d, %d characters: %s", args, r.status, len(r.out), r.err)
		}
		if !f.key.IsZero() {
			t.Errorf("%q: the key is still in memory after the command", args)
		}
		if strings.Contains(r.err, strings.TrimSpace(digits)) {
			t.Errorf("%q: the digits are on standard error too", args)
		}
	}
}

func TestExcludeFrom(t *testing.T) {
	f := &fakeProfile{}
	name := secretFile(t, "# big things\n*.iso\r\n\n  \n/tmp/*\n")
	if r := runFake(t, f, "backup", "--exclude-from", name); r.status != exitDone {
		t.Fatal(r.err)
	}
	if want := []string{"*.iso", "/tmp/*"}; !slices.Equal(f.backupOptions.Exclude, want) {
		t.Errorf("exclude %q, want %q", f.backupOptions.Exclude, want)
	}
	for _, content := range []string{"a\x00b\n", strings.Repeat("x", 5000), strings.Repeat("x\n", maxPatterns+1)} {
		if r := runFake(t, f, "backup", "--exclude-from", secretFile(t, content)); r.status != exitUsage {
			t.Errorf("a file of %d bytes: status %d", len(content), r.status)
		}
	}
}

func FuzzParsePatterns(f *testing.F) {
	f.Add("# c\n*.iso\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		patterns, err := parsePatterns(strings.NewReader(text))
		for _, p := range patterns {
			if err == nil && (strings.TrimSpace(p) == "" || strings.ContainsAny(p, "\n\x00") || p[0] == '#') {
				t.Fatalf("pattern %q", p)
			}
		}
	})
}

func TestSecretFiles(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{"secret", "secret"},
		{"secret\n", "secret"},
		{"secret\r\n", "secret"},
		{"secret\n\n", "secret\n"},
		{" spaces \n", " spaces "},
		{"\xff\n", "\xff"},
		{strings.Repeat("x", maxSecretFile), strings.Repeat("x", maxSecretFile)},
	} {
		f := &fakeProfile{}
		if r := runFake(t, f, "backup", "--password-file", secretFile(t, c.content)); r.status != exitDone || f.unlockSecret != c.want {
			t.Errorf("%.20q: status %d, read %.20q: %s", c.content, r.status, f.unlockSecret, r.err)
		}
		f = &fakeProfile{}
		if r := runFakeWith(t, f, c.content, "backup", "--passphrase-file", "-"); r.status != exitDone || f.unlockSecret != c.want || f.unlockOptions.Lock != app.LockPassphrase {
			t.Errorf("%.20q on standard input: status %d, read %.20q", c.content, r.status, f.unlockSecret)
		}
	}
	for _, content := range []string{"", "\n", "\r\n", strings.Repeat("x", maxSecretFile+1)} {
		if r := runFake(t, &fakeProfile{}, "backup", "--password-file", secretFile(t, content)); r.status != exitUsage {
			t.Errorf("%d bytes: status %d", len(content), r.status)
		}
	}
}

func TestASharedSecretFileIsWarnedOf(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("on Windows the mode of a file says nothing of who may read it")
	}
	name := secretFile(t, "secret")
	if r := runFake(t, &fakeProfile{}, "backup", "--password-file", name); strings.Contains(r.err, "Warning") {
		t.Errorf("a private file: %s", r.err)
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	if r := runFake(t, &fakeProfile{}, "backup", "--password-file", name); r.status != exitDone || !strings.Contains(r.err, "other users of this computer can read") {
		t.Errorf("a shared file: status %d: %s", r.status, r.err)
	}
}

func TestKeyFileInAnyForm(t *testing.T) {
	key := app.NewRootKey()
	digits := ""
	key.Expose(func(b []byte) { digits = fmt.Sprintf("%x", b) })
	var sheet strings.Builder
	for i := range 8 {
		fmt.Fprintf(&sheet, "%d. %s %s\n", i+1, digits[8*i:8*i+4], strings.ToUpper(digits[8*i+4:8*i+8]))
	}
	for _, text := range []string{digits, digits + "\n", sheet.String()} {
		f := &fakeProfile{}
		if r := runFake(t, f, "backup", "--key-file", secretFile(t, text)); r.status != exitDone || f.unlockOptions.Lock != app.LockKey {
			t.Errorf("status %d: %s", r.status, r.err)
		}
	}
}

func TestListings(t *testing.T) {
	when := time.Date(2026, 3, 3, 14, 2, 0, 0, time.Local)
	f := &fakeProfile{
		snapshots: []app.SnapshotInfo{{ID: strings.Repeat("ab", 20), Time: when, Computer: "写真-PC", Files: 1234, Bytes: 5, Sources: []string{"/a\x1b"}}},
		entries: []app.EntryInfo{
			{Path: "/d", Name: "d", Type: "dir", Mode: 0o755, ModTime: when},
			{Path: "/d/l", Name: "l", Type: "symlink", Mode: 0o777, Link: "to\nx", ModTime: when},
			{Path: "/d/\x1b]0;t\x07", Name: "\x1b]0;t\x07", Type: "file", Mode: 0o640, Size: 1234, User: "ann", State: "changed", ModTime: when},
			{Path: "/d/\xff", Name: "\xff", Type: "file", ModTime: when},
		},
		changes: []app.Change{{Kind: "added", Path: "/\x9b2J"}, {Kind: "metadata", Path: "/m", A: &app.EntryInfo{Path: "/m"}, B: &app.EntryInfo{Path: "/m"}}},
	}
	for _, c := range []struct {
		args string
		want []string
	}{
		{"snapshots", []string{"abababababab", "3 March 2026 14:02", "写真-PC", "1,234", `"/a\x1b"`}},
		{"ls latest", []string{"d/\n", `"\x1b]0;t\x07"`, `"\xff"`}},
		{"ls -l latest", []string{"drwxr-xr-x", "Lrwxrwxrwx", `l -> "to\nx"`, "-rw-r-----  ann", "1,234  3 March 2026 14:02", "(changed)"}},
		{"ls -R latest", []string{"/d/l\n"}},
		{"find x", []string{"abcdef", "/d/\n", `"/d/\xff"`}},
		{"diff a b", []string{`+ "/\x9b2J"`, "m /m"}},
	} {
		r := runFake(t, f, strings.Fields(c.args)...)
		if r.status != exitDone {
			t.Errorf("%s: status %d: %s", c.args, r.status, r.err)
		}
		for _, want := range c.want {
			if !strings.Contains(r.out, want) {
				t.Errorf("%s: %q is not in\n%s", c.args, want, r.out)
			}
		}
		j := runFake(t, f, append(strings.Fields(c.args), "--json")...)
		j.summaryKeys(t)
		for _, text := range []string{r.out, r.err, j.out, j.err} {
			if strings.ContainsAny(text, "\x1b\x07\u009b") {
				t.Errorf("%s: a control character in\n%q", c.args, text)
			}
		}
	}
}

func TestCatKeepsStandardOutputForTheFile(t *testing.T) {
	f := &fakeProfile{content: "a\x00\x1b\xffb"}
	if r := runFake(t, f, "cat", "latest", "/a"); r.status != exitDone || r.out != f.content || r.err != "" {
		t.Errorf("status %d, out %q, err %q", r.status, r.out, r.err)
	}
	f.err = app.ErrLocked
	r := runFake(t, f, "cat", "latest", "/a", "--json")
	if r.status != exitFailed || r.out != f.content || !strings.Contains(r.err, `"type":"error"`) {
		t.Errorf("status %d, out %q, err %q", r.status, r.out, r.err)
	}
}

func TestRestoreReceipt(t *testing.T) {
	target := filepath.Join(t.TempDir(), "target")
	receipt := filepath.Join(t.TempDir(), "receipt.txt")
	f := &fakeProfile{receipt: app.Receipt{
		Snapshot: "ab", Target: target, Restored: 2, Verified: 2, Bytes: 10, Renamed: 1, Failed: 1,
		Problems: []app.Problem{{Path: "/x\x1b", Reason: "denied"}}, Renames: []app.Rename{{From: "/CON", To: "/CON_"}},
	}}
	r := runFake(t, f, "restore", "latest", "/a", "/b", "--target", target, "--on-conflict", "skip", "--verify", "--receipt", receipt)
	if r.status != exitPartly || !strings.HasPrefix(r.out, "Restored 2 files (10 bytes)") || !strings.Contains(r.out, `"/x\x1b" (denied)`) || !strings.Contains(r.out, "/CON -> /CON_") {
		t.Errorf("status %d: %s%s", r.status, r.out, r.err)
	}
	o := f.restoreOptions
	if o.Snapshot != "latest" || !slices.Equal(o.Paths, []string{"/a", "/b"}) || o.Target != target || o.Conflict != "skip" || !o.Verify {
		t.Errorf("options %+v", o)
	}
	if written, err := os.ReadFile(receipt); err != nil || string(written) != r.out {
		t.Errorf("receipt %q, %v", written, err)
	}
	// A receipt is never written over another file.
	if r := runFake(t, f, "restore", "latest", "--target", target, "--receipt", receipt); r.status != exitUsage {
		t.Errorf("status %d", r.status)
	}
	if r := runFake(t, &fakeProfile{}, "restore", "latest", "--target", target); r.status != exitDone || !strings.HasPrefix(r.out, "Nothing was restored.") {
		t.Errorf("status %d: %s", r.status, r.out)
	}
	// What fails leaves no empty receipt behind.
	other := receipt + "2"
	if r := runFake(t, &fakeProfile{err: app.ErrLocked}, "restore", "latest", "--target", target, "--receipt", other); r.status != exitFailed {
		t.Errorf("status %d", r.status)
	}
	if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a failed restore left a receipt: %v", err)
	}
}

func TestKeyCommands(t *testing.T) {
	f := &fakeProfile{key: app.NewRootKey(), overview: app.Overview{Place: "/media/disk"}}
	for i := range f.lines {
		f.lines[i] = app.RecoveryLine{Digits: fmt.Sprintf("%04d 0000", i), Check: "07"}
	}
	r := runFake(t, f, "key", "show")
	if r.status != exitDone || strings.Count(r.out, "\n") != 8 || !strings.HasPrefix(r.out, "1.  0000 0000   07\n2.  0001 0000   07\n") {
		t.Errorf("status %d: %s", r.status, r.out)
	}
	sheet := filepath.Join(t.TempDir(), "sheet.pdf")
	if r := runFake(t, f, "key", "sheet", sheet, "--paper", "Letter"); r.status != exitDone {
		t.Errorf("status %d: %s", r.status, r.err)
	}
	if page, err := os.ReadFile(sheet); err != nil || string(page) != "%PDF-1.3 Letter /media/disk" {
		t.Errorf("sheet %q, %v", page, err)
	}
	if info, err := os.Stat(sheet); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("sheet has mode %v, %v", info.Mode(), err)
	}
	if r := runFake(t, f, "key", "sheet", sheet); r.status != exitUsage {
		t.Errorf("a second sheet over the first: status %d", r.status)
	}
	digits := ""
	f.key.Expose(func(b []byte) { digits = fmt.Sprintf("%x", b) })
	if r := runFake(t, f, "key", "verify", "--key-file", sheet); r.status != exitDone || f.verified != digits || !f.proven {
		t.Errorf("the PDF: status %d, proven %v", r.status, f.proven)
	}
	f.proven = false
	if r := runFakeWith(t, f, "a line\n", "key", "verify", "--key-file", "-"); r.status != exitDone || f.verified != "a line" || !f.proven {
		t.Errorf("a text: status %d, verified %q, proven %v", r.status, f.verified, f.proven)
	}
	f.err, f.proven = errors.New("wrong"), false
	if r := runFakeWith(t, f, "a line\n", "key", "verify", "--key-file", "-"); r.status == exitDone || f.proven {
		t.Errorf("a wrong key: status %d, proven %v", r.status, f.proven)
	}
}

func TestPasswordCommands(t *testing.T) {
	f := &fakeProfile{practice: true}
	name := secretFile(t, "correct horse\n")
	if r := runFake(t, f, "password", "practice", "--password-file", name); r.status != exitDone || !strings.Contains(r.out, "No try was used") {
		t.Errorf("status %d: %s", r.status, r.out)
	}
	f.practice = false
	if r := runFake(t, f, "password", "practice", "--password-file", name); r.status != exitWrongKey || !strings.Contains(r.err, "No try was used") {
		t.Errorf("status %d: %s", r.status, r.err)
	}
	if r := runFake(t, f, "password", "change", "--password-file", name); r.status != exitDone || f.unlockSecret != "correct horse" {
		t.Errorf("status %d: %s", r.status, r.err)
	}
}

func TestVaultStatus(t *testing.T) {
	f := &fakeProfile{vault: app.VaultStatus{
		Kind: "embedded", Computer: "ANN-LAPTOP", Sealer: "software", Tries: 10, Left: 7,
		Log: []app.VaultEvent{{Kind: "wrong", Device: "EVE\x1b"}},
	}}
	r := runFake(t, f, "vault", "status")
	if r.status != exitDone || !strings.Contains(r.out, "7 of 10 tries are left.") || !strings.Contains(r.out, `"EVE\x1b"`) {
		t.Errorf("status %d: %s", r.status, r.out)
	}
	if r := runFake(t, &fakeProfile{}, "vault", "status"); r.status != exitDone || !strings.Contains(r.out, "no password") {
		t.Errorf("status %d: %s", r.status, r.out)
	}
}

func TestErrorsAreSentences(t *testing.T) {
	f := &fakeProfile{err: fmt.Errorf("open repository: %w", app.ErrNotSetUp)}
	r := runFake(t, f, "backup")
	if r.status != exitFailed || strings.Contains(r.err, "open repository") || !strings.Contains(r.err, "There is no backup in this profile yet.") {
		t.Errorf("status %d: %s", r.status, r.err)
	}
	if r = runFake(t, f, "backup", "--verbose"); !strings.Contains(r.err, "(details: open repository: app: not set up)") {
		t.Errorf("verbose: %s", r.err)
	}
}

// Only what is true: a computer that keeps no key does not open the backup.
func TestWhoCanOpenThisBackup(t *testing.T) {
	name := secretFile(t, "correct horse")
	for keep, want := range map[string]string{
		"file": "this computer, your password, the 64 digits of your recovery sheet. Nobody else.",
		"ask":  "backup: your password, the 64 digits of your recovery sheet. Nobody else.",
	} {
		if r := runFake(t, &fakeProfile{}, "setup", "--to", "P", "--password-file", name, "--keep-key", keep); !strings.Contains(r.out, want) {
			t.Errorf("%s: %s", keep, r.out)
		}
	}
}

func TestQuiet(t *testing.T) {
	if r := runFake(t, &fakeProfile{}, "setup", "--to", "P", "--password-file", secretFile(t, "correct horse"), "-q"); r.status != exitDone || r.out+r.err != "" {
		t.Errorf("status %d, out %q, err %q", r.status, r.out, r.err)
	}
	if r := runFake(t, &fakeProfile{}, "backup", "--quiet"); r.status != exitDone || r.out != "" || r.err != "" {
		t.Errorf("status %d, out %q, err %q", r.status, r.out, r.err)
	}
	if r := runFake(t, &fakeProfile{err: app.ErrNotSetUp}, "backup", "--quiet"); r.status != exitFailed || r.err == "" {
		t.Errorf("status %d, err %q", r.status, r.err)
	}
}

// Each command has a help with an example that a stranger can copy.
func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	p := &program{console: newConsole(nil, nil, false)}
	seen := 0
	commands := p.rootCommand().Commands()
	for len(commands) > 0 {
		c := commands[0]
		commands = append(commands[1:], c.Commands()...)
		if c.Name() == "completion" || c.Name() == "help" || c.HasSubCommands() || c.IsAdditionalHelpTopicCommand() {
			continue
		}
		seen++
		if !strings.Contains(c.Long, "\n  coffer "+strings.TrimPrefix(c.CommandPath(), "coffer ")) || c.Short == "" {
			t.Errorf("%s has no example in its help", c.CommandPath())
		}
	}
	if seen < 15 {
		t.Errorf("looked at %d commands", seen)
	}
}

func TestStartPage(t *testing.T) {
	r := runFake(t, &fakeProfile{})
	for _, want := range []string{"coffer setup", "coffer backup", "coffer restore"} {
		if r.status != exitDone || !strings.Contains(r.out, want) {
			t.Errorf("status %d: %q is not in %q", r.status, want, r.out)
		}
	}
}

func TestCompletionOffersSnapshots(t *testing.T) {
	f := &fakeProfile{snapshots: []app.SnapshotInfo{{ID: strings.Repeat("ab", 20)}}}
	for _, args := range [][]string{{"__complete", "ls", ""}, {"__complete", "restore", ""}, {"__complete", "diff", "latest", ""}} {
		if r := runFake(t, f, args...); !strings.Contains(r.out, "latest") || !strings.Contains(r.out, "abababababab") {
			t.Errorf("%q: %s", args, r.out)
		}
	}
	if r := runFake(t, f, "__complete", "ls", "latest", ""); strings.Contains(r.out, "latest") {
		t.Errorf("a path was completed as a snapshot: %s", r.out)
	}
}
