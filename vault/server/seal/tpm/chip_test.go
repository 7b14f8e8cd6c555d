package tpm

import (
	"bytes"
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"coffer/vault/server/seal"
	"coffer/vault/server/seal/tpm/tpmtest"
)

// A chip that does not answer: whoever waits obeys its context, and the next one finds a
// new line.
func TestHungChip(t *testing.T) {
	w, line := newWired(t, Options{})
	c := &counted{world: w}
	c.count()
	o := newOwner(t, 5)
	ref := c.newOPRF(id(1), o)
	c.arm(id(1), ref, o)
	ctx, cancel := context.WithCancel(t.Context())
	line.set(func(tpm2.TPMCC) fault { cancel(); return hung })
	_, err := c.Evaluate(ctx, id(1), ref, generator())
	wantErr(t, err, context.Canceled)
	wantErr(t, err, seal.ErrHardware)
	line.set(nil)
	_, err = c.evaluate(id(1), ref)
	must(t, err)

	// A writer in company of another one, whose epoch hangs: it does not wait for ever.
	counting := make(chan struct{})
	line.set(func(code tpm2.TPMCC) fault {
		if code != tpm2.TPMCCNVIncrement {
			return carry
		}
		close(counting)
		return hung
	})
	ctx, cancel = context.WithCancel(t.Context())
	company := &change{apply: func(*batch) error { return nil }}
	w.turn <- struct{}{}
	done := make(chan error)
	go func() { done <- w.Create(ctx, id(7), []byte("row")) }()
	for { // until the writer is in the queue: then both are in one epoch
		w.queueMu.Lock()
		n := len(w.queue)
		w.queueMu.Unlock()
		if n == 1 {
			break
		}
		runtime.Gosched()
	}
	stop, stopped := context.WithCancel(t.Context())
	go func() {
		defer stopped()
		company.done = make(chan struct{})
		w.queueMu.Lock()
		changes := slices.Concat(w.queue, []*change{company})
		w.queue = nil
		w.queueMu.Unlock()
		epochCtx, giveUp := context.WithCancel(t.Context())
		go func() { <-counting; cancel(); giveUp() }()
		if err := w.epoch(epochCtx, changes, 1); err == nil {
			t.Error("an epoch without a counter")
		}
		<-w.turn
	}()
	wantErr(t, <-done, context.Canceled)
	<-stop.Done()
	line.set(nil)
	select {
	case <-w.Gone():
	default:
		t.Error("the store goes on with an unknown outcome")
	}
	w.again()
	if row, _, err := w.Fetch(t.Context(), id(7)); err != nil || string(row) != "row" {
		t.Errorf("%q, %v", row, err) // the chip had counted: it was only the answer that hung
	}
}

// Epoch keys do not cross the wire between processor and chip in clear.
func TestTheWireLearnsNoEpochKey(t *testing.T) {
	w, line := newWired(t, Options{})
	key := bytes.Repeat([]byte("epochkey"), 4)
	n := w.Epochs.state.counter
	must(t, w.chip.do(t.Context(), "seal and unseal", func(k *call) error {
		at, err := k.value(n)
		if err != nil {
			return err
		}
		sealed, err := k.sealTo(n, at, key)
		if err != nil {
			return err
		}
		got, err := k.unseal(n, at, sealed, func() error { return nil })
		if !bytes.Equal(got, key) {
			t.Errorf("unsealed %x", got)
		}
		return err
	}))
	line.mu.Lock()
	defer line.mu.Unlock()
	if len(line.tap) < 1000 {
		t.Fatalf("only %d bytes were seen", len(line.tap))
	}
	if bytes.Contains(line.tap, key[:16]) {
		t.Error("the epoch key was on the wire")
	}
}

func TestDevices(t *testing.T) {
	for _, name := range []string{"/dev/null/tpm", filepath.Join(t.TempDir(), "absent")} {
		_, err := OpenChip(t.Context(), ChipConfig{Device: name})
		wantErr(t, err, ErrDevice)
		wantErr(t, err, seal.ErrHardware)
	}
	_, err := OpenChip(t.Context(), ChipConfig{Device: "swtpm:unix:" + filepath.Join(t.TempDir(), "absent")})
	wantErr(t, err, seal.ErrHardware)
	chip := mustChip(t, tpmtest.Start(t).Device())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = chip.AttestationKey(ctx)
	wantErr(t, err, context.Canceled)
	must(t, chip.Close())
	must(t, chip.Close())
	_, err = chip.AttestationKey(t.Context())
	wantErr(t, err, seal.ErrHardware)
}

// The owner's password is asked for at each use, and a wrong one is a failure that says so.
func TestOwnerPassword(t *testing.T) {
	w := newWorld(t, Options{})
	w.close()
	must(t, w.chip.do(t.Context(), "set password", func(k *call) error {
		_, err := tpm2.HierarchyChangeAuth{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NewAuth:    tpm2.TPM2BAuth{Buffer: []byte("secret")},
		}.Execute(k)
		return err
	}))
	wantErr(t, w.open(Options{}), seal.ErrHardware)
	must(t, w.chip.Close())
	chip, err := OpenChip(t.Context(), ChipConfig{Device: w.tpm.Device(), OwnerAuth: func() []byte { return []byte("secret") }})
	must(t, err)
	t.Cleanup(func() { _ = chip.Close() })
	w.chip = chip
	w.mustOpen(Options{})
	w.register(id(1), "one")
	w.mustOpen(Options{})
	w.wantBody(id(1), "one")
}
