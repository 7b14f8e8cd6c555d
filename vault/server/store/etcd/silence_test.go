package etcd

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"coffer/vault/server/store"
)

// A scripted server does a write, and then says what a script tells it to.
type scripted struct {
	pb.UnimplementedKVServer

	mu     sync.Mutex
	script []error            // what the next transactions are answered with, after they were done
	then   *mvccpb.KeyValue   // what the else branch reads when the script is over
	asked  []*pb.RangeRequest // the else branches that came
}

func (s *scripted) Txn(_ context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	look := r.Failure[0].GetRequestRange()
	s.asked = append(s.asked, look)
	if len(s.script) > 0 {
		err := s.script[0]
		s.script = s.script[1:]
		return nil, err
	}
	kv := &mvccpb.KeyValue{Key: s.then.Key, ModRevision: s.then.ModRevision}
	if !look.KeysOnly {
		kv.Value = s.then.Value
	}
	read := &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv}}
	return &pb.TxnResponse{Header: &pb.ResponseHeader{}, Responses: []*pb.ResponseOp{{Response: &pb.ResponseOp_ResponseRange{ResponseRange: read}}}}, nil
}

// startScripted gives a store whose cluster is s.
func startScripted(t *testing.T, s *scripted) *DB {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterKVServer(server, s)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() { server.Stop(); <-served })
	options, err := Options{Endpoints: []string{l.Addr().String()}, RequestTimeout: 20 * time.Second}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	db := &DB{options: options, rows: "row/"}
	db.client, err = db.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// A server that stops cancels what it has done. The client library of etcd would repeat
// that in silence, and we would hear "changed" of a write that is there.
func TestNoWriteIsRepeatedBehindOurBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		script []error
		there  string
		want   error
		calls  int
	}{
		{"done, cancelled", []error{status.Error(codes.Canceled, "context canceled")}, "ours", nil, 2},
		{"done, too late", []error{status.Error(codes.DeadlineExceeded, "deadline")}, "ours", nil, 2},
		{"done, server gone, twice", []error{status.Error(codes.Unavailable, "x"), status.Error(codes.Unavailable, "y")}, "ours", nil, 3},
		{"done, cancelled, overtaken", []error{status.Error(codes.Canceled, "context canceled")}, "theirs", errOvertaken, 2},
		{"done, no leader, overtaken", []error{status.Error(codes.Unavailable, "etcdserver: no leader")}, "theirs", errOvertaken, 2},
		{"refused", nil, "theirs", store.ErrChanged, 1},
		{"refused, and there is ours from a write before", nil, "ours", store.ErrChanged, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scripted{script: c.script, then: &mvccpb.KeyValue{Value: []byte(c.there), ModRevision: 7}}
			err := startScripted(t, s).Replace(t.Context(), store.ID{1}, 6, []byte("ours"))
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if len(s.asked) != c.calls {
				t.Errorf("sent %d times, want %d", len(s.asked), c.calls)
			}
		})
	}
}

// What will not go away is not repeated, and is of unknown outcome like all else.
func TestErrorsThatStayAreNotRepeated(t *testing.T) {
	for _, code := range []codes.Code{codes.PermissionDenied, codes.ResourceExhausted, codes.InvalidArgument, codes.DataLoss, codes.Unimplemented} {
		s := &scripted{script: []error{status.Error(code, "x")}, then: &mvccpb.KeyValue{Value: []byte("theirs"), ModRevision: 7}}
		wantUnknown(t, startScripted(t, s).Replace(t.Context(), store.ID{1}, 6, []byte("ours")))
		if len(s.asked) != 1 {
			t.Errorf("%v: sent %d times, want 1", code, len(s.asked))
		}
	}
}
