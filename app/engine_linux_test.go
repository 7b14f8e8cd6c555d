package app_test

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// systemAttributes adds owner, the first name of the same file, and extended attributes
// with the ACLs among them.
func systemAttributes(t *testing.T, dir *os.Root, path string, info fs.FileInfo, links map[fileKey]string) string {
	t.Helper()
	st := info.Sys().(*syscall.Stat_t)
	text := fmt.Sprintf(" %d:%d", st.Uid, st.Gid)
	if st.Nlink > 1 && info.Mode().IsRegular() {
		key := fileKey{uint64(st.Dev), st.Ino}
		if links[key] == "" {
			links[key] = path
		}
		text += " linked to " + links[key]
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return text
	}
	f, err := dir.Open(info.Name())
	if err != nil {
		return text
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	n, err := unix.Flistxattr(int(f.Fd()), buf)
	if err != nil {
		return text
	}
	names := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	slices.Sort(names)
	for _, name := range names {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		k, err := unix.Fgetxattr(int(f.Fd()), name, value)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf(" %s=%q", name, value[:k])
	}
	return text
}
