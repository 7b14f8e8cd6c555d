package keyring

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"coffer/app"
)

func open(available error) *Keyring {
	k := New("Coffer test", "", false)
	k.available = func(context.Context) error { return available }
	return k
}

func TestACallThatHangsIsGivenUpAndNoOtherIsBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := open(nil)
		release := make(chan struct{})
		var calls atomic.Int32
		hang := func() (string, error) { calls.Add(1); <-release; return "late", nil }
		start := time.Now()
		for range 3 {
			if _, err := k.call(t.Context(), hang); !errors.Is(err, app.ErrKeyringWaiting) {
				t.Fatalf("got %v, want ErrKeyringWaiting", err)
			}
		}
		if took := time.Since(start); took != 3*limit {
			t.Errorf("three calls took %v, want %v", took, 3*limit)
		}
		if calls.Load() != 1 {
			t.Errorf("%d calls hang in the key store, want 1", calls.Load())
		}
		close(release)
		synctest.Wait()
		text, err := k.call(t.Context(), func() (string, error) { return "text", nil })
		if text != "text" || err != nil {
			t.Errorf("after the key store answered again: %q, %v", text, err)
		}
	})
}

func TestCancelIsObeyedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := open(nil)
		release := make(chan struct{})
		defer close(release)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := k.call(ctx, func() (string, error) { <-release; return "", nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the caller's deadline", err)
		}
	})
}

func TestWithoutAKeyStoreNothingIsAsked(t *testing.T) {
	k := open(app.ErrNoKeyring)
	_, err := k.call(t.Context(), func() (string, error) { t.Error("asked"); return "", nil })
	if !errors.Is(err, app.ErrNoKeyring) {
		t.Errorf("got %v, want ErrNoKeyring", err)
	}
}

func TestASecretLargerThanWindowsTakesIsRefusedEverywhere(t *testing.T) {
	err := open(nil).Set(t.Context(), "account", app.NewSecret(make([]byte, maxSecret+1)))
	if !errors.Is(err, app.ErrNoKeyring) {
		t.Errorf("got %v, want ErrNoKeyring", err)
	}
}
