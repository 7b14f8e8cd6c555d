//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRootLeavesNothingInAFolderOfAnother: the service runs as a user of its own, and an
// operator who types a command as root must not leave it files that it cannot read.
func TestRootLeavesNothingInAFolderOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	dir := filepath.Join(t.TempDir(), "vault")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "--address", "vault.example.org:7443"}, {"serve"}, {"recover-epoch", "--recovery", "a", "--new-recovery", "b"},
	} {
		status, says := runAs(append(args, "--data", dir)...)
		if status != exitUsage || !strings.Contains(says, "runuser -u") {
			t.Errorf("%s: status %d: %s", args[0], status, says)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v %v", left, err)
	}

	// The same for what changes a vault that does not run. To look at it leaves nothing.
	if err := os.Chown(dir, 0, 0); err != nil {
		t.Fatal(err)
	}
	if status, says := runAs("init", "--address", "vault.example.org:7443", "--data", dir); status != exitDone {
		t.Fatal(says)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"rotate"}, {"bundle", "--renew"}, {"bundle", "--install", filepath.Join(dir, "bundle.txt")}} {
		if status, says := runAs(append(args, "--data", dir)...); status != exitUsage || !strings.Contains(says, "runuser -u") {
			t.Errorf("%s: status %d: %s", args[0], status, says)
		}
	}
	if status, says := runAs("status", "--data", dir); status != exitNotReady {
		t.Errorf("status %d: %s", status, says)
	}
}

// runAs runs a command in this process.
func runAs(args ...string) (status int, says string) {
	var out bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &out}
	return p.run(args), out.String()
}
