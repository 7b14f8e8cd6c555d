package crypto

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"coffer/crypto/aead"
)

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustRoot(t testing.TB, b []byte) RootKey {
	t.Helper()
	root, err := RootKeyFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// exposed returns a copy of a secret's bytes.
func exposed(s interface{ Expose(func([]byte)) }) (b []byte) {
	s.Expose(func(x []byte) { b = bytes.Clone(x) })
	return b
}

func mustPanic(t *testing.T, what string, fn func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	fn()
}

func TestRootKey(t *testing.T) {
	b := aead.Random(KeySize)
	before := bytes.Clone(b)
	root := mustRoot(t, b)
	clear(b)
	if !bytes.Equal(exposed(root), before) {
		t.Error("the key was not copied")
	}
	if !root.Equal(mustRoot(t, before)) || root.Equal(NewRootKey()) || root.Equal(RootKey{}) {
		t.Error("Equal is wrong")
	}
	if root.IsZero() || !(RootKey{}).IsZero() {
		t.Error("IsZero is wrong")
	}
	if NewRootKey().Equal(NewRootKey()) {
		t.Error("two new keys are the same")
	}
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := RootKeyFrom(make([]byte, n)); !errors.Is(err, ErrKeySize) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	keys := root.Derive()
	root.Wipe()
	if !root.IsZero() || keys.data.IsZero() {
		t.Error("wiping is wrong")
	}
	mustPanic(t, "Derive of a wiped key", func() { root.Derive() })
	mustPanic(t, "Derive of no key", func() { RootKey{}.Derive() })
	mustPanic(t, "digits of a wiped key", func() { RecoveryDigits(root) })
	mustPanic(t, "lines of a wiped key", func() { RecoveryLines(root) })
}

// Two repositories share nothing.
func TestKeysDiffer(t *testing.T) {
	a, b := NewRootKey().Derive(), NewRootKey().Derive()
	if a.Repository() == b.Repository() || a.Owner().Public() == b.Owner().Public() ||
		a.ChunkerSeed().Equal(b.ChunkerSeed()) ||
		a.NewChunkHasher().Sum(nil) == b.NewChunkHasher().Sum(nil) {
		t.Error("two root keys derive the same")
	}
	seen := map[string]bool{}
	for _, s := range []Secret{a.data, a.chunkID, a.head, a.local, a.owner.seed} {
		k := string(exposed(s))
		if seen[k] || len(k) != KeySize {
			t.Error("two uses have one key, or one of another size")
		}
		seen[k] = true
	}
	if a.ChunkerSeed().Len() != ChunkerSeedSize || ChunkerSeedSize != 2064 {
		t.Error("the chunker's seed has a wrong size")
	}
}

func TestKeysWipe(t *testing.T) {
	keys := NewRootKey().Derive()
	hasher, sealer, public := keys.NewChunkHasher(), keys.NewSealer(KindPack), keys.Owner().Public()
	id := hasher.Sum([]byte("chunk"))
	owner := keys.Owner()
	keys.Wipe()
	header := sealer.Header()
	for what, fn := range map[string]func(){
		"hasher": func() { keys.NewChunkHasher() },
		"sealer": func() { keys.NewSealer(KindPack) },
		"opener": func() { _, _ = keys.NewOpener(KindPack, header[:]) },
		"local":  func() { keys.SealLocal("p", nil) },
		"open":   func() { _, _ = keys.OpenLocal("p", nil) },
		"owner":  func() { owner.Sign(nil) },
	} {
		mustPanic(t, what+" of wiped keys", fn)
	}
	if hasher.Sum([]byte("chunk")) != id {
		t.Error("the hasher lost its key")
	}
	if keys.Owner().Public() != public {
		t.Error("the public key is gone")
	}
	sealer.Seal(nil, nil, Frame{}, nil)
}

func TestKeysAreConcurrent(t *testing.T) {
	keys := NewRootKey().Derive()
	want := keys.NewChunkHasher().Sum([]byte("chunk"))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			hasher := keys.NewChunkHasher()
			for range 50 {
				if hasher.Sum([]byte("chunk")) != want {
					t.Error("the name of a chunk changes")
				}
			}
			keys.NewSealer(KindPack).Seal(nil, []byte("x"), Frame{}, nil)
			keys.Owner().Sign([]byte("x"))
			keys.ChunkerSeed().Len()
		})
	}
	wait.Wait()
}

// BLAKE3's own vectors (keyed_hash in its test_vectors.json), cut to 32 bytes: input is
// 0, 1, ... 250, 0, 1, ... of the given length.
func TestChunkHasherIsBLAKE3(t *testing.T) {
	key := []byte("whats the Elvish word for friend")
	hasher := (&Keys{chunkID: NewSecret(key)}).NewChunkHasher()
	for _, v := range []struct {
		length int
		want   string
	}{
		{0, "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"},
		{1, "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"},
	} {
		input := make([]byte, v.length)
		for i := range input {
			input[i] = byte(i % 251)
		}
		if got := hasher.Sum(input); got.String() != v.want {
			t.Errorf("%d bytes:\n got %v\nwant %s", v.length, got, v.want)
		}
	}
}

func TestSign(t *testing.T) {
	keys := NewRootKey().Derive()
	share := aead.Random(KeySize)
	capability := CapabilityFrom(share)
	for _, key := range []interface {
		Sign([]byte) []byte
		Public() [32]byte
	}{keys.Owner(), capability} {
		msg := []byte("message")
		signature, public := key.Sign(msg), key.Public()
		if len(signature) != SignatureSize || !Verify(public, msg, signature) || !ed25519.Verify(public[:], msg, signature) {
			t.Error("the signature does not verify")
		}
		for i := range signature {
			bad := bytes.Clone(signature)
			bad[i] ^= 1
			if Verify(public, msg, bad) {
				t.Errorf("byte %d changed, and still verified", i)
			}
		}
		if Verify(public, []byte("Message"), signature) || Verify(public, msg, signature[:63]) || Verify(public, msg, nil) {
			t.Error("verified what was not signed")
		}
	}
	before := capability.Public()
	share[0] ^= 1
	if capability.Public() != before || CapabilityFrom(share).Public() == before {
		t.Error("the capability is not that of its share")
	}
	capability.Wipe()
	mustPanic(t, "signing with a wiped key", func() { capability.Sign(nil) })
	mustPanic(t, "signing with no key", func() { OwnerKey{}.Sign(nil) })
}

func TestSealLocal(t *testing.T) {
	keys := NewRootKey().Derive()
	box := keys.SealLocal("settings", []byte("plaintext"))
	if got, err := keys.OpenLocal("settings", box); err != nil || string(got) != "plaintext" {
		t.Errorf("%q, %v", got, err)
	}
	refused := func(what string, keys *Keys, purpose string, box []byte) {
		t.Helper()
		if got, err := keys.OpenLocal(purpose, box); !errors.Is(err, ErrDamaged) || got != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	refused("other purpose", keys, "cache", box)
	refused("longer purpose", keys, "settings2", box)
	refused("other repository", NewRootKey().Derive(), "settings", box)
	for i := range box {
		changed := bytes.Clone(box)
		changed[i] ^= 0x80
		refused("changed byte", keys, "settings", changed)
		refused("cut", keys, "settings", box[:i])
	}
}

func TestSealAnchor(t *testing.T) {
	keys, one := NewRootKey().Derive(), [16]byte{1}
	box := keys.SealAnchor(one, 3, []byte("heads"))
	if got, err := keys.OpenAnchor(one, 3, box); err != nil || string(got) != "heads" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := keys.OpenAnchor(one, 2, box); !errors.Is(err, ErrDamaged) {
		t.Errorf("as another version: %v", err)
	}
	if _, err := keys.OpenAnchor([16]byte{2}, 3, box); !errors.Is(err, ErrDamaged) {
		t.Errorf("as another record's: %v", err)
	}
	if _, err := NewRootKey().Derive().OpenAnchor(one, 3, box); !errors.Is(err, ErrDamaged) {
		t.Errorf("of another repository: %v", err)
	}
}

// No label is a prefix of another, and none is written anywhere but in the table: with
// one label for two uses, a key of the one would be a key of the other.
func TestLabels(t *testing.T) {
	table := map[string]bool{}
	for _, l := range stringsIn(t, "labels.go") {
		if table[l] {
			t.Errorf("%q is in the table twice", l)
		}
		table[l] = true
	}
	if len(table) != 16 {
		t.Errorf("%d labels: a change of the table is a change of docs/format.md", len(table))
	}
	for a := range table {
		for b := range table {
			if a != b && strings.HasPrefix(a, b) {
				t.Errorf("%q is a prefix of %q", b, a)
			}
		}
	}
	files, elsewhere := 0, 0
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || path == "labels.go" {
			return err
		}
		files++
		for _, l := range stringsIn(t, path) {
			elsewhere++
			if filepath.ToSlash(path) != "aead/aead.go" || l != labelAEAD {
				t.Errorf("%s: label %q outside of the table", path, l)
			}
		}
		return nil
	})
	if err != nil || files < 10 || elsewhere != 1 {
		t.Errorf("%d files, %d labels outside of the table, %v", files, elsewhere, err)
	}
}

// stringsIn returns the string literals of a file that look like labels.
func stringsIn(t *testing.T, file string) (found []string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(s, "coffer/") && !strings.HasPrefix(s, "coffer/crypto") {
				found = append(found, s)
			}
		}
		return true
	})
	return found
}
