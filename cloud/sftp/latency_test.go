package sftp

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"coffer/cloud"
)

// slowConn delivers what is written after a while, as a long line does.
type slowConn struct {
	net.Conn
	line chan parcel
	done chan struct{}
}

type parcel struct {
	due  time.Time
	data []byte
}

// roundTrip is all in one direction: what comes back is at once.
const roundTrip = 50 * time.Millisecond

func newSlowConn(conn net.Conn) *slowConn {
	s := &slowConn{Conn: conn, line: make(chan parcel, 1<<16), done: make(chan struct{})}
	go func() {
		for {
			select {
			case <-s.done:
				return
			case p := <-s.line:
				wait := time.NewTimer(time.Until(p.due))
				select {
				case <-s.done:
					wait.Stop()
					return
				case <-wait.C:
				}
				if _, err := s.Conn.Write(p.data); err != nil {
					return
				}
			}
		}
	}()
	return s
}

func (s *slowConn) Write(p []byte) (int, error) {
	s.line <- parcel{time.Now().Add(roundTrip), append([]byte(nil), p...)}
	return len(p), nil
}

func (s *slowConn) Close() error {
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	return s.Conn.Close()
}

// TestLongLine: with 50 ms there and back, many requests are under way at once.
func TestLongLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		c := s.config()
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := s.dial(ctx, network, address)
			return newSlowConn(conn), err
		}
		d := s.open(c)
		for i := range 3000 {
			name := cloud.Name("index", fmt.Append(nil, i))
			if err := os.WriteFile(filepath.Join(s.root, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		small, large := content(1, 10), content(2, 16<<20)
		mustPut(t, d, small) // finds out what the server can
		name := cloud.Name("pack", large)
		for _, test := range []struct {
			what string
			most time.Duration
			do   func() error
		}{
			{"put 16 MiB", 16 * roundTrip, func() error { return d.Put(t.Context(), name, cloud.Bytes(large)) }},
			{"get 16 MiB", 16 * roundTrip, func() error { _, err := read(t.Context(), d, name); return err }},
			{"get 10 bytes", 3 * roundTrip, func() error { _, err := read(t.Context(), d, cloud.Name("pack", small)); return err }},
			{"list 3002 objects", 12 * roundTrip, func() error { _, err := names(t.Context(), d); return err }},
		} {
			began := time.Now()
			err := test.do()
			if took := time.Since(began); err != nil || took > test.most {
				t.Errorf("%s: %s, %v", test.what, took, err)
			} else {
				t.Logf("%s: %s", test.what, took)
			}
		}
	})
}
