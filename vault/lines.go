package vault

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// Times and bounds of one connection.
const (
	connectLife = 10 * time.Second // until TLS stands, for one address
	answerLife  = 30 * time.Second // until the answer is read; the vault itself takes 10 s
	idleLife    = 20 * time.Second // shorter than that of servers: a line that is gone already costs an answer
	maxHeaders  = 16 << 10         // bytes
)

// lines are the TLS connections to one vault.
type lines struct{ http *http.Client }

// newLines returns lines whose other end must pass what config says for its host.
func newLines(opts RemoteOptions, config func(host string) *tls.Config) *lines {
	transport := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return connect(ctx, opts, network, address, config)
		},
		DisableCompression: true, IdleConnTimeout: idleLife, MaxIdleConnsPerHost: 2,
		MaxResponseHeaderBytes: maxHeaders,
		Protocols:              new(http.Protocols),
	}
	// One request at a time on a connection: otherwise nobody could say whether anything of
	// this one has left.
	transport.Protocols.SetHTTP1(true)
	return &lines{&http.Client{
		Transport: transport,
		// A redirect leads elsewhere than pinned.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (l *lines) close() { l.http.CloseIdleConnections() }

// connect returns a connection on which TLS stands already, so that whatever goes wrong
// until then goes wrong before a byte of a request has left.
func connect(ctx context.Context, opts RemoteOptions, network, address string, config func(host string) *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectLife)
	defer cancel()
	host, _, err := trust.SplitAddress(address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	raw, err := opts.Dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	conn := tls.Client(raw, config(host))
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("begin TLS: %w", err)
	}
	return &meter{Conn: conn}, nil
}

// A meter is a connection that knows how much was said on it.
type meter struct {
	net.Conn
	mu   sync.Mutex // guards what follows
	said int        // bytes that were handed over to be sent
	shut bool       // nothing more may be sent
}

// Write counts before it sends: what may have left has left.
func (m *meter) Write(b []byte) (int, error) {
	m.mu.Lock()
	if m.shut {
		m.mu.Unlock()
		return 0, net.ErrClosed
	}
	m.said += len(b)
	m.mu.Unlock()
	return m.Conn.Write(b)
}

func (m *meter) total() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.said
}

// silentSince reports whether nothing was sent since said was so much; then nothing will
// be any more, although the transport may still be about to.
func (m *meter) silentSince(said int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shut = m.shut || m.said == said
	return m.said == said
}

// do sends one request and reads its whole answer, of at most limit bytes. left says
// whether something of the request may have left when err is not nil. The body of resp is
// read and closed.
func (l *lines) do(ctx context.Context, req *http.Request, limit int64) (resp *http.Response, body []byte, left bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectLife+answerLife)
	defer cancel()
	var mu sync.Mutex
	var line *meter
	var said int
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		mu.Lock()
		defer mu.Unlock()
		if m, ok := info.Conn.(*meter); ok {
			line, said = m, m.total()
		}
	}}
	req.Header.Set("User-Agent", "") // nobody on the way needs to know
	resp, err = l.http.Do(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		mu.Lock()
		defer mu.Unlock()
		return nil, nil, line != nil && !line.silentSince(said), err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, nil, true, fmt.Errorf("read answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, nil, true, fmt.Errorf("read answer: %w", ErrTooLarge)
	}
	return resp, body, false, nil
}

// config is what the other end must show to a contact.
func (at *contact) config(host string) *tls.Config { return trust.ClientTLS(at.bundle, host) }

// download asks one address for its signed bundle, on a connection of its own that judges
// nobody. [ErrOffline], [ErrPortal], [ErrBusy].
func (n *network) download(ctx context.Context, address string, probe *trust.Probe) ([]byte, error) {
	l := newLines(n.opts, probe.TLS)
	defer l.close()
	body, err := repeat(ctx, busyWait, func() ([]byte, error) { return downloadOnce(ctx, l, address) })
	if err != nil {
		return nil, fmt.Errorf("ask for bundle: %w", err)
	}
	return body, nil
}

func downloadOnce(ctx context.Context, l *lines, address string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, "https://"+address+protocol.BundlePath, nil)
	if err != nil {
		return nil, err
	}
	resp, body, _, err := l.do(ctx, req, trust.MaxBundle) //nolint:bodyclose // do has read and closed it
	if errors.Is(err, ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", ErrOffline, ErrPortal)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffline, err)
	}
	if resp.StatusCode == http.StatusOK && isBundle(body) {
		return body, nil
	}
	var answered *outsideError
	if errors.As(outside(resp, body), &answered) && errors.Is(answered.refusal, ErrBusy) {
		return nil, answered.refusal
	}
	if resp.StatusCode >= http.StatusInternalServerError && resp.StatusCode != http.StatusNetworkAuthenticationRequired {
		return nil, fmt.Errorf("HTTP status %d: %w", resp.StatusCode, ErrOffline)
	}
	return nil, fmt.Errorf("HTTP status %d: %w: %w", resp.StatusCode, ErrOffline, ErrPortal)
}
