package vault_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/hpke"
	"coffer/crypto/opaque"
	"coffer/vault"
	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/admit"
	"coffer/vault/server/gate"
	"coffer/vault/server/seal"
	"coffer/vault/server/seal/tpm"
	"coffer/vault/server/store"
	"coffer/vault/server/store/bolt"
	"coffer/vault/trust"
)

// A front is a real vault (core, file, software sealer, desk) behind a listener of its own
// that can do, on the way there and back, whatever who stands there could do.
type front struct {
	t      *testing.T
	db     *bolt.DB
	core   *server.Server
	desk   *admit.Desk
	root   trust.Key
	second trust.Key
	link   trust.Link
	tls    *httptest.Server

	mu     sync.Mutex // guards what follows
	keys   []*hpke.PrivateKey
	bundle trust.Bundle
	signed []byte
	posts  int // to /v1/sealed
	gets   int
	begun  map[uint64]bool // generations on the wire
	// charged is the serial of the record, as far as the core has answered tries.
	charged int
	answers int // to tries, since the last right one
	// page answers requests for the bundle in its place; nil: the bundle.
	page http.HandlerFunc
	// lie stands between; nil: honest. deliver gives an envelope to the vault.
	lie func(x *exchange)
}

// An exchange is one envelope on its way.
type exchange struct {
	f        *front
	kind     protocol.Kind
	w        http.ResponseWriter
	envelope []byte
}

// deliver gives the envelope to the vault and returns its sealed reply.
func (x *exchange) deliver() []byte { return x.f.handle(x.envelope) }

type frontOptions struct {
	tries    int
	register string
	change   func(*trust.Bundle)
	second   bool
	issuer   string
	clientID string
	gate     bool          // the vault's own gate, which nobody stands before
	counting *tpm.Counting // the store and the sealer, and what its chip signs with
	attests  []byte
	lying    func(seal.Counter) seal.Sealer // what the core is given for its sealer; nil: the truth
}

func newFront(t *testing.T, o frontOptions) *front {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "vault.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{t: t, db: db, begun: map[uint64]bool{}, keys: []*hpke.PrivateKey{hpke.GenerateKey()}}
	if o.tries == 0 {
		o.tries = 10
	}
	if o.register == "" {
		o.register = trust.RegisterOpen
	}
	id := [16]byte(aead.Random(16))
	var sealer seal.Sealer = seal.NewSoft([32]byte{2})
	var rows store.Store = db
	if o.counting != nil {
		sealer, rows = o.counting, o.counting
		if o.lying != nil {
			sealer = o.lying(o.counting)
		}
	}
	cfg := server.Config{
		VaultID: id, Store: rows, Sealer: sealer, Key: opaque.GenerateServerKey(), Tries: o.tries,
		Receipts: ed25519.NewKeyFromSeed(aead.Random(32)), Waits: []time.Duration{},
	}
	f.desk, err = admit.New(admit.Config{
		VaultID: id, Key: [32]byte{5}, Mode: o.register, Issuer: o.issuer, ClientID: o.clientID, Store: rows, Sealer: sealer,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Admit = f.desk.Check
	if f.core, err = server.New(cfg); err != nil {
		t.Fatal(err)
	}
	cert, pin, err := trust.SelfSigned(trust.NewTLSKey())
	if err != nil {
		t.Fatal(err)
	}
	f.tls = httptest.NewUnstartedServer(f)
	if o.gate {
		g, err := gate.New(gate.Config{
			VaultID: id, Server: f.core, Desk: f.desk,
			Keys:   func() []*hpke.PrivateKey { f.mu.Lock(); defer f.mu.Unlock(); return f.keys },
			Bundle: func() []byte { f.mu.Lock(); defer f.mu.Unlock(); return f.signed },
		})
		if err != nil {
			t.Fatal(err)
		}
		f.tls.Config.Handler = g.Handler()
	}
	f.tls.TLS = trust.ServerTLS(cert)
	f.tls.Config.ErrorLog = nil
	f.tls.StartTLS()
	t.Cleanup(func() {
		f.tls.Close()
		f.core.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	f.root, f.second = trust.NewRoot(id), trust.NewSecond(id)
	f.link = trust.Link{Address: f.tls.Listener.Addr().String(), Root: f.root.Public()}
	if o.second {
		f.link.Second = f.second.Public()
	}
	now := time.Now().UTC().Truncate(time.Second)
	f.bundle = trust.Bundle{
		VaultID: id, Name: "Ann's vault", Addresses: []string{f.link.Address},
		ServerKey: [33]byte(cfg.Key.Public()), ReceiptKey: [32]byte(cfg.Receipts.Public().(ed25519.PublicKey)),
		HPKEKey: f.keys[0].Public().Bytes(), TLSPins: [][32]byte{pin}, Tries: o.tries,
		Floor:  protocol.Cost{MemoryKiB: protocol.MinMemoryKiB, Time: protocol.MinTime, Threads: protocol.MinThreads},
		Sealer: trust.SealerSoftware, Store: trust.StoreFile, Register: o.register, Issuer: o.issuer, ClientID: o.clientID,
		AttestationKey: o.attests, Sequence: 7, Issued: now.Add(-time.Hour), Expires: now.Add(24 * time.Hour),
	}
	if o.counting != nil {
		f.bundle.Sealer = trust.SealerTPM
	}
	if o.change != nil {
		o.change(&f.bundle)
	}
	f.publish(nil)
	return f
}

// publish signs the bundle with a change, as everybody whom the link names.
func (f *front) publish(change func(*trust.Bundle)) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if change != nil {
		change(&f.bundle)
	}
	f.signed = f.sign(f.bundle)
}

func (f *front) sign(b trust.Bundle) []byte {
	f.t.Helper()
	signed, err := trust.Sign(b, f.root)
	if err != nil {
		f.t.Fatal(err)
	}
	if f.link.HasSecond() {
		if signed, err = trust.AddSignature(signed, f.root.Public(), f.second); err != nil {
			f.t.Fatal(err)
		}
	}
	return signed
}

// copyRow returns what the store holds of a record, and putRow puts it back.
func (f *front) copyRow(record [16]byte) []byte {
	f.t.Helper()
	row, _, err := f.db.Fetch(f.t.Context(), record)
	if err != nil {
		f.t.Fatal(err)
	}
	return row
}

func (f *front) putRow(record [16]byte, row []byte) {
	f.t.Helper()
	_, revision, err := f.db.Fetch(f.t.Context(), record)
	if err == nil {
		err = f.db.Replace(f.t.Context(), record, revision, row)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *front) set(lie func(*exchange)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lie = lie
}

func (f *front) counted() (posts, charged, answers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.posts, f.charged, f.answers
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	lie, page, signed := f.lie, f.page, f.signed
	if r.Method == http.MethodGet {
		f.gets++
	} else {
		f.posts++
	}
	f.mu.Unlock()
	if r.URL.Path == protocol.BundlePath {
		if page != nil {
			page(w, r)
			return
		}
		_, _ = w.Write(signed)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, protocol.MaxSealed+1))
	if err != nil {
		return
	}
	x := &exchange{f: f, w: w, envelope: body}
	if inside, _, err := f.open(body); err == nil {
		h, _ := protocol.HeaderOf(inside)
		x.kind = h.Kind
	} else if errors.Is(err, protocol.ErrOtherKey) {
		protocol.WriteError(w, err)
		return
	}
	if lie != nil {
		lie(x)
		return
	}
	x.reply(x.deliver())
}

func (x *exchange) reply(sealed []byte) {
	x.w.Header().Set("Content-Type", protocol.ContentType)
	_, _ = x.w.Write(sealed)
}

// cut ends the connection in the middle.
func (x *exchange) cut() {
	conn, _, err := x.w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

type opened struct {
	binding [32]byte
	key     [32]byte
}

func (f *front) open(envelope []byte) ([]byte, opened, error) {
	e, ad, ciphertext, err := protocol.ParseEnvelope(envelope)
	if err != nil {
		return nil, opened{}, err
	}
	f.mu.Lock()
	keys := f.keys
	f.mu.Unlock()
	for _, key := range keys {
		if key.Public().ID() != e.KeyID {
			continue
		}
		recipient, err := hpke.NewRecipient(key, e.Encapsulated[:], protocol.ChannelInfo(f.root.Vault()))
		if err != nil {
			return nil, opened{}, err
		}
		padded, err := recipient.Open(ad, ciphertext)
		if err != nil {
			return nil, opened{}, err
		}
		inside, err := protocol.Unpad(padded)
		return inside, opened{recipient.Export(protocol.LabelBinding), recipient.Export(protocol.LabelReply)}, err
	}
	return nil, opened{}, protocol.ErrOtherKey
}

// handle is an honest vault: what the gate does, and an account of it.
func (f *front) handle(envelope []byte) []byte {
	inside, o, err := f.open(envelope)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	h, err := protocol.HeaderOf(inside)
	if err != nil {
		return nil
	}
	var reply []byte
	if h.Kind == protocol.KindAdmit {
		reply, err = f.admit(ctx, inside)
	} else {
		reply, err = f.core.Answer(ctx, o.binding, inside)
	}
	f.note(h, err)
	return sealReply(o.key, protocol.PadReply(reply, err))
}

func sealReply(key [32]byte, padded []byte) []byte {
	prefix := protocol.KindSealed.Reply()
	return append(protocol.Encode(&prefix), aead.Seal(key[:], []byte(protocol.LabelReply), padded)...)
}

func (f *front) admit(ctx context.Context, inside []byte) ([]byte, error) {
	m, token, err := protocol.ParseVariable[protocol.Admit](protocol.NewPrefix(protocol.KindAdmit), inside, protocol.MaxAdmission, 0)
	if err != nil {
		return nil, err
	}
	ticket, err := f.desk.Admit(ctx, m.Record, token)
	if err != nil {
		return nil, err
	}
	return protocol.Encode(&protocol.AdmitReply{Prefix: protocol.KindAdmit.Reply(), Ticket: ticket}), nil
}

func (f *front) note(h protocol.Header, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch h.Kind {
	case protocol.KindBegin:
		f.begun[h.Generation] = true
	case protocol.KindAttempt, protocol.KindExpose:
		if err == nil {
			f.charged++
			f.answers++
		}
	case protocol.KindFinish, protocol.KindReset:
		if err == nil {
			f.answers = 0
		}
	}
}

func (f *front) dial(o vault.RemoteOptions) (*vault.Client, error) {
	f.t.Helper()
	o.Device = "ann's laptop"
	c, err := vault.Dial(f.t.Context(), f.link, o)
	if err == nil {
		c.UseCheapKSF()
	}
	return c, err
}

func (f *front) mustDial(o vault.RemoteOptions) *vault.Client {
	f.t.Helper()
	c, err := f.dial(o)
	if err != nil {
		f.t.Fatalf("dial: %v", err)
	}
	return c
}

// deadAddress is one that nobody listens at.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
