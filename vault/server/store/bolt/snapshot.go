package bolt

import (
	"context"
	"fmt"
	"io"

	bbolt "go.etcd.io/bbolt"
)

// Snapshot copies the whole store as it is at one moment, while it is used; what is written
// to w is a file that [Open] opens. Erasures wait for it, and others for them: w should be
// a file, and nobody's connection. Errors as in [store.Store], or those of w.
//
// The copy holds what the file holds, free pages too. A record that is destroyed later
// lives on in it.
func (s *DB) Snapshot(ctx context.Context, w io.Writer) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("copy store: %w", err)
	}
	s.quiet.RLock()
	defer s.quiet.RUnlock()
	o := &obedient{ctx: ctx, w: w}
	err := s.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(o)
		return err
	})
	if o.err != nil {
		err = o.err // bbolt says it without wrapping it
	}
	return done("copy store", nil, err)
}

// obedient is a writer that stops when its context ends, and remembers why.
type obedient struct {
	ctx context.Context
	w   io.Writer
	err error
}

func (o *obedient) Write(b []byte) (n int, err error) {
	if o.err = o.ctx.Err(); o.err != nil {
		return 0, o.err
	}
	n, o.err = o.w.Write(b)
	return n, o.err
}
