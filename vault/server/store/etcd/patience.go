package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// How long to wait before a request is sent again: an election takes about a second.
const (
	firstWait = 20 * time.Millisecond
	lastWait  = 300 * time.Millisecond
)

// patiently calls send until it succeeds, fails for good, or ctx is over.
func (s *DB) patiently(ctx context.Context, send func(context.Context) error) error {
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := send(ctx)
		if err == nil || !s.passing(err) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// request is patiently, within the time that one request has. Each copy has half of it,
// so that a member that does not answer leaves time to ask another.
func (s *DB) request(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.RequestTimeout)
	defer cancel()
	return s.patiently(ctx, func(ctx context.Context) error {
		ctx, cancel := s.once(ctx)
		defer cancel()
		return send(ctx)
	})
}

// once gives the context of one copy of a request. A member that knows no leader is to
// say so at once, instead of waiting for one as long as the request lasts.
func (s *DB) once(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(clientv3.WithRequireLeader(ctx), s.options.RequestTimeout/2)
}

// passing says whether an error may go away by itself, so that sending again makes sense.
// It says nothing about what was done: no error does.
func (s *DB) passing(err error) bool {
	if errors.Is(err, rpctypes.ErrInvalidAuthToken) || errors.Is(err, rpctypes.ErrAuthOldRevision) {
		return true // the client library has signed in again meanwhile
	}
	if errors.Is(err, rpctypes.ErrUserEmpty) {
		return s.options.Username != "" // likewise; without a name it never will
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true // of one copy; patiently looks at the request's own context
	}
	switch code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.Internal:
		return true
	case codes.Unknown:
		// How etcd reports what has no code of its own, such as a proposal that was
		// dropped during an election. Errors of this package are none of gRPC's.
		_, remote := status.FromError(err)
		return remote
	}
	return false
}

func code(err error) codes.Code {
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e.Code()
	}
	return status.Code(err)
}
