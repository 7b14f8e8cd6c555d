package etcd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"

	"coffer/vault/server/store"
)

func TestAddressesLeadNowhereInTheClear(t *testing.T) {
	for _, c := range []struct {
		endpoint string
		secure   bool
		want     string // empty: refused
	}{
		{"127.0.0.1:2379", false, "http://127.0.0.1:2379"},
		{"localhost:2379", false, "http://localhost:2379"},
		{"[::1]:2379", false, "http://[::1]:2379"},
		{"http://127.0.0.1:2379/", false, "http://127.0.0.1:2379"},
		{"etcd.example:2379", true, "https://etcd.example:2379"},
		{"https://192.0.2.1:2379", true, "https://192.0.2.1:2379"},
		{"https://127.0.0.1:2379", true, "https://127.0.0.1:2379"},
		{"192.0.2.1:2379", false, ""},
		{"http://192.0.2.1:2379", false, ""},
		{"http://localhost.example:2379", false, ""},
		{"http://127.0.0.1.example:2379", false, ""},
		{"http://192.0.2.1:2379", true, ""},
		{"http://127.0.0.1:2379", true, ""},
		{"https://127.0.0.1:2379", false, ""},
		{"https://192.0.2.1", true, ""},
		{"https://192.0.2.1:2379/path", true, ""},
		{"https://192.0.2.1:2379?x", true, ""},
		{"https://user:secret@192.0.2.1:2379", true, ""},
		{"unix:///run/etcd.sock", false, ""},
		{"", false, ""},
		{"", true, ""},
	} {
		got, err := clientAddress(c.endpoint, c.secure)
		if got != c.want || (c.want == "") != errors.Is(err, ErrOptions) {
			t.Errorf("%q, TLS %v: %q, %v; want %q", c.endpoint, c.secure, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a password in an error: %v", err)
		}
	}
}

func FuzzClientAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:2379", "http://127.0.0.1:2379", "https://etcd.example:2379", "http://user@127.0.0.1:1", "::", "http://[::1%25eth0]:1"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, endpoint string, secure bool) {
		got, err := clientAddress(endpoint, secure)
		if err != nil {
			if !errors.Is(err, ErrOptions) {
				t.Fatalf("error %v", err)
			}
			return
		}
		u, err := parseAddress(got)
		if err != nil || u.String() != got {
			t.Fatalf("%q gave %q, which is no address: %v", endpoint, got, err)
		}
		if (u.Scheme == "https") != secure || !secure && !isLoopback(u.Hostname()) {
			t.Fatalf("%q gave %q with TLS %v", endpoint, got, secure)
		}
	})
}

func TestOptionsThatAreNotSafe(t *testing.T) {
	password := func() string { return "secret" }
	for name, o := range map[string]Options{
		"no endpoint":           {},
		"in the clear":          {Endpoints: []string{"127.0.0.1:2379", "192.0.2.1:2379"}},
		"TLS that trusts all":   {Endpoints: []string{"192.0.2.1:2379"}, TLS: &tls.Config{InsecureSkipVerify: true}},
		"a user, no password":   {Endpoints: []string{"127.0.0.1:2379"}, Username: "vault"},
		"a password, no user":   {Endpoints: []string{"127.0.0.1:2379"}, Password: password},
		"a prefix without end":  {Endpoints: []string{"127.0.0.1:2379"}, Prefix: strings.Repeat("x", 1000)},
		"a password in the URL": {Endpoints: []string{"http://user:secret@127.0.0.1:2379"}},
	} {
		s, err := Open(t.Context(), o)
		if !errors.Is(err, ErrOptions) {
			t.Errorf("%s: error %v, want %v", name, err, ErrOptions)
		}
		if err == nil {
			_ = s.Close()
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: a password in an error", name)
		}
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	o := Options{Username: "vault", Prefix: "secret"}
	s := &DB{options: o}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, text := range []string{fmt.Sprintf(verb, o), fmt.Sprintf(verb, s)} {
			if text != "[redacted]" {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
}

func TestWarningsGoToTheLog(t *testing.T) {
	var out bytes.Buffer
	log := zapLogger(slog.New(slog.NewJSONHandler(&out, nil))).With(zap.String("member", "m1"))
	log.Info("not worth a word")
	log.Debug("nor this")
	if out.Len() != 0 {
		t.Fatalf("logged: %s", &out)
	}
	log.Warn("slow disk", zap.Int("ms", 700))
	log.Error("broken disk")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2: %s", len(lines), &out)
	}
	for i, wants := range [][]string{
		{`"level":"WARN"`, `"message":"slow disk"`, `"member":"m1"`, `"ms":700`},
		{`"level":"ERROR"`, `"message":"broken disk"`, `"member":"m1"`},
	} {
		for _, want := range wants {
			if !strings.Contains(lines[i], want) {
				t.Errorf("line %s lacks %s", lines[i], want)
			}
		}
	}
}

func TestOpeningObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := Open(ctx, Options{Endpoints: []string{"127.0.0.1:1"}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want canceled", err)
	}
	if err == nil {
		_ = s.Close()
	}
}

func TestAClosedStoreWritesNothing(t *testing.T) {
	s := &DB{closed: true, options: Options{RequestTimeout: DefaultRequestTimeout}}
	row := []byte("x")
	_, _, fetch := s.Fetch(t.Context(), store.ID{})
	for name, err := range map[string]error{
		"create":  s.Create(t.Context(), store.ID{}, row),
		"replace": s.Replace(t.Context(), store.ID{}, 1, row),
		"fetch":   fetch,
		"list":    s.List(t.Context(), func(store.ID) error { return nil }),
		"ready":   s.Ready(t.Context()),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: error %v, want %v", name, err, store.ErrClosed)
		}
	}
}
