package tpm

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"coffer/vault/server/seal/tpm/tpmtest"
)

// What a wire does with a command.
type fault int

const (
	carry    fault = iota
	failed         // the line breaks before the chip has the command
	failedOn       // the chip does it, and the line breaks before the answer
	hung           // the chip does it, and no answer comes
	twice          // the chip does it once more before: somebody else is at it too
)

// A wire is a line to a chip that breaks when it is told to.
type wire struct {
	t    *testing.T
	path string
	to   *tpmtest.TPM

	mu    sync.Mutex
	judge func(code tpm2.TPMCC) fault
	tap   []byte // everything that went over the wire
}

func newWire(t *testing.T, to *tpmtest.TPM) *wire {
	t.Helper()
	dir, err := os.MkdirTemp("", "wire") // short: see tpmtest
	must(t, err)
	w := &wire{t: t, path: filepath.Join(dir, "tpm"), to: to}
	w.set(nil)
	listener, err := net.Listen("unix", w.path)
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			w.serve(conn)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
		_ = os.RemoveAll(dir)
	})
	return w
}

func (w *wire) device() string { return "swtpm:unix:" + w.path }

// set says who judges each command from now on; nil carries all.
func (w *wire) set(judge func(tpm2.TPMCC) fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if judge == nil {
		judge = func(tpm2.TPMCC) fault { return carry }
	}
	w.judge = judge
}

// nth breaks the n-th command, of this code or (0) of all, and says whether it did.
func (w *wire) nth(n int, code tpm2.TPMCC, what fault) (fired func() bool) {
	hit, seen := false, 0
	w.set(func(c tpm2.TPMCC) fault {
		if code != 0 && c != code || hit {
			return carry
		}
		if seen++; seen <= n {
			return carry
		}
		hit = true
		return what
	})
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return hit
	}
}

func (w *wire) serve(conn net.Conn) {
	defer conn.Close()
	chip, err := net.Dial("unix", w.to.Socket())
	if err != nil {
		w.t.Error(err)
		return
	}
	defer chip.Close()
	for {
		command, err := readPacket(conn)
		if err != nil {
			return
		}
		w.mu.Lock()
		what := w.judge(tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])))
		w.mu.Unlock()
		if what == failed {
			return
		}
		if what == twice { // commands with a password can be repeated
			if _, err := chip.Write(command); err != nil {
				return
			}
			if _, err := readPacket(chip); err != nil {
				return
			}
		}
		if _, err := chip.Write(command); err != nil {
			return
		}
		response, err := readPacket(chip)
		if err != nil || what == failedOn {
			return
		}
		w.mu.Lock()
		w.tap = append(append(w.tap, command...), response...)
		w.mu.Unlock()
		if what == hung {
			_, _ = io.Copy(io.Discard, conn) // until the other end gives up
			return
		}
		if _, err := conn.Write(response); err != nil {
			return
		}
	}
}

func readPacket(r io.Reader) ([]byte, error) {
	head := make([]byte, headSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint32(head[2:]))
	_, err := io.ReadFull(r, packet[copy(packet, head):])
	return packet, err
}

// newWired is a world whose chip is at the end of a wire.
func newWired(t *testing.T, options Options) (*world, *wire) {
	t.Helper()
	w := &world{t: t, tpm: tpmtest.Start(t), path: filepath.Join(t.TempDir(), "vault.db")}
	line := newWire(t, w.tpm)
	w.chip = mustChip(t, line.device())
	options.Create = true
	w.mustOpen(options)
	return w, line
}
