//go:build !cgo

package pkcs11

import (
	"errors"
	"testing"

	"coffer/vault/server/seal"
)

func TestWithoutCgo(t *testing.T) {
	for _, open := range []func() (*Token, error){
		func() (*Token, error) { return Open(t.Context(), Options{}) },
		func() (*Token, error) { return Setup(t.Context(), Options{}) },
	} {
		if token, err := open(); !errors.Is(err, ErrNotBuilt) || token != nil {
			t.Errorf("%v, %v", token, err)
		}
	}
	var token *Token
	ctx, id := t.Context(), seal.ID{}
	for name, call := range map[string]func() error{
		"Ready":       func() error { return token.Ready(ctx) },
		"Status":      func() error { _, err := token.Status(ctx); return err },
		"Keys":        func() error { _, err := token.Keys(ctx); return err },
		"NewKey":      func() error { _, err := token.NewKey(ctx, id); return err },
		"Seal":        func() error { _, err := token.Seal(ctx, id, nil, nil); return err },
		"Open":        func() error { _, err := token.Open(ctx, id, nil, nil); return err },
		"DestroyKey":  func() error { return token.DestroyKey(ctx, id, nil) },
		"NewOPRF":     func() error { _, err := token.NewOPRF(ctx, id, seal.Guard{}); return err },
		"Evaluate":    func() error { _, err := token.Evaluate(ctx, id, nil, nil); return err },
		"DestroyOPRF": func() error { return token.DestroyOPRF(ctx, id, nil) },
	} {
		if err := call(); !errors.Is(err, ErrNotBuilt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
