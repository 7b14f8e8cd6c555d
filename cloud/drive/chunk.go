package drive

import (
	"errors"
	"io"
	"sync"
)

// A chunkReader is the body of a request. It remembers that its source broke,
// which net/http would report as a broken connection.
type chunkReader struct {
	section *io.SectionReader
	trouble *trouble
}

func (r chunkReader) Read(p []byte) (int, error) {
	n, err := r.section.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.trouble.set(err)
	}
	return n, err
}

// Close does nothing: the source is the caller's.
func (r chunkReader) Close() error { return nil }

// trouble is an error that net/http, which may read on when its Do has returned,
// leaves for us.
type trouble struct {
	mu  sync.Mutex
	err error // guarded by mu
}

func (t *trouble) set(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

func (t *trouble) get() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
