package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

func TestComputerNamesCanBeShown(t *testing.T) {
	for name, want := range map[string]string{
		"ANN-LAPTOP": "ANN-LAPTOP", " Büro 中 ": "Büro 中", "a\x1b[2Jb\r\n": "a[2Jb", "\xff\xfe": "this computer", "": "this computer", //nolint:gocritic // the spaces are what is tested
		strings.Repeat("é", 100): strings.Repeat("é", maxComputer/2), strings.Repeat("中", 100): strings.Repeat("中", maxComputer/3),
	} {
		if got := computerName(name); got != want {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	}
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		if g.Paused() || g.Wait(t.Context()) != nil || (*Gate)(nil).Wait(t.Context()) != nil || (*Gate)(nil).Paused() {
			t.Fatal("a new gate, or none, is closed")
		}
		g.Pause()
		g.Pause()
		passed := make(chan error, 1)
		go func() { passed <- g.Wait(t.Context()) }()
		synctest.Wait()
		if len(passed) != 0 || !g.Paused() {
			t.Error("a closed gate lets through")
		}
		g.Resume()
		g.Resume()
		if err := <-passed; err != nil {
			t.Error(err)
		}
		g.Pause()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting after a cancel: %v", err)
		}
	})
}
