//go:build !linux && !darwin && !windows

package durable

import "os"

func renameExclusive(root *os.Root, temp, name string) error { return renameByLink(root, temp, name) }
