package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// A Bundle is what a bundle says, as it is shown. Bytes are hexadecimal.
type Bundle struct {
	Vault       string    `json:"vault"`
	Name        string    `json:"name"`
	Addresses   []string  `json:"addresses"`
	Tries       int       `json:"tries"`
	Waits       []string  `json:"waits"`
	Sealer      string    `json:"sealer"`
	Store       string    `json:"store"`
	Register    string    `json:"register"`
	Issuer      string    `json:"issuer,omitempty"`
	ClientID    string    `json:"client_id,omitempty"`
	Pins        []string  `json:"pins"` // none: the certificate is the web's
	Attestation string    `json:"attestation_key,omitempty"`
	Incarnation uint64    `json:"incarnation"`
	Sequence    uint64    `json:"sequence"`
	Issued      time.Time `json:"issued"`
	Expires     time.Time `json:"expires"`
}

func viewOf(b trust.Bundle) Bundle {
	v := Bundle{
		Vault: hex.EncodeToString(b.VaultID[:]), Name: b.Name, Addresses: b.Addresses, Tries: b.Tries, Waits: []string{},
		Sealer: b.Sealer, Store: b.Store, Register: b.Register, Issuer: b.Issuer, ClientID: b.ClientID, Pins: []string{},
		Attestation: hex.EncodeToString(b.AttestationKey), Incarnation: b.Incarnation, Sequence: b.Sequence,
		Issued: b.Issued, Expires: b.Expires,
	}
	for _, w := range b.Waits {
		v.Waits = append(v.Waits, Duration(w).String())
	}
	for _, p := range b.TLSPins {
		v.Pins = append(v.Pins, hex.EncodeToString(p[:]))
	}
	return v
}

// fetchTimeout bounds what fetching a bundle may take.
const fetchTimeout = 15 * time.Second

// VerifyBundle fetches the bundle of the vault that a link names, as a client would before
// it says a word, and verifies it: signatures, dates, and the certificate that it came
// through. With signed, a bundle from a file, nobody is asked. [ErrLink], [ErrUnreachable],
// [ErrOtherVault], [ErrNotSigned], [ErrExpired].
func VerifyBundle(ctx context.Context, link string, signed []byte, now time.Time) (Bundle, error) {
	l, err := trust.ParseLink(link)
	if err != nil {
		return Bundle{}, fmt.Errorf("read link: %w: %w", ErrLink, err)
	}
	var probe *trust.Probe
	if signed == nil {
		probe = new(trust.Probe)
		if signed, err = fetchBundle(ctx, l.Address, probe); err != nil {
			return Bundle{}, err
		}
	}
	b, err := trust.Verify(signed, l, now)
	if err != nil {
		if e := bundleError(err); !errors.Is(e, ErrBundle) {
			return Bundle{}, fmt.Errorf("%w: %w", err, e)
		}
		return Bundle{}, fmt.Errorf("%w: %w", err, ErrOtherVault)
	}
	if probe != nil {
		if err := probe.Check(b); err != nil {
			return Bundle{}, fmt.Errorf("compare certificate: %w: %w", ErrOtherVault, err)
		}
	}
	return viewOf(b), nil
}

// fetchBundle asks for the bundle, and for nothing else.
func fetchBundle(ctx context.Context, address string, probe *trust.Probe) ([]byte, error) {
	host, _, err := trust.SplitAddress(address)
	if err != nil {
		return nil, fmt.Errorf("read address: %w: %w", ErrLink, err)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	transport := &http.Transport{
		TLSClientConfig: probe.TLS(host), DialContext: (&net.Dialer{}).DialContext,
		ForceAttemptHTTP2: true, DisableCompression: true, DisableKeepAlives: true,
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+protocol.BundlePath, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("read address: %w: %w", ErrLink, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch bundle: %w: %w", ErrUnreachable, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, trust.MaxBundle+1))
	if err != nil {
		return nil, fmt.Errorf("fetch bundle: %w: %w", ErrUnreachable, err)
	}
	if resp.StatusCode != http.StatusOK || len(body) > trust.MaxBundle {
		return nil, fmt.Errorf("fetch bundle: status %d, %d bytes: %w", resp.StatusCode, len(body), ErrOtherVault)
	}
	return body, nil
}
