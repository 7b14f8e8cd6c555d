//go:build cgo

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"coffer/vault/server/seal"
)

// A session is one logged-in session, in one hand.
type session struct {
	token   *Token
	h       p11.SessionHandle
	life    uint64
	slot    uint
	wrapper p11.ObjectHandle
}

// do runs f with a session. When the session turns out to be lost, it connects anew and
// runs f once more: f must bear that. What f returns of the module becomes
// [seal.ErrHardware]; errors of package seal pass.
func (t *Token) do(ctx context.Context, verb string, f func(*session) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	select {
	case t.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: all sessions are busy: %w", verb, seal.ErrHardware, ctx.Err())
	}
	defer func() { <-t.slots }()
	err := t.once(ctx, 0, f)
	var gone *lostError
	if errors.As(err, &gone) {
		err = t.once(ctx, gone.life, f)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, seal.ErrOpen) || errors.Is(err, seal.ErrReference) || errors.Is(err, ErrClosed) {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return fmt.Errorf("%s: %w: %w", verb, seal.ErrHardware, err)
}

// doWrite is do for what makes or destroys objects of the token.
func (t *Token) doWrite(ctx context.Context, verb string, f func(*session) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	select {
	case t.writes <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: the token is busy: %w", verb, seal.ErrHardware, ctx.Err())
	}
	defer func() { <-t.writes }()
	return t.do(ctx, verb, f)
}

// A lostError says that the connection of this life is over.
type lostError struct {
	life uint64
	err  error
}

func (e *lostError) Error() string { return "session lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// once runs f with a session of a life after the given one.
func (t *Token) once(ctx context.Context, after uint64, f func(*session) error) error {
	s, err := t.take(ctx, after)
	if err != nil {
		return err
	}
	err = f(s)
	if lost(err) {
		err = &lostError{s.life, err}
	}
	t.put(s, err)
	return err
}

// take returns an idle session, or a new one, of a life after the given one.
func (t *Token) take(ctx context.Context, after uint64) (*session, error) {
	if s, err := t.takeIdle(after); s != nil || err != nil {
		return s, err
	}
	select {
	case t.door <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for token: %w", ctx.Err())
	}
	defer func() { <-t.door }()
	if s, err := t.takeIdle(after); s != nil || err != nil { // somebody else has connected
		return s, err
	}
	if !t.alive(after) {
		t.drop()
		if err := t.connect(false); err != nil {
			return nil, err
		}
	}
	return t.openSession()
}

// alive reports whether there is a connection, of a life after the given one.
func (t *Token) alive(after uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live && t.life > after
}

// now returns what a session of this life knows of it.
func (t *Token) now() *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &session{token: t, life: t.life, slot: t.slot, wrapper: t.wrapper}
}

// takeIdle returns nil when there is no idle session of a life after the given one.
func (t *Token) takeIdle(after uint64) (*session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	n := len(t.idle)
	if n == 0 || t.life <= after {
		return nil, nil
	}
	s := &session{t, t.idle[n-1], t.life, t.slot, t.wrapper}
	t.idle = t.idle[:n-1]
	return s, nil
}

// put gives a session back, with how its work ended. One that failed may have an operation
// under way that nobody will finish: it is closed, and with it its objects are gone. But
// what the module no longer knows is let be: its number may be another session's by now.
func (t *Token) put(s *session, err error) {
	t.mu.Lock()
	good := err == nil || errors.Is(err, seal.ErrOpen) || errors.Is(err, seal.ErrReference)
	good = good && s.life == t.life
	if good {
		t.idle = append(t.idle, s.h)
	}
	t.mu.Unlock()
	if !good && !unknown(err) {
		_ = t.ctx.CloseSession(s.h) // the module may be failing: what went wrong before is what is told
	}
}

// drop ends this life: its sessions are closed, those in use when they are given back,
// and its object handles forgotten.
func (t *Token) drop() {
	t.mu.Lock()
	idle := t.idle
	if t.live {
		idle = append(idle, t.anchor)
	}
	t.life++
	t.live, t.idle, t.found = false, nil, nil
	t.mu.Unlock()
	for _, h := range idle {
		_ = t.ctx.CloseSession(h) // it may be gone already
	}
}

// connect begins a life: it finds the token, logs in and finds the wrapping key. The
// caller holds the door, or has the Token for himself.
func (t *Token) connect(create bool) error {
	if t.refused != nil {
		return t.refused
	}
	slot, err := t.findToken()
	if is(err, p11.CKR_CRYPTOKI_NOT_INITIALIZED) { // somebody else in this process has ended it
		if err = t.boot(); err == nil {
			slot, err = t.findToken()
		}
	}
	if err != nil {
		return err
	}
	if err := t.checkMechanisms(slot); err != nil {
		return err
	}
	h, err := t.ctx.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	if err != nil {
		return fmt.Errorf("%w: open session: %w", seal.ErrHardware, err)
	}
	wrapper, err := t.enter(&session{token: t, h: h, slot: slot, life: t.now().life}, create)
	if err != nil {
		_ = t.ctx.CloseSession(h) // what went wrong before is what is told
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.life++
	t.live, t.slot, t.wrapper = true, slot, wrapper
	t.found = map[keyID]p11.ObjectHandle{}
	t.anchor = h
	return nil
}

// openSession opens a further session of this life. The caller holds the door. Whatever
// fails here may be mended by a new life, but for a token that has no more sessions.
func (t *Token) openSession() (*session, error) {
	s := t.now()
	var err error
	s.h, err = t.ctx.OpenSession(s.slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	if is(err, p11.CKR_SESSION_COUNT) {
		return nil, fmt.Errorf("open session: %w", err)
	}
	if err != nil {
		return nil, &lostError{s.life, fmt.Errorf("open session: %w", err)}
	}
	// The login is the process's. When it is over, what others find in this life is not to be
	// believed (see find): a new one begins.
	if err := s.stillIn(); err != nil {
		_ = t.ctx.CloseSession(s.h) // what went wrong before is what is told
		return nil, &lostError{s.life, err}
	}
	return s, nil
}

func (t *Token) enter(s *session, create bool) (p11.ObjectHandle, error) {
	if err := t.login(s); err != nil {
		return 0, err
	}
	return s.wrappingKey(create)
}

// login logs in, unless this process is. A refused PIN is remembered: the third or so
// makes a token lock itself for ever.
func (t *Token) login(s *session) error {
	session, err := t.ctx.GetSessionInfo(s.h)
	if err != nil {
		return fmt.Errorf("ask session: %w", err)
	}
	if session.State == p11.CKS_RW_USER_FUNCTIONS {
		return nil
	}
	token, err := t.ctx.GetTokenInfo(s.slot)
	if err != nil {
		return fmt.Errorf("ask token: %w", err)
	}
	if err := checkPINFlags(token.Flags); err != nil {
		return err
	}
	pin, err := t.opts.PIN()
	if err != nil {
		return fmt.Errorf("get PIN: %w", err)
	}
	if pin == "" || len(pin) > maxPIN {
		return fmt.Errorf("%w: a PIN has 1 to %d bytes", ErrOptions, maxPIN)
	}
	err = t.ctx.Login(s.h, p11.CKU_USER, pin)
	switch {
	case err == nil, is(err, p11.CKR_USER_ALREADY_LOGGED_IN):
		return nil
	case is(err, p11.CKR_PIN_INCORRECT, p11.CKR_PIN_LOCKED, p11.CKR_PIN_EXPIRED, p11.CKR_PIN_INVALID, p11.CKR_PIN_LEN_RANGE,
		p11.CKR_USER_PIN_NOT_INITIALIZED):
		t.refused = fmt.Errorf("%w: %w", ErrPIN, err)
		return t.refused
	}
	return fmt.Errorf("log in: %w", err)
}

// checkPINFlags leaves the last try to a human: a program that is started again whenever
// it fails would use it up, and the keys with it.
func checkPINFlags(flags uint) error {
	switch {
	case flags&p11.CKF_USER_PIN_LOCKED != 0:
		return fmt.Errorf("%w: it is locked", ErrPIN)
	case flags&p11.CKF_USER_PIN_FINAL_TRY != 0:
		return fmt.Errorf("%w: one try is left, which is not for a program: log in by hand first", ErrPIN)
	case flags&p11.CKF_USER_PIN_INITIALIZED == 0:
		return fmt.Errorf("%w: the token has none yet", ErrPIN)
	}
	return nil
}

// findToken returns the slot of the one token that fits the options.
func (t *Token) findToken() (uint, error) {
	slots, err := t.ctx.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("%w: list slots: %w", seal.ErrHardware, err)
	}
	var fits []uint
	var found p11.TokenInfo
	for _, slot := range slots {
		info, err := t.ctx.GetTokenInfo(slot)
		if err != nil { // another slot's reader may be out of order
			continue
		}
		if t.opts.fits(slot, info) {
			fits, found = append(fits, slot), info
		}
	}
	switch {
	case len(fits) == 0:
		return 0, fmt.Errorf("%w: of %d tokens in the module, none is the one that was named", ErrToken, len(slots))
	case len(fits) > 1: // the PIN of one must not be tried at the other
		return 0, fmt.Errorf("%w: %d tokens have that name; give the serial number", ErrToken, len(fits))
	case found.Flags&p11.CKF_TOKEN_INITIALIZED == 0:
		return 0, fmt.Errorf("%w: it is not initialized", ErrToken)
	}
	return fits[0], nil
}

func (o Options) fits(slot uint, info p11.TokenInfo) bool {
	same := func(want, got string) bool { return want == "" || want == strings.TrimRight(got, " \x00") }
	return same(o.TokenLabel, info.Label) && same(o.Serial, info.SerialNumber) &&
		same(o.Manufacturer, info.ManufacturerID) && same(o.Model, info.Model) &&
		(o.Slot == nil || *o.Slot == slot)
}

// checkMechanisms returns [ErrToken] with the names of what a token lacks.
func (t *Token) checkMechanisms(slot uint) error {
	list, err := t.ctx.GetMechanismList(slot)
	if err != nil {
		return fmt.Errorf("%w: list mechanisms: %w", seal.ErrHardware, err)
	}
	var missing []string
	for _, m := range []struct {
		number uint
		name   string
	}{
		{p11.CKM_AES_KEY_GEN, "CKM_AES_KEY_GEN"},
		{p11.CKM_AES_GCM, "CKM_AES_GCM"},
		{p11.CKM_AES_KEY_WRAP_PAD, "CKM_AES_KEY_WRAP_PAD"},
		{p11.CKM_EC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN"},
		{p11.CKM_ECDH1_DERIVE, "CKM_ECDH1_DERIVE"},
	} {
		if !slices.ContainsFunc(list, func(have *p11.Mechanism) bool { return have.Mechanism == m.number }) {
			missing = append(missing, m.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: it lacks %s", ErrToken, strings.Join(missing, ", "))
	}
	return nil
}

// is reports whether err is one of these return values of the module.
func is(err error, values ...uint) bool {
	var e p11.Error
	return errors.As(err, &e) && slices.Contains(values, uint(e))
}

// unknown reports whether err says that the module no longer knows the session.
func unknown(err error) bool {
	return is(err, p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED, p11.CKR_DEVICE_REMOVED,
		p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_SLOT_ID_INVALID, p11.CKR_CRYPTOKI_NOT_INITIALIZED)
}

// lost reports whether err says that the session, the login or the token is gone, or that
// the number of the wrapping key is an old one.
func lost(err error) bool {
	return unknown(err) || is(err, p11.CKR_USER_NOT_LOGGED_IN, p11.CKR_TOKEN_NOT_RECOGNIZED,
		p11.CKR_WRAPPING_KEY_HANDLE_INVALID, p11.CKR_UNWRAPPING_KEY_HANDLE_INVALID)
}
