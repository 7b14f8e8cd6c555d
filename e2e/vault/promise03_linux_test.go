package vault_test

import (
	"bytes"
	"encoding/hex"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/protocol"
	"coffer/vault/server/seal"
	"coffer/vault/vaulttest"
)

// TestPromise03: after N wrong tries the key is gone for ever: after a restart, and after
// yesterday's disks were put back, as far as that holds for sealer and store. A cluster inside
// of the nodes is as one beside them, and slow to start all at once.
func TestPromise03(t *testing.T) {
	inWorlds(t, func(w *world) bool { return w.store != "etcd-embedded" }, func(t *testing.T, w *world) {
		ctx := t.Context()
		doomed, other := w.registered("right"), w.registered("right")
		steps := []copied{w.yesterday()}
		wrong(t, doomed, 5)
		if w.store == "bolt" {
			steps = append(steps, w.yesterday())
		}
		wrong(t, doomed, 4)
		a, err := doomed.Ask(ctx, "wrong", 0)
		must(t, err)
		_, err = doomed.Finish(ctx, a)
		wantErr(t, "the tenth wrong password", err, protocol.ErrDestroyed)
		wrong(t, other, 1)
		var seen vault.Seen
		witness := w.client(w.first().address, w.link, vault.RemoteOptions{KeepSeen: func(s vault.Seen) error { seen = s; return nil }})
		_, err = witness.Status(ctx, w.slotOf(other))
		must(t, err)

		w.mustBeGone(t, doomed)
		w.stopAll()
		w.startAll()
		w.mustBeGone(t, doomed)

		w.stopAll()
		today := w.copyDisks()
		for _, old := range steps {
			w.putBack(old)
			w.mustNotHelp(t, doomed, other, seen)
		}
		w.putBack(today)
		w.startAll()
		w.mustBeGone(t, doomed)
		root, err := other.Guess(ctx, "right")
		if err != nil || !root.Equal(other.Root) {
			t.Fatalf("a record beside the destroyed one: %v", err)
		}
	})
}

// yesterday saves the disks of a vault that goes on then.
func (w *world) yesterday() copied {
	w.t.Helper()
	w.stopAll()
	c := w.copyDisks()
	w.startAll()
	return c
}

// wrong makes n whole wrong tries.
func wrong(t *testing.T, g *vaulttest.Guesser, n int) {
	t.Helper()
	for range n {
		_, err := g.Guess(t.Context(), "wrong")
		wantErr(t, "a wrong password", err, protocol.ErrWrongPassword)
	}
}

// mustBeGone: the right password gets "destroyed", from every node.
func (w *world) mustBeGone(t *testing.T, g *vaulttest.Guesser) {
	t.Helper()
	for _, n := range w.nodes {
		at := *g
		at.Door = n.door()
		_, err := at.Guess(t.Context(), "right")
		wantErr(t, "the right password", err, protocol.ErrDestroyed)
		s, err := at.Status(t.Context())
		if err != nil || s.State != protocol.StateDestroyed || s.Left != 0 {
			t.Fatalf("status %+v, %v", s, err)
		}
	}
}

// mustNotHelp says what yesterday's disks are good for (docs/vault-protocol.md, the table of
// who a promise holds against). All nodes are stopped, before and after.
func (w *world) mustNotHelp(t *testing.T, doomed, other *vaulttest.Guesser, seen vault.Seen) {
	t.Helper()
	ctx := t.Context()
	if onTPM(w) {
		if said := w.first().refusesToStart(); !strings.Contains(said, "older than its TPM") {
			t.Fatalf("it does not say why it ends: %s", said)
		}
		return
	}
	w.startAll()
	defer w.stopAll()
	if w.seal == "pkcs11" {
		_, err := doomed.Ask(ctx, "right", 2)
		wantErr(t, "what was destroyed, from an old store", err, protocol.ErrInternal)
	} else {
		// The weaker truth: a software vault cannot notice.
		root, err := doomed.Guess(ctx, "right")
		if err != nil || !root.Equal(doomed.Root) {
			t.Fatalf("the documentation says that an old store of a software vault opens: %v", err)
		}
	}
	s, err := other.Status(ctx)
	if err != nil || s.Left != tries {
		t.Fatalf("the documentation says that tries come back: %+v, %v", s, err)
	}
	// And the clients of the product raise the alarm, before a password leaves.
	witness := w.client(w.first().address, w.link, vault.RemoteOptions{Seen: seen})
	_, err = witness.Status(ctx, w.slotOf(other))
	wantErr(t, "the status of a store that was put back", err, vault.ErrVaultRolledBack)
	_, _, err = witness.Open(ctx, w.slotOf(other), crypto.NewSecret([]byte("right")))
	wantErr(t, "a password for a store that was put back", err, vault.ErrVaultRolledBack)
	s, err = other.Status(ctx)
	if err != nil || s.Left != tries {
		t.Fatalf("after the alarm: %+v, %v", s, err)
	}
}

// TestPromise03Bytes reads the raw bytes of the disks of a software vault with the key that
// remains: of a record that was destroyed nothing opens in a file. In the log of a cluster
// old rows do: the documentation says so, and init asks.
func TestPromise03Bytes(t *testing.T) {
	inWorlds(t, func(w *world) bool { return w.seal == "soft" }, func(t *testing.T, w *world) {
		g := w.guesser()
		tap := &tapped{Door: g.Door}
		g.Door = tap
		must(t, g.Register(t.Context(), "right"))
		g.Door = tap.Door
		isSecretful := tap.commit(t).isIn
		files := raw(t, w.disks()...)
		sealer := w.remainingKey(t, g.Record, files)
		if !anyOpens(t, files, sealer, g.Record, isSecretful) {
			t.Fatal("the scan does not find the living record: it could not fail")
		}
		for i := range tries {
			if i == tries-1 && !anyOpens(t, raw(t, w.disks()...), sealer, g.Record, isSecretful) {
				t.Fatal("the scan does not find the record before its last try: it could not fail")
			}
			if i%3 == 0 {
				w.bustle(t)
			}
			a, err := g.Ask(t.Context(), "wrong", 0)
			must(t, err)
			if _, err = g.Finish(t.Context(), a); err == nil {
				t.Fatal("a wrong password opens")
			}
		}
		w.mustBeGone(t, g)
		found := anyOpens(t, raw(t, w.disks()...), sealer, g.Record, isSecretful)
		if w.store == "bolt" && found {
			t.Error("a former record can be opened")
		}
		if w.store != "bolt" && !found {
			t.Error("nothing of the former record is left in the cluster: the documentation promises less than is true")
		}
	})
}

// bustle registers and uses many records at once: the store writes large groups, and has free
// pages afterwards, in which old rows would stay for long if nobody overwrote them. A cluster
// keeps old rows anyhow, and shares the computer with its other members: fewer do.
func (w *world) bustle(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	for range map[bool]int{true: 32, false: 6}[w.store == "bolt"] {
		g := w.guesser()
		wg.Go(func() {
			err := g.Register(t.Context(), "right")
			for i := 0; err == nil && i < 2; i++ {
				_, err = g.Ask(t.Context(), "wrong", 0)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// handles gives every place in the files where a row with a software handle may begin:
// format, length of the handle, handle, sealed record.
func handles(files map[string][]byte) (all [][]byte) {
	mark := []byte{1, 0, 112}
	for _, data := range files {
		for rest := data; ; {
			at := bytes.Index(rest, mark)
			if at < 0 {
				break
			}
			rest = rest[at+len(mark):]
			if len(rest) > 112 {
				all = append(all, rest)
			}
		}
	}
	return all
}

// remainingKey finds the sealing key in vault.key, without knowing that file's form: it is
// the 32 bytes that open the handle of a living record.
func (w *world) remainingKey(t *testing.T, id [16]byte, files map[string][]byte) *seal.Soft {
	t.Helper()
	keys := files[filepath.Join(w.first().dir, "vault.key")]
	if len(keys) == 0 {
		t.Fatal("there is no vault.key")
	}
	for _, row := range handles(files) {
		for at := 0; at+32 <= len(keys); at++ {
			sealer := seal.NewSoft([32]byte(keys[at : at+32]))
			if _, err := sealer.Seal(t.Context(), id, row[:112], nil); err == nil {
				return sealer
			}
			if at == 0 && !near(files, id, row) {
				break // the row of another record
			}
		}
	}
	t.Fatal("no part of vault.key opens the record")
	return nil
}

// near reports whether the name of the record stands shortly before a row.
func near(files map[string][]byte, id [16]byte, row []byte) bool {
	for _, data := range files {
		at := len(data) - len(row)
		if at < 3 || at > len(data) || !bytes.Equal(data[at:min(len(data), at+64)], row[:64]) {
			continue
		}
		before := data[max(0, at-8192):at]
		if bytes.Contains(before, id[:]) || bytes.Contains(before, []byte(hex.EncodeToString(id[:]))) {
			return true
		}
	}
	return false
}

// anyOpens reports whether the sealer opens anything secretful of one record, at any place of
// the files and of any length: a record grows with its log.
func anyOpens(t *testing.T, files map[string][]byte, sealer *seal.Soft, id [16]byte, isSecretful func([]byte) bool) bool {
	t.Helper()
	const smallest, largest = 300, 12_000
	bodies := 0
	for _, row := range handles(files) {
		handle, sealed := row[:112], row[112:]
		if _, err := sealer.Seal(t.Context(), id, handle, nil); err != nil {
			continue
		}
		for n := smallest; n < min(largest, len(sealed)); n++ {
			body, err := sealer.Open(t.Context(), id, handle, sealed[:n])
			if err != nil {
				continue
			}
			bodies++
			if isSecretful(body) {
				return true
			}
		}
	}
	t.Logf("%d bodies open, none with a secret", bodies)
	return false
}
