package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// signals turns Ctrl-C and SIGTERM into a clean end: the first one cancels the work, the
// second one ends the process at once. SIGPIPE stays with the run-time of Go, which ends
// the process quietly when standard output has no reader any more (`coffer ls ... | head`).
type signals struct {
	mu      sync.Mutex
	console *console
	restore func() // not nil while an answer is awaited: gives the terminal its echo back
}

// watchSignals starts to watch; stop ends it. This is the only goroutine of the command.
func (p *program) watchSignals() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	p.ctx, p.signals = ctx, &signals{}
	arrived := make(chan os.Signal, 2)
	done := make(chan struct{})
	signal.Notify(arrived, os.Interrupt, syscall.SIGTERM)
	go func() {
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			case <-arrived:
				p.signals.handle(n, cancel)
			}
		}
	}()
	return func() {
		signal.Stop(arrived)
		close(done)
		cancel()
	}
}

// handle acts on the nth signal.
func (s *signals) handle(n int, cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 1 || s.restore != nil {
		// Nothing is lost at a prompt, and a read from the terminal cannot be canceled:
		// leave at once, but never with a terminal that has no echo.
		if s.restore != nil {
			s.restore()
		}
		_, _ = os.Stderr.WriteString("\n")
		os.Exit(exitCanceled) //nolint:gocritic // the lock goes with the process
	}
	cancel()
	if s.console != nil {
		s.console.warn("Stopping. Press Ctrl-C again to end at once.")
	}
}

func (s *signals) attach(c *console) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.console = c
}

// whileAsking runs read, during which a signal ends the process: nothing is being done
// that could be lost, and a read of a terminal or a pipe cannot be canceled.
func (s *signals) whileAsking(read func()) {
	s.set(func() {})
	defer s.set(nil)
	read()
}

// set says how the terminal is restored before a signal ends the process; nil says that a
// signal cancels. Programs that nobody watches have no signals.
func (s *signals) set(restore func()) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restore = restore
}
