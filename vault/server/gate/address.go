package gate

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxForwarded bounds how many addresses of X-Forwarded-For are looked at.
const maxForwarded = 32

// clientAddress returns whose request it is: the other end of the connection or, when that
// is a front, the right-most address of X-Forwarded-For that is not one. What stands left of
// it was written by the client itself. The zero Addr when nobody can tell.
func (g *Gate) clientAddress(r *http.Request) netip.Addr {
	address := parseAddress(r.RemoteAddr)
	if !g.isFront(address) {
		return address
	}
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	slices.Reverse(forwarded)
	for _, s := range forwarded[:min(len(forwarded), maxForwarded)] {
		before := parseAddress(strings.TrimSpace(s))
		if !before.IsValid() {
			return address // nobody whom we believe wrote this
		}
		address = before
		if !g.isFront(address) {
			return address
		}
	}
	return address
}

func (g *Gate) isFront(a netip.Addr) bool {
	return slices.ContainsFunc(g.cfg.Fronts, func(p netip.Prefix) bool { return p.Contains(a) })
}

// parseAddress reads an address with or without a port; the zero Addr when it is none.
func parseAddress(s string) netip.Addr {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		a = withPort.Addr()
	}
	return a.Unmap().WithZone("")
}

// limitKey returns what stands for an address in the limits: of IPv6 the network of 64 bits,
// which everybody with one address has.
func limitKey(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	network, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return network.Addr()
}
