//go:build !cgo

package pkcs11

import (
	"context"

	"coffer/vault/server/seal"
)

// A Token does not exist in this build: whoever makes a method of it run has [ErrNotBuilt].
type Token struct{}

var _ seal.Sealer = (*Token)(nil)

// Open returns [ErrNotBuilt].
func Open(context.Context, Options) (*Token, error) { return nil, ErrNotBuilt }

// Setup returns [ErrNotBuilt].
func Setup(context.Context, Options) (*Token, error) { return nil, ErrNotBuilt }

// Class returns [seal.ClassToken].
func (*Token) Class() string { return seal.ClassToken }

// Close has nothing to do.
func (*Token) Close() error { return nil }

// Ready returns [ErrNotBuilt].
func (*Token) Ready(context.Context) error { return ErrNotBuilt }

// Status returns [ErrNotBuilt].
func (*Token) Status(context.Context) ([]string, error) { return nil, ErrNotBuilt }

// Keys returns [ErrNotBuilt].
func (*Token) Keys(context.Context) ([]Key, error) { return nil, ErrNotBuilt }

// NewKey returns [ErrNotBuilt].
func (*Token) NewKey(context.Context, seal.ID) ([]byte, error) { return nil, ErrNotBuilt }

// Seal returns [ErrNotBuilt].
func (*Token) Seal(context.Context, seal.ID, []byte, []byte) ([]byte, error) {
	return nil, ErrNotBuilt
}

// Open returns [ErrNotBuilt].
func (*Token) Open(context.Context, seal.ID, []byte, []byte) ([]byte, error) {
	return nil, ErrNotBuilt
}

// DestroyKey returns [ErrNotBuilt].
func (*Token) DestroyKey(context.Context, seal.ID, []byte) error { return ErrNotBuilt }

// NewOPRF returns [ErrNotBuilt].
func (*Token) NewOPRF(context.Context, seal.ID, seal.Guard) ([]byte, error) { return nil, ErrNotBuilt }

// Evaluate returns [ErrNotBuilt].
func (*Token) Evaluate(context.Context, seal.ID, []byte, []byte) ([]byte, error) {
	return nil, ErrNotBuilt
}

// DestroyOPRF returns [ErrNotBuilt].
func (*Token) DestroyOPRF(context.Context, seal.ID, []byte) error { return ErrNotBuilt }
