package vault_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/vault"
	"coffer/vault/protocol"
)

// cheapest is the least that a client of the product pays.
var cheapest = crypto.KDFCost{MemoryKiB: 64 << 10, Time: 3, Threads: 4}

func secret(s string) crypto.Secret { return crypto.NewSecret([]byte(s)) }

func saveNothing(vault.Pending) error { return nil }

// TestPromise01: the vault never sees the password or the root key. The product's own client
// sets up a backup, then tries a wrong and a right password. Both secrets are looked for in
// what passes inside of TLS, in what is inside of the envelopes, on the disks, in the logs,
// and in the memory of the vault in the middle of the right attempt, in one world after it,
// too.
func TestPromise01(t *testing.T) {
	inWorlds(t, everywhere, func(t *testing.T, w *world) {
		right, wrongOne := "Ofenrohr 4711 "+unique(), "Krummstab 0815 "+unique()
		f := w.newFront(t)
		dumps := map[string][]byte{}
		var once sync.Once
		dumping := false
		f.obey(func(x *passing) fate {
			if dumping && x.kind == protocol.KindFinish {
				once.Do(func() { dumps["memory in the middle"] = w.first().dump(t) })
			}
			return passes
		})
		c := w.client(f.address, f.link, vault.RemoteOptions{Device: "proof"})
		root := crypto.NewRootKey()
		slot, err := c.Enroll(t.Context(), root, secret(right), cheapest, nil, saveNothing)
		must(t, err)
		if _, _, err = c.Open(t.Context(), slot, secret(wrongOne)); !errors.Is(err, vault.ErrWrongPassword) {
			t.Fatalf("the wrong password: %v", err)
		}
		dumping = true
		got, _, err := c.Open(t.Context(), slot, secret(right))
		if err != nil || !got.Equal(root) {
			t.Fatalf("the right password: %v", err)
		}
		if w.seal == "soft" && w.store == "bolt" { // a core has gigabytes: one more is enough
			dumps["memory afterwards"] = w.first().dump(t)
		}

		places := map[string][]byte{"logs": w.first().logs()}
		for name, dump := range dumps {
			places[name] = dump
		}
		var outer, inner bytes.Buffer
		for _, x := range f.passed() {
			outer.Write(append(x.outer, x.outerReply...))
			inner.Write(append(x.inner, x.innerReply...))
		}
		places["the wire inside of TLS"], places["the envelopes, opened"] = outer.Bytes(), inner.Bytes()
		var disks bytes.Buffer
		folders := w.disks()
		if w.token != nil {
			folders = append(folders, w.token.dir)
		}
		for _, data := range raw(t, folders...) {
			disks.Write(data)
		}
		places["the disks"] = disks.Bytes()
		mustNotHold(t, places, map[string][]byte{
			"the right password": []byte(right), "the wrong password": []byte(wrongOne), "the root key": exposed(root),
		})
		mustHoldControls(t, places, slot, f)
	})
}

func mustNotHold(t *testing.T, places, secrets map[string][]byte) {
	t.Helper()
	for what, s := range secrets {
		for place, hay := range places {
			if names := found(hay, s); len(names) > 0 {
				t.Errorf("%s is in %s: %v", what, place, names)
			}
		}
	}
}

// mustHoldControls requires that the same search finds what is there.
func mustHoldControls(t *testing.T, places map[string][]byte, slot vault.Slot, f *front) {
	t.Helper()
	id := f.key.Public().ID()
	there := map[string][]byte{
		"the disks": slot.Record[:], "the envelopes, opened": slot.Record[:], "logs": []byte(`"msg":"request"`),
		"memory in the middle": slot.Record[:], "memory afterwards": slot.Record[:], "the wire inside of TLS": id[:],
	}
	for place, hay := range places {
		if len(there[place]) == 0 || len(found(hay, there[place])) == 0 {
			t.Errorf("the search does not find what is in %s (%d bytes): it could not fail", place, len(hay))
		}
	}
	if len(places) < len(there)-1 || places["memory in the middle"] == nil {
		t.Errorf("looked in %d places of %d", len(places), len(there))
	}
}

// dump is the memory of the node, as root gets it, without the pages that are all zero: a
// program in Go has gigabytes of them.
func (n *node) dump(t *testing.T) []byte {
	t.Helper()
	prefix := filepath.Join(t.TempDir(), "core")
	pid := strconv.Itoa(n.cmd.Process.Pid)
	if out, err := exec.Command(program(t, "gcore"), "-o", prefix, pid).CombinedOutput(); err != nil {
		t.Errorf("gcore: %v: %s", err, tail(out))
		return nil
	}
	core, err := pages(prefix + "." + pid)
	if err := errors.Join(err, os.Remove(prefix+"."+pid)); err != nil {
		t.Error(err)
	}
	if len(core) < 1<<20 {
		t.Errorf("a core of %d bytes is none", len(core))
	}
	return core
}

// pages reads a file without its pages of zeros. What lies across two others stays together.
func pages(path string) (kept []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const size = 4 << 10
	empty, buf := make([]byte, size), make([]byte, 256*size)
	for {
		n, err := io.ReadFull(f, buf)
		for part := buf[:n]; len(part) > 0; part = part[min(size, len(part)):] {
			if page := part[:min(size, len(part))]; !bytes.Equal(page, empty[:len(page)]) {
				kept = append(kept, page...)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return kept, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func exposed(root crypto.RootKey) (key []byte) {
	root.Expose(func(b []byte) { key = bytes.Clone(b) })
	return key
}

// unique is a text that is nowhere else.
func unique() string {
	const letters = "abcdefghijklmnop"
	text := make([]byte, 20)
	for i, b := range aead.Random(len(text)) {
		text[i] = letters[b%16]
	}
	return string(text)
}
