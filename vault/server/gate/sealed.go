package gate

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/hpke"
	"coffer/vault/protocol"
)

// requestLife bounds what one request may take: a store that hangs must not keep it.
const requestLife = 10 * time.Second

// kindName is what a kind of request is called in log and metrics.
func kindName(kind protocol.Kind) string {
	names := map[protocol.Kind]string{
		protocol.KindBegin: "begin", protocol.KindCommit: "commit", protocol.KindAttempt: "attempt",
		protocol.KindExpose: "expose", protocol.KindFinish: "finish", protocol.KindStatus: "status",
		protocol.KindReset: "reset", protocol.KindFreeze: "freeze", protocol.KindUnfreeze: "unfreeze",
		protocol.KindDestroy: "destroy", protocol.KindLog: "log", protocol.KindAdmit: "admit",
		protocol.KindEvidence: "evidence", protocol.KindChallenge: "challenge", protocol.KindArm: "arm",
		protocol.KindPutAnchor: "put-anchor", protocol.KindAnchor: "anchor",
	}
	if name, ok := names[kind]; ok {
		return name
	}
	return "unknown"
}

// serveSealed answers one envelope. What is wrong before it is open is said outside, in the
// clear; everything else inside, with HTTP status 200.
func (g *Gate) serveSealed(w http.ResponseWriter, r *http.Request, done *outcome) {
	ctx, cancel := context.WithTimeout(r.Context(), requestLife)
	defer cancel()
	done.kind = "sealed"
	e, err := g.open(w, r, done)
	if err != nil {
		done.err = err
		protocol.WriteError(w, err)
		return
	}
	defer g.leave()
	defer clear(e.replyKey[:])
	var reply []byte
	reply, done.err = g.answer(ctx, e, done)
	prefix := protocol.KindSealed.Reply()
	box := aead.Seal(e.replyKey[:], []byte(protocol.LabelReply), protocol.PadReply(reply, done.err))
	w.Header().Set("Content-Type", protocol.ContentType)
	// The client is gone when this fails; what was charged stays charged.
	_, _ = w.Write(append(protocol.Encode(&prefix), box...))
}

// An envelope is open, and shows what may be answered, and how.
type envelope struct {
	padded   []byte // the request
	binding  [32]byte
	replyKey [32]byte
}

// open reads and opens an envelope. Its errors may be said outside: [protocol.ErrMalformed],
// [protocol.ErrTooLarge], [protocol.ErrBusy], [protocol.ErrOtherKey]. After nil the caller
// calls leave.
func (g *Gate) open(w http.ResponseWriter, r *http.Request, done *outcome) (envelope, error) {
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != protocol.ContentType {
		return envelope{}, fmt.Errorf("no such request: %w", protocol.ErrMalformed)
	}
	body, err := g.read(w, r)
	done.in = len(body)
	if err != nil {
		return envelope{}, err
	}
	// Whoever sends his body slowly is not at work yet.
	select {
	case g.working <- struct{}{}:
	default:
		g.metrics.limited("requests")
		return envelope{}, &protocol.Refusal{Err: protocol.ErrBusy, Left: -1, Wait: time.Second}
	}
	opened := false
	defer func() {
		if !opened { // also when something panics
			g.leave()
		}
	}()
	e, err := g.openBody(body)
	opened = err == nil
	return e, err
}

func (g *Gate) leave() { <-g.working }

func (g *Gate) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > protocol.MaxSealed {
		g.metrics.limited("body")
		return nil, protocol.ErrTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, protocol.MaxSealed))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		g.metrics.limited("body")
		return body, protocol.ErrTooLarge
	}
	if err != nil {
		return body, fmt.Errorf("read envelope: %w", protocol.ErrMalformed)
	}
	return body, nil
}

func (g *Gate) openBody(body []byte) (envelope, error) {
	head, ad, ciphertext, err := protocol.ParseEnvelope(body)
	if err != nil {
		return envelope{}, err
	}
	key := g.key(head.KeyID)
	if key == nil {
		return envelope{}, protocol.ErrOtherKey
	}
	recipient, err := hpke.NewRecipient(key, head.Encapsulated[:], protocol.ChannelInfo(g.cfg.VaultID))
	if err != nil {
		g.metrics.unopened.Inc()
		return envelope{}, fmt.Errorf("take up envelope: %w", protocol.ErrMalformed)
	}
	padded, err := recipient.Open(ad, ciphertext)
	if err != nil {
		g.metrics.unopened.Inc()
		return envelope{}, fmt.Errorf("open envelope: %w", protocol.ErrMalformed)
	}
	return envelope{
		padded:  padded,
		binding: recipient.Export(protocol.LabelBinding), replyKey: recipient.Export(protocol.LabelReply),
	}, nil
}

// key returns the key with this name; nil when the vault does not have it.
func (g *Gate) key(id [8]byte) *hpke.PrivateKey {
	keys := g.cfg.Keys()
	at := slices.IndexFunc(keys, func(k *hpke.PrivateKey) bool { return k.Public().ID() == id })
	if at < 0 {
		return nil
	}
	return keys[at]
}

// answer answers what was in an envelope. Its errors go back inside.
func (g *Gate) answer(ctx context.Context, e envelope, done *outcome) ([]byte, error) {
	body, err := protocol.Unpad(e.padded)
	if err != nil {
		return nil, err
	}
	h, err := protocol.HeaderOf(body)
	if err != nil {
		return nil, err
	}
	done.kind = kindName(h.Kind)
	if wait := g.records.take(h.Record, weight(h.Kind), g.cfg.Clock()); wait > 0 {
		g.metrics.limited("record")
		return nil, &protocol.Refusal{Err: protocol.ErrBusy, Left: -1, Wait: wait}
	}
	if h.Kind == protocol.KindAdmit {
		return g.admit(ctx, e.binding, body)
	}
	return g.cfg.Server.Answer(ctx, e.binding, body)
}

// chipWeight is for how many requests one counts that has a TPM at work for long. A chip does
// one thing at a time: who asks it about his own record must not keep it from all others.
const chipWeight = 3

func weight(k protocol.Kind) int {
	switch k {
	case protocol.KindEvidence, protocol.KindChallenge, protocol.KindArm:
		return chipWeight
	}
	return 1
}

// admit has the desk look at an invitation or an ID token.
func (g *Gate) admit(ctx context.Context, binding [32]byte, body []byte) ([]byte, error) {
	m, token, err := protocol.ParseVariable[protocol.Admit](protocol.NewPrefix(protocol.KindAdmit), body, protocol.MaxAdmission, 0)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(m.Binding[:], binding[:]) != 1 {
		return nil, protocol.ErrIdentity
	}
	if m.Generation != 0 {
		return nil, fmt.Errorf("admission of a generation: %w", protocol.ErrMalformed)
	}
	ticket, err := g.cfg.Desk.Admit(ctx, m.Record, token)
	if err != nil {
		return nil, err
	}
	return protocol.Encode(&protocol.AdmitReply{Prefix: protocol.KindAdmit.Reply(), Ticket: ticket}), nil
}

// codeOf returns the code that crosses for err, "ok" for nil.
func codeOf(err error) string {
	if err == nil {
		return "ok"
	}
	return protocol.Code(err)
}
