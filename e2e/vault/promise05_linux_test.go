package vault_test

import (
	"crypto/elliptic"
	"testing"

	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/vault/protocol"
	"coffer/vault/vaulttest"
)

// TestPromise05: no cloud files, no try. Whatever is asked without the signature of the
// capability, which only the cloud share gives, or without the owner's where that is needed,
// nothing is said and nothing changes.
func TestPromise05(t *testing.T) {
	inWorlds(t, everywhere, func(t *testing.T, w *world) {
		ctx := t.Context()
		g, other := w.registered("right"), w.registered("right")
		open, err := g.Ask(ctx, "wrong", 0)
		must(t, err)
		before, err := g.Status(ctx)
		must(t, err)
		kinds := 0
		for _, e := range protocol.Endpoints() {
			if e.Unsigned {
				continue
			}
			kinds++
			for name, forge := range forgeries(g, other, e.Owner) {
				body := bodyOf(g, e.Kind, before, open.Attempt)
				_, err := g.Door.Exchange(ctx, e.Kind, func(binding [32]byte) []byte {
					protocol.Bind(body, binding)
					forge(e.Kind, body)
					return body
				})
				if err == nil {
					t.Errorf("%s, %s: it is answered", e.Path, name)
				} else {
					wantErr(t, e.Path+", "+name, err, protocol.ErrUnknownRecord)
				}
			}
		}
		if kinds < 15 {
			t.Fatalf("only %d kinds of requests", kinds)
		}
		after, err := g.Status(ctx)
		if err != nil || *after != *before {
			t.Fatalf("it was %+v and is %+v, %v", before, after, err)
		}
		// Rightly signed, the try that is open can be finished: nothing has ended it.
		_, err = g.Finish(ctx, open)
		wantErr(t, "the open try", err, protocol.ErrWrongPassword)
	})
}

// forgeries are the ways to sign that are not right.
func forgeries(g, other *vaulttest.Guesser, owner bool) map[string]func(protocol.Kind, []byte) {
	const size = len(protocol.Signature{})
	own, stolen := g.Root.Derive(), other.Root.Derive()
	mine := crypto.CapabilityFrom(g.CloudShare[:])
	all := map[string]func(protocol.Kind, []byte){
		"no signature": func(protocol.Kind, []byte) {},
		"the signature of a key of nobody": func(kind protocol.Kind, body []byte) {
			vaulttest.Sign(kind, body, own.Owner(), crypto.CapabilityFrom(aead.Random(32)))
		},
		"the signature of another record's key": func(kind protocol.Kind, body []byte) {
			vaulttest.Sign(kind, body, own.Owner(), crypto.CapabilityFrom(other.CloudShare[:]))
		},
		"a signature with a bit changed": func(kind protocol.Kind, body []byte) {
			vaulttest.Sign(kind, body, own.Owner(), mine)
			body[len(body)-size] ^= 1
		},
		"a signature of something else": func(kind protocol.Kind, body []byte) {
			vaulttest.Sign(kind, body, own.Owner(), mine)
			copy(body[len(body)-size:], mine.Sign([]byte("something else")))
		},
	}
	if owner {
		all["the signature of another owner"] = func(kind protocol.Kind, body []byte) {
			vaulttest.Sign(kind, body, stolen.Owner(), mine)
		}
		all["the capability for the owner"] = func(kind protocol.Kind, body []byte) {
			vaulttest.Sign(kind, body, own.Owner(), mine)
			copy(body[len(body)-2*size:], body[len(body)-size:])
		}
	}
	return all
}

// bodyOf is a request that would be done if it were rightly signed.
func bodyOf(g *vaulttest.Guesser, kind protocol.Kind, s *protocol.StatusReply, attempt [16]byte) []byte {
	h := g.Header(kind)
	keys := g.Root.Derive()
	defer keys.Wipe()
	switch kind {
	case protocol.KindBegin:
		h.Generation++
		return protocol.Encode(&protocol.Begin{
			Header: h, OwnerKey: keys.Owner().Public(), CapabilityKey: crypto.CapabilityFrom(g.CloudShare[:]).Public(),
			Guard: keys.Guard(g.Record, h.Generation).Public(), Cost: g.Cost, Request: [protocol.PointSize]byte(point()),
		})
	case protocol.KindCommit:
		m := &protocol.Commit{Header: h}
		copy(m.Registration[:], point())
		return protocol.Encode(m)
	case protocol.KindAttempt:
		return protocol.Encode(&protocol.Attempt{Header: h, Serial: s.Serial + 1, KE1: ke1()})
	case protocol.KindExpose:
		return protocol.Encode(&protocol.Expose{Header: h, Serial: s.Serial + 1, KE1: ke1()})
	case protocol.KindFinish:
		return protocol.Encode(&protocol.Finish{Header: h, Attempt: attempt})
	case protocol.KindStatus:
		return protocol.Encode(&protocol.Status{Header: h})
	case protocol.KindEvidence:
		return protocol.Encode(&protocol.Evidence{Header: h})
	case protocol.KindArm:
		return protocol.Encode(&protocol.Arm{Header: h})
	case protocol.KindPutAnchor:
		return protocol.EncodeVariable(&protocol.PutAnchor{Header: h, Version: s.Anchor + 1}, []byte("an anchor"), 2)
	case protocol.KindLog, protocol.KindChallenge, protocol.KindAnchor:
		return protocol.Encode(&protocol.Act{Header: h})
	}
	return protocol.Encode(&protocol.Act{Header: h, Sequence: s.Sequence + 1})
}

// point is a point of the curve: its generator.
func point() []byte {
	p := elliptic.P256().Params()
	return elliptic.MarshalCompressed(elliptic.P256(), p.Gx, p.Gy)
}

// ke1 has the form of one: a blinded element, a nonce, a key share.
func ke1() (m [protocol.KE1Size]byte) {
	copy(m[:], point())
	copy(m[protocol.PointSize+32:], point())
	return m
}
