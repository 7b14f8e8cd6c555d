package source

import "golang.org/x/sys/unix"

// The numbers of sys/unistd.h, which are not Linux's.
const (
	seekHole = 3
	seekData = 4
)

// corrupt is what a disk that went away says.
const corrupt = unix.EDEVERR
