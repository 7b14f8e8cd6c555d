package sftp

import (
	"context"
	"fmt"
)

// A way is how a temporary file gets its name.
type way int32

// The ways.
const (
	untried  way = iota
	byLink       // a hard link, then the temporary name is removed
	byRename     // the rename of version 3, which this server refuses when the name is taken
	byLook       // the same, but this server overwrites: it is looked for first
)

// exclusive reports whether of many writers exactly one gets the name.
func (w way) exclusive() bool { return w == byLink || w == byRename }

// An ability is what is known of an extension.
type ability int32

const (
	unknown ability = iota
	works
	fails // it is announced, but not here
)

// A turnstile lets one through at a time, and waiting for it obeys a context.
type turnstile chan struct{}

func newTurnstile() turnstile { return make(turnstile, 1) }

func (t turnstile) enter(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryEnter goes through if nobody is in there.
func (t turnstile) tryEnter() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t turnstile) leave() { <-t }

// method returns how to publish here, which the first upload finds out.
func (d *Driver) method(ctx context.Context, v *visit) (way, error) {
	if w := way(d.way.Load()); w != untried {
		return w, nil
	}
	if err := d.trying.enter(ctx); err != nil {
		return untried, err
	}
	defer d.trying.leave()
	if w := way(d.way.Load()); w != untried {
		return w, nil
	}
	w, err := d.tryOut(ctx, v)
	if err != nil {
		return untried, fmt.Errorf("find out how to publish: %w", err)
	}
	d.way.Store(int32(w))
	return w, nil
}

// tryOut publishes files of our own: over a name that is taken, which must be
// refused, and under one that is free, which must work and be seen.
func (d *Driver) tryOut(ctx context.Context, v *visit) (way, error) {
	from, taken, free, other := d.temp(v), d.temp(v), d.temp(v), d.temp(v)
	made := []string{}
	defer func() {
		for _, temp := range made {
			d.discard(ctx, v, temp)
		}
	}()
	for i, temp := range []string{from, taken} {
		made = append(made, temp)
		if err := d.probe(ctx, v, temp, i+1); err != nil {
			return untried, err
		}
	}
	if v.announces(extHardlink, "1") {
		made = append(made, free)
		err := d.exclusively(ctx, v, v.link, from, taken, free)
		if err == nil {
			return byLink, nil
		}
		if !isRefusal(err) {
			return untried, err
		}
	}
	made = append(made, other)
	err := d.exclusively(ctx, v, v.rename, from, taken, other)
	if err == nil {
		return byRename, nil
	}
	if isCode(err, codeOK) { // it went through
		return byLook, nil
	}
	if isRefusal(err) {
		err = d.explain(ctx, v, d.folder, 0, err)
	}
	return untried, err
}

// exclusively tries one way to give from (of one byte) another name. A refusal
// with codeOK means that it replaced what had the name.
func (d *Driver) exclusively(ctx context.Context, v *visit, move func(ctx context.Context, from, to string) error, from, taken, free string) error {
	err := move(ctx, d.at(from), d.at(taken))
	if err == nil {
		if err := d.sized(ctx, v, taken, 1); err != nil {
			return err
		}
		return &statusError{codeOK}
	}
	if !isRefusal(err) {
		return err
	}
	if err := move(ctx, d.at(from), d.at(free)); err != nil {
		return err
	}
	return d.sized(ctx, v, free, 1)
}

// sized is a refusal if the file is not there with that size: a server may say OK
// and do nothing.
func (d *Driver) sized(ctx context.Context, v *visit, temp string, size int64) error {
	a, err := v.lstat(ctx, d.at(temp))
	if err != nil {
		return err
	}
	if has, ok := a.bytes(); !ok || has != size {
		return &statusError{codeFailure}
	}
	return nil
}

// probe makes a temporary file of n bytes.
func (d *Driver) probe(ctx context.Context, v *visit, temp string, n int) error {
	handle, err := v.open(ctx, d.at(temp), openWrite|openCreate|openExcl)
	if isCode(err, codeNoSuchFile) {
		return d.gone(ctx, v)
	}
	if err == nil {
		err = d.scribble(ctx, v, handle, n)
		if closing := v.about(ctx, kindClose, handle); err == nil {
			err = closing
		}
	}
	if isRefusal(err) {
		err = d.explain(ctx, v, d.folder, int64(n), err)
	}
	return err
}

// scribble writes n bytes to the handle.
func (d *Driver) scribble(ctx context.Context, v *visit, handle string, n int) error {
	return v.order(ctx, func(id uint32) []byte {
		packet := appendWriteHeader(nil, id, handle, 0, n)
		return sealed(append(packet, make([]byte, n)...))
	})
}

// flush brings what was written to the server's disk, if the server can do that.
func (d *Driver) flush(ctx context.Context, v *visit, handle string) error {
	if ability(d.flushes.Load()) == fails || !v.announces(extFsync, "1") {
		return nil // there is nothing better to do there
	}
	err := v.fsync(ctx, handle)
	if err == nil {
		d.flushes.Store(int32(works))
		return nil
	}
	if !isRefusal(err) || ability(d.flushes.Load()) == works {
		return err
	}
	// Never seen to work. Has this flush failed, or do they all?
	if !isCode(err, codeUnsupported, codeBadMessage) {
		able, trouble := d.flushesByte(ctx, v)
		if trouble != nil {
			return trouble
		}
		if able {
			return err
		}
	}
	d.flushes.Store(int32(fails))
	return nil
}

// flushesByte reports whether a file of one byte can be flushed.
func (d *Driver) flushesByte(ctx context.Context, v *visit) (bool, error) {
	temp := d.temp(v)
	handle, err := v.open(ctx, d.at(temp), openWrite|openCreate|openExcl)
	if err != nil {
		return false, err
	}
	defer d.abandon(ctx, v, handle, temp)
	if err := d.scribble(ctx, v, handle, 1); err != nil {
		return false, err
	}
	switch err := v.fsync(ctx, handle); {
	case err == nil:
		d.flushes.Store(int32(works))
		return true, nil
	case isRefusal(err):
		return false, nil
	default:
		return false, err
	}
}
