package vault

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/vault/protocol"
)

// Open asks the vault whether password is right and returns the root key, and the tries
// that are left now: all of them. It takes the time and the memory of one Argon2id.
//
// Errors about the try are an [*AttemptError]: [ErrWrongPassword], [ErrWait], [ErrLastTry],
// [ErrDestroyed], [ErrFrozen], [ErrUnknownRecord], [ErrUnknownOutcome], [ErrUnarmed],
// [ErrBusy], and [ErrOffline] and [ErrVaultRolledBack] when there was none. Before any try:
// [ErrOffline], [ErrIdentity], [ErrWeakKDF], [ErrSlot], [ErrEvidence], and those of
// crypto.NormalizePassword. With the right password: [ErrNotOpened].
func (c *Client) Open(ctx context.Context, slot Slot, password crypto.Secret) (crypto.RootKey, int, error) {
	if err := c.ready(ctx, slot); err != nil {
		return crypto.RootKey{}, -1, fmt.Errorf("open vault record: %w", err)
	}
	report, err := c.readyHardware(ctx, slot)
	if err != nil {
		return crypto.RootKey{}, -1, fmt.Errorf("open vault record: %w", err)
	}
	root, left, err := c.login(ctx, slot, password, nil)
	if err != nil {
		return crypto.RootKey{}, -1, fmt.Errorf("open vault record: %w", err)
	}
	c.rearm(ctx, slot, root, report.Index)
	return root, left, nil
}

// login is one full OPAQUE login. With an owner it exposes a pending generation.
func (c *Client) login(ctx context.Context, slot Slot, password crypto.Secret, owner signer) (root crypto.RootKey, left int, err error) {
	client, err := c.opaqueClient(slot)
	if err != nil {
		return root, -1, err
	}
	normal, err := crypto.NormalizePassword(password)
	if err != nil {
		return root, -1, err
	}
	defer normal.Wipe()
	var ke1 []byte
	normal.Expose(func(p []byte) { ke1, err = client.KE1(p) })
	if err != nil {
		return root, -1, err
	}
	answer, err := c.attempt(ctx, slot, [protocol.KE1Size]byte(ke1), owner)
	if err != nil {
		return root, -1, attemptError(err)
	}
	ke3, session, export, err := client.KE3(answer.KE2[:])
	if err != nil {
		return root, -1, c.giveUp(ctx, slot, answer, err)
	}
	defer clear(session)
	exportKey := crypto.NewSecret(export)
	defer exportKey.Wipe()
	release, left, err := c.finish(ctx, slot, answer.Attempt, [protocol.KE3Size]byte(ke3), session)
	if err != nil {
		return root, -1, attemptError(spent(err))
	}
	root, err = unwrap(slot, release, exportKey)
	return root, left, err
}

func (c *Client) opaqueClient(slot Slot) (*opaque.Client, error) {
	ksf, err := c.ksf(slot.cost())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWeakKDF, err)
	}
	return opaque.NewClient(opaque.Config{
		Context: slot.context(), Info: slot.context(), KSF: ksf, ServerPublicKey: slot.ServerKey[:],
		ClientIdentity: slot.Record[:], ServerIdentity: slot.VaultID[:],
	})
}

// maxSerials bounds how often a try is asked for again because another one was faster.
const maxSerials = 20

// attempt asks for one try. It names the try by its number, so that who records the request
// cannot spend another one with it; when another try was faster at the embedded vault, none
// was spent, and the next number is asked for.
func (c *Client) attempt(ctx context.Context, slot Slot, ke1 [protocol.KE1Size]byte, owner signer) (answer *protocol.AttemptReply, err error) {
	for range maxSerials {
		status, statusErr := c.seenStatus(ctx, slot)
		if statusErr != nil {
			return nil, notSpent(statusErr)
		}
		number := status.Serial + 1
		answer, err = c.attemptNumber(ctx, slot, number, ke1, owner)
		if err == nil {
			// Not kept, it is still a try whose answer is here: giving up would waste it.
			c.warned(c.memory.raise(Seen{Record: slot.Record, Incarnation: c.Bundle().Incarnation, Serial: number}))
			return answer, nil
		}
		// On a network, what was faster may be this very try: there is no next one.
		if c.remote != nil || !errors.Is(err, ErrSerial) {
			return nil, c.settle(ctx, slot, number, err)
		}
	}
	return nil, err
}

// settle finds out what became of a try that was refused on a network. Who stands in between
// may have answered himself, outside of the envelope; or may have delivered the envelope
// twice and brought the answer to the second, which is refused because the first was
// charged. So the vault is asked what it has charged: until now, for who holds the request
// back may still deliver it.
func (c *Client) settle(ctx context.Context, slot Slot, number uint64, err error) error {
	var refusal *protocol.Refusal
	if c.remote == nil || !errors.As(refused(err), &refusal) || errors.Is(err, ErrDestroyed) || errors.Is(err, ErrUnknownRecord) {
		return err
	}
	status, statusErr := c.status(ctx, slot)
	if statusErr != nil {
		return fmt.Errorf("%w: %v, and then: %v", ErrUnknownOutcome, err, statusErr) //nolint:errorlint // what it says counts no more: it must not be found
	}
	if status.Serial >= number {
		return fmt.Errorf("%w: %v, and a try was charged", ErrUnknownOutcome, err) //nolint:errorlint // what it says counts no more: it must not be found
	}
	return &protocol.Refusal{Err: refusal.Err, Left: status.Left, Wait: refusal.Wait}
}

// spent is an error of the end of a try: whatever it says, the try was charged before. What
// is no verdict must not read as if nothing had left.
func spent(err error) error {
	for _, verdict := range []error{ErrWrongPassword, ErrDestroyed, ErrAttemptOver, ErrFrozen, ErrUnknownOutcome} {
		if errors.Is(err, verdict) {
			return err
		}
	}
	return fmt.Errorf("finish the try: %w: %v", ErrUnknownOutcome, err) //nolint:errorlint // what it says counts no more: it must not be found
}

// notSpent tells a question whose answer did not come from a try whose answer did not
// come: asking for the status costs nothing.
func notSpent(err error) error {
	if errors.Is(err, ErrUnknownOutcome) {
		return fmt.Errorf("ask for the number of the try: %w: %v", ErrOffline, err) //nolint:errorlint // what it says counts no more: it must not be found
	}
	return err
}

func (c *Client) attemptNumber(ctx context.Context, slot Slot, serial uint64, ke1 [protocol.KE1Size]byte, owner signer) (*protocol.AttemptReply, error) {
	kind := protocol.KindAttempt
	var body []byte
	device := sealDevice(slot.CloudShare, c.device)
	if owner == nil {
		body = protocol.Encode(&protocol.Attempt{Header: header(kind, slot), Serial: serial, KE1: ke1, Device: device})
	} else {
		kind = protocol.KindExpose
		body = protocol.Encode(&protocol.Expose{Header: header(kind, slot), Serial: serial, KE1: ke1, Device: device})
	}
	reply, err := c.post(ctx, kind, body, owner, slot.capability())
	if err != nil {
		return nil, err
	}
	answer, err := parseReply[protocol.AttemptReply](kind, reply)
	if err != nil {
		return nil, err
	}
	if int(answer.Left) >= protocol.MaxTries {
		return nil, fmt.Errorf("%d tries left: %w", answer.Left, ErrUnknownOutcome)
	}
	return answer, nil
}

// giveUp ends an attempt that did not open: a KE3 that is none tells the vault at once,
// so that the log is right, and the last try does not linger until its deadline.
func (c *Client) giveUp(ctx context.Context, slot Slot, answer *protocol.AttemptReply, cause error) error {
	left, wait := int(answer.Left), millis(answer.WaitMillis)
	if !errors.Is(cause, opaque.ErrEnvelope) {
		// The vault's answer was changed on its way, or the vault is not the pinned one.
		return &AttemptError{Err: fmt.Errorf("%w: %w", ErrIdentity, cause), Left: left, Until: until(wait)}
	}
	_, _, err := c.finish(ctx, slot, answer.Attempt, [protocol.KE3Size]byte{}, make([]byte, opaque.KeySize))
	if errors.Is(err, ErrDestroyed) || left == 0 {
		// No answer changes nothing: the vault does the same at the deadline.
		return &AttemptError{Err: ErrDestroyed, Left: 0}
	}
	return &AttemptError{Err: ErrWrongPassword, Left: left, Until: until(wait)}
}

// finish proves the password and returns the release: release secret and wrapped key.
func (c *Client) finish(ctx context.Context, slot Slot, id [16]byte, ke3 [protocol.KE3Size]byte, session []byte) ([]byte, int, error) {
	body := protocol.Encode(&protocol.Finish{Header: header(protocol.KindFinish, slot), Attempt: id, KE3: ke3})
	reply, err := c.post(ctx, protocol.KindFinish, body, nil, slot.capability())
	if err != nil {
		return nil, -1, err
	}
	done, err := parseReply[protocol.FinishReply](protocol.KindFinish, reply)
	if err != nil {
		return nil, -1, err
	}
	ad := protocol.ReleaseBytes(slot.VaultID, slot.Record, slot.Generation, id)
	release, err := aead.Open(session, ad, done.Released[:])
	if err != nil {
		return nil, -1, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return release, int(done.Left), nil
}

// unwrap opens the released key with password, vault and cloud share together.
func unwrap(slot Slot, release []byte, export crypto.Secret) (crypto.RootKey, error) {
	if len(release) != protocol.ReleaseSize {
		return crypto.RootKey{}, ErrNotOpened
	}
	secret := crypto.NewSecret(release[:32])
	defer secret.Wipe()
	share := crypto.NewSecret(append([]byte(nil), slot.CloudShare[:]...))
	root, err := crypto.UnwrapRoot(release[32:], export, secret, share, slot.Record[:], slot.Generation)
	if err != nil {
		return crypto.RootKey{}, fmt.Errorf("%w: %w", ErrNotOpened, err)
	}
	return root, nil
}

// Status asks how the record of slot stands. It charges nothing. [ErrUnknownRecord],
// [ErrOffline], [ErrIdentity], [ErrWeakKDF], [ErrSlot]; of a vault on a network, and so of
// everything here, also [ErrBusy], [ErrVaultRolledBack] and those of [Dial].
func (c *Client) Status(ctx context.Context, slot Slot) (Status, error) {
	if err := c.ready(ctx, slot); err != nil {
		return Status{}, fmt.Errorf("ask vault for status: %w", err)
	}
	status, err := c.seenStatus(ctx, slot)
	if err != nil {
		return Status{}, fmt.Errorf("ask vault for status: %w", err)
	}
	return status, nil
}

// seenStatus is status, compared with what was seen before: it comes before every use of a
// password. Acts of the owner do without: he must be able to destroy what was put back.
func (c *Client) seenStatus(ctx context.Context, slot Slot) (Status, error) {
	before := c.memory.before(slot.Record)
	status, err := c.status(ctx, slot)
	if err != nil {
		return Status{}, err
	}
	if err := c.memory.look(before, c.seenIn(slot, status)); err != nil {
		return Status{}, err
	}
	return status, nil
}

func (c *Client) status(ctx context.Context, slot Slot) (Status, error) {
	kind := protocol.KindStatus
	body := protocol.Encode(&protocol.Status{Header: header(kind, slot), Nonce: [16]byte(aead.Random(16))})
	reply, err := c.post(ctx, kind, body, nil, slot.capability())
	if err != nil {
		return Status{}, err
	}
	s, err := parseReply[protocol.StatusReply](kind, reply)
	if err != nil {
		return Status{}, err
	}
	if err := s.Check(); err != nil {
		return Status{}, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	status := Status{
		State: s.State, Left: int(s.Left), Tries: int(s.Tries), Until: until(millis(s.WaitMillis)),
		Generation: s.Generation, Pending: s.Pending, Committed: s.Committed == 1, Sequence: s.Sequence,
		Serial: s.Serial, Anchor: s.Anchor,
	}
	if s.LastTry != 0 {
		status.LastTry = time.UnixMilli(s.LastTry)
	}
	return status, nil
}

// deviceKey seals the names of devices in the log, for those who hold the slot.
func deviceKey(share [32]byte) []byte {
	key, err := hkdf.Key(sha256.New, share[:], nil, protocol.LabelDevice, aead.KeySize)
	if err != nil {
		panic("vault: internal error: " + err.Error())
	}
	return key
}

// sealDevice seals the name, cut to what fits and padded so that its length says nothing.
func sealDevice(share [32]byte, name string) [protocol.DeviceSize]byte {
	for len(name) > maxDeviceName || !utf8.ValidString(name) {
		name = name[:len(name)-1]
	}
	padded := make([]byte, maxDeviceName)
	copy(padded, name)
	return [protocol.DeviceSize]byte(aead.Seal(deviceKey(share), []byte(protocol.LabelDevice), padded))
}

// openDevice returns "" for a name that another generation has sealed.
func openDevice(share [32]byte, box [protocol.DeviceSize]byte) string {
	padded, err := aead.Open(deviceKey(share), []byte(protocol.LabelDevice), box[:])
	name := strings.TrimRight(string(padded), "\x00")
	if err != nil || !protocol.Printable(name) {
		return ""
	}
	return name
}
