package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/protocol"
)

// lies are what who stands between client and vault can do without the vault's keys.
var lies = map[string]func(x *exchange, past *past){
	"request dropped":   func(x *exchange, _ *past) { x.cut() },
	"reply dropped":     func(x *exchange, _ *past) { x.deliver(); x.cut() },
	"request truncated": func(x *exchange, _ *past) { x.envelope = x.envelope[:len(x.envelope)-1]; x.reply(x.deliver()) },
	"reply truncated":   func(x *exchange, _ *past) { r := x.deliver(); x.reply(r[:len(r)-1]) },
	"reply empty":       func(x *exchange, _ *past) { x.deliver(); x.reply(nil) },
	"request changed": func(x *exchange, _ *past) {
		x.envelope = bytes.Clone(x.envelope)
		x.envelope[len(x.envelope)-20] ^= 1
		x.reply(x.deliver())
	},
	"reply changed": func(x *exchange, _ *past) { r := x.deliver(); r[len(r)/2] ^= 1; x.reply(r) },
	"request played twice": func(x *exchange, _ *past) {
		first := x.deliver()
		x.deliver()
		x.reply(first)
	},
	"reply of the second":  func(x *exchange, _ *past) { x.deliver(); x.reply(x.deliver()) },
	"an earlier request":   func(x *exchange, p *past) { x.envelope = p.envelope; x.reply(x.deliver()) },
	"an earlier reply":     func(x *exchange, p *past) { x.deliver(); x.reply(p.reply) },
	"busy":                 forge(protocol.ErrBusy, false),
	"busy, and delivered":  forge(protocol.ErrBusy, true),
	"other-key":            forge(protocol.ErrOtherKey, false),
	"other-key, delivered": forge(protocol.ErrOtherKey, true),
	"malformed":            forge(protocol.ErrMalformed, false),
	"malformed, delivered": forge(protocol.ErrMalformed, true),
	"too-large, delivered": forge(protocol.ErrTooLarge, true),
	"wait, delivered":      forge(protocol.ErrWait, true),
	"wrong, delivered":     forge(protocol.ErrWrongPassword, true),
	"destroyed":            forge(protocol.ErrDestroyed, false),
	"unknown record":       forge(protocol.ErrUnknownRecord, false),
	"a page": func(x *exchange, _ *past) {
		x.deliver()
		x.w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(x.w, "<html>")
	},
	"a redirect": func(x *exchange, _ *past) {
		x.deliver()
		x.w.Header().Set("Location", "/v1/bundle")
		x.w.WriteHeader(307)
	},
	"a flood": func(x *exchange, _ *past) { x.deliver(); x.reply(make([]byte, 1<<20)) },
}

// A past is what was recorded of exchanges before.
type past struct{ envelope, reply []byte }

func forge(err error, deliver bool) func(*exchange, *past) {
	return func(x *exchange, _ *past) {
		if deliver {
			x.deliver()
		}
		protocol.WriteError(x.w, &protocol.Refusal{Err: err, Left: 9, Wait: time.Millisecond})
	}
}

// Kinds that are part of a try or a registration, which every lie is told about, and the
// others, which some are: those in aboutAll.
var (
	chargedKinds = []protocol.Kind{protocol.KindBegin, protocol.KindAttempt, protocol.KindExpose, protocol.KindFinish, protocol.KindStatus}
	otherKinds   = []protocol.Kind{
		protocol.KindCommit, protocol.KindReset, protocol.KindDestroy, protocol.KindLog, protocol.KindPutAnchor, protocol.KindAnchor,
	}
	aboutAll = map[string]bool{"reply dropped": true, "reply changed": true, "malformed, delivered": true, "an earlier request": true}
)

// neverSpent reports whether an error promises that no try was used.
func neverSpent(err error) bool {
	if err == nil || errors.Is(err, vault.ErrUnknownOutcome) {
		return false
	}
	for _, promise := range []error{
		vault.ErrOffline, vault.ErrBusy, vault.ErrWait, vault.ErrMalformed, vault.ErrTooLarge, vault.ErrOtherKey,
		vault.ErrSerial, vault.ErrLastTry, vault.ErrUnknownRecord, vault.ErrInternal,
	} {
		if errors.Is(err, promise) {
			return true
		}
	}
	return false
}

// TestWhoStandsInBetweenGainsNothing lies about one kind of message in one way, all the
// time, while a client does all that clients do.
func TestWhoStandsInBetweenGainsNothing(t *testing.T) {
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, frontOptions{})
			c := f.mustDial(vault.RemoteOptions{})
			// Something to play again in the place of the first message.
			other := enroll(t, c, crypto.NewRootKey(), nil)
			kinds := chargedKinds
			if aboutAll[name] {
				kinds = append(kinds[:len(kinds):len(kinds)], otherKinds...)
			}
			for _, kind := range kinds {
				l := &liar{t: t, f: f, name: fmt.Sprintf("%s: kind %d", name, kind), kind: kind, lie: lie}
				l.run(c, other)
			}
		})
	}
}

type liar struct {
	t    *testing.T
	f    *front
	name string
	kind protocol.Kind
	lie  func(*exchange, *past)

	mu   sync.Mutex
	past past
	told int
}

func (l *liar) between(x *exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.kind == l.kind && l.past.envelope != nil {
		l.told++
		p := l.past
		l.lie(x, &p)
		return
	}
	reply := x.deliver()
	l.past = past{bytes.Clone(x.envelope), bytes.Clone(reply)}
	x.reply(reply)
}

// do runs one act of the client and checks what it says about tries.
func (l *liar) do(what string, act func(context.Context) error) error {
	l.t.Helper()
	_, before, _ := l.f.counted()
	ctx, stop := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer stop()
	err := act(ctx)
	if ctx.Err() != nil {
		l.t.Fatalf("%s: %s hangs: %v", l.name, what, err)
	}
	_, after, answers := l.f.counted()
	if neverSpent(err) && after != before {
		l.t.Errorf("%s: %s says %v, and %d tries were charged", l.name, what, err, after-before)
	}
	if answers > 10 {
		l.t.Errorf("%s: %d answers to 10 tries", l.name, answers)
	}
	return err
}

func (l *liar) run(c *vault.Client, other vault.Slot) {
	t, f := l.t, l.f
	f.mu.Lock()
	f.begun = map[uint64]bool{}
	f.mu.Unlock()
	root := crypto.NewRootKey()
	f.set(l.between)
	defer f.set(nil)
	_ = l.do("status of another", func(ctx context.Context) error { _, err := c.Status(ctx, other); return err })
	if l.kind == protocol.KindStatus {
		l.past = past{[]byte("CV"), []byte("CV")}
	}
	var pending vault.Pending
	var slot vault.Slot
	err := l.do("enroll", func(ctx context.Context) (err error) {
		slot, err = c.Enroll(ctx, root, secret(rightPassword), floor, nil, func(p vault.Pending) error { pending = p; return nil })
		return err
	})
	if err != nil {
		f.set(nil) // the way is free for once
		if err := l.do("resume at last", func(ctx context.Context) (err error) {
			slot, err = c.Resume(ctx, pending, root, secret(rightPassword))
			return err
		}); err != nil {
			t.Fatalf("%s: resume at last: %v", l.name, err)
		}
		f.set(l.between)
	}
	l.use(c, slot, root)
	f.mu.Lock()
	generations := len(f.begun)
	f.mu.Unlock()
	if generations != 1 || l.told == 0 {
		t.Errorf("%s: %d generations on the wire; %d lies were told", l.name, generations, l.told)
	}
}

// use does with a record what meets the lie; what comes of it, do looks at.
func (l *liar) use(c *vault.Client, slot vault.Slot, root crypto.RootKey) {
	open := func(password string) {
		_ = l.do("open", func(ctx context.Context) error {
			got, _, err := c.Open(ctx, slot, secret(password))
			if err == nil && (password != rightPassword || !got.Equal(root)) {
				l.t.Errorf("%s: opened with %q", l.name, password)
			}
			return err
		})
	}
	keys := root.Derive()
	switch l.kind {
	case protocol.KindAttempt, protocol.KindFinish, protocol.KindStatus:
		open(wrongPassword)
		open(rightPassword)
	case protocol.KindReset:
		_ = l.do("reset", func(ctx context.Context) error { return c.Reset(ctx, slot, root) })
		open(rightPassword)
	case protocol.KindLog:
		_ = l.do("log", func(ctx context.Context) error { _, err := c.Log(ctx, slot, keys.Owner()); return err })
	case protocol.KindPutAnchor, protocol.KindAnchor:
		_ = l.do("put anchor", func(ctx context.Context) error {
			return c.PutAnchor(ctx, slot, keys, func(old []byte) ([]byte, error) { return append(old, 'x'), nil })
		})
		_ = l.do("anchor", func(ctx context.Context) error { _, _, err := c.Anchor(ctx, slot, keys); return err })
	case protocol.KindDestroy:
		_ = l.do("destroy", func(ctx context.Context) error {
			receipt, err := c.Destroy(ctx, slot, root)
			if err == nil && !receipt.Verify(slot.ReceiptKey) {
				l.t.Errorf("%s: a receipt that does not verify", l.name)
			}
			return err
		})
	}
}

// TestAVaultThatSwallowsItsAnswersGetsOneGeneration: promise 7.
func TestAVaultOnANetworkThatSwallowsItsAnswersGetsOneGeneration(t *testing.T) {
	for _, kind := range []protocol.Kind{protocol.KindBegin, protocol.KindCommit, protocol.KindExpose, protocol.KindFinish} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			t.Parallel()
			f := newFront(t, frontOptions{})
			f.set(func(x *exchange) {
				reply := x.deliver()
				if x.kind == kind {
					x.cut()
					return
				}
				x.reply(reply)
			})
			c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
			var pending vault.Pending
			_, err := c.Enroll(t.Context(), root, secret(rightPassword), floor, nil, func(p vault.Pending) error { pending = p; return nil })
			if err == nil {
				t.Fatal("enrolled without an answer")
			}
			for range 20 {
				_, _ = c.Resume(t.Context(), pending, root, secret(rightPassword))
			}
			if _, charged, answers := f.counted(); len(f.begun) != 1 || answers > 10 || charged > 10 {
				t.Fatalf("%d generations, %d tries charged, %d answers", len(f.begun), charged, answers)
			}
		})
	}
}

// TestAVaultThatLiesInside answers each kind with every code, and with rubbish, rightly
// sealed.
func TestAVaultThatLiesInside(t *testing.T) {
	codes := []error{
		protocol.ErrWrongPassword, protocol.ErrWait, protocol.ErrLastTry, protocol.ErrDestroyed, protocol.ErrFrozen, protocol.ErrUnknownRecord,
		protocol.ErrAttemptOver, protocol.ErrStale, protocol.ErrCommitted, protocol.ErrWeakKDF, protocol.ErrIdentity, protocol.ErrMalformed, protocol.ErrTooLarge,
		protocol.ErrSerial, protocol.ErrUnarmed, protocol.ErrNotAdmitted, protocol.ErrInvitation, protocol.ErrSignIn, protocol.ErrQuota, protocol.ErrOtherKey,
		protocol.ErrUnknownOutcome, protocol.ErrInternal,
	}
	answers := map[string][]byte{"empty": protocol.PadReply(nil, nil), "rubbish": protocol.PadReply([]byte("rubbish"), nil), "not padded": []byte("x"), "a future": protocol.Pad([]byte{7})}
	for _, code := range codes {
		answers[code.Error()] = protocol.PadReply(nil, &protocol.Refusal{Err: code, Left: 3})
	}
	f := newFront(t, frontOptions{tries: 100})
	c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	keys := root.Derive()
	acts := map[protocol.Kind]func(context.Context) error{
		protocol.KindBegin: func(ctx context.Context) error {
			_, err := c.Enroll(ctx, root, secret(rightPassword), floor, nil, saveNothing)
			return err
		},
		protocol.KindCommit: func(ctx context.Context) error {
			_, err := c.Enroll(ctx, root, secret(rightPassword), floor, nil, saveNothing)
			return err
		},
		protocol.KindAttempt: func(ctx context.Context) error { _, _, err := c.Open(ctx, slot, secret(rightPassword)); return err },
		protocol.KindFinish:  func(ctx context.Context) error { _, _, err := c.Open(ctx, slot, secret(rightPassword)); return err },
		protocol.KindStatus:  func(ctx context.Context) error { _, err := c.Status(ctx, slot); return err },
		protocol.KindReset:   func(ctx context.Context) error { return c.Reset(ctx, slot, root) },
		protocol.KindDestroy: func(ctx context.Context) error { _, err := c.Destroy(ctx, slot, root); return err },
		protocol.KindLog:     func(ctx context.Context) error { _, err := c.Log(ctx, slot, keys.Owner()); return err },
		protocol.KindAnchor:  func(ctx context.Context) error { _, _, err := c.Anchor(ctx, slot, keys); return err },
	}
	for name, answer := range answers {
		for kind, act := range acts {
			told := 0
			f.set(func(x *exchange) {
				if x.kind != kind {
					x.reply(x.deliver())
					return
				}
				told++
				_, o, err := f.open(x.envelope)
				if err != nil {
					t.Error(err)
				}
				x.reply(sealReply(o.key, answer))
			})
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			if err := act(ctx); err == nil || ctx.Err() != nil || told == 0 {
				t.Errorf("%s to kind %d: %v, %d lies told", name, kind, err, told)
			}
			stop()
			f.set(nil)
			if kind == protocol.KindFinish {
				if err := c.Reset(t.Context(), slot, root); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestAnAnswerThatNeverComes: the caller's context ends it, and what may be spent is said
// to be.
func TestAnAnswerThatNeverComes(t *testing.T) {
	f := newFront(t, frontOptions{})
	c := f.mustDial(vault.RemoteOptions{})
	slot := enroll(t, c, crypto.NewRootKey(), nil)
	for _, kind := range []protocol.Kind{protocol.KindStatus, protocol.KindAttempt, protocol.KindFinish} {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		f.set(func(x *exchange) {
			if x.kind != kind {
				x.reply(x.deliver())
				return
			}
			x.deliver()
			stop()
			<-ended
		})
		_, _, err := c.Open(ctx, slot, secret(rightPassword))
		close(ended)
		f.set(nil)
		if want := kind != protocol.KindStatus; errors.Is(err, vault.ErrUnknownOutcome) != want || errors.Is(err, vault.ErrOffline) == want {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
}

// TestBusyIsObeyed counts how often, and when, a question is asked that is refused for a
// while.
func TestBusyIsObeyed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		refuse  int
		wait    time.Duration
		asked   int
		refused bool
	}{
		{name: "for a moment", refuse: 2, wait: time.Second, asked: 3},
		{name: "for ever", refuse: 100, wait: time.Second, asked: 4, refused: true},
		{name: "for long", refuse: 100, wait: time.Hour, asked: 1, refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, begun := 0, time.Now()
				_, err := vault.Repeat(t.Context(), func() ([]byte, error) {
					if asked++; asked <= tt.refuse {
						return nil, &protocol.Refusal{Err: protocol.ErrBusy, Wait: tt.wait}
					}
					return nil, nil
				})
				if asked != tt.asked || errors.Is(err, vault.ErrBusy) != tt.refused {
					t.Fatalf("asked %d times, want %d: %v", asked, tt.asked, err)
				}
				if waited := time.Since(begun); waited != time.Duration(asked-1)*tt.wait {
					t.Fatalf("waited %v", waited)
				}
			})
		})
	}
}

// TestATryIsNeverAskedTwice: not when it is refused, not when its answer is lost.
func TestATryIsNeverAskedTwice(t *testing.T) {
	f := newFront(t, frontOptions{})
	c := f.mustDial(vault.RemoteOptions{})
	slot := enroll(t, c, crypto.NewRootKey(), nil)
	left := 10
	for name, lie := range map[string]func(*exchange){
		"busy":             func(x *exchange) { protocol.WriteError(x.w, protocol.ErrBusy) },
		"dropped":          func(x *exchange) { x.cut() },
		"other-key":        func(x *exchange) { protocol.WriteError(x.w, protocol.ErrOtherKey) },
		"answer discarded": func(x *exchange) { x.deliver(); left--; x.cut() },
	} {
		tries := 0
		f.set(func(x *exchange) {
			if x.kind == protocol.KindAttempt {
				tries++
				lie(x)
				return
			}
			x.reply(x.deliver())
		})
		_, _, err := c.Open(t.Context(), slot, secret(rightPassword))
		var refused *vault.AttemptError
		if !errors.As(err, &refused) || tries != 1 {
			t.Errorf("%s: %v, %d tries on the wire", name, err, tries)
		}
		if busy := name == "busy"; errors.Is(err, vault.ErrBusy) != busy || busy && refused.Left != left {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForgedBusyWhileTheVaultIsSilent: nobody can say what became of the try.
func TestForgedBusyWhileTheVaultIsSilent(t *testing.T) {
	f := newFront(t, frontOptions{})
	c := f.mustDial(vault.RemoteOptions{})
	slot := enroll(t, c, crypto.NewRootKey(), nil)
	silent := false
	f.set(func(x *exchange) {
		switch {
		case x.kind == protocol.KindAttempt:
			x.deliver()
			silent = true
			protocol.WriteError(x.w, protocol.ErrBusy)
		case silent:
			x.cut()
		default:
			x.reply(x.deliver())
		}
	})
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, vault.ErrUnknownOutcome) || errors.Is(err, vault.ErrOffline) {
		t.Fatalf("open: %v", err)
	}
}

// TestTheLastByteOfAPasswordStaysInside: who ends TLS sees envelopes of the same few lengths,
// and nothing of what is in them.
func TestEnvelopesSayNothing(t *testing.T) {
	f := newFront(t, frontOptions{})
	var wire bytes.Buffer
	lengths := map[int]bool{}
	f.set(func(x *exchange) {
		reply := x.deliver()
		wire.Write(x.envelope)
		wire.Write(reply)
		lengths[len(x.envelope)], lengths[-len(reply)] = true, true
		x.reply(reply)
	})
	c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string][]byte{"record": slot.Record[:], "cloud share": slot.CloudShare[:], "device": []byte("ann's laptop"), "password": []byte(rightPassword)} {
		if bytes.Contains(wire.Bytes(), secret) {
			t.Errorf("the %s is on the wire", name)
		}
	}
	if wire.Len() == 0 || len(lengths) != 2 {
		t.Errorf("%d bytes in envelopes of lengths %v", wire.Len(), lengths)
	}
}
