//go:build !linux

package node

// socketPath returns the path of the socket. done is called when the path was used.
func (d folder) socketPath() (path string, done func(), err error) {
	return d.file(socketName), func() {}, nil
}
