package gate

import (
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/admit"
	"coffer/vault/server/seal"
	"coffer/vault/server/store/bolt"
)

// TestACoreStartsOnAStoreWithAdmissions: its sweep looks at every row, and passes over those
// that are no records. Asked about one as if it were a record, it says that it fails.
func TestACoreStartsOnAStoreWithAdmissions(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "vault.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sealer := seal.NewSoft([32]byte(aead.Random(32)))
	desk, err := admit.New(admit.Config{VaultID: testVault, Key: [32]byte{1}, Mode: admit.ModeInvite, Store: db, Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	token, err := desk.Invite(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Admit(t.Context(), [16]byte{1}, []byte(token)); err != nil {
		t.Fatal(err)
	}
	core, err := server.New(server.Config{
		VaultID: testVault, Store: db, Sealer: sealer, Key: opaque.GenerateServerKey(), Receipts: ed25519.NewKeyFromSeed(aead.Random(32)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer core.Close()
	if err := core.Sweep(t.Context()); err != nil {
		t.Errorf("sweep: %v", err)
	}
	rows := 0
	err = db.List(t.Context(), func(id [16]byte) error {
		rows++
		body := protocol.Encode(&protocol.Status{Header: protocol.NewHeader(protocol.KindStatus, id, 1, [32]byte{})})
		if _, err := core.Answer(t.Context(), [32]byte{}, body); !errors.Is(err, protocol.ErrInternal) {
			t.Errorf("an admission as a record: %v", err)
		}
		return nil
	})
	if err != nil || rows != 1 {
		t.Errorf("%d rows: %v", rows, err)
	}
}
