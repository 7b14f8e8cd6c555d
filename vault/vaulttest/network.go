package vaulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/hpke"
	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// A Network is the door of a vault on a network: envelopes to the address of a bundle. It
// does what the protocol says and nothing more: no retries, no rules about bundles.
type Network struct {
	Bundle trust.Bundle
	HTTP   *http.Client
	URL    string // https://host:port

	mu  sync.Mutex
	of  []byte         // guarded by mu; what key was read from: that takes as long as sealing
	key hpke.PublicKey // guarded by mu
}

// envelopeKey returns the key of the bundle, as it is now.
func (n *Network) envelopeKey() (hpke.PublicKey, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of != nil && bytes.Equal(n.of, n.Bundle.HPKEKey) {
		return n.key, nil
	}
	key, err := hpke.PublicKeyFrom(n.Bundle.HPKEKey)
	if err != nil {
		return hpke.PublicKey{}, err
	}
	n.of, n.key = bytes.Clone(n.Bundle.HPKEKey), key
	return key, nil
}

// Dial probes the address of a link and returns the door behind it.
func Dial(ctx context.Context, link trust.Link) (*Network, error) {
	host, _, err := trust.SplitAddress(link.Address)
	if err != nil {
		return nil, err
	}
	var probe trust.Probe
	// HTTP/1.1: a connection for each guesser who asks at the moment. Streams of HTTP/2 are
	// bounded, and one that is refused after its body has left is of unknown outcome.
	transport := &http.Transport{TLSClientConfig: probe.TLS(host), MaxIdleConnsPerHost: 64}
	n := &Network{HTTP: &http.Client{Transport: transport}, URL: "https://" + link.Address}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+protocol.BundlePath, nil)
	if err != nil {
		return nil, err
	}
	resp, err := n.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	signed, err := io.ReadAll(io.LimitReader(resp.Body, trust.MaxBundle))
	if err != nil {
		return nil, err
	}
	n.Bundle, err = trust.Verify(signed, link, time.Now())
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	return n, nil
}

// Exchange sends one envelope. A reply that does not come is [protocol.ErrUnknownOutcome].
func (n *Network) Exchange(ctx context.Context, _ protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	key, err := n.envelopeKey()
	if err != nil {
		return nil, err
	}
	sender, err := hpke.NewSender(key, protocol.ChannelInfo(n.Bundle.VaultID))
	if err != nil {
		return nil, err
	}
	head := protocol.Encode(&protocol.Envelope{
		Prefix: protocol.NewPrefix(protocol.KindSealed), KeyID: key.ID(),
		Encapsulated: [protocol.EncapsulatedSize]byte(sender.Encapsulated()),
	})
	inside := protocol.Pad(sign(sender.Export(protocol.LabelBinding)))
	replyKey := sender.Export(protocol.LabelReply)
	body, err := n.post(ctx, append(head, sender.Seal(head, inside)...))
	if err != nil {
		return nil, err
	}
	prefix := protocol.KindSealed.Reply()
	if !bytes.HasPrefix(body, protocol.Encode(&prefix)) {
		return nil, protocol.ErrUnknownOutcome
	}
	padded, err := aead.Open(replyKey[:], []byte(protocol.LabelReply), body[4:])
	if err != nil {
		return nil, errors.Join(protocol.ErrUnknownOutcome, err)
	}
	return protocol.UnpadReply(padded)
}

func (n *Network) post(ctx context.Context, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL+protocol.SealedPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil
	req.Header.Set("Content-Type", protocol.ContentType)
	resp, err := n.HTTP.Do(req)
	if err != nil {
		return nil, errors.Join(protocol.ErrUnknownOutcome, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, protocol.ReadError(resp)
	}
	reply, err := io.ReadAll(io.LimitReader(resp.Body, protocol.MaxSealed+1))
	if err != nil || len(reply) > protocol.MaxSealed {
		return nil, errors.Join(protocol.ErrUnknownOutcome, err)
	}
	return reply, nil
}
