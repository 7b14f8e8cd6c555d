package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/vault/attest"
	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// A HardwareReport is what a vault's TPM has proven about the counter of one record.
type HardwareReport = attest.Report

// counts reports whether the vault's hardware counts tries by itself, so its bundle says.
func (c *Client) counts() bool { return c.Bundle().Sealer == trust.SealerTPM }

func guardOf(slot Slot) attest.Guard { return attest.Guard{Tries: slot.Tries, Owner: slot.Guard} }

// CheckHardware asks for the proof that the TPM of the bundle holds the key of this slot's
// generation and counts its uses, under a limit that only the owner of the backup can
// renew. [Client.Open] asks by itself, before the password is used. [ErrEvidence]: there is
// no such proof. The zero report, and no error, for a vault whose bundle claims nothing.
// Errors of [Client.Status].
func (c *Client) CheckHardware(ctx context.Context, slot Slot) (HardwareReport, error) {
	if err := c.usable(slot); err != nil {
		return HardwareReport{}, fmt.Errorf("check vault's hardware: %w", err)
	}
	report, err := c.checkHardware(ctx, slot)
	if err != nil {
		return HardwareReport{}, fmt.Errorf("check vault's hardware: %w", err)
	}
	return report, nil
}

func (c *Client) checkHardware(ctx context.Context, slot Slot) (HardwareReport, error) {
	if !c.counts() {
		return HardwareReport{}, nil
	}
	if slot.Guard == [33]byte{} {
		return HardwareReport{}, fmt.Errorf("the slot names no guard: %w", ErrEvidence)
	}
	kind, nonce := protocol.KindEvidence, [32]byte(aead.Random(32))
	body := protocol.Encode(&protocol.Evidence{Header: header(kind, slot), Nonce: nonce})
	reply, err := c.post(ctx, kind, body, nil, slot.capability())
	if err != nil {
		return HardwareReport{}, notSpent(err)
	}
	_, evidence, err := protocol.ParseVariable[protocol.EvidenceReply](kind.Reply(), reply, protocol.MaxEvidence, 0)
	if err != nil {
		return HardwareReport{}, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	report, err := attest.Verify(evidence, c.Bundle().AttestationKey, nonce, guardOf(slot))
	if err != nil {
		return HardwareReport{}, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	return report, nil
}

// readyHardware is checkHardware, and refuses to go on when the chip would answer nothing:
// nothing of a password must leave for that. Nor for a vault that no longer says that its
// hardware counts: such a key cannot have left the chip.
func (c *Client) readyHardware(ctx context.Context, slot Slot) (HardwareReport, error) {
	if slot.Guard != [33]byte{} && !c.counts() {
		return HardwareReport{}, fmt.Errorf("hardware counted for this password, and the vault no longer says so: %w", ErrEvidence)
	}
	report, err := c.checkHardware(ctx, slot)
	if err != nil {
		return HardwareReport{}, err
	}
	if c.counts() && report.Left == 0 {
		return HardwareReport{}, &AttemptError{Err: ErrUnarmed, Left: 0}
	}
	return report, nil
}

// fewLeft is when hardware is armed before a try of the owner's: that must not be the
// hardware's last one.
const fewLeft = 2

// prepareHardware asks for evidence before the owner himself uses a password, has hardware that
// allows too little count from zero, and returns the name of its index; nil when the hardware does
// not count.
func (c *Client) prepareHardware(ctx context.Context, slot Slot, keys *crypto.Keys) (index []byte, err error) {
	report, err := c.checkHardware(ctx, slot)
	if err != nil || !c.counts() || report.Left >= fewLeft {
		return report.Index, err
	}
	return report.Index, c.arm(ctx, slot, keys, report.Index)
}

// armAfterAct arms after an act of the owner's that has given all tries back, also an index that
// was never armed, and so has no evidence yet.
func (c *Client) armAfterAct(ctx context.Context, slot Slot, keys *crypto.Keys) error {
	report, err := c.checkHardware(ctx, slot)
	if err != nil && !errors.Is(err, ErrUnarmed) {
		return err
	}
	return c.arm(ctx, slot, keys, report.Index)
}

// arm has the vault's hardware count from zero, if it counts: the owner's word, signed for
// one session of the chip and for exactly "count 0, limit of the slot". index is the name of
// the index that evidence has named; nil where there was none yet. Without it a lying vault
// could show the challenge of another index of this owner's, that of a password which was
// replaced, say, and get tries for that.
func (c *Client) arm(ctx context.Context, slot Slot, keys *crypto.Keys, index []byte) error {
	if !c.counts() {
		return nil
	}
	session, challenge, err := c.challenge(ctx, slot, keys.Owner())
	if err != nil {
		return fmt.Errorf("ask hardware for a challenge: %w", err)
	}
	guard := keys.Guard(slot.Record, slot.Generation)
	defer guard.Wipe()
	digest, named, err := attest.ArmDigest(challenge, attest.Guard{Tries: slot.Tries, Owner: guard.Public()})
	if err != nil {
		return fmt.Errorf("read challenge: %w: %w", ErrEvidence, err)
	}
	if index != nil && !bytes.Equal(named, index) {
		return fmt.Errorf("read challenge: it is for another index than that of the evidence: %w", ErrEvidence)
	}
	kind := protocol.KindArm
	body := protocol.Encode(&protocol.Arm{Header: header(kind, slot), Session: session, Signed: guard.Sign(digest)})
	reply, err := c.post(ctx, kind, body, keys.Owner(), slot.capability())
	if err != nil {
		return fmt.Errorf("arm hardware: %w", err)
	}
	if _, err = parseReply[protocol.Done](kind, reply); err != nil {
		return fmt.Errorf("arm hardware: %w", err)
	}
	return nil
}

func (c *Client) challenge(ctx context.Context, slot Slot, owner crypto.OwnerKey) (session [16]byte, challenge []byte, err error) {
	kind := protocol.KindChallenge
	reply, err := c.post(ctx, kind, protocol.Encode(&protocol.Act{Header: header(kind, slot)}), owner, slot.capability())
	if err != nil {
		return session, nil, err
	}
	head, challenge, err := protocol.ParseVariable[protocol.ChallengeReply](kind.Reply(), reply, protocol.MaxChallenge, 0)
	if err != nil {
		return session, nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return head.Session, challenge, nil
}

// rearm is arm after a right password. That it fails is no failure of the password: the
// chip goes on from where it was.
func (c *Client) rearm(ctx context.Context, slot Slot, root crypto.RootKey, index []byte) {
	if !c.counts() {
		return
	}
	keys := root.Derive()
	defer keys.Wipe()
	if err := c.arm(ctx, slot, keys, index); err != nil {
		c.warned(fmt.Errorf("%w: %w", ErrNotRearmed, err))
	}
}
