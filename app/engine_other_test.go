//go:build !linux

package app_test

import (
	"io/fs"
	"os"
	"testing"
)

func systemAttributes(*testing.T, *os.Root, string, fs.FileInfo, map[fileKey]string) string {
	return ""
}
