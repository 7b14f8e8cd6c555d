//go:build cgo

package pkcs11

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"coffer/crypto/opaque"
	"coffer/vault/server/seal"
)

func TestOpenMakesNoWrappingKey(t *testing.T) {
	h := newHSM(t)
	for range 2 {
		_, err := Open(t.Context(), h.options())
		wantErr(t, "open an empty token", err, ErrKey)
		if !strings.Contains(err.Error(), "coffer-vault wrap") {
			t.Errorf("it does not say which key is missing: %v", err)
		}
	}
	first := h.setup(t)
	reference, err := first.NewOPRF(t.Context(), seal.ID{1}, seal.Guard{})
	must(t, err)
	mustClose(t, first)
	again := h.setup(t) // Setup again keeps the key
	_, err = again.Evaluate(t.Context(), seal.ID{1}, reference, compressed(reference[1:66]))
	must(t, err)
	inSession(t, again, func(s *session) error { return again.ctx.DestroyObject(s.h, s.wrapper) })
	mustClose(t, again)
	_, err = Open(t.Context(), h.options())
	wantErr(t, "open without the key", err, ErrKey)
}

func TestUnfitWrappingKeysAreRefused(t *testing.T) {
	h := newHSM(t)
	token := h.setup(t)
	template := func(change ...*p11.Attribute) []*p11.Attribute {
		all := []*p11.Attribute{
			p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_AES),
			p11.NewAttribute(p11.CKA_LABEL, DefaultLabel+" wrap"), p11.NewAttribute(p11.CKA_TOKEN, true),
			p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, false),
			p11.NewAttribute(p11.CKA_WRAP, true), p11.NewAttribute(p11.CKA_UNWRAP, true), p11.NewAttribute(p11.CKA_DECRYPT, false),
		}
		for _, c := range change {
			for i := range all {
				if all[i].Type == c.Type {
					all[i] = c
				}
			}
		}
		return all
	}
	generate := func(change ...*p11.Attribute) func(*session) (p11.ObjectHandle, error) {
		return func(s *session) (p11.ObjectHandle, error) {
			return token.ctx.GenerateKey(s.h, mechanism(p11.CKM_AES_KEY_GEN, nil), append(template(change...), p11.NewAttribute(p11.CKA_VALUE_LEN, 32)))
		}
	}
	for name, makeKey := range map[string]func(*session) (p11.ObjectHandle, error){
		"can be read":         generate(p11.NewAttribute(p11.CKA_SENSITIVE, false)),
		"can leave the token": generate(p11.NewAttribute(p11.CKA_EXTRACTABLE, true)),
		"decrypts":            generate(p11.NewAttribute(p11.CKA_DECRYPT, true)),
		"does not wrap":       generate(p11.NewAttribute(p11.CKA_WRAP, false)),
		"does not unwrap":     generate(p11.NewAttribute(p11.CKA_UNWRAP, false)),
		"more than one":       func(s *session) (p11.ObjectHandle, error) { _, _ = generate()(s); return generate()(s) },
		"was not made in the to": func(s *session) (p11.ObjectHandle, error) {
			return token.ctx.CreateObject(s.h, append(template(), p11.NewAttribute(p11.CKA_VALUE, make([]byte, 32))))
		},
	} {
		inSession(t, token, func(s *session) error {
			wrap := []*p11.Attribute{p11.NewAttribute(p11.CKA_LABEL, DefaultLabel+" wrap")}
			must(t, s.destroyAll(wrap))
			_, err := makeKey(s)
			return err
		})
		for _, open := range []func(context.Context, Options) (*Token, error){Open, Setup} {
			_, err := open(t.Context(), h.options())
			if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), name) {
				t.Errorf("a wrapping key that %s: %v", name, err)
			}
		}
	}
}

func TestAWrongPINIsTriedOnce(t *testing.T) {
	h := newHSM(t)
	mustClose(t, h.setup(t))
	o := h.options()
	asked := 0
	o.PIN = func() (string, error) { asked++; return "wrong pin", nil }
	_, err := Open(t.Context(), o)
	wantErr(t, "wrong PIN", err, ErrPIN)
	if asked != 1 || strings.Contains(err.Error(), "wrong pin") {
		t.Errorf("asked %d times; %v", asked, err)
	}
	failed := errors.New("no such file")
	o.PIN = func() (string, error) { return "", failed }
	_, err = Open(t.Context(), o)
	wantErr(t, "no PIN", err, failed)
	for _, pin := range []string{"", strings.Repeat("1", 256)} {
		o.PIN = func() (string, error) { return pin, nil }
		_, err = Open(t.Context(), o)
		wantErr(t, "no PIN at all", err, ErrOptions)
	}
}

func TestTheLastTryIsNotUsed(t *testing.T) {
	const ready = p11.CKF_USER_PIN_INITIALIZED
	for flags, want := range map[uint]error{
		ready:                              nil,
		ready | p11.CKF_USER_PIN_COUNT_LOW: nil,
		ready | p11.CKF_USER_PIN_FINAL_TRY | p11.CKF_USER_PIN_COUNT_LOW: ErrPIN,
		ready | p11.CKF_USER_PIN_LOCKED:                                 ErrPIN,
		0:                                                               ErrPIN,
	} {
		if err := checkPINFlags(flags); !errors.Is(err, want) {
			t.Errorf("flags %x: %v, want %v", flags, err, want)
		}
	}
}

// TestARefusedPINStaysRefused: somebody has changed the PIN, and the login is lost. Each
// request would be a wrong try, and lock the token.
func TestARefusedPINStaysRefused(t *testing.T) {
	h := newHSM(t)
	mustClose(t, h.setup(t))
	var asked atomic.Int32
	pin := testPIN
	o := h.options()
	o.PIN = func() (string, error) { asked.Add(1); return pin, nil }
	token, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { mustClose(t, token) })
	pin = "another pin"
	must(t, token.ctx.Logout(token.anchor))
	for range 10 {
		_, err = token.NewOPRF(t.Context(), seal.ID{}, seal.Guard{})
		wantErr(t, "refused PIN", err, ErrPIN, seal.ErrHardware)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the PIN was asked for %d times, want 2", n)
	}
}

func TestTokensAreChosenExactly(t *testing.T) {
	h := newHSM(t)
	token := h.setup(t)
	info, err := token.ctx.GetTokenInfo(token.slot)
	must(t, err)
	slot := token.slot
	mustClose(t, token)
	h.initToken(t, "another token")
	opens := func(name string, want error, change func(o *Options)) {
		t.Helper()
		o := h.options()
		change(&o)
		token, err := Open(t.Context(), o)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if err == nil {
			mustClose(t, token)
		}
	}
	other := slot + 1
	opens("label", nil, func(*Options) {})
	opens("serial", nil, func(o *Options) { o.TokenLabel, o.Serial = "", info.SerialNumber })
	opens("slot", nil, func(o *Options) { o.TokenLabel, o.Slot = "", &slot })
	opens("all", nil, func(o *Options) {
		o.Serial, o.Slot, o.Manufacturer, o.Model = info.SerialNumber, &slot, "SoftHSM project", "SoftHSM v2"
	})
	opens("no such label", ErrToken, func(o *Options) { o.TokenLabel = "coffer tes" })
	opens("no such serial", ErrToken, func(o *Options) { o.Serial = "0000" })
	opens("no such slot", ErrToken, func(o *Options) { o.Slot = &other })
	opens("no such model", ErrToken, func(o *Options) { o.Model = "SoftHSM v3" })
	opens("no such manufacturer", ErrToken, func(o *Options) { o.Manufacturer = "nobody" })
	opens("not a module", ErrModule, func(o *Options) { o.Module = filepath.Join(h.dir, "softhsm2.conf") })
	opens("no module", ErrModule, func(o *Options) { o.Module = filepath.Join(h.dir, "nothing.so") })
	opens("another vault's label", ErrKey, func(o *Options) { o.Label = "other" })
	h.initToken(t, testLabel)
	opens("two of a label", ErrToken, func(*Options) {})
	opens("two of a label, and a serial", nil, func(o *Options) { o.Serial = info.SerialNumber })
}

func TestStatus(t *testing.T) {
	h := newHSM(t)
	token := h.setup(t)
	for n := range 3 {
		lines, err := token.Status(t.Context())
		must(t, err)
		text := strings.Join(lines, "\n")
		for _, want := range []string{"module: /", "token: coffer test (SoftHSM project, SoftHSM v2)", "serial: ", "firmware: ", fmt.Sprintf("record keys: %d", n), "OPRF keys: stay in the token"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in %q", want, text)
			}
		}
		_, err = token.NewKey(t.Context(), seal.ID{byte(n)})
		must(t, err)
	}
	lines, err := h.setupPlain(t).Status(t.Context())
	must(t, err)
	if !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "OPRF keys: who has the PIN") }) {
		t.Errorf("it hides that OPRF keys can be taken out: %q", lines)
	}
	if got := printable("a\x1b[31mb\u009bc\u2028\u0085ü"); got != "a?[31mb?c??ü" {
		t.Errorf("%q", got)
	}
}

// TestTwinsAreDestroyed: a key that was made twice, because the first answer
// was lost, is destroyed wholly.
func TestTwinsAreDestroyed(t *testing.T) {
	token := newHSM(t).setup(t)
	r := newRecord(t, token)
	key, err := readHandle(r.id, r.handle)
	must(t, err)
	inSession(t, token, func(s *session) error {
		_, err := token.ctx.GenerateKey(s.h, mechanism(p11.CKM_AES_KEY_GEN, nil), append(token.recordTemplate(key),
			p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_AES), p11.NewAttribute(p11.CKA_VALUE_LEN, 32)))
		return err
	})
	must(t, token.DestroyKey(t.Context(), r.id, r.handle))
	inSession(t, token, func(s *session) error {
		left, err := s.find(token.recordClass(), 0)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d record keys are left", len(left))
		}
		return err
	})
}

func TestKeys(t *testing.T) {
	h := newHSM(t)
	token := h.setup(t)
	want := map[string]seal.ID{}
	for n := range 30 {
		id := seal.ID{byte(n), 9}
		handle, err := token.NewKey(t.Context(), id)
		must(t, err)
		want[string(handle)] = id
		if n%3 == 0 {
			must(t, token.DestroyKey(t.Context(), id, handle))
			delete(want, string(handle))
		}
	}
	keys, err := token.Keys(t.Context())
	must(t, err)
	if len(keys) != len(want) {
		t.Fatalf("%d keys, want %d", len(keys), len(want))
	}
	for _, key := range keys {
		if id, ok := want[string(key.Handle)]; !ok || id != key.ID {
			t.Fatalf("%x of %x is not one of them", key.Handle, key.ID)
		}
		must(t, token.DestroyKey(t.Context(), key.ID, key.Handle))
	}
	if keys, err = token.Keys(t.Context()); err != nil || len(keys) != 0 {
		t.Fatalf("%d keys are left, %v", len(keys), err)
	}
	mustClose(t, token)
	o := h.options()
	o.Label = "another vault"
	other, err := Setup(t.Context(), o)
	must(t, err)
	defer mustClose(t, other)
	_, err = other.NewKey(t.Context(), seal.ID{1})
	must(t, err)
	mustClose(t, other)
	if keys, err = h.setup(t).Keys(t.Context()); err != nil || len(keys) != 0 {
		t.Fatalf("%d keys of another vault, %v", len(keys), err)
	}
}

// TestCloseIsPatientForAWhile: a call that does not return must not keep a program from ending.
func TestCloseIsPatientForAWhile(t *testing.T) {
	token := newHSM(t).setup(t)
	token.patience = 1
	release, busy := make(chan struct{}), make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() {
		err := token.do(t.Context(), "hang", func(*session) error { close(busy); <-release; return nil })
		if err != nil {
			t.Error(err)
		}
	})
	<-busy
	wantErr(t, "close", token.Close(), seal.ErrHardware)
	_, err := token.Status(t.Context())
	wantErr(t, "closed", err, ErrClosed)
	close(release)
	working.Wait()
	must(t, token.ctx.Finalize()) // for the tests that follow
}

// TestKnownKeys evaluates with keys that were made outside, at the edges of the group too:
// a reference is nothing but a key that this wrapping key has wrapped.
func TestKnownKeys(t *testing.T) {
	token := newHSM(t).setup(t)
	edge := func(low byte) []byte { return append(make([]byte, 31), low) }
	for _, scalar := range [][]byte{edge(1), edge(2), edge(255), opaque.NewOPRFKey(), opaque.NewOPRFKey()} {
		software, err := opaque.NewEvaluator(scalar)
		must(t, err)
		private, err := ecdh.P256().NewPrivateKey(scalar)
		must(t, err)
		reference := append([]byte{version}, private.PublicKey().Bytes()...)
		inSession(t, token, func(s *session) error {
			key, err := token.ctx.CreateObject(s.h, append(unwrapAs(false),
				p11.NewAttribute(p11.CKA_EC_PARAMS, p256()), p11.NewAttribute(p11.CKA_VALUE, scalar)))
			if err != nil {
				return err
			}
			defer s.destroy(&err, key)
			wrapped, err := token.ctx.WrapKey(s.h, mechanism(p11.CKM_AES_KEY_WRAP_PAD, nil), s.wrapper, key)
			reference = append(reference, wrapped...)
			return err
		})
		for n := range 8 {
			point := compressed(mustECDH(t).PublicKey().Bytes())
			want, err := software.Evaluate(point)
			must(t, err)
			for n == 0 && want[1] != 0 { // one with a leading zero
				point = compressed(mustECDH(t).PublicKey().Bytes())
				want, err = software.Evaluate(point)
				must(t, err)
			}
			got, err := token.Evaluate(t.Context(), seal.ID{}, reference, point)
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Fatalf("key %x, point %x: %x, want %x", scalar, point, got, want)
			}
		}
		// With the public point of another key it is nobody's.
		foreign := append(append([]byte{version}, mustECDH(t).PublicKey().Bytes()...), reference[66:]...)
		_, err = token.Evaluate(t.Context(), seal.ID{}, foreign, compressed(reference[1:66]))
		wantErr(t, "another public point", err, seal.ErrReference)
	}
}

func mustECDH(t *testing.T) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.P256().NewPrivateKey(opaque.NewOPRFKey())
	must(t, err)
	return key
}
