package node

import (
	"fmt"
	"os"
	"path/filepath"
)

// maxSocketPath is what fits into sockaddr_un, with its zero.
const maxSocketPath = 107

// socketPath returns a path of the socket that the system takes: a long one goes through
// the folder's descriptor. done is called when the path was used.
func (d folder) socketPath() (path string, done func(), err error) {
	if path = d.file(socketName); len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	f, err := os.Open(string(d))
	if err != nil {
		return "", nil, fmt.Errorf("open folder: %w", err)
	}
	return filepath.Join("/proc/self/fd", fmt.Sprint(f.Fd()), socketName), func() { _ = f.Close() }, nil
}
