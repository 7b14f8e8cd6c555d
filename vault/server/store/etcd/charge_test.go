package etcd

import (
	"context"
	"errors"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"coffer/vault/server/store"
)

// A charge's row is "count:author", where no author comes twice: like a sealed record,
// no two rows are the same.

// chargeOnce adds one to the count, once.
func chargeOnce(ctx context.Context, s store.Store, id store.ID, author int) error {
	row, revision, err := s.Fetch(ctx, id)
	if err != nil {
		return fmt.Errorf("before the charge: %w", err)
	}
	n, err := parseCount(row)
	if err != nil {
		return err
	}
	return s.Replace(ctx, id, revision, fmt.Appendf(nil, "%d:%d", n+1, author))
}

func parseCount(row []byte) (n int, err error) {
	_, err = fmt.Sscanf(string(row), "%d:", &n)
	return n, err
}

func readCount(ctx context.Context, s store.Store, id store.ID) (int, error) {
	row, _, err := s.Fetch(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parseCount(row)
}

func TestTheJudgeOfRefusals(t *testing.T) {
	s := &write{row: []byte("ours"), refused: store.ErrChanged}
	for _, c := range []struct {
		name string
		lost bool
		row  string // empty: absent
		want error
	}{
		{"another's row", false, "theirs", store.ErrChanged},
		{"no row", false, "", store.ErrNotFound},
		{"our row, from a write before", false, "ours", store.ErrChanged},
		{"our row, after a lost answer", true, "ours", nil},
		{"a piece of our row, after a lost answer", true, "our", errOvertaken},
		{"another's row, after a lost answer", true, "theirs", errOvertaken},
		{"no row, after a lost answer", true, "", errOvertaken},
	} {
		w := *s
		w.lost = c.lost
		if err := w.judge(refusal(c.row)); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// refusal is the answer to a transaction whose condition did not hold.
func refusal(row string) *clientv3.TxnResponse {
	read := &pb.RangeResponse{}
	if row != "" {
		read.Kvs = []*mvccpb.KeyValue{{Value: []byte(row), ModRevision: 7}}
	}
	return &clientv3.TxnResponse{Responses: []*pb.ResponseOp{{Response: &pb.ResponseOp_ResponseRange{ResponseRange: read}}}}
}
