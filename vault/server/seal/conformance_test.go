package seal_test

import (
	"testing"

	"coffer/vault/server/seal"
	"coffer/vault/server/seal/sealtest"
)

func TestSoftConforms(t *testing.T) {
	opts := sealtest.Options{
		KeysInHandle: true, ReferenceIsKey: true, Instant: true,
		OPRFKey: func(_ *testing.T, _ seal.Sealer, _ seal.ID, reference []byte) []byte { return reference },
	}
	sealtest.Run(t, opts, func(*testing.T) (seal.Sealer, func() seal.Sealer) {
		again := func() seal.Sealer { return seal.NewSoft([32]byte{1}) }
		return again(), again
	})
}
