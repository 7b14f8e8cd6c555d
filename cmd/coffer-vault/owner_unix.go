//go:build unix

package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// guarded refuses a folder in which others could put files of theirs in the place of the
// vault's: modes of files do not help against that. A folder that does not exist is fine.
func guarded(dir string) error {
	info := statOrNil(dir)
	if info == nil || info.Mode().Perm()&0o022 == 0 {
		return nil
	}
	return usage(fmt.Sprintf("Others can put files into the folder %q: it has the mode %04o.", dir, info.Mode().Perm()),
		"Make it 'chmod 700', and think about who may have used that.")
}

// asOwner refuses to write as root into a folder that is somebody else's: what root leaves
// there, the vault of that user cannot read, and does not start. A folder that does not
// exist is whose who makes it.
func asOwner(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info := statOrNil(dir)
	if info == nil {
		return nil
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 {
		return nil
	}
	owner := strconv.FormatUint(uint64(stat.Uid), 10)
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	return usage(fmt.Sprintf("The folder %q belongs to %q, and what root writes there its vault could not read.", dir, owner),
		fmt.Sprintf("Run it as that user: runuser -u %s -- coffer-vault ...", owner))
}

// statOrNil looks at a folder. When that fails, who opens it next says better what is wrong.
func statOrNil(dir string) os.FileInfo {
	info, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	return info
}
