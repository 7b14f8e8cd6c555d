package gate

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
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
	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/admit"
	"coffer/vault/server/seal"
	"coffer/vault/server/store/bolt"
	"coffer/vault/trust"
	"coffer/vault/vaulttest"
)

var testVault = [16]byte{0xc0, 0xff, 0xe8}

// bundleText stands for a signed bundle: the gate does not read it.
const bundleText = "coffer-vault bundle 1\nvault and so on, as long as it is easily found on a wire\n"

// coreFunc is a core that is a function.
type coreFunc func(ctx context.Context, binding [32]byte, body []byte) ([]byte, error)

func (f coreFunc) Answer(ctx context.Context, binding [32]byte, body []byte) ([]byte, error) {
	return f(ctx, binding, body)
}

// echo answers every request with itself.
func echo(_ context.Context, _ [32]byte, body []byte) ([]byte, error) { return body, nil }

// A world is a gate with what it guards, and its log.
type world struct {
	*Gate
	key  *hpke.PrivateKey
	desk *admit.Desk
	log  *safeBuffer

	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}

func newWorld(t testing.TB, core Core, change func(*Config)) *world {
	t.Helper()
	w := &world{key: hpke.GenerateKey(), log: &safeBuffer{}, now: time.Unix(1_800_000_000, 0)}
	db, err := bolt.Open(filepath.Join(t.TempDir(), "admissions.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.desk, err = admit.New(admit.Config{
		VaultID: testVault, Key: [32]byte{1}, Mode: admit.ModeInvite, Store: db, Sealer: seal.NewSoft([32]byte{2}), Clock: w.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		VaultID: testVault, Server: core, Keys: func() []*hpke.PrivateKey { return []*hpke.PrivateKey{w.key} },
		Bundle: func() []byte { return []byte(bundleText) }, Desk: w.desk, Clock: w.clock,
		Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	if w.Gate, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

// unhindered are limits that a test of something else does not meet.
func unhindered(c *Config) {
	c.Limits = Limits{AddressBurst: 1 << 20, RecordBurst: 1 << 20, AddressConnections: 1 << 10}
}

// newCore returns a real core, on bolt and the software sealer, and the key that clients
// know it by.
func newCore(t testing.TB, admitted func([16]byte, [32]byte) error) (*server.Server, [33]byte) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "vault.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	key := opaque.GenerateServerKey()
	core, err := server.New(server.Config{
		VaultID: testVault, Store: db, Sealer: seal.NewSoft([32]byte(aead.Random(32))), Key: key,
		Receipts: ed25519.NewKeyFromSeed(aead.Random(32)), Waits: []time.Duration{}, Admit: admitted,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		core.Close()
		_ = db.Close()
	})
	return core, [33]byte(key.Public())
}

// serveTLS runs the gate inside of TLS until the test ends, and returns its address.
func (w *world) serveTLS(t testing.TB, cert tls.Certificate) string {
	t.Helper()
	return w.run(t, func(ctx context.Context, ln net.Listener) error { return w.Serve(ctx, ln, trust.ServerTLS(cert)) })
}

// servePlain runs the gate without TLS until the test ends, and returns its address.
func (w *world) servePlain(t testing.TB) string {
	t.Helper()
	return w.run(t, w.ServePlain)
}

func (w *world) run(t testing.TB, serve func(context.Context, net.Listener) error) string {
	t.Helper()
	ln := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return ln.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// trusting is a client of TLS that takes this one certificate.
func trusting(t testing.TB, cert tls.Certificate) *http.Client {
	t.Helper()
	pin, err := trust.Pin(cert)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig: trust.ClientTLS(trust.Bundle{TLSPins: [][32]byte{pin}}, "127.0.0.1"), ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// A sealing is one envelope on its way: what is needed to read its answer.
type sealing struct {
	body     []byte
	binding  [32]byte
	replyKey [32]byte
}

// sealTo puts what request returns for the binding into an envelope.
func sealTo(t testing.TB, key hpke.PublicKey, vault [16]byte, request func(binding [32]byte) []byte) sealing {
	t.Helper()
	return sealPadded(t, key, vault, func(binding [32]byte) []byte { return protocol.Pad(request(binding)) })
}

func sealPadded(t testing.TB, key hpke.PublicKey, vault [16]byte, padded func([32]byte) []byte) sealing {
	t.Helper()
	sender, err := hpke.NewSender(key, protocol.ChannelInfo(vault))
	if err != nil {
		t.Fatal(err)
	}
	head := protocol.Encode(&protocol.Envelope{
		Prefix: protocol.NewPrefix(protocol.KindSealed), KeyID: key.ID(), Encapsulated: [1120]byte(sender.Encapsulated()),
	})
	s := sealing{binding: sender.Export(protocol.LabelBinding), replyKey: sender.Export(protocol.LabelReply)}
	s.body = append(head, sender.Seal(head, padded(s.binding))...)
	return s
}

// open reads the answer to an envelope.
func (s sealing) open(reply []byte) ([]byte, error) {
	prefix := protocol.KindSealed.Reply()
	if !bytes.HasPrefix(reply, protocol.Encode(&prefix)) {
		return nil, errors.New("the answer is not sealed")
	}
	padded, err := aead.Open(s.replyKey[:], []byte(protocol.LabelReply), reply[4:])
	if err != nil {
		return nil, err
	}
	return protocol.UnpadReply(padded)
}

// A door leads to a gate through a real connection, and remembers what went through it.
type door struct {
	t     testing.TB
	url   string
	http  *http.Client
	key   hpke.PublicKey
	mu    sync.Mutex
	plain [][]byte  // requests and replies as they were before they were sealed
	sent  []sealing // envelopes
}

var _ vaulttest.Door = (*door)(nil)

func (w *world) door(t testing.TB, url string, client *http.Client) *door {
	return &door{t: t, url: url, http: client, key: w.key.Public()}
}

func (d *door) Exchange(ctx context.Context, _ protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	s := sealTo(d.t, d.key, testVault, func(binding [32]byte) []byte {
		body := sign(binding)
		d.remember(body)
		return body
	})
	d.mu.Lock()
	d.sent = append(d.sent, s)
	d.mu.Unlock()
	reply, err := d.send(ctx, s)
	d.remember(reply)
	return reply, err
}

func (d *door) remember(plain []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plain = append(d.plain, bytes.Clone(plain))
}

func (d *door) send(ctx context.Context, s sealing) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+protocol.SealedPath, bytes.NewReader(s.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", protocol.ContentType)
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, protocol.ReadError(resp)
	}
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return s.open(reply)
}

// status is a request that every core understands the header of.
func statusRequest(record byte) func(binding [32]byte) []byte {
	return func(binding [32]byte) []byte {
		return protocol.Encode(&protocol.Status{Header: protocol.NewHeader(protocol.KindStatus, [16]byte{record}, 1, binding)})
	}
}

// post sends a body to the gate without a network, from an address.
func (w *world) post(t testing.TB, body []byte, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, protocol.SealedPath, bytes.NewReader(body))
	r.Header.Set("Content-Type", protocol.ContentType)
	if change != nil {
		change(r)
	}
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, r)
	return rec
}

// ask seals a request, sends it without a network and opens the answer.
func (w *world) ask(t testing.TB, request func([32]byte) []byte, change func(*http.Request)) ([]byte, error) {
	t.Helper()
	s := sealTo(t, w.key.Public(), testVault, request)
	rec := w.post(t, s.body, change)
	if rec.Code != http.StatusOK {
		return nil, protocol.ReadError(rec.Result())
	}
	return s.open(rec.Body.Bytes())
}

// scrape returns the metrics.
func (w *world) scrape(t testing.TB) string {
	t.Helper()
	rec := httptest.NewRecorder()
	w.Metrics().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("metrics: HTTP status %d", rec.Code)
	}
	return rec.Body.String()
}
