package crypto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
)

var update = flag.Bool("update", false, "write docs/testdata/vectors/crypto.json anew")

const vectorFile = "../docs/testdata/vectors/crypto.json"

// The vectors stand beside docs/format.md, for readers in other languages. All byte
// strings are hexadecimal. They are made here by a second implementation of each layout
// (sealBox, and HKDF and Argon2id called by hand), so that the package is compared with
// something other than itself.
type vectors struct {
	Comment   string
	RootKey   hexBytes
	Derived   map[string]hexBytes
	Guard     guardVector
	ChunkIDs  []chunkVector
	Objects   []objectVector
	Names     []nameVector
	Box       boxVector
	Recovery  recoveryVector
	Slot      slotVector
	Practice  practiceVector
	Local     localVector
	Wrap      wrapVector
	Owner     signatureVector
	Cloud     signatureVector
	Passwords []passwordVector
}

type (
	hexBytes    []byte
	guardVector struct {
		Record          hexBytes
		Generation      uint64
		Derived, Public hexBytes // 48 bytes; the point, compressed
	}
	chunkVector struct {
		Data, ID hexBytes
	}
	objectVector struct {
		Kind         string // the kind's byte
		Salt, Header hexBytes
		Frames       []frameVector
	}
	frameVector struct {
		Type                     uint32
		Number                   uint64
		Extra, Plaintext, Sealed hexBytes
	}
	nameVector struct {
		Kind   string
		Stored hexBytes
		Name   string
	}
	boxVector struct {
		Key, AD, Plaintext, Salt, Sealed hexBytes
	}
	recoveryVector struct {
		Digits   string
		Lines    []recoveryLineVector
		Accepted []string // each is this root key
		Refused  []string
	}
	recoveryLineVector struct{ Digits, Check string }
	slotVector         struct {
		Comment         string
		Passphrase      string
		MemoryKiB, Time uint32
		Threads         uint8
		Salt, Wrapped   hexBytes
	}
	practiceVector struct {
		Password string
		Check    hexBytes
	}
	localVector struct {
		Purpose           string
		Plaintext, Sealed hexBytes
	}
	wrapVector struct {
		ExportKey, ReleaseSecret, CloudShare, Record hexBytes
		Generation                                   uint64
		Wrapped                                      hexBytes
	}
	signatureVector struct {
		CloudShare                       hexBytes `json:",omitempty"`
		Seed, Public, Message, Signature hexBytes
	}
	passwordVector struct {
		Typed, Normal hexBytes // Normal is empty for what is refused
	}
)

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// counting returns n bytes that count up from first.
func counting(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func vectorKDF(t testing.TB, secret, salt []byte, info string, n int) []byte {
	t.Helper()
	b, err := hkdf.Key(sha256.New, secret, salt, info, n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func vectorGCM(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return gcm
}

// sealBox is the layout of package aead, with a salt that is given.
func sealBox(t testing.TB, key, ad, plaintext, salt []byte) []byte {
	m := vectorKDF(t, key, salt, "coffer/1/aead", 64)
	return vectorGCM(t, m[:32]).Seal(bytes.Join([][]byte{salt, m[32:]}, nil), make([]byte, 12), plaintext, ad)
}

// sealObject is the layout of a sealed object, with a salt that is given.
func sealObject(t testing.TB, classKey, repository []byte, kind byte, salt []byte, frames []frameVector) objectVector {
	m := vectorKDF(t, classKey, salt, "coffer/1/object"+string(rune(kind)), 64)
	header := bytes.Join([][]byte{[]byte("COFFER\x01\x01"), {kind}, make([]byte, 7), repository, salt, m[32:]}, nil)
	o := objectVector{Kind: string(rune(kind)), Salt: salt, Header: header}
	for _, f := range frames {
		nonce := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, f.Type), f.Number)
		f.Sealed = vectorGCM(t, m[:32]).Seal(nil, nonce, f.Plaintext, bytes.Join([][]byte{header, f.Extra}, nil))
		o.Frames = append(o.Frames, f)
	}
	return o
}

// guardOf is the guard of a generation: a scalar from 1 to n - 1, of 48 bytes.
func guardOf(t testing.TB, secret, record []byte, generation uint64) guardVector {
	info := binary.BigEndian.AppendUint64(append([]byte("coffer/1/arming"), record...), generation)
	wide := vectorKDF(t, secret, nil, string(info), 48)
	one, order := big.NewInt(1), elliptic.P256().Params().N
	d := new(big.Int).SetBytes(wide)
	d.Mod(d, new(big.Int).Sub(order, one)).Add(d, one)
	x, y := elliptic.P256().ScalarBaseMult(d.Bytes()) //nolint:staticcheck // another way than the package's
	return guardVector{record, generation, wide, elliptic.MarshalCompressed(elliptic.P256(), x, y)}
}

func makeVectors(t testing.TB) vectors {
	root := counting(0, 32)
	v := vectors{
		Comment: "Test vectors of docs/format.md. Byte strings are hexadecimal.",
		RootKey: root,
		Derived: map[string]hexBytes{},
	}
	for label, n := range map[string]int{
		"coffer/1/data": 32, "coffer/1/chunk-id": 32, "coffer/1/chunker": 2064, "coffer/1/head": 32,
		"coffer/1/repository": 16, "coffer/1/owner": 32, "coffer/1/local": 32, "coffer/1/practice": 32,
		"coffer/1/guard": 32, "coffer/1/anchor": 32,
	} {
		v.Derived[label] = vectorKDF(t, root, nil, label, n)
	}
	v.Guard = guardOf(t, v.Derived["coffer/1/guard"], counting(0x60, 16), 7)
	keys := mustRoot(t, root).Derive()
	for _, data := range [][]byte{{}, []byte("abc"), counting(0, 1025), counting(7, 5000)} {
		id := keys.NewChunkHasher().Sum(data)
		v.ChunkIDs = append(v.ChunkIDs, chunkVector{data, id[:]})
	}
	frames := []frameVector{
		{Type: 1, Number: 0, Extra: []byte{}, Plaintext: []byte{}},
		{Type: 1, Number: 1, Extra: []byte("extra"), Plaintext: []byte("plaintext")},
		{Type: 0xfffffffe, Number: 1 << 40, Extra: []byte{0}, Plaintext: counting(0, 100)},
	}
	for i, kind := range []byte("pish") {
		class := v.Derived["coffer/1/data"]
		if kind == 'h' {
			class = v.Derived["coffer/1/head"]
		}
		v.Objects = append(v.Objects, sealObject(t, class, v.Derived["coffer/1/repository"], kind, counting(byte(32*i), 32), frames))
	}
	v.Names = []nameVector{{"pack", []byte("abc"), "pack-ba7816bf8f01cfea414140de5dae2223b00361a3"}}
	v.Box = boxVector{Key: counting(1, 32), AD: []byte("ad"), Plaintext: []byte("plaintext"), Salt: counting(2, 32)}
	v.Box.Sealed = sealBox(t, v.Box.Key, v.Box.AD, v.Box.Plaintext, v.Box.Salt)
	v.Recovery = recoveryVectors(t, root)
	v.addWaysIn(t)
	v.addPasswords(t)
	return v
}

func recoveryVectors(t testing.TB, root []byte) recoveryVector {
	key := mustRoot(t, root)
	r := recoveryVector{Digits: hex.EncodeToString(root)}
	for i := range 8 {
		part := root[4*i : 4*i+4]
		check := ((uint64(i)+1)<<32 + uint64(binary.BigEndian.Uint32(part))) % 97
		r.Lines = append(r.Lines, recoveryLineVector{
			Digits: hex.EncodeToString(part[:2]) + " " + hex.EncodeToString(part[2:]),
			Check:  string([]byte{'0' + byte(check/10), '0' + byte(check%10)}),
		})
	}
	full := sheet(key, ". ", " ", "  ", "\n")
	r.Accepted = []string{
		r.Digits, strings.ToUpper(r.Digits), full, sheet(key, " ", " ", "", "\n"), sheet(key, "", " ", " ", " "),
		widened(full), lookAlike(full, "O", "l"), sheet(key, "", "-", "-", "-"),
	}
	r.Refused = []string{
		"", r.Digits[1:], r.Digits + "0", "g" + r.Digits[1:], strings.Replace(full, "0001 0203", "0001 0204", 1),
		strings.Replace(full, "1. ", "2. ", 1),
	}
	return r
}

// addWaysIn adds everything that is wrapped in a box.
func (v *vectors) addWaysIn(t testing.TB) {
	salt := counting(100, 32)
	v.Slot = slotVector{
		Comment:    "Cost below the floor, for the test alone: a reader must refuse it unless told otherwise.",
		Passphrase: "correct horse", MemoryKiB: 64, Time: 2, Threads: 3, Salt: counting(50, 32),
	}
	cost := []byte{0, 0, 0, 64, 0, 0, 0, 2, 3}
	ad := bytes.Join([][]byte{[]byte("coffer/1/passphrase"), v.Derived["coffer/1/repository"], cost, v.Slot.Salt}, nil)
	stretch := func(salt []byte) []byte { return argon2.IDKey([]byte("correct horse"), salt, 2, 64, 3, 32) }
	v.Slot.Wrapped = sealBox(t, stretch(v.Slot.Salt), ad, v.RootKey, salt)

	verifier := stretch(counting(60, 32))
	v.Practice = practiceVector{"correct horse", bytes.Join([][]byte{cost, sealBox(t, v.Derived["coffer/1/practice"],
		append([]byte("coffer/1/practice"), cost...), append(counting(60, 32), verifier...), salt)}, nil)}

	v.Local = localVector{
		"settings", []byte("plaintext"),
		sealBox(t, v.Derived["coffer/1/local"], []byte("coffer/1/localsettings"), []byte("plaintext"), salt),
	}

	w := wrapVector{
		ExportKey: counting(10, 32), ReleaseSecret: counting(20, 32), CloudShare: counting(30, 32),
		Record: []byte("record"), Generation: 258,
	}
	info := "coffer/1/kek\x00\x00\x00\x00\x00\x00\x01\x02"
	kek := vectorKDF(t, bytes.Join([][]byte{w.ExportKey, w.ReleaseSecret, w.CloudShare}, nil), w.Record, info, 32)
	w.Wrapped = sealBox(t, kek, []byte(info+"record"), v.RootKey, salt)
	v.Wrap = w

	owner, message := mustRoot(t, v.RootKey).Derive().Owner(), []byte("message")
	ownerPublic := owner.Public()
	v.Owner = signatureVector{nil, v.Derived["coffer/1/owner"], ownerPublic[:], message, owner.Sign(message)}
	capability := CapabilityFrom(w.CloudShare)
	capabilityPublic := capability.Public()
	v.Cloud = signatureVector{
		w.CloudShare, vectorKDF(t, w.CloudShare, nil, "coffer/1/capability", 32),
		capabilityPublic[:], message, capability.Sign(message),
	}
}

func (v *vectors) addPasswords(t testing.TB) {
	for _, typed := range []string{"correct horse", "A\u030angstro\u0308m", "no\u00a0break\u3000space", "\uff21", "tab\t", "", "\xff"} {
		normal, err := NormalizePassword(text(typed))
		if err != nil {
			normal = Secret{}
		}
		v.Passwords = append(v.Passwords, passwordVector{[]byte(typed), exposed(normal)})
	}
}

// The file is what makeVectors makes, to the byte.
func TestVectorFile(t *testing.T) {
	want, err := json.MarshalIndent(makeVectors(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(vectorFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := readVectorFile(t); !bytes.Equal(got, want) {
		t.Errorf("%s is not what the test makes: a change of the format?", vectorFile)
	}
}

// readVectorFile undoes what git may do to line ends.
func readVectorFile(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
}

func mustVectors(t testing.TB) (v vectors) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(readVectorFile(t)))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func wantBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s\n got %x\nwant %x", what, got, want)
	}
}

// The package agrees with the file.
func TestVectorsDerived(t *testing.T) {
	v := mustVectors(t)
	root := mustRoot(t, v.RootKey)
	keys := root.Derive()
	id := keys.Repository()
	practice := root.derive(labelPractice, KeySize)
	got := map[string][]byte{
		labelData: exposed(keys.data), labelChunkID: exposed(keys.chunkID), labelChunker: exposed(keys.ChunkerSeed()),
		labelHead: exposed(keys.head), labelRepository: id[:], labelOwner: exposed(keys.owner.seed),
		labelLocal: exposed(keys.local), labelPractice: exposed(practice),
		labelGuard: exposed(keys.guard), labelAnchor: exposed(keys.anchor),
	}
	if len(got) != len(v.Derived) {
		t.Errorf("%d derived keys, want %d", len(got), len(v.Derived))
	}
	for label, want := range v.Derived {
		wantBytes(t, label, got[label], want)
	}
	public := keys.Guard([16]byte(v.Guard.Record), v.Guard.Generation).Public()
	wantBytes(t, "guard", public[:], v.Guard.Public)
	for _, c := range v.ChunkIDs {
		id := keys.NewChunkHasher().Sum(c.Data)
		wantBytes(t, "chunk name", id[:], c.ID)
	}
	for _, s := range []struct {
		signer
		signatureVector
	}{{keys.Owner().signer, v.Owner}, {CapabilityFrom(v.Cloud.CloudShare).signer, v.Cloud}} {
		wantBytes(t, "seed", exposed(s.seed), s.Seed)
		wantBytes(t, "public key", s.public[:], s.signatureVector.Public)
		wantBytes(t, "signature", s.Sign(s.Message), s.Signature)
	}
	if len(v.ChunkIDs) == 0 || len(v.Names) == 0 || len(v.Passwords) == 0 {
		t.Error("vectors are missing")
	}
	for _, n := range v.Names {
		if got := ObjectName(n.Kind, n.Stored); got != n.Name {
			t.Errorf("name %s, want %s", got, n.Name)
		}
	}
}

func TestVectorsObjects(t *testing.T) {
	v := mustVectors(t)
	keys := mustRoot(t, v.RootKey).Derive()
	if len(v.Objects) != len(kinds) {
		t.Fatalf("%d objects", len(v.Objects))
	}
	for _, o := range v.Objects {
		sealer := keys.newSealer(Kind(o.Kind[0]), o.Salt)
		header := sealer.Header()
		wantBytes(t, "header", header[:], o.Header)
		opener, err := keys.NewOpener(Kind(o.Kind[0]), o.Header)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range o.Frames {
			wantBytes(t, "sealed frame", sealer.Seal(nil, f.Plaintext, Frame{f.Type, f.Number}, f.Extra), f.Sealed)
			opened, err := opener.Open(nil, f.Sealed, Frame{f.Type, f.Number}, f.Extra)
			if err != nil {
				t.Fatal(err)
			}
			wantBytes(t, "opened frame", opened, f.Plaintext)
		}
	}
}

func TestVectorsWaysIn(t *testing.T) {
	v := mustVectors(t)
	root := mustRoot(t, v.RootKey)
	keys := root.Derive()
	slot := PassphraseSlot{v.Slot.MemoryKiB, v.Slot.Time, v.Slot.Threads, [32]byte(v.Slot.Salt), v.Slot.Wrapped}
	if got, err := slot.unwrap(text(v.Slot.Passphrase), keys.Repository()); err != nil || !got.Equal(root) {
		t.Errorf("passphrase slot: %v", err)
	}
	if ok, err := practice(root, v.Practice.Check, text(v.Practice.Password)); err != nil || !ok {
		t.Errorf("practice check: %v, %v", ok, err)
	}
	plaintext, err := keys.OpenLocal(v.Local.Purpose, v.Local.Sealed)
	if err != nil {
		t.Errorf("local: %v", err)
	}
	wantBytes(t, "local", plaintext, v.Local.Plaintext)
	w := v.Wrap
	got, err := UnwrapRoot(w.Wrapped, NewSecret(w.ExportKey), NewSecret(w.ReleaseSecret), NewSecret(w.CloudShare), w.Record, w.Generation)
	if err != nil || !got.Equal(root) {
		t.Errorf("wrapped root key: %v", err)
	}
	for _, p := range v.Passwords {
		normal, err := NormalizePassword(NewSecret(bytes.Clone(p.Typed)))
		if (err == nil) != (len(p.Normal) > 0) || err == nil && !normal.Equal(NewSecret(p.Normal)) {
			t.Errorf("password %x: %x, %v", p.Typed, exposed(normal), err)
		}
	}
}

func TestVectorsRecovery(t *testing.T) {
	v := mustVectors(t).Recovery
	root := mustRoot(t, mustVectors(t).RootKey)
	if string(exposed(RecoveryDigits(root))) != v.Digits || len(v.Lines) != 8 {
		t.Fatal("digits")
	}
	for i, l := range RecoveryLines(root) {
		if l.Digits != v.Lines[i].Digits || l.Check != v.Lines[i].Check {
			t.Errorf("line %d", i+1)
		}
	}
	for _, s := range v.Accepted {
		if got, err := ParseRecoveryKey([]byte(s)); err != nil || !got.Equal(root) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range v.Refused {
		if _, err := ParseRecoveryKey([]byte(s)); err == nil {
			t.Errorf("%q: taken", s)
		}
	}
	if len(v.Accepted) == 0 || len(v.Refused) == 0 {
		t.Error("vectors are missing")
	}
}
