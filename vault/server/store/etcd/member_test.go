package etcd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/vault/server/store"
	"coffer/vault/server/store/etcd/etcdtest"
)

func TestAMinorityOfMembersIsNotReady(t *testing.T) {
	t.Parallel()
	options := memberOptions(t, 3, nil)
	members := startMembers(t, options)
	s := mustOpen(t, Options{Endpoints: members[0].Endpoints(), RequestTimeout: 20 * time.Second})
	if err := s.Create(t.Context(), store.ID{1}, []byte("one")); err != nil {
		t.Fatal(err)
	}
	for _, m := range members[1:] {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		<-m.Stopped()
		if err := m.Ready(t.Context()); !errors.Is(err, ErrStopped) {
			t.Fatalf("a closed member is ready: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := members[0].Ready(ctx); err == nil {
		t.Fatal("one member of three is ready")
	}
	impatient := Options{Endpoints: members[0].Endpoints(), RequestTimeout: 2 * time.Second}
	if other, err := Open(ctx, impatient); err == nil {
		t.Error("a store opened on one member of three", other.Close())
	}

	// One comes back, with the data that it had: two of three go on.
	back := mustStart(t, options[1])
	mustReady(t, back)
	mustReady(t, members[0])
	if row, _, err := s.Fetch(t.Context(), store.ID{1}); err != nil || string(row) != "one" {
		t.Fatalf("after the restart: %q, %v", row, err)
	}
}

func TestMembersThatAreNotSafeDoNotStart(t *testing.T) {
	files := TLSFiles{CA: "ca.pem", Certificate: "m.pem", Key: "m.key"}
	good := MemberOptions{
		Name: "a", Dir: t.TempDir(), New: true, InitialCluster: "a=http://127.0.0.1:2380",
		ListenPeer: "http://127.0.0.1:2380", ListenClient: "http://127.0.0.1:2379",
	}
	if _, err := good.config(); err != nil {
		t.Fatalf("good options: %v", err)
	}
	for name, spoil := range map[string]func(*MemberOptions){
		"no name":                     func(o *MemberOptions) { o.Name = "" },
		"no folder":                   func(o *MemberOptions) { o.Dir = "" },
		"no cluster":                  func(o *MemberOptions) { o.InitialCluster = "" },
		"not of the cluster":          func(o *MemberOptions) { o.InitialCluster = "b=http://127.0.0.1:2380" },
		"a peer in the clear":         func(o *MemberOptions) { o.InitialCluster += ",b=http://192.0.2.1:2380" },
		"peers in the clear":          func(o *MemberOptions) { o.ListenPeer = "http://192.0.2.1:2380" },
		"all interfaces in the clear": func(o *MemberOptions) { o.ListenClient = "http://0.0.0.0:2379" },
		"clients in the clear":        func(o *MemberOptions) { o.ListenClient = "http://[2001:db8::1]:2379" },
		"advertised in the clear":     func(o *MemberOptions) { o.AdvertiseClient = "http://vault.example:2379" },
		"TLS without files":           func(o *MemberOptions) { o.ListenClient = "https://127.0.0.1:2379" },
		"TLS that asks nobody": func(o *MemberOptions) {
			o.ListenClient, o.ClientTLS = "https://192.0.2.1:2379", TLSFiles{Certificate: "m.pem", Key: "m.key"}
		},
		"around TLS":    func(o *MemberOptions) { o.ClientTLS = files },
		"another thing": func(o *MemberOptions) { o.ListenClient = "unix:///run/etcd.sock" },
		"no port":       func(o *MemberOptions) { o.ListenClient = "http://127.0.0.1" },
	} {
		o := good
		spoil(&o)
		if m, err := StartMember(t.Context(), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: error %v, want %v", name, err, ErrOptions)
			if err == nil {
				_ = m.Close()
			}
		}
	}
}

// TestAnOrderedEndIsNoError: who reads a log for errors must not find one for each stop.
func TestAnOrderedEndIsNoError(t *testing.T) {
	t.Parallel()
	var out lockedBuffer
	o := memberOptions(t, 1, nil)[0]
	o.Log = slog.New(slog.NewJSONHandler(&out, nil))
	m := startMembers(t, []MemberOptions{o})[0]
	o.Log.Error("heard")
	before := out.String()
	if !strings.Contains(before, "heard") {
		t.Fatal("nothing is heard at all")
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if said := strings.TrimPrefix(out.String(), before); strings.Contains(said, "ERROR") {
		t.Errorf("it ends with %s", said)
	}
}

// A lockedBuffer takes a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

func TestStartingObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := StartMember(ctx, memberOptions(t, 1, nil)[0]); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want canceled", err)
	}
}

// A cluster of two takes in a third member while it is in use.
func TestAMemberJoins(t *testing.T) {
	t.Parallel()
	authority := etcdtest.NewAuthority(t)
	options := memberOptions(t, 3, authority)
	whole := options[2].InitialCluster
	for i := range 2 {
		options[i].InitialCluster = whole[:strings.LastIndex(whole, ",")]
	}
	first := startMembers(t, options[:2])[0]
	s := mustOpen(t, Options{Endpoints: first.Endpoints(), TLS: authority.Client(), RequestTimeout: 20 * time.Second})
	if err := s.Create(t.Context(), store.ID{1}, []byte("row")); err != nil {
		t.Fatal(err)
	}

	mustAdd(t, s, options[2].ListenPeer)
	options[2].New = false
	third := mustStart(t, options[2])
	mustReady(t, third)
	other := mustOpen(t, Options{Endpoints: third.Endpoints(), TLS: authority.Client(), RequestTimeout: 20 * time.Second})
	row, revision, err := other.Fetch(t.Context(), store.ID{1})
	if err != nil || string(row) != "row" {
		t.Fatalf("the new member has %q, %v", row, err)
	}
	if err := other.Replace(t.Context(), store.ID{1}, revision, []byte("newer")); err != nil {
		t.Fatal(err)
	}
	if row, _, err = s.Fetch(t.Context(), store.ID{1}); err != nil || string(row) != "newer" {
		t.Fatalf("the first member has %q, %v", row, err)
	}
}

// mustAdd tells the cluster of a member. etcd refuses while its members have not been in
// touch for five seconds.
func mustAdd(t *testing.T, s *DB, peer string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := s.client.MemberAdd(ctx, []string{peer})
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}
