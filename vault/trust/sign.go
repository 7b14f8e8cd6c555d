package trust

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Sign returns the bundle, signed by the root: a signed note. [ErrKey] for another vault's
// key or a second signer's; [ErrBundle] for a bundle that no client would take.
func Sign(b Bundle, root Key) ([]byte, error) {
	text, err := b.Encode()
	if err != nil {
		return nil, fmt.Errorf("sign bundle: %w", err)
	}
	if root.vault != b.VaultID || root.second || root.IsZero() {
		return nil, fmt.Errorf("sign bundle: not the root key of this vault: %w", ErrKey)
	}
	signer := noteSigner{newVerifier(b.VaultID, false, root.public), root}
	signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
	if err != nil {
		return nil, fmt.Errorf("sign bundle: %w", err)
	}
	return signed, nil
}

// AddSignature returns a signed bundle with the second signer's signature added, or
// renewed. It signs only what the root, whose public half the second signer has from the
// link, has signed. [ErrBundle] when that is not so, [ErrKey] for another vault's key or a
// root's.
func AddSignature(signed []byte, root [32]byte, second Key) ([]byte, error) {
	n, b, err := open(signed, Link{Root: root})
	if err != nil {
		return nil, fmt.Errorf("add signature: %w", err)
	}
	if second.vault != b.VaultID || !second.second || second.IsZero() || second.public == root {
		return nil, fmt.Errorf("add signature: not a second signer's key of this vault: %w", ErrKey)
	}
	n.UnverifiedSigs = nil // an earlier one of a second signer
	out, err := note.Sign(n, noteSigner{newVerifier(b.VaultID, true, second.public), second})
	if err != nil {
		return nil, fmt.Errorf("add signature: %w", err)
	}
	return out, nil
}

// Verify returns the bundle, when every key that the link names has signed it and it is
// good at this time.
//
// [ErrBundle]: malformed, or not signed by the link's root. [ErrSingleSigned]: the link
// names a second signer, and only the root has signed. [ErrExpired]: expired, or issued
// more than [MaxClockAhead] from now.
func Verify(signed []byte, link Link, now time.Time) (Bundle, error) {
	_, b, err := open(signed, link)
	if err != nil {
		return Bundle{}, fmt.Errorf("verify bundle: %w", err)
	}
	if !now.Before(b.Expires) {
		return Bundle{}, fmt.Errorf("verify bundle: expired at %s: %w", b.Expires.Format(time.RFC3339), ErrExpired)
	}
	if b.Issued.Sub(now) > MaxClockAhead {
		return Bundle{}, fmt.Errorf("verify bundle: issued at %s: %w", b.Issued.Format(time.RFC3339), ErrExpired)
	}
	return b, nil
}

// open checks the signatures, and reads only what they cover: of what nobody has signed
// yet, it looks at nothing but the vault's id, at its fixed place, to know the names of
// the signers.
func open(signed []byte, link Link) (*note.Note, Bundle, error) {
	if len(signed) > MaxBundle {
		return nil, Bundle{}, fmt.Errorf("%d bytes: %w", len(signed), ErrBundle)
	}
	if link.Root == [32]byte{} {
		// Of this "key" everybody can forge signatures: it is a point of small order.
		return nil, Bundle{}, fmt.Errorf("the link names no root: %w", ErrBundle)
	}
	vault, err := claimedVault(string(signed))
	if err != nil {
		return nil, Bundle{}, err
	}
	known := []note.Verifier{newVerifier(vault, false, link.Root)}
	if link.HasSecond() {
		known = append(known, newVerifier(vault, true, link.Second))
	}
	n, err := note.Open(signed, note.VerifierList(known...))
	if err != nil {
		return nil, Bundle{}, fmt.Errorf("check signatures: %s: %w", reason(err), ErrBundle)
	}
	if !isVerified(n, known[0]) {
		return nil, Bundle{}, fmt.Errorf("the root has not signed: %w", ErrBundle)
	}
	if link.HasSecond() && (!isVerified(n, known[1]) || link.Second == link.Root) {
		return nil, Bundle{}, fmt.Errorf("check signatures: %w", ErrSingleSigned)
	}
	if !isCanonical(n, vault, string(signed)) {
		return nil, Bundle{}, fmt.Errorf("another spelling of the signatures: %w", ErrBundle)
	}
	b, err := ParseBundle([]byte(n.Text))
	if err != nil {
		return nil, Bundle{}, err
	}
	return n, b, nil
}

// claimedVault reads the second line of a bundle.
func claimedVault(signed string) (vault [16]byte, err error) {
	rest, ok := strings.CutPrefix(signed, firstLine+"\n")
	if !ok {
		return vault, fmt.Errorf("not a bundle of version 1: %w", ErrBundle)
	}
	r := &reader{rest: rest}
	r.bytes("vault", r.value("vault"), vault[:])
	return vault, r.err
}

func isVerified(n *note.Note, v note.Verifier) bool {
	for _, s := range n.Sigs {
		if s.Name == v.Name() && s.Hash == v.KeyHash() {
			return true
		}
	}
	return false
}

// isCanonical reports whether the note is its text, the root's signature and at most one
// of a second signer, each spelled as base64 spells it. Package note takes more: repeated
// lines, a hundred strangers, bits after the last byte.
func isCanonical(n *note.Note, vault [16]byte, signed string) bool {
	want := n.Text + "\n"
	for i, s := range slices.Concat(n.Sigs, n.UnverifiedSigs) {
		raw, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
		if err != nil || len(raw) != 4+ed25519.SignatureSize || i > 1 || s.Name != noteName(vault, i == 1) {
			return false
		}
		want += "— " + s.Name + " " + s.Base64 + "\n"
	}
	return want == signed
}

// reason says what package note found, without what a hostile note says of itself.
func reason(err error) string {
	var invalid *note.InvalidSignatureError
	var unverified *note.UnverifiedNoteError
	switch {
	case errors.As(err, &invalid):
		return "a signature is wrong"
	case errors.As(err, &unverified):
		return "nobody has signed whom the link names"
	}
	return "malformed"
}
