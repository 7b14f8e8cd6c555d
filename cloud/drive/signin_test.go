package drive_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coffer/cloud"
	"coffer/cloud/drive"
	"coffer/cloud/drive/drivetest"
)

// visit is a browser's request; it returns the status.
func visit(t *testing.T, method, address string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Errorf("visit: %v", err)
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}

func signInOptions(f *drivetest.Fake) drive.SignInOptions {
	return drive.SignInOptions{Endpoint: f.Endpoint(), Transport: f.Transport()}
}

func TestSignIn(t *testing.T) {
	f := drivetest.New(t)
	client := config(t, f).Client
	token, err := drive.SignIn(t.Context(), client, func(address string) error {
		back, err := f.Consent(address)
		if err != nil {
			return err
		}
		here, err := url.Parse(back)
		if err != nil {
			return err
		}
		base := "http://" + here.Host
		// What other programs and pages may send first changes nothing.
		for _, stray := range []string{"/favicon.ico", "/", "/?code=forged", "/?code=forged&state=" + strings.Repeat("x", 43), "/?error=access_denied&state=wrong", "/other" + here.RequestURI()} {
			if got := visit(t, http.MethodGet, base+stray); got != http.StatusNotFound {
				t.Errorf("%s: %d", stray, got)
			}
		}
		if got := visit(t, http.MethodPost, back); got != http.StatusNotFound {
			t.Errorf("a POST: %d", got)
		}
		if got := visit(t, http.MethodGet, back); got != http.StatusOK {
			t.Errorf("the answer: %d", got)
		}
		return nil
	}, signInOptions(f))
	if err != nil {
		t.Fatal(err)
	}
	if token.Account != drive.Account(drivetest.Alice()) || token.Refresh() == "" {
		t.Fatalf("account %+v", token.Account)
	}
	c := config(t, f)
	c.Tokens = &keptTokens{token: token}
	mustPut(t, mustOpen(t, c), content(1, 100))

	for range 2 { // twice is no error
		if err := drive.Revoke(t.Context(), client, token, f.Transport()); err != nil {
			t.Fatal(err)
		}
	}
	wantIs(t, "after revoke", listOnce(t, mustOpen(t, c)), cloud.ErrAuth)
}

func TestSignInFails(t *testing.T) {
	agree := func(t *testing.T, f *drivetest.Fake) func(string) error {
		return func(address string) error {
			back, err := f.Consent(address)
			if err == nil {
				visit(t, http.MethodGet, back)
			}
			return err
		}
	}
	answer := func(t *testing.T, values string) func(string) error {
		return func(address string) error {
			u, err := url.Parse(address)
			if err == nil {
				visit(t, http.MethodGet, u.Query().Get("redirect_uri")+"/?state="+u.Query().Get("state")+"&"+values)
			}
			return err
		}
	}
	noBrowser := errors.New("no browser")
	for name, c := range map[string]struct {
		prepare func(*drivetest.Fake, *drive.SignInOptions)
		open    func(*testing.T, *drivetest.Fake) func(string) error
		class   error
	}{
		"Refused": {nil, func(t *testing.T, _ *drivetest.Fake) func(string) error { return answer(t, "error=access_denied") }, cloud.ErrRefused},
		"Client": {nil, func(t *testing.T, _ *drivetest.Fake) func(string) error {
			return answer(t, "error=unauthorized_client")
		}, cloud.ErrClient},
		"Code":    {nil, func(t *testing.T, _ *drivetest.Fake) func(string) error { return answer(t, "code=forged") }, cloud.ErrAuth},
		"Scope":   {func(f *drivetest.Fake, _ *drive.SignInOptions) { f.Scope = "openid email" }, agree, cloud.ErrScope},
		"Account": {func(_ *drivetest.Fake, o *drive.SignInOptions) { o.Account = drive.Account(drivetest.Bob()) }, agree, cloud.ErrAccount},
		"Browser": {nil, func(*testing.T, *drivetest.Fake) func(string) error { return func(string) error { return noBrowser } }, noBrowser},
		"TokenLost": {func(f *drivetest.Fake, _ *drive.SignInOptions) {
			f.Plan(drivetest.Fault{Op: drivetest.Token, Kind: drivetest.Lost})
		}, agree, cloud.ErrOffline},
		"AboutFails": {func(f *drivetest.Fake, _ *drive.SignInOptions) {
			f.Plan(drivetest.Fault{Op: drivetest.About, Kind: drivetest.Refuse, Status: 403, Reason: "accessNotConfigured"})
		}, agree, cloud.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			f := drivetest.New(t)
			o := signInOptions(f)
			if c.prepare != nil {
				c.prepare(f, &o)
			}
			token, err := drive.SignIn(t.Context(), config(t, f).Client, c.open(t, f), o)
			wantIs(t, "sign in", err, c.class)
			if token.Refresh() != "" || strings.Contains(fmt.Sprint(err), drivetest.Mark) {
				t.Fatalf("token %v, error %v", token, err)
			}
		})
	}
}

// TestSignInEnds by cancel, and by itself.
func TestSignInEnds(t *testing.T) {
	f := drivetest.New(t)
	client := config(t, f).Client
	ctx, cancel := context.WithCancel(t.Context())
	_, err := drive.SignIn(ctx, client, func(string) error { cancel(); return nil }, signInOptions(f))
	wantIs(t, "cancelled", err, context.Canceled)
	o := signInOptions(f)
	o.Timeout = time.Millisecond
	var address string
	_, err = drive.SignIn(t.Context(), client, func(a string) error { address = a; return nil }, o)
	wantIs(t, "nobody came", err, cloud.ErrTimeout, cloud.ErrAuth)
	back, err := f.Consent(address)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, back, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Error("the port is still open")
	}
}

func TestReadTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for text, want := range map[string]string{
		"1//abc\n": "1//abc", " 1//abc ": "1//abc", `{"refresh_token": "1//abc", "token_type": "Bearer"}`: "1//abc",
		"": "", "\n": "", "two words": "", "{}": "", `{"refresh_token": 7}`: "", `{"refresh_token": "a", "refresh_token": "b"}`: "",
		`{"refresh_token": "a"} x`: "", strings.Repeat("a", 3000): "", "a\x00b": "",
	} {
		writeFile(t, path, []byte(text))
		token, err := drive.ReadTokenFile(path)
		if token.Refresh() != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %q, %v", text, token.Refresh(), err)
		}
	}
	if _, err := drive.ReadTokenFile(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	f := drivetest.New(t)
	for name, change := range map[string]func(*drive.Config){
		"client":   func(c *drive.Config) { c.Client = drive.ClientConfig{} },
		"tokens":   func(c *drive.Config) { c.Tokens = nil },
		"chunk":    func(c *drive.Config) { c.Chunk = 1000 },
		"negative": func(c *drive.Config) { c.Chunk = -256 << 10 },
		"folder":   func(c *drive.Config) { c.Folder = strings.Repeat("x", 200) },
		"seal":     func(c *drive.Config) { c.Seal = func(b []byte) ([]byte, error) { return b, nil } },
		"endpoint": func(c *drive.Config) { c.Endpoint = "http://drive.example.org/drive/v3/" },
		"query":    func(c *drive.Config) { c.Endpoint = "https://drive.example.org/?a=b" },
	} {
		c := config(t, f)
		change(&c)
		if _, err := drive.New(c); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
