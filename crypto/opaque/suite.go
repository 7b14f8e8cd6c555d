package opaque

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"filippo.io/nistec"
	"github.com/cloudflare/circl/oprf"
)

// Sizes in bytes; names as in RFC 9807, section 2.
const (
	elementSize = 33 // Noe, Npk: a compressed point
	scalarSize  = 32 // Nok, Nsk
	hashSize    = 32 // Nh, Nm, Nx
	nonceSize   = 32 // Nn
	seedSize    = 32 // Nseed

	envelopeSize           = nonceSize + hashSize
	credentialResponseSize = elementSize + nonceSize + elementSize + envelopeSize

	// PublicKeySize is the length of a public key.
	PublicKeySize = elementSize
	// KeySize is the length of private keys, OPRF keys, export keys and session keys.
	KeySize = 32
	// RegistrationRequestSize is the length of a registration request.
	RegistrationRequestSize = elementSize
	// RegistrationResponseSize is the length of a registration response.
	RegistrationResponseSize = elementSize + elementSize
	// RecordSize is the length of a record.
	RecordSize = elementSize + hashSize + envelopeSize
	// KE1Size is the length of the first message of a login.
	KE1Size = elementSize + nonceSize + elementSize
	// KE2Size is the length of the second.
	KE2Size = credentialResponseSize + nonceSize + elementSize + hashSize
	// KE3Size is the length of the third.
	KE3Size = hashSize
)

var (
	// ErrMessage says that a message, record or key is malformed.
	ErrMessage = errors.New("opaque: malformed message")
	// ErrEnvelope says that the record does not open: the password is wrong, or
	// identities or info are not those of the registration, or there is no such record.
	ErrEnvelope = errors.New("opaque: the envelope does not open")
	// ErrServerAuth says that the server does not prove to be the one that was expected.
	ErrServerAuth = errors.New("opaque: the server is not authentic")
	// ErrClientAuth says that the client does not prove to know the password.
	ErrClientAuth = errors.New("opaque: the client is not authentic")
	// ErrPassword says that a password is empty or, with the info, beyond 65,535 bytes.
	ErrPassword = errors.New("opaque: the password is empty or too long")
	// ErrConfig says that a Config lacks what is needed or holds too much.
	ErrConfig = errors.New("opaque: bad configuration")
	// ErrOrder says that a step was called too early or twice.
	ErrOrder = errors.New("opaque: step out of order")
)

// A Config is what both sides of a registration and its logins agree on beforehand.
type Config struct {
	// Context is bound to each login, not to the record: protocol, version, parameters.
	Context []byte
	// ClientIdentity and ServerIdentity are bound to record and login. Nil stands for
	// the public key (RFC 9807, section 4).
	ClientIdentity, ServerIdentity []byte

	// The rest is the client's alone; a server ignores it.

	// Info is bound to the OPRF input, which becomes length(Info) || Info || password,
	// with the length in two bytes. When it is empty the input is the password, as in
	// the RFC.
	Info []byte
	// KSF makes each guess costly. It must not be nil.
	KSF KSF
	// ServerPublicKey is the server key that the client already knows. When it is not
	// nil, a response with another one is refused with ErrServerAuth.
	ServerPublicKey []byte
}

func (c Config) check() error {
	for _, b := range [][]byte{c.Context, c.ClientIdentity, c.ServerIdentity} {
		if len(b) > 0xffff {
			return ErrConfig
		}
	}
	return nil
}

// parsePoint reads a compressed point. The length is checked first because nistec takes
// the identity (one byte) and uncompressed points (65) as well; of 33 bytes it takes only
// compressed points on the curve, with x below the prime.
func parsePoint(b []byte) (*nistec.P256Point, error) {
	if len(b) != elementSize {
		return nil, ErrMessage
	}
	p, err := nistec.NewP256Point().SetBytes(b)
	if err != nil {
		return nil, ErrMessage
	}
	return p, nil
}

// checkPoints returns ErrMessage unless each is a compressed point.
func checkPoints(points ...[]byte) error {
	for _, b := range points {
		if _, err := parsePoint(b); err != nil {
			return err
		}
	}
	return nil
}

// multiply returns the compressed product of a point and a private scalar, in constant
// time. The group has prime order, so the product is not the identity unless the scalar
// is zero, which checkScalar refused.
func multiply(scalar, point []byte) ([]byte, error) {
	p, err := multiplyPoint(scalar, point)
	if err != nil {
		return nil, err
	}
	return p.BytesCompressed(), nil
}

// multiplyPoint is multiply, not yet encoded.
func multiplyPoint(scalar, point []byte) (*nistec.P256Point, error) {
	p, err := parsePoint(point)
	if err != nil {
		return nil, err
	}
	if p, err = p.ScalarMult(p, scalar); err != nil {
		return nil, fmt.Errorf("opaque: internal error: %w", err)
	}
	return p, nil
}

// checkScalar returns ErrMessage unless b is a scalar in [1, order).
func checkScalar(b []byte) error {
	if _, err := ecdh.P256().NewPrivateKey(b); err != nil {
		return ErrMessage
	}
	return nil
}

// A keyPair is a Diffie-Hellman key pair.
type keyPair struct{ private, public []byte }

func keyPairFrom(private []byte) (keyPair, error) {
	if err := checkScalar(private); err != nil {
		return keyPair{}, err
	}
	p, err := nistec.NewP256Point().ScalarBaseMult(private)
	if err != nil {
		return keyPair{}, fmt.Errorf("opaque: internal error: %w", err)
	}
	return keyPair{private, p.BytesCompressed()}, nil
}

// deriveKeyPair is DeriveKeyPair of RFC 9497, section 3.2.1.
func deriveKeyPair(seed []byte, info string) (keyPair, error) {
	key, err := oprf.DeriveKey(oprf.SuiteP256, oprf.BaseMode, seed, []byte(info))
	if err != nil {
		return keyPair{}, fmt.Errorf("opaque: derive key pair: %w", err)
	}
	private, err := key.MarshalBinary()
	if err != nil {
		return keyPair{}, fmt.Errorf("opaque: derive key pair: %w", err)
	}
	return keyPairFrom(private)
}

// deriveDHKeyPair is DeriveDiffieHellmanKeyPair of RFC 9807, section 2.1.
func deriveDHKeyPair(seed []byte) (keyPair, error) {
	return deriveKeyPair(seed, "OPAQUE-DeriveDiffieHellmanKeyPair")
}

func extract(ikm []byte) []byte {
	prk, err := hkdf.Extract(sha256.New, ikm, nil)
	if err != nil {
		panic("opaque: internal error: " + err.Error())
	}
	return prk
}

func expand(prk []byte, size int, info ...[]byte) []byte {
	out, err := hkdf.Expand(sha256.New, prk, string(concat(info...)), size)
	if err != nil {
		panic("opaque: internal error: " + err.Error())
	}
	return out
}

// expandLabel is Expand-Label of RFC 9807, section 6.4.2.
func expandLabel(secret []byte, label string, context []byte) []byte {
	label = "OPAQUE-" + label
	return expand(secret, hashSize, []byte{0, hashSize},
		[]byte{byte(len(label))}, []byte(label), []byte{byte(len(context))}, context)
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func hash(parts ...[]byte) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func concat(parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	out := make([]byte, 0, size)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// vector returns b after its length in two bytes. All callers have checked the length.
func vector(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b))), b...)
}

// random returns n bytes; it ends the program when the system has none to give.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// transcript is what both sides of a login hash and key their MACs with (RFC 9807,
// section 6.4).
type transcript struct {
	context                        []byte
	clientIdentity, serverIdentity []byte
	ke1, response                  []byte
	serverNonce, serverKeyshare    []byte
}

// loginKeys are the results of the key exchange: the MACs of both sides and the session
// key.
type loginKeys struct{ serverMAC, clientMAC, sessionKey []byte }

// keys derives the results from the three Diffie-Hellman values.
func (t transcript) keys(dh [3][]byte) loginKeys {
	preamble := concat([]byte("OPAQUEv1-"), vector(t.context), vector(t.clientIdentity), t.ke1,
		vector(t.serverIdentity), t.response, t.serverNonce, t.serverKeyshare)
	ikm := concat(dh[:]...)
	defer clear(ikm)
	prk := extract(ikm)
	defer clear(prk)
	digest := hash(preamble)
	handshake := expandLabel(prk, "HandshakeSecret", digest)
	defer clear(handshake)
	serverMAC := mac(expandLabel(handshake, "ServerMAC", nil), digest)
	return loginKeys{
		serverMAC:  serverMAC,
		clientMAC:  mac(expandLabel(handshake, "ClientMAC", nil), hash(preamble, serverMAC)),
		sessionKey: expandLabel(prk, "SessionKey", digest),
	}
}

// orKey returns the identity, or the public key that stands for it.
func orKey(identity, publicKey []byte) []byte {
	if identity == nil {
		return publicKey
	}
	return identity
}

// redact keeps a type that holds secrets out of print and logs.
type redact struct{}

// Format prints "[redacted]" for every verb.
func (redact) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// LogValue returns "[redacted]".
func (redact) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText fails: a secret is not serialized by accident.
func (redact) MarshalText() ([]byte, error) {
	return nil, errors.New("opaque: a secret cannot be serialized")
}
