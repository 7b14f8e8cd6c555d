package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"

	"coffer/app"
)

// A lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Len() int { return len(l.Bytes()) }
func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// newDebugLog returns a log that leaves nothing out.
func newDebugLog(to *lockedBuffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// formsOfKey returns a key in the ways in which it could be written.
func formsOfKey(key app.RootKey) [][]byte {
	text := strings.ToLower(string(digits(key)))
	var clean []byte
	for _, c := range []byte(text) {
		if strings.IndexByte("0123456789abcdef", c) >= 0 {
			clean = append(clean, c)
		}
	}
	forms := [][]byte{[]byte(text)}
	raw := make([]byte, hex.DecodedLen(len(clean)))
	if _, err := hex.Decode(raw, clean); err == nil {
		forms = append(forms, raw, clean, bytes.ToUpper(clean), []byte(base64.StdEncoding.EncodeToString(raw)),
			[]byte(base64.URLEncoding.EncodeToString(raw)))
	}
	return forms
}
