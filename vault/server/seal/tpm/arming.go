package tpm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"

	"coffer/crypto/aead"
	"coffer/vault/attest"
	"coffer/vault/server/seal"
)

// A challenge is a policy session that waits for its owner's signature. It waits outside
// of the chip, which has room for three sessions: as a context that only the chip that
// saved it can load again, and only once.
type challenge struct {
	session tpm2.Session
	context tpm2.TPMSContext
	index   attest.Index
	record  seal.ID
	made    time.Time
}

const (
	challengeLife = attest.ArmSeconds * time.Second
	// A chip knows 64 sessions, loaded and saved ones together, of all its users.
	maxChallenges = 16
	// One that an owner's device lost, and the next: more of one record would be in the way
	// of others.
	maxOfRecord = 2
)

// Challenge begins to arm. data is for attest.ArmDigest. [seal.ErrReference].
func (c *Counting) Challenge(ctx context.Context, id seal.ID, ref []byte) (session [16]byte, data []byte, err error) {
	r, err := c.reference(id, ref)
	if err != nil {
		return session, nil, err
	}
	session = [16]byte(aead.Random(len(session)))
	err = c.chip.do(ctx, "challenge", func(k *call) error {
		if err := c.dropChallenges(k, id); err != nil {
			return err
		}
		index, err := k.present(r)
		if err != nil {
			return err
		}
		ch, nonce, err := k.beginChallenge(index)
		if err != nil {
			return err
		}
		ch.record, ch.made = id, c.options.Now()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.challenges[session] = ch
		data = attest.EncodeChallenge(nonce, index)
		return nil
	})
	return session, data, err
}

func (k *call) beginChallenge(index attest.Index) (*challenge, [attest.NonceSize]byte, error) {
	var nonce [attest.NonceSize]byte
	s, _, err := tpm2.PolicySession(k, tpm2.TPMAlgSHA256, attest.NonceSize)
	if err != nil {
		return nil, nonce, fmt.Errorf("start session: %w", err)
	}
	if n := s.NonceTPM().Buffer; len(n) == len(nonce) {
		nonce = [attest.NonceSize]byte(n)
	} else {
		return nil, nonce, errors.Join(errors.New("the TPM's nonce has another length"), k.flush(s.Handle()))
	}
	saved, err := tpm2.ContextSave{SaveHandle: s.Handle()}.Execute(k)
	if err != nil {
		return nil, nonce, errors.Join(fmt.Errorf("save session: %w", err), k.flush(s.Handle()))
	}
	return &challenge{session: s, context: saved.Context, index: index}, nonce, nil
}

// dropChallenges ends those that are too old, and the oldest when there are too many: who
// asks for challenges and never signs must not take all sessions of the chip. Those of the
// record that asks go first.
func (c *Counting) dropChallenges(k *call, id seal.ID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := func(ch *challenge) bool { return ch.record == id }
	for c.hasMore(maxOfRecord-1, own) {
		if err := c.dropOldest(k, own); err != nil {
			return err
		}
	}
	all := func(*challenge) bool { return true }
	old := func(ch *challenge) bool { return !c.alive(ch) }
	for c.hasMore(0, old) || c.hasMore(maxChallenges-1, all) {
		if err := c.dropOldest(k, all); err != nil {
			return err
		}
	}
	return nil
}

// hasMore reports whether there are more than n challenges of a kind. c.mu is held.
func (c *Counting) hasMore(n int, kind func(*challenge) bool) bool {
	for _, ch := range c.challenges {
		if kind(ch) {
			n--
		}
	}
	return n < 0
}

// dropOldest ends the oldest challenge of a kind, of which there is one. c.mu is held.
func (c *Counting) dropOldest(k *call, kind func(*challenge) bool) error {
	var name [16]byte
	var oldest *challenge
	for n, ch := range c.challenges {
		if kind(ch) && (oldest == nil || ch.made.Before(oldest.made)) {
			name, oldest = n, ch
		}
	}
	delete(c.challenges, name)
	return k.flush(oldest.session.Handle())
}

// Close ends all challenges, which would stay in the chip until its next power cut, and
// forgets all keys. Chip and file are the caller's to close.
func (c *Counting) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	err := c.chip.do(ctx, "end challenges", func(k *call) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for name, ch := range c.challenges {
			delete(c.challenges, name)
			if err := k.flush(ch.session.Handle()); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, c.Epochs.Close())
}

func (c *Counting) alive(ch *challenge) bool {
	return c.options.Now().Before(ch.made.Add(challengeLife))
}

// takeChallenge takes a challenge out: it is good for one try. [seal.ErrSession].
func (c *Counting) takeChallenge(session [16]byte) (*challenge, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch, ok := c.challenges[session]
	if !ok {
		return nil, seal.ErrSession
	}
	delete(c.challenges, session)
	return ch, nil
}

// Arm executes what the owner has signed: the index counts from zero. [seal.ErrSession],
// [seal.ErrReference].
func (c *Counting) Arm(ctx context.Context, id seal.ID, ref []byte, session [16]byte, signature [64]byte) error {
	r, err := c.reference(id, ref)
	if err != nil {
		return err
	}
	return c.chip.do(ctx, "arm", func(k *call) error {
		ch, err := c.takeChallenge(session)
		if err != nil {
			return err
		}
		if !c.alive(ch) || ch.record != id || ch.index.Handle != r.handle || ch.index.Tag != r.tag() {
			return errors.Join(seal.ErrSession, k.flush(ch.session.Handle()))
		}
		_, err = tpm2.ContextLoad{Context: ch.context}.Execute(k)
		if k.broken {
			return err
		}
		if err != nil { // the chip was started anew, and knows it no more
			return fmt.Errorf("load session: %w: %w", seal.ErrSession, err)
		}
		return errors.Join(k.arm(r, ch, signature), k.flush(ch.session.Handle()))
	})
}

// arm shows the chip the owner's signature, and then the command that it is for.
func (k *call) arm(r *reference, ch *challenge, signature [64]byte) error {
	command, err := attest.ArmCommand(ch.index, r.guard)
	if err != nil {
		return err
	}
	cpHash, err := tpm2.CPHash[tpm2.NVWriteResponse](tpm2.TPMAlgSHA256, command)
	if err != nil {
		return fmt.Errorf("hash command: %w", err)
	}
	area, err := attest.OwnerPublic(r.guard.Owner)
	if err != nil {
		return err
	}
	owner, err := tpm2.LoadExternal{InPublic: tpm2.New2B(area), Hierarchy: tpm2.TPMRHNull}.Execute(k)
	if err != nil {
		return fmt.Errorf("load owner key: %w", err)
	}
	_, err = tpm2.PolicySigned{
		AuthObject:    tpm2.NamedHandle{Handle: owner.ObjectHandle, Name: owner.Name},
		PolicySession: ch.session.Handle(), NonceTPM: ch.session.NonceTPM(),
		CPHashA: *cpHash, PolicyRef: tpm2.TPM2BNonce{Buffer: ch.index.Tag[:]}, Expiration: attest.ArmSeconds,
		Auth: tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
			Hash:       tpm2.TPMAlgSHA256,
			SignatureR: tpm2.TPM2BECCParameter{Buffer: signature[:32]},
			SignatureS: tpm2.TPM2BECCParameter{Buffer: signature[32:]},
		})},
	}.Execute(k)
	if err := errors.Join(err, k.flush(owner.ObjectHandle)); err != nil {
		return refused("check signature", err)
	}
	command.AuthHandle = tpm2.AuthHandle{Handle: tpm2.TPMHandle(r.handle), Name: *command.NVIndex.KnownName(), Auth: ch.session}
	if _, err := command.Execute(k); err != nil {
		return refused("write counter", err)
	}
	return nil
}

// refused tells a signature that is not right, or too late, from a chip that fails.
func refused(verb string, err error) error {
	if isCode(err, tpm2.TPMRCSignature, tpm2.TPMRCExpired, tpm2.TPMRCPolicyFail, tpm2.TPMRCNonce, tpm2.TPMRCCPHash) {
		return fmt.Errorf("%s: %w: %w", verb, seal.ErrSession, err)
	}
	return fmt.Errorf("%s: %w", verb, err)
}
