package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"

	"coffer/vault/server/seal"
)

// A ChipConfig says which chip.
type ChipConfig struct {
	// Device is "" for the system's own, the path of a character device, "tbs" (Windows),
	// or "swtpm:HOST:PORT", "swtpm:unix:PATH" for an emulator.
	Device string
	// OwnerAuth returns the password of the chip's owner hierarchy; nil for none.
	OwnerAuth func() []byte
	// EndorsementAuth returns that of the endorsement hierarchy, which attestation keys
	// are made in; nil for none.
	EndorsementAuth func() []byte
}

// A Chip is a TPM 2.0. It is safe for concurrent use: one user at a time, the others
// wait. When its device fails, the next use opens it again.
type Chip struct {
	config ChipConfig
	busy   chan struct{} // holds one token while somebody talks to the chip; guards what follows
	closed bool
	device device // nil: not connected
	parent object // the storage root key, loaded; zero handle: not yet
}

// object is something loaded into the chip.
type object struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public *tpm2.TPMTPublic
}

// auth returns an object as a handle that needs no password.
func (o *object) auth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: o.handle, Name: o.name, Auth: tpm2.PasswordAuth(nil)}
}

// OpenChip opens a chip. [ErrDevice], [seal.ErrHardware].
func OpenChip(ctx context.Context, config ChipConfig) (*Chip, error) {
	c := &Chip{config: config, busy: make(chan struct{}, 1)}
	err := c.do(ctx, "open TPM", func(k *call) error {
		_, err := k.parent()
		return err
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close closes the device.
func (c *Chip) Close() error {
	c.busy <- struct{}{}
	defer func() { <-c.busy }()
	if c.closed || c.device == nil {
		c.closed = true
		return nil
	}
	c.closed = true
	// Behind a resource manager the handle would go with the file; here it takes one of three
	// places. A chip that hangs does not hold up the end of the program.
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	k := &call{chip: c, ctx: ctx}
	err := k.flush(c.parent.handle)
	if err := errors.Join(err, c.drop()); err != nil {
		return fmt.Errorf("close TPM: %w", err)
	}
	return nil
}

// farewell is how long a chip may take to unload what is ours.
const farewell = 5 * time.Second

// drop forgets the device. The caller holds busy.
func (c *Chip) drop() error {
	d := c.device
	c.device, c.parent = nil, object{}
	if d == nil {
		return nil
	}
	return d.Close()
}

// do gives fn the chip for its own. What fn returns comes back as a verdict, or as
// [seal.ErrHardware].
func (c *Chip) do(ctx context.Context, verb string, fn func(*call) error) error {
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%s: wait for the TPM: %w", verb, ctx.Err())
	}
	defer func() { <-c.busy }()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	k := &call{chip: c, ctx: ctx}
	err := c.connect(k)
	if err == nil {
		err = fn(k)
	}
	if k.broken {
		_ = c.drop() // it is broken, and says so in err
	}
	if err == nil {
		return nil
	}
	if isVerdict(err) {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return fmt.Errorf("%s: %w: %w", verb, seal.ErrHardware, err)
}

func (c *Chip) connect(k *call) error {
	if c.closed {
		return errors.New("the TPM was closed")
	}
	if c.device != nil {
		return nil
	}
	d, alone, err := openDevice(k.ctx, c.config.Device)
	if err != nil {
		return err
	}
	c.device = d
	if alone {
		return k.flushAll()
	}
	return nil
}

// A call is one use of the chip. It is go-tpm's transport.
type call struct {
	chip   *Chip
	ctx    context.Context // here, because go-tpm's transport has none, and a call lives as long as one do
	broken bool            // the device failed: what was asked may be done
}

const (
	headSize = 10 // of a response: tag (2), size (4), code (4)
	// A chip that tests itself, or spares its NV memory, asks to come again (Part 2, 6.6.3).
	rcYielded, rcTesting, rcNVRate, rcRetry = 0x908, 0x90A, 0x920, 0x922
	comeAgain                               = 20 * time.Millisecond
	maxCalls                                = 500
)

// Send carries a command, and again for as long as the chip wants it again.
func (k *call) Send(command []byte) ([]byte, error) {
	for range maxCalls {
		response, err := k.chip.device.exchange(k.ctx, command)
		if err != nil || len(response) < headSize {
			k.broken = true
			return nil, fmt.Errorf("talk to the TPM: %w", errors.Join(err, k.ctx.Err()))
		}
		switch binary.BigEndian.Uint32(response[6:]) {
		case rcYielded, rcTesting, rcNVRate, rcRetry:
		default:
			return response, nil
		}
		select {
		case <-time.After(comeAgain):
		case <-k.ctx.Done():
			return nil, fmt.Errorf("the TPM is busy: %w", k.ctx.Err())
		}
	}
	return nil, errors.New("the TPM is always busy")
}

// password wraps one of the config's functions.
func password(auth func() []byte) tpm2.Session {
	if auth == nil {
		return tpm2.PasswordAuth(nil)
	}
	return tpm2.PasswordAuth(auth())
}

func (k *call) owner() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: password(k.chip.config.OwnerAuth)}
}

// parent returns the storage root key, which all objects of the vault lie under. It is
// made from the chip's seed: always the same one, until the chip is cleared.
func (k *call) parent() (*object, error) {
	if k.chip.parent.handle != 0 {
		return &k.chip.parent, nil
	}
	o, err := k.primary(k.owner(), tpm2.ECCSRKTemplate)
	if err != nil {
		return nil, fmt.Errorf("make storage root key: %w", err)
	}
	k.chip.parent = *o
	return &k.chip.parent, nil
}

func (k *call) primary(hierarchy tpm2.AuthHandle, template tpm2.TPMTPublic) (*object, error) {
	r, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(template)}.Execute(k)
	if err != nil {
		return nil, err
	}
	public, err := r.OutPublic.Contents()
	if err != nil {
		return nil, errors.Join(err, k.flush(r.ObjectHandle))
	}
	return &object{r.ObjectHandle, r.Name, public}, nil
}

// flush unloads an object or a session. One that is gone already is no error: the chip
// ends sessions by itself.
func (k *call) flush(handle tpm2.TPMHandle) error {
	if k.broken || handle == 0 || k.chip.device == nil {
		return nil
	}
	_, err := tpm2.FlushContext{FlushHandle: handle}.Execute(k)
	if err != nil && !isCode(err, tpm2.TPMRCHandle, tpm2.TPMRCReferenceH0) {
		return fmt.Errorf("flush %#x: %w", uint32(handle), err)
	}
	return nil
}

// flushAll unloads what a former connection has left: a chip has room for three objects
// and three sessions, and a program that crashed has taken some with it.
func (k *call) flushAll() error {
	for _, first := range []uint32{0x80000000, 0x02000000, 0x03000000} { // objects, loaded sessions, saved ones
		r, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 64}.Execute(k)
		if err != nil {
			return fmt.Errorf("list what is loaded: %w", err)
		}
		handles, err := r.CapabilityData.Data.Handles()
		if err != nil {
			return fmt.Errorf("list what is loaded: %w", err)
		}
		for _, h := range handles.Handle {
			if err := k.flush(h); err != nil {
				return err
			}
			if first == 0x80000000 {
				continue
			}
			if err := k.flush(h&0xffffff | 0x03000000); err != nil { // a list names policy sessions like the others
				return err
			}
		}
	}
	return nil
}

// session runs fn with a policy session and ends it, whatever happens. go-tpm's own
// just-in-time sessions stay loaded when their policy fails.
func (k *call) session(fn func(tpm2.Session) error) error {
	s, _, err := tpm2.PolicySession(k, tpm2.TPMAlgSHA256, sessionNonce)
	if err != nil {
		return fmt.Errorf("start session: %w", err)
	}
	return errors.Join(fn(s), k.flush(s.Handle()))
}

// sessionNonce is the length of a nonce that a session uses, in bytes.
const sessionNonce = 16

// veil returns a session that encrypts the first parameter on the bus, under a key that
// only the chip with this storage root key can know.
func (k *call) veil(out bool) (tpm2.Session, error) {
	parent, err := k.parent()
	if err != nil {
		return nil, err
	}
	way := tpm2.EncryptIn
	if out {
		way = tpm2.EncryptOut
	}
	return tpm2.HMAC(tpm2.TPMAlgSHA256, sessionNonce,
		tpm2.AESEncryption(128, way), tpm2.Salted(parent.handle, *parent.public)), nil
}

// load runs fn with an object that lies under the storage root key. errForeign when the
// chip does not take it for one that it has made itself.
func (k *call) load(private, public []byte, fn func(*object) error) error {
	parent, err := k.parent()
	if err != nil {
		return err
	}
	r, err := tpm2.Load{
		ParentHandle: parent.auth(), InPrivate: tpm2.TPM2BPrivate{Buffer: private},
		InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](public),
	}.Execute(k)
	var refusal tpm2.TPMFmt1Error // is about what was asked, not about the chip
	if errors.As(err, &refusal) {
		return fmt.Errorf("load object: %w: %w", errForeign, err)
	}
	if err != nil {
		return fmt.Errorf("load object: %w", err)
	}
	return errors.Join(fn(&object{handle: r.ObjectHandle, name: r.Name}), k.flush(r.ObjectHandle))
}
