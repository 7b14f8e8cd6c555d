package gate

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/trust"
)

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ended reads until the other end closes, and returns what came; it fails when it does not.
func ended(t *testing.T, c net.Conn) string {
	t.Helper()
	text, err := io.ReadAll(c)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the connection is kept open")
	}
	return string(text)
}

// TestNobodyHoldsAConnectionForNothing: headers and bodies that come slowly or never, and
// connections on which nothing is asked.
func TestNobodyHoldsAConnectionForNothing(t *testing.T) {
	w := newWorld(t, coreFunc(echo), func(c *Config) {
		unhindered(c)
		c.Limits.Header, c.Limits.Read, c.Limits.Idle = 200*time.Millisecond, 400*time.Millisecond, 300*time.Millisecond
	})
	plain := w.servePlain(t)
	const head = "POST /v1/sealed HTTP/1.1\r\nHost: vault\r\nContent-Type: " + protocol.ContentType + "\r\n"
	for name, sent := range map[string]string{
		"nothing": "", "half a line": "POST /v1", "no end of the header": head, "no body": head + "Content-Length: 5000\r\n\r\n",
		"half a body":         head + "Content-Length: 5000\r\n\r\nCV\x01\x40",
		"half a chunk":        head + "Transfer-Encoding: chunked\r\n\r\nff\r\nCV",
		"one request, no two": "GET /healthz HTTP/1.1\r\nHost: vault\r\n\r\n",
	} {
		c := dial(t, plain)
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatal(err)
		}
		if got := ended(t, c); strings.Contains(got, "200 OK") != (sent != "" && strings.HasPrefix(sent, "GET")) {
			t.Errorf("%s: %q", name, got)
		}
	}
	inTLS := w.serveTLS(t, newCertificate(t))
	ended(t, dial(t, inTLS)) // no handshake
}

func TestHeadersAreBounded(t *testing.T) {
	w := newWorld(t, coreFunc(echo), unhindered)
	c := dial(t, w.servePlain(t))
	go func() {
		_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: vault\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 1 MiB: %v, %v", resp, err)
	}
}

// isServed says whether a connection gets an answer, or is closed at once.
func isServed(t *testing.T, c net.Conn) bool {
	t.Helper()
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: vault\r\n\r\n"); err != nil {
		return false
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

func TestConnectionsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
		fronts []netip.Prefix
		limit  string
	}{
		{"of one address", Limits{AddressConnections: 3}, nil, "address-connections"},
		{"of all", Limits{Connections: 3}, nil, "connections"},
		{"of all, from a front", Limits{Connections: 3, AddressConnections: 1}, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "connections"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, coreFunc(echo), func(cfg *Config) { cfg.Limits, cfg.Fronts = c.limits, c.fronts })
			address := w.servePlain(t)
			var open []net.Conn
			for range 3 {
				conn := dial(t, address)
				if !isServed(t, conn) {
					t.Fatal("a connection within the limit is closed")
				}
				open = append(open, conn)
			}
			for range 3 {
				if isServed(t, dial(t, address)) {
					t.Fatal("a connection beyond the limit is served")
				}
			}
			if !strings.Contains(w.scrape(t), fmt.Sprintf("coffer_vault_limited_total{limit=%q} 3", c.limit)) {
				t.Error("the metrics do not count it")
			}
			_ = open[0].Close()
			for !isServed(t, dial(t, address)) { // as soon as the server has noticed
				if t.Context().Err() != nil {
					t.Fatal("no room was made")
				}
			}
		})
	}
}

// TestAStopFinishesWhatRuns: the request on its way is answered, a new connection is not.
func TestAStopFinishesWhatRuns(t *testing.T) {
	cert := newCertificate(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	w := newWorld(t, coreFunc(func(ctx context.Context, _ [32]byte, body []byte) ([]byte, error) {
		begun <- struct{}{}
		<-goOn
		return body, ctx.Err()
	}), unhindered)
	ln := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- w.Serve(ctx, ln, trust.ServerTLS(cert)) }()
	for _, h2 := range []bool{true, false} {
		client := trusting(t, cert)
		client.Transport.(*http.Transport).ForceAttemptHTTP2 = h2
		d := w.door(t, "https://"+ln.Addr().String(), client)
		answered := make(chan error, 1)
		go func() {
			_, err := d.Exchange(t.Context(), protocol.KindStatus, statusRequest(1))
			answered <- err
		}()
		<-begun
		defer func() {
			if err := <-answered; err != nil {
				t.Errorf("the request that ran (HTTP/2: %v): %v", h2, err)
			}
		}()
	}
	stop()
	for {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			break // it does not listen any more
		}
		_ = c.Close()
	}
	select {
	case err := <-served:
		t.Fatalf("it did not wait for what runs: %v", err)
	default:
	}
	close(goOn)
	if err := <-served; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestAStopDoesNotWaitForEver(t *testing.T) {
	begun, never := make(chan struct{}), make(chan struct{})
	w := newWorld(t, coreFunc(func(context.Context, [32]byte, []byte) ([]byte, error) {
		close(begun)
		<-never
		return nil, nil
	}), func(c *Config) { c.Limits.Stop = 50 * time.Millisecond })
	defer close(never)
	ln := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- w.ServePlain(ctx, ln) }()
	d := w.door(t, "http://"+ln.Addr().String(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	answered := make(chan error, 1)
	go func() {
		_, err := d.Exchange(t.Context(), protocol.KindStatus, statusRequest(1))
		answered <- err
	}()
	<-begun
	stop()
	if err := <-served; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	if err := <-answered; err == nil {
		t.Error("the request was answered")
	}
}

func TestWhereItMayListen(t *testing.T) {
	w := newWorld(t, coreFunc(echo), nil)
	ended, stop := context.WithCancel(t.Context())
	stop()
	everywhere, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Close()
	if err := w.ServePlain(ended, everywhere); !errors.Is(err, ErrPlain) {
		t.Errorf("without TLS, everywhere: %v", err)
	}
	if err := newWorld(t, coreFunc(echo), func(c *Config) { c.PlainAnywhere = true }).ServePlain(ended, everywhere); err != nil {
		t.Errorf("without TLS, everywhere, as told: %v", err)
	}
	old := trust.ServerTLS(newCertificate(t))
	old.MinVersion = tls.VersionTLS12
	for _, conf := range []*tls.Config{nil, {}, old} {
		if err := w.Serve(ended, listen(t), conf); !errors.Is(err, ErrConfig) {
			t.Errorf("with %v: %v", conf, err)
		}
	}
	if err := w.Serve(t.Context(), listen(t), &tls.Config{MinVersion: tls.VersionTLS13}); err == nil {
		t.Error("without a certificate")
	}
	closed := listen(t)
	_ = closed.Close()
	if err := w.ServePlain(t.Context(), closed); err == nil {
		t.Error("on a listener that is closed")
	}
}

// TestOnlyTLS13: whoever offers less is not talked to.
func TestOnlyTLS13(t *testing.T) {
	w := newWorld(t, coreFunc(echo), unhindered)
	address := w.serveTLS(t, newCertificate(t))
	conf := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
	if c, err := tls.Dial("tcp", address, conf); err == nil {
		_ = c.Close()
		t.Error("TLS 1.2")
	}
}
