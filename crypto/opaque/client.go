package opaque

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"fmt"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
)

// A Client makes one registration, or one login; a new try needs a new Client. It is not
// for concurrent use and prints as "[redacted]".
type Client struct {
	redact
	cfg  Config
	draw draw

	// Of the step before; nil when it is spent.
	blinding  *oprf.FinalizeData
	ephemeral keyPair // of a login
	ke1       []byte  // of a login
}

// draw is where randomness comes from. Only tests of the RFC's vectors set it.
type draw struct {
	bytes func(n int) []byte
	blind oprf.Blind // nil: fresh
}

// NewClient returns a Client. It keeps the slices of cfg, which must not change.
// [ErrConfig] without KSF or with a field beyond 65,535 bytes; [ErrMessage] for a
// ServerPublicKey that is none.
func NewClient(cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.KSF == nil || len(cfg.Info) > 0xffff {
		return nil, ErrConfig
	}
	if cfg.ServerPublicKey != nil {
		if err := checkPoints(cfg.ServerPublicKey); err != nil {
			return nil, fmt.Errorf("read server key: %w", err)
		}
	}
	return &Client{cfg: cfg, draw: draw{bytes: random}}, nil
}

// RegistrationRequest begins a registration. It returns [RegistrationRequestSize] bytes
// for the server, from which nobody learns anything of the password. [ErrPassword],
// [ErrOrder].
func (c *Client) RegistrationRequest(password []byte) ([]byte, error) {
	return c.start(password)
}

// FinishRegistration takes the server's response and returns the record, for the server,
// and the export key. It takes the time of the KSF. [ErrMessage], [ErrServerAuth],
// [ErrOrder].
func (c *Client) FinishRegistration(response []byte) (record, exportKey []byte, err error) {
	if len(response) != RegistrationResponseSize {
		return nil, nil, fmt.Errorf("read registration response: %w", ErrMessage)
	}
	evaluated, serverKey := response[:elementSize], response[elementSize:]
	if err := checkPoints(evaluated, serverKey); err != nil {
		return nil, nil, fmt.Errorf("read registration response: %w", err)
	}
	if !c.expects(serverKey) {
		return nil, nil, fmt.Errorf("read registration response: %w", ErrServerAuth)
	}
	if c.ke1 != nil {
		return nil, nil, ErrOrder
	}
	randomized, err := c.randomizedPassword(evaluated)
	if err != nil {
		return nil, nil, err
	}
	defer clear(randomized)
	nonce := c.draw.bytes(nonceSize)
	keys, err := openEnvelope(randomized, nonce)
	if err != nil {
		return nil, nil, err
	}
	defer keys.wipe()
	tag := keys.tag(nonce, serverKey, c.cfg)
	return concat(keys.client.public, maskingKey(randomized), nonce, tag), keys.export, nil
}

// KE1 begins a login. It returns [KE1Size] bytes for the server. [ErrPassword],
// [ErrOrder].
func (c *Client) KE1(password []byte) ([]byte, error) {
	blinded, err := c.start(password)
	if err != nil {
		return nil, err
	}
	nonce, seed := c.draw.bytes(nonceSize), c.draw.bytes(seedSize)
	defer clear(seed)
	if c.ephemeral, err = deriveDHKeyPair(seed); err != nil {
		return nil, err
	}
	c.ke1 = concat(blinded, nonce, c.ephemeral.public)
	return bytes.Clone(c.ke1), nil
}

// KE3 takes the server's answer and returns the proof for the server ([KE3Size] bytes),
// the session key and the export key. It takes the time of the KSF.
//
// [ErrEnvelope]: the password is wrong. [ErrServerAuth]: the password is right, but this
// is not the server, or context differs. [ErrMessage], [ErrOrder].
func (c *Client) KE3(ke2 []byte) (ke3, sessionKey, exportKey []byte, err error) {
	m, err := parseKE2(ke2)
	if err != nil {
		return nil, nil, nil, err
	}
	if c.ke1 == nil {
		return nil, nil, nil, ErrOrder
	}
	randomized, err := c.randomizedPassword(m.evaluated)
	if err != nil {
		return nil, nil, nil, err
	}
	defer clear(randomized)
	defer clear(c.ephemeral.private)

	// Until the tag of the envelope is right, these are noise: a wrong password unmasks
	// something that is no point, and must not be told apart from one that unmasks a point.
	unmasked := mask(maskingKey(randomized), m.maskingNonce, m.masked)
	serverKey, nonce, tag := unmasked[:elementSize], unmasked[elementSize:elementSize+nonceSize], unmasked[elementSize+nonceSize:]
	keys, err := openEnvelope(randomized, nonce)
	if err != nil {
		return nil, nil, nil, err
	}
	defer keys.wipe()
	if !hmac.Equal(tag, keys.tag(nonce, serverKey, c.cfg)) {
		return nil, nil, nil, ErrEnvelope
	}
	if !c.expects(serverKey) {
		return nil, nil, nil, ErrServerAuth
	}
	login, err := c.login(m, keys.client, serverKey)
	if err != nil {
		return nil, nil, nil, err
	}
	if !hmac.Equal(m.mac, login.serverMAC) {
		return nil, nil, nil, ErrServerAuth
	}
	return login.clientMAC, login.sessionKey, keys.export, nil
}

// login is the client's side of 3DH (RFC 9807, section 6.4.3).
func (c *Client) login(m ke2Message, client keyPair, serverKey []byte) (loginKeys, error) {
	var dh [3][]byte
	for i, x := range []struct{ private, public []byte }{
		{c.ephemeral.private, m.keyshare},
		{c.ephemeral.private, serverKey},
		{client.private, m.keyshare},
	} {
		var err error
		if dh[i], err = multiply(x.private, x.public); err != nil {
			return loginKeys{}, fmt.Errorf("compute shared secret: %w", err)
		}
		defer clear(dh[i])
	}
	return transcript{
		context:        c.cfg.Context,
		clientIdentity: orKey(c.cfg.ClientIdentity, client.public),
		serverIdentity: orKey(c.cfg.ServerIdentity, serverKey),
		ke1:            c.ke1,
		response:       m.response,
		serverNonce:    m.nonce,
		serverKeyshare: m.keyshare,
	}.keys(dh), nil
}

// start blinds the password.
func (c *Client) start(password []byte) ([]byte, error) {
	if c.blinding != nil || c.ke1 != nil {
		return nil, ErrOrder
	}
	input, err := c.oprfInput(password)
	if err != nil {
		return nil, err
	}
	blind := c.draw.blind
	if blind == nil {
		blind = group.P256.RandomNonZeroScalar(rand.Reader)
	}
	client := oprf.NewClient(oprf.SuiteP256)
	blinding, request, err := client.DeterministicBlind([][]byte{input}, []oprf.Blind{blind})
	if err != nil {
		return nil, fmt.Errorf("blind password: %w", err)
	}
	blinded, err := request.Elements[0].MarshalBinaryCompress()
	if err != nil {
		return nil, fmt.Errorf("blind password: %w", err)
	}
	c.blinding = blinding
	return blinded, nil
}

// oprfInput returns a slice of its own: circl keeps it until the blinding is spent.
func (c *Client) oprfInput(password []byte) ([]byte, error) {
	input := bytes.Clone(password)
	if len(c.cfg.Info) > 0 {
		input = concat(vector(c.cfg.Info), password)
	}
	if len(password) == 0 || len(input) > 0xffff {
		return nil, ErrPassword
	}
	return input, nil
}

// randomizedPassword unblinds the server's evaluation and stretches it (RFC 9807,
// section 5.1). It spends the blinding: a second answer to one question would be a second
// guess for the server.
func (c *Client) randomizedPassword(evaluated []byte) ([]byte, error) {
	if c.blinding == nil {
		return nil, ErrOrder
	}
	element := group.P256.NewElement()
	if err := element.UnmarshalBinary(evaluated); err != nil {
		return nil, ErrMessage
	}
	blinding := c.blinding
	c.blinding = nil
	outputs, err := oprf.NewClient(oprf.SuiteP256).Finalize(blinding, &oprf.Evaluation{Elements: []oprf.Evaluated{element}})
	if err != nil {
		return nil, fmt.Errorf("unblind evaluation: %w", err)
	}
	defer clear(outputs[0])
	stretched := c.cfg.KSF(outputs[0])
	if len(stretched) != hashSize {
		return nil, fmt.Errorf("stretch password: %w", ErrConfig)
	}
	defer clear(stretched)
	ikm := concat(outputs[0], stretched)
	defer clear(ikm)
	return extract(ikm), nil
}

// expects reports whether the server key is the known one, if one is known.
func (c *Client) expects(serverKey []byte) bool {
	return c.cfg.ServerPublicKey == nil || bytes.Equal(c.cfg.ServerPublicKey, serverKey)
}

// envelopeKeys are derived from the randomized password and the envelope's nonce
// (RFC 9807, section 4.1.2).
type envelopeKeys struct {
	auth, export []byte
	client       keyPair
}

func openEnvelope(randomized, nonce []byte) (envelopeKeys, error) {
	seed := expand(randomized, seedSize, nonce, []byte("PrivateKey"))
	defer clear(seed)
	client, err := deriveDHKeyPair(seed)
	if err != nil {
		return envelopeKeys{}, err
	}
	return envelopeKeys{
		auth:   expand(randomized, hashSize, nonce, []byte("AuthKey")),
		export: expand(randomized, hashSize, nonce, []byte("ExportKey")),
		client: client,
	}, nil
}

// tag authenticates nonce, server key and identities.
func (k envelopeKeys) tag(nonce, serverKey []byte, cfg Config) []byte {
	return mac(k.auth, nonce, serverKey,
		vector(orKey(cfg.ServerIdentity, serverKey)), vector(orKey(cfg.ClientIdentity, k.client.public)))
}

// wipe leaves the export key, which is the caller's.
func (k envelopeKeys) wipe() {
	clear(k.auth)
	clear(k.client.private)
}

func maskingKey(randomized []byte) []byte { return expand(randomized, hashSize, []byte("MaskingKey")) }

// mask covers, or uncovers, server key and envelope, so that a record that exists cannot
// be told from one that does not (RFC 9807, section 6.3.2.2).
func mask(key, nonce, text []byte) []byte {
	out := expand(key, len(text), nonce, []byte("CredentialResponsePad"))
	subtle.XORBytes(out, out, text)
	return out
}

// ke2Message is a KE2 in parts, which are slices of it.
type ke2Message struct {
	response                        []byte // the next three
	evaluated, maskingNonce, masked []byte
	nonce, keyshare, mac            []byte
}

func parseKE2(b []byte) (ke2Message, error) {
	if len(b) != KE2Size {
		return ke2Message{}, fmt.Errorf("read KE2: %w", ErrMessage)
	}
	response, rest := b[:credentialResponseSize], b[credentialResponseSize:]
	m := ke2Message{
		response:     response,
		evaluated:    response[:elementSize],
		maskingNonce: response[elementSize : elementSize+nonceSize],
		masked:       response[elementSize+nonceSize:],
		nonce:        rest[:nonceSize],
		keyshare:     rest[nonceSize : nonceSize+elementSize],
		mac:          rest[nonceSize+elementSize:],
	}
	if err := checkPoints(m.evaluated, m.keyshare); err != nil {
		return ke2Message{}, fmt.Errorf("read KE2: %w", err)
	}
	return m, nil
}
