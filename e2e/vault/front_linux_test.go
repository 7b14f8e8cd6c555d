package vault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/hpke"
	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// A front ends the TLS connections of a vault, as a proxy of the web does, and does what a
// test wants with what passes. Its own key is pinned in a bundle that the vault's root has
// signed. It also has the vault's envelope key, stolen from vault.key: for what a test wants
// to know, and for lies that only the vault itself could tell.
type front struct {
	w       *world
	address string
	link    trust.Link
	cert    *x509Pin
	way     *http.Client
	to      string // URL of the node
	key     *hpke.PrivateKey
	vault   [16]byte

	mu     sync.Mutex
	signed []byte                // the bundle that it shows; guarded by mu
	rule   func(x *passing) fate // guarded by mu; nil: everything passes
	seen   []*passing            // guarded by mu: all envelopes, in the order of their arrival
	posts  int                   // guarded by mu: requests that were not for the bundle
}

type x509Pin struct{ pin [32]byte }

// A passing is one request and its reply, on their way.
type passing struct {
	outer      []byte // the envelope
	inner      []byte // what it holds
	kind       protocol.Kind
	header     protocol.Header
	outerReply []byte // nil: none came, or it was not asked for
	innerReply []byte // padded; nil: likewise
	replyKey   [aead.KeySize]byte
}

// refused reports whether the vault's reply is an error.
func (p *passing) refused() bool {
	_, err := protocol.UnpadReply(p.innerReply)
	return err != nil
}

// A fate is what becomes of a passing.
type fate int

const (
	passes       fate = iota
	neverArrives      // the request is dropped
	replyIsLost       // the vault does it, and its reply is dropped
	replyIsCut        // half of the reply
	replyIsBent       // a bit of the reply is another
)

// newFront starts a front before the first node.
func (w *world) newFront(t *testing.T) *front {
	t.Helper()
	door := w.first().door()
	f := &front{w: w, way: door.HTTP, to: door.URL, vault: door.Bundle.VaultID, key: w.envelopeKey(door.Bundle.HPKEKey)}
	cert, pin, err := trust.SelfSigned(trust.NewTLSKey())
	must(t, err)
	f.cert = &x509Pin{pin}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f.address = ln.Addr().String()
	f.link = w.link
	f.link.Address = f.address
	f.show(f.sign(func(*trust.Bundle) {}))
	server := &http.Server{Handler: f, TLSConfig: trust.ServerTLS(cert), ReadHeaderTimeout: patience}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(ln, "", "") }()
	t.Cleanup(func() {
		must(t, server.Close())
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return f
}

// sign makes a bundle of the vault's own: with the front's address and pin, newer, and
// changed as a test wants it.
func (f *front) sign(change func(b *trust.Bundle)) []byte {
	b := f.w.first().door().Bundle
	b.Addresses, b.TLSPins = []string{f.address}, [][32]byte{f.cert.pin}
	b.Sequence += 10
	change(&b)
	signed, err := trust.Sign(b, f.w.rootKey())
	must(f.w.t, err)
	return signed
}

// show has the front show another bundle.
func (f *front) show(signed []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signed = signed
}

// obey has the front do what rule says, from now on.
func (f *front) obey(rule func(x *passing) fate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rule = rule
}

// passed returns what has passed until now.
func (f *front) passed() []*passing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*passing(nil), f.seen...)
}

// heard returns how many requests came that were not for the bundle.
func (f *front) heard() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.posts
}

// envelopeKey finds the private half of the envelope key in vault.key, without knowing that
// file's form.
func (w *world) envelopeKey(public []byte) *hpke.PrivateKey {
	w.t.Helper()
	keys, err := os.ReadFile(filepath.Join(w.first().dir, "vault.key"))
	must(w.t, err)
	for at := 0; at+hpke.PrivateKeySize <= len(keys); at++ {
		key, err := hpke.PrivateKeyFrom(keys[at : at+hpke.PrivateKeySize])
		if err == nil && bytes.Equal(key.Public().Bytes(), public) {
			return key
		}
	}
	w.t.Fatal("vault.key has no envelope key")
	return nil
}

func (f *front) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.Path == protocol.BundlePath {
		f.mu.Lock()
		defer f.mu.Unlock()
		_, _ = rw.Write(f.signed)
		return
	}
	f.mu.Lock()
	f.posts++
	f.mu.Unlock()
	x, err := f.receive(r)
	if err != nil {
		f.w.t.Errorf("front: %v", err)
		panic(http.ErrAbortHandler)
	}
	f.mu.Lock()
	f.seen = append(f.seen, x)
	rule := f.rule
	f.mu.Unlock()
	what := passes
	if rule != nil {
		what = rule(x)
	}
	if what == neverArrives {
		panic(http.ErrAbortHandler)
	}
	if err := f.forward(x); err != nil || what == replyIsLost {
		panic(http.ErrAbortHandler) // the node may be dead: so is the connection
	}
	deliver(rw, x.outerReply, what)
}

func deliver(rw http.ResponseWriter, reply []byte, what fate) {
	rw.Header().Set("Content-Type", protocol.ContentType)
	rw.Header().Set("Content-Length", strconv.Itoa(len(reply)))
	switch what {
	case replyIsCut:
		_, _ = rw.Write(reply[:len(reply)/2])
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	case replyIsBent:
		reply = bytes.Clone(reply)
		reply[len(reply)/3] ^= 4
	}
	_, _ = rw.Write(reply)
}

// receive reads a request, and opens it with the stolen key.
func (f *front) receive(r *http.Request) (*passing, error) {
	outer, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	x := &passing{outer: outer}
	e, ad, ciphertext, err := protocol.ParseEnvelope(outer)
	if err != nil {
		return nil, err
	}
	recipient, err := hpke.NewRecipient(f.key, e.Encapsulated[:], protocol.ChannelInfo(f.vault))
	if err != nil {
		return nil, err
	}
	padded, err := recipient.Open(ad, ciphertext)
	if err != nil {
		return nil, err
	}
	if x.inner, err = protocol.Unpad(padded); err != nil {
		return nil, err
	}
	x.replyKey = recipient.Export(protocol.LabelReply)
	x.header, err = protocol.HeaderOf(x.inner)
	x.kind = x.header.Kind
	return x, err
}

// forward asks the vault.
func (f *front) forward(x *passing) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.to+protocol.SealedPath, bytes.NewReader(x.outer))
	if err != nil {
		return err
	}
	req.GetBody = nil
	req.Header.Set("Content-Type", protocol.ContentType)
	resp, err := f.way.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	outer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	prefix := protocol.KindSealed.Reply()
	box, ok := bytes.CutPrefix(outer, protocol.Encode(&prefix))
	if !ok {
		return errors.New("not an envelope")
	}
	inner, err := aead.Open(x.replyKey[:], []byte(protocol.LabelReply), box)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	x.outerReply, x.innerReply = outer, inner
	return nil
}
