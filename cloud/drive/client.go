package drive

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"

	"golang.org/x/oauth2"

	"coffer/cloud"
)

const (
	googleAuth   = "https://accounts.google.com/o/oauth2/auth"
	googleToken  = "https://oauth2.googleapis.com/token"
	googleRevoke = "https://oauth2.googleapis.com/revoke"

	// Scope is the one permission that is asked for: files that this client made.
	Scope = "https://www.googleapis.com/auth/drive.file"

	maxClient = 64 << 10 // bytes of a client's JSON; Google's has 500
)

// A secret is hidden from whoever prints the struct that it is in.
type secret func() string

func conceal(s string) secret { return func() string { return s } }

// reveal returns the secret; that of nil is "".
func (s secret) reveal() string {
	if s == nil {
		return ""
	}
	return s()
}

// A ClientConfig is what Google calls a desktop client. The zero value is none.
type ClientConfig struct {
	ID       string
	AuthURL  string // where the user signs in
	TokenURL string // where codes and refresh tokens become access tokens
	secret   secret
}

// NewClient returns the client with Google's own addresses: for one that is
// built into the program.
func NewClient(id, clientSecret string) ClientConfig {
	return ClientConfig{ID: id, AuthURL: googleAuth, TokenURL: googleToken, secret: conceal(clientSecret)}
}

// ParseClient reads the JSON that Google's console gives for a desktop client,
// {"installed": {"client_id": ...}}; its auth_uri and token_uri are honoured.
// Anything else is [cloud.ErrClient]: a web client, a service account, addresses that
// are not https (http on this computer is taken, for tests and stand-ins).
func ParseClient(data []byte) (ClientConfig, error) {
	c, err := parseClient(data)
	if err != nil {
		return ClientConfig{}, fmt.Errorf("%w: %w", cloud.ErrClient, err)
	}
	return c, nil
}

func parseClient(data []byte) (ClientConfig, error) {
	if len(data) > maxClient {
		return ClientConfig{}, fmt.Errorf("%w: %d bytes", errSyntax, len(data))
	}
	outer, err := object(data)
	if err != nil {
		return ClientConfig{}, err
	}
	inner, ok := outer["installed"]
	if !ok || len(outer) != 1 {
		return ClientConfig{}, fmt.Errorf("%w: not the file of a desktop client", errSyntax)
	}
	fields, err := object(inner)
	if err != nil {
		return ClientConfig{}, err
	}
	values := map[string]string{}
	for _, name := range []string{"client_id", "client_secret", "auth_uri", "token_uri"} {
		if values[name], err = text(fields, name); err != nil {
			return ClientConfig{}, err
		}
	}
	c := NewClient(values["client_id"], values["client_secret"])
	if values["auth_uri"] != "" {
		c.AuthURL = values["auth_uri"]
	}
	if values["token_uri"] != "" {
		c.TokenURL = values["token_uri"]
	}
	return c, c.check()
}

// check refuses a client that cannot work or must not be trusted.
func (c ClientConfig) check() error {
	if !printable(c.ID, 256) {
		return fmt.Errorf("%w: client_id", errSyntax)
	}
	if s := c.secret.reveal(); s != "" && !printable(s, 256) { // some clients have none
		return fmt.Errorf("%w: client_secret", errSyntax)
	}
	for _, address := range []string{c.AuthURL, c.TokenURL} {
		if _, err := parseAddress(address); err != nil {
			return err
		}
	}
	return nil
}

// parseAddress takes https, and http to this computer: a token in clear text on
// a network is everybody's.
func parseAddress(address string) (*url.URL, error) {
	if !printable(address, 4096) {
		return nil, fmt.Errorf("%w: not an address", errSyntax)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%w: not an address", errSyntax)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("%w: an address that is not https", errSyntax)
	}
	return u, nil
}

// loopback reports whether host is this computer.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// oauth is the client in the words of package oauth2.
func (c ClientConfig) oauth() *oauth2.Config {
	return &oauth2.Config{
		ClientID: c.ID, ClientSecret: c.secret.reveal(), Scopes: []string{Scope},
		Endpoint: oauth2.Endpoint{AuthURL: c.AuthURL, TokenURL: c.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
	}
}

// revokeURL is where a sign-in is ended. Google's JSON does not name it; for a
// stand-in it is beside the token address.
func (c ClientConfig) revokeURL() (string, error) {
	if c.TokenURL == googleToken {
		return googleRevoke, nil
	}
	u, err := parseAddress(c.TokenURL)
	if err != nil {
		return "", err
	}
	u.Path, u.RawPath = path.Join("/", path.Dir(u.Path), "revoke"), ""
	return u.String(), nil
}
