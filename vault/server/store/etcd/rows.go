package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"coffer/vault/server/store"
)

var _ interface {
	store.Store
	store.Lister
} = (*DB)(nil)

// errOvertaken ends a write of unknown outcome: no sentinel of package store.
var errOvertaken = errors.New("etcd: an answer was lost, and the row is now another's: ours may have been before it")

// pageRows is how many names List asks for at a time: some 100 KiB.
const pageRows = 1000

func (s *DB) key(id store.ID) string { return s.rows + string(id[:]) }

// Create keeps a new row. Errors as in [store.Store].
func (s *DB) Create(ctx context.Context, id store.ID, row []byte) error {
	w := &write{key: s.key(id), row: row, refused: store.ErrExists}
	w.conditions = []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(w.key), "=", 0)}
	if err := s.commit(ctx, w); err != nil {
		return fmt.Errorf("create row: %w", err)
	}
	return nil
}

// Replace puts row in the place of a revision. Errors as in [store.Store].
func (s *DB) Replace(ctx context.Context, id store.ID, revision store.Revision, row []byte) error {
	w := &write{key: s.key(id), row: row, refused: store.ErrChanged}
	w.conditions = []clientv3.Cmp{
		// A row that is absent has revision 0: without this, Replace could create one.
		clientv3.Compare(clientv3.CreateRevision(w.key), ">", 0),
		clientv3.Compare(clientv3.ModRevision(w.key), "=", int64(revision)),
	}
	if err := s.commit(ctx, w); err != nil {
		return fmt.Errorf("replace row: %w", err)
	}
	return nil
}

// A write is one row on its way into the cluster.
type write struct {
	key        string
	row        []byte
	conditions []clientv3.Cmp
	refused    error // what a refusal means while the row exists

	lost bool // the answer to an earlier copy was lost: that copy may be written
}

// commit sends w until it is known what became of it, or its time is over.
func (s *DB) commit(ctx context.Context, w *write) error {
	if len(w.row) == 0 || len(w.row) > store.MaxRow {
		return store.ErrRow
	}
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	return s.request(ctx, func(ctx context.Context) error {
		answer, err := s.client.Txn(ctx).If(w.conditions...).
			Then(clientv3.OpPut(w.key, string(w.row))).
			Else(w.look()).
			Commit()
		if err != nil {
			// Also an error that says "refused" is taken for a lost answer: which
			// errors are sent before a write and which after it, no version of etcd
			// promises.
			w.lost = true
			return err
		}
		return w.judge(answer)
	})
}

// look is what a refused write reads in the same transaction: whether there is a row, and
// which, where that can tell who wrote it.
func (w *write) look() clientv3.Op {
	if w.lost {
		return clientv3.OpGet(w.key)
	}
	return clientv3.OpGet(w.key, clientv3.WithKeysOnly())
}

// judge says what became of w.
func (w *write) judge(answer *clientv3.TxnResponse) error {
	if answer.Succeeded {
		return nil
	}
	there := found(answer)
	switch {
	case w.lost && there != nil && bytes.Equal(there.Value, w.row):
		return nil
	case w.lost:
		return errOvertaken
	case there == nil:
		// Create's condition fails for no absent row, so this is Replace.
		return store.ErrNotFound
	}
	return w.refused
}

// found gives the row that the else branch of a transaction has read, or nil.
func found(answer *clientv3.TxnResponse) *mvccpb.KeyValue {
	if len(answer.Responses) != 1 {
		return nil
	}
	read := answer.Responses[0].GetResponseRange()
	if read == nil || len(read.Kvs) != 1 {
		return nil
	}
	return read.Kvs[0]
}

// Fetch returns a row. Errors as in [store.Store]; [ErrDamaged].
func (s *DB) Fetch(ctx context.Context, id store.ID) ([]byte, store.Revision, error) {
	answer, err := s.get(ctx, s.key(id))
	if err != nil {
		return nil, 0, fmt.Errorf("fetch row: %w", err)
	}
	if len(answer.Kvs) == 0 {
		return nil, 0, fmt.Errorf("fetch row: %w", store.ErrNotFound)
	}
	kv := answer.Kvs[0]
	if len(kv.Value) == 0 || len(kv.Value) > store.MaxRow || kv.ModRevision <= 0 {
		return nil, 0, fmt.Errorf("fetch row: %w", ErrDamaged)
	}
	return kv.Value, store.Revision(kv.ModRevision), nil
}

// List names all rows. It reads page by page, each as of its own moment: rows that are
// created meanwhile may be missing.
func (s *DB) List(ctx context.Context, fn func(store.ID) error) error {
	end := clientv3.GetPrefixRangeEnd(s.rows)
	for from := s.rows; ; {
		page, err := s.get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageRows), clientv3.WithKeysOnly())
		if err != nil {
			return fmt.Errorf("list rows: %w", err)
		}
		for _, kv := range page.Kvs {
			name := kv.Key[min(len(s.rows), len(kv.Key)):]
			if len(name) != len(store.ID{}) {
				return fmt.Errorf("list rows: %w", ErrDamaged)
			}
			if err := fn(store.ID(name)); err != nil {
				return err
			}
		}
		if !page.More || len(page.Kvs) == 0 {
			return nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// get reads, linearizably.
func (s *DB) get(ctx context.Context, key string, options ...clientv3.OpOption) (answer *clientv3.GetResponse, err error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	err = s.request(ctx, func(ctx context.Context) error {
		answer, err = s.client.Get(ctx, key, options...)
		return err
	})
	return answer, err
}
