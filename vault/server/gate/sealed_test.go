package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/crypto/hpke"
	"coffer/vault/protocol"
)

// refusal is what a gate says outside of an envelope.
func refusal(t testing.TB, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || rec.Code == http.StatusOK {
		t.Fatalf("HTTP status %d, %q", rec.Code, rec.Body)
	}
	return body.Code
}

// TestWhatIsSaidOutside: what is no envelope is refused in the clear, with a code and
// nothing else, and the core is not asked.
func TestWhatIsSaidOutside(t *testing.T) {
	w := newWorld(t, coreFunc(func(context.Context, [32]byte, []byte) ([]byte, error) {
		t.Error("the core was asked")
		return nil, nil
	}), unhindered)
	good := sealTo(t, w.key.Public(), testVault, statusRequest(1)).body
	changed := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	path := func(p string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = p } }
	method := func(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }
	content := func(c ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Content-Type"] = c }
	}
	for _, c := range []struct {
		name   string
		body   []byte
		change func(*http.Request)
		want   string
	}{
		{"nothing", nil, nil, "malformed"},
		{"GET", nil, method("GET"), "malformed"},
		{"PUT", good, method("PUT"), "malformed"},
		{"HEAD", good, method("HEAD"), "malformed"},
		{"no content type", good, content(), "malformed"},
		{"a form", good, content("application/x-www-form-urlencoded"), "malformed"},
		{"text", good, content("text/plain"), "malformed"},
		{"a parameter", good, content(protocol.ContentType + "; charset=utf-8"), "malformed"},
		{"another path", good, path("/v1/attempts"), "malformed"},
		{"a longer path", good, path("/v1/sealed/"), "malformed"},
		{"the root", good, path("/"), "malformed"},
		{"another kind", changed(3), nil, "malformed"},
		{"another version", changed(2), nil, "malformed"},
		{"another magic", changed(0), nil, "malformed"},
		{"another key", changed(4), nil, "other-key"},
		{"another encapsulated key", changed(12), nil, "malformed"},
		{"another point", changed(1131), nil, "malformed"},
		{"another ciphertext", changed(1132), nil, "malformed"},
		{"another tag", changed(len(good) - 1), nil, "malformed"},
		{"longer", append(bytes.Clone(good), 0), nil, "malformed"},
		{"too large", make([]byte, protocol.MaxSealed+1), nil, "too-large"},
		{"too large, and does not say so", make([]byte, 1<<20), func(r *http.Request) {
			r.ContentLength = -1
			r.Body = io.NopCloser(bytes.NewReader(make([]byte, 1<<20)))
		}, "too-large"},
		{"says that it is large", good, func(r *http.Request) { r.ContentLength = 1 << 40 }, "too-large"},
		{"for another vault", sealTo(t, w.key.Public(), [16]byte{1}, statusRequest(1)).body, nil, "malformed"},
		{"for a stranger's key", sealTo(t, hpke.GenerateKey().Public(), testVault, statusRequest(1)).body, nil, "other-key"},
	} {
		rec := w.post(t, c.body, c.change)
		if got := refusal(t, rec); got != c.want {
			t.Errorf("%s: %s, not %s", c.name, got, c.want)
		}
		if !protocol.Outside(protocol.ReadError(rec.Result())) {
			t.Errorf("%s: a client would not take that from outside", c.name)
		}
		if rec.Header().Get("Cache-Control") != "no-store" || rec.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", c.name, rec.Header())
		}
	}
	for n := range good {
		if n%7 == 0 || n > 1120 && n < 1150 || n > len(good)-20 {
			if got := refusal(t, w.post(t, good[:n], nil)); got != "malformed" {
				t.Errorf("cut to %d bytes: %s", n, got)
			}
		}
	}
}

// TestWhatIsSaidInside: once an envelope is open, every answer is sealed, comes with status
// 200, and has one of few lengths.
func TestWhatIsSaidInside(t *testing.T) {
	answers := map[byte]error{
		1: nil, 2: protocol.ErrUnknownRecord, 3: &protocol.Refusal{Err: protocol.ErrWait, Left: 3, Wait: time.Minute},
		4: protocol.ErrUnknownOutcome, 5: errors.New("something that has no code, and a secret in its text"), 6: protocol.ErrIdentity,
	}
	w := newWorld(t, coreFunc(func(_ context.Context, binding [32]byte, body []byte) ([]byte, error) {
		h, err := protocol.HeaderOf(body)
		if err != nil || h.Binding != binding {
			t.Errorf("the core gets another binding than the envelope's: %v", err)
		}
		return body, answers[h.Record[0]]
	}), unhindered)
	lengths := map[int]bool{}
	for record, want := range answers {
		s := sealTo(t, w.key.Public(), testVault, statusRequest(record))
		rec := w.post(t, s.body, nil)
		if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != protocol.ContentType {
			t.Fatalf("record %d: HTTP status %d, %v", record, rec.Code, rec.Header())
		}
		lengths[rec.Body.Len()] = true
		reply, err := s.open(rec.Body.Bytes())
		switch record {
		case 3:
			want = protocol.ErrWait
		case 5:
			want = protocol.ErrInternal
		}
		if !errors.Is(err, want) || err == nil && !bytes.Equal(reply, statusRequest(1)(s.binding)) {
			t.Errorf("record %d: %v, not %v", record, err, want)
		}
		if refusal := new(protocol.Refusal); record == 3 && (!errors.As(err, &refusal) || refusal.Left != 3 || refusal.Wait != time.Minute) {
			t.Errorf("the wait is lost: %+v", refusal)
		}
		another := sealTo(t, w.key.Public(), testVault, statusRequest(record))
		if _, err := another.open(rec.Body.Bytes()); err == nil {
			t.Error("the answer opens for another request")
		}
	}
	if len(lengths) != 1 {
		t.Errorf("lengths %v tell answers apart", lengths)
	}
	insides := map[string]func([32]byte) []byte{
		"nothing":      func([32]byte) []byte { return protocol.Pad(nil) },
		"not padded":   func([32]byte) []byte { return []byte("hello") },
		"padding":      func(b [32]byte) []byte { p := protocol.Pad(statusRequest(1)(b)); p[len(p)-1] = 1; return p },
		"a reply":      func([32]byte) []byte { return protocol.Pad([]byte("CV\x01\x81")) },
		"an envelope":  func([32]byte) []byte { return protocol.Pad(make([]byte, 1200)) },
		"no such kind": func(b [32]byte) []byte { r := statusRequest(1)(b); r[3] = 99; return protocol.Pad(r) },
		"only a head":  func(b [32]byte) []byte { return protocol.Pad(statusRequest(1)(b)[:59]) },
	}
	for name, padded := range insides {
		s := sealPadded(t, w.key.Public(), testVault, padded)
		rec := w.post(t, s.body, nil)
		if _, err := s.open(rec.Body.Bytes()); rec.Code != http.StatusOK || !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("%s inside: HTTP status %d, %v", name, rec.Code, err)
		}
	}
	if bytes.Contains(w.log.Bytes(), []byte("record 5")) {
		t.Error("records are in the log")
	}
}

// TestAdmissionsAreBound: the desk's own checks, which the core does not make for it.
func TestAdmissionsAreBound(t *testing.T) {
	w := newWorld(t, coreFunc(func(context.Context, [32]byte, []byte) ([]byte, error) {
		t.Error("the core was asked")
		return nil, nil
	}), unhindered)
	token, err := w.desk.Invite(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	request := func(change func(*protocol.Admit), more ...byte) func([32]byte) []byte {
		return func(binding [32]byte) []byte {
			head := protocol.Admit{Header: protocol.NewHeader(protocol.KindAdmit, [16]byte{1}, 0, binding)}
			if change != nil {
				change(&head)
			}
			return append(protocol.EncodeVariable(&head, []byte(token), 0), more...)
		}
	}
	for _, c := range []struct {
		name    string
		request func([32]byte) []byte
		want    error
	}{
		{"of another envelope", request(func(m *protocol.Admit) { m.Binding[0] ^= 1 }), protocol.ErrIdentity},
		{"of a generation", request(func(m *protocol.Admit) { m.Generation = 1 }), protocol.ErrMalformed},
		{"and more", request(nil, 0), protocol.ErrMalformed},
		{"of another token", func(b [32]byte) []byte { return append(request(nil)(b)[:62], make([]byte, 43)...) }, protocol.ErrInvitation},
		{"as it should be", request(nil), nil},
	} {
		reply, err := w.ask(t, c.request, nil)
		if !errors.Is(err, c.want) {
			t.Errorf("an admission %s: %v", c.name, err)
		}
		if c.want != nil {
			continue
		}
		m, err := protocol.Parse[protocol.AdmitReply](protocol.KindAdmit.Reply(), reply)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.desk.Check([16]byte{1}, m.Ticket); err != nil {
			t.Error(err)
		}
	}
}

// TestTheKeyBeforeIsGoodStill: for clients that have not fetched the new bundle yet.
func TestTheKeyBeforeIsGoodStill(t *testing.T) {
	keys := []*hpke.PrivateKey{hpke.GenerateKey(), hpke.GenerateKey()}
	w := newWorld(t, coreFunc(echo), func(c *Config) {
		unhindered(c)
		c.Keys = func() []*hpke.PrivateKey { return keys }
	})
	before := slices.Clone(keys)
	for i, key := range before {
		s := sealTo(t, key.Public(), testVault, statusRequest(1))
		if _, err := s.open(w.post(t, s.body, nil).Body.Bytes()); err != nil {
			t.Errorf("key %d: %v", i, err)
		}
	}
	keys = []*hpke.PrivateKey{hpke.GenerateKey(), before[0]}
	s := sealTo(t, before[1].Public(), testVault, statusRequest(1))
	if got := refusal(t, w.post(t, s.body, nil)); got != "other-key" {
		t.Errorf("the key before the one before: %s", got)
	}
}

// TestAPanicIsNotTheEnd: the process goes on, the client learns nothing, and the log says
// where but not what.
func TestAPanicIsNotTheEnd(t *testing.T) {
	const secret = "the secret value of a panic"
	w := newWorld(t, coreFunc(func(_ context.Context, _ [32]byte, body []byte) ([]byte, error) {
		if body[4] == 13 {
			panic(errors.New(secret))
		}
		return body, nil
	}), func(c *Config) {
		unhindered(c)
		c.Limits.Requests = 1 // a panic must not keep the one place
	})
	for range 3 {
		s := sealTo(t, w.key.Public(), testVault, statusRequest(13))
		rec := w.post(t, s.body, nil)
		if got := refusal(t, rec); got != "internal" || rec.Code != http.StatusInternalServerError {
			t.Errorf("HTTP status %d, %s", rec.Code, got)
		}
		if protocol.Outside(protocol.ReadError(rec.Result())) {
			t.Error("a client would take it for proof that nothing was done")
		}
	}
	if _, err := w.ask(t, statusRequest(1), nil); err != nil {
		t.Errorf("the next request: %v", err)
	}
	log := string(w.log.Bytes())
	if strings.Contains(log, secret) || !strings.Contains(log, "*errors.errorString") || !strings.Contains(log, "TestAPanicIsNotTheEnd") {
		t.Errorf("the log: %s", log)
	}
	if metrics := w.scrape(t); !strings.Contains(metrics, "\ncoffer_vault_panics_total 3\n") ||
		!strings.Contains(metrics, `coffer_vault_requests_total{code="internal",kind="status"} 3`) {
		t.Error("the metrics do not count it")
	}
}

func TestHealthAndReadiness(t *testing.T) {
	asked := 0
	var state error
	w := newWorld(t, coreFunc(echo), func(c *Config) {
		c.Ready = func(ctx context.Context) error {
			asked++
			if _, ok := ctx.Deadline(); !ok {
				t.Error("no deadline")
			}
			return state
		}
		c.BundleState = func() (uint64, time.Time) { return 7, time.Unix(1_900_000_000, 0) }
		c.Version = "1.2.3"
	})
	get := func(path string) int {
		rec := httptest.NewRecorder()
		w.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return rec.Code
	}
	for range 100 { // no limit: whoever watches may ask as often as he likes
		if get("/healthz") != http.StatusOK || get("/readyz") != http.StatusOK {
			t.Fatal("not well")
		}
	}
	if asked > 50 {
		t.Errorf("the store was asked %d times", asked)
	}
	metrics := w.scrape(t)
	for _, line := range []string{
		"coffer_vault_ready 1", "coffer_vault_bundle_sequence 7", "coffer_vault_bundle_expires_timestamp_seconds 1.9e+09",
	} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("the metrics do not say %s", line)
		}
	}
	if !strings.Contains(metrics, `version="1.2.3"`) {
		t.Error("the metrics do not say what was built")
	}
	state = errors.New("the store is gone")
	w.readyMu.Lock()
	w.ready.at = time.Time{} // as if a second had gone by
	w.readyMu.Unlock()
	if get("/readyz") != http.StatusServiceUnavailable || get("/healthz") != http.StatusOK {
		t.Error("ready without a store")
	}
	if !strings.Contains(w.scrape(t), "\ncoffer_vault_ready 0\n") || !bytes.Contains(w.log.Bytes(), []byte("the store is gone")) {
		t.Error("nobody is told")
	}
}

// FuzzSealed: whatever comes as an envelope is answered by one of few codes, outside.
func FuzzSealed(f *testing.F) {
	w := newWorld(f, coreFunc(echo), unhindered)
	good := sealTo(f, w.key.Public(), testVault, statusRequest(1)).body
	f.Add(good)
	f.Add(good[:1132])
	f.Add([]byte("CV\x01\x40"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		rec := w.post(t, body, nil)
		if rec.Code == http.StatusOK {
			if !bytes.Equal(body, good) {
				t.Error("something opens that nobody has sealed")
			}
			return
		}
		if !protocol.Outside(protocol.ReadError(rec.Result())) {
			t.Errorf("HTTP status %d: %q", rec.Code, rec.Body)
		}
	})
}

// FuzzInside: whatever is inside of an envelope is answered inside.
func FuzzInside(f *testing.F) {
	core, _ := newCore(f, nil)
	w := newWorld(f, core, unhindered)
	f.Add(protocol.Pad(statusRequest(1)([32]byte{})), false)
	f.Add(protocol.Encode(&protocol.Begin{Header: protocol.NewHeader(protocol.KindBegin, [16]byte{1}, 1, [32]byte{})}), true)
	head := protocol.Admit{Header: protocol.NewHeader(protocol.KindAdmit, [16]byte{1}, 0, [32]byte{})}
	f.Add(protocol.EncodeVariable(&head, []byte("token"), 0), true)
	f.Fuzz(func(t *testing.T, inside []byte, pad bool) {
		if len(inside) > protocol.MaxBody {
			return
		}
		s := sealPadded(t, w.key.Public(), testVault, func(binding [32]byte) []byte {
			if !pad {
				return inside
			}
			body := bytes.Clone(inside)
			if len(body) >= 60 {
				protocol.Bind(body, binding)
			}
			return protocol.Pad(body)
		})
		rec := w.post(t, s.body, nil)
		if _, err := s.open(rec.Body.Bytes()); rec.Code != http.StatusOK || err == nil || errors.Is(err, protocol.ErrUnknownOutcome) {
			t.Errorf("HTTP status %d, %v", rec.Code, err)
		}
	})
}
