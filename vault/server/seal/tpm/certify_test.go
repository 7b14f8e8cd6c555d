package tpm

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"coffer/vault/attest"
	"coffer/vault/server/seal"
	"coffer/vault/server/seal/tpm/tpmtest"
)

// What the chip certifies convinces a client, and nothing else does.
func TestEvidence(t *testing.T) {
	c := newCounted(t, Options{})
	ctx := t.Context()
	o := newOwner(t, 7)
	ref := c.newOPRF(id(1), o)
	index := c.arm(id(1), ref, o)
	kG, err := c.evaluate(id(1), ref)
	must(t, err)
	key, err := c.chip.AttestationKey(ctx)
	must(t, err)
	nonce := [32]byte{1, 2, 3}
	evidence, err := c.Evidence(ctx, id(1), ref, nonce)
	must(t, err)
	if len(evidence) > seal.MaxEvidence {
		t.Errorf("%d bytes", len(evidence))
	}
	guard := attest.Guard(o.guard)
	report, err := attest.Verify(evidence, key, nonce, guard)
	must(t, err)
	if report.Left != 6 || !bytes.Equal(report.Index, index) || !bytes.Equal(report.Key[:], kG) {
		t.Errorf("%+v", report)
	}
	for n := range evidence {
		changed := bytes.Clone(evidence)
		changed[n] ^= 1
		if _, err := attest.Verify(changed, key, nonce, guard); err == nil {
			t.Errorf("byte %d changed: verified", n)
		}
		if _, err := attest.Verify(evidence[:n], key, nonce, guard); err == nil {
			t.Errorf("prefix of %d: verified", n)
		}
	}
	for n := range key {
		changed := bytes.Clone(key)
		changed[n] ^= 1
		if _, err := attest.Verify(evidence, changed, nonce, guard); err == nil {
			t.Errorf("byte %d of the attestation key changed: verified", n)
		}
	}
	refuse := func(what string, evidence, key []byte, nonce [32]byte, guard attest.Guard) {
		t.Helper()
		if _, err := attest.Verify(evidence, key, nonce, guard); err == nil {
			t.Errorf("%s: verified", what)
		}
	}
	refuse("another nonce", evidence, key, [32]byte{9}, guard)
	refuse("another owner", evidence, key, nonce, attest.Guard(newOwner(t, 7).guard))
	refuse("fewer tries", evidence, key, nonce, attest.Guard{Tries: 6, Owner: guard.Owner})
	otherKey, err := mustChip(t, tpmtest.Start(t).Device()).AttestationKey(ctx)
	must(t, err)
	refuse("another chip", evidence, otherKey, nonce, guard)
	// Key and index of two records, each certified by the chip itself.
	second := c.newOPRF(id(1), o)
	c.arm(id(1), second, o)
	a, err := decodeReference(id(1), ref)
	must(t, err)
	b, err := decodeReference(id(1), second)
	must(t, err)
	for _, mixed := range []*reference{
		{handle: a.handle, record: a.record, seed: a.seed, guard: a.guard, auth: a.auth, private: b.private, public: b.public},
		{handle: b.handle, record: b.record, seed: b.seed, guard: b.guard, auth: b.auth, private: a.private, public: a.public},
	} {
		evidence, err := c.Evidence(ctx, id(1), mixed.encode(), nonce)
		must(t, err)
		refuse("key of another index", evidence, key, nonce, guard)
	}
	// The attestation key is the same after a power cut.
	c.tpm.Restart()
	wake(t, c.chip)
	again, err := c.chip.AttestationKey(ctx)
	if err != nil || !bytes.Equal(again, key) {
		t.Errorf("%v", err)
	}
}

// A key that a program has made, and any index that somebody else may write, are refused.
func TestEvidenceOfLyingVaults(t *testing.T) {
	c := newCounted(t, Options{})
	ctx := t.Context()
	o := newOwner(t, 7)
	key, err := c.chip.AttestationKey(ctx)
	must(t, err)
	nonce := [32]byte{5}
	lies := map[string]func(area *tpm2.TPMSNVPublic, template *tpm2.TPMTPublic){
		"the owner of the chip may write": func(a *tpm2.TPMSNVPublic, _ *tpm2.TPMTPublic) { a.Attributes.OwnerWrite = true },
		"uses are not counted": func(a *tpm2.TPMSNVPublic, _ *tpm2.TPMTPublic) {
			a.Attributes.NT, a.Attributes.OwnerWrite = tpm2.TPMNTOrdinary, true
		},
		"only wrong passwords are counted": func(a *tpm2.TPMSNVPublic, _ *tpm2.TPMTPublic) {
			a.Attributes.NT, a.Attributes.OwnerWrite = tpm2.TPMNTPinFail, true
		},
		"the key has a password": func(a *tpm2.TPMSNVPublic, p *tpm2.TPMTPublic) {
			a.Attributes.OwnerWrite, p.ObjectAttributes.UserWithAuth = true, true
		},
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			evidence, err := lyingEvidence(t, c, o, nonce, lie)
			must(t, err)
			_, err = attest.Verify(evidence, key, nonce, attest.Guard(o.guard))
			wantErr(t, err, attest.ErrEvidence)
		})
	}
}

// lyingEvidence has the chip certify a key and an index that a lie has changed, and that
// the owner of the chip has written.
func lyingEvidence(t *testing.T, c *counted, o *owner, nonce [32]byte, lie func(*tpm2.TPMSNVPublic, *tpm2.TPMTPublic)) (evidence []byte, err error) {
	r := &reference{record: id(1), guard: attest.Guard(o.guard)}
	err = c.chip.do(t.Context(), "lie", func(k *call) error {
		if r.handle, err = c.freeHandle(k); err != nil {
			return err
		}
		area, err := attest.IndexPublic(r.index(false), r.guard)
		if err != nil {
			return err
		}
		template, err := attest.KeyPublic(r.index(true), r.guard, tpm2.TPMSECCPoint{})
		if err != nil {
			return err
		}
		lie(&area, &template)
		if _, err := (tpm2.NVDefineSpace{AuthHandle: k.owner(), PublicInfo: tpm2.New2B(area)}).Execute(k); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, k.undefine(r.handle)) }()
		unwritten, err := k.indexName(r.handle)
		if err != nil {
			return err
		}
		_, err = tpm2.NVWrite{
			AuthHandle: k.owner(), NVIndex: tpm2.NamedHandle{Handle: tpm2.TPMHandle(r.handle), Name: tpm2.TPM2BName{Buffer: unwritten}},
			Data: tpm2.TPM2BMaxNVBuffer{Buffer: attest.Armed(r.guard)},
		}.Execute(k)
		if err != nil {
			return err
		}
		name, err := k.indexName(r.handle)
		if err != nil {
			return err
		}
		parent, err := k.parent()
		if err != nil {
			return err
		}
		created, err := tpm2.Create{ParentHandle: parent.auth(), InPublic: tpm2.New2B(template)}.Execute(k)
		if err != nil {
			return err
		}
		r.private, r.public = created.OutPrivate.Buffer, created.OutPublic.Bytes()
		e := attest.Evidence{Handle: r.handle, Tag: r.tag()}
		if e.Key, err = keyPoint(r.public); err != nil {
			return err
		}
		err = k.loadKey(r, func(key *object) error { return k.certify(&e, key, tpm2.TPM2BName{Buffer: name}, nonce) })
		evidence = e.Encode()
		return err
	})
	return evidence, err
}

func TestEndorsementCertificate(t *testing.T) {
	c := newCounted(t, Options{})
	_, err := c.chip.EndorsementCertificate(t.Context())
	wantErr(t, err, ErrNoCertificate)
	// What a maker puts there: DER, and padding up to the size of the index.
	der := append([]byte{0x30, 0x82, 0x02, 0xbc}, bytes.Repeat([]byte{0x04, 0x02, 7, 7}, 175)...)
	padded := append(bytes.Clone(der), bytes.Repeat([]byte{0xff}, 100)...)
	must(t, c.chip.do(t.Context(), "make", func(k *call) error {
		area := tpm2.TPMSNVPublic{
			NVIndex: certificateECC, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(padded)),
			Attributes: tpm2.TPMANV{OwnerWrite: true, AuthRead: true, NoDA: true},
		}
		if _, err := (tpm2.NVDefineSpace{AuthHandle: k.owner(), PublicInfo: tpm2.New2B(area)}).Execute(k); err != nil {
			return err
		}
		for at := 0; at < len(padded); at += maxRead {
			name, err := k.indexName(certificateECC)
			if err != nil {
				return err
			}
			_, err = tpm2.NVWrite{
				AuthHandle: k.owner(), NVIndex: tpm2.NamedHandle{Handle: certificateECC, Name: tpm2.TPM2BName{Buffer: name}},
				Data: tpm2.TPM2BMaxNVBuffer{Buffer: padded[at:min(at+maxRead, len(padded))]}, Offset: uint16(at),
			}.Execute(k)
			if err != nil {
				return err
			}
		}
		return nil
	}))
	got, err := c.chip.EndorsementCertificate(t.Context())
	if err != nil || !bytes.Equal(got, der) {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(der))
	}
}
