//go:build !windows

package folder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

// classes is what users are told about what the system says.
var classes = []struct {
	errno   syscall.Errno
	class   error // nil: passed on as it is
	passing bool
}{
	{syscall.ENOSPC, cloud.ErrFull, false},
	{syscall.EDQUOT, cloud.ErrFull, false},
	{syscall.EROFS, cloud.ErrReadOnly, false},
	{syscall.EACCES, cloud.ErrDenied, false},
	{syscall.EPERM, cloud.ErrDenied, false},
	{syscall.ENODEV, cloud.ErrOffline, false},
	{syscall.ENOTCONN, cloud.ErrOffline, false},
	{syscall.ESTALE, cloud.ErrOffline, true},
	{syscall.ETIMEDOUT, cloud.ErrOffline, true},
	{syscall.EIO, nil, false},
	{syscall.EFBIG, nil, false},
	{syscall.EMFILE, nil, true},
	{syscall.EBUSY, nil, true},
}

// failing is a driver whose writes end as those of a broken disk.
type failing struct {
	cloud.Driver
	err error
}

func (d failing) Put(context.Context, string, cloud.Source) error { return classify(d.err) }

func TestClasses(t *testing.T) {
	for _, c := range classes {
		err := fmt.Errorf("write: %w", &os.PathError{Op: "write", Path: "x", Err: c.errno})
		f := cloudtest.NewFaulty(failing{cloudtest.NewMemory(), err})
		s := cloud.New(f, cloud.Options{Budget: 1}) // a nanosecond: no second try, but not final
		got := s.Put(t.Context(), "README.txt", nil)
		if !errors.Is(got, c.errno) || c.class != nil && !errors.Is(got, c.class) {
			t.Errorf("%v became %v, want %v", c.errno, got, c.class)
		}
		if c.class == nil {
			for _, class := range []error{cloud.ErrFull, cloud.ErrOffline, cloud.ErrDenied, cloud.ErrReadOnly, cloud.ErrNotFound} {
				if errors.Is(got, class) {
					t.Errorf("%v became %v", c.errno, class)
				}
			}
		}
		if _, passing := classOf(err); passing != c.passing {
			t.Errorf("%v: worth waiting %v, want %v", c.errno, passing, c.passing)
		}
	}
}

func TestRoomOfOddMounts(t *testing.T) {
	for _, c := range []struct {
		blocks, unit uint64
		want         int64
	}{
		{0, 4096, 0},
		{10, 4096, 40960},
		{1 << 63, 4096, 0},         // below zero
		{1 << 62, 4096, 1<<63 - 1}, // more than there is
		{^uint64(0), 1, 0},
	} {
		if got := room(c.blocks, c.unit); got != c.want {
			t.Errorf("room(%d, %d) = %d, want %d", c.blocks, c.unit, got, c.want)
		}
	}
}
