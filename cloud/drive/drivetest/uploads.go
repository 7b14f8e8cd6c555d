package drivetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
)

// quantum: sessions keep multiples of it (Drive's guide to resumable uploads).
const quantum = 256 << 10

// A session is a resumable upload under way.
type session struct {
	file *file
	size int64
	kept []byte
	done bool
	in   *incoming // for the mask of its answers
}

// small is an upload in one request, multipart/related.
func (f *Fake) small(in *incoming) result {
	kind, params, err := mime.ParseMediaType(in.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/related" || in.URL.Query().Get("uploadType") != "multipart" {
		f.complain(in.Request, "not an upload")
		return refusal(http.StatusBadRequest, "badContent")
	}
	if in.cut {
		return refusal(http.StatusBadRequest, "badContent") // nobody hears it
	}
	var parts [][]byte
	reader := multipart.NewReader(bytes.NewReader(in.body), params["boundary"])
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.complain(in.Request, "parts: "+err.Error())
			return refusal(http.StatusBadRequest, "badContent")
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return refusal(http.StatusBadRequest, "badContent")
		}
		parts = append(parts, data)
	}
	if len(parts) != 2 {
		f.complain(in.Request, fmt.Sprintf("%d parts", len(parts)))
		return refusal(http.StatusBadRequest, "badContent")
	}
	x, res := f.metadata(in, parts[0])
	if x == nil {
		return res
	}
	if f.full(x.owner, int64(len(parts[1]))) {
		return refusal(http.StatusForbidden, "storageQuotaExceeded")
	}
	x.data = parts[1]
	x.spoil(in.fault.Kind)
	return f.store(x)
}

// spoil is what goes wrong inside Drive.
func (x *file) spoil(kind Kind) {
	switch {
	case kind == WrongSum:
		x.wrongSum = true
	case kind == Corrupt && len(x.data) > 0:
		x.data[len(x.data)/2] ^= 4
	}
}

// openSession is the first request of a resumable upload.
func (f *Fake) openSession(in *incoming) result {
	if in.cut {
		return refusal(http.StatusBadRequest, "badContent") // nobody hears it
	}
	x, res := f.metadata(in, in.body)
	if x == nil {
		return res
	}
	size, err := strconv.ParseInt(in.Header.Get("X-Upload-Content-Length"), 10, 64)
	if err != nil || in.Header.Get("X-Upload-Content-Type") == "" {
		f.complain(in.Request, "no X-Upload headers")
		return refusal(http.StatusBadRequest, "invalid")
	}
	if !f.LateFull && f.full(x.owner, size) {
		return refusal(http.StatusForbidden, "storageQuotaExceeded")
	}
	id := f.name("session-" + Mark)
	f.sessions[id] = &session{file: x, size: size, in: in, kept: make([]byte, 0, max(0, min(size, maxBody)))}
	address := *in.URL
	address.Scheme, address.Host = "http", in.Host
	query := address.Query()
	query.Set("upload_id", id)
	address.RawQuery = query.Encode()
	return result{status: http.StatusOK, header: http.Header{"Location": {address.String()}}, abort: -1}
}

// serveSession takes a chunk, or the question what there is.
func (f *Fake) serveSession(in *incoming) result {
	id := in.URL.Query().Get("upload_id")
	if in.fault.Kind == Forget {
		delete(f.sessions, id)
	}
	s := f.sessions[id]
	if in.fault.Kind == Expire || in.fault.Kind == EndSignIn {
		return refusal(http.StatusUnauthorized, "authError")
	}
	if s == nil {
		return refusal(http.StatusNotFound, "notFound")
	}
	first, last, total, good := parseContentRange(in.Header.Get("Content-Range"))
	if !good || total != s.size || in.Method != http.MethodPut || first < 0 && len(in.body) > 0 {
		f.complain(in.Request, "Content-Range "+in.Header.Get("Content-Range"))
		return refusal(http.StatusBadRequest, "badRequest")
	}
	if s.done || first < 0 {
		return f.progress(s)
	}
	if !in.cut && int64(len(in.body)) != last-first+1 || last+1 < total && (last-first+1)%quantum != 0 {
		f.complain(in.Request, "a chunk of a length that is not its range's, or no multiple of 256 KiB")
		return refusal(http.StatusBadRequest, "badRequest")
	}
	return f.take(in, s, first)
}

// take keeps what it can of a chunk.
func (f *Fake) take(in *incoming, s *session, first int64) result {
	have := int64(len(s.kept))
	f.received += int64(len(in.body))
	f.resent += min(int64(len(in.body)), max(0, have-first))
	if first > have {
		f.complain(in.Request, "a chunk that leaves a gap")
		return refusal(http.StatusBadRequest, "badRequest")
	}
	fresh := in.body[min(int64(len(in.body)), have-first):]
	end := have + int64(len(fresh))
	if in.fault.Kind == Half {
		end = have + int64(len(fresh))/2
	}
	if end < s.size || in.cut {
		end -= end % quantum
		end = max(end, have)
	}
	s.kept = append(s.kept, fresh[:end-have]...)
	if int64(len(s.kept)) < s.size {
		return f.progress(s)
	}
	if f.full(s.file.owner, s.size) {
		return refusal(http.StatusForbidden, "storageQuotaExceeded")
	}
	s.file.data = s.kept
	s.file.spoil(in.fault.Kind)
	res := f.store(s.file)
	s.done = res.status == http.StatusOK
	return f.finishSession(s, res)
}

// progress says what a session has.
func (f *Fake) progress(s *session) result {
	if s.done {
		if s.file.deleted {
			return refusal(http.StatusNotFound, "notFound")
		}
		return f.finishSession(s, ok(mustJSON(f.describe(s.file))))
	}
	res := result{status: http.StatusPermanentRedirect, header: http.Header{}, abort: -1}
	if len(s.kept) > 0 {
		res.header.Set("Range", fmt.Sprintf("bytes=0-%d", len(s.kept)-1))
	}
	return res
}

// finishSession gives the answer the form that the session was opened with.
func (f *Fake) finishSession(s *session, res result) result {
	if res.status != http.StatusOK {
		return res
	}
	m, good := parseMask(s.in.URL.Query().Get("fields"))
	if !good {
		m = mask{"id": {}, "name": {}, "mimeType": {}, "kind": {}}
	}
	as := *s.in
	as.op = Chunk
	return f.finish(&as, m, res)
}

// SessionsOpen returns how many sessions have bytes and no file.
func (f *Fake) SessionsOpen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for id, s := range f.sessions {
		if !s.done && strings.Contains(id, Mark) {
			n++
		}
	}
	return n
}
