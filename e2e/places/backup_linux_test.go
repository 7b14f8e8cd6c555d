package places

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// setUp makes a new backup of dir at the site and returns the 64 digits.
func (m *machine) setUp(s site, dir string) string {
	m.Helper()
	args := append([]string{"setup", "--to", s.dest, "--new-key", "--keep-key", "file"}, s.flags...)
	digits := strings.TrimSpace(m.mustHush(append(args, dir)...))
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(digits) {
		m.Fatalf("setup printed %d bytes that are not a key", len(digits))
	}
	return digits
}

// mustHush runs coffer, requires it to succeed, and keeps what it printed on standard
// output out of the transcript: that was asked for, and is a secret.
func (m *machine) mustHush(args ...string) string {
	m.Helper()
	cmd := m.command(m.Context(), args...)
	cmd.Stderr = m.said
	out, err := cmd.Output()
	if err != nil {
		m.Fatalf("coffer %s: %v\n%s", strings.Join(args, " "), err, m.said.bytes())
	}
	return string(out)
}

// join opens the backup at the site on another machine.
func (m *machine) join(s site, digits string) {
	m.Helper()
	key := m.file("key", digits)
	m.must(append([]string{"open", "--from", s.dest, "--key-file", key, "--keep-key", "file"}, s.flags...)...)
}

// restore gets everything back and returns the folder that dir came back as.
func (m *machine) restore(dir string) string {
	m.Helper()
	to := filepath.Join(scratch(m.T), "restored")
	m.must("restore", "latest", "--target", to, "--verify")
	return filepath.Join(to, dir)
}

// TestEveryKind: a backup of many files through each kind of place, and everything back
// on a computer that knows nothing but the recovery key and the way to the place.
func TestEveryKind(t *testing.T) {
	begin(t)
	for kind, open := range sites() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			s := open(m)
			files := filepath.Join(scratch(t), "files of ann")
			plant(t, files, kind, treeFiles())
			watch := look(t)
			digits := m.setUp(s, files)

			first := m.backup()
			if n := number(first, "files"); n < int64(treeFiles()) || number(first, "unreadable") != 0 {
				t.Fatalf("the first backup: %v", first)
			}
			second := m.backup()
			if number(second, "new_files") != 0 || number(second, "new_bytes") != 0 || number(second, "files") != number(first, "files") {
				t.Fatalf("nothing changed, and the second backup says %v", second)
			}
			must(t, os.WriteFile(filepath.Join(files, "new file"), []byte("new"), 0o600))
			if third := m.backup(); number(third, "new_files") != 1 {
				t.Fatalf("one file is new, and the third backup says %v", third)
			}
			m.must("check", "--read-data")

			other := newMachine(t)
			other.env = append(other.env, m.env[len(other.env):]...) // the way to the place
			other.join(s, digits)
			same(t, files, other.restore(files))

			watch.clean(t, append([]string{digits}, s.secrets...))
			if len(s.secrets) == 0 {
				return
			}
			m.keepsSecrets(s.secrets, s.content(t))
			other.keepsSecrets(s.secrets)
		})
	}
}
