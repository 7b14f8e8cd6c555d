package etcd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"coffer/vault/server/store"
	"coffer/vault/server/store/etcd/etcdtest"
)

func TestListGoesPageByPage(t *testing.T) {
	t.Parallel()
	c := etcdtest.StartCluster(t, 1)
	s := mustOpen(t, clusterOptions(c))
	const rows, batch = 2*pageRows + 7, 100
	for from := 0; from < rows; from += batch {
		var puts []clientv3.Op
		for n := from; n < min(from+batch, rows); n++ {
			var id store.ID
			binary.BigEndian.PutUint64(id[8:], uint64(n))
			puts = append(puts, clientv3.OpPut(s.key(id), "x"))
		}
		if _, err := s.client.Txn(t.Context()).Then(puts...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	// Neighbours whose keys begin in the same way are none of ours.
	for _, key := range []string{s.rows[:len(s.rows)-1], "coffer-vault/1/rox", "coffer-vault/10/row/0123456789abcdef"} {
		if _, err := s.client.Put(t.Context(), key, "x"); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[store.ID]bool{}
	err := s.List(t.Context(), func(id store.ID) error { seen[id] = true; return nil })
	if err != nil || len(seen) != rows {
		t.Fatalf("%d rows listed, %v; want %d", len(seen), err, rows)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = s.List(ctx, func(store.ID) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a list that was cancelled: %v", err)
	}
	if _, err := s.client.Put(t.Context(), s.rows+"too short", "x"); err != nil {
		t.Fatal(err)
	}
	if err := s.List(t.Context(), func(store.ID) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a foreign key among the rows: %v", err)
	}
}

func TestWhatNoVaultWroteIsRefused(t *testing.T) {
	c := etcdtest.StartCluster(t, 1)
	s := mustOpen(t, clusterOptions(c))
	for n, value := range []string{"", strings.Repeat("x", store.MaxRow+1)} {
		id := store.ID{byte(n)}
		if _, err := s.client.Put(t.Context(), s.key(id), value); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Fetch(t.Context(), id); !errors.Is(err, ErrDamaged) {
			t.Errorf("a row of %d bytes: error %v, want %v", len(value), err, ErrDamaged)
		}
	}
	// Replace must not make a row of one that is absent, whose revision is 0 to etcd.
	if err := s.Replace(t.Context(), store.ID{9}, 0, []byte("x")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("replace of revision 0: %v", err)
	}
	for _, revision := range []store.Revision{0, 1, 1 << 63, 1<<64 - 1} {
		if err := s.Replace(t.Context(), store.ID{0}, revision, []byte("x")); !errors.Is(err, store.ErrChanged) {
			t.Errorf("replace of revision %d: %v", revision, err)
		}
	}
	if _, err := s.client.Put(t.Context(), s.formatKey(), "coffer-vault-store/9"); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("ready with another format: %v", err)
	}
	other, err := Open(t.Context(), clusterOptions(c))
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("open another format: %v", err)
	}
	if err == nil {
		_ = other.Close()
	}
}

func TestSigningIn(t *testing.T) {
	t.Parallel()
	const password = "correct-horse-battery"
	c := etcdtest.StartCluster(t, 1)
	mustEnableAuth(t, c, password)
	var log bytes.Buffer
	options := clusterOptions(c)
	options.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	options.Username, options.Password = "root", func() string { return password }
	s := mustOpen(t, options)
	if err := s.Create(t.Context(), store.ID{1}, []byte("0:")); err != nil {
		t.Fatal(err)
	}
	// The server forgets whom it knew: the store signs in again, and the write is no
	// other for it.
	c.Kill(0)
	c.Restart(0)
	mustReady(t, s)
	for i := range 3 {
		if err := chargeOnce(t.Context(), s, store.ID{1}, i); err != nil {
			t.Fatal(err)
		}
	}
	for name, o := range map[string]Options{
		"wrong password": {Endpoints: c.Endpoints(), Username: "root", Password: func() string { return password + "-not" }, Log: options.Log},
		"no password":    {Endpoints: c.Endpoints(), Log: options.Log},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		other, err := Open(ctx, o)
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: it waits instead of saying so", name)
		}
		cancel()
		if err == nil {
			_ = other.Close()
			t.Errorf("%s: the store opens", name)
		} else if strings.Contains(err.Error(), password) {
			t.Errorf("%s: the password is in the error", name)
		}
	}
	if strings.Contains(log.String(), password) {
		t.Error("the password is in the log")
	}
}

func mustEnableAuth(t *testing.T, c *etcdtest.Cluster, password string) {
	t.Helper()
	s := mustOpen(t, clusterOptions(c))
	ctx := t.Context()
	if _, err := s.client.UserAdd(ctx, "root", password); err != nil {
		t.Fatal(err)
	}
	// etcd 3.4 knows the role from the start.
	if _, err := s.client.RoleAdd(ctx, "root"); err != nil && !errors.Is(err, rpctypes.ErrRoleAlreadyExist) {
		t.Fatal(err)
	}
	if _, err := s.client.UserGrantRole(ctx, "root", "root"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.AuthEnable(ctx); err != nil {
		t.Fatal(err)
	}
}

// A client of another authority, and one without certificate, get nowhere.
func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	authority := etcdtest.NewAuthority(t)
	members := startMembers(t, memberOptions(t, 1, authority))
	stranger := authority.Client()
	stranger.Certificates = nil
	other := etcdtest.NewAuthority(t).Client()
	for name, o := range map[string]Options{
		"no certificate":    {Endpoints: members[0].Endpoints(), TLS: stranger},
		"another authority": {Endpoints: members[0].Endpoints(), TLS: other},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		s, err := Open(ctx, o)
		cancel()
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: the store opens", name)
		}
	}
	mustOpen(t, Options{Endpoints: members[0].Endpoints(), TLS: authority.Client()})
}
