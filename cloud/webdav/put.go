package webdav

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"coffer/cloud"
)

const (
	// uploadPrefix and 32 hex digits are the name of an upload. It has no dot:
	// servers refuse names that begin with one, and Nextcloud those that end in
	// ".part".
	uploadPrefix = "coffer-upload-"
	uploadDigits = 32

	// tidyTime is how long a failed Put may take to remove its upload; less than
	// the Store waits for a request that was given up.
	tidyTime = 3 * time.Second
)

// Put implements [cloud.Driver]. The upload has a name of its own until all of it
// is there and its size has been asked for: servers keep what came of an upload
// that was cut, and some answer before they know whether they could keep it.
func (d *Driver) Put(ctx context.Context, name string, src cloud.Source) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	unlock, err := d.names.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	there, err := d.holds(ctx, name, src)
	if err != nil || there {
		return err
	}
	upload := uploadPrefix + randomHex()
	if err := d.stage(ctx, upload, src); err != nil {
		return err
	}
	err = d.publish(ctx, upload, name, src.Size()) // COMMIT
	if err == nil {
		return nil
	}
	d.tidy(ctx, upload)
	if !errors.Is(err, errTaken) {
		return err
	}
	// Another writer was faster.
	if there, err = d.holds(ctx, name, src); err != nil || there {
		return err
	}
	return fmt.Errorf("%w: the object came and went", cloud.ErrOffline)
}

// holds reports whether name has the bytes of src already. Other bytes, or a
// folder of that name, are ErrExists. A checksum of the server is not enough:
// some return the one that came with the upload, whatever they kept.
func (d *Driver) holds(ctx context.Context, name string, src cloud.Source) (bool, error) {
	size, _, err := d.look(ctx, name)
	switch {
	case errors.Is(err, errSubfolder):
		return false, fmt.Errorf("%w: by a folder", cloud.ErrExists)
	case errors.Is(err, cloud.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case size != src.Size():
		return false, cloud.ErrExists
	}
	want := src.SHA256()
	first, err := d.sum(ctx, name)
	if errors.Is(err, cloud.ErrNotFound) {
		return false, nil // deleted since
	}
	if err != nil || first == want {
		return err == nil, err
	}
	// A bit that flips on its way down must not make this final.
	again, err := d.sum(ctx, name)
	switch {
	case err != nil:
		return false, err
	case again == want:
		return true, nil
	case again != first:
		return false, fmt.Errorf("%w: what is there is read differently each time", cloud.ErrChecksum)
	}
	return false, cloud.ErrExists
}

// sum reads an object and returns its hash.
func (d *Driver) sum(ctx context.Context, name string) (sum [32]byte, err error) {
	r, err := d.Get(ctx, name, 0, -1)
	if err != nil {
		return sum, err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return sum, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// stage sends src as an upload, and looks whether it is there, or leaves nothing.
func (d *Driver) stage(ctx context.Context, upload string, src cloud.Source) error {
	err := d.sendAll(ctx, upload, src)
	if err == nil {
		err = d.verify(ctx, upload, src)
	}
	if err != nil && !errors.Is(err, cloud.ErrAuth) { // then nothing was kept
		d.tidy(ctx, upload)
	}
	return err
}

// sendAll sends the bytes.
func (d *Driver) sendAll(ctx context.Context, upload string, src cloud.Source) error {
	sum := src.SHA256()
	s := &sending{src: src}
	defer s.end()
	res, err := d.do(ctx, request{
		method: http.MethodPut, url: d.object(upload), body: s.open, size: src.Size(),
		header: map[string]string{
			"Content-Type": "application/octet-stream",
			"OC-Checksum":  "SHA256:" + hex.EncodeToString(sum[:]), // of ownCloud; others do not mind
		},
	})
	s.end()
	if broken := s.broken(); broken != nil && ctx.Err() == nil {
		if err == nil {
			discard(res)
		}
		return cloud.Final(fmt.Errorf("read what is to be sent: %w", broken))
	}
	if err != nil {
		return err
	}
	defer discard(res)
	switch status := res.StatusCode; status {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		d.proven.Store(true)
	case http.StatusMethodNotAllowed:
		if d.proven.Load() { // golang.org/x/net/webdav says so when a write fails
			return fmt.Errorf("%w: the server could not keep an upload", cloud.ErrOffline)
		}
		return refused(uploadTarget, status, res.Header)
	default:
		return refused(uploadTarget, status, res.Header)
	}
	if !s.matches(sum) {
		return fmt.Errorf("%w: the bytes are not those that were promised", cloud.ErrChecksum)
	}
	return nil
}

// verify asks what the server kept.
func (d *Driver) verify(ctx context.Context, upload string, src cloud.Source) error {
	size, header, err := d.look(ctx, upload)
	switch {
	case errors.Is(err, cloud.ErrNotFound):
		return fmt.Errorf("%w: the server lost an upload", cloud.ErrOffline)
	case err != nil:
		return err
	case size != src.Size():
		return fmt.Errorf("%w: the server kept %d of %d bytes", cloud.ErrChecksum, size, src.Size())
	}
	if sum, ok := serverSum(header); ok && sum != src.SHA256() {
		return fmt.Errorf("%w: the server kept other bytes", cloud.ErrChecksum)
	}
	return nil
}

// errTaken: the name is not free.
var errTaken = errors.New("webdav: name is taken")

// publish gives an upload its name, which must be free: errTaken.
func (d *Driver) publish(ctx context.Context, upload, name string, size int64) error {
	res, err := d.do(ctx, request{method: "MOVE", url: d.object(upload), header: map[string]string{
		"Destination": d.object(name).String(),
		"Overwrite":   "F",
	}})
	if err != nil {
		return err
	}
	defer discard(res)
	switch status := res.StatusCode; status {
	case http.StatusCreated, http.StatusNoContent:
		return nil
	case http.StatusOK: // which anybody says
		if there, _, err := d.look(ctx, name); err != nil || there != size {
			return errPortal
		}
		return nil
	case http.StatusPreconditionFailed:
		return errTaken
	case http.StatusMultiStatus:
		return d.partly(ctx, res)
	default:
		return refused(moveTarget, status, res.Header)
	}
}

// partly returns the reason that a MOVE did not do all: its first bad status.
func (d *Driver) partly(ctx context.Context, res *http.Response) error {
	bad := 0
	err := readItems(res.Body, defaultBounds(), func(i item) (bool, error) {
		if i.status >= 300 {
			bad = i.status
		}
		return bad == 0, nil
	})
	switch {
	case err != nil:
		return d.classify(ctx, err)
	case bad == http.StatusPreconditionFailed:
		return errTaken
	case bad == 0:
		return fmt.Errorf("%w: the server does not tell whether it renamed", cloud.ErrOffline)
	}
	return refused(moveTarget, bad, nil)
}

// tidy removes an upload that came to nothing, also when ctx is over. If it fails
// as well, Maintain does it some day.
func (d *Driver) tidy(ctx context.Context, upload string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if res, err := d.do(ctx, request{method: http.MethodDelete, url: d.object(upload)}); err == nil {
		discard(res)
	}
}

// Delete implements [cloud.Driver]. It looks first: DELETE of a folder that has an
// object's name would delete all that is in it.
func (d *Driver) Delete(ctx context.Context, name string) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	if _, _, err := d.look(ctx, name); err != nil {
		if errors.Is(err, cloud.ErrNotFound) {
			return nil
		}
		return err
	}
	_, err := d.remove(ctx, name)
	return err
}

// remove deletes, and reports whether it was there.
func (d *Driver) remove(ctx context.Context, name string) (bool, error) {
	res, err := d.do(ctx, request{method: http.MethodDelete, url: d.object(name)})
	if err != nil {
		if errors.Is(err, errSubfolder) {
			return false, nil
		}
		return false, err
	}
	defer discard(res)
	switch status := res.StatusCode; status {
	case http.StatusNoContent:
		return true, nil
	case http.StatusOK: // which anybody says
		if _, _, err := d.look(ctx, name); !errors.Is(err, cloud.ErrNotFound) {
			return false, errPortal
		}
		return true, nil
	case http.StatusNotFound, http.StatusGone:
		return false, nil
	case http.StatusMultiStatus:
		return false, d.partly(ctx, res)
	default:
		return false, refused(objectTarget, status, res.Header)
	}
}

// A sending gives the bytes of one Put, from the start each time they are sent.
// net/http may go on reading after it returned, when a server answers before it
// has all; by then the bytes may be somebody else's. So it is stopped.
type sending struct {
	src cloud.Source

	mu      sync.Mutex
	current *sendingBody // guarded by mu; the last one
	stopped bool         // guarded by mu
}

// open begins again.
func (s *sending) open() io.ReadCloser {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = &sendingBody{s: s, sum: sha256.New()}
	return s.current
}

// end returns when nobody reads the source any more.
func (s *sending) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}

// broken returns the error of the source, or nil.
func (s *sending) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil
	}
	return s.current.err
}

// matches reports whether what was sent, all of it, has the hash.
func (s *sending) matches(want [32]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil { // of no bytes there is no body
		return want == sha256.Sum256(nil)
	}
	return s.current.off == s.src.Size() && bytes.Equal(s.current.sum.Sum(nil), want[:])
}

// A sendingBody is the body of one request. Its fields are guarded by s.mu.
type sendingBody struct {
	s   *sending
	off int64
	sum hash.Hash
	err error // of the source
}

func (b *sendingBody) Read(p []byte) (int, error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	size := b.s.src.Size()
	switch {
	case b.s.stopped || b.s.current != b:
		return 0, fs.ErrClosed
	case b.err != nil:
		return 0, b.err
	case b.off == size:
		return 0, io.EOF
	}
	n, err := b.s.src.ReadAt(p[:min(int64(len(p)), size-b.off)], b.off)
	b.sum.Write(p[:n])
	b.off += int64(n)
	switch {
	case b.off == size || err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	b.err = err
	return n, err
}

// Close implements [io.Closer] for net/http.
func (b *sendingBody) Close() error { return nil }

// serverSum returns the SHA-256 that a server tells, in one of the fields that
// are in use: OC-Checksum of ownCloud, Repr-Digest of RFC 9530, Digest of RFC 3230.
func serverSum(h http.Header) (sum [32]byte, ok bool) {
	take := func(b []byte, err error) bool {
		ok = err == nil && len(b) == len(sum)
		if ok {
			copy(sum[:], b)
		}
		return ok
	}
	for _, word := range strings.Fields(h.Get("OC-Checksum")) {
		if kind, text, _ := strings.Cut(word, ":"); strings.EqualFold(kind, "SHA256") && take(hex.DecodeString(text)) {
			return sum, true
		}
	}
	for _, name := range []string{"Repr-Digest", "Digest"} {
		for word := range strings.SplitSeq(h.Get(name), ",") {
			kind, text, _ := strings.Cut(strings.TrimSpace(word), "=")
			if strings.EqualFold(kind, "sha-256") && take(base64.StdEncoding.DecodeString(strings.Trim(text, ":"))) {
				return sum, true
			}
		}
	}
	return sum, false
}
