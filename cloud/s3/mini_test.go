package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/cloud/s3"
)

const (
	access = "AKIATESTACCESSKEY"
	secret = "verysecretkeyofthetests"
	token  = "sessiontokenofthetests"
	bucket = "ann-backup"
)

func keys() (accessKey, secretKey, sessionToken string) { return access, secret, token }

// A mini is a small server of S3 in this process: it does what the tests want of
// it and no real server does. It checks no signatures; the real ones do.
type mini struct {
	// What this server is like. Set before use.
	ignoreIfAbsent bool   // If-None-Match has no effect
	refuseIfAbsent bool   // ... is an error
	refuseSum      bool   // X-Amz-Checksum-Sha256 is an error
	trusting       bool   // bytes are not held against any hash, and none is told
	ignoreRange    bool   // all bytes, always
	pageSize       int    // keys of a page; 0: 1,000
	lag            int    // how many listings do not show what was put before them
	region         string // of the bucket; requests for another are refused
	missing        bool   // no bucket
	// before, if set, may answer in the server's place, and then returns true.
	before func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	objects  map[string]miniObject // guarded by mu
	listings int                   // guarded by mu
	requests []*http.Request       // guarded by mu; without bodies
}

type miniObject struct {
	data  []byte
	sum   string
	putAt int
}

func newMini() *mini { return &mini{objects: map[string]miniObject{}, region: "us-east-1"} }

// driver opens a place there, without a network.
func (m *mini) driver(t *testing.T) *s3.Driver {
	t.Helper()
	return mustOpen(t, s3.Config{Address: "https://s3.example/" + bucket + "/coffer", Credentials: keys, Transport: direct{m}})
}

func mustOpen(t *testing.T, c s3.Config) *s3.Driver {
	t.Helper()
	d, err := s3.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// direct hands requests to a handler, in the same goroutine. So tests can run in a
// bubble of synctest, where a real connection would hold the time.
type direct struct{ handler http.Handler }

// errCut is what the client sees of a connection that the handler cut.
var errCut = errors.New("connection cut")

func (d direct) RoundTrip(req *http.Request) (res *http.Response, err error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	defer func() {
		if cut := recover(); cut != nil {
			if cut != http.ErrAbortHandler { //nolint:errorlint // a panic's value
				panic(cut)
			}
			res, err = nil, errCut
		}
	}()
	body := &watchedBody{ReadCloser: req.Body}
	there := req.Clone(req.Context())
	if there.Body = http.NoBody; req.Body != nil {
		there.Body = body
		defer req.Body.Close()
	}
	there.RequestURI = req.URL.RequestURI()
	if there.Host == "" {
		there.Host = req.URL.Host
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, there)
	if body.err != nil && !errors.Is(body.err, io.EOF) {
		return nil, body.err
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	res = w.Result()
	if req.Method == http.MethodHead {
		res.Body = http.NoBody
	}
	if n, err := strconv.ParseInt(res.Header.Get("Content-Length"), 10, 64); err == nil && req.Method != http.MethodHead {
		res.Body = &shortBody{ReadCloser: res.Body, left: n}
	}
	res.Request = req
	return res, nil
}

// A shortBody fails, as net/http does, when fewer bytes come than were announced.
type shortBody struct {
	io.ReadCloser
	left int64
}

func (b *shortBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), max(b.left, 1))])
	b.left -= int64(n)
	if errors.Is(err, io.EOF) && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

type watchedBody struct {
	io.ReadCloser
	err error
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.err = err
	}
	return n, err
}

// sent returns the requests so far.
func (m *mini) sent() []*http.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

// stored returns the keys.
func (m *mini) stored() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for key := range m.objects {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// set stores bytes under a key, behind the driver's back.
func (m *mini) set(key string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = miniObject{data: data}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>%s %s %s</Message></Error>", code, access, secret, token)
}

func (m *mini) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kept := r.Clone(context.WithoutCancel(r.Context()))
	kept.Body = nil
	m.mu.Lock()
	m.requests = append(m.requests, kept)
	m.mu.Unlock()
	w.Header().Set("Server", "mini")
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if m.before != nil && m.before(w, r) {
		return
	}
	if m.missing {
		refuse(w, 404, "NoSuchBucket")
		return
	}
	key, isKey := strings.CutPrefix(r.URL.Path, "/"+bucket+"/")
	if !isKey {
		refuse(w, 404, "NoSuchBucket")
		return
	}
	query := r.URL.Query()
	switch {
	case key == "" && query.Has("location"):
		fmt.Fprintf(w, "<LocationConstraint>%s</LocationConstraint>", m.region)
	case key == "" && query.Has("versioning"):
		io.WriteString(w, "<VersioningConfiguration/>")
	case key == "" && query.Get("list-type") == "2":
		m.list(w, query)
	case r.Method == http.MethodPut:
		m.put(w, r, key)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		m.get(w, r, key)
	case r.Method == http.MethodDelete:
		m.mu.Lock()
		delete(m.objects, key)
		m.mu.Unlock()
		w.WriteHeader(204)
	default:
		refuse(w, 501, "NotImplemented")
	}
}

func (m *mini) put(w http.ResponseWriter, r *http.Request, key string) {
	data, err := io.ReadAll(r.Body)
	if err != nil || int64(len(data)) != r.ContentLength {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuseSum && r.Header.Get("X-Amz-Checksum-Sha256") != "" || m.refuseIfAbsent && r.Header.Get("If-None-Match") != "" {
		refuse(w, 501, "NotImplemented")
		return
	}
	sum := sha256.Sum256(data)
	if !m.trusting && r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
		refuse(w, 400, "XAmzContentSHA256Mismatch")
		return
	}
	if said := r.Header.Get("X-Amz-Checksum-Sha256"); said != "" && !m.trusting && said != base64.StdEncoding.EncodeToString(sum[:]) {
		refuse(w, 400, "BadDigest")
		return
	}
	if _, taken := m.objects[key]; taken && !m.ignoreIfAbsent && r.Header.Get("If-None-Match") == "*" {
		refuse(w, 412, "PreconditionFailed")
		return
	}
	o := miniObject{data: data, putAt: m.listings}
	if said := r.Header.Get("X-Amz-Checksum-Sha256"); said != "" && !m.trusting {
		o.sum = base64.StdEncoding.EncodeToString(sum[:])
		w.Header().Set("X-Amz-Checksum-Sha256", o.sum)
	}
	m.objects[key] = o
}

func (m *mini) get(w http.ResponseWriter, r *http.Request, key string) {
	m.mu.Lock()
	o, ok := m.objects[key]
	m.mu.Unlock()
	if !ok {
		if r.Method == http.MethodHead {
			w.WriteHeader(404)
			return
		}
		refuse(w, 404, "NoSuchKey")
		return
	}
	w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	if o.sum != "" {
		w.Header().Set("X-Amz-Checksum-Sha256", o.sum)
	}
	from, to, status := 0, len(o.data), 200
	if text, asked := strings.CutPrefix(r.Header.Get("Range"), "bytes="); asked && !m.ignoreRange {
		first, last, _ := strings.Cut(text, "-")
		from, _ = strconv.Atoi(first)
		if n, err := strconv.Atoi(last); err == nil {
			to = min(to, n+1)
		}
		if from >= len(o.data) {
			refuse(w, 416, "InvalidRange")
			return
		}
		status = 206
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(o.data)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(to-from))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write(o.data[from:to]) // who does not read on is a case too
	}
}

type miniPage struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           bool
	EncodingType          string
	NextContinuationToken string `xml:",omitempty"`
	Contents              []miniKey
	CommonPrefixes        []miniPrefix
}

type (
	miniKey struct {
		Key  string
		Size int
	}
	miniPrefix struct{ Prefix string }
)

func (m *mini) list(w http.ResponseWriter, query url.Values) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if query.Get("continuation-token") == "" {
		m.listings++
	}
	var keys []string
	for key, o := range m.objects {
		if strings.HasPrefix(key, query.Get("prefix")) && key > query.Get("continuation-token") && (m.lag == 0 || m.listings-o.putAt > m.lag) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	size := m.pageSize
	if size == 0 {
		size = 1000
	}
	page := miniPage{EncodingType: "url", IsTruncated: len(keys) > size}
	keys = keys[:min(len(keys), size)]
	if page.IsTruncated {
		page.NextContinuationToken = keys[size-1]
	}
	for _, key := range keys {
		below, nested := strings.CutPrefix(key, query.Get("prefix"))
		if folder, _, ok := strings.Cut(below, "/"); nested && ok && query.Get("delimiter") == "/" {
			page.CommonPrefixes = append(page.CommonPrefixes, miniPrefix{query.Get("prefix") + folder + "/"})
			continue
		}
		page.Contents = append(page.Contents, miniKey{url.QueryEscape(key), len(m.objects[key].data)})
	}
	var out bytes.Buffer
	if err := xml.NewEncoder(&out).Encode(page); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(out.Bytes()) // nor here
}
