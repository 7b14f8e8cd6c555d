package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// watchSignals turns Ctrl-C and SIGTERM into the end of the program's context: a vault
// finishes what is under way. The second one ends the process at once.
func (p *program) watchSignals() (stop func()) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p.ctx = ctx
	// From the first signal on the system's own way to end a process is back.
	context.AfterFunc(ctx, stop)
	return stop
}
