package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"coffer/vault/server/store"
	"coffer/vault/server/store/etcd/etcdtest"
)

// BenchmarkCharge charges records through the store ("store") and by the same read and
// transaction on the bare client ("bare"), each client its own record.
func BenchmarkCharge(b *testing.B) {
	c := etcdtest.StartCluster(b, 1)
	s := mustOpen(b, clusterOptions(c))
	row := make([]byte, 600) // about a sealed record
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("bare/%d", clients), func(b *testing.B) {
			together(b, clients, func(id store.ID) error { return bareCharge(b.Context(), s, id, row) })
		})
		b.Run(fmt.Sprintf("store/%d", clients), func(b *testing.B) {
			together(b, clients, func(id store.ID) error { return storeCharge(b.Context(), s, id, row) })
		})
	}
}

// together has clients share the b.N charges.
func together(b *testing.B, clients int, charge func(store.ID) error) {
	for n := range clients {
		if err := charge(store.ID{byte(n)}); err != nil {
			b.Fatal(err)
		}
	}
	var begun atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for n := range clients {
		wg.Go(func() {
			for begun.Add(1) <= int64(b.N) {
				if err := charge(store.ID{byte(n)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "charges/s")
}

func storeCharge(ctx context.Context, s *DB, id store.ID, row []byte) error {
	_, revision, err := s.Fetch(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return s.Create(ctx, id, row)
	}
	if err != nil {
		return err
	}
	return s.Replace(ctx, id, revision, row)
}

func bareCharge(ctx context.Context, s *DB, id store.ID, row []byte) error {
	key := s.key(id)
	read, err := s.client.Get(ctx, key)
	if err != nil {
		return err
	}
	revision := int64(0)
	if len(read.Kvs) > 0 {
		revision = read.Kvs[0].ModRevision
	}
	answer, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpPut(key, string(row))).
		Commit()
	if err == nil && !answer.Succeeded {
		err = errors.New("overtaken")
	}
	return err
}
