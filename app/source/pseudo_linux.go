package source

import (
	"strings"

	"golang.org/x/sys/unix"
)

// PseudoFS reports whether the folder is the system's view of itself (/proc,
// /sys, ...), whose files have no contents to keep and may hang a reader.
func (d *Dir) PseudoFS() bool {
	var st unix.Statfs_t
	return unix.Fstatfs(d.fd, &st) == nil && pseudoMagic(uint32(st.Type))
}

// PseudoFS reports the same for a path, and knows /dev and /run, which are
// memory like /tmp but hold nothing of the user's.
func PseudoFS(path string) bool {
	clean := "/" + strings.Trim(path, "/")
	switch clean {
	case "/proc", "/sys", "/dev", "/run":
		return true
	}
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && pseudoMagic(uint32(st.Type))
}

// pseudoMagic knows the numbers of linux/magic.h.
func pseudoMagic(magic uint32) bool {
	switch magic {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEVPTS_SUPER_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC, unix.PSTOREFS_MAGIC, unix.BINFMTFS_MAGIC,
		unix.EFIVARFS_MAGIC, unix.HUGETLBFS_MAGIC, unix.NSFS_MAGIC, unix.SELINUX_MAGIC, unix.SMACK_MAGIC, unix.AUTOFS_SUPER_MAGIC,
		unix.SOCKFS_MAGIC, unix.PIPEFS_MAGIC, unix.ANON_INODE_FS_MAGIC,
		0x19800202, // mqueue
		0x62656570, // configfs
		0x65735543, // fusectl
		0x67596969, // rpc_pipefs
		0x6e667364: // nfsd
		return true
	}
	return false
}
