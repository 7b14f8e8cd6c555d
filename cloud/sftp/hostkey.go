package sftp

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"coffer/cloud"
)

// ciphers and the rest are what is agreed to: today's, and what OpenSSH 7 needs. No
// SHA-1, no CBC, no group of 1,024 bits. They are written out, so that a library
// that changes its mind does not change ours.
func ciphers() []string {
	return []string{
		ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305,
		ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR,
	}
}

func exchanges() []string {
	return []string{
		ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519,
		ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
		ssh.KeyExchangeDH16SHA512, ssh.KeyExchangeDH14SHA256,
	}
}

func macs() []string {
	return []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512}
}

// A family is one type of host key with the algorithms that sign with it.
type family struct {
	keys       []string // types of keys
	algorithms []string
}

// families are in our order of preference.
func families() []family {
	ecdsa := []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}
	return []family{
		{[]string{ssh.KeyAlgoED25519}, []string{ssh.KeyAlgoED25519}},
		{ecdsa, ecdsa},
		{[]string{ssh.KeyAlgoRSA}, []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512}},
	}
}

// algorithms returns those of all families for which use is true.
func algorithms(use func(family) bool) []string {
	var all []string
	for _, f := range families() {
		if use(f) {
			all = append(all, f.algorithms...)
		}
	}
	return all
}

// An identity is what is known of one host, and decides about the key that it
// offers. It is made for one link.
//
// The trap: a server has keys of several types and shows the one that the
// client asks for first. Whoever knows the RSA key and asks for Ed25519 gets a
// stranger's key from the right server, and cries wolf.
type identity struct {
	host  string // as it is dialled: name or address and port
	known []string
	check ssh.HostKeyCallback // known_hosts; nil: fingerprints decide

	offered  string // fingerprint of the key that came
	keyType  string
	accepted bool
	refusal  error // why it was not
}

// newIdentity reads what is known of the host.
func newIdentity(host string, fingerprints, files []string) (*identity, error) {
	id := &identity{host: host, known: fingerprints}
	if len(fingerprints) > 0 {
		return id, nil
	}
	there := slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		_, err := os.Stat(file)
		return errors.Is(err, fs.ErrNotExist)
	})
	if len(there) == 0 {
		return id, nil
	}
	check, err := knownhosts.New(there...)
	if err != nil {
		return nil, cloud.Final(fmt.Errorf("read known hosts: %w", err))
	}
	id.check = check
	return id, nil
}

// anyAddress stands in for the address of the connection, which says nothing
// where a proxy is in between. Known hosts go by the name that was asked for.
func anyAddress() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: defaultPort} }

// ask returns the algorithms to offer, those of the types that are known first.
// last is the type of the key that was accepted before, or "".
func (id *identity) ask(last string) []string {
	types := []string{last}
	if id.check != nil {
		types = id.types()
	}
	has := func(f family) bool {
		return slices.ContainsFunc(f.keys, func(key string) bool { return slices.Contains(types, key) })
	}
	return append(algorithms(has), algorithms(func(f family) bool { return !has(f) })...)
}

// types returns the types of the host's keys in known_hosts.
func (id *identity) types() []string {
	var types []string
	for _, key := range id.listed(noKey{}) {
		types = append(types, key.Key.Type())
	}
	return types
}

// listed returns the keys that known_hosts has for the host, if key is not one of them.
func (id *identity) listed(key ssh.PublicKey) []knownhosts.KnownKey {
	var unequal *knownhosts.KeyError
	if errors.As(id.check(id.host, anyAddress(), key), &unequal) {
		return unequal.Want
	}
	return nil
}

// noKey is the key of no host: asking known_hosts about it brings what it has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("sftp: no key") }

// decide is called with the key that the server offers, at the start and
// whenever the link changes its session keys. After the first time only
// the same key will do.
func (id *identity) decide(_ string, _ net.Addr, key ssh.PublicKey) error {
	if id.accepted {
		if ssh.FingerprintSHA256(key) != id.offered {
			return id.refuse(id.offered)
		}
		return nil
	}
	id.offered, id.keyType = ssh.FingerprintSHA256(key), key.Type()
	id.refusal = id.judge(key)
	id.accepted = id.refusal == nil
	return id.refusal
}

// judge returns nil if the key is the host's.
func (id *identity) judge(key ssh.PublicKey) error {
	if id.check == nil {
		if slices.Contains(id.known, id.offered) {
			return nil
		}
		return id.refuse(strings.Join(id.known, " "))
	}
	err := id.check(id.host, anyAddress(), key)
	var revoked *knownhosts.RevokedError
	var unequal *knownhosts.KeyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		// Known, and known to be bad: there is nothing to accept.
		return &cloud.IdentityError{Kind: cloud.HostKey, Host: id.host, Known: id.offered, Reason: "the key is marked as revoked"}
	case errors.As(err, &unequal):
		known := make([]string, 0, len(unequal.Want))
		for _, want := range unequal.Want {
			known = append(known, ssh.FingerprintSHA256(want.Key))
		}
		return id.refuse(strings.Join(known, " "))
	}
	return cloud.Final(fmt.Errorf("look up known hosts: %w", err))
}

func (id *identity) refuse(known string) error {
	return &cloud.IdentityError{Kind: cloud.HostKey, Host: id.host, Known: known, Offered: id.offered}
}

// others returns the algorithms of the families that the server has not shown
// yet, given the types of the keys that it has. A fingerprint does not say of
// what type its key is, so all have to be seen before the host counts as changed.
func (id *identity) others(shown []string) []string {
	if id.check != nil || len(id.known) == 0 {
		return nil
	}
	return algorithms(func(f family) bool {
		return !slices.ContainsFunc(f.keys, func(key string) bool { return slices.Contains(shown, key) })
	})
}
