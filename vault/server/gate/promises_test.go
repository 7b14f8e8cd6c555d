package gate

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/trust"
	"coffer/vault/vaulttest"
)

const testPassword = "correct horse battery staple"

func newCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	cert, _, err := trust.SelfSigned(trust.NewTLSKey())
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// ticketFor changes an invitation for the ticket of the guesser's record.
func ticketFor(t testing.TB, g *vaulttest.Guesser, token string) ([32]byte, error) {
	t.Helper()
	head := protocol.Admit{Header: protocol.NewHeader(protocol.KindAdmit, g.Record, 0, [32]byte{})}
	body := protocol.EncodeVariable(&head, []byte(token), 0)
	reply, err := g.Door.Exchange(t.Context(), protocol.KindAdmit, func(binding [32]byte) []byte {
		protocol.Bind(body, binding)
		return body
	})
	if err != nil {
		return [32]byte{}, err
	}
	m, err := protocol.Parse[protocol.AdmitReply](protocol.KindAdmit.Reply(), reply)
	if err != nil {
		return [32]byte{}, err
	}
	return m.Ticket, nil
}

// newRealWorld is a gate before a real core that takes who has an invitation.
func newRealWorld(t *testing.T, change func(*Config)) (*world, [33]byte) {
	t.Helper()
	var w *world
	core, serverKey := newCore(t, func(record [16]byte, ticket [32]byte) error { return w.desk.Check(record, ticket) })
	w = newWorld(t, core, func(c *Config) {
		unhindered(c)
		if change != nil {
			change(c)
		}
	})
	return w, serverKey
}

// TestARegistrationAndALogin: invitation, registration, wrong and right passwords, through
// TLS and envelopes, to a real core.
func TestARegistrationAndALogin(t *testing.T) {
	w, serverKey := newRealWorld(t, nil)
	cert := newCertificate(t)
	client := trusting(t, cert)
	d := w.door(t, "https://"+w.serveTLS(t, cert), client)
	g := vaulttest.NewGuesser(d, testVault, serverKey)

	if err := g.Register(t.Context(), testPassword); !errors.Is(err, protocol.ErrNotAdmitted) {
		t.Fatalf("without a ticket: %v", err)
	}
	token, err := w.desk.Invite(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if g.Ticket, err = ticketFor(t, g, token); err != nil {
		t.Fatal(err)
	}
	other := vaulttest.NewGuesser(d, testVault, serverKey)
	if _, err := ticketFor(t, other, token); !errors.Is(err, protocol.ErrInvitation) {
		t.Errorf("the same invitation for another record: %v", err)
	}
	if err := g.Register(t.Context(), testPassword); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Guess(t.Context(), "wrong"); !errors.Is(err, protocol.ErrWrongPassword) {
		t.Errorf("a wrong password: %v", err)
	}
	root, err := g.Guess(t.Context(), testPassword)
	if err != nil || !root.Equal(g.Root) {
		t.Errorf("the right password: %v", err)
	}
	if resp, err := client.Get(d.url + protocol.BundlePath); err != nil || resp.ProtoMajor != 2 {
		t.Errorf("the bundle: %v, %v", resp, err)
	} else {
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if string(text) != bundleText {
			t.Errorf("the bundle is %q", text)
		}
	}
	checkMetrics(t, w.scrape(t))
}

func checkMetrics(t *testing.T, metrics string) {
	t.Helper()
	for _, line := range []string{
		`coffer_vault_tries_total 3`, // exposed, wrong, right
		`coffer_vault_admissions_total 1`,
		`coffer_vault_requests_total{code="not-admitted",kind="begin"} 1`,
		`coffer_vault_requests_total{code="invitation",kind="admit"} 1`,
		`coffer_vault_requests_total{code="wrong-password",kind="finish"} 1`,
		`coffer_vault_requests_total{code="ok",kind="finish"} 2`,
		`coffer_vault_requests_total{code="ok",kind="bundle"} 1`,
		`coffer_vault_destroyed_total{by="try"} 0`,
		`coffer_vault_ready 1`,
	} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("the metrics do not say %s", line)
		}
	}
}

// TestAnEnvelopeThatIsSentTwiceCostsOneTry: the same bytes of an attempt, played back by
// who recorded them, are answered "serial", and nothing is charged.
func TestAnEnvelopeThatIsSentTwiceCostsOneTry(t *testing.T) {
	core, serverKey := newCore(t, nil)
	w := newWorld(t, core, unhindered)
	d := w.door(t, "http://"+w.servePlain(t), http.DefaultClient)
	g := vaulttest.NewGuesser(d, testVault, serverKey)
	if err := g.Register(t.Context(), testPassword); err != nil {
		t.Fatal(err)
	}
	before, err := g.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Ask(t.Context(), "wrong", before.Serial+1); err != nil {
		t.Fatal(err)
	}
	recorded := d.sent[len(d.sent)-1]
	for range 20 {
		if _, err := d.send(t.Context(), recorded); !errors.Is(err, protocol.ErrSerial) {
			t.Fatalf("played back: %v", err)
		}
	}
	after, err := g.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Serial != before.Serial+1 || after.Left != before.Left-1 {
		t.Errorf("%d tries were charged for one", before.Left-after.Left)
	}
	if !strings.Contains(w.scrape(t), `coffer_vault_requests_total{code="serial",kind="attempt"} 20`) {
		t.Error("the metrics do not count the replays")
	}
}

// A tap ends TLS with the vault's own key, as a front does, and hands on what it reads.
type tap struct {
	mu   sync.Mutex
	read []byte
}

func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = append(p.read, b...)
	return len(b), nil
}

// start listens with cert and passes everything on to address, which has the same cert.
func (p *tap) start(t *testing.T, cert tls.Certificate, address string) string {
	t.Helper()
	pin, err := trust.Pin(cert)
	if err != nil {
		t.Fatal(err)
	}
	ln := tls.NewListener(listen(t), trust.ServerTLS(cert))
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			vault, err := tls.Dial("tcp", address, trust.ClientTLS(trust.Bundle{TLSPins: [][32]byte{pin}}, "127.0.0.1"))
			if err != nil {
				_ = client.Close()
				return
			}
			all.Go(func() { p.copy(vault, client) })
			all.Go(func() { p.copy(client, vault) })
		}
	})
	return ln.Addr().String()
}

func (p *tap) copy(to, from net.Conn) {
	_, _ = io.Copy(io.MultiWriter(to, p), from)
	_ = to.Close()
	_ = from.Close()
}

// windows returns every run of 16 bytes in b that is not mostly the same byte.
func windows(b []byte) map[[16]byte]bool {
	all := map[[16]byte]bool{}
	for i := 0; i+16 <= len(b); i++ {
		w := [16]byte(b[i:])
		if different := len(map[byte]bool{w[0]: true, w[3]: true, w[6]: true, w[9]: true, w[12]: true, w[15]: true}); different > 3 {
			all[w] = true
		}
	}
	return all
}

// TestWhoEndsTLSLearnsNothing: with the keys of TLS, nothing of what was asked and answered
// can be read: no run of 16 bytes of any request or reply, raw, in hex or in base64.
func TestWhoEndsTLSLearnsNothing(t *testing.T) {
	w, serverKey := newRealWorld(t, nil)
	cert := newCertificate(t)
	between := &tap{}
	address := between.start(t, cert, w.serveTLS(t, cert))
	client := trusting(t, cert)
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = false // so that it reads plain HTTP
	d := w.door(t, "https://"+address, client)
	g := vaulttest.NewGuesser(d, testVault, serverKey)
	token, err := w.desk.Invite(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if g.Ticket, err = ticketFor(t, g, token); err != nil {
		t.Fatal(err)
	}
	if err := g.Register(t.Context(), testPassword); err != nil {
		t.Fatal(err)
	}
	_, _ = g.Guess(t.Context(), "wrong")
	if _, err := g.Guess(t.Context(), testPassword); err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Get(d.url + protocol.BundlePath); err != nil {
		t.Fatal(err)
	} else {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}

	between.mu.Lock()
	wire := between.read
	between.mu.Unlock()
	seen := windows(wire)
	if first := [16]byte([]byte(bundleText)); !seen[first] || !bytes.Contains(wire, []byte("POST /v1/sealed")) {
		t.Fatal("the tap does not read what is inside of TLS: this test would find nothing")
	}
	looked := 0
	for _, plain := range append(d.plain, []byte(token), []byte(testPassword), g.CloudShare[:], g.Record[:]) {
		for run := range windows(plain) {
			looked++
			if seen[run] || bytes.Contains(wire, []byte(hex.EncodeToString(run[:]))) ||
				bytes.Contains(wire, []byte(base64.StdEncoding.EncodeToString(run[:])[:20])) {
				t.Fatalf("a run of 16 bytes of a message of %d bytes is on the wire", len(plain))
			}
		}
	}
	if looked < 1000 {
		t.Errorf("only %d runs were looked for", looked)
	}
}

// TestLogAndMetricsNameNobody: neither says anything of a record, a password or an address.
func TestLogAndMetricsNameNobody(t *testing.T) {
	w, serverKey := newRealWorld(t, nil)
	d := w.door(t, "http://"+w.servePlain(t), http.DefaultClient)
	g := vaulttest.NewGuesser(d, testVault, serverKey)
	token, err := w.desk.Invite(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if g.Ticket, err = ticketFor(t, g, token); err != nil {
		t.Fatal(err)
	}
	if err := g.Register(t.Context(), testPassword); err != nil {
		t.Fatal(err)
	}
	_, _ = g.Guess(t.Context(), "wrong")
	_, _ = d.http.Get(d.url + "/v1/" + hex.EncodeToString(g.Record[:]))
	said := append(w.log.Bytes(), w.scrape(t)...)
	for _, s := range []string{`"kind":"finish"`, `"code":"wrong-password"`, `coffer_vault_tries_total 2`, `"kind":"other"`} {
		if !bytes.Contains(said, []byte(s)) {
			t.Errorf("log and metrics do not say %s", s)
		}
	}
	secrets := [][]byte{g.Record[:], g.CloudShare[:], g.Ticket[:], []byte(token), []byte(testPassword), w.key.Bytes(), []byte("127.0.0.1")}
	for i, s := range secrets {
		for _, form := range [][]byte{s, []byte(hex.EncodeToString(s)), []byte(base64.StdEncoding.EncodeToString(s)), []byte(base64.RawURLEncoding.EncodeToString(s))} {
			if bytes.Contains(said, form) {
				t.Errorf("secret %d is in the log or in the metrics", i)
			}
		}
	}
}

// TestTheCoreKnowsTheEnvelope: a signed request out of one envelope is refused in another.
func TestTheCoreKnowsTheEnvelope(t *testing.T) {
	core, serverKey := newCore(t, nil)
	w := newWorld(t, core, unhindered)
	d := w.door(t, "http://"+w.servePlain(t), http.DefaultClient)
	g := vaulttest.NewGuesser(d, testVault, serverKey)
	if err := g.Register(t.Context(), testPassword); err != nil {
		t.Fatal(err)
	}
	for _, plain := range d.plain {
		h, err := protocol.HeaderOf(plain)
		if err != nil {
			continue // a reply
		}
		if _, err := d.Exchange(context.Background(), h.Kind, func([32]byte) []byte { return plain }); !errors.Is(err, protocol.ErrIdentity) {
			t.Errorf("kind %d out of another envelope: %v", h.Kind, err)
		}
	}
}
