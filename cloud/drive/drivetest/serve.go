package drivetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody is how long a request may be.
const maxBody = 64 << 20

// A result is an answer that is ready.
type result struct {
	status int
	header http.Header
	body   []byte
	abort  int // -1: whole; else the connection breaks after so many bytes of the body
	silent bool
}

func ok(body []byte) result {
	return result{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, body: body, abort: -1}
}

// refusal is an error as Drive writes it.
func refusal(status int, reason string) result {
	// Mark is in the text so that a program that shows what servers say is found out.
	body, err := json.Marshal(map[string]any{"error": map[string]any{
		"code": status, "message": "no: " + Mark,
		"errors": []map[string]any{{"domain": "global", "reason": reason, "message": "no: " + Mark}},
	}})
	if err != nil {
		panic(err)
	}
	res := ok(body)
	res.status = status
	return res
}

// An incoming request, read to its end.
type incoming struct {
	*http.Request
	op     Op
	method *method
	values map[string]string // of the path
	upload bool
	body   []byte
	cut    bool // the client's connection broke before the end of the body
	fault  Fault
	who    grant
}

// ServeHTTP implements [http.Handler].
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := &incoming{Request: r}
	in.method, in.values, in.upload = f.api.methodOf(r)
	in.op = opOf(in)
	f.mu.Lock()
	f.counts[in.op]++
	n := f.counts[in.op]
	before := f.Before
	f.mu.Unlock()
	if before != nil {
		before(in.op, n)
	}
	body := bytes.NewBuffer(make([]byte, 0, 1+bytes.MinRead+min(max(0, r.ContentLength), maxBody)))
	_, err := body.ReadFrom(io.LimitReader(r.Body, maxBody))
	in.body, in.cut = body.Bytes(), err != nil
	res := f.answer(in)
	if in.fault.Kind == Hang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	res.write(w)
}

// write sends the answer, or breaks the connection.
func (res result) write(w http.ResponseWriter) {
	if res.silent {
		panic(http.ErrAbortHandler)
	}
	for name, values := range res.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(res.body)))
	w.WriteHeader(res.status)
	if res.abort >= 0 && res.abort < len(res.body) {
		_, _ = w.Write(res.body[:res.abort]) // the client may be gone
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(res.body) // the client may be gone
}

// opOf tells the kinds of request apart.
func opOf(in *incoming) Op {
	query := in.URL.Query()
	switch {
	case in.URL.Path == "/token":
		return Token
	case in.URL.Path == "/revoke":
		return Revoke
	case query.Get("upload_id") != "" && strings.HasPrefix(in.Header.Get("Content-Range"), "bytes */"):
		return Status
	case query.Get("upload_id") != "":
		return Chunk
	case in.upload && query.Get("uploadType") == "resumable":
		return Session
	case in.upload:
		return Small
	case in.method == nil:
		return "unknown"
	case in.method.ID == "drive.files.get" && query.Get("alt") == "media":
		return Media
	}
	switch in.method.ID {
	case "drive.about.get":
		return About
	case "drive.files.generateIds":
		return IDs
	case "drive.files.list":
		return List
	case "drive.files.get":
		return Get
	case "drive.files.create":
		return Create
	case "drive.files.update":
		return Patch
	case "drive.files.delete":
		return Delete
	}
	return "unknown"
}

// answer does the work, with what goes wrong.
func (f *Fake) answer(in *incoming) result {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.fault(in.op); x != nil {
		in.fault = *x
	}
	switch in.fault.Kind {
	case Refuse:
		res := refusal(in.fault.Status, in.fault.Reason)
		if in.fault.RetryAfter != "" {
			res.header.Set("Retry-After", in.fault.RetryAfter)
		}
		return res
	case Drop, Hang:
		return result{silent: true}
	case Expire:
		f.access = map[string]grant{}
	case EndSignIn:
		f.refresh, f.access = map[string]Account{}, map[string]grant{}
	case Cut:
		in.body = in.body[:min(int64(len(in.body)), in.fault.N)]
		in.cut = true
	}
	res := f.work(in)
	if in.fault.Kind == Lost || in.cut {
		res.silent = true
	}
	if in.fault.Kind == Truncate && res.status < 300 {
		res.abort = int(in.fault.N)
	}
	return res
}

// work does what is asked. The caller holds mu.
func (f *Fake) work(in *incoming) result {
	switch in.op {
	case Token:
		return f.giveToken(in)
	case Revoke:
		return f.revokeToken(in)
	case Chunk, Status:
		return f.serveSession(in) // the address is enough
	case "unknown":
		f.complain(in.Request, "no such method")
		return refusal(http.StatusNotFound, "notFound")
	}
	who, good := f.access[strings.TrimPrefix(in.Header.Get("Authorization"), "Bearer ")]
	if !good || time.Now().After(who.until) {
		return refusal(http.StatusUnauthorized, "authError")
	}
	in.who = who
	m, res := f.admit(in)
	if m == nil {
		return res
	}
	return f.finish(in, m, f.serveMethod(in))
}

// admit holds a request against the description.
func (f *Fake) admit(in *incoming) (mask, result) {
	query := in.URL.Query()
	if bad := f.api.checkQuery(in.method, query); bad != "" {
		f.complain(in.Request, bad)
		return nil, refusal(http.StatusBadRequest, "invalidParameter")
	}
	m := mask{"kind": {}, "id": {}, "name": {}, "mimeType": {}}
	if text := query.Get("fields"); text != "" {
		var good bool
		if m, good = parseMask(text); !good {
			f.complain(in.Request, "fields "+text)
			return nil, refusal(http.StatusBadRequest, "invalidParameter")
		}
		if bad := f.api.checkMask(in.method.Response, m); bad != "" {
			f.complain(in.Request, bad)
			return nil, refusal(http.StatusBadRequest, "invalidParameter")
		}
	} else if in.op == About { // the one method that insists on it
		f.complain(in.Request, "about needs fields")
		return nil, refusal(http.StatusBadRequest, "required")
	} else if in.op == List || in.op == IDs {
		m = mask{"*": {}}
	}
	return m, result{}
}

// finish holds an answer against the description and leaves what was asked for.
func (f *Fake) finish(in *incoming, m mask, res result) result {
	if res.status != http.StatusOK || in.op == Media || in.op == Session || len(res.body) == 0 {
		return res
	}
	var value any
	if err := json.Unmarshal(res.body, &value); err != nil {
		f.complain(in.Request, "answer: "+err.Error())
		return res
	}
	if bad := f.api.check(in.method.Response, value, false); bad != "" {
		f.complain(in.Request, "answer: "+bad)
	}
	res.body = mustJSON(m.apply(value))
	return res
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// Transport carries requests to the fake without a network, on the caller's own
// goroutine: fast, and at home in a bubble of package synctest.
func (f *Fake) Transport() http.RoundTripper { return direct{f} }

type direct struct{ f *Fake }

// RoundTrip implements [http.RoundTripper].
func (d direct) RoundTrip(req *http.Request) (res *http.Response, err error) {
	ctx := req.Context()
	in := req.Clone(ctx)
	in.Body = http.NoBody
	if req.Body != nil {
		defer req.Body.Close()
		in.Body = io.NopCloser(obedient{ctx, req.Body})
	}
	rec := &recorder{header: http.Header{}}
	broken := rec.run(d.f, in)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case broken && rec.status == 0:
		return nil, errors.New("connection reset by the fake")
	}
	end := error(io.EOF)
	if broken {
		end = io.ErrUnexpectedEOF
	}
	return &http.Response{
		Status: http.StatusText(rec.status), StatusCode: rec.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: rec.header, Body: &body{ctx, rec.data, end}, ContentLength: int64(len(rec.data)), Request: req,
	}, nil
}

// A recorder is the http.ResponseWriter of a request without a network.
type recorder struct {
	header http.Header
	status int
	data   []byte
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(p []byte) (int, error) {
	r.data = append(slices.Grow(r.data, len(p)), p...)
	return len(p), nil
}

// run serves, and reports whether the connection broke.
func (r *recorder) run(f *Fake, in *http.Request) (broken bool) {
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			broken = true
		}
	}()
	f.ServeHTTP(r, in)
	return false
}

// obedient is a reader that ends with its context, as connections do.
type obedient struct {
	ctx context.Context
	r   io.Reader
}

func (o obedient) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.r.Read(p[:min(len(p), 32<<10)])
}

// body is the answer's bytes, then its end.
type body struct {
	ctx  context.Context
	data []byte
	end  error
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if len(b.data) == 0 {
		return 0, b.end
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

func (b *body) Close() error { return nil }
