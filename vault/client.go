package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"coffer/crypto/opaque"
	"coffer/vault/protocol"
)

// maxDeviceName bounds the name of a device, in bytes.
const maxDeviceName = 48

// A Client asks one vault. It is safe for concurrent use.
type Client struct {
	channel channel
	pin     Pin
	device  string

	// Of a vault on a network; nil or zero for the embedded one.
	remote    *network // the channel, too
	memory    *memory
	admission Admission
	warn      func(error)

	// ksf is opaque.Argon2id; tests of this package put in a faster one.
	ksf func(protocol.Cost) (opaque.KSF, error)
}

// NewClient returns a client of the vault that is reached through transport and known by
// pin (of the embedded vault, or [Slot.Pin]). device is the name under which tries stand
// in the log, at most 48 bytes of it; it is sealed, and the vault cannot read it.
func NewClient(transport http.RoundTripper, pin Pin, device string) *Client {
	// A redirect leads elsewhere than pinned.
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return &Client{
		channel: &pipe{client, pin},
		pin:     pin, device: device,
		ksf: func(c protocol.Cost) (opaque.KSF, error) {
			return opaque.Argon2id(c.MemoryKiB, c.Time, c.Threads)
		},
	}
}

// Info asks the vault about itself; of a vault on a network it is made of its bundle.
// [ErrIdentity] when it is not the pinned one; [ErrOffline].
func (c *Client) Info(ctx context.Context) (Info, error) {
	info, err := c.channel.info(ctx)
	if err != nil {
		return Info{}, fmt.Errorf("ask vault for its identity: %w", err)
	}
	return info, nil
}

// ready checks the slot and the vault, before anything is said to it.
func (c *Client) ready(ctx context.Context, slot Slot) error {
	if err := c.usable(slot); err != nil {
		return err
	}
	_, err := c.Info(ctx)
	return err
}

func (p *pipe) info(ctx context.Context) (Info, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL+protocol.InfoPath, nil)
	if err != nil {
		return Info{}, err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrOffline, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Info{}, fmt.Errorf("%w: HTTP status %d", ErrOffline, resp.StatusCode)
	}
	body, err := readBody(resp)
	if err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrOffline, err)
	}
	info, err := protocol.ParseInfo(body)
	if err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrOffline, err)
	}
	if PinOf(info) != p.pin {
		return Info{}, ErrIdentity
	}
	return info, nil
}

// baseURL is only a shape: the transport knows where the vault is.
const baseURL = "http://vault.invalid"

// A signer signs bytes: the capability's key or the owner's.
type signer interface{ Sign([]byte) []byte }

// A channel carries one request to the vault and its reply back. A request that is not
// sent to the vault of the pin is [ErrIdentity]; one that never left is [ErrOffline]; one
// whose outcome nobody knows is [ErrUnknownOutcome].
type channel interface {
	// exchange sends what sign returns for the binding of this one request.
	exchange(ctx context.Context, kind protocol.Kind, sign func(binding [32]byte) []byte) (reply []byte, err error)
	// info returns what the vault says about itself, once it is known to be the vault of
	// the pin. [ErrIdentity].
	info(ctx context.Context) (Info, error)
}

// post sends a request and returns the body of the reply. body is the encoded request with
// any binding; its last fields are the signatures, which are made here, over the binding
// of the channel. owner is nil where none is wanted.
func (c *Client) post(ctx context.Context, kind protocol.Kind, body []byte, owner, capability signer) ([]byte, error) {
	return c.channel.exchange(ctx, kind, func(binding [32]byte) []byte {
		protocol.Bind(body, binding)
		const size = len(protocol.Signature{})
		endpoint := protocol.Of(kind)
		if endpoint.Owner {
			at := len(body) - 2*size
			copy(body[at:], owner.Sign(protocol.SignedBytes(protocol.LabelOwner, kind, body)))
		}
		if !endpoint.Unsigned {
			copy(body[len(body)-size:], capability.Sign(protocol.SignedBytes(protocol.LabelCapability, kind, body)))
		}
		return body
	})
}

// A pipe is the channel to the vault inside the app.
type pipe struct {
	http *http.Client
	pin  Pin
}

func (p *pipe) exchange(ctx context.Context, kind protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	return send(ctx, p.http, baseURL+protocol.Of(kind).Path, sign(protocol.EmbeddedBinding(p.pin.VaultID)))
}

// send posts body once. A transport must never send it twice: each could be charged.
func send(ctx context.Context, client *http.Client, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil
	req.Header.Set("Content-Type", protocol.ContentType)
	resp, err := client.Do(req)
	if err != nil {
		return nil, transportError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, protocol.ReadError(resp)
	}
	reply, err := readBody(resp)
	if err != nil {
		return nil, fmt.Errorf("read reply: %w: %w", ErrUnknownOutcome, err)
	}
	return reply, nil
}

// transportError tells "never left" from "nobody knows". When in doubt it is the second:
// "no try was used" must not be said when one may be.
func transportError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("%w: %w", ErrOffline, err)
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}

func readBody(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, protocol.MaxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > protocol.MaxBody {
		return nil, ErrTooLarge
	}
	return body, nil
}

// parseReply reads the reply to kind. One that is not of the protocol leaves the outcome
// unknown: the vault may have done what it was asked.
func parseReply[M any](kind protocol.Kind, body []byte) (*M, error) {
	m, err := protocol.Parse[M](kind.Reply(), body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return m, nil
}

// header returns the header of a request about slot. The binding is the channel's, and is
// put in when the request is sent.
func header(kind protocol.Kind, slot Slot) protocol.Header {
	return protocol.NewHeader(kind, slot.Record, slot.Generation, [32]byte{})
}

// until turns what a vault says about waiting into a time of this computer's clock: the
// clocks may differ.
func until(wait time.Duration) time.Time {
	if wait <= 0 {
		return time.Time{}
	}
	return time.Now().Add(wait)
}

func millis(n uint64) time.Duration {
	return time.Duration(min(n, uint64(protocol.MaxWait.Milliseconds()))) * time.Millisecond
}

// attemptError turns what went wrong with a try into an [AttemptError].
func attemptError(err error) error {
	out := &AttemptError{Err: err, Left: -1}
	var refusal *protocol.Refusal
	if errors.As(err, &refusal) {
		out.Left, out.Until = refusal.Left, until(refusal.Wait)
	}
	if errors.Is(err, ErrDestroyed) {
		out.Left = 0
	}
	return out
}

// usable checks a slot, and that it is of the vault this client is for: before a byte is
// sent.
func (c *Client) usable(slot Slot) error {
	if err := slot.Check(); err != nil {
		return err
	}
	if slot.Pin() != c.pin {
		return ErrIdentity
	}
	return nil
}
