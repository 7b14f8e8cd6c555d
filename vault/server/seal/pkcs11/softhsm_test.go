//go:build cgo

package pkcs11

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"coffer/vault/server/seal"
	"coffer/vault/server/seal/sealtest"
)

const (
	testLabel = "coffer test"
	testPIN   = "pin-9f31c7"
	testSOPIN = "so-pin-4471"
)

// A hsm is a SoftHSM token in a folder of its own. SoftHSM reads SOFTHSM2_CONF when the
// module is initialized, so one is in use at a time, and no test here runs in parallel.
type hsm struct {
	module, dir string
}

func newHSM(t testing.TB) *hsm {
	t.Helper()
	h := &hsm{dir: t.TempDir()}
	for _, path := range []string{
		"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
	} {
		if _, err := os.Stat(path); err == nil {
			h.module = path
			break
		}
	}
	if _, err := exec.LookPath("softhsm2-util"); err != nil || h.module == "" {
		t.Skip("softhsm2 is not installed")
	}
	must(t, os.Mkdir(filepath.Join(h.dir, "tokens"), 0o700))
	conf := filepath.Join(h.dir, "softhsm2.conf")
	must(t, os.WriteFile(conf, []byte("directories.tokendir = "+filepath.Join(h.dir, "tokens")+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600))
	t.Setenv("SOFTHSM2_CONF", conf)
	h.initToken(t, testLabel)
	return h
}

func (h *hsm) initToken(t testing.TB, label string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", label,
		"--pin", testPIN, "--so-pin", testSOPIN).CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v: %s", err, out)
	}
}

func (h *hsm) options() Options {
	return Options{Module: h.module, TokenLabel: testLabel, PIN: func() (string, error) { return testPIN, nil }}
}

// setup makes a vault's keys, and closes the token at the end.
func (h *hsm) setup(t testing.TB) *Token {
	t.Helper()
	token, err := Setup(t.Context(), h.options())
	must(t, err)
	t.Cleanup(func() { mustClose(t, token) })
	return token
}

// files returns what a thief of the token's disk has.
func (h *hsm) files(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	must(t, filepath.WalkDir(filepath.Join(h.dir, "tokens"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = data
		return err
	}))
	if len(all) == 0 {
		t.Fatal("the token has no files")
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustClose(t testing.TB, token *Token) {
	t.Helper()
	must(t, token.Close())
}

func wantErr(t testing.TB, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Fatalf("%s: %v, want %v", what, err, w)
		}
	}
}

// inSession runs f as root on the vault's computer could: with the PIN.
func inSession(t testing.TB, token *Token, f func(s *session) error) {
	t.Helper()
	must(t, token.do(t.Context(), "test", f))
}

// setupPlain makes the wrapping key as for a token that does not know CKA_UNWRAP_TEMPLATE,
// so that a test can know OPRF keys.
func (h *hsm) setupPlain(t testing.TB) *Token {
	t.Helper()
	token := h.setup(t)
	inSession(t, token, func(s *session) error {
		name := DefaultLabel + " wrap"
		must(t, s.destroyAll(wrappingName(name)))
		_, err := token.ctx.GenerateKey(s.h, mechanism(p11.CKM_AES_KEY_GEN, nil), wrappingTemplate(name))
		return err
	})
	mustClose(t, token)
	return h.setup(t)
}

// openKey returns an OPRF key in the open, after setupPlain.
func openKey(t *testing.T, s seal.Sealer, _ seal.ID, b []byte) (scalar []byte) {
	t.Helper()
	r, err := readReference(b)
	must(t, err)
	inSession(t, s.(*Token), func(s *session) error {
		key, err := s.token.ctx.UnwrapKey(s.h, mechanism(p11.CKM_AES_KEY_WRAP_PAD, nil), s.wrapper, r.wrapped, unwrapAs(false))
		if err != nil {
			return err
		}
		defer s.destroy(&err, key)
		got, err := s.token.ctx.GetAttributeValue(s.h, key, []*p11.Attribute{p11.NewAttribute(p11.CKA_VALUE, nil)})
		if err != nil {
			return err
		}
		scalar = append(make([]byte, 32-len(got[0].Value)), got[0].Value...)
		return nil
	})
	return scalar
}

func TestConforms(t *testing.T) {
	h := newHSM(t)
	mustClose(t, h.setup(t))
	h.conforms(t, sealtest.Options{})
}

// TestConformsToSoftware compares with evaluations in software as well.
func TestConformsToSoftware(t *testing.T) {
	h := newHSM(t)
	mustClose(t, h.setupPlain(t))
	h.conforms(t, sealtest.Options{OPRFKey: openKey})
}

func (h *hsm) conforms(t *testing.T, opts sealtest.Options) {
	sealtest.Run(t, opts, func(t *testing.T) (seal.Sealer, func() seal.Sealer) {
		var last *Token
		again := func() seal.Sealer {
			if last != nil {
				mustClose(t, last)
			}
			var err error
			last, err = Open(t.Context(), h.options())
			must(t, err)
			return last
		}
		t.Cleanup(func() { mustClose(t, last) })
		return again(), again
	})
}

// TestKeysStay reads and wraps keys with the PIN in hand.
func TestKeysStay(t *testing.T) {
	token := newHSM(t).setup(t)
	id := seal.ID{1}
	_, err := token.NewKey(t.Context(), id)
	must(t, err)
	reference, err := token.NewOPRF(t.Context(), id, seal.Guard{})
	must(t, err)
	r, err := readReference(reference)
	must(t, err)
	inSession(t, token, func(s *session) error {
		records, err := s.find(token.recordClass(), 0)
		must(t, err)
		if len(records) != 1 {
			t.Fatalf("%d record keys", len(records))
		}
		oprf, err := s.unwrap(r.wrapped)
		must(t, err)
		for name, key := range map[string]p11.ObjectHandle{"record key": records[0], "wrapping key": s.wrapper, "OPRF key": oprf} {
			_, err := token.ctx.GetAttributeValue(s.h, key, []*p11.Attribute{p11.NewAttribute(p11.CKA_VALUE, nil)})
			if !is(err, p11.CKR_ATTRIBUTE_SENSITIVE) {
				t.Errorf("%s: reading it: %v", name, err)
			}
			_, err = token.ctx.WrapKey(s.h, mechanism(p11.CKM_AES_KEY_WRAP_PAD, nil), s.wrapper, key)
			if !is(err, p11.CKR_KEY_UNEXTRACTABLE) {
				t.Errorf("%s: wrapping it: %v", name, err)
			}
			for _, kind := range []uint{p11.CKA_EXTRACTABLE, p11.CKA_SENSITIVE} {
				err = token.ctx.SetAttributeValue(s.h, key, []*p11.Attribute{p11.NewAttribute(kind, kind == p11.CKA_EXTRACTABLE)})
				if err == nil {
					t.Errorf("%s: it was made to leave", name)
				}
			}
		}
		thief := unwrapAs(false)
		for name, template := range map[string][]*p11.Attribute{"to be read": thief, "without a word": thief[:3], "to be wrapped": append(thief[:4:4], thief[5])} {
			key, err := token.ctx.UnwrapKey(s.h, mechanism(p11.CKM_AES_KEY_WRAP_PAD, nil), s.wrapper, r.wrapped, template)
			if err == nil {
				t.Errorf("OPRF key: unwrapped %s: %d", name, key)
			}
		}
		gcm := p11.NewGCMParams(make([]byte, ivSize), nil, 8*tagSize)
		defer gcm.Free()
		if err := token.ctx.DecryptInit(s.h, mechanism(p11.CKM_AES_GCM, gcm), s.wrapper); err == nil {
			t.Error("the wrapping key decrypts")
		}
		s.destroy(&err, oprf)
		return err
	})
}

// TestNothingIsLeft looks for session objects and for what the token's disk tells.
func TestNothingIsLeft(t *testing.T) {
	h := newHSM(t)
	token := h.setupPlain(t)
	id, body := seal.ID{1}, bytes.Repeat([]byte("a plain body, "), 20)
	handle, err := token.NewKey(t.Context(), id)
	must(t, err)
	reference, err := token.NewOPRF(t.Context(), id, seal.Guard{})
	must(t, err)
	sealed, err := token.Seal(t.Context(), id, handle, append(body, reference...))
	must(t, err)
	point := reference[1:66]
	for range 3 {
		_, err = token.Evaluate(t.Context(), id, reference, compressed(point))
		must(t, err)
		_, err = token.Evaluate(t.Context(), id, changedByte(reference, 80), compressed(point))
		wantErr(t, "changed reference", err, seal.ErrReference)
		_, err = token.Open(t.Context(), id, handle, changedByte(sealed, 20))
		wantErr(t, "changed body", err, seal.ErrOpen)
	}
	inSession(t, token, func(s *session) error {
		all, err := s.find([]*p11.Attribute{p11.NewAttribute(p11.CKA_TOKEN, false)}, 0)
		if err == nil && len(all) != 0 {
			err = fmt.Errorf("%d session objects are left", len(all))
		}
		return err
	})
	scalar := openKey(t, token, id, reference)
	scan := func(when string) {
		t.Helper()
		for path, data := range h.files(t) {
			if bytes.Contains(data, scalar) || bytes.Contains(data, body[:28]) || bytes.Contains(data, []byte(testPIN)) {
				t.Errorf("%s: %s holds a secret", when, filepath.Base(path))
			}
		}
		for name, b := range map[string][]byte{"handle": handle, "reference": reference, "sealed": sealed} {
			if bytes.Contains(b, scalar) || bytes.Contains(b, body[:28]) {
				t.Errorf("%s: %s holds a secret", when, name)
			}
		}
	}
	scan("before")
	objects := len(h.files(t))
	must(t, token.DestroyKey(t.Context(), id, handle))
	scan("after")
	if now := len(h.files(t)); now >= objects {
		t.Errorf("%d files, and %d after the record key was destroyed", objects, now)
	}
	for path, data := range h.files(t) {
		if bytes.Contains(data, handle[1:]) {
			t.Errorf("%s still names the destroyed key", filepath.Base(path))
		}
	}
}

func compressed(point []byte) []byte {
	return append([]byte{2 + point[64]&1}, point[1:33]...)
}

func changedByte(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// TestAnotherProcess opens here what another process has sealed, and the other way round.
func TestAnotherProcess(t *testing.T) {
	const role = "COFFER_TEST_PKCS11_FOLDER"
	id := seal.ID{7}
	if dir := os.Getenv(role); dir != "" {
		h := &hsm{module: os.Getenv(role + "_MODULE"), dir: dir}
		token, err := Open(t.Context(), h.options())
		must(t, err)
		defer mustClose(t, token)
		body, err := token.Open(t.Context(), id, read(t, dir, "handle"), read(t, dir, "sealed"))
		must(t, err)
		product, err := token.Evaluate(t.Context(), id, body, compressed(body[1:66]))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "product"), product, 0o600))
		must(t, token.DestroyKey(t.Context(), id, read(t, dir, "handle")))
		return
	}
	h := newHSM(t)
	token := h.setup(t)
	handle, err := token.NewKey(t.Context(), id)
	must(t, err)
	reference, err := token.NewOPRF(t.Context(), id, seal.Guard{})
	must(t, err)
	sealed, err := token.Seal(t.Context(), id, handle, reference)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(h.dir, "handle"), handle, 0o600))
	must(t, os.WriteFile(filepath.Join(h.dir, "sealed"), sealed, 0o600))
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAnotherProcess$")
	child.Env = append(os.Environ(), role+"="+h.dir, role+"_MODULE="+h.module)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("the other process: %v\n%s", err, out)
	}
	want, err := token.Evaluate(t.Context(), id, reference, compressed(reference[1:66]))
	must(t, err)
	if !bytes.Equal(want, read(t, h.dir, "product")) {
		t.Fatal("another product in another process")
	}
	// The other one has destroyed the key, whose number this one remembers.
	_, err = token.Open(t.Context(), id, handle, sealed)
	wantErr(t, "destroyed by another process", err, seal.ErrOpen)
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	return b
}

func BenchmarkToken(b *testing.B) {
	token := newHSM(b).setup(b)
	id := seal.ID{1}
	handle, err := token.NewKey(b.Context(), id)
	must(b, err)
	reference, err := token.NewOPRF(b.Context(), id, seal.Guard{})
	must(b, err)
	point := compressed(reference[1:66])
	sealed, err := token.Seal(b.Context(), id, handle, make([]byte, 1000))
	must(b, err)
	for name, f := range map[string]func() error{
		"Evaluate": func() error { _, err := token.Evaluate(b.Context(), id, reference, point); return err },
		"Seal":     func() error { _, err := token.Seal(b.Context(), id, handle, make([]byte, 1000)); return err },
		"Open":     func() error { _, err := token.Open(b.Context(), id, handle, sealed); return err },
		"NewOPRF":  func() error { _, err := token.NewOPRF(b.Context(), id, seal.Guard{}); return err },
		"NewKey+DestroyKey": func() error {
			handle, err := token.NewKey(b.Context(), id)
			if err != nil {
				return err
			}
			return token.DestroyKey(b.Context(), id, handle)
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				must(b, f())
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := f(); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
