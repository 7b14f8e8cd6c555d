package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// exampleGuard's owner is the generator of the curve: a key like any other.
func exampleGuard() Guard {
	p := elliptic.P256().Params()
	return Guard{Tries: 10, Owner: [PointSize]byte(elliptic.MarshalCompressed(elliptic.P256(), p.Gx, p.Gy))}
}

func exampleIndex() Index {
	index := Index{Handle: 0x018C0001, Written: true}
	for i := range index.Tag {
		index.Tag[i] = byte(i)
	}
	return index
}

// The names and policies as the TPM 2.0 Library computes them, by hand, from the bytes of
// the structures (Part 1, 16; Part 3, 23.2): an index that is anything else has another
// name.
func TestNamesByHand(t *testing.T) {
	guard, index := exampleGuard(), exampleIndex()
	p := elliptic.P256().Params()
	flat := elliptic.P256().Params().Gx.FillBytes(make([]byte, 32))
	owner := []byte{0, 0x23, 0, 0x0b, 0, 4, 0, 0x40, 0, 0} // ECC, SHA-256, sign | userWithAuth, no policy
	owner = append(owner, 0, 0x10, 0, 0x18, 0, 0x0b)       // no symmetric cipher, ECDSA, SHA-256
	owner = append(owner, 0, 3, 0, 0x10)                   // P-256, no KDF
	owner = append(append(owner, 0, 32), flat...)
	owner = append(append(owner, 0, 32), p.Gy.FillBytes(make([]byte, 32))...)
	name := named(owner)

	policy := sha256.Sum256(join(make([]byte, 32), []byte{0, 0, 1, 0x60}, name)) // TPM_CC_PolicySigned
	policy = sha256.Sum256(join(policy[:], index.Tag[:]))
	const attributes = 1<<3 | 9<<4 | 1<<17 | 1<<18 | 1<<25 | 1<<29 // policyWrite, PIN Pass, owner and auth read, noDA, written
	area := join(binary.BigEndian.AppendUint32(nil, index.Handle), []byte{0, 0x0b},
		binary.BigEndian.AppendUint32(nil, attributes), []byte{0, 32}, policy[:], []byte{0, 8})
	got, err := IndexName(index, guard)
	must(t, err)
	if !bytes.Equal(got.Buffer, named(area)) {
		t.Fatalf("index is %x, want %x", got.Buffer, named(area))
	}

	secret := sha256.Sum256(join(make([]byte, 32), []byte{0, 0, 1, 0x51}, named(area))) // TPM_CC_PolicySecret
	secret = sha256.Sum256(secret[:])
	point, err := Point(guard.Owner[:])
	must(t, err)
	key, err := KeyPublic(index, guard, point)
	must(t, err)
	if !bytes.Equal(key.AuthPolicy.Buffer, secret[:]) {
		t.Errorf("policy of key %x, want %x", key.AuthPolicy.Buffer, secret)
	}
	// fixedTPM, fixedParent, sensitiveDataOrigin, noDA, decrypt; and userWithAuth is clear.
	if got := tpm2.Marshal(key)[4:8]; !bytes.Equal(got, []byte{0, 2, 4, 0x32}) {
		t.Errorf("attributes of key %x", got)
	}
	// The digest to sign.
	index.Written = false
	challenge := EncodeChallenge([NonceSize]byte{7}, index)
	unwritten := bytes.Clone(area)
	binary.BigEndian.PutUint32(unwritten[6:], attributes&^(1<<29))
	cpHash := sha256.Sum256(join([]byte{0, 0, 1, 0x37}, named(unwritten), named(unwritten), // TPM_CC_NV_Write
		[]byte{0, 8}, []byte{0, 0, 0, 0, 0, 0, 0, 10}, []byte{0, 0}))
	nonce := [NonceSize]byte{7}
	want := sha256.Sum256(join(nonce[:], []byte{0, 0, 0, ArmSeconds}, cpHash[:], index.Tag[:]))
	digest, pinned, err := ArmDigest(challenge, guard)
	must(t, err)
	if digest != want || !bytes.Equal(pinned, named(area)) {
		t.Errorf("digest %x of index %x, want %x of %x", digest, pinned, want, named(area))
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func named(area []byte) []byte {
	h := sha256.Sum256(area)
	return append([]byte{0, 0x0b}, h[:]...)
}

// Every cut of a challenge is refused; every changed byte is refused or has another digest.
func TestChallengesAreBound(t *testing.T) {
	guard := exampleGuard()
	challenge := EncodeChallenge([NonceSize]byte{7}, exampleIndex())
	good, name, err := ArmDigest(challenge, guard)
	must(t, err)
	for n := range challenge {
		_, _, err := ArmDigest(challenge[:n], guard)
		wantErr(t, err, ErrMalformed)
		changed := bytes.Clone(challenge)
		changed[n] ^= 1
		if digest, _, err := ArmDigest(changed, guard); err == nil && digest == good {
			t.Errorf("byte %d is not bound", n)
		}
	}
	_, _, err = ArmDigest(append(bytes.Clone(challenge), 0), guard)
	wantErr(t, err, ErrMalformed)
	for _, handle := range []uint32{0x81000001, 0x40000001, 0x02000000} {
		index := exampleIndex()
		index.Handle = handle
		_, _, err = ArmDigest(EncodeChallenge([NonceSize]byte{}, index), guard)
		wantErr(t, err, ErrMalformed)
	}
	// First time and later: another digest, one name to pin.
	index := exampleIndex()
	index.Written = false
	first, sameName, err := ArmDigest(EncodeChallenge([NonceSize]byte{7}, index), guard)
	if err != nil || first == good || !bytes.Equal(name, sameName) {
		t.Errorf("%v, %x, %x", err, name, sameName)
	}
	for _, bad := range []Guard{{}, {Tries: 101, Owner: guard.Owner}, {Tries: -1, Owner: guard.Owner}, {Tries: 10}} {
		_, _, err := ArmDigest(challenge, bad)
		wantErr(t, err, ErrMalformed)
	}
	other := guard
	other.Tries = 11
	if digest, _, err := ArmDigest(challenge, other); err != nil || digest == good {
		t.Errorf("tries are not bound: %v", err)
	}
}

func TestPoints(t *testing.T) {
	for range 20 {
		key := mustKey(t)
		compressed := elliptic.MarshalCompressed(elliptic.P256(), key.X, key.Y)
		point, err := Point(compressed)
		must(t, err)
		back, err := Compress(&point)
		if err != nil || !bytes.Equal(back[:], compressed) {
			t.Errorf("%x, %v, want %x", back, err, compressed)
		}
		// A chip may leave leading zeros away.
		point.X.Buffer, point.Y.Buffer = bytes.TrimLeft(point.X.Buffer, "\x00"), bytes.TrimLeft(point.Y.Buffer, "\x00")
		if back, err = Compress(&point); err != nil || !bytes.Equal(back[:], compressed) {
			t.Errorf("%x, %v", back, err)
		}
		point.Y.Buffer = append(bytes.Clone(point.Y.Buffer[:len(point.Y.Buffer)-1]), point.Y.Buffer[len(point.Y.Buffer)-1]^1)
		_, err = Compress(&point)
		wantErr(t, err, ErrMalformed)
		point.X.Buffer = make([]byte, 33)
		_, err = Compress(&point)
		wantErr(t, err, ErrMalformed)
	}
	for _, bad := range [][]byte{nil, {0}, make([]byte, 33), bytes.Repeat([]byte{0xff}, 33), make([]byte, 65)} {
		_, err := Point(bad)
		wantErr(t, err, ErrMalformed)
	}
}

func TestCounters(t *testing.T) {
	guard := exampleGuard()
	pin := func(count, limit uint32) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, count), limit)
	}
	if left, err := Left(Armed(guard), guard); err != nil || left != 10 {
		t.Errorf("%d, %v", left, err)
	}
	for _, test := range []struct {
		contents []byte
		left     int
	}{
		{pin(0, 10), 10},
		{pin(9, 10), 1},
		{pin(10, 10), 0},
		{pin(11, 10), -1},
		{pin(0, 11), -1},
		{pin(0, 0), -1},
		{pin(1<<31, 10), -1},
		{pin(0, 10)[:7], -1},
		{append(pin(0, 10), 0), -1},
		{nil, -1},
	} {
		left, err := Left(test.contents, guard)
		if test.left < 0 {
			wantErr(t, err, ErrMalformed)
		} else if err != nil || left != test.left {
			t.Errorf("%x: %d, %v", test.contents, left, err)
		}
	}
}

func mustKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// A notary signs statements as a chip does, also such as no chip makes.
type notary struct {
	t   testing.TB
	key *ecdsa.PrivateKey
}

func (n notary) point() []byte {
	return elliptic.MarshalCompressed(elliptic.P256(), n.key.X, n.key.Y)
}

func (n notary) sign(said tpm2.TPMSAttest) Statement { return n.signBytes(tpm2.Marshal(said)) }

func (n notary) signBytes(b []byte) Statement {
	n.t.Helper()
	digest := sha256.Sum256(b)
	r, s, err := ecdsa.Sign(rand.Reader, n.key, digest[:])
	must(n.t, err)
	st := Statement{Attest: b}
	r.FillBytes(st.Signature[:32])
	s.FillBytes(st.Signature[32:])
	return st
}

func certified(nonce []byte, name tpm2.TPM2BName) tpm2.TPMSAttest {
	return tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestCertify,
		QualifiedSigner: name, ExtraData: tpm2.TPM2BData{Buffer: nonce},
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: name, QualifiedName: name}),
	}
}

func counted(nonce []byte, name tpm2.TPM2BName, offset uint16, contents []byte) tpm2.TPMSAttest {
	return tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestNV,
		QualifiedSigner: name, ExtraData: tpm2.TPM2BData{Buffer: nonce},
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestNV, &tpm2.TPMSNVCertifyInfo{
			IndexName: name, Offset: offset, NVContents: tpm2.TPM2BData{Buffer: contents},
		}),
	}
}

// example is good evidence by a notary.
type example struct {
	notary
	guard          Guard
	nonce          [32]byte
	key, index     tpm2.TPM2BName
	evidence       Evidence
	keySaid, cSaid tpm2.TPMSAttest
}

func newExample(t testing.TB) *example {
	t.Helper()
	x := &example{notary: notary{t, mustKey(t)}, guard: exampleGuard(), nonce: [32]byte{1, 2, 3}}
	index := exampleIndex()
	oprf := mustKey(t)
	x.evidence = Evidence{Handle: index.Handle, Tag: index.Tag}
	copy(x.evidence.Key[:], elliptic.MarshalCompressed(elliptic.P256(), oprf.X, oprf.Y))
	point, err := Point(x.evidence.Key[:])
	must(t, err)
	area, err := KeyPublic(index, x.guard, point)
	must(t, err)
	name, err := tpm2.ObjectName(&area)
	must(t, err)
	x.key = *name
	x.index, err = IndexName(index, x.guard)
	must(t, err)
	x.keySaid = certified(x.nonce[:], x.key)
	x.cSaid = counted(x.nonce[:], x.index, 0, []byte{0, 0, 0, 4, 0, 0, 0, 10})
	x.evidence.Certify, x.evidence.Counter = x.sign(x.keySaid), x.sign(x.cSaid)
	return x
}

func (x *example) verify(e Evidence) (Report, error) {
	return Verify(e.Encode(), x.point(), x.nonce, x.guard)
}

func TestVerify(t *testing.T) {
	x := newExample(t)
	report, err := x.verify(x.evidence)
	if err != nil || report.Left != 6 || report.Key != x.evidence.Key || !bytes.Equal(report.Index, x.index.Buffer) {
		t.Fatalf("%+v, %v", report, err)
	}
	encoded := x.evidence.Encode()
	for n := range encoded {
		if _, err := Verify(encoded[:n], x.point(), x.nonce, x.guard); !errors.Is(err, ErrMalformed) {
			t.Errorf("prefix of %d: %v", n, err)
		}
		changed := bytes.Clone(encoded)
		changed[n] ^= 1 << (n % 8)
		if _, err := Verify(changed, x.point(), x.nonce, x.guard); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrEvidence) {
			t.Errorf("byte %d: %v", n, err)
		}
	}
	_, err = Verify(append(encoded, 0), x.point(), x.nonce, x.guard)
	wantErr(t, err, ErrMalformed)
}

// What an attestation key may have signed, and proves nothing.
func TestForgedEvidence(t *testing.T) {
	x := newExample(t)
	refuse := func(what string, change func(e *Evidence)) {
		t.Helper()
		e := x.evidence
		change(&e)
		if _, err := x.verify(e); !errors.Is(err, ErrEvidence) && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	old := []byte("yesterday's nonce, thirty-two byt")[:32]
	index := exampleIndex()
	index.Written = false
	unwritten, err := IndexName(index, x.guard)
	must(t, err)
	contents := []byte{0, 0, 0, 4, 0, 0, 0, 10}
	refuse("old statement about the key", func(e *Evidence) { e.Certify = x.sign(certified(old, x.key)) })
	refuse("old statement about the count", func(e *Evidence) { e.Counter = x.sign(counted(old, x.index, 0, contents)) })
	refuse("another key", func(e *Evidence) { e.Certify = x.sign(certified(x.nonce[:], x.index)) })
	refuse("another index", func(e *Evidence) { e.Counter = x.sign(counted(x.nonce[:], x.key, 0, contents)) })
	refuse("an index that was never written", func(e *Evidence) { e.Counter = x.sign(counted(x.nonce[:], unwritten, 0, contents)) })
	refuse("an offset", func(e *Evidence) { e.Counter = x.sign(counted(x.nonce[:], x.index, 8, contents)) })
	refuse("more tries", func(e *Evidence) {
		e.Counter = x.sign(counted(x.nonce[:], x.index, 0, []byte{0, 0, 0, 4, 0, 0, 0, 11}))
	})
	refuse("half a counter", func(e *Evidence) { e.Counter = x.sign(counted(x.nonce[:], x.index, 0, contents[:4])) })
	refuse("the two exchanged", func(e *Evidence) { e.Certify, e.Counter = e.Counter, e.Certify })
	refuse("the same twice", func(e *Evidence) { e.Counter = e.Certify })
	refuse("a tail in a statement", func(e *Evidence) { e.Certify = x.signBytes(append(bytes.Clone(e.Certify.Attest), 0)) })
	refuse("not made by a TPM", func(e *Evidence) {
		b := bytes.Clone(e.Certify.Attest)
		b[0] ^= 1
		e.Certify = x.signBytes(b)
	})
	refuse("another kind", func(e *Evidence) {
		b := bytes.Clone(e.Certify.Attest)
		b[5] = 0x18 // TPM_ST_ATTEST_QUOTE
		e.Certify = x.signBytes(b)
	})
	refuse("signed by another key", func(e *Evidence) { e.Counter = notary{t, mustKey(t)}.sign(x.cSaid) })
	refuse("no signature", func(e *Evidence) { e.Counter.Signature = [64]byte{} })
	refuse("a point that is none", func(e *Evidence) { e.Key[0] = 5 })
	refuse("the owner's point for the key's", func(e *Evidence) { e.Key = x.guard.Owner })
}

func TestAttestationKeys(t *testing.T) {
	x := newExample(t)
	point, err := Point(x.point())
	must(t, err)
	area := AttestationPublic(point)
	encoded := x.evidence.Encode()
	uncompressed := join([]byte{4}, point.X.Buffer, point.Y.Buffer)
	for _, key := range [][]byte{x.point(), uncompressed, tpm2.Marshal(area)} {
		if _, err := Verify(encoded, key, x.nonce, x.guard); err != nil {
			t.Errorf("key of %d bytes: %v", len(key), err)
		}
		for n := range key {
			if _, err := Verify(encoded, key[:n], x.nonce, x.guard); err == nil {
				t.Errorf("key of %d bytes, cut at %d: verified", len(key), n)
			}
			changed := bytes.Clone(key)
			changed[n] ^= 1
			if _, err := Verify(encoded, changed, x.nonce, x.guard); err == nil {
				t.Errorf("key of %d bytes, byte %d changed: verified", len(key), n)
			}
		}
	}
	// A key that signs whatever it is told, also what looks like a chip's statement.
	area.ObjectAttributes.Restricted = false
	_, err = Verify(encoded, tpm2.Marshal(area), x.nonce, x.guard)
	wantErr(t, err, ErrMalformed)
}

// Statements that a real implementation (libtpms, swtpm 0.7.1) has made and signed.
func TestEvidenceOfARealChip(t *testing.T) {
	decode := func(s string) []byte {
		t.Helper()
		b, err := hex.DecodeString(s)
		must(t, err)
		return b
	}
	var guard Guard
	guard.Tries = 7
	copy(guard.Owner[:], decode(chipOwner))
	report, err := Verify(decode(chipEvidence), decode(chipKey), [32]byte{1, 2, 3}, guard)
	must(t, err)
	if report.Left != 6 {
		t.Errorf("%d left", report.Left)
	}
}

func FuzzVerify(f *testing.F) {
	x := newExample(f)
	f.Add(x.evidence.Encode())
	f.Add([]byte{evidenceFormat})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEvidence(b)
		if err != nil {
			wantErr(t, err, ErrMalformed)
			return
		}
		if !bytes.Equal(e.Encode(), b) {
			t.Error("not canonical")
		}
		if _, err := Verify(b, x.point(), x.nonce, x.guard); err == nil && !bytes.Equal(b, x.evidence.Encode()) {
			t.Error("other evidence verified")
		}
	})
}

func FuzzAttest(f *testing.F) {
	x := newExample(f)
	f.Add(x.evidence.Certify.Attest)
	f.Add(x.evidence.Counter.Attest)
	f.Fuzz(func(t *testing.T, b []byte) {
		said, err := decodeAttest(b)
		if err != nil {
			wantErr(t, err, ErrMalformed)
			return
		}
		if !bytes.Equal(tpm2.Marshal(*said), b) {
			t.Error("not canonical")
		}
	})
}

func FuzzArmDigest(f *testing.F) {
	guard := exampleGuard()
	f.Add(EncodeChallenge([NonceSize]byte{1}, exampleIndex()))
	f.Add([]byte{challengeFormat})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := ArmDigest(b, guard); err != nil {
			wantErr(t, err, ErrMalformed)
			return
		}
		nonce, index, err := decodeChallenge(b)
		if err != nil || !bytes.Equal(EncodeChallenge(nonce, index), b) {
			t.Error("not canonical")
		}
	})
}
