package source

import "golang.org/x/sys/unix"

const (
	seekData = unix.SEEK_DATA
	seekHole = unix.SEEK_HOLE
)

// corrupt is what the file systems say of their own damage.
const corrupt = unix.EUCLEAN
