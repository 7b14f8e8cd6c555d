package rclone

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"coffer/cloud"
)

// maxOutput is how much of what a program prints is kept. A thousand remotes are
// 30 KB.
const maxOutput = 1 << 20

// A process is a program that runs.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when it has ended
	tether tether        // what ends it with us
	once   sync.Once     // lets go of it
}

// startProcess starts a program that must not outlive us.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	if err := p.tether.prepare(cmd); err != nil {
		return nil, err
	}
	cmd.WaitDelay = endTime
	started := make(chan error)
	go func() {
		// The kernel ends the child with the thread that started it. So this
		// goroutine keeps its thread, and lives as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // why it ended is in what it said
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, p.tether.release())
	}
	if err := p.tether.hold(cmd.Process); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// end asks the process to end, makes it end, and waits for it: rclone may be
// about to save a sign-in that the service has just renewed.
func (p *process) end() {
	_ = p.cmd.Process.Signal(politely()) // it may have ended
	patience := time.NewTimer(endTime)
	defer patience.Stop()
	select {
	case <-p.ended:
	case <-patience.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	p.once.Do(func() { _ = p.tether.release() }) // of a process that has ended
}

// output runs a program to its end, or until ctx is over, and returns what it
// printed, and the error of a program that failed: see [failure].
func output(ctx context.Context, remote string, cmd *exec.Cmd) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out, said := &capped{}, newWords(remote)
	cmd.Stdout, cmd.Stderr = out, said
	p, err := startProcess(cmd)
	if err != nil {
		return nil, startError(err)
	}
	defer p.end()
	select {
	case <-p.ended:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch {
	case !cmd.ProcessState.Success():
		return nil, &failure{cmd.ProcessState.ExitCode(), classOf(said.since(0))}
	case out.over:
		return nil, cloud.Final(fmt.Errorf("%w: rclone prints too much", cloud.ErrTooLarge))
	}
	return out.text, nil
}

// capped keeps the beginning of what is written.
type capped struct {
	text []byte
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	kept := min(len(p), maxOutput-len(c.text))
	c.text = append(c.text, p[:kept]...)
	c.over = c.over || kept < len(p)
	return len(p), nil
}

// What rclone's exit codes mean, of its documentation.
const (
	exitNoFolder = 3
	exitNoFile   = 4
)

// A failure is the end of a program that could not do what it was asked to. Its
// class is that of the exit code, else of what it said.
type failure struct {
	code  int
	class error
}

func (f *failure) Error() string {
	return f.Unwrap().Error() + fmt.Sprintf(": rclone ended with %d", f.code)
}

func (f *failure) Unwrap() error {
	switch {
	case f.code == exitNoFolder, f.code == exitNoFile:
		return cloud.ErrNoPlace
	case f.class != nil:
		return f.class
	}
	return errUnknown
}

// errUnknown: rclone could not, and did not say why in words that are known here.
var errUnknown = fmt.Errorf("%w: rclone could not do it", cloud.ErrOffline)
