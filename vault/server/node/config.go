package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/seal"
	"coffer/vault/trust"
)

// A Config is vault.toml. Paths that are not absolute begin at the vault's folder.
type Config struct {
	Name      string     `toml:"name"`
	Addresses []string   `toml:"addresses"` // host:port, as links spell them; the first one goes into the link
	Listen    []string   `toml:"listen"`    // [host]:port; none: the ports of the addresses, on all interfaces
	Seal      string     `toml:"seal"`      // soft, pkcs11:URI, tpm[:DEVICE], tpm-epochs[:DEVICE]
	Store     string     `toml:"store"`     // bolt, etcd, etcd-embedded
	Tries     int        `toml:"tries"`
	Waits     []Duration `toml:"waits"`    // after the first wrong try, the second, ...
	Register  string     `toml:"register"` // open, invite, oidc
	Second    string     `toml:"second"`   // public key of the second signer, as in the link

	OIDC    OIDC    `toml:"oidc"`
	TLS     TLS     `toml:"tls"`
	Front   Front   `toml:"front"`
	Metrics Metrics `toml:"metrics"`
	Log     Log     `toml:"log"`
	Limits  Limits  `toml:"limits"`
	Etcd    Etcd    `toml:"etcd"`
	TPM     TPM     `toml:"tpm"`
}

// OIDC says which provider of OpenID Connect lets people in, with register = "oidc".
type OIDC struct {
	Issuer   string `toml:"issuer"`
	ClientID string `toml:"client_id"`
}

// TLS names a certificate from elsewhere, in PEM. None: the vault makes its own, which
// clients know by the bundle.
type TLS struct {
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	Pinned      bool   `toml:"pinned"` // clients know it by its key, and not by who has signed it
}

// Front says that a proxy ends the TLS connections.
type Front struct {
	Behind   bool     `toml:"behind"`
	Networks []string `toml:"networks"` // whose X-Forwarded-For is believed; none: loopback
	Pins     []string `toml:"pins"`     // keys of the front's certificates: hexadecimal SHA-256 of SubjectPublicKeyInfo
}

// Metrics says where Prometheus may ask, in clear. They name no record and no address.
type Metrics struct {
	Listen string `toml:"listen"` // host:port; empty: nowhere
}

// Log says what the log tells.
type Log struct {
	Level     string `toml:"level"`     // debug, info, warn, error
	Addresses bool   `toml:"addresses"` // of clients
}

// Limits are those of docs/vault-protocol.md where they are 0.
type Limits struct {
	Connections           int `toml:"connections"`             // in all
	ConnectionsPerAddress int `toml:"connections_per_address"` // of one address, or one /64
	Burst                 int `toml:"burst"`                   // requests of one address at once
	PerMinute             int `toml:"per_minute"`              // and then, a minute
	RecordBurst           int `toml:"record_burst"`            // requests about one record at once
	RecordPerMinute       int `toml:"record_per_minute"`       // and then, a minute
}

// Etcd says where the cluster is.
type Etcd struct {
	Endpoints    []string `toml:"endpoints"`
	Prefix       string   `toml:"prefix"`
	CA           string   `toml:"ca"`
	Certificate  string   `toml:"certificate"`
	Key          string   `toml:"key"`
	Username     string   `toml:"username"`
	PasswordFile string   `toml:"password_file"`

	Member Member `toml:"member"`
}

// A Member is the part of a cluster that runs in this process, with store = "etcd-embedded".
type Member struct {
	Name            string `toml:"name"`
	ListenPeer      string `toml:"listen_peer"`      // URL
	AdvertisePeer   string `toml:"advertise_peer"`   // URL; empty: that of listen_peer
	ListenClient    string `toml:"listen_client"`    // URL
	AdvertiseClient string `toml:"advertise_client"` // URL; empty: that of listen_client
	Cluster         string `toml:"cluster"`          // NAME=URL,NAME=URL,...: all members of the new cluster
	Join            bool   `toml:"join"`             // the cluster exists already, and knows this member
	CA              string `toml:"ca"`               // who has signed the members' certificates
	Certificate     string `toml:"certificate"`
	Key             string `toml:"key"`
}

// TPM says which part of the chip is used.
type TPM struct {
	Index         uint32 `toml:"index"`           // of the counter; 0: the first one of package tpm
	OwnerAuthFile string `toml:"owner_auth_file"` // the password of the chip's owner; none: it has none
}

// A Duration is a time.Duration in a file: "90s", "5m", "2h".
type Duration time.Duration

// UnmarshalText reads what Go calls a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a time like 90s, 5m or 2h", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText is the reverse.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes "5m" and not "5m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// DefaultRegister returns who may make a record when nobody has said it: everybody, but only
// who was invited where each record takes room in hardware that has little of it, and a
// stranger could fill that.
func (c Config) DefaultRegister() string {
	if spec, err := parseSeal(c.Seal); err == nil && (spec.class == seal.ClassTPM || spec.class == seal.ClassToken) {
		return trust.RegisterInvite
	}
	return trust.RegisterOpen
}

// DefaultConfig returns what a vault has when nothing else is said; name and addresses are
// missing.
func DefaultConfig() Config {
	c := Config{Seal: sealSoft, Store: StoreBolt, Tries: server.DefaultTries, Register: trust.RegisterOpen}
	for _, w := range server.DefaultWaits() {
		c.Waits = append(c.Waits, Duration(w))
	}
	c.Log.Level = "info"
	return c
}

// Where records lie.
const (
	StoreBolt     = "bolt"          // in a file of the folder
	StoreEtcd     = "etcd"          // in a cluster of the operator's
	StoreEmbedded = "etcd-embedded" // in a cluster whose members run inside of the vaults
)

const maxConfig = 64 << 10 // bytes

// parseConfig reads vault.toml. [ErrConfig], with the line.
func parseConfig(text []byte) (Config, error) {
	c := DefaultConfig()
	meta, err := toml.Decode(string(text), &c)
	if err != nil {
		return Config{}, decodeMistake(err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0].String()
		return Config{}, mistakeAt(text, key, "there is no such setting")
	}
	if err := c.check(); err != nil {
		var m *mistake
		if errors.As(err, &m) {
			return Config{}, mistakeAt(text, m.key, m.says)
		}
		return Config{}, err
	}
	return c, nil
}

// check says whether the configuration can be. [ErrConfig], a *mistake.
func (c Config) check() error {
	for _, check := range []func() error{
		c.checkName, c.checkAddresses, c.checkRule, c.checkRegister, c.checkTLS, c.checkFront, c.checkOther, c.checkStore,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	_, err := parseSeal(c.Seal)
	return err
}

func (c Config) checkName() error {
	if c.Name == "" || len(c.Name) > trust.MaxName || !protocol.Printable(c.Name) {
		return wrong("name", "it is needed: 1 to %d bytes that can be shown", trust.MaxName)
	}
	return nil
}

func (c Config) checkAddresses() error {
	if len(c.Addresses) < 1 || len(c.Addresses) > trust.MaxAddresses {
		return wrong("addresses", "1 to %d are needed", trust.MaxAddresses)
	}
	for _, a := range c.Addresses {
		if err := trust.CheckAddress(a); err != nil {
			return wrong("addresses", "%q is not HOST:PORT by which others could reach this computer", a)
		}
	}
	for _, a := range c.Listen {
		if !listenable(a) {
			return wrong("listen", "%q is not [ADDRESS]:PORT", a)
		}
	}
	return nil
}

// listenable says whether a is something to listen on: an address or nothing, and a port.
func listenable(a string) bool {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return false
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return false
	}
	n, err := net.LookupPort("tcp", port)
	return err == nil && port != "" && n >= 0
}

func (c Config) checkRule() error {
	if c.Tries < 1 || c.Tries > protocol.MaxTries {
		return wrong("tries", "1 to %d are possible", protocol.MaxTries)
	}
	if len(c.Waits) > protocol.MaxTries {
		return wrong("waits", "at most %d", protocol.MaxTries)
	}
	for _, w := range c.Waits {
		d := time.Duration(w)
		if d < 0 || d > protocol.MaxWait || d%time.Millisecond != 0 {
			return wrong("waits", "%s is not between 0s and %s in whole milliseconds", w, Duration(protocol.MaxWait))
		}
	}
	return nil
}

func (c Config) checkRegister() error {
	switch c.Register {
	case trust.RegisterOpen, trust.RegisterInvite:
		if c.OIDC != (OIDC{}) {
			return wrong("oidc", `it is only for register = "oidc"`)
		}
		return nil
	case trust.RegisterOIDC:
		if c.OIDC.Issuer == "" || c.OIDC.ClientID == "" || len(c.OIDC.Issuer) > trust.MaxOIDC || len(c.OIDC.ClientID) > trust.MaxOIDC {
			return wrong("oidc", "issuer and client_id are needed, each at most %d bytes", trust.MaxOIDC)
		}
		return nil
	}
	return wrong("register", "%q is none of open, invite, oidc", c.Register)
}

func (c Config) checkTLS() error {
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return wrong("tls", "certificate and key come together")
	}
	if c.TLS.Pinned && c.TLS.Certificate == "" {
		return wrong("tls.pinned", "it is about a certificate, and there is none: the vault's own is always pinned")
	}
	if c.Second != "" {
		if _, err := decodeKey(c.Second); err != nil {
			return wrong("second", "it is not a public key as 'coffer-vault bundle --new-signer' prints it")
		}
	}
	return nil
}

func (c Config) checkFront() error {
	if !c.Front.Behind {
		if len(c.Front.Networks)+len(c.Front.Pins) > 0 {
			return wrong("front", "networks and pins are only for behind = true")
		}
		return nil
	}
	if c.TLS.Certificate != "" {
		return wrong("tls", "behind a front the certificate is the front's")
	}
	if _, err := c.fronts(); err != nil {
		return err
	}
	_, err := c.frontPins()
	return err
}

func (c Config) fronts() ([]netip.Prefix, error) {
	if !c.Front.Behind {
		return nil, nil
	}
	if len(c.Front.Networks) == 0 {
		return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, nil
	}
	var all []netip.Prefix
	for _, n := range c.Front.Networks {
		p, err := netip.ParsePrefix(n)
		if err != nil {
			return nil, wrong("front.networks", "%q is not a network like 10.0.0.0/8", n)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

func (c Config) checkOther() error {
	if c.Metrics.Listen != "" && !listenable(c.Metrics.Listen) {
		return wrong("metrics.listen", "%q is not ADDRESS:PORT", c.Metrics.Listen)
	}
	if _, err := c.level(); err != nil {
		return err
	}
	for _, n := range []int{c.Limits.Connections, c.Limits.ConnectionsPerAddress, c.Limits.Burst, c.Limits.PerMinute, c.Limits.RecordBurst, c.Limits.RecordPerMinute} {
		if n < 0 || n > 1<<20 {
			return wrong("limits", "a limit is not between 0 (as documented) and %d", 1<<20)
		}
	}
	return nil
}

func (c Config) checkStore() error {
	e := c.Etcd
	if (e.Certificate == "") != (e.Key == "") {
		return wrong("etcd", "certificate and key come together")
	}
	s, err := parseSeal(c.Seal)
	if err != nil {
		return err
	}
	if c.Store != StoreBolt && s.isTPM() {
		return wrong("store", "a TPM seals one file on one computer: bolt")
	}
	switch c.Store {
	case StoreBolt:
		return nil
	case StoreEtcd:
		if len(e.Endpoints) == 0 {
			return wrong("etcd.endpoints", "at least one is needed")
		}
		return nil
	case StoreEmbedded:
		m := e.Member
		if m.Name == "" || m.ListenPeer == "" || m.ListenClient == "" || (m.Cluster == "" && !m.Join) {
			return wrong("etcd.member", "name, listen_peer, listen_client and cluster are needed")
		}
		return nil
	}
	return wrong("store", "%q is none of bolt, etcd, etcd-embedded", c.Store)
}

func (c Config) waits() []time.Duration {
	all := make([]time.Duration, 0, len(c.Waits)) // never nil: that would be the default list
	for _, w := range c.Waits {
		all = append(all, time.Duration(w))
	}
	return all
}

// listen returns where to listen: as configured, or the ports of the addresses. Behind a
// front it is loopback: nothing else may see what is not inside of TLS.
func (c Config) listen() []string {
	if len(c.Listen) > 0 {
		return c.Listen
	}
	host := ""
	if c.Front.Behind {
		host = "127.0.0.1"
	}
	var all []string
	seen := map[string]bool{}
	for _, a := range c.Addresses {
		if _, port, err := trust.SplitAddress(a); err == nil && !seen[port] {
			seen[port] = true
			all = append(all, net.JoinHostPort(host, port))
		}
	}
	return all
}

// at makes a path of the configuration absolute.
func (d folder) at(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return d.file(path)
}
