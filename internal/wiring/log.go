package wiring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

const (
	logFile = "coffer.log"
	// logSize is when the file becomes coffer.log.1: two of them are the most there is,
	// and each still opens in an editor.
	logSize = 5 << 20
)

// openLog returns a logger to dir/coffer.log, in JSON, a line each. A log that cannot be
// written is no reason to refuse a restore: then nothing is logged.
func openLog(dir, level string) (*slog.Logger, error) {
	var least slog.Level
	switch level {
	case "off":
		return slog.New(slog.DiscardHandler), nil
	case "":
		least = slog.LevelInfo
	case "debug", "info", "warn", "error":
		if err := least.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("COFFER_LOG: %w", err)
		}
	default:
		return nil, errors.New("COFFER_LOG: want debug, info, warn, error or off")
	}
	out := &rotating{path: filepath.Join(dir, logFile), limit: logSize}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: least})), nil
}

// rotating is a file that is renamed when it is full. Several processes may write it: each
// line is one write at the end of whatever file has the name by then. It is opened at the
// first line, so that a program that only prints its version makes nothing.
type rotating struct {
	path  string
	limit int64

	mu   sync.Mutex
	file *os.File // guarded by mu; nil before the first line
}

var _ io.Writer = (*rotating)(nil)

// Write writes one line, and says that it did even where it could not: see openLog.
func (r *rotating) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(); err == nil {
		_, _ = r.file.Write(line) // there is nowhere left to tell
	}
	return len(line), nil
}

// ready makes r.file the file that has the name, with room in it.
func (r *rotating) ready() error {
	if r.file != nil {
		ours, err := r.file.Stat()
		named, err2 := os.Stat(r.path)
		if err == nil && err2 == nil && os.SameFile(ours, named) && named.Size() < r.limit {
			return nil
		}
		r.file.Close()
		r.file = nil
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return err
	}
	if info, err := os.Stat(r.path); err == nil && info.Size() >= r.limit {
		if err := os.Rename(r.path, r.path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	file, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	r.file = file
	return nil
}
