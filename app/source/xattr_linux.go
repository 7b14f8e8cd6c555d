package source

import "golang.org/x/sys/unix"

const errNoXattr = unix.ENODATA
