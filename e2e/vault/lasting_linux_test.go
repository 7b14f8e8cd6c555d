package vault_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A lasting is a testing.TB for what outlives one test: the servers of a world, which many
// tests share. What goes wrong is reported to the test that uses them at the moment.
type lasting struct {
	testing.TB // nil: only what is overridden may be used
	dir        string
	ctx        context.Context
	cancel     context.CancelFunc

	mu       sync.Mutex
	user     testing.TB // guarded by mu; nil: nobody, the end has come
	failed   bool       // guarded by mu
	folders  int        // guarded by mu
	cleanups []func()   // guarded by mu; last one first
}

func newLasting(dir string) *lasting {
	l := &lasting{dir: dir}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// lend gives the lasting to t, until t ends.
func (l *lasting) lend(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.user != nil {
		t.Fatal("a world is used by two tests at once")
	}
	l.user = t
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.user = nil
	})
}

// end ends everything that was started, and says whether something was wrong.
func (l *lasting) end() error {
	l.cancel()
	for {
		l.mu.Lock()
		n := len(l.cleanups)
		if n == 0 {
			failed := l.failed
			l.mu.Unlock()
			if failed {
				return errors.New("something went wrong after the last test")
			}
			return nil
		}
		last := l.cleanups[n-1]
		l.cleanups = l.cleanups[:n-1]
		l.mu.Unlock()
		last()
	}
}

func (l *lasting) to(act func(t testing.TB), text string) {
	l.mu.Lock()
	t := l.user
	if t == nil {
		l.failed = true
	}
	l.mu.Unlock()
	if t == nil {
		fmt.Fprintln(os.Stderr, text)
		return
	}
	t.Helper()
	act(t)
}

func (l *lasting) Helper() {}

func (l *lasting) Cleanup(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleanups = append(l.cleanups, f)
}

func (l *lasting) Context() context.Context { return l.ctx }

func (l *lasting) Name() string { return filepath.Base(l.dir) }

func (l *lasting) TempDir() string {
	l.mu.Lock()
	l.folders++
	dir := filepath.Join(l.dir, fmt.Sprintf("f%d", l.folders))
	l.mu.Unlock()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		l.Fatal(err)
	}
	return dir
}

func (l *lasting) Failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed || l.user != nil && l.user.Failed()
}

func (l *lasting) Log(args ...any) {
	l.mu.Lock()
	t := l.user
	l.mu.Unlock()
	if t != nil {
		t.Helper()
		t.Log(args...)
	}
}

func (l *lasting) Logf(format string, args ...any) { l.Log(fmt.Sprintf(format, args...)) }

func (l *lasting) Error(args ...any) {
	text := fmt.Sprint(args...)
	l.to(func(t testing.TB) { t.Helper(); t.Error(text) }, text)
}

func (l *lasting) Errorf(format string, args ...any) { l.Error(fmt.Sprintf(format, args...)) }

func (l *lasting) Fatal(args ...any) {
	text := fmt.Sprint(args...)
	l.to(func(t testing.TB) { t.Helper(); t.Fatal(text) }, text)
	panic(text) // there is no test to end
}

func (l *lasting) Fatalf(format string, args ...any) { l.Fatal(fmt.Sprintf(format, args...)) }

// Skip is for a thing that this computer does not let us do. A program that is not installed
// is no reason.
func (l *lasting) Skip(args ...any) {
	text := fmt.Sprint(args...)
	if !strings.Contains(text, "not permitted") {
		l.Fatalf("%s (scripts/packages.sh vault)", text)
	}
	l.to(func(t testing.TB) { t.Helper(); t.Skip(text) }, text)
	panic(text)
}

func (l *lasting) Skipf(format string, args ...any) { l.Skip(fmt.Sprintf(format, args...)) }
