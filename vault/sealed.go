package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/hpke"
	"coffer/vault/protocol"
)

// An outsideError is an answer to a charged request that came outside of the envelope.
// Everybody on the way could have written it, after the vault has charged the try: it
// proves nothing ([Client.settle]).
type outsideError struct{ refusal error }

func (e *outsideError) Error() string { return "outside of the envelope: " + e.refusal.Error() }

// Unwrap returns ErrUnknownOutcome, which is what holds until the vault itself has
// been asked.
func (e *outsideError) Unwrap() error { return ErrUnknownOutcome }

// refused returns what was said instead of an answer, inside of the envelope or outside.
func refused(err error) error {
	var forged *outsideError
	if errors.As(err, &forged) {
		return forged.refusal
	}
	return err
}

// exchange sends a request in an envelope. It is sent a second time only when the vault has
// replaced its envelope key, and by a bundle that proves it: a charged request is good for
// one number, so the second one is not charged if the first one was.
func (n *network) exchange(ctx context.Context, kind protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	at, err := n.current(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := n.ask(ctx, at, kind, sign)
	if !isOtherKey(err) {
		return reply, believe(kind, err)
	}
	fresh, renewErr := n.renew(ctx, at)
	if renewErr != nil {
		return nil, notRenewed(kind, err, renewErr)
	}
	if fresh.key.Equal(at.key) {
		return nil, believe(kind, err)
	}
	reply, err = n.ask(ctx, fresh, kind, sign)
	return reply, believe(kind, err)
}

// isOtherKey reports whether an outside answer says that the envelope key was replaced.
func isOtherKey(err error) bool {
	var forged *outsideError
	return errors.As(err, &forged) && errors.Is(forged.refusal, ErrOtherKey)
}

// believe decides what an outside answer is worth. To what charges nothing, "busy" may be
// taken at its word. Everything else is no proof of anything.
func believe(kind protocol.Kind, err error) error {
	var forged *outsideError
	if !errors.As(err, &forged) || charges(kind) {
		return err
	}
	if errors.Is(forged.refusal, ErrBusy) {
		return forged.refusal
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, forged)
}

// notRenewed is what is left to say when a request has left, was answered other-key, and
// the new bundle cannot be had. Of what changes something it is never "nothing has left".
func notRenewed(kind protocol.Kind, err, renewErr error) error {
	switch {
	case charges(kind):
		return err
	case isQuestion(kind):
		return renewErr
	case errors.Is(renewErr, ErrOffline):
		return fmt.Errorf("%w: %v", ErrUnknownOutcome, renewErr) //nolint:errorlint // what it says counts no more: it must not be found
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, renewErr)
}

// ask sends a request; a try once, and anything else again while the vault has too much to
// do. Whether it really had done nothing is no matter: what is done already is refused as
// stale, committed or over, and who asks looks again.
func (n *network) ask(ctx context.Context, at *contact, kind protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	once := func() ([]byte, error) { return n.once(ctx, at, kind, sign) }
	if charges(kind) {
		return once()
	}
	lost := 0
	return repeat(ctx, func(err error) (time.Duration, bool) {
		if wait, busy := busyWait(err); busy {
			return wait, true
		}
		// A line that was idle may have died unnoticed. The next one is fresh.
		lost++
		return 0, lost == 1 && isQuestion(kind) && errors.Is(err, errLost) && !errors.Is(err, context.DeadlineExceeded)
	}, once)
}

// errLost says that a request has left and its answer has not come.
var errLost = errors.New("vault: the answer was lost")

// once seals a request afresh and sends it, to the first address that takes it.
func (n *network) once(ctx context.Context, at *contact, kind protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	envelope, replyKey, err := at.seal(sign)
	if err != nil {
		return nil, err
	}
	defer clear(replyKey[:])
	first := int(at.answered.Load())
	var failed []error
	for i := range at.addresses {
		which := (first + i) % len(at.addresses)
		resp, body, left, err := at.lines.postTo(ctx, at.addresses[which], envelope) //nolint:bodyclose // do has read and closed it
		if err == nil {
			at.answered.Store(int32(which))
			return openReply(replyKey, resp, body)
		}
		if left {
			return nil, fmt.Errorf("%w: %w: %w", ErrUnknownOutcome, errLost, err)
		}
		failed = append(failed, fmt.Errorf("%s: %w", at.addresses[which], err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrOffline, errors.Join(failed...))
}

// seal makes an envelope of what sign returns for the binding of this one exchange, and
// the key that its reply will be under.
func (at *contact) seal(sign func([32]byte) []byte) (envelope []byte, replyKey [aead.KeySize]byte, err error) {
	sender, err := hpke.NewSender(at.key, protocol.ChannelInfo(at.bundle.VaultID))
	if err != nil {
		return nil, replyKey, fmt.Errorf("seal envelope: %w", err)
	}
	head := protocol.Encode(&protocol.Envelope{
		Prefix: protocol.NewPrefix(protocol.KindSealed), KeyID: at.key.ID(),
		Encapsulated: [protocol.EncapsulatedSize]byte(sender.Encapsulated()),
	})
	inside := protocol.Pad(sign(sender.Export(protocol.LabelBinding)))
	return append(head, sender.Seal(head, inside)...), sender.Export(protocol.LabelReply), nil
}

// postTo sends an envelope to one address. A transport must never send it twice.
func (l *lines) postTo(ctx context.Context, address string, envelope []byte) (*http.Response, []byte, bool, error) {
	req, err := http.NewRequest(http.MethodPost, "https://"+address+protocol.SealedPath, bytes.NewReader(envelope))
	if err != nil {
		return nil, nil, false, err
	}
	req.GetBody = nil
	req.Header.Set("Content-Type", protocol.ContentType)
	return l.do(ctx, req, protocol.MaxSealed)
}

// openReply returns what the vault has answered inside of the envelope. All else is an
// outsideError, or unknown.
func openReply(key [aead.KeySize]byte, resp *http.Response, body []byte) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, outside(resp, body)
	}
	prefix := protocol.KindSealed.Reply()
	box, ok := bytes.CutPrefix(body, protocol.Encode(&prefix))
	if !ok {
		return nil, fmt.Errorf("open reply: not an envelope: %w", ErrUnknownOutcome)
	}
	padded, err := aead.Open(key[:], []byte(protocol.LabelReply), box)
	if err != nil {
		return nil, fmt.Errorf("open reply: %w: %w", ErrUnknownOutcome, err)
	}
	return protocol.UnpadReply(padded)
}

// outside reads an answer that came without an envelope.
func outside(resp *http.Response, body []byte) error {
	resp.Body = io.NopCloser(bytes.NewReader(body))
	err := protocol.ReadError(resp)
	if !protocol.Outside(err) {
		return fmt.Errorf("answered without an envelope: HTTP status %d: %w", resp.StatusCode, ErrUnknownOutcome)
	}
	return &outsideError{err}
}

// How often, and after how long, what may be repeated is repeated.
const (
	maxRepeats = 3
	minPause   = 250 * time.Millisecond // also when the vault names none: it has too much to do
	maxPause   = 10 * time.Second       // who must wait for longer should rather be told
)

// busyWait reports whether err says that the vault has too much to do, and for how long.
func busyWait(err error) (time.Duration, bool) {
	err = refused(err)
	var refusal *protocol.Refusal
	if !errors.Is(err, ErrBusy) || !errors.As(err, &refusal) {
		return 0, false
	}
	return max(refusal.Wait, minPause), refusal.Wait <= maxPause
}

// repeat asks again, at most maxRepeats times and as long as ctx allows, what again says
// may be asked again.
func repeat(ctx context.Context, again func(error) (time.Duration, bool), ask func() ([]byte, error)) ([]byte, error) {
	for n := 0; ; n++ {
		reply, err := ask()
		if err == nil {
			return reply, nil
		}
		wait, ok := again(err)
		if !ok || n == maxRepeats || !pause(ctx, wait) {
			return nil, err
		}
	}
}

// pause waits, and reports whether ctx allowed it.
func pause(ctx context.Context, wait time.Duration) bool {
	if wait == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
