package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"coffer/vault"
	"coffer/vault/protocol"
	"coffer/vault/trust"
	"coffer/vault/vaulttest"
)

// patience bounds how long anything may take on a busy computer.
const patience = 60 * time.Second

// A node is one process of coffer-vault.
type node struct {
	w       *world
	dir     string
	address string

	cmd    *exec.Cmd          // nil: not running
	exited chan struct{}      // closed when it has ended
	way    *vaulttest.Network // of the test that uses the world; nil: not dialled yet
}

// running also forgets a process that has ended by itself: the test that saw it has said so.
func (n *node) running() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.exited:
		n.cmd = nil
	default:
	}
	return n.cmd != nil
}

func (n *node) logPath() string { return n.dir + ".log" }

// logs returns everything that the node has ever said.
func (n *node) logs() []byte {
	text, err := os.ReadFile(n.logPath())
	must(n.w.t, err)
	return text
}

// problems are the lines of the log that are not about a request that went well.
func (n *node) problems() (lines []byte) {
	for line := range bytes.Lines(n.logs()) {
		if !bytes.Contains(line, []byte(`"msg":"request"`)) {
			lines = append(lines, line...)
		}
	}
	return lines
}

// start starts the node and waits until it is ready.
func (n *node) start() {
	n.w.t.Helper()
	n.launch()
	ctx, cancel := context.WithTimeout(n.w.t.Context(), patience)
	defer cancel()
	n.awaitReady(ctx)
}

// launch starts the node and does not wait for it.
func (n *node) launch() {
	n.w.t.Helper()
	if n.running() {
		n.w.t.Fatal("the node is running")
	}
	log, err := os.OpenFile(n.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(n.w.t, err)
	defer log.Close()
	cmd := n.command("serve", "--data", n.dir, "--listen", n.address)
	cmd.Stdout, cmd.Stderr = log, log
	must(n.w.t, cmd.Start())
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its state says the rest
		close(exited)
	}()
	n.cmd, n.exited = cmd, exited
}

// awaitReady asks /readyz until it is well.
func (n *node) awaitReady(ctx context.Context) {
	n.w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := n.isReady(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-n.exited:
			n.w.t.Fatalf("the node has ended: %v: %s", n.cmd.ProcessState, tail(n.logs()))
		case <-ctx.Done():
			n.w.t.Fatalf("the node is not ready: %v: %s", err, tail(n.logs()))
		}
	}
}

func (n *node) isReady(ctx context.Context) error {
	host, _, err := trust.SplitAddress(n.address)
	if err != nil {
		return err
	}
	var probe trust.Probe
	transport := &http.Transport{TLSClientConfig: probe.TLS(host), DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+n.address+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	return nil
}

// kill is a crash.
func (n *node) kill() {
	n.w.t.Helper()
	n.tell(syscall.SIGKILL)
	n.await()
}

// stop ends the node in good order.
func (n *node) stop() {
	n.w.t.Helper()
	n.tell(syscall.SIGTERM)
	n.awaitGood()
}

// awaitGood waits until the node has ended, in good order.
func (n *node) awaitGood() {
	n.w.t.Helper()
	cmd := n.cmd
	n.await()
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		n.w.t.Errorf("after SIGTERM the exit status is %d: %s", code, tail(n.problems()))
	}
}

func (n *node) tell(s syscall.Signal) {
	n.w.t.Helper()
	if !n.running() {
		n.w.t.Fatal("the node is not running")
	}
	_ = n.cmd.Process.Signal(s) // gone already is as good
}

func (n *node) await() {
	n.w.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(patience):
		_ = n.cmd.Process.Kill()
		<-n.exited
		n.w.t.Error("the node did not end")
	}
	n.cmd = nil
}

// refusesToStart launches the node and requires that it ends by itself with an error,
// without ever having served.
func (n *node) refusesToStart() (said string) {
	n.w.t.Helper()
	before := len(n.logs())
	n.launch()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for {
		if n.isReady(n.w.t.Context()) == nil {
			n.w.t.Fatal("the node serves what it should refuse")
		}
		select {
		case <-tick.C:
		case <-limit:
			n.w.t.Fatal("the node neither serves nor ends")
		case <-n.exited:
			code := n.cmd.ProcessState.ExitCode()
			n.cmd = nil
			if code <= 0 {
				n.w.t.Fatalf("exit status %d", code)
			}
			return string(n.logs()[before:])
		}
	}
}

// door is the way of guessers to this node.
func (n *node) door() *vaulttest.Network {
	n.w.t.Helper()
	if n.way == nil {
		n.way = n.w.doorAt(n.address, n.w.link)
	}
	return n.way
}

func (w *world) doorAt(address string, link trust.Link) *vaulttest.Network {
	w.t.Helper()
	link.Address = address
	door, err := vaulttest.Dial(w.t.Context(), link)
	must(w.t, err)
	w.t.Cleanup(door.HTTP.CloseIdleConnections)
	return door
}

// guesser returns a guesser of a record that is not registered yet.
func (w *world) guesser() *vaulttest.Guesser { return w.guesserAt(w.first().door()) }

func (w *world) guesserAt(door *vaulttest.Network) *vaulttest.Guesser {
	return vaulttest.NewGuesser(door, door.Bundle.VaultID, door.Bundle.ServerKey)
}

// registered returns a guesser of a new record behind the password. SoftHSM keeps its objects
// in files that it locks by itself: after a process was killed while it wrote one, the next
// to make a key is sometimes told CKR_GENERAL_ERROR, once. Nothing was stored then, the vault
// says so, and whoever registers begins again.
func (w *world) registered(password string) *vaulttest.Guesser {
	w.t.Helper()
	for attempt := 1; ; attempt++ {
		g := w.guesser()
		err := g.Register(w.t.Context(), password)
		if w.seal == "pkcs11" && errors.Is(err, protocol.ErrInternal) && attempt < 4 {
			w.t.Logf("the token has failed: %v", err)
			continue
		}
		must(w.t, err)
		return g
	}
}

// slotOf is the slot that a client of the product has of the guesser's record.
func (w *world) slotOf(g *vaulttest.Guesser) vault.Slot {
	keys := g.Root.Derive()
	defer keys.Wipe()
	b := g.Door.(*vaulttest.Network).Bundle
	slot := vault.Slot{
		Link: w.link.String(), VaultID: b.VaultID, ServerKey: b.ServerKey, ReceiptKey: b.ReceiptKey,
		Record: g.Record, Generation: g.Generation, CloudShare: g.CloudShare,
		MemoryKiB: g.Cost.MemoryKiB, Time: g.Cost.Time, Threads: g.Cost.Threads, Tries: tries,
	}
	if w.seal == "tpm" {
		slot.Guard = keys.Guard(g.Record, g.Generation).Public()
	}
	return slot
}

// client returns the product's own client, at the address of a node or a front.
func (w *world) client(address string, link trust.Link, opts vault.RemoteOptions) *vault.Client {
	w.t.Helper()
	link.Address = address
	c, err := vault.Dial(w.t.Context(), link, opts)
	must(w.t, err)
	return c
}

// rootKey is the key that signs the bundles of this world.
func (w *world) rootKey() trust.Key {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.first().dir, "root.key"))
	must(w.t, err)
	key, err := trust.ParseKey(text)
	must(w.t, err)
	return key
}

func tail(log []byte) string { return string(log[max(0, len(log)-3000):]) }

var _ testing.TB = (*lasting)(nil)
