// Package tpmtest runs emulated TPMs (swtpm) for tests: each one is a process of its own,
// with a state that outlives it, and behind a socket that only this test knows.
package tpmtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A TPM is an emulated TPM 2.0, as new from the factory, and started up.
type TPM struct {
	t   testing.TB
	dir string
	cmd *exec.Cmd
}

// Start starts a TPM. It ends with the test. A test is skipped where swtpm is not
// installed.
func Start(t testing.TB) *TPM {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Skip("swtpm is not installed")
	}
	dir, err := os.MkdirTemp("", "tpm") // the path of a socket has 108 bytes at most: t.TempDir's may have more
	if err != nil {
		t.Fatal(err)
	}
	m := &TPM{t: t, dir: dir}
	t.Cleanup(func() {
		m.Stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	m.start()
	return m
}

// Socket returns the path of the socket, which takes one connection at a time.
func (m *TPM) Socket() string { return filepath.Join(m.dir, "tpm") }

// Device returns the name of the device, as tpm.ChipConfig has it.
func (m *TPM) Device() string { return "swtpm:unix:" + m.Socket() }

// Restart is a power cycle: what was loaded is gone, what is in NV memory is there.
func (m *TPM) Restart() {
	m.t.Helper()
	m.Stop()
	m.start()
}

// Stop ends the process. Its state stays.
func (m *TPM) Stop() {
	m.t.Helper()
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill() // gone already is as good
	_ = m.cmd.Wait()         // killed: it says so
	m.cmd = nil
}

func (m *TPM) start() {
	m.t.Helper()
	for _, name := range []string{"tpm", "ctrl"} {
		if err := os.RemoveAll(filepath.Join(m.dir, name)); err != nil {
			m.t.Fatal(err)
		}
	}
	m.cmd = exec.Command("swtpm", "socket", "--tpm2",
		"--tpmstate", "dir="+m.dir,
		"--server", "type=unixio,path="+m.Socket(),
		"--ctrl", "type=unixio,path="+filepath.Join(m.dir, "ctrl"),
		"--flags", "not-need-init,startup-clear",
		"--log", "file="+filepath.Join(m.dir, "log"))
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.await()
}

// await returns when the TPM accepts connections.
func (m *TPM) await() {
	m.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := net.Dial("unix", m.Socket())
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			log, _ := os.ReadFile(filepath.Join(m.dir, "log"))
			m.t.Fatalf("swtpm does not start: %v\n%s", err, log)
		}
	}
}
