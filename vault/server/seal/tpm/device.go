package tpm

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
)

// maxResponse bounds what a chip may answer, in bytes.
const maxResponse = 4096

// A device carries one command at a time to a chip.
type device interface {
	exchange(ctx context.Context, command []byte) ([]byte, error)
	Close() error
}

// openDevice opens the device of this name. alone says that nothing stands between us and
// the chip: what we leave loaded stays loaded, and all that is loaded is ours.
func openDevice(ctx context.Context, name string) (d device, alone bool, err error) {
	address, emulated := strings.CutPrefix(name, "swtpm:")
	if !emulated {
		return openSystemDevice(name)
	}
	network := "tcp"
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		network, address = "unix", path
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, false, fmt.Errorf("reach emulated TPM: %w", err)
	}
	return &socket{conn}, true, nil
}

// file is the device of a system. The kernel, or Windows, answers a command in one piece,
// and cannot be interrupted.
type file struct{ t transport.TPMCloser }

func (f file) exchange(_ context.Context, command []byte) ([]byte, error) { return f.t.Send(command) }
func (f file) Close() error                                               { return f.t.Close() }

// socket is swtpm. A response may come in pieces: its length is in its head.
type socket struct{ conn net.Conn }

func (s *socket) exchange(ctx context.Context, command []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := s.conn.Write(command); err != nil {
		return nil, fmt.Errorf("send command: %w", err)
	}
	head := make([]byte, headSize)
	if _, err := io.ReadFull(s.conn, head); err != nil {
		return nil, fmt.Errorf("receive response: %w", err)
	}
	size := binary.BigEndian.Uint32(head[2:])
	if size < headSize || size > maxResponse {
		return nil, fmt.Errorf("receive response of %d bytes: %w", size, io.ErrUnexpectedEOF)
	}
	response := append(make([]byte, 0, size), head...)[:size]
	if _, err := io.ReadFull(s.conn, response[headSize:]); err != nil {
		return nil, fmt.Errorf("receive response: %w", err)
	}
	return response, nil
}

func (s *socket) Close() error { return s.conn.Close() }
