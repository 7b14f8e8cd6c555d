package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"coffer/cloud"
)

const (
	user     = "ann"
	password = "Gh3im-pass%word"
	login    = "ann:Gh3im-pass%25word@"
)

// An httpProxy is one that tunnels, and fetches http:// itself.
type httpProxy struct {
	world  *world
	login  bool
	answer string // raw, instead of any other
	asked  atomic.Int64
}

func (p *httpProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	if p.answer != "" {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(c, p.answer)
			c.Close()
		}
		return
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	if p.login && r.Header.Get("Proxy-Authorization") != want {
		w.Header().Set("Proxy-Authenticate", "Basic")
		http.Error(w, "who are you", http.StatusProxyAuthRequired)
		return
	}
	if r.Method == http.MethodConnect {
		p.tunnel(w, r)
		return
	}
	out := &http.Transport{DialContext: p.world.dial}
	defer out.CloseIdleConnections()
	res, err := out.RoundTrip(r)
	if err != nil {
		http.Error(w, "unreachable", http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	w.Header().Set("Via", "proxy")
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}

func (p *httpProxy) tunnel(w http.ResponseWriter, r *http.Request) {
	far, err := p.world.dial(context.Background(), "tcp", r.Host)
	if err != nil {
		http.Error(w, "unreachable", http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	join(near, far, []byte("HTTP/1.1 200 Connection established\r\nX-More: yes\r\n\r\n"))
}

// join copies both ways. The greeting goes out with the first bytes of the far
// end, if it speaks first: in one packet.
func join(near, far net.Conn, greeting []byte) {
	first := make([]byte, 1024)
	_ = far.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	n, _ := far.Read(first)
	_ = far.SetReadDeadline(time.Time{})
	_, _ = near.Write(append(greeting, first[:n]...))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(near, far)
		near.Close()
	}()
	_, _ = io.Copy(far, near)
	far.Close()
	<-done
}

// socksProxy serves SOCKS5, as the RFC has it.
func socksProxy(t *testing.T, w *world, l net.Listener, wantLogin bool) {
	t.Helper()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = serveSocks(w, c, wantLogin)
			}()
		}
	}()
}

func serveSocks(w *world, c net.Conn, wantLogin bool) error {
	r := bufio.NewReader(c)
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(r, methods); err != nil {
		return err
	}
	if wantLogin {
		if !slices.Contains(methods, methodLogin) {
			_, err := c.Write([]byte{5, methodNo})
			return err
		}
		if err := socksCheck(r, c); err != nil {
			return err
		}
	} else if _, err := c.Write([]byte{5, methodNone}); err != nil {
		return err
	}
	ask := make([]byte, 5)
	if _, err := io.ReadFull(r, ask); err != nil {
		return err
	}
	if ask[3] != addressName {
		_, err := c.Write([]byte{5, 8, 0, 1, 0, 0, 0, 0, 0, 0})
		return err
	}
	rest := make([]byte, int(ask[4])+2)
	if _, err := io.ReadFull(r, rest); err != nil {
		return err
	}
	port := int(rest[len(rest)-2])<<8 | int(rest[len(rest)-1])
	far, err := w.dial(context.Background(), "tcp", fmt.Sprintf("%s:%d", rest[:len(rest)-2], port))
	if err != nil {
		_, err := c.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0})
		return err
	}
	join(c, far, []byte{5, 0, 0, addressName, 3, 'a', '.', 'b', 0, 80})
	return nil
}

func socksCheck(r io.Reader, c net.Conn) error {
	if _, err := c.Write([]byte{5, methodLogin}); err != nil {
		return err
	}
	got := make([]byte, 3+len(user)+len(password))
	if _, err := io.ReadFull(r, got); err != nil {
		return err
	}
	want := append([]byte{1, byte(len(user))}, user...)
	want = append(append(want, byte(len(password))), password...)
	if !bytes.Equal(got, want) {
		_, _ = c.Write([]byte{1, 1})
		return errors.New("wrong")
	}
	_, err := c.Write([]byte{1, 0})
	return err
}

// greeter says something first, as SSH does, and then echoes.
func greeter(l net.Listener) {
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, "SSH-2.0-test\r\n")
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}

// wantGreeting talks to a greeter.
func wantGreeting(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("SSH-2.0-test\r\nhello"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "SSH-2.0-test\r\nhello" {
		t.Fatalf("read %q, %v", got, err)
	}
}

// A town is a world with servers and with every kind of proxy.
type town struct {
	*world
	ca     *authority
	tunnel *httpProxy
}

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{world: newWorld(), ca: newAuthority(t)}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	serve(t, w.listen(t, "plain.test:80"), hello)
	serve(t, w.listen(t, "sealed.test:443"), hello, w.ca.good(t, "sealed.test"))
	greeter(w.listen(t, "ssh.test:22"))
	w.tunnel = &httpProxy{world: w.world}
	serve(t, w.listen(t, "proxy.test:3128"), w.tunnel)
	serve(t, w.listen(t, "locked.test:3128"), &httpProxy{world: w.world, login: true})
	tlsProxy := &httpProxy{world: w.world, login: true}
	l := w.listen(t, "tlsproxy.test:443")
	serve1(t, l, tlsProxy, w.ca.good(t, "tlsproxy.test"))
	socksProxy(t, w.world, w.listen(t, "socks.test:1080"), false)
	socksProxy(t, w.world, w.listen(t, "lockedsocks.test:1080"), true)
	return w
}

func TestProxiesCarryEverything(t *testing.T) {
	w := newTown(t)
	for _, proxy := range []string{
		"http://proxy.test:3128", "http://" + login + "locked.test:3128", "https://" + login + "tlsproxy.test",
		"socks5://socks.test:1080", "socks5://" + login + "lockedsocks.test",
		direct,
	} {
		l := w.line(t, Settings{Proxy: proxy, CAs: w.ca.pem()}, nil)
		first := "plain.test:80"
		if p, err := parseProxy(proxy); err == nil {
			first = p.address
		}
		w.connected()
		c, err := l.Dial(t.Context(), "tcp", "ssh.test:22")
		if err != nil {
			t.Fatalf("%s: %v", l.now.Load().raw, err)
		}
		wantGreeting(t, c)
		if met := w.connected(); proxy != direct && met[0] != first {
			t.Errorf("connected to %v", met)
		}
		rt := l.HTTP(TLS{})
		for url, want := range map[string]string{"http://plain.test/": "HTTP/1.1", "https://sealed.test/": "HTTP/2.0"} {
			w.connected()
			_, body, err := get(t, rt, url)
			if err != nil || string(body) != want {
				t.Fatalf("%s by %s: %q, %v", url, first, body, err)
			}
			if met := w.connected(); proxy != direct && met[0] != first {
				t.Errorf("%s: connected to %v", url, met)
			}
		}
		rt.(*roundTripper).CloseIdleConnections()
	}
}

func TestProxiesThatRefuse(t *testing.T) {
	w := newTown(t)
	for _, proxy := range []string{
		"http://locked.test:3128", "http://ann:Gh3im-wrong@locked.test:3128", "https://ann:Gh3im-wrong@tlsproxy.test",
		"socks5://lockedsocks.test", "socks5://ann:Gh3im-pass%25wore@lockedsocks.test",
	} {
		l := w.line(t, Settings{Proxy: proxy, CAs: w.ca.pem()}, nil)
		_, err := l.Dial(t.Context(), "tcp", "ssh.test:22")
		wantRefusal(t, err)
		rt := l.HTTP(TLS{})
		for _, url := range []string{"http://plain.test/", "https://sealed.test/"} {
			_, _, err := get(t, rt, url)
			wantRefusal(t, err)
		}
	}
}

// wantRefusal requires ErrProxy that a Store does not try again, and no secret.
func wantRefusal(t *testing.T, err error) {
	t.Helper()
	wantIs(t, "proxy that refuses", err, cloud.ErrProxy, cloud.ErrOffline)
	noSecret(t, err)
	wantFinal(t, err)
}

func noSecret(t *testing.T, v any) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, v); strings.Contains(text, "Gh3im") || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(user + ":"))[:5]) {
			t.Fatalf("a password shows in %s", verb)
		}
	}
}

// TestProxiesThatFail: what they cannot reach, and what they answer wrongly.
func TestProxiesThatFail(t *testing.T) {
	w := newTown(t)
	for _, proxy := range []string{"http://proxy.test:3128", "socks5://socks.test"} {
		l := w.line(t, Settings{Proxy: proxy}, nil)
		_, err := l.Dial(t.Context(), "tcp", "nowhere.test:22")
		wantIs(t, "unknown host", err, cloud.ErrOffline)
		if errors.Is(err, cloud.ErrProxy) {
			t.Errorf("%v: the proxy is not to blame", err)
		}
	}
	for answer, refuses := range map[string]bool{
		"HTTP/1.1 403 Forbidden\r\n\r\n": true, "HTTP/1.1 503 Busy\r\n\r\n": false,
		"SSH-2.0-x\r\n": false, "HTTP/1.1 200": false, "HTTP/1.1 302 Found\r\nLocation: http://portal.test/\r\n\r\n": false,
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n": false,
	} {
		w.tunnel.answer = answer
		l := w.line(t, Settings{Proxy: "http://" + login + "proxy.test:3128"}, nil)
		_, err := l.Dial(t.Context(), "tcp", "ssh.test:22")
		wantIs(t, "proxy that fails", err, cloud.ErrOffline)
		noSecret(t, err)
		if errors.Is(err, cloud.ErrProxy) != refuses {
			t.Errorf("%.20q: %v", answer, err)
		}
	}
	l := w.line(t, Settings{Proxy: "http://" + login + "gone.test:3128"}, nil)
	_, err := l.Dial(t.Context(), "tcp", "ssh.test:22")
	wantIs(t, "proxy that is gone", err, cloud.ErrOffline)
	noSecret(t, err)
	if l := w.line(t, Settings{Proxy: "https://tlsproxy.test"}, nil); l != nil {
		_, err := l.Dial(t.Context(), "tcp", "ssh.test:22") // without its authority
		wantIs(t, "proxy with a strange certificate", err, cloud.ErrIdentity)
	}
}

// TestHungProxy: who accepts and says nothing is given up, and sooner if told.
func TestHungProxy(t *testing.T) {
	for _, proxy := range []string{"http://p.test", "https://p.test:80", "socks5://p.test:80"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			sink(w.pipe(t, "p.test:80"), &drain{}, &drain{})
			l := w.line(t, Settings{Proxy: proxy}, nil)
			began := time.Now()
			_, err := l.Dial(t.Context(), "tcp", "ssh.test:22")
			wantIs(t, "hung proxy", err, cloud.ErrOffline)
			if took := time.Since(began); took != dialTimeout && took != handshakeTimeout {
				t.Errorf("given up after %v", took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began = time.Now()
			_, err = l.Dial(ctx, "tcp", "ssh.test:22")
			wantIs(t, "hung proxy", err, context.DeadlineExceeded)
			if took := time.Since(began); took != time.Second {
				t.Errorf("given up after %v", took)
			}
			if len(l.conns) != 0 {
				t.Errorf("%d connections stay open", len(l.conns))
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	w := newTown(t)
	serve(t, w.listen(t, "127.0.0.1:8080"), http.NotFoundHandler())
	greeter(w.listen(t, "nas.home.test:22"))
	for _, c := range []struct {
		env              map[string]string
		raw, plain, tls_ string // what is connected to first
	}{
		{nil, "ssh.test:22", "plain.test:80", "sealed.test:443"},
		{map[string]string{"HTTPS_PROXY": "http://proxy.test:3128"}, "proxy.test:3128", "plain.test:80", "proxy.test:3128"},
		{map[string]string{"HTTP_PROXY": "proxy.test:3128"}, "ssh.test:22", "proxy.test:3128", "sealed.test:443"},
		{map[string]string{"ALL_PROXY": "socks://socks.test:1080/"}, "socks.test:1080", "socks.test:1080", "socks.test:1080"},
		{map[string]string{"all_proxy": "socks5h://socks.test:1080", "https_proxy": "proxy.test:3128"}, "socks.test:1080", "socks.test:1080", "proxy.test:3128"},
		{map[string]string{"https_proxy": "proxy.test:3128", "HTTPS_PROXY": "gone.test:1"}, "proxy.test:3128", "plain.test:80", "proxy.test:3128"},
		{map[string]string{"ALL_PROXY": "proxy.test:3128", "NO_PROXY": "ssh.test, .other.test,plain.test:80"}, "ssh.test:22", "plain.test:80", "proxy.test:3128"},
		{map[string]string{"ALL_PROXY": "proxy.test:3128", "no_proxy": "*"}, "ssh.test:22", "plain.test:80", "sealed.test:443"},
	} {
		l := w.line(t, Settings{CAs: w.ca.pem()}, c.env)
		rt := l.HTTP(TLS{})
		w.connected()
		if conn, err := l.Dial(t.Context(), "tcp", "ssh.test:22"); err != nil || conn.Close() != nil || w.connected()[0] != c.raw {
			t.Errorf("%v: ssh: %v", c.env, err)
		}
		w.connected()
		if _, _, err := get(t, rt, "http://plain.test"); err != nil || w.connected()[0] != c.plain {
			t.Errorf("%v: http: %v", c.env, err)
		}
		w.connected()
		if _, _, err := get(t, rt, "https://sealed.test"); err != nil || w.connected()[0] != c.tls_ {
			t.Errorf("%v: https: %v", c.env, err)
		}
		rt.(*roundTripper).CloseIdleConnections()
	}
}

// TestLoopbackIsNeverProxied, and NO_PROXY holds for a proxy of the settings too.
func TestLoopbackIsNeverProxied(t *testing.T) {
	w := newTown(t)
	for _, address := range []string{"127.0.0.1:22", "127.8.9.1:22", "[::1]:22", "[::ffff:127.0.0.1]:22", "localhost:22", "LOCALHOST.:22", "a.localhost:22", "0.0.0.0:22", "kept.test:22"} {
		greeter(w.listen(t, address))
		for _, proxy := range []string{"http://proxy.test:3128", "socks5://socks.test"} {
			l := w.line(t, Settings{Proxy: proxy}, map[string]string{"NO_PROXY": "kept.test"})
			w.connected()
			c, err := l.Dial(t.Context(), "tcp", address)
			if err != nil {
				t.Fatalf("%s: %v", address, err)
			}
			c.Close()
			if met := w.connected(); len(met) != 1 || met[0] != address {
				t.Errorf("%s: connected to %v", address, met)
			}
		}
	}
	if got := w.tunnel.asked.Load(); got != 0 {
		t.Errorf("the proxy was asked %d times", got)
	}
}

// TestUnusableEnvironment: it does not keep the program from starting, only
// those connections that would need it.
func TestUnusableEnvironment(t *testing.T) {
	w := newTown(t)
	l := w.line(t, Settings{CAs: w.ca.pem()}, map[string]string{"HTTPS_PROXY": "gopher://" + login + "old.test"})
	_, err := l.Dial(t.Context(), "tcp", "ssh.test:22")
	wantRefusal(t, err)
	rt := l.HTTP(TLS{})
	_, _, err = get(t, rt, "https://sealed.test")
	wantRefusal(t, err)
	if _, _, err := get(t, rt, "http://plain.test"); err != nil {
		t.Error(err)
	}
	rt.(*roundTripper).CloseIdleConnections()
}

func TestProxyChangesUnderWay(t *testing.T) {
	w := newTown(t)
	l := w.line(t, Settings{}, nil)
	for proxy, want := range map[string]string{"socks5://socks.test": "socks.test:1080", "http://proxy.test:3128": "proxy.test:3128", direct: "ssh.test:22"} {
		if err := l.Set(Settings{Proxy: proxy}); err != nil {
			t.Fatal(err)
		}
		w.connected()
		wantGreeting(t, mustDial(t, l, "ssh.test:22"))
		if met := w.connected(); met[0] != want {
			t.Errorf("%s: connected to %v", proxy, met)
		}
	}
	if err := l.Set(Settings{Proxy: "nonsense"}); !errors.Is(err, ErrBadProxy) {
		t.Errorf("set nonsense: %v", err)
	}
	w.connected()
	wantGreeting(t, mustDial(t, l, "ssh.test:22")) // with what was set before
}

func TestAddresses(t *testing.T) {
	w := newTown(t)
	l := w.line(t, Settings{Proxy: "http://proxy.test:3128"}, nil)
	for _, address := range []string{
		"", "a", "a:", ":22", "a:0", "a:65536", "a:-1", "a:ssh", "a b:22", "a\r\nX: y:22", "a/b:22", "a@b:22", "[::1:22", strings.Repeat("a", 256) + ":22",
	} {
		_, err := l.Dial(t.Context(), "tcp", address)
		wantIs(t, fmt.Sprintf("dial %q", address), err, cloud.ErrAddress)
	}
	for _, network := range []string{"udp", "unix", ""} {
		if _, err := l.Dial(t.Context(), network, "ssh.test:22"); err == nil {
			t.Errorf("dial %q", network)
		}
	}
	if host, whole, err := target("bücher.test:22"); err != nil || host != "xn--bcher-kva.test" || whole != "xn--bcher-kva.test:22" {
		t.Errorf("%s, %s, %v", host, whole, err)
	}
}

func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{
		"http://h": "http://h:80", "https://h": "https://h:443", "socks5://h": "socks5://h:1080", "http://[::1]:8080/": "http://[::1]:8080",
		"HTTP://h:1": "http://h:1", "http://u@h": "http://h:80", "http://u:p@h": "http://h:80", "socks5://u:p@h:9": "socks5://h:9", "http://bücher.test": "http://xn--bcher-kva.test:80",
	} {
		if p, err := parseProxy(text); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{
		"", "h", "h:80", "http:", "http://", "http://:80", "http:h", "ftp://h", "socks4://h", "http://h:0", "http://h:99999", "http://h/path", "http://h?q", "http://h?", "http://h#f",
		"http://Gh3im:Gh3im@h h", "http://Gh3im:Gh3im%@h", "http://Gh3im:Gh3im@h:x", "http://u:Gh3im%0d%0a@h", "socks5://Gh3im@h", "socks5://:Gh3im@h",
		"socks5://u:" + strings.Repeat("Gh3im", 60) + "@h", "http://Gh3im:Gh3im@[::1", "\x00",
	} {
		_, err := parseProxy(text)
		wantIs(t, "parse "+text, err, ErrBadProxy)
		noSecret(t, err)
	}
}

// scripted is a connection whose other end says what was prepared.
type scripted struct {
	net.Conn
	io.Reader
}

func (s scripted) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s scripted) Write(p []byte) (int, error) { return len(p), nil }

const (
	goodTunnel = "HTTP/1.1 200 OK\r\nVia: x\r\n\r\n"
	goodSocks  = "\x05\x02\x01\x00\x05\x00\x00\x03\x03abc\x00\x50"
)

func runTunnel(answer []byte) ([]byte, error) {
	p := &proxy{kind: kindHTTP, login: mustLogin}
	c, err := tunnel(scripted{Reader: bytes.NewReader(answer)}, p, "a.test:22")
	if err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

func runSocks(answer []byte) ([]byte, error) {
	p := &proxy{kind: kindSOCKS, login: mustLogin}
	r := bytes.NewReader(answer)
	if err := socks(scripted{Reader: r}, p, "a.test:22"); err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// TestAnswersAreWhole: no prefix of a good answer is one, and not a byte of what
// follows is lost.
func TestAnswersAreWhole(t *testing.T) {
	for good, run := range map[string]func([]byte) ([]byte, error){goodTunnel: runTunnel, goodSocks: runSocks} {
		for cut := range good {
			if _, err := run([]byte(good[:cut])); err == nil {
				t.Errorf("%q is taken for an answer", good[:cut])
			}
		}
		rest, err := run([]byte(good + "and the rest"))
		if err != nil || string(rest) != "and the rest" {
			t.Errorf("after %q: %q, %v", good, rest, err)
		}
	}
	for i := range goodSocks {
		for _, changed := range []byte{goodSocks[i] ^ 1, goodSocks[i] ^ 0x80} {
			answer := []byte(goodSocks)
			answer[i] = changed
			if i >= 8 { // the address that the proxy uses: of no interest but its length
				continue
			}
			if _, err := runSocks(answer); err == nil {
				t.Errorf("%q is taken for an answer", answer)
			}
		}
	}
}

func FuzzTunnel(f *testing.F) {
	for _, seed := range []string{goodTunnel, goodTunnel + "rest", "HTTP/1.0 407 No\r\n\r\n", "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", "x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		rest, err := runTunnel(answer)
		if err == nil && !bytes.HasSuffix(answer, rest) {
			t.Errorf("%q is not the end of %q", rest, answer)
		}
	})
}

func FuzzSocks(f *testing.F) {
	for _, seed := range []string{goodSocks, goodSocks + "rest", "\x05\xff", "\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x02\x01\x01"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		rest, err := runSocks(answer)
		if err == nil && (!bytes.HasSuffix(answer, rest) || len(answer)-len(rest) < 4) {
			t.Errorf("%q is not the end of %q", rest, answer)
		}
	})
}

func FuzzProxy(f *testing.F) {
	for _, seed := range []string{"http://u:p@h:1", "socks5://h", "https://[::1]:3", "x", "http://%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseProxy(text)
		if err != nil {
			return
		}
		if again, err := parseProxy(p.String()); err != nil || again.String() != p.String() {
			t.Errorf("%q became %q, %v", text, p, err)
		}
	})
}
