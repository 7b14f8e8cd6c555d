package drive

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"coffer/cloud"
)

const goodClient = `{"installed":{"client_id":"123-abc.apps.googleusercontent.com","project_id":"p","auth_uri":"https://accounts.google.com/o/oauth2/auth","token_uri":"https://oauth2.googleapis.com/token","auth_provider_x509_cert_url":"https://www.googleapis.com/oauth2/v1/certs","client_secret":"GOCSPX-x","redirect_uris":["http://localhost"]}}`

func TestParseClient(t *testing.T) {
	c, err := ParseClient([]byte(goodClient))
	if err != nil || c.ID != "123-abc.apps.googleusercontent.com" || c.secret.reveal() != "GOCSPX-x" || c.TokenURL != googleToken {
		t.Fatalf("%+v, %v", c, err)
	}
	if u, err := c.revokeURL(); err != nil || u != googleRevoke {
		t.Fatalf("revoke at %s, %v", u, err)
	}
	c.TokenURL = "http://127.0.0.1:9000/oauth/token"
	if u, err := c.revokeURL(); err != nil || u != "http://127.0.0.1:9000/oauth/revoke" {
		t.Fatalf("revoke at %s, %v", u, err)
	}
	for i := range len(goodClient) {
		if _, err := ParseClient([]byte(goodClient[:i])); !errors.Is(err, cloud.ErrClient) {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
	}
	for _, change := range [][2]string{
		{`"installed"`, `"web"`},
		{`"installed"`, `"Installed"`},
		{`{"installed"`, `{"type":"x","installed"`},
		{`"client_id":"123-abc.apps.googleusercontent.com"`, `"client_id":""`},
		{`"client_id"`, `"Client_ID"`},
		{`"client_id"`, `"client_id":"1","client_id"`},
		{"123-abc", "123 abc"},
		{`"GOCSPX-x"`, `7`},
		{`"GOCSPX-x"`, `"\n"`},
		{"https://oauth2", "http://oauth2"},
		{"https://oauth2", "https://user:pw@oauth2"},
		{"https://oauth2", "file://oauth2"},
		{"https://accounts", "javascript:accounts"},
		{`}}`, `}}x`},
		{`}}`, `}}{}`},
	} {
		text := strings.Replace(goodClient, change[0], change[1], 1)
		if text == goodClient {
			t.Fatalf("%s changes nothing", change[0])
		}
		if _, err := ParseClient([]byte(text)); !errors.Is(err, cloud.ErrClient) || strings.Contains(err.Error(), "GOCSPX") {
			t.Errorf("%s -> %s: %v", change[0], change[1], err)
		}
	}
	if _, err := ParseClient(append([]byte(goodClient), bytes.Repeat([]byte(" "), maxClient)...)); err == nil {
		t.Error("a file without an end was taken")
	}
}

func FuzzParseClient(f *testing.F) {
	f.Add([]byte(goodClient))
	f.Add([]byte(`{"installed":{}}`))
	f.Add([]byte(`{"web":{"client_id":"x"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseClient(data)
		if err != nil {
			if c.ID != "" || !errors.Is(err, cloud.ErrClient) {
				t.Fatalf("%+v with %v", c, err)
			}
			return
		}
		if err := c.check(); err != nil || !json.Valid(data) {
			t.Fatalf("took what it refuses: %v", err)
		}
	})
}

const goodTicket = `{"folder":"f1","id":"id_1-A","name":"README.txt","sha256":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","size":"300000","uri":"https://www.googleapis.com/upload/drive/v3/files?uploadType=resumable&upload_id=x"}`

func TestParseTicket(t *testing.T) {
	want, err := parseTicket([]byte(goodTicket))
	if err != nil || want.Size != 300000 || want.ID != "id_1-A" {
		t.Fatalf("%v", err)
	}
	for i := range len(goodTicket) {
		if _, err := parseTicket([]byte(goodTicket[:i])); err == nil {
			t.Fatalf("the first %d bytes were taken", i)
		}
		for _, change := range []byte{1, 0x20, 0x80} {
			data := []byte(goodTicket)
			data[i] ^= change
			got, err := parseTicket(data)
			if err == nil && got == want {
				t.Fatalf("byte %d changed, and nothing is different", i)
			}
		}
	}
	if s := want.String() + want.GoString(); strings.Contains(s, "upload_id") {
		t.Error(s)
	}
	for _, size := range []string{"-1", "+1", "01", "1.0", "", "9223372036854775808", "1e3"} {
		if _, err := parseTicket([]byte(strings.Replace(goodTicket, "300000", size, 1))); err == nil {
			t.Errorf("size %q was taken", size)
		}
	}
}

func FuzzParseTicket(f *testing.F) {
	f.Add([]byte(goodTicket))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ticket, err := parseTicket(data)
		if err == nil && (!cloud.ValidName(ticket.Name) || !validID(ticket.ID) || !validID(ticket.Folder) || ticket.Size < 0 || len(ticket.SHA256) != 64) {
			t.Fatalf("took %+v", ticket)
		}
	})
}

func TestKeptBytes(t *testing.T) {
	for header, want := range map[string]int64{
		"": 0, "bytes=0-0": 1, "bytes=0-262143": 262144, "0-99": 100,
		"bytes=1-5": -1, "bytes=0-": -1, "bytes=0--1": -1, "bytes=0-01": -1, "bytes=0-+1": -1, "bytes 0-5": -1,
		"bytes=0-9223372036854775807": -1, "bytes=0-9223372036854775808": -1, "bytes=0-5,7-9": -1, " bytes=0-5": -1, "bytes=bytes=0-5": -1,
	} {
		got, err := keptBytes(header)
		if (err == nil) != (want >= 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", header, got, err)
		}
	}
}

func FuzzKeptBytes(f *testing.F) {
	for _, seed := range []string{"", "bytes=0-262143", "0-1", "bytes=0-18446744073709551615"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if n, err := keptBytes(header); err == nil && (n < 0 || n == 0 && header != "") {
			t.Fatalf("%q: %d", header, n)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add([]byte("1//abc\n"))
	f.Add([]byte(`{"refresh_token":"1//abc"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		token, err := ParseToken(data)
		if (err == nil) != printable(token.Refresh(), maxToken) {
			t.Fatalf("%q, %v", token.Refresh(), err)
		}
	})
}

func TestQuotaDay(t *testing.T) {
	for now, want := range map[string]string{
		"2026-11-01T07:59:00Z": "2026-11-01T08:00:00Z",
		"2026-11-01T08:00:00Z": "2026-11-02T08:00:00Z",
		"2026-11-01T23:00:00Z": "2026-11-02T08:00:00Z",
	} {
		if got := quotaDay(created(now)); !got.Equal(created(want)) {
			t.Errorf("%s: %v", now, got)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for address, want := range map[string][2]string{
		"":                                {"https://www.googleapis.com/drive/v3/", "https://www.googleapis.com/upload/drive/v3/files"},
		"http://127.0.0.1:9000/drive/v3/": {"http://127.0.0.1:9000/drive/v3/", "http://127.0.0.1:9000/upload/drive/v3/files"},
		"http://127.0.0.1:9000/drive/v3":  {"http://127.0.0.1:9000/drive/v3/", "http://127.0.0.1:9000/upload/drive/v3/files"},
		"http://localhost:9000":           {"http://localhost:9000/drive/v3/", "http://localhost:9000/upload/drive/v3/files"},
		"https://stand.example/x/y/":      {"https://stand.example/x/y/", "https://stand.example/upload/drive/v3/files"},
		"http://stand.example/":           {}, "ftp://127.0.0.1/": {}, "127.0.0.1:9000": {}, "https://a b/": {}, "https://u:p@h/": {}, "https://h/#x": {},
	} {
		base, upload, err := endpoint(address)
		if got := [2]string{base, upload}; got != want || (err == nil) != (want[0] != "") {
			t.Errorf("%q: %v, %v", address, got, err)
		}
	}
}
