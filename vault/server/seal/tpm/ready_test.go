package tpm

import (
	"testing"

	"coffer/vault/server/seal"
	"coffer/vault/server/store"
)

func TestReadySaysWhetherTheChipIsThere(t *testing.T) {
	w := newWorld(t, Options{})
	epoch := w.Epoch()
	for range 3 {
		must(t, w.Ready(t.Context()))
	}
	if w.Epoch() != epoch {
		t.Error("asking was counted")
	}
	w.tpm.Stop()
	wantErr(t, w.Ready(t.Context()), seal.ErrHardware)
	w.tpm.Restart()
	must(t, w.Ready(t.Context()))
	handle := w.state.counter.handle
	must(t, w.chip.do(t.Context(), "delete", func(k *call) error { return k.undefine(handle) }))
	wantErr(t, w.Ready(t.Context()), ErrOtherTPM)
	must(t, w.Epochs.Close())
	wantErr(t, w.Ready(t.Context()), store.ErrClosed)
}
