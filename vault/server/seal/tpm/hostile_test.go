package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"coffer/vault/attest"
	"coffer/vault/server/store/bolt"
)

// multiplyWith uses the key of a reference by a session as it is.
func multiplyWith(k *call, r *reference, s tpm2.Session) error {
	return k.loadKey(r, func(key *object) error {
		point, err := attest.Point(generator())
		if err != nil {
			return err
		}
		_, err = tpm2.ECDHZGen{
			KeyHandle: tpm2.AuthHandle{Handle: key.handle, Name: key.name, Auth: s}, InPoint: tpm2.New2B(point),
		}.Execute(k)
		return err
	})
}

// restart is TPM2_PolicyRestart (Part 3, 11.2), which go-tpm does not know.
func restart(k *call, s tpm2.Session) error {
	const codePolicyRestart = 0x180
	command := binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMSTNoSessions))
	command = binary.BigEndian.AppendUint32(command, 14)
	command = binary.BigEndian.AppendUint32(command, codePolicyRestart)
	command = binary.BigEndian.AppendUint32(command, uint32(s.Handle()))
	response, err := k.Send(command)
	if err == nil && binary.BigEndian.Uint32(response[6:]) != 0 {
		err = fmt.Errorf("restart session: response %x", response)
	}
	return err
}

// TestOneTryOneUse: who talks to the chip himself gets no second use of the key out of one
// count: not by a ticket, not by going on with the session, not by a copy of it.
func TestOneTryOneUse(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 5)
	ref := c.newOPRF(id(1), o)
	c.arm(id(1), ref, o)
	r, err := decodeReference(id(1), ref)
	must(t, err)
	left := 5
	for what, fn := range map[string]func(k *call, name tpm2.TPM2BName, s tpm2.Session) error{
		"a ticket instead of the count": func(k *call, name tpm2.TPM2BName, s tpm2.Session) error {
			used, err := tpm2.PolicySecret{
				AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMHandle(r.handle), Name: name, Auth: tpm2.PasswordAuth(r.auth[:])},
				PolicySession: s.Handle(), NonceTPM: s.NonceTPM(), Expiration: -3600,
			}.Execute(k)
			if err != nil {
				return err
			}
			// Part 3, 23.4.1: there is none for an index that counts.
			if ticket := used.PolicyTicket; ticket.Hierarchy == tpm2.TPMRHNull && len(ticket.Digest.Buffer) == 0 {
				return errors.New("the chip gives no ticket")
			}
			return nil // good for an hour, whatever the count
		},
		"a session that goes on": func(k *call, name tpm2.TPM2BName, s tpm2.Session) error {
			if err := k.useTry(r, name, s); err != nil {
				return err
			}
			if err := multiplyWith(k, r, s); err != nil {
				t.Errorf("the use that was counted: %v", err)
			}
			return multiplyWith(k, r, s)
		},
		"a session that begins anew": func(k *call, name tpm2.TPM2BName, s tpm2.Session) error {
			if err := k.useTry(r, name, s); err != nil {
				return err
			}
			if err := restart(k, s); err != nil {
				return err
			}
			return multiplyWith(k, r, s)
		},
		"a copy of the session": func(k *call, name tpm2.TPM2BName, s tpm2.Session) error {
			if err := k.useTry(r, name, s); err != nil {
				return err
			}
			saved, err := tpm2.ContextSave{SaveHandle: s.Handle()}.Execute(k)
			if err != nil {
				return err
			}
			if _, err := (tpm2.ContextLoad{Context: saved.Context}).Execute(k); err != nil {
				return err
			}
			if err := multiplyWith(k, r, s); err != nil {
				t.Errorf("the use that was counted: %v", err)
			}
			if _, err := (tpm2.ContextLoad{Context: saved.Context}).Execute(k); err != nil {
				return err
			}
			return multiplyWith(k, r, s)
		},
	} {
		left--
		err := c.chip.do(t.Context(), what, func(k *call) error {
			name, err := k.armedName(r)
			if err != nil {
				return err
			}
			return k.session(func(s tpm2.Session) error {
				if err := fn(k, name, s); err == nil {
					t.Errorf("%s: the key was used twice for one try", what)
				}
				return nil
			})
		})
		must(t, err)
		c.wantLeft(id(1), ref, left)
	}
}

// TestOneSignatureArmsOnce: who talks to the chip himself gets no second arming out of one
// signature of the owner's.
func TestOneSignatureArmsOnce(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 2)
	ref := c.newOPRF(id(1), o)
	c.arm(id(1), ref, o)
	r, err := decodeReference(id(1), ref)
	must(t, err)
	session, challenge, err := c.Challenge(t.Context(), id(1), ref)
	must(t, err)
	signature, _ := o.sign(t, challenge, o.guard)
	ch, err := c.takeChallenge(session)
	must(t, err)
	must(t, c.chip.do(t.Context(), "arm twice", func(k *call) error {
		copied := ch.context
		if _, err := (tpm2.ContextLoad{Context: copied}).Execute(k); err != nil {
			return err
		}
		if err := k.arm(r, ch, signature); err != nil {
			t.Errorf("the arming that was signed: %v", err)
		}
		return nil
	}))
	evaluateAll(c, ref)
	for what, before := range map[string]func(k *call) error{
		"the session goes on":     func(*call) error { return nil },
		"the session begins anew": func(k *call) error { return restart(k, ch.session) },
		"the session from its copy": func(k *call) error {
			_, err := tpm2.ContextLoad{Context: ch.context}.Execute(k)
			return err
		},
	} {
		err := c.chip.do(t.Context(), what, func(k *call) error {
			if err := before(k); err != nil {
				return err
			}
			return k.arm(r, ch, signature)
		})
		if err == nil {
			t.Errorf("%s: armed twice with one signature", what)
		}
		c.wantLeft(id(1), ref, 0)
	}
	must(t, c.chip.do(t.Context(), "end session", func(k *call) error { return k.flush(ch.session.Handle()) }))
}

// TestOneOwnerDoesNotEndTheChallengesOfOthers: whoever asks for challenges without end, for
// his own record, must not keep others from arming theirs.
func TestOneOwnerDoesNotEndTheChallengesOfOthers(t *testing.T) {
	c := newCounted(t, Options{})
	ann, bob := newOwner(t, 2), newOwner(t, 2)
	hers, his := c.newOPRF(id(1), ann), c.newOPRF(id(2), bob)
	session, challenge, err := c.Challenge(t.Context(), id(1), hers)
	must(t, err)
	for range 3 * maxChallenges {
		_, _, err := c.Challenge(t.Context(), id(2), his)
		must(t, err)
	}
	signature, _ := ann.sign(t, challenge, ann.guard)
	must(t, c.Arm(t.Context(), id(1), hers, session, signature))
	c.wantLeft(id(1), hers, 2)
	c.wantLeft(id(2), his, 0)
}

// TestAForgedFileDoesNotMoveTheCounter: whoever writes the file, and gives it an epoch that is
// still to come, must not have the chip count: the true file would be an old one then.
func TestAForgedFileDoesNotMoveTheCounter(t *testing.T) {
	w := newWorld(t, Options{})
	w.close()
	original := w.save()
	for steps := range uint64(ahead) {
		rawRow(t, w.path, func(tx *bolt.Tx) error {
			h, box, err := decodeHead(tx.Note(stateNote))
			if err != nil {
				return err
			}
			h.epoch += steps + 1
			return tx.SetNote(stateNote, append(h.encode(), box...))
		})
		if err := w.open(Options{}); !errors.Is(err, ErrTampered) {
			t.Errorf("%d epochs ahead: %v", steps+1, err)
		}
		w.put(original)
	}
	w.mustOpen(Options{})
}
