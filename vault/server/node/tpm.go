package node

import (
	"context"
	"errors"
	"fmt"

	"coffer/vault/server/seal"
	"coffer/vault/server/seal/tpm"
)

// openTPM opens the chip, and store and sealer in one, over the file of the store.
func (o opening) openTPM(ctx context.Context, p *parts, spec sealSpec) error {
	chip, err := o.openChip(ctx, p, spec)
	if err != nil {
		return err
	}
	options := tpm.Options{Create: o.create, Index: o.config.TPM.Index, Now: o.clock}
	if o.keys.Recovery != [32]byte{} {
		options.Recovery = o.keys.Recovery[:]
	}
	epochs, err := tpm.OpenEpochs(ctx, chip, p.db, options)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, epochs.Close)
	p.store, p.sealer, p.gone = epochs, epochs, epochs.Gone()
	p.ready = append(p.ready, epochs.Ready)
	p.facts.incarnation = epochs.Incarnation()
	says := func() []string { return []string{fmt.Sprintf("epoch: %d", epochs.Epoch())} }
	if spec.class == seal.ClassTPM {
		counting, err := tpm.NewCounting(ctx, epochs)
		if err != nil {
			return err
		}
		p.closers = append(p.closers, counting.Close) // ends challenges, which would stay in the chip
		p.store, p.sealer = counting, counting
		if p.facts.attestation, err = chip.AttestationKey(ctx); err != nil {
			return err
		}
		says = func() []string {
			return []string{fmt.Sprintf("epoch: %d", epochs.Epoch()), fmt.Sprintf("counting indices: %d", counting.Indices())}
		}
	}
	p.hardware = func(context.Context) ([]string, error) { return says(), nil }
	return p.readEndorsement(ctx, chip)
}

// readEndorsement reads the certificate that the maker has put into the chip, if there is
// one: emulators, and some chips, have none.
func (p *parts) readEndorsement(ctx context.Context, chip *tpm.Chip) error {
	der, err := chip.EndorsementCertificate(ctx)
	if errors.Is(err, tpm.ErrNoCertificate) {
		return nil
	}
	p.endorsement = der
	return err
}

func (o opening) openChip(ctx context.Context, p *parts, spec sealSpec) (*tpm.Chip, error) {
	config := tpm.ChipConfig{Device: spec.device}
	if path := o.config.TPM.OwnerAuthFile; path != "" {
		auth, err := o.secretFile(path)
		if err != nil {
			return nil, err
		}
		config.OwnerAuth = func() []byte { return auth }
	}
	chip, err := tpm.OpenChip(ctx, config)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, chip.Close)
	return chip, nil
}

// RecoverOptions say how a vault on a TPM goes on from a copy, or on another chip.
type RecoverOptions struct {
	Dir      string
	Recovery string // file of the recovery key
	New      string // file that the new recovery key is written to; it must not exist
}

// Recover opens a store that its TPM does not open any more, because it is an old copy, or
// because the TPM is another one. Its users are told: the incarnation rises. Tries that
// were used since the copy was made have come back. [ErrNoVault], [ErrBusy], [ErrNotHere],
// [ErrRecovery], [ErrSeal].
func Recover(ctx context.Context, o RecoverOptions, opts Options) (err error) {
	opts = opts.withDefaults()
	d := folder(o.Dir)
	if err := d.hasVault(); err != nil {
		return err
	}
	l, err := d.lock()
	if err != nil {
		return err
	}
	defer l.release()
	id, err := readIdentity(d, opts.Clock)
	if err != nil {
		return err
	}
	spec, err := parseSeal(id.config.Seal)
	if err != nil {
		return err
	}
	if !spec.isTPM() {
		return fmt.Errorf("the sealer is %s: %w", spec.class, ErrNotHere)
	}
	private, err := readRecovery(o.Recovery, id.keys.ID)
	if err != nil {
		return err
	}
	defer clear(private)
	return id.recoverEpoch(ctx, o, spec, private, opts)
}

func (id *identity) recoverEpoch(ctx context.Context, o RecoverOptions, spec sealSpec, private []byte, opts Options) (err error) {
	// The new key is on paper before the store knows of it: a store whose recovery key
	// nobody has is worse than a file that nobody needs.
	fresh, err := newRecovery(id.keys.ID, o.New)
	if err != nil {
		return err
	}
	how := opening{dir: id.dir, config: id.config, keys: id.keys, clock: opts.Clock, log: opts.logger(id.config)}
	p := &parts{}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := how.openStore(ctx, p); err != nil {
		return fmt.Errorf("open store: %w: %w", ErrStore, err)
	}
	chip, err := how.openChip(ctx, p, spec)
	if err != nil {
		return fmt.Errorf("open TPM: %w: %w", ErrSeal, err)
	}
	epochs, err := tpm.RecoverEpoch(ctx, chip, p.db, private, tpm.Options{Index: id.config.TPM.Index, Recovery: fresh[:], Now: opts.Clock})
	switch {
	case errors.Is(err, tpm.ErrRecovery):
		return fmt.Errorf("recover store: %w: %w", ErrRecovery, err)
	case err != nil:
		return fmt.Errorf("recover store: %w: %w", ErrSeal, err)
	}
	p.closers = append(p.closers, epochs.Close)
	id.keys.Recovery = fresh
	return id.dir.writeKeys(id.keys)
}

// newRecovery makes a recovery key, writes its private half to a file, and returns the
// public one.
func newRecovery(vault [16]byte, path string) ([32]byte, error) {
	private, public, err := tpm.NewRecoveryKey()
	if err != nil {
		return [32]byte{}, fmt.Errorf("make recovery key: %w", err)
	}
	defer clear(private)
	text := encodeRecovery(vault, private)
	defer clear(text)
	return [32]byte(public), createFile(path, text)
}
