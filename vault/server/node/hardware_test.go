package node

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coffer/vault"
	"coffer/vault/server/seal"
	"coffer/vault/server/seal/tpm/tpmtest"
)

// onChip makes a vault on an emulated TPM.
func onChip(t *testing.T, class string) (chip *tpmtest.TPM, dir, recovery string, m Made) {
	t.Helper()
	chip = tpmtest.Start(t)
	recovery = filepath.Join(t.TempDir(), "recovery.txt")
	dir, m = made(t, func(o *InitOptions) {
		o.Config.Limits = Limits{Burst: 1000, PerMinute: 60_000, RecordBurst: 1000, RecordPerMinute: 60_000}
		o.Config.Seal, o.Recovery = class+":"+chip.Device(), recovery
	})
	return chip, dir, recovery, m
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range readAll(t, from) {
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Yesterday's folder is not served, and its owner can go on with it: users are told.
func TestTPMEpochs(t *testing.T) {
	_, dir, recovery, m := onChip(t, "tpm-epochs")
	s := serve(t, dir, Options{})
	c := dial(t, m.Link, vault.RemoteOptions{})
	slot, root := enroll(t, c)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	yesterday := filepath.Join(t.TempDir(), "yesterday")
	copyDir(t, dir, yesterday)
	s = serve(t, dir, Options{})
	mustOpen(t, c, slot, root)
	if got := mustStatus(t, dir); !got.Sealer.Hardware || got.Sealer.CountedBy != CountedByProgram || len(got.Sealer.Says) == 0 {
		t.Errorf("status: %+v", got.Sealer)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	copyDir(t, yesterday, dir)
	_, err := Open(t.Context(), dir, Options{})
	if code := Explain(err).Code; code != "rolled-back" {
		t.Fatalf("yesterday's folder: %v (%s)", err, code)
	}
	o := RecoverOptions{Dir: dir, Recovery: filepath.Join(dir, rootName), New: recovery + ".2"}
	if err := Recover(t.Context(), o, Options{}); !errors.Is(err, ErrRecovery) {
		t.Fatalf("recover with another file: %v", err)
	}
	o.Recovery = recovery
	if err := Recover(t.Context(), o, Options{}); err != nil {
		t.Fatalf("recover: %v", err)
	}
	o.Recovery, o.New = recovery+".2", recovery+".3" // the new one is good for the next time
	if err := Recover(t.Context(), o, Options{}); err != nil {
		t.Fatalf("recover again: %v", err)
	}
	serve(t, dir, Options{})
	pin := slot.Pin()
	c = dial(t, m.Link, vault.RemoteOptions{Pin: &pin})
	mustOpen(t, c, slot, root)
	if got := c.Bundle().Incarnation; got != 2 {
		t.Errorf("incarnation %d", got)
	}
}

// The chip counts: a client sees it proven, arms, and is destroyed after the last try.
func TestTPMCounts(t *testing.T) {
	chip, dir, _, m := onChip(t, "tpm")
	s := serve(t, dir, Options{})
	c := dial(t, m.Link, vault.RemoteOptions{})
	slot, root := enroll(t, c)
	if report, err := c.CheckHardware(t.Context(), slot); err != nil || report.Left < 1 {
		t.Fatalf("evidence: %+v, %v", report, err)
	}
	mustOpen(t, c, slot, root)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	chip.Restart()
	s = serve(t, dir, Options{})
	if got := mustStatus(t, dir); got.Sealer.CountedBy != CountedByTPM || got.Bundle.Attestation == "" {
		t.Errorf("status: %+v", got.Sealer)
	}
	mustOpen(t, c, slot, root)
	for range 9 {
		if _, _, err := c.Open(t.Context(), slot, secret("wrong")); !errors.Is(err, vault.ErrWrongPassword) {
			t.Fatalf("wrong password: %v", err)
		}
	}
	if _, _, err := c.Open(t.Context(), slot, secret("wrong")); !errors.Is(err, vault.ErrDestroyed) {
		t.Fatalf("the last try: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
}

// When the chip goes away under a running vault, nothing is answered; when it comes back,
// the vault goes on, by itself or started again by its keeper.
func TestAVaultWithoutItsTPMAnswersNothing(t *testing.T) {
	chip, dir, _, m := onChip(t, "tpm-epochs")
	n, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { done <- n.Serve(ctx) }()
	withAccess(t, dir, func(*Access) {})
	c := dial(t, m.Link, vault.RemoteOptions{})
	slot, root := enroll(t, c)
	if err := n.ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	chip.Stop()
	if err := n.ready(t.Context()); !errors.Is(err, seal.ErrHardware) {
		t.Errorf("without its TPM it is ready: %v", err)
	}
	if _, _, err := c.Open(t.Context(), slot, secret("right")); err == nil {
		t.Fatal("it answers without its TPM")
	}
	chip.Restart()
	cancel()
	if err := <-done; err != nil && !errors.Is(err, ErrStore) {
		t.Errorf("serve: %v", err)
	}
	_ = n.Close() // the chip was away
	chip.Stop()
	if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, ErrSeal) {
		t.Errorf("open without TPM: %v", err)
	}
	chip.Restart()
	serve(t, dir, Options{})
	mustOpen(t, c, slot, root)
}

// softHSM makes a token and returns the URI of it. It sets the process's own environment,
// because SoftHSM reads nothing else.
func softHSM(t *testing.T) (uri string) {
	t.Helper()
	var module string
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			module = path
		}
	}
	if _, err := exec.LookPath("softhsm2-util"); err != nil || module == "" {
		t.Skip("softhsm2 is not installed")
	}
	dir := t.TempDir()
	conf, pin := filepath.Join(dir, "softhsm2.conf"), filepath.Join(dir, "pin")
	err := errors.Join(
		os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600),
		os.WriteFile(pin, []byte("1234\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", "coffer", "--so-pin", "5678", "--pin", "1234").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v: %s", err, out)
	}
	return "pkcs11:token=coffer?module-path=" + module + "&pin-source=file:" + pin
}

func TestToken(t *testing.T) {
	uri := softHSM(t)
	dir, m := made(t, func(o *InitOptions) { o.Config.Seal = uri })
	if errors.Is(opened(t, dir, 0), ErrSeal) {
		t.Fatal("a token that was just used does not open")
	}
	s := serve(t, dir, Options{})
	c := dial(t, m.Link, vault.RemoteOptions{})
	slot, root := enroll(t, c)
	mustOpen(t, c, slot, root)
	if got := mustStatus(t, dir); !got.Sealer.Hardware || len(got.Sealer.Says) == 0 || got.Bundle.Sealer != "pkcs11" {
		t.Errorf("status: %+v", got.Sealer)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.log.String(), "1234\"") {
		t.Error("the PIN is in the log")
	}
}
