package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"coffer/crypto/aead"
	"coffer/vault/server/seal"
	"coffer/vault/server/seal/pkcs11"
	"coffer/vault/server/seal/tpm"
	"coffer/vault/server/store"
	"coffer/vault/server/store/bolt"
	"coffer/vault/server/store/etcd"
)

// A pair is a store and a sealer.
type pair struct {
	name  string
	users int  // so many records: a TPM has room for few
	fresh bool // measure new connections too: they cost the same before every store
	open  func(ctx context.Context, o options, c *closing) (store.Store, seal.Sealer, error)
	skip  func(o options) string // why not; empty: measure
}

// plenty is as many records as there are clients.
const plenty = 1 << 10

func pairs() []pair {
	always := func(options) string { return "" }
	needs := func(have func(options) string, flag string) func(options) string {
		return func(o options) string {
			if have(o) == "" {
				return "no " + flag
			}
			return ""
		}
	}
	device := func(o options) string { return o.tpm }
	return []pair{
		{"memory, soft", plenty, true, openMemory, always},
		{"bolt, soft", plenty, true, openBolt, always},
		{"etcd, soft", plenty, false, openEtcd, needs(func(o options) string { return o.etcd }, "-etcd")},
		{"bolt, pkcs11", plenty, false, openToken, needs(func(o options) string { return o.token }, "-token")},
		{"bolt, tpm-epochs", plenty, false, openEpochs, needs(device, "-tpm")},
		{"bolt, tpm", 8, false, openCounting, needs(device, "-tpm")},
	}
}

func newSoft() seal.Sealer { return seal.NewSoft([aead.KeySize]byte(aead.Random(aead.KeySize))) }

func openMemory(context.Context, options, *closing) (store.Store, seal.Sealer, error) {
	return newMemoryStore(), newSoft(), nil
}

func openFile(o options, c *closing, name string) (*bolt.DB, error) {
	db, err := bolt.Open(filepath.Join(o.dir, name+".db"), 0)
	if err == nil {
		*c = append(*c, db.Close)
	}
	return db, err
}

func openBolt(_ context.Context, o options, c *closing) (store.Store, seal.Sealer, error) {
	db, err := openFile(o, c, "soft")
	return db, newSoft(), err
}

func openEtcd(ctx context.Context, o options, c *closing) (store.Store, seal.Sealer, error) {
	db, err := etcd.Open(ctx, etcd.Options{Endpoints: []string{o.etcd}})
	if err == nil {
		*c = append(*c, db.Close)
	}
	return db, newSoft(), err
}

func openToken(ctx context.Context, o options, c *closing) (store.Store, seal.Sealer, error) {
	db, err := openFile(o, c, "token")
	if err != nil {
		return nil, nil, err
	}
	config, pinFile, err := pkcs11.ParseURI(o.token)
	if err != nil {
		return nil, nil, err
	}
	config.PIN = pkcs11.PINFile(pinFile)
	token, err := pkcs11.Setup(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	*c = append(*c, token.Close)
	return db, token, nil
}

func openChip(ctx context.Context, o options, c *closing, name string) (*tpm.Chip, *bolt.DB, error) {
	db, err := openFile(o, c, name)
	if err != nil {
		return nil, nil, err
	}
	chip, err := tpm.OpenChip(ctx, tpm.ChipConfig{Device: o.tpm})
	if err != nil {
		return nil, nil, err
	}
	*c = append(*c, chip.Close)
	return chip, db, nil
}

func openEpochs(ctx context.Context, o options, c *closing) (store.Store, seal.Sealer, error) {
	chip, db, err := openChip(ctx, o, c, "epochs")
	if err != nil {
		return nil, nil, err
	}
	e, err := tpm.OpenEpochs(ctx, chip, db, tpm.Options{Create: true})
	if err != nil {
		return nil, nil, err
	}
	*c = append(*c, e.Close)
	return e, e, nil
}

func openCounting(ctx context.Context, o options, c *closing) (store.Store, seal.Sealer, error) {
	chip, db, err := openChip(ctx, o, c, "counting")
	if err != nil {
		return nil, nil, err
	}
	e, err := tpm.OpenCounting(ctx, chip, db, tpm.Options{Create: true})
	if err != nil {
		return nil, nil, err
	}
	*c = append(*c, e.Close)
	return e, e, nil
}

// A measured is one line of the table.
type measured struct {
	pair, way string
	result
}

// bounds are openings a second that the processors could do, by way.
type bounds map[string]float64

const (
	wayInside  = "inside"
	wayNetwork = "network"
	wayFresh   = "network, new connections"
)

// speed measures all pairs and prints the table.
func speed(ctx context.Context, o options, out io.Writer) error {
	if o.dir == "" {
		return errors.New("-dir is needed")
	}
	var all []measured
	var notes []string
	limit := bounds{}
	for _, p := range pairs() {
		if o.only != "" && o.only != p.name && p.name != "memory, soft" {
			continue
		}
		if why := p.skip(o); why != "" {
			notes = append(notes, fmt.Sprintf("- %s: not measured (%s)", p.name, why))
			continue
		}
		lines, note, err := p.measure(ctx, o)
		if errors.Is(err, pkcs11.ErrNotBuilt) {
			notes = append(notes, fmt.Sprintf("- %s: not measured (built without cgo)", p.name))
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		for _, l := range lines {
			// The first pair is the store in memory: its single client gives the bound.
			if l.clients == 1 && limit[l.way] == 0 {
				limit[l.way] = float64(runtime.GOMAXPROCS(0)) / l.processor.Seconds()
			}
		}
		all, notes = append(all, lines...), append(notes, note...)
	}
	printSpeed(out, all, limit, notes)
	if o.etcd == "" || o.only != "" && o.only != "etcd, soft" {
		return nil
	}
	return compareBare(ctx, o, out, all, limit)
}

// measure opens the pair, and measures it in all ways.
func (p pair) measure(ctx context.Context, o options) (lines []measured, notes []string, err error) {
	var c closing
	defer func() { err = errors.Join(err, c.close()) }()
	s, sealer, err := p.open(ctx, o, &c)
	if err != nil {
		return nil, nil, err
	}
	v, err := newSubject(s, sealer)
	if err != nil {
		return nil, nil, err
	}
	c = append(c, func() error { v.core.Close(); return nil })
	users, err := register(ctx, v, min(p.users, slices.Max(o.clients)))
	if err != nil {
		return nil, nil, err
	}
	if err := ripen(ctx, users, o.ripening, v.inside()); err != nil {
		return nil, nil, err
	}
	lines, err = p.ways(ctx, o, v, users)
	if err != nil {
		return nil, nil, err
	}
	row, _, err := s.Fetch(ctx, users[0].g.Record)
	if err != nil {
		return nil, nil, err
	}
	notes = append(notes, fmt.Sprintf("- %s: a row of %d bytes, at the end", p.name, len(row)))
	if p.name == "memory, soft" {
		half, err := serverHalf(ctx, v, users[0])
		if err != nil {
			return nil, nil, err
		}
		notes = append(notes, fmt.Sprintf("- of one opening inside, the vault's half is %s ms of processor", milliseconds(half)))
	}
	return lines, notes, nil
}

func (p pair) ways(ctx context.Context, o options, v *subject, users []*user) (lines []measured, err error) {
	f, err := v.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	kept, hangUp := f.kept()
	defer hangUp()
	for _, way := range []struct {
		name string
		dial dialer
	}{{wayInside, v.inside()}, {wayNetwork, kept}, {wayFresh, f.fresh()}} {
		if way.name == wayFresh && !p.fresh {
			continue
		}
		for _, n := range o.clients {
			r, err := load(ctx, users, n, o.seconds, way.dial)
			if err != nil {
				return nil, fmt.Errorf("%s, %d clients: %w", way.name, n, err)
			}
			lines = append(lines, measured{p.name, way.name, r})
		}
	}
	return lines, nil
}

// A clocked core measures the processor that answers take, on one thread.
type clocked struct {
	*subject
	took time.Duration
}

// Answer is server.Server's.
func (c *clocked) Answer(ctx context.Context, binding [32]byte, body []byte) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := threadTime()
	if err != nil {
		return nil, err
	}
	reply, answerErr := c.core.Answer(ctx, binding, body)
	after, err := threadTime()
	c.took += after - before
	return reply, errors.Join(answerErr, err)
}

// serverHalf returns the processor time of the vault's half of one opening.
func serverHalf(ctx context.Context, v *subject, u *user) (time.Duration, error) {
	const openings = 200
	c := &clocked{subject: v}
	for range openings {
		if err := u.open(ctx, insideOf(c)); err != nil {
			return 0, err
		}
	}
	return c.took / openings, nil
}
