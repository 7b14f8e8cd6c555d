package oidctest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A Fault is the one thing that is wrong with a token.
type Fault string

// The faults. Each token is signed as it should be unless its fault is the signature.
const (
	Expired          Fault = "expired a minute ago"
	OtherAudience    Fault = "for another client"
	TwoAudiences     Fault = "for this client and another, and does not say for which of them it was made"
	OtherParty       Fault = "made for another client, with this one in its audience"
	OtherNonce       Fault = "with another nonce"
	NoNonce          Fault = "without a nonce"
	OtherIssuer      Fault = "of another issuer"
	NoSubject        Fault = "of nobody"
	LongSubject      Fault = "of a subject of 256 bytes"
	Future           Fault = "issued tomorrow"
	AlgorithmNone    Fault = "not signed: algorithm none"
	HMACWithPublic   Fault = "signed by HS256 with the public key for a secret"
	OtherKey         Fault = "signed with a key of somebody else, under the name of the provider's"
	OtherKeyInHeader Fault = "signed with a key that it brings along"
	ChangedSignature Fault = "with one bit of the signature changed"
	ChangedClaims    Fault = "with other claims than were signed"
	TwoSignatures    Fault = "in JSON, with two signatures"
)

// Faults returns all of them.
func Faults() []Fault {
	return []Fault{
		Expired, OtherAudience, TwoAudiences, OtherParty, OtherNonce, NoNonce, OtherIssuer, NoSubject, LongSubject,
		Future, AlgorithmNone, HMACWithPublic, OtherKey, OtherKeyInHeader, ChangedSignature, ChangedClaims, TwoSignatures,
	}
}

// Wrong returns what a good token of this provider would be with one thing wrong.
func (p *Provider) Wrong(t testing.TB, good string, fault Fault) string {
	t.Helper()
	parts := strings.Split(good, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts", len(parts))
	}
	claims := map[string]any{}
	if err := json.Unmarshal(unbase64(t, parts[1]), &claims); err != nil {
		t.Fatal(err)
	}
	if change, ok := changes()[fault]; ok {
		change(claims)
		return compact(t, sign(t, p.storage.signing(), nil, claims))
	}
	key := p.storage.signing()
	switch fault {
	case AlgorithmNone:
		return base64text([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	case HMACWithPublic:
		return hmacWithPublic(t, key, parts[1])
	case OtherKey:
		other := newRSAKey(t)
		other.id = key.id
		return compact(t, sign(t, other, nil, claims))
	case OtherKeyInHeader:
		return compact(t, sign(t, newRSAKey(t), &jose.SignerOptions{EmbedJWK: true}, claims))
	case ChangedSignature:
		signature := unbase64(t, parts[2])
		signature[len(signature)/2] ^= 1
		return parts[0] + "." + parts[1] + "." + base64text(signature)
	case ChangedClaims:
		claims["sub"] = "subject of somebody else"
		return parts[0] + "." + base64text(encode(t, claims)) + "." + parts[2]
	case TwoSignatures:
		return twoSignatures(t, key, claims)
	}
	t.Fatalf("no such fault: %q", fault)
	return ""
}

// changes are the faults of the claims.
func changes() map[Fault]func(claims map[string]any) {
	set := func(name string, value any) func(map[string]any) {
		return func(claims map[string]any) { claims[name] = value }
	}
	return map[Fault]func(map[string]any){
		Expired:       set("exp", time.Now().Add(-time.Minute).Unix()),
		OtherAudience: set("aud", []string{"another client"}),
		TwoAudiences: func(claims map[string]any) {
			claims["aud"] = []string{"another client", ClientID}
			delete(claims, "azp")
		},
		OtherParty:  func(claims map[string]any) { claims["azp"] = "another client" },
		OtherNonce:  set("nonce", "00112233445566778899aabbccddeeff"),
		NoNonce:     func(claims map[string]any) { delete(claims, "nonce") },
		OtherIssuer: set("iss", "https://issuer.example"),
		NoSubject:   func(claims map[string]any) { delete(claims, "sub") },
		LongSubject: set("sub", strings.Repeat("s", 256)),
		Future:      set("iat", time.Now().Add(24*time.Hour).Unix()),
	}
}

// Resign returns the token with other claims, signed as it should be: tests change what is
// not a fault.
func (p *Provider) Resign(t testing.TB, good string, change func(claims map[string]any)) string {
	t.Helper()
	claims := map[string]any{}
	if err := json.Unmarshal(unbase64(t, strings.Split(good, ".")[1]), &claims); err != nil {
		t.Fatal(err)
	}
	change(claims)
	return compact(t, sign(t, p.storage.signing(), nil, claims))
}

// Rotate has another key sign from now on: of RSA or, with elliptic, of P-256. The old ones
// stay published until [Provider.Withdraw].
func (p *Provider) Rotate(t testing.TB, elliptic bool) {
	t.Helper()
	key := newRSAKey(t)
	if elliptic {
		key = newECKey(t)
	}
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	p.storage.keys = append(p.storage.keys, key)
}

// Withdraw takes back all keys but the one that signs.
func (p *Provider) Withdraw() {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	p.storage.keys = p.storage.keys[len(p.storage.keys)-1:]
}

func sign(t testing.TB, key *signingKey, opts *jose.SignerOptions, claims map[string]any) *jose.JSONWebSignature {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: key.algorithm, Key: jose.JSONWebKey{Key: key.private, KeyID: key.id},
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(encode(t, claims))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func compact(t testing.TB, signed *jose.JSONWebSignature) string {
	t.Helper()
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// hmacWithPublic is the oldest forgery: a verifier that lets the token choose the algorithm
// takes the provider's public key for a shared secret.
func hmacWithPublic(t testing.TB, key *signingKey, payload string) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.public)
	if err != nil {
		t.Fatal(err)
	}
	signed := base64text([]byte(`{"alg":"HS256","kid":"`+key.id+`"}`)) + "." + payload
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(signed))
	return signed + "." + base64text(mac.Sum(nil))
}

func twoSignatures(t testing.TB, key *signingKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewMultiSigner([]jose.SigningKey{
		{Algorithm: key.algorithm, Key: key.private}, {Algorithm: jose.RS256, Key: newRSAKey(t).private},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(encode(t, claims))
	if err != nil {
		t.Fatal(err)
	}
	return signed.FullSerialize()
}

func encode(t testing.TB, claims map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func base64text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
