package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/idna"

	"coffer/cloud"
)

// A kind is how one speaks to a proxy.
type kind string

// The kinds.
const (
	kindHTTP  kind = "http"
	kindHTTPS kind = "https" // HTTP over TLS
	kindSOCKS kind = "socks5"
)

// A proxy is one that can be used, or a reason why not.
type proxy struct {
	kind    kind
	host    string               // for TLS
	address string               // host:port
	login   func() *url.Userinfo // a function, because a printed one shows an address only; its result may be nil
	broken  error                // of the environment: what stands there cannot be used
}

// String shows no password.
func (p *proxy) String() string { return string(p.kind) + "://" + p.address }

// credentials returns user name and password, and whether there are any.
func (p *proxy) credentials() (user, password string, ok bool) {
	login := p.login()
	if login == nil {
		return "", "", false
	}
	password, _ = login.Password()
	return login.Username(), password, true
}

// parseProxy reads "SCHEME://[USER:PASSWORD@]HOST[:PORT]". Its errors never hold
// the text, nor those of package url, which repeat it.
func parseProxy(text string) (*proxy, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Scheme == "" {
		return nil, fmt.Errorf("%w: an address such as http://HOST:PORT is wanted", ErrBadProxy)
	}
	ports := map[kind]string{kindHTTP: "80", kindHTTPS: "443", kindSOCKS: "1080"}
	p := &proxy{kind: kind(u.Scheme), login: func() *url.Userinfo { return u.User }}
	switch u.Scheme {
	case "socks5h", "socks": // names for the same: desktops write "socks"
		p.kind = kindSOCKS
	}
	port, known := ports[p.kind]
	if !known {
		return nil, fmt.Errorf("%w: it must begin with http://, https:// or socks5://", ErrBadProxy)
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return nil, fmt.Errorf("%w: there is something behind the host", ErrBadProxy)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	p.host, p.address, err = target(net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("%w: no usable host and port", ErrBadProxy)
	}
	if user, password, ok := p.credentials(); ok {
		if len(user) > 255 || len(password) > 255 || strings.ContainsAny(user+password, "\r\n\x00") {
			return nil, fmt.Errorf("%w: unusable user name or password", ErrBadProxy)
		}
		if p.kind == kindSOCKS && (user == "" || password == "") { // RFC 1929 has no empty ones
			return nil, fmt.Errorf("%w: SOCKS5 wants a user name and a password, or neither", ErrBadProxy)
		}
	}
	return p, nil
}

// errAddress: not host:port.
var errAddress = fmt.Errorf("%w: host:port is wanted", cloud.ErrAddress)

// target takes a host:port apart and makes its host ASCII. Nothing that could
// end a line gets through: it is sent to proxies as it is.
func target(address string) (host, whole string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || len(host) > 255 {
		return "", "", errAddress
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", errAddress
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host, net.JoinHostPort(host, port), nil
	}
	ascii, err := asciiHost(host)
	if err != nil {
		return "", "", errAddress
	}
	return ascii, net.JoinHostPort(ascii, port), nil
}

func asciiHost(host string) (string, error) {
	for _, r := range host {
		switch {
		case r >= 0x80:
			return idna.Lookup.ToASCII(host)
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '.', r == '-', r == '_':
		default:
			return "", errAddress
		}
	}
	return host, nil
}

// routes say how to get anywhere. They are never changed, only replaced.
type routes struct {
	plain  *proxy // for http://; nil: none
	secure *proxy // for https://; nil: none
	raw    *proxy // for all else, such as SSH; nil: none
	bypass func(*url.URL) (*url.URL, error)
}

// newRoutes follows the setting, or the environment where the setting is "".
// Proxies of the environment that cannot be used are an error only of the
// connections that would use them: what another program needs there may not
// keep this one from starting.
func newRoutes(setting string, env func(string) string) (*routes, error) {
	// Only to ask whether an address is to be reached without: NO_PROXY has more
	// forms than one would write again.
	none := httpproxy.Config{HTTPSProxy: "http://proxy.invalid", NoProxy: either(env, "NO_PROXY")}
	r := &routes{bypass: none.ProxyFunc()}
	switch setting {
	case direct:
		return r, nil
	case "":
		r.plain = fromEnv(env, "HTTP_PROXY", "ALL_PROXY")
		r.secure = fromEnv(env, "HTTPS_PROXY", "ALL_PROXY")
		r.raw = fromEnv(env, "ALL_PROXY", "HTTPS_PROXY")
		return r, nil
	}
	p, err := parseProxy(setting)
	if err != nil {
		return nil, err
	}
	r.plain, r.secure, r.raw = p, p, p
	return r, nil
}

// either looks a variable up in both its spellings; the small one counts first.
func either(env func(string) string, name string) string {
	if env == nil {
		return ""
	}
	if value := env(strings.ToLower(name)); value != "" {
		return value
	}
	return env(name)
}

// fromEnv returns the proxy of the first variable that is set.
func fromEnv(env func(string) string, names ...string) *proxy {
	for _, name := range names {
		value := either(env, name)
		if value == "" {
			continue
		}
		if !strings.Contains(value, "://") { // as everybody reads it
			value = "http://" + value
		}
		p, err := parseProxy(value)
		if err != nil {
			return &proxy{kind: kindHTTP, broken: refused(fmt.Errorf("environment variable %s: %w", name, err))}
		}
		return p
	}
	return nil
}

// refused is a final [cloud.ErrProxy].
func refused(err error) error { return cloud.Final(fmt.Errorf("%w: %w", cloud.ErrProxy, err)) }

// by returns p if the address is to be reached through it; nil: directly.
func (r *routes) by(p *proxy, host, address string) (*proxy, error) {
	if p == nil || loopback(host) {
		return nil, nil
	}
	through, err := r.bypass(&url.URL{Scheme: "https", Host: address})
	if err != nil || through == nil {
		return nil, err
	}
	return p, p.broken
}

// loopback reports whether host is this computer.
func loopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.Unmap().IsLoopback() || ip.IsUnspecified())
}

// errAnswer: the proxy does not speak as it should.
var errAnswer = errors.New("not the answer of a proxy")
