package ui

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

var (
	errNotFolder = errors.New("ui: not a folder")
	errNoLink    = errors.New("ui: no link of a vault in the file")
)

// folderExists is for a task: the path may be on a disk that sleeps.
func folderExists(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at folder: %w", err)
	}
	if !info.IsDir() {
		return errNotFolder
	}
	return nil
}

// saveFile writes a new file of the user's that nobody else may read. With replace an old
// one gives way, in one step; without it an old one stays and the error is fs.ErrExist.
func saveFile(path string, replace bool, write func(io.Writer) error) (err error) {
	if !replace {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("save %w", fs.ErrExist)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".coffer-*")
	if err != nil {
		return fmt.Errorf("save file: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return fmt.Errorf("save file: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("save file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("save file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("save file: %w", err)
	}
	return nil
}

// readLink finds the link of a vault in a small file. errNoLink.
func readLink(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open file with a link: %w", err)
	}
	defer f.Close()
	const most = 64 << 10 // a mail with its headers
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "", fmt.Errorf("read file with a link: %w", err)
	}
	link := linkIn(string(text))
	if linkAddress(link) == "" {
		return "", errNoLink
	}
	return link, nil
}
