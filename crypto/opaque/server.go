package opaque

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"fmt"

	"github.com/cloudflare/circl/group"
)

// An Evaluator multiplies with the OPRF key of one record, which it never shows. It may
// be a token. Its answer to one message is the answer to one guess.
type Evaluator interface {
	// Evaluate returns the product of the key and a compressed point, which the caller
	// has checked, compressed: 33 bytes.
	Evaluate(blinded []byte) ([]byte, error)
}

// NewOPRFKey returns a fresh OPRF key, [KeySize] bytes.
func NewOPRFKey() []byte { return newScalar() }

// NewEvaluator returns the Evaluator of an OPRF key in memory. It copies key. It prints
// as "[redacted]". [ErrMessage] unless key is a scalar from [NewOPRFKey].
func NewEvaluator(key []byte) (Evaluator, error) {
	if err := checkScalar(key); err != nil {
		return nil, fmt.Errorf("read OPRF key: %w", err)
	}
	return memoryKey{key: bytes.Clone(key)}, nil
}

type memoryKey struct {
	redact
	key []byte
}

func (k memoryKey) Evaluate(blinded []byte) ([]byte, error) { return multiply(k.key, blinded) }

// A ServerKey is the long-term key by which clients know the server. It prints as
// "[redacted]".
type ServerKey struct {
	redact
	pair keyPair
}

// GenerateServerKey returns a fresh ServerKey.
func GenerateServerKey() *ServerKey {
	pair, err := keyPairFrom(newScalar())
	if err != nil {
		panic("opaque: internal error: " + err.Error())
	}
	return &ServerKey{pair: pair}
}

// ServerKeyFrom returns the key that [ServerKey.Private] gave. It copies private.
// [ErrMessage] unless it is a scalar.
func ServerKeyFrom(private []byte) (*ServerKey, error) {
	pair, err := keyPairFrom(bytes.Clone(private))
	if err != nil {
		return nil, fmt.Errorf("read server key: %w", err)
	}
	return &ServerKey{pair: pair}, nil
}

// Private returns a copy of the private key, [KeySize] bytes, to be sealed and stored.
func (k *ServerKey) Private() []byte { return bytes.Clone(k.pair.private) }

// Public returns a copy of the public key, [PublicKeySize] bytes.
func (k *ServerKey) Public() []byte { return bytes.Clone(k.pair.public) }

// A Server answers for the records that share one Config: usually one. It keeps nothing
// between calls, is cheap to make and safe for concurrent use.
type Server struct {
	cfg  Config
	key  *ServerKey
	draw func(n int) []byte
}

// NewServer returns a Server. It keeps the slices of cfg, which must not change.
// [ErrConfig] without key or with a field beyond 65,535 bytes.
func NewServer(cfg Config, key *ServerKey) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if key == nil {
		return nil, ErrConfig
	}
	return &Server{cfg: cfg, key: key, draw: random}, nil
}

// CheckRegistrationRequest returns [ErrMessage] unless request is well formed.
func CheckRegistrationRequest(request []byte) error {
	if err := checkPoints(request); err != nil {
		return fmt.Errorf("read registration request: %w", err)
	}
	return nil
}

// CheckRecord returns [ErrMessage] unless record is well formed.
func CheckRecord(record []byte) error {
	if len(record) != RecordSize {
		return fmt.Errorf("read record: %w", ErrMessage)
	}
	if err := checkPoints(record[:elementSize]); err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	return nil
}

// CheckKE1 returns [ErrMessage] unless ke1 is well formed. A server that counts guesses
// calls it before it counts one; [Server.KE2] checks again.
func CheckKE1(ke1 []byte) error {
	if len(ke1) != KE1Size {
		return fmt.Errorf("read KE1: %w", ErrMessage)
	}
	if err := checkPoints(ke1[:elementSize], ke1[elementSize+nonceSize:]); err != nil {
		return fmt.Errorf("read KE1: %w", err)
	}
	return nil
}

// RegistrationResponse answers a request: [RegistrationResponseSize] bytes. It is as good
// as the answer to a guess, so a record that is already in use must not be registered
// again under the same OPRF key. [ErrMessage], and what oprfKey returns.
func (s *Server) RegistrationResponse(request []byte, oprfKey Evaluator) ([]byte, error) {
	if err := CheckRegistrationRequest(request); err != nil {
		return nil, err
	}
	evaluated, err := evaluate(oprfKey, request)
	if err != nil {
		return nil, err
	}
	return concat(evaluated, s.key.pair.public), nil
}

// KE2 answers the first message of a login: [KE2Size] bytes for the client, and the
// state that [Login.Finish] needs. This is the answer to one guess, right or wrong: a
// server that counts has counted before. For a user who does not exist, record and key
// are those of [FakeRecord]. [ErrMessage], and what oprfKey returns.
func (s *Server) KE2(ke1, record []byte, oprfKey Evaluator) (ke2 []byte, login *Login, err error) {
	if err := CheckKE1(ke1); err != nil {
		return nil, nil, err
	}
	if err := CheckRecord(record); err != nil {
		return nil, nil, err
	}
	clientPublic, maskingKey, envelope := record[:elementSize], record[elementSize:elementSize+hashSize], record[elementSize+hashSize:]
	evaluated, err := evaluate(oprfKey, ke1[:elementSize])
	if err != nil {
		return nil, nil, err
	}
	maskingNonce, nonce, seed := s.draw(nonceSize), s.draw(nonceSize), s.draw(seedSize)
	defer clear(seed)
	ephemeral, err := deriveDHKeyPair(seed)
	if err != nil {
		return nil, nil, err
	}
	defer clear(ephemeral.private)
	response := concat(evaluated, maskingNonce, mask(maskingKey, maskingNonce, concat(s.key.pair.public, envelope)))
	keys, err := s.login(ephemeral, clientPublic, transcript{
		context:        s.cfg.Context,
		clientIdentity: orKey(s.cfg.ClientIdentity, clientPublic),
		serverIdentity: orKey(s.cfg.ServerIdentity, s.key.pair.public),
		ke1:            ke1,
		response:       response,
		serverNonce:    nonce,
		serverKeyshare: ephemeral.public,
	})
	if err != nil {
		return nil, nil, err
	}
	login = &Login{clientMAC: [hashSize]byte(keys.clientMAC), sessionKey: [KeySize]byte(keys.sessionKey)}
	return concat(response, nonce, ephemeral.public, keys.serverMAC), login, nil
}

// login is the server's side of 3DH (RFC 9807, section 6.4.4).
func (s *Server) login(ephemeral keyPair, clientPublic []byte, t transcript) (loginKeys, error) {
	clientKeyshare := t.ke1[elementSize+nonceSize:]
	var dh [3][]byte
	for i, x := range []struct{ private, public []byte }{
		{ephemeral.private, clientKeyshare},
		{s.key.pair.private, clientKeyshare},
		{ephemeral.private, clientPublic},
	} {
		var err error
		if dh[i], err = multiply(x.private, x.public); err != nil {
			return loginKeys{}, fmt.Errorf("compute shared secret: %w", err)
		}
		defer clear(dh[i])
	}
	return t.keys(dh), nil
}

// evaluate checks the answer as well: a token that fails must not be heard outside.
func evaluate(key Evaluator, blinded []byte) ([]byte, error) {
	evaluated, err := key.Evaluate(blinded)
	if err != nil {
		return nil, fmt.Errorf("evaluate OPRF: %w", err)
	}
	if err := checkPoints(evaluated); err != nil {
		return nil, fmt.Errorf("evaluate OPRF: %w", err)
	}
	return evaluated, nil
}

// LoginSize is the length of [Login.Bytes].
const LoginSize = hashSize + KeySize

// A Login is the server's state between KE2 and KE3. It is secret and prints as
// "[redacted]".
type Login struct {
	redact
	clientMAC  [hashSize]byte
	sessionKey [KeySize]byte
}

// Bytes returns the state for another replica of the server. It holds the session key:
// it must be sealed wherever it goes.
func (l *Login) Bytes() []byte { return concat(l.clientMAC[:], l.sessionKey[:]) }

// LoginFrom reads what [Login.Bytes] returned. [ErrMessage].
func LoginFrom(b []byte) (*Login, error) {
	if len(b) != LoginSize {
		return nil, fmt.Errorf("read login state: %w", ErrMessage)
	}
	return &Login{clientMAC: [hashSize]byte(b), sessionKey: [KeySize]byte(b[hashSize:])}, nil
}

// Finish checks the third message and returns the session key. [ErrClientAuth] when the
// client does not know the password; [ErrMessage] when ke3 has not [KE3Size] bytes. The
// caller drops the Login then: one KE2 is good for one KE3.
func (l *Login) Finish(ke3 []byte) (sessionKey []byte, err error) {
	if len(ke3) != KE3Size {
		return nil, fmt.Errorf("read KE3: %w", ErrMessage)
	}
	if !hmac.Equal(ke3, l.clientMAC[:]) {
		return nil, ErrClientAuth
	}
	return bytes.Clone(l.sessionKey[:]), nil
}

// FakeRecord returns record and OPRF key of a user who does not exist. Answers made with
// them look like those for one who does (RFC 9807, sections 6.3.2.2 and 10.9). They are
// derived, so that the same user is answered with the same key each time: seed is
// [KeySize] random bytes that the server keeps, id names the user. [ErrConfig] when seed
// has another length.
func FakeRecord(seed, id []byte) (record, oprfKey []byte, err error) {
	if len(seed) != KeySize {
		return nil, nil, fmt.Errorf("make fake record: %w", ErrConfig)
	}
	oprfKey, err = deriveOPRFKey(seed, id)
	if err != nil {
		return nil, nil, err
	}
	client, err := deriveDHKeyPair(expand(seed, seedSize, id, []byte("FakeClientKey")))
	if err != nil {
		return nil, nil, err
	}
	maskingKey := expand(seed, hashSize, id, []byte("FakeMaskingKey"))
	return concat(client.public, maskingKey, make([]byte, envelopeSize)), oprfKey, nil
}

// deriveOPRFKey derives the OPRF key of one user from a seed, as RFC 9807, section
// 6.3.2.2, does for all users. Coffer does so for those who do not exist; who exists has a
// random key, which can be destroyed.
func deriveOPRFKey(seed, id []byte) ([]byte, error) {
	pair, err := deriveKeyPair(expand(seed, seedSize, id, []byte("OprfKey")), "OPAQUE-DeriveKeyPair")
	return pair.private, err
}

func newScalar() []byte {
	b, err := group.P256.RandomNonZeroScalar(rand.Reader).MarshalBinary()
	if err != nil {
		panic("opaque: internal error: " + err.Error())
	}
	return b
}
