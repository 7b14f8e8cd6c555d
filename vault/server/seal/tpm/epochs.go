package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"coffer/crypto/aead"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
	"coffer/vault/server/store/bolt"
)

// Places of NV indices: see the package doc.
const (
	// DefaultIndex is where the NV indices of vaults begin.
	DefaultIndex = 0x018C0000
	places       = 16
	placeSize    = 0x1000
)

// Options of a store. The zero value opens a store that exists.
type Options struct {
	// Create makes a store where the file has none yet, with a counter of its own.
	Create bool
	// Index is where the NV indices of this computer's vaults begin; 0: [DefaultIndex].
	// A store that exists knows its own.
	Index uint32
	// Recovery is the public half of the recovery key that a new store gets (and that
	// [RecoverEpoch] gives to an old one); nil for none. It lies within the state from
	// then on, so that nobody who changes a configuration puts his own in its place.
	Recovery []byte
	// Now is the clock; nil for the system's.
	Now func() time.Time
}

func (o Options) filled() (Options, error) {
	if o.Index == 0 {
		o.Index = DefaultIndex
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Recovery) != 0 && len(o.Recovery) != RecoveryKeySize {
		return o, fmt.Errorf("public half of %d bytes: %w", len(o.Recovery), ErrRecovery)
	}
	return o, nil
}

// Epochs is a store, with [store.Eraser] and [store.Lister], and its sealer, of class
// [seal.ClassTPMEpochs]. It is safe for concurrent use. The package doc says how it works.
type Epochs struct {
	chip    *Chip
	db      *bolt.DB
	options Options

	// turn holds one token while an epoch is made; with it, db and the fields below are
	// of one epoch.
	turn chan struct{}
	gone chan struct{} // closed when the store has closed itself

	mu      sync.RWMutex
	why     error // not nil: closed
	state   *state
	parent  [nameSize]byte
	digests map[store.ID]digest
	dropped []indexEntry // that the next epoch forgets

	queueMu sync.Mutex
	queue   []*change
}

// OpenEpochs opens the store that lies in db, or makes it. The caller keeps chip and db open
// for as long as he uses the store, closes them after it, and uses db for nothing else.
// [ErrRolledBack], [ErrOtherTPM], [ErrTampered], [ErrNoStore], [ErrFull],
// [seal.ErrHardware].
func OpenEpochs(ctx context.Context, chip *Chip, db *bolt.DB, options Options) (*Epochs, error) {
	e, err := newEpochs(chip, db, options)
	if err != nil {
		return nil, err
	}
	h, box, err := e.readHead(ctx)
	switch {
	case errors.Is(err, ErrNoStore) && options.Create:
		err = e.create(ctx)
	case err == nil:
		err = e.open(ctx, h, box)
	}
	if err != nil {
		return nil, fmt.Errorf("open store on TPM: %w", err)
	}
	return e, nil
}

// RecoverEpoch opens a store with the private half of its recovery key: an old copy, when
// there is no newer one, or a store whose TPM is gone or was cleared. It goes on under this
// chip, in a new incarnation. Counts of tries are those of the copy. OPRF keys that lay in
// another chip are lost. The recovery key has been on this computer now: Options.Recovery
// should name another one. Errors as of [OpenEpochs], and [ErrRecovery].
func RecoverEpoch(ctx context.Context, chip *Chip, db *bolt.DB, private []byte, options Options) (*Epochs, error) {
	e, err := newEpochs(chip, db, options)
	if err != nil {
		return nil, err
	}
	if err := e.recover(ctx, private); err != nil {
		return nil, fmt.Errorf("recover store: %w", err)
	}
	return e, nil
}

func newEpochs(chip *Chip, db *bolt.DB, options Options) (*Epochs, error) {
	options, err := options.filled()
	if err != nil {
		return nil, err
	}
	return &Epochs{
		chip: chip, db: db, options: options, turn: make(chan struct{}, 1), gone: make(chan struct{}),
		digests: map[store.ID]digest{},
	}, nil
}

// Incarnation returns how often the store was recovered. Clients are told: what they knew
// of another incarnation may not be so any more.
func (e *Epochs) Incarnation() uint64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.state.incarnation
}

// Epoch returns the value of the counter that the store is sealed to.
func (e *Epochs) Epoch() uint64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.state.epoch
}

// Gone returns a channel that is closed when the store has closed itself: the outcome of a
// write is not known, and only opening the store again brings it to light.
func (e *Epochs) Gone() <-chan struct{} { return e.gone }

// Close forgets all keys. Chip and file are the caller's to close.
func (e *Epochs) Close() error {
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	e.end(store.ErrClosed)
	return nil
}

// end closes the store for a reason. The caller has the turn.
func (e *Epochs) end(why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why != nil {
		return
	}
	e.why = why
	if e.state != nil {
		e.state.wipe()
	}
	close(e.gone)
}

// Format prints "[redacted]" for every verb.
func (*Epochs) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// readHead reads the state as it lies in the file. [ErrNoStore], [ErrTampered].
func (e *Epochs) readHead(ctx context.Context) (h *head, box []byte, err error) {
	err = e.db.View(ctx, func(tx *bolt.Tx) error {
		note := tx.Note(stateNote)
		if note != nil {
			h, box, err = decodeHead(note)
			return err
		}
		// Rows without a state are not a new store.
		if err := tx.Each(func(store.ID, store.Revision, []byte) error { return ErrTampered }); err != nil {
			return fmt.Errorf("there are rows, and no state: %w", err)
		}
		return ErrNoStore
	})
	return h, box, err
}

func (e *Epochs) create(ctx context.Context) error {
	s := newState()
	copy(s.recovery[:], e.options.Recovery)
	err := e.chip.do(ctx, "make counter", func(k *call) (err error) {
		if s.counter, err = k.defineCounter(e.options.Index); err != nil {
			return err
		}
		if s.epoch, err = k.value(s.counter); err != nil {
			return err
		}
		return e.adopt(k)
	})
	if err != nil {
		return err
	}
	e.state = s
	handle := s.counter.handle
	if err := e.start(ctx); err != nil {
		return errors.Join(err, e.undo(ctx, handle))
	}
	return nil
}

// undo deletes the counter of a store that was not made after all.
func (e *Epochs) undo(ctx context.Context, handle uint32) error {
	if _, _, err := e.readHead(ctx); !errors.Is(err, ErrNoStore) {
		return nil // it was made, or nobody knows: then the counter stays
	}
	return e.chip.do(ctx, "delete counter", func(k *call) error { return k.undefine(handle) })
}

// adopt notes whose chip this is.
func (e *Epochs) adopt(k *call) error {
	parent, err := k.parent()
	if err != nil {
		return err
	}
	e.parent = [nameSize]byte(parent.name.Buffer)
	return nil
}

func (e *Epochs) open(ctx context.Context, h *head, box []byte) error {
	var key []byte
	err := e.chip.do(ctx, "open epoch", func(k *call) (err error) {
		key, err = e.epochKey(k, h)
		return err
	})
	if err != nil {
		return err
	}
	defer clear(key)
	s, err := openState(h, box, key)
	if err != nil {
		return err
	}
	e.state = s
	if err := e.readRows(ctx); err != nil {
		return err
	}
	return e.start(ctx)
}

// epochKey has the chip open the epoch of a head, and finishes what a crash has left between
// transaction and counter. [ErrRolledBack], [ErrOtherTPM], [ErrTampered].
func (e *Epochs) epochKey(k *call, h *head) ([]byte, error) {
	if err := e.adopt(k); err != nil {
		return nil, err
	}
	if !bytes.Equal(e.parent[:], h.parent[:]) {
		return nil, ErrOtherTPM
	}
	if err := k.checkCounter(h.counter); err != nil {
		return nil, err
	}
	at, err := k.value(h.counter)
	switch {
	case err != nil:
		return nil, err
	case h.epoch < at:
		return nil, fmt.Errorf("store of epoch %d, TPM at %d: %w", h.epoch, at, ErrRolledBack)
	case h.epoch-at > ahead: // nobody writes further ahead
		return nil, fmt.Errorf("store of epoch %d, TPM at %d: %w", h.epoch, at, ErrOtherTPM)
	}
	return k.unseal(h.counter, h.epoch, h.sealed, func() error { return k.count(h.counter, h.epoch) })
}

// readRows hashes all rows and compares their sum with that of the state. [ErrTampered].
func (e *Epochs) readRows(ctx context.Context) error {
	total, n := sum{}, uint64(0)
	err := e.db.View(ctx, func(tx *bolt.Tx) error {
		return tx.Each(func(id store.ID, revision store.Revision, row []byte) error {
			d := e.state.digestOf(id, revision, row)
			e.digests[id] = d
			total, n = total.plus(d), n+1
			return ctx.Err()
		})
	})
	if err != nil {
		return err
	}
	if total != e.state.sum || n != e.state.rows {
		return fmt.Errorf("%d rows, of %d, have another digest: %w", n, e.state.rows, ErrTampered)
	}
	return nil
}

func (e *Epochs) recover(ctx context.Context, private []byte) error {
	h, box, err := e.readHead(ctx)
	if err != nil {
		return err
	}
	key, err := openRecovery(private, h)
	if err != nil {
		return err
	}
	defer clear(key)
	if e.state, err = openState(h, box, key); err != nil {
		return err
	}
	if err := e.readRows(ctx); err != nil {
		return err
	}
	if err := e.chip.do(ctx, "move to TPM", func(k *call) error { return e.move(k, h) }); err != nil {
		return err
	}
	e.state.incarnation++
	if len(e.options.Recovery) != 0 {
		copy(e.state.recovery[:], e.options.Recovery)
	}
	return e.start(ctx)
}

// move puts the state under the counter that it had, or, on another chip, under a new one.
// The name of a counter says nothing about the chip: another store may have the same one there.
func (e *Epochs) move(k *call, h *head) error {
	if err := e.adopt(k); err != nil {
		return err
	}
	s, err := e.state, error(ErrOtherTPM)
	if e.parent == h.parent {
		err = k.checkCounter(s.counter)
	}
	if errors.Is(err, ErrOtherTPM) {
		s.indices, s.epoch = nil, 0
		s.counter, err = k.defineCounter(e.options.Index)
	}
	if err != nil {
		return err
	}
	at, err := k.value(s.counter)
	if err != nil {
		return err
	}
	s.epoch = max(s.epoch, at)
	return nil
}

// ahead is how far an Open goes: the package doc says why.
const ahead = 2

// start makes the first epoch after an Open. Before it nothing is answered.
func (e *Epochs) start(ctx context.Context) error {
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	tidy := &change{apply: (*batch).dropOrphans}
	err := e.epoch(ctx, []*change{tidy}, ahead)
	if err == nil {
		err = tidy.err
	}
	if err != nil {
		e.end(err)
		return err
	}
	return nil
}

// usable says why the store does not answer: [store.ErrClosed].
func (e *Epochs) usable() error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.why
}

// newEpochKey makes the key of an epoch, and what it is wrapped in: for the chip, and for the
// recovery key.
func (e *Epochs) newEpochKey(ctx context.Context, s *state) (key []byte, h *head, err error) {
	key = aead.Random(aead.KeySize)
	h = &head{incarnation: s.incarnation, epoch: s.epoch, counter: s.counter, parent: e.parent}
	if s.recovery != [32]byte{} {
		if h.recovery, err = sealRecovery(s.recovery[:], s.incarnation, s.epoch, key); err != nil {
			return nil, nil, err
		}
	}
	err = e.chip.do(ctx, "seal epoch", func(k *call) (err error) {
		parent, err := k.parent()
		if err != nil {
			return err
		}
		if !bytes.Equal(parent.name.Buffer, e.parent[:]) { // the device came back as another chip
			return ErrOtherTPM
		}
		h.sealed, err = k.sealTo(s.counter, s.epoch, key)
		return err
	})
	return key, h, err
}

var (
	_ seal.Sealer  = (*Epochs)(nil)
	_ store.Store  = (*Epochs)(nil)
	_ store.Eraser = (*Epochs)(nil)
	_ store.Lister = (*Epochs)(nil)
)
