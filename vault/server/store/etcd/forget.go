package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"coffer/vault/server/store"
)

// maxCompactions bounds how often a compaction is tried again because somebody else's
// went further.
const maxCompactions = 20

// Forget is Replace, and then [DB.Purge]: when it returns nil, no former value of the row
// is in the key space or in the data file of any member. It is not Erase: write-ahead
// logs and other copies remain (see the package comment). Errors as in [store.Store];
// [ErrRemains] when the row is written and durable, but not every member was purged.
//
// A purge stops each member in turn for as long as it takes to write its data file anew:
// a minute for some gigabytes. Calls at the same time share one, but who may destroy
// records one after the other could keep the cluster busy with it: a large vault replaces,
// and purges now and then.
func (s *DB) Forget(ctx context.Context, id store.ID, revision store.Revision, row []byte) error {
	written, err := s.replace(ctx, id, revision, row)
	if err != nil {
		return fmt.Errorf("forget row: %w", err)
	}
	// Commit point: the row is new. What fails from here on is the purge alone.
	if err := s.purge(ctx, written); err != nil {
		return fmt.Errorf("forget row: %w: %w", ErrRemains, err)
	}
	return nil
}

// Purge drops all former values of all rows from the key space and from the data file of
// every member, as [DB.Forget] does: for a start after a crash, or when a member was away.
// [ErrRemains].
func (s *DB) Purge(ctx context.Context) error {
	mark, err := s.mark(ctx)
	if err == nil {
		err = s.purge(ctx, mark)
	}
	if err != nil {
		return fmt.Errorf("purge: %w: %w", ErrRemains, err)
	}
	return nil
}

// purge returns nil when what was replaced before revision upTo is gone from every member.
func (s *DB) purge(ctx context.Context, upTo int64) error {
	var purged int64
	select {
	case purged = <-s.purging:
	case <-ctx.Done():
		return ctx.Err()
	}
	if purged >= upTo {
		s.purging <- purged // by one that began after our write
		return nil
	}
	reached, err := s.purgeAll(ctx)
	if err == nil {
		purged = max(purged, reached)
	}
	s.purging <- purged
	return err
}

// purgeAll purges one member after the other, so that a quorum always answers. It returns
// a revision up to which all are purged. One that fails does not spare the others.
func (s *DB) purgeAll(ctx context.Context) (int64, error) {
	upTo, err := s.mark(ctx)
	if err != nil {
		return 0, err
	}
	var members *clientv3.MemberListResponse
	err = s.request(ctx, func(ctx context.Context) error {
		members, err = s.client.MemberList(ctx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("list members: %w", err)
	}
	var failed []error
	for _, m := range members.Members {
		if err := s.purgeMember(ctx, m.ClientURLs); err != nil {
			failed = append(failed, fmt.Errorf("purge member %x: %w", m.ID, err))
		}
	}
	return upTo, errors.Join(failed...)
}

// purgeMember compacts and defragments one member through the first of its addresses that
// may be used and answers.
func (s *DB) purgeMember(ctx context.Context, addresses []string) error {
	err := errors.New("etcd: the member has not said where it can be reached")
	for _, a := range addresses {
		if err = s.purgeAt(ctx, a); err == nil {
			return nil
		}
	}
	return err
}

func (s *DB) purgeAt(ctx context.Context, address string) (err error) {
	// The members say their addresses themselves: they must not lead around TLS.
	address, err = clientAddress(address, s.options.TLS != nil)
	if err != nil {
		return err
	}
	client, err := s.dialSoon(ctx, address)
	if err != nil {
		return err
	}
	defer func() {
		if closing := client.Close(); !errors.Is(closing, context.Canceled) {
			err = errors.Join(err, closing)
		}
	}()
	// Is it there? The calls below wait as long as ctx allows.
	err = s.request(ctx, func(ctx context.Context) error {
		_, err := client.Status(ctx, address)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.compact(ctx, client); err != nil {
		return err
	}
	if _, err := client.Defragment(ctx, address); err != nil {
		return fmt.Errorf("defragment: %w", err)
	}
	return nil
}

// dialSoon is dial for one member, which may be away: signing in must not wait for it as
// long as ctx allows.
func (s *DB) dialSoon(ctx context.Context, address string) (*clientv3.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.RequestTimeout)
	defer cancel()
	return s.dial(ctx, []string{address})
}

// compact compacts the cluster and waits until this member has carried it out. A member
// tells only of a compaction that it was asked for itself, and there is one for each
// revision: so each member is asked for one of its own, of a fresh revision. Members
// carry compactions out in their order, the earlier ones first.
func (s *DB) compact(ctx context.Context, member *clientv3.Client) error {
	for range maxCompactions {
		revision, err := s.mark(ctx)
		if err != nil {
			return err
		}
		_, err = member.Compact(ctx, revision, clientv3.WithCompactPhysical())
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // another vault's went further meanwhile
		}
		if err != nil {
			return fmt.Errorf("compact: %w", err)
		}
		return nil
	}
	return errors.New("etcd: compact: always overtaken")
}

// mark writes a key for its revision alone.
func (s *DB) mark(ctx context.Context) (revision int64, err error) {
	leave, err := s.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	err = s.request(ctx, func(ctx context.Context) error {
		answer, err := s.client.Put(ctx, s.options.Prefix+"mark", "")
		if err != nil {
			return err
		}
		revision = answer.Header.Revision
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("mark: %w", err)
	}
	return revision, nil
}
