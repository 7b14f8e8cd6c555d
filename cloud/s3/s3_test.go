package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/s3"
)

// content returns n bytes that look random and are the same for one seed.
func content(seed, n int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprintf("content %d", seed))
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails, by contract
	return data
}

func mustPut(t *testing.T, d cloud.Driver, data []byte) string {
	t.Helper()
	name := cloud.Name("pack", data)
	if err := d.Put(t.Context(), name, cloud.Bytes(data)); err != nil {
		t.Fatalf("put: %v", err)
	}
	return name
}

func read(ctx context.Context, d cloud.Driver, name string, off, n int64) ([]byte, error) {
	r, err := d.Get(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantData(t *testing.T, d cloud.Driver, name string, want []byte) {
	t.Helper()
	got, err := read(t.Context(), d, name, 0, -1)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("get %s: %d of %d bytes, %v", name, len(got), len(want), err)
	}
}

// wantIs requires the classes, and that no secret is in the text.
func wantIs(t *testing.T, what string, err error, classes ...error) {
	t.Helper()
	for _, class := range classes {
		if !errors.Is(err, class) {
			t.Fatalf("%s: %v, want %v", what, err, class)
		}
	}
	wantNoSecret(t, err)
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		for _, word := range []string{secret, token, access} {
			if strings.Contains(text, word) {
				t.Fatalf("a secret is in the text of an error: %T", err)
			}
		}
	}
}

func listed(t *testing.T, d cloud.Driver, prefix string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for o, err := range d.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		found[o.Name] = o.Size
	}
	return found
}

func listError(t *testing.T, d cloud.Driver) error {
	t.Helper()
	var last error
	for _, err := range d.List(t.Context(), "") {
		last = err
	}
	return last
}

// fake starts gofakes3 over TLS, with an empty bucket, and returns a place in it.
func fake(t *testing.T, wrap func(http.Handler) http.Handler) s3.Config {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(backend).Server()
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of connections that tests cut
	server.StartTLS()
	t.Cleanup(server.Close)
	return s3.Config{Address: server.URL + "/" + bucket, Credentials: keys, Transport: server.Client().Transport}
}

func TestConformanceMini(t *testing.T) {
	for name, set := range map[string]func(*mini){
		"Calm":    func(*mini) {},
		"Lagging": func(m *mini) { m.lag, m.refuseSum = 3, true },
		"Odd":     func(m *mini) { m.pageSize, m.ignoreIfAbsent, m.ignoreRange = 17, true, true },
		"Simple": func(m *mini) {
			m.refuseIfAbsent, m.refuseSum, m.trusting, m.lag = true, true, true, 2
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloudtest.Run(t, func(t *testing.T) cloud.Driver {
				m := newMini()
				set(m)
				return m.driver(t)
			})
		})
	}
}

// TestProbe: what is promised is what was tried out.
func TestProbe(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*mini)
		want cloud.Caps
	}{
		"calm":              {func(*mini) {}, cloud.Caps{PutIfAbsent: true, ListAfterPut: true, ServerSum: "sha256"}},
		"lagging":           {func(m *mini) { m.lag = 1 }, cloud.Caps{PutIfAbsent: true, ServerSum: "sha256"}},
		"ignores if absent": {func(m *mini) { m.ignoreIfAbsent = true }, cloud.Caps{ListAfterPut: true, ServerSum: "sha256"}},
		"refuses if absent": {func(m *mini) { m.refuseIfAbsent = true }, cloud.Caps{ListAfterPut: true, ServerSum: "sha256"}},
		"refuses sum":       {func(m *mini) { m.refuseSum = true }, cloud.Caps{PutIfAbsent: true, ListAfterPut: true}},
		"trusting":          {func(m *mini) { m.trusting = true }, cloud.Caps{PutIfAbsent: true, ListAfterPut: true}},
	} {
		m := newMini()
		c.set(m)
		d := m.driver(t)
		if got := d.Caps(); got != (cloud.Caps{}) {
			t.Fatalf("%s: before the first request: %+v", name, got)
		}
		data := content(1, 100)
		object := mustPut(t, d, data)
		if got := d.Caps(); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if left := m.stored(); len(left) != 1 || left[0] != "coffer/"+object {
			t.Errorf("%s: the probe left %v", name, left)
		}
	}
}

func TestConformanceFake(t *testing.T) {
	t.Parallel()
	cloudtest.Run(t, func(t *testing.T) cloud.Driver { return mustOpen(t, fake(t, nil)) })
}

func TestFaultyDriver(t *testing.T) {
	cloudtest.RunFaulty(t, func(t *testing.T) *cloudtest.Faulty {
		return cloudtest.NewRandom(t, newMini().driver(t), 7, 0.2)
	})
}

// gatewayProgram finds versitygw.
func gatewayProgram(t *testing.T) string {
	t.Helper()
	if found, err := exec.LookPath("versitygw"); err == nil {
		return found
	}
	found, err := filepath.Glob("../../build/tools/versitygw-*/versitygw")
	if err != nil || len(found) == 0 {
		t.Skip("versitygw is not installed")
	}
	program, err := filepath.Abs(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// A logBuffer is what a server printed, for the log of a test that failed.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
