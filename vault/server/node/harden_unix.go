//go:build unix

package node

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// commonSteps are those of every Unix.
func commonSteps() []step {
	return []step{
		{"umask", func() error { unix.Umask(0o077); return nil }},
		{"no core dumps", func() error {
			return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
		}},
	}
}

// Umask makes new files the owner's alone. Every command wants it; the rest of [Harden] is
// for the one that serves.
func Umask() { unix.Umask(0o077) }

func failed(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
