package sftp

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"sftp://ann@nas/srv/backup":              {"ann", "nas", 22, "/srv/backup"},
		"SFTP://ann@NAS.Example:2022/":           {"ann", "nas.example", 2022, "/"},
		"sftp://ann@nas":                         {"ann", "nas", 22, "/"},
		"sftp://ann@nas/~":                       {"ann", "nas", 22, ""},
		"sftp://ann@nas/~/":                      {"ann", "nas", 22, ""},
		"sftp://ann@nas/~/a/./b//c/":             {"ann", "nas", 22, "a/b/c"},
		"sftp://ann@nas/%7E/x":                   {"ann", "nas", 22, "/~/x"},
		"sftp://ann@nas/~ann/x":                  {"ann", "nas", 22, "/~ann/x"},
		"sftp://DOM%5Cann@10.0.0.7/x":            {`DOM\ann`, "10.0.0.7", 22, "/x"},
		"sftp://ann%40work@nas/x":                {"ann@work", "nas", 22, "/x"},
		"sftp://ann@[2001:DB8::1]:22/x":          {"ann", "2001:db8::1", 22, "/x"},
		"sftp://ann@[fe80::1%25eth0]:22/x":       {"ann", "fe80::1%eth0", 22, "/x"},
		"sftp://ann@nas/caf%C3%A9/%FF/%23%3F%25": {"ann", "nas", 22, "/caf\u00e9/\xff/#?%"},
		"sftp://ann@nas/a b":                     {"ann", "nas", 22, "/a b"},
	} {
		got, err := ParseAddress(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
			continue
		}
		again, err := ParseAddress(got.String())
		if err != nil || again != got || again.String() != got.String() {
			t.Errorf("%s: canonical %s: %+v, %v", text, got, again, err)
		}
	}
	for canonical := range map[string]bool{
		"sftp://ann@nas/": true, "sftp://ann@nas/~": true, "sftp://ann@nas/~/a%20b": true, "sftp://ann@[2001:db8::1]:2/%7E/x": true,
	} {
		if a, err := ParseAddress(canonical); err != nil || a.String() != canonical {
			t.Errorf("%s becomes %s, %v", canonical, a, err)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, text := range []string{
		"", "sftp", "sftp:", "sftp://", "ssh://ann@nas/x", "ann@nas:/x", "sftp://nas/x", "sftp://@nas/x", "sftp://ann@/x",
		"sftp://ann:" + secretWord + "@nas/x", "sftp://ann@" + secretWord + "@nas/x", "sftp://ann@nas:/x", "sftp://ann@nas:0/x",
		"sftp://ann@nas:022/x", "sftp://ann@nas:65536/x", "sftp://ann@nas:x/x", "sftp://ann@2001:db8::1/x", "sftp://ann@[nas]/x",
		"sftp://ann@[::1]x/x", "sftp://ann@[::1/x", "sftp://ann@[::1]:/x", "sftp://ann@nas/%", "sftp://ann@nas/%zz", "sftp://ann@nas/a%00",
		"sftp://ann@nas/../x", "sftp://ann@nas/~/../x", "sftp://ann@nas/%2e%2e/x", "sftp://ann@nas/x?y", "sftp://ann@nas/x#y",
		"sftp://ann@-nas/x", "sftp://ann@na s/x", "sftp://ann@n\u00e4s/x", "sftp://a%0An@nas/x", "sftp://a%3Apw@nas/x", "sftp://ann@nas/~/~/x",
	} {
		got, err := ParseAddress(text)
		if !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %+v, %v", text, got, err)
		} else if strings.Contains(err.Error(), secretWord) {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
	for _, c := range []Config{{}, {User: "ann"}, {Host: "nas"}, {User: "ann", Host: "nas", Port: -1}, {User: "ann", Host: "nas", Port: 65536}, {User: "ann", Host: "nas", Path: "a/../b"}} {
		if _, err := New(c); !errors.Is(err, ErrAddress) {
			t.Errorf("%+v: %v", c.Address(), err)
		}
	}
	for path, want := range map[string]string{"": ".", "~": ".", "~/": ".", "~/x": "x", "x/": "x", "/": "/", "/x//y/": "/x/y"} {
		d, err := New(Config{User: "ann", Host: "nas", Path: path})
		if err != nil || d.folder != want {
			t.Errorf("path %q: %v, %v", path, d, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"sftp://ann@nas/srv", "sftp://ann@[::1]:2022/~/x%FF", "sftp://a%40b@nas", "sftp://ann@nas/%7E/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		again, err := ParseAddress(a.String())
		if err != nil || again != a {
			t.Fatalf("%q: %+v, canonical %q: %+v, %v", text, a, a.String(), again, err)
		}
		d, err := New(Config{User: a.User, Host: a.Host, Port: a.Port, Path: a.Path})
		if err != nil || d.config.Address() != a {
			t.Fatalf("%q: %+v, %v", text, a, err)
		}
	})
}

// samples are one good answer of each kind, without its id.
func samples() map[string]reply {
	number := func(n int, last byte) []byte { return append(make([]byte, n-1), last) }
	text := func(s string) []byte { return appendText(nil, s) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	all := join([]byte{0x80, 0, 0, 0x0f}, number(8, 7), number(8, 1), number(4, 2), number(4, 3), number(4, 4), number(4, 1), text("a@b"), text("c"))
	return map[string]reply{
		"status":  {kind: kindStatus, body: join(number(4, codeFailure), text("why"), text("en"))},
		"handle":  {kind: kindHandle, body: text("h1")},
		"data":    {kind: kindData, body: text("bytes")},
		"attrs":   {kind: kindAttrs, body: all},
		"entries": {kind: kindName, body: join(number(4, 2), text("a"), text("-rw a"), all, text("b"), text(""), number(4, 0))},
		"room":    {kind: kindReply, body: bytes.Repeat(number(8, 9), 11)},
		"limits":  {kind: kindReply, body: bytes.Repeat(number(8, 9), 4)},
		"version": {kind: kindVersion, body: join(number(4, 3), text(extFsync), text("1"))},
	}
}

// readAs reads an answer as one of a kind; a refusal that is a proper answer is
// no error here.
func readAs(what string, r reply) error {
	var err error
	switch what {
	case "status":
		err = r.status()
	case "handle":
		_, err = r.handle()
	case "data":
		_, err = r.data(5)
	case "attrs":
		_, err = r.attrs()
	case "entries":
		_, err = r.entries()
	case "room":
		_, err = r.room()
	case "limits":
		_, _, err = r.limits()
	case "version":
		_, err = r.version()
	}
	if isRefusal(err) {
		return nil
	}
	return err
}

// TestAnswersAreWhole: each answer is taken, and every prefix, every longer one
// and every other kind is refused.
func TestAnswersAreWhole(t *testing.T) {
	for what, r := range samples() {
		if err := readAs(what, r); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for n := range len(r.body) {
			whole := what == "status" && (n == 4 || n == 4+4+3) || what == "version" && n == 4 // the texts may be left out
			if err := readAs(what, reply{kind: r.kind, body: r.body[:n]}); errors.Is(err, errProtocol) == whole {
				t.Errorf("%s: %d of %d bytes: %v", what, n, len(r.body), err)
			}
		}
		if err := readAs(what, reply{kind: r.kind, body: append(bytes.Clone(r.body), 0)}); !errors.Is(err, errProtocol) {
			t.Errorf("%s: a byte more: %v", what, err)
		}
		if err := readAs(what, reply{kind: 99, body: r.body}); !errors.Is(err, errProtocol) {
			t.Errorf("%s: of another kind: %v", what, err)
		}
		if err := readAs(what, reply{kind: kindStatus, body: make([]byte, 4)}); what != "status" && !errors.Is(err, errProtocol) {
			t.Errorf("%s: OK for an answer: %v", what, err)
		}
	}
	for what, r := range map[string]reply{
		"data":    {kind: kindData, body: appendText(nil, "longer")},
		"handle":  {kind: kindHandle, body: appendText(nil, strings.Repeat("h", maxHandle+1))},
		"entries": {kind: kindName, body: append([]byte{0xff, 0xff, 0xff, 0xff}, make([]byte, 100)...)},
		"version": {kind: kindVersion, body: []byte{0, 0, 0, 2}},
	} {
		if err := readAs(what, r); !errors.Is(err, errProtocol) {
			t.Errorf("%s that is too much: %v", what, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, r := range samples() {
		f.Add(r.kind, r.body)
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		r := reply{kind: kind, body: body}
		for what := range samples() {
			if err := readAs(what, r); err != nil && !errors.Is(err, errProtocol) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if data, err := r.data(len(body)); err == nil && len(data) == 0 {
			t.Fatal("data without a byte")
		}
		if entries, err := r.entries(); err == nil && len(entries) > len(body)/12 {
			t.Fatalf("%d entries in %d bytes", len(entries), len(body))
		}
	})
}
