package webdav

import (
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"coffer/cloud"
)

// TestDigestVectors are those of RFC 7616, section 3.9.1.
func TestDigestVectors(t *testing.T) {
	const (
		nonce    = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
		opaque   = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
		cnonce   = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
		password = "Circle of Life"
	)
	s := session{digest: true, realm: "http-auth@example.org", nonce: nonce, first: nonce, opaque: opaque, hasOpaque: true, client: cnonce}
	s.hash, s.sum = "MD5", md5.New
	got := s.sign("Mufasa", password, "GET", "/dir/index.html", nonce, 1)
	if !strings.Contains(got, `response="8ca523f5e9506fed4657c9700eebdbec"`) {
		t.Errorf("MD5: %s", got)
	}
	s.hash, s.sum = "SHA-256", sha256.New
	got = s.sign("Mufasa", password, "GET", "/dir/index.html", nonce, 1)
	if !strings.Contains(got, `response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"`) {
		t.Errorf("SHA-256: %s", got)
	}
	want := `Digest username="Mufasa", realm="http-auth@example.org", nonce="` + nonce + `", uri="/dir/index.html", ` +
		`response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", qop=auth, nc=00000001, cnonce="` + cnonce +
		`", algorithm=SHA-256, opaque="` + opaque + `"`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseChallenges(t *testing.T) {
	for text, want := range map[string]string{
		`Basic realm="x"`: `basic map[realm:x]`,
		`Basic realm="x", Digest realm="y, z", nonce=abc, qop="auth,auth-int"`: `basic map[realm:x] digest map[nonce:abc qop:auth,auth-int realm:y, z]`,
		`Negotiate, NTLM, Basic realm="a\"b\\c"`:                               `negotiate map[] ntlm map[] basic map[realm:a"b\c]`,
		`Negotiate oRQwEqADCgEAoQsGCSqGSIb3EgECAg==, Basic realm=x`:            `negotiate map[] basic map[realm:x]`,
		`Bearer realm = "x" ,	error=y`:                                         `bearer map[error:y realm:x]`,
		`DIGEST Nonce=a`:                                                       `digest map[nonce:a]`,
		``:                                                                     ``,
		`,, ,`:                                                                 ``,
	} {
		got, err := parseChallenges([]string{text})
		if err != nil || said(got) != want {
			t.Errorf("%s: %s, %v; want %s", text, said(got), err, want)
		}
	}
	for _, text := range []string{
		`"`, `=`, `realm="x"`, `Basic realm="x`, `Basic realm="x\`, `Basic realm="x" y`, `Basic realm="x"y=z`,
		`Basic realm="a", realm="b"`, "Basic realm=\"a\x00b\"", `Basic a b c`, `Basic realm="x", @`, `Digest =`,
		strings.Repeat("Basic, ", maxChallenges+1), `Basic realm="` + strings.Repeat("x", maxChallenge) + `"`, `Basic x y`,
	} {
		if got, err := parseChallenges([]string{text}); err == nil {
			t.Errorf("%.60s: taken as %s", text, said(got))
		}
	}
	two, err := parseChallenges([]string{`Digest nonce=a`, `Basic realm=b`})
	if err != nil || said(two) != `digest map[nonce:a] basic map[realm:b]` {
		t.Errorf("two fields: %s, %v", said(two), err)
	}
}

func said(all []challenge) string {
	var words []string
	for _, c := range all {
		words = append(words, fmt.Sprint(c.scheme, " ", c.params))
	}
	return strings.Join(words, " ")
}

func TestChoice(t *testing.T) {
	const (
		md5Field   = `Digest realm="x", nonce="n", qop="auth", algorithm=MD5`
		plainField = `Digest realm="x", nonce="n", qop="auth"`
		shaField   = `Digest realm="x", nonce="n", qop="auth, auth-int", algorithm=SHA-256`
		sessField  = `Digest realm="x", nonce="n", qop=auth, algorithm=SHA-256-sess, userhash=true`
		noQop      = `Digest realm="x", nonce="n"`
		intField   = `Digest realm="x", nonce="n", qop="auth-int"`
		newField   = `Digest realm="x", nonce="n", qop=auth, algorithm=SHA-512-256`
		basicField = `Basic realm="x"`
	)
	for _, c := range []struct {
		fields  []string
		private bool
		hash    string // of Digest; "Basic"
		err     error
	}{
		{[]string{basicField, md5Field, shaField}, true, "SHA-256", nil},
		{[]string{md5Field, basicField}, true, "MD5", nil},
		{[]string{plainField}, false, "", nil},
		{[]string{sessField, md5Field}, false, "SHA-256-sess", nil},
		{[]string{basicField}, true, "Basic", nil},
		{[]string{noQop, intField, newField, basicField}, true, "Basic", nil},
		{[]string{noQop, intField, newField, basicField}, false, "", cloud.ErrPlain},
		{[]string{noQop, "Negotiate"}, true, "", cloud.ErrUnsupported},
		{nil, true, "", cloud.ErrUnsupported},
	} {
		a := auth{user: "ann", password: func() string { return "pw" }, private: c.private}
		err := a.learn(http.Header{"Www-Authenticate": c.fields}, nil, false)
		if !errors.Is(err, c.err) || err != nil && c.err == nil {
			t.Errorf("%q: %v, want %v", c.fields, err, c.err)
			continue
		}
		if c.err != nil {
			continue
		}
		field, used, err := a.header("GET", "/")
		if err != nil || c.hash == "Basic" != strings.HasPrefix(field, "Basic ") || used.digest && used.hash != c.hash {
			t.Errorf("%q: %s, %v", c.fields, field, err)
		}
		if c.hash == "SHA-256-sess" && (strings.Contains(field, `"ann"`) || !strings.Contains(field, "userhash=true")) {
			t.Errorf("the user is not hidden: %s", field)
		}
	}
}

// TestWrongPasswordIsToldOnce: asking again gets accounts locked.
func TestWrongPasswordIsToldOnce(t *testing.T) {
	basic := http.Header{"Www-Authenticate": {`Basic realm="x"`}}
	a := auth{user: "ann", password: func() string { return "pw" }, private: true}
	if err := a.learn(basic, nil, false); err != nil {
		t.Fatal(err)
	}
	_, used, _ := a.header("GET", "/")
	if err := a.learn(basic, used, true); !errors.Is(err, cloud.ErrAuth) {
		t.Fatal(err)
	}
	if field, _, _ := a.header("GET", "/"); field != "" {
		t.Fatal("what was refused is sent again")
	}
	for _, bad := range []*auth{{user: "ann"}, {password: func() string { return "pw" }}} {
		if err := bad.learn(basic, nil, false); !errors.Is(err, cloud.ErrAuth) {
			t.Fatal(err)
		}
	}
	colon := auth{user: "a:b", password: func() string { return "pw" }, private: true, now: &session{}}
	if _, _, err := colon.header("GET", "/"); !errors.Is(err, cloud.ErrAuth) {
		t.Fatal(err)
	}
}

func TestNextNonce(t *testing.T) {
	a := auth{user: "ann", password: func() string { return "pw" }}
	if err := a.learn(http.Header{"Www-Authenticate": {`Digest realm="x", nonce="one", qop=auth`}}, nil, false); err != nil {
		t.Fatal(err)
	}
	_, used, _ := a.header("GET", "/")
	a.renew(http.Header{"Authentication-Info": {`nextnonce="two", qop=auth, rspauth="x"`}}, used)
	if field, _, _ := a.header("GET", "/"); !strings.Contains(field, `nonce="two"`) || !strings.Contains(field, "nc=00000001") {
		t.Fatal(field)
	}
	for _, bad := range []string{`nextnonce`, `nextnonce="three`, `x`, strings.Repeat("x=y,", 10000)} {
		a.renew(http.Header{"Authentication-Info": {bad}}, used)
	}
	if field, _, _ := a.header("GET", "/"); !strings.Contains(field, `nonce="two"`) || !strings.Contains(field, "nc=00000002") {
		t.Fatal(field)
	}
}

// FuzzChallenges: what is read is bounded, and is read the same when it is written
// plainly.
func FuzzChallenges(f *testing.F) {
	f.Add(`Basic realm="x", Digest realm="y, z", nonce=abc, qop="auth,auth-int"`)
	f.Add(`Negotiate oRQw==, Basic realm="a\"b"`)
	f.Add(`Digest a = b , c="d\\e"`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseChallenges([]string{text})
		if err != nil {
			return
		}
		if len(all) > maxChallenges {
			t.Fatal("too many")
		}
		var words []string
		for _, c := range all {
			if len(c.params) > maxParams {
				t.Fatal("too many parameters")
			}
			var params []string
			for name, value := range c.params {
				params = append(params, name+"="+quoted(value))
			}
			slices.Sort(params)
			words = append(words, strings.TrimSpace(c.scheme+" "+strings.Join(params, ", ")))
		}
		plain := strings.Join(words, ", ")
		if len(plain) > maxChallenge {
			return
		}
		again, err := parseChallenges([]string{plain})
		if err != nil || len(again) != len(all) || len(all) > 0 && !reflect.DeepEqual(again, all) {
			t.Fatalf("%q, then %q, %v", said(all), said(again), err)
		}
	})
}
