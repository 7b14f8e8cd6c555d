package vault

import (
	"context"
	"crypto/sha256"
	"net/http"

	"coffer/crypto/opaque"
	"coffer/vault/protocol"
)

// UseCheapKSF makes c a client for tests that are not about Argon2id: many tries in a
// second. It is part of no build but that of the tests.
func (c *Client) UseCheapKSF() {
	c.ksf = func(protocol.Cost) (opaque.KSF, error) {
		return func(input []byte) []byte {
			sum := sha256.Sum256(append([]byte("cheap"), input...))
			return sum[:]
		}, nil
	}
}

// Repeat asks again while the vault says that it is busy.
func Repeat(ctx context.Context, ask func() ([]byte, error)) ([]byte, error) {
	return repeat(ctx, busyWait, ask)
}

// OpenReply reads an answer to an envelope whose reply is under key.
func OpenReply(key [32]byte, status int, body []byte) ([]byte, error) {
	return openReply(key, &http.Response{StatusCode: status}, body)
}
