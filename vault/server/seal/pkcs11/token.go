//go:build cgo

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	p11 "github.com/miekg/pkcs11"

	"coffer/vault/server/seal"
)

// closeWait is how long Close waits for calls that a token does not return from.
const closeWait = 10 * time.Second

// maxCached bounds the cache of object handles; a full one is dropped.
const maxCached = 1 << 16

// A Token is a [seal.Sealer] whose keys live in a PKCS #11 token. It is safe for concurrent
// use and prints as "[redacted]".
//
// A call into the module cannot be interrupted: contexts are obeyed before each, and while
// waiting for a session. A token that never answers holds the session of that call, and
// whoever waits for one is told [seal.ErrHardware] when his context ends.
type Token struct {
	opts     Options
	patience time.Duration // of Close
	ctx      *p11.Ctx
	slots    chan struct{} // one for each session in use: at most opts.Sessions
	door     chan struct{} // held by who connects or opens a session: one at a time

	// writes is held by who makes or destroys an object of the token: one at a time. SoftHSM
	// 2.6 answers CKR_GENERAL_ERROR when its folder changes under it.
	writes chan struct{}

	// Behind the door:
	booter  bool  // this Token has initialized the module, and finalizes it
	refused error // the PIN was: never try again

	mu      sync.Mutex // guards what follows; never held during a call into the module
	life    uint64     // counts connections; sessions and handles of an older one are worthless
	live    bool       // there is a connection
	slot    uint
	wrapper p11.ObjectHandle // the wrapping key
	// anchor is never used: it is there because the login, and the object handles, end
	// with the last session of a process.
	anchor p11.SessionHandle
	idle   []p11.SessionHandle // logged in, of this life
	found  map[keyID]p11.ObjectHandle
	closed bool
}

var _ seal.Sealer = (*Token)(nil)

// Open opens the token and its vault's wrapping key. The caller must close it. One Token
// to a module in a process is the rule: PKCS #11 counts logins by process.
//
// [ErrOptions], [ErrModule], [ErrToken], [ErrPIN], [ErrKey], [seal.ErrHardware].
func Open(ctx context.Context, o Options) (*Token, error) { return open(ctx, o, false) }

// Setup is Open, and makes the wrapping key when it is absent. It is for the making of a
// vault: a vault that has one must not get another.
func Setup(ctx context.Context, o Options) (*Token, error) { return open(ctx, o, true) }

func open(ctx context.Context, o Options, create bool) (*Token, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open token: %w", err)
	}
	module := p11.New(o.Module)
	if module == nil {
		return nil, fmt.Errorf("%w: %s cannot be loaded", ErrModule, o.Module)
	}
	t := &Token{opts: o, ctx: module, slots: make(chan struct{}, o.Sessions), door: make(chan struct{}, 1), writes: make(chan struct{}, 1), patience: closeWait}
	if err := t.boot(); err != nil {
		module.Destroy()
		return nil, err
	}
	if err := t.connect(create); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// boot initializes the module, unless somebody in this process has.
func (t *Token) boot() error {
	err := t.ctx.Initialize()
	switch {
	case err == nil:
		t.booter = true
	case !is(err, p11.CKR_CRYPTOKI_ALREADY_INITIALIZED):
		return fmt.Errorf("%w: start %s: %w", ErrModule, t.opts.Module, err)
	}
	return nil
}

// Close ends all sessions. It waits for the calls that are under way, 10 s at most;
// [seal.ErrHardware] when the token does not return from one, and then the module stays
// loaded.
func (t *Token) Close() error {
	t.mu.Lock()
	again := t.closed
	t.closed = true
	t.mu.Unlock()
	if again {
		return nil
	}
	timer := time.NewTimer(t.patience)
	defer timer.Stop()
	for range cap(t.slots) {
		select {
		case t.slots <- struct{}{}:
			defer func() { <-t.slots }() // who waits for one is told ErrClosed then
		case <-timer.C:
			return fmt.Errorf("close token: %w: it does not answer", seal.ErrHardware)
		}
	}
	t.drop()
	var err error
	if t.booter {
		err = t.ctx.Finalize()
	}
	t.ctx.Destroy()
	if err != nil && !lost(err) {
		return fmt.Errorf("close token: %w: %w", seal.ErrHardware, err)
	}
	return nil
}

// Class returns [seal.ClassToken].
func (*Token) Class() string { return seal.ClassToken }

// Format prints "[redacted]" for every verb.
func (*Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// Ready returns nil when the token answers to who has its PIN. [seal.ErrHardware].
func (t *Token) Ready(ctx context.Context) error {
	return t.do(ctx, "ask token", func(s *session) error {
		_, err := t.ctx.GetSessionInfo(s.h)
		return err
	})
}

// Status returns what an operator wants to know, a line each: module, token, serial number,
// firmware, number of record keys, and whether OPRF keys stay in the token also for who
// has its PIN, which it tries. [seal.ErrHardware].
func (t *Token) Status(ctx context.Context) ([]string, error) {
	var lines []string
	err := t.do(ctx, "ask token", func(s *session) error {
		info, err := t.ctx.GetTokenInfo(s.slot)
		if err != nil {
			return err
		}
		keys, err := s.find(t.recordClass(), 0)
		if err != nil {
			return err
		}
		stay, err := s.oprfKeysStay()
		if err != nil {
			return err
		}
		oprf := "OPRF keys: stay in the token"
		if !stay {
			oprf = "OPRF keys: who has the PIN can take them out (the wrapping key has no CKA_UNWRAP_TEMPLATE)"
		}
		lines = []string{
			"module: " + printable(t.opts.Module),
			"token: " + printable(info.Label) + " (" + printable(info.ManufacturerID) + ", " + printable(info.Model) + ")",
			"serial: " + printable(info.SerialNumber),
			fmt.Sprintf("firmware: %d.%d", info.FirmwareVersion.Major, info.FirmwareVersion.Minor),
			fmt.Sprintf("record keys: %d", len(keys)),
			oprf,
		}
		return nil
	})
	return lines, err
}

// printable replaces what a token could do to a terminal with.
func printable(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == 0xfffd {
			out[i] = '?'
		}
	}
	return string(out)
}
