package etcd

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// clientAddress returns an endpoint as a URL, when it may be used: nothing goes in the
// clear off this computer, and where TLS is configured, nothing goes around it (the
// client library drops TLS for "http://" without a word).
func clientAddress(endpoint string, secure bool) (string, error) {
	if !strings.Contains(endpoint, "://") {
		if secure {
			endpoint = "https://" + endpoint
		} else {
			endpoint = "http://" + endpoint
		}
	}
	u, err := parseAddress(endpoint)
	switch {
	case err != nil:
		return "", err
	case u.Scheme == "https" && !secure:
		return "", fmt.Errorf("%w: %s needs TLS settings", ErrOptions, u)
	case u.Scheme == "http" && secure:
		return "", fmt.Errorf("%w: %s would go around TLS", ErrOptions, u)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", fmt.Errorf("%w: %s is not on this computer: use TLS", ErrOptions, u)
	}
	return u.String(), nil
}

// parseAddress reads "scheme://host:port", and nothing more. The address is not in the
// error: it may hold a password.
func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Hostname() == "" || u.Port() == "" || (u.Scheme != "http" && u.Scheme != "https") ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: an address is http:// or https://, a host, a colon and a port", ErrOptions)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
