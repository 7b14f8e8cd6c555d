//go:build cgo

package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"coffer/vault/server/seal"
)

// TestLostConnections takes from a Token what a restarted module, a pulled cable or an
// operator would, and sees that the next request does not notice.
func TestLostConnections(t *testing.T) {
	h := newHSM(t)
	token := h.setup(t)
	r := newRecord(t, token)
	for name, lose := range map[string]func() error{
		"sessions closed":    func() error { return token.ctx.CloseAllSessions(token.slot) },
		"logged out":         func() error { return token.ctx.Logout(token.anchor) },
		"module ended":       token.ctx.Finalize,
		"one session closed": func() error { return token.ctx.CloseSession(token.idle[0]) },
		"module restarted":   func() error { return errors.Join(token.ctx.Finalize(), token.ctx.Initialize()) },
	} {
		r.check(t, name+", before")
		for call, f := range map[string]func(string) error{"Open": r.open, "Evaluate": r.evaluate, "Seal": r.seal, "NewKey": r.newKey} {
			life := token.now().life
			must(t, lose())
			if err := f("after"); err != nil || token.now().life == life {
				t.Errorf("%s, %s: %v", name, call, err)
			}
			if name == "one session closed" {
				r.check(t, name) // there must be an idle one to close
			}
		}
		r.check(t, name+", after")
	}
	if !token.booter {
		t.Error("nobody finalizes the module")
	}
}

// A testRecord is what one record has at a token.
type testRecord struct {
	token                                   *Token
	id                                      seal.ID
	handle, sealed, body, reference, answer []byte
}

func newRecord(t *testing.T, token *Token) *testRecord {
	t.Helper()
	r := &testRecord{token: token, id: seal.ID{5}, body: []byte("a body")}
	var err error
	r.handle, err = token.NewKey(t.Context(), r.id)
	must(t, err)
	r.sealed, err = token.Seal(t.Context(), r.id, r.handle, r.body)
	must(t, err)
	r.reference, err = token.NewOPRF(t.Context(), r.id, seal.Guard{})
	must(t, err)
	r.answer, err = token.Evaluate(t.Context(), r.id, r.reference, compressed(r.reference[1:66]))
	must(t, err)
	return r
}

func (r *testRecord) open(string) error {
	body, err := r.token.Open(context.Background(), r.id, r.handle, r.sealed)
	if err == nil && !bytes.Equal(body, r.body) {
		err = errors.New("another body")
	}
	return err
}

func (r *testRecord) evaluate(string) error {
	answer, err := r.token.Evaluate(context.Background(), r.id, r.reference, compressed(r.reference[1:66]))
	if err == nil && !bytes.Equal(answer, r.answer) {
		err = errors.New("another answer")
	}
	return err
}

func (r *testRecord) seal(string) error {
	_, err := r.token.Seal(context.Background(), r.id, r.handle, r.body)
	return err
}

func (r *testRecord) newKey(string) error {
	handle, err := r.token.NewKey(context.Background(), seal.ID{6})
	if err != nil {
		return err
	}
	return r.token.DestroyKey(context.Background(), seal.ID{6}, handle)
}

func (r *testRecord) check(t *testing.T, when string) {
	t.Helper()
	for _, f := range []func(string) error{r.open, r.evaluate, r.seal, r.newKey} {
		if err := f(when); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
}

// TestATokenThatIsAway fails with ErrHardware, does not ask for the PIN, and goes on when
// it is back.
func TestATokenThatIsAway(t *testing.T) {
	h := newHSM(t)
	token := h.setup(t)
	r := newRecord(t, token)
	tokens, away := filepath.Join(h.dir, "tokens"), filepath.Join(h.dir, "away")
	must(t, token.ctx.Finalize())
	must(t, os.Rename(tokens, away))
	must(t, os.Mkdir(tokens, 0o700))
	for range 3 {
		for _, f := range []func(string) error{r.open, r.evaluate, r.seal, r.newKey} {
			wantErr(t, "away", f("away"), seal.ErrHardware)
		}
		_, err := token.Status(t.Context())
		wantErr(t, "away", err, seal.ErrHardware)
		wantErr(t, "away", token.Ready(t.Context()), seal.ErrHardware)
	}
	must(t, token.ctx.Finalize())
	must(t, os.Remove(tokens))
	must(t, os.Rename(away, tokens))
	r.check(t, "back")
	must(t, token.Ready(t.Context()))
}

// TestManyLoseTheConnection: all who work when it is lost go on, and nothing is mixed up.
func TestManyLoseTheConnection(t *testing.T) {
	token := newHSM(t).setup(t)
	r := newRecord(t, token)
	var working, lost sync.WaitGroup
	stop := make(chan struct{})
	var failed, done atomic.Int32
	for range 12 {
		working.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, f := range []func(string) error{r.open, r.evaluate, r.seal} {
					// Two losses during one request are more than it bears.
					if err := f("race"); err != nil && !errors.Is(err, seal.ErrHardware) {
						failed.Add(1)
						t.Error(err)
					} else if err == nil {
						done.Add(1)
					}
				}
			}
		})
	}
	lost.Go(func() {
		defer close(stop)
		for done.Load() < 300 && failed.Load() == 0 {
			before := done.Load()
			loseIdle(token)
			for done.Load() < before+20 && failed.Load() == 0 {
				_ = r.evaluate("wait")
			}
		}
	})
	lost.Wait()
	working.Wait()
	r.check(t, "after")
	if life := token.now().life; life < 10 {
		t.Errorf("only %d connections: they were not lost", life)
	}
}

// loseIdle closes what nobody uses at the moment: SoftHSM 2.6 crashes when a session is
// closed under a call.
func loseIdle(token *Token) {
	token.mu.Lock()
	defer token.mu.Unlock()
	for _, h := range token.idle {
		_ = token.ctx.CloseSession(h) // it may be closed already
	}
}

// TestBusySessions: who waits for a session waits as long as his context, and a token
// whose calls do not return does not hold up the others for ever.
func TestBusySessions(t *testing.T) {
	h := newHSM(t)
	mustClose(t, h.setup(t))
	o := h.options()
	o.Sessions = 2
	token, err := Open(t.Context(), o)
	must(t, err)
	r := newRecord(t, token)
	release, busy := make(chan struct{}), make(chan struct{})
	var working sync.WaitGroup
	for range 2 {
		working.Go(func() {
			err := token.do(t.Context(), "hang", func(*session) error { busy <- struct{}{}; <-release; return nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	<-busy
	<-busy
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	working.Go(func() {
		_, err := token.Evaluate(ctx, r.id, r.reference, compressed(r.reference[1:66]))
		waiting <- err
	})
	cancel()
	wantErr(t, "no session", <-waiting, context.Canceled)
	close(release)
	working.Wait()
	r.check(t, "after")
	if len(token.idle) > o.Sessions {
		t.Errorf("%d sessions", len(token.idle))
	}
	mustClose(t, token)
	mustClose(t, token)
	wantErr(t, "closed", r.open(""), ErrClosed)
	wantErr(t, "closed", r.newKey(""), ErrClosed)
}

// TestDestroyedMeansDestroyed: without a login a token shows no key, and "there is none" is
// not "it was destroyed".
func TestDestroyedMeansDestroyed(t *testing.T) {
	h := newHSM(t)
	token := h.setup(t)
	destroy := func(r *testRecord) error { return token.DestroyKey(t.Context(), r.id, r.handle) }
	for name, lose := range map[string]func() error{
		"logged out":      func() error { return token.ctx.Logout(token.anchor) },
		"module ended":    token.ctx.Finalize,
		"sessions closed": func() error { return token.ctx.CloseAllSessions(token.slot) },
	} {
		r := newRecord(t, token)
		must(t, lose())
		must(t, destroy(r))
		wantErr(t, name, r.open(name), seal.ErrOpen)
		keys, err := token.Keys(t.Context())
		must(t, err)
		if len(keys) != 0 {
			t.Fatalf("%s: the key is still there", name)
		}
	}
	r := newRecord(t, token)
	tokens, away := filepath.Join(h.dir, "tokens"), filepath.Join(h.dir, "away")
	must(t, token.ctx.Finalize())
	must(t, os.Rename(tokens, away))
	must(t, os.Mkdir(tokens, 0o700))
	wantErr(t, "away", destroy(r), seal.ErrHardware)
	must(t, token.ctx.Finalize())
	must(t, os.Remove(tokens))
	must(t, os.Rename(away, tokens))
	r.check(t, "back")
	must(t, destroy(r))
	wantErr(t, "back", r.open(""), seal.ErrOpen)
}
