package etcd

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coffer/vault/server/store"
	"coffer/vault/server/store/etcd/etcdtest"
	"coffer/vault/server/store/storetest"
)

// patience is for starting and healing, on a busy computer.
const patience = 60 * time.Second

func mustOpen(t testing.TB, options Options) *DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := Open(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// clusterOptions are for tests that are not about time: none fails because the computer
// is busy.
func clusterOptions(c *etcdtest.Cluster) Options {
	return Options{Endpoints: c.Endpoints(), TLS: c.TLS(), RequestTimeout: 20 * time.Second}
}

// conform runs both suites. Each test gets a prefix of its own: an empty store.
func conform(t *testing.T, options Options) {
	stores := 0
	next := func() Options {
		stores++
		o := options
		o.Prefix = fmt.Sprintf("test/%d/", stores)
		return o
	}
	storetest.Run(t, func(t *testing.T) (store.Store, func() store.Store) {
		own := next()
		s := mustOpen(t, own)
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, own)
			return s
		}
	})
	storetest.RunShared(t, func(t *testing.T) (a, b store.Store) {
		own := next()
		return mustOpen(t, own), mustOpen(t, own)
	})
}

func TestConformanceOfOneServer(t *testing.T) {
	conform(t, clusterOptions(etcdtest.StartCluster(t, 1)))
}

func TestConformanceOfThreeServers(t *testing.T) {
	conform(t, clusterOptions(etcdtest.StartCluster(t, 3)))
}

func TestConformanceOfThreeMembersWithTLS(t *testing.T) {
	authority := etcdtest.NewAuthority(t)
	members := startMembers(t, memberOptions(t, 3, authority))
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.Endpoints()...)
	}
	conform(t, Options{Endpoints: endpoints, TLS: authority.Client(), RequestTimeout: 20 * time.Second})
}

// memberOptions are for n members of a new cluster on loopback; authority may be nil.
func memberOptions(t *testing.T, n int, authority *etcdtest.Authority) []MemberOptions {
	t.Helper()
	addresses := etcdtest.FreeAddresses(t, 2*n)
	scheme, files := "http://", TLSFiles{}
	if authority != nil {
		scheme = "https://"
		files.CA, files.Certificate, files.Key = authority.Files("127.0.0.1")
	}
	var cluster []string
	for i := range n {
		cluster = append(cluster, fmt.Sprintf("m%d=%s%s", i, scheme, addresses[2*i]))
	}
	var all []MemberOptions
	for i := range n {
		all = append(all, MemberOptions{
			Name: fmt.Sprintf("m%d", i), Dir: filepath.Join(t.TempDir(), "member"),
			ListenPeer: scheme + addresses[2*i], ListenClient: scheme + addresses[2*i+1],
			InitialCluster: strings.Join(cluster, ","), New: true,
			PeerTLS: files, ClientTLS: files,
		})
	}
	return all
}

// startMembers starts them and waits until all are ready.
func startMembers(t *testing.T, options []MemberOptions) []*Member {
	t.Helper()
	var members []*Member
	for _, o := range options {
		members = append(members, mustStart(t, o))
	}
	for _, m := range members {
		mustReady(t, m)
	}
	return members
}

func mustStart(t *testing.T, o MemberOptions) *Member {
	t.Helper()
	m, err := StartMember(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close member: %v", err)
		}
	})
	return m
}

func mustReady(t *testing.T, r interface{ Ready(context.Context) error }) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}

// The log of the cluster keeps what was, so nobody may be told that nothing does.
func TestThereIsNoPromiseToErase(t *testing.T) {
	if _, ok := any(&DB{}).(store.Eraser); ok {
		t.Fatal("this store says that it erases, and it cannot")
	}
}
