package transport

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"coffer/cloud"
)

// maxHeader bounds what a proxy may say before the tunnel begins.
const maxHeader = 64 << 10

// errLong: a proxy talks on and on.
var errLong = fmt.Errorf("%w: too long", errAnswer)

// tunnel asks an HTTP proxy for a connection to address. What it returns carries
// the bytes of the other end.
func tunnel(c net.Conn, p *proxy, address string) (net.Conn, error) {
	ask := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if user, password, ok := p.credentials(); ok { // RFC 7617
		ask += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(c, ask+"\r\n"); err != nil {
		return nil, err
	}
	bound := &boundedReader{c, maxHeader}
	buffered := bufio.NewReader(bound)
	res, err := http.ReadResponse(buffered, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // see below
	if err != nil {
		return nil, answerError(err)
	}
	// Not closed: its body is the tunnel, or will be cut with the connection.
	if err := tunnelStatus(res.StatusCode); err != nil {
		return nil, err
	}
	// Servers that speak first, as those of SSH do, may be in the buffer already.
	early := make([]byte, buffered.Buffered())
	if _, err := io.ReadFull(buffered, early); err != nil {
		return nil, err
	}
	return &resumed{Conn: c, early: early}, nil
}

// answerError tells a connection that broke from an answer that is none.
func answerError(err error) error {
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return cloud.Final(fmt.Errorf("%w: %w", cloud.ErrOffline, errors.Join(errAnswer, err)))
}

// tunnelStatus says what the answer means.
func tunnelStatus(code int) error {
	switch {
	case code >= 200 && code < 300: // RFC 9110, section 9.3.6: any of these
		return nil
	case code == http.StatusProxyAuthRequired:
		return refused(errors.New("it wants another user name and password"))
	case code == http.StatusForbidden, code == http.StatusMethodNotAllowed, code == http.StatusUnauthorized,
		code == http.StatusNotImplemented, code == http.StatusUnavailableForLegalReasons:
		return refused(fmt.Errorf("status %d", code))
	}
	return fmt.Errorf("%w: the proxy does not reach it: status %d", cloud.ErrOffline, code)
}

// A boundedReader ends with errLong.
type boundedReader struct {
	r    io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// resumed is a connection of which some bytes were read already.
type resumed struct {
	net.Conn
	early []byte
}

func (c *resumed) Read(p []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.early)
	c.early = c.early[n:]
	return n, nil
}
