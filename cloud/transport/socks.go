package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"

	"coffer/cloud"
)

// The numbers of RFC 1928 and RFC 1929.
const (
	socksVersion = 5
	loginVersion = 1

	methodNone  = 0
	methodLogin = 2
	methodNo    = 0xff // none of those offered

	commandConnect = 1

	addressIPv4 = 1
	addressName = 3
	addressIPv6 = 4

	replyDone    = 0
	replyRuleset = 2
)

// socks asks a SOCKS5 proxy for a connection to address. Names are sent as they
// are: the proxy resolves them.
func socks(c io.ReadWriter, p *proxy, address string) error {
	user, password, login := p.credentials()
	hello := []byte{socksVersion, 1, methodNone}
	if login {
		hello = []byte{socksVersion, 2, methodNone, methodLogin}
	}
	if _, err := c.Write(hello); err != nil {
		return err
	}
	var method [2]byte
	if _, err := io.ReadFull(c, method[:]); err != nil {
		return cutShort(err)
	}
	switch {
	case method[0] != socksVersion:
		return answerError(errAnswer)
	case method[1] == methodNo && login:
		return refused(errors.New("it takes no user name and password"))
	case method[1] == methodNo:
		return refused(errors.New("it wants a user name and password"))
	case method[1] == methodLogin && login:
		if err := socksLogin(c, user, password); err != nil {
			return err
		}
	case method[1] != methodNone:
		return answerError(errAnswer)
	}
	return socksConnect(c, address)
}

// socksLogin is RFC 1929.
func socksLogin(c io.ReadWriter, user, password string) error {
	ask := append([]byte{loginVersion, byte(len(user))}, user...)
	ask = append(append(ask, byte(len(password))), password...)
	if _, err := c.Write(ask); err != nil {
		return err
	}
	var answer [2]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return cutShort(err)
	}
	if answer[0] != loginVersion {
		return answerError(errAnswer)
	}
	if answer[1] != 0 {
		return refused(errors.New("wrong user name or password"))
	}
	return nil
}

// socksConnect is section 4 to 6 of RFC 1928.
func socksConnect(c io.ReadWriter, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errAddress
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return errAddress
	}
	ask := append([]byte{socksVersion, commandConnect, 0}, socksAddress(host)...)
	if _, err := c.Write(binary.BigEndian.AppendUint16(ask, uint16(number))); err != nil {
		return err
	}
	var answer [4]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return cutShort(err)
	}
	if answer[0] != socksVersion || answer[2] != 0 {
		return answerError(errAnswer)
	}
	if err := socksReply(answer[1]); err != nil {
		return err
	}
	return socksBound(c, answer[3])
}

func socksAddress(host string) []byte {
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return append([]byte{addressName, byte(len(host))}, host...)
	case ip.Unmap().Is4():
		v4 := ip.Unmap().As4()
		return append([]byte{addressIPv4}, v4[:]...)
	default:
		v6 := ip.As16()
		return append([]byte{addressIPv6}, v6[:]...)
	}
}

func socksReply(code byte) error {
	switch code {
	case replyDone:
		return nil
	case replyRuleset:
		return refused(errors.New("its rules do not allow this connection"))
	}
	return fmt.Errorf("%w: the proxy does not reach it: reply %d", cloud.ErrOffline, code)
}

// socksBound reads over the address that the proxy uses, and not a byte more:
// what follows is the other end's.
func socksBound(c io.Reader, kind byte) error {
	var size int
	switch kind {
	case addressIPv4:
		size = 4
	case addressIPv6:
		size = 16
	case addressName:
		var length [1]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return cutShort(err)
		}
		size = int(length[0])
	default:
		return answerError(errAnswer)
	}
	_, err := io.ReadFull(c, make([]byte, size+2))
	return cutShort(err)
}

// cutShort: the end of the connection is never the end of an answer.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
