package tpm

import "context"

// Ready returns nil when the chip answers and has this store's counter. It counts nothing.
// [store.ErrClosed], [ErrOtherTPM], [seal.ErrHardware].
func (e *Epochs) Ready(ctx context.Context) error {
	e.mu.RLock()
	if e.why != nil {
		defer e.mu.RUnlock()
		return e.why
	}
	n := e.state.counter
	e.mu.RUnlock()
	return e.chip.do(ctx, "ask TPM", func(k *call) error { return k.checkCounter(n) })
}
