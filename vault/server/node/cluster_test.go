package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coffer/vault"
	"coffer/vault/server/store/etcd/etcdtest"
)

func TestTwoVaultsOnOneCluster(t *testing.T) {
	cluster := etcdtest.StartCluster(t, 1)
	second := freePort(t)
	dir, m := made(t, func(o *InitOptions) {
		o.Config.Store, o.Config.Etcd.Endpoints, o.AcceptNoDestruction = StoreEtcd, cluster.Endpoints(), true
		o.Config.Listen = []string{o.Config.Addresses[0]}
		o.Config.Addresses = append(o.Config.Addresses, second)
	})
	twin := shortDir(t)
	copyDir(t, dir, twin)
	s := serve(t, dir, Options{})
	serve(t, twin, Options{Listen: []string{second}})
	c := dial(t, m.Link, vault.RemoteOptions{})
	slot, root := enroll(t, c)
	if _, _, err := c.Open(t.Context(), slot, secret("wrong")); !errors.Is(err, vault.ErrWrongPassword) {
		t.Fatal(err)
	}
	rotateCluster(t, dir, twin)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	pin := slot.Pin()
	other := strings.Replace(m.Link, s.node.config.Listen[0], second, 1)
	c = dial(t, other, vault.RemoteOptions{Pin: &pin})
	if status, err := c.Status(t.Context(), slot); err != nil || status.Left != 9 {
		t.Fatalf("the other vault says %d left, %v", status.Left, err)
	}
	mustOpen(t, c, slot, root)

	o := InitOptions{Dir: shortDir(t), Config: identityOf(t, dir, 0).config, AcceptNoDestruction: true}
	if _, err := Init(t.Context(), o, Options{}); Explain(err).Code != "store-not-empty" {
		t.Errorf("another vault in the same place: %v", err)
	}
}

// rotateCluster is what an operator does: stage, bring the keys everywhere, install.
func rotateCluster(t *testing.T, dirs ...string) {
	t.Helper()
	withAccess(t, dirs[0], func(a *Access) {
		if r, err := a.Rotate(t.Context()); err != nil || r.Installed || r.Missing != "" {
			t.Fatalf("rotate: %+v, %v", r, err)
		}
	})
	keys, err := os.ReadFile(filepath.Join(dirs[0], keyName))
	if err != nil {
		t.Fatal(err)
	}
	next, err := os.ReadFile(filepath.Join(dirs[0], nextName))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs[1:] {
		if err := os.WriteFile(filepath.Join(dir, keyName), keys, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range dirs {
		withAccess(t, dir, func(a *Access) {
			if r, err := a.Install(t.Context(), next); err != nil || r.Sequence != 2 {
				t.Fatalf("install in %s: %+v, %v", dir, r, err)
			}
		})
	}
}

// Three vaults with members of their own: none answers alone, two do.
func TestEmbeddedMembers(t *testing.T) {
	addresses := etcdtest.FreeAddresses(t, 9)
	names := []string{"a", "b", "c"}
	var all []string
	for i, name := range names {
		all = append(all, name+"=http://"+addresses[3*i])
	}
	member := func(i int) Member {
		return Member{Name: names[i], ListenPeer: "http://" + addresses[3*i], ListenClient: "http://" + addresses[3*i+1], Cluster: strings.Join(all, ",")}
	}
	dir, m := made(t, func(o *InitOptions) {
		o.Config.Store, o.AcceptNoDestruction, o.Config.Etcd.Member = StoreEmbedded, true, member(0)
		o.Config.Addresses = []string{addresses[2]}
	})
	dirs := []string{dir, shortDir(t), shortDir(t)}
	nodes, failed := make([]*Node, 3), make(chan error, 3)
	for i, d := range dirs {
		if i > 0 {
			copyDir(t, dir, d)
			c := identityOf(t, d, 0).config
			c.Etcd.Member = member(i)
			if err := os.WriteFile(filepath.Join(d, configName), c.encode(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		go func() {
			var err error
			nodes[i], err = Open(t.Context(), d, Options{Listen: []string{addresses[3*i+2]}})
			failed <- err
		}()
	}
	if err := errors.Join(<-failed, <-failed, <-failed); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if err := n.ready(t.Context()); err != nil {
			t.Errorf("not ready: %v", err)
		}
	}
	ends := make([]func() error, 3)
	for i, n := range nodes {
		ends[i] = serveOpened(t, n)
	}
	for _, d := range dirs {
		withAccess(t, d, func(*Access) {}) // it listens
	}
	c := dial(t, m.Link, vault.RemoteOptions{})
	slot, root := enroll(t, c)
	if err := ends[2](); err != nil {
		t.Errorf("end one: %v", err)
	}
	mustOpen(t, c, slot, root)
	_ = ends[1]() // it has nobody to hand anything to
	if err := nodes[0].ready(t.Context()); err == nil {
		t.Error("one of three is ready")
	}
	if _, _, err := c.Open(t.Context(), slot, secret("right")); err == nil {
		t.Error("one of three answers")
	}
}
