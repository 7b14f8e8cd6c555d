package vault_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"coffer/vault/server/seal/tpm/tpmtest"
	"coffer/vault/server/store/etcd/etcdtest"
	"coffer/vault/trust"
)

// tries is what the vaults of all worlds allow: the default.
const tries = 10

// A world is one combination of sealer and store, started when the first test wants it, and
// shared by all of them: each test has records of its own.
type world struct {
	name  string
	seal  string // soft, pkcs11, tpm-epochs, tpm
	store string // bolt, etcd, etcd-embedded
	count int    // nodes, all with the same keys

	mu      sync.Mutex // held by the test that uses the world
	life    *lasting   // nil: not started
	broken  bool       // it did not start: nothing else will be tried
	t       testing.TB // the test that uses it
	nodes   []*node
	link    trust.Link
	token   *token
	chip    *tpmtest.TPM
	cluster *etcdtest.Cluster // of store "etcd"
	members []member          // of store "etcd-embedded"
}

// allWorlds are the combinations of the table in docs/vault-protocol.md.
var allWorlds = []*world{
	{name: "soft-bolt", seal: "soft", store: "bolt", count: 1},
	{name: "pkcs11-bolt", seal: "pkcs11", store: "bolt", count: 1},
	{name: "epochs-bolt", seal: "tpm-epochs", store: "bolt", count: 1},
	{name: "tpm-bolt", seal: "tpm", store: "bolt", count: 1},
	{name: "soft-etcd", seal: "soft", store: "etcd", count: 1},
	{name: "pkcs11-etcd", seal: "pkcs11", store: "etcd", count: 2},
	{name: "soft-embedded", seal: "soft", store: "etcd-embedded", count: 3},
}

// inWorlds runs a proof in the worlds that fit, two at a time.
func inWorlds(t *testing.T, fits func(w *world) bool, proof func(t *testing.T, w *world)) {
	t.Helper()
	begin(t)
	found := 0
	for _, w := range allWorlds {
		if !fits(w) {
			continue
		}
		found++
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			w.use(t)
			proof(t, w)
		})
	}
	if found == 0 {
		t.Fatal("no world fits: this would prove nothing")
	}
}

func everywhere(*world) bool                { return true }
func onTPM(w *world) bool                   { return w.seal == "tpm" || w.seal == "tpm-epochs" }
func onCluster(w *world) bool               { return w.store == "etcd" }
func named(name string) func(w *world) bool { return func(w *world) bool { return w.name == name } }

// use takes the world for one test, whose nodes all run then.
func (w *world) use(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	t.Cleanup(w.mu.Unlock)
	if w.broken {
		t.Fatal("this world did not start")
	}
	first := w.life == nil
	if first {
		w.life = newLasting(filepath.Join(house, w.name))
	}
	w.life.lend(t)
	w.t = t
	if first {
		w.broken = true
		w.start()
		w.broken = false
	}
	for _, n := range w.nodes {
		n.way = nil
	}
	w.startAll()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, n := range w.nodes {
			t.Logf("%s said at the end: %s", filepath.Base(n.dir), tail(n.problems()))
		}
	})
}

// start makes the vault of the world.
func (w *world) start() {
	must(w.t, os.MkdirAll(w.life.dir, 0o700))
	first := &node{w: w, dir: filepath.Join(w.life.dir, "vault-1"), address: freeAddress(w.t)}
	w.nodes = []*node{first}
	args := []string{"init", "--data", first.dir, "--address", first.address, "--name", "Proofs",
		"--tries", fmt.Sprint(tries), "--waits", "none", "--register", "open"}
	args = append(args, w.sealArgs()...)
	args = append(args, w.storeArgs()...)
	var said bytes.Buffer
	cmd := first.command(args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("coffer-vault init: %v\n%s", err, said.String())
	}
	w.link, err = trust.ParseLink(strings.TrimSpace(string(out)))
	must(w.t, err)
	first.configure()
	for i := 2; i <= w.count; i++ {
		n := &node{w: w, dir: filepath.Join(w.life.dir, fmt.Sprintf("vault-%d", i)), address: freeAddress(w.t)}
		must(w.t, copyTree(n.dir, first.dir))
		w.nodes = append(w.nodes, n)
		if w.store == "etcd-embedded" {
			must(w.t, os.RemoveAll(filepath.Join(n.dir, "etcd"))) // the first one's member
			m := w.members[i-1]
			n.set(map[string]string{"listen_peer": quote(m.peer), "listen_client": quote(m.client)})
			n.rename(m.name)
		}
	}
	w.life.Cleanup(func() {
		for _, n := range w.nodes {
			if n.running() {
				n.kill()
			}
		}
	})
}

func (w *world) sealArgs() []string {
	switch w.seal {
	case "pkcs11":
		w.token = newToken(w.t, w.life.TempDir())
		return []string{"--seal", w.token.uri}
	case "tpm", "tpm-epochs":
		w.chip = tpmtest.Start(w.life)
		return []string{"--seal", w.seal + ":" + w.chip.Device(), "--no-recovery"}
	}
	return []string{"--seal", "soft"}
}

func (w *world) storeArgs() []string {
	switch w.store {
	case "bolt":
		return []string{"--store", "bolt"}
	case "etcd-embedded":
		return w.memberArgs()
	}
	var more []string
	if w.seal == "soft" {
		more = []string{"--accept-no-destruction"}
	}
	if w.seal == "soft" && os.Geteuid() == 0 {
		w.cluster = etcdtest.StartIsolatedCluster(w.life, 3)
		more = append(more, w.clusterFiles()...)
	} else {
		w.cluster = etcdtest.StartCluster(w.life, 3)
	}
	return append(more, "--store", "etcd:"+strings.Join(w.cluster.Endpoints(), ","))
}

// A member is the part of a cluster that runs inside of one node.
type member struct{ name, peer, client string }

// memberArgs makes up a cluster of which each node is a part.
func (w *world) memberArgs() []string {
	var all []string
	for i := range w.count {
		m := member{fmt.Sprintf("m%d", i+1), "http://" + freeAddress(w.t), "http://" + freeAddress(w.t)}
		w.members = append(w.members, m)
		all = append(all, m.name+"="+m.peer)
	}
	first := w.members[0]
	return []string{"--store", "etcd-embedded", "--accept-no-destruction", "--member", first.name, "--member-peer", first.peer,
		"--member-client", first.client, "--member-cluster", strings.Join(all, ",")}
}

// clusterFiles writes what a client of the isolated cluster needs, and names it.
func (w *world) clusterFiles() []string {
	found, err := filepath.Glob(filepath.Join(w.life.dir, "*", "ca.pem"))
	if err != nil || len(found) != 1 {
		w.t.Fatalf("the authority of the cluster: %v, %v", found, err)
	}
	show := w.cluster.TLS().Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(show.PrivateKey)
	must(w.t, err)
	dir := w.life.TempDir()
	cert, private := filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	must(w.t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: show.Certificate[0]}), 0o600))
	must(w.t, os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	return []string{"--etcd-ca", found[0], "--etcd-cert", cert, "--etcd-key", private}
}

// end ends the servers of a world that was started.
func (w *world) end() error {
	if w.life == nil {
		return nil
	}
	return w.life.end()
}

func (w *world) first() *node { return w.nodes[0] }

// stopAll ends all nodes in good order.
func (w *world) stopAll() {
	w.t.Helper()
	for _, n := range w.nodes {
		n.tell(syscall.SIGTERM)
	}
	for _, n := range w.nodes {
		n.awaitGood()
	}
}

// startAll starts the nodes that do not run: one after the other, because SoftHSM's files do
// not bear two processes that begin at once; but nodes that are a cluster wait for each other.
func (w *world) startAll() {
	w.t.Helper()
	for _, n := range w.nodes {
		switch {
		case n.running():
		case w.store == "etcd-embedded":
			n.launch()
		default:
			n.start()
		}
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for _, n := range w.nodes {
		n.awaitReady(ctx)
	}
}

// A copy is what somebody has saved of the disks of a vault.
type copied struct{ folders map[string]string } // where it belongs: where it is

// disks are the folders that a thief of the disks gets, without those of token and TPM.
func (w *world) disks() []string {
	var all []string
	for _, n := range w.nodes {
		all = append(all, n.dir)
	}
	if w.cluster != nil {
		for i := range w.cluster.Len() {
			all = append(all, w.cluster.Dir(i))
		}
	}
	return all
}

// copyDisks saves the disks; all nodes are stopped. A cluster is stopped for it.
func (w *world) copyDisks() copied {
	w.t.Helper()
	w.stopCluster()
	c := copied{map[string]string{}}
	for _, dir := range w.disks() {
		to := filepath.Join(w.life.TempDir(), "copy")
		must(w.t, copyTree(to, dir))
		c.folders[dir] = to
	}
	w.startCluster()
	return c
}

// putBack puts saved disks in the place of today's.
func (w *world) putBack(c copied) {
	w.t.Helper()
	w.stopCluster()
	for dir, from := range c.folders {
		must(w.t, os.RemoveAll(dir))
		must(w.t, copyTree(dir, from))
	}
	w.startCluster()
}

func (w *world) stopCluster() {
	if w.cluster == nil {
		return
	}
	for i := range w.cluster.Len() {
		w.cluster.Stop(i)
	}
}

func (w *world) startCluster() {
	if w.cluster == nil {
		return
	}
	for i := range w.cluster.Len() {
		w.cluster.Restart(i)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	w.cluster.WaitHealthy(ctx)
}

// raw gives the bytes of all files below folders.
func raw(t testing.TB, folders ...string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, dir := range folders {
		must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			all[path], err = os.ReadFile(path)
			return err
		}))
	}
	if len(all) < 2 {
		t.Fatalf("only %d files below %v", len(all), folders)
	}
	return all
}

// copyTree copies regular files: sockets are not data.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
}

// settings are what the proofs change in vault.toml: everything in the log, and no limits of
// requests in the way of guessers, who must be stopped by the count alone.
var settings = map[string]string{
	"level": `"debug"`, "connections": "8192", "connections_per_address": "4096",
	"burst": "1000000", "per_minute": "1000000", "record_burst": "1000000", "record_per_minute": "1000000",
}

// configure changes settings in vault.toml, where the file has them.
func (n *node) configure() { n.set(settings) }

func (n *node) set(values map[string]string) {
	path := filepath.Join(n.dir, "vault.toml")
	text, err := os.ReadFile(path)
	must(n.w.t, err)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		line := regexp.MustCompile(`(?m)^` + key + ` = .*$`)
		text = line.ReplaceAll(text, []byte(key+" = "+values[key]))
	}
	must(n.w.t, os.WriteFile(path, text, 0o600))
}

// rename gives the member in the node another name.
func (n *node) rename(name string) {
	path := filepath.Join(n.dir, "vault.toml")
	text, err := os.ReadFile(path)
	must(n.w.t, err)
	head, tail, ok := strings.Cut(string(text), "[etcd.member]\nname = ")
	_, tail, cut := strings.Cut(tail, "\n")
	if !ok || !cut {
		n.w.t.Fatal("vault.toml has no member")
	}
	must(n.w.t, os.WriteFile(path, []byte(head+"[etcd.member]\nname = "+quote(name)+"\n"+tail), 0o600))
}

func quote(s string) string { return `"` + s + `"` }

// command is the program, with the environment of a service: nearly none.
func (n *node) command(args ...string) *exec.Cmd {
	path, err := built()
	must(n.w.t, err)
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.w.life.dir, "TMPDIR=" + n.w.life.dir}
	if n.w.token != nil {
		cmd.Env = append(cmd.Env, "SOFTHSM2_CONF="+n.w.token.conf)
	}
	return cmd
}
