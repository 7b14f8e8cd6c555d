package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coffer/app"
)

// connected remembers what the commands connect.
type connected struct {
	fakeProfile
	conn   app.Connection
	signed bool
}

func (c *connected) PlaceKinds() []app.PlaceKind {
	return []app.PlaceKind{
		{Scheme: "folder", Fields: []app.PlaceField{{Name: "address"}}},
		{Scheme: "drive", SignIn: true, Fields: []app.PlaceField{{Name: "client", Secret: true, File: true}, {Name: "token", Secret: true, File: true, Optional: true}}},
		{Scheme: "s3", Fields: []app.PlaceField{{Name: "address"}, {Name: "access-key"}, {Name: "secret-key", Secret: true}, {Name: "lock-days", Optional: true}}},
		{Scheme: "sftp", Fields: []app.PlaceField{{Name: "address"}, {Name: "key-file", File: true, Optional: true}, {Name: "password", Secret: true, Optional: true}, {Name: "host-key", Optional: true}}},
	}
}

func (c *connected) Connect(_ context.Context, conn app.Connection) (app.PlaceInfo, error) {
	c.conn = conn
	return app.PlaceInfo{Dest: "canonical"}, c.err
}

func (c *connected) SignIn(ctx context.Context, conn app.Connection, browser func(string) error) (app.PlaceInfo, error) {
	c.signed = true
	if err := browser("https://sign.in/"); err != nil {
		return app.PlaceInfo{}, err
	}
	return c.Connect(ctx, conn)
}

func (c *connected) secret(name string) (text string) {
	c.conn.Secrets[name].Expose(func(b []byte) { text = string(b) })
	return text
}

func TestFlagsBecomeAConnection(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	client, secret := file("client.json", `{"installed":{}}`), file("secret", "s3cr3t")
	for name, tt := range map[string]struct {
		args   []string
		status int
		says   string
		check  func(c *connected) bool
	}{
		"a folder needs nothing": {[]string{"--to", "a/b"}, exitDone, "", func(c *connected) bool { return c.conn.Dest == "" && c.setupOptions.To == "a/b" }},
		"S3": {[]string{"--to", "s3:https://h/b", "--access-key", "ID", "--secret-key-file", secret, "--lock-days", "30"}, exitDone, "", func(c *connected) bool {
			return c.setupOptions.To == "canonical" && c.conn.Options["access-key"] == "ID" && c.conn.Options["lock-days"] == "30" && c.secret("secret-key") == "s3cr3t"
		}},
		"Drive with a browser": {[]string{"--to", "drive:", "--drive-client", client}, exitDone, "https://sign.in/", func(c *connected) bool { return c.signed && strings.HasPrefix(c.secret("client"), "{") }},
		"Drive with a token":   {[]string{"--to", "DRIVE:x", "--drive-client", client, "--drive-token-file", secret}, exitDone, "", func(c *connected) bool { return !c.signed && c.secret("token") == "s3cr3t" }},
		"SFTP with a key": {[]string{"--to", "sftp://a@h/x", "--ssh-key", "relative", "--host-key", "SHA256:x", "--allow-plain"}, exitDone, "", func(c *connected) bool {
			return filepath.IsAbs(c.conn.Options["key-file"]) && c.conn.Options["host-key"] == "SHA256:x" && c.conn.Options["plain"] == "yes"
		}},
		"a flag of another kind": {[]string{"--to", "sftp://a@h/x", "--region", "x"}, exitUsage, "--region does not belong", nil},
		"no number":              {[]string{"--to", "s3:https://h/b", "--lock-days", "many"}, exitUsage, "not a number of days", nil},
		"no such file":           {[]string{"--to", "s3:https://h/b", "--secret-key-file", dir + "/none"}, exitUsage, "no such file", nil},
		"two of one stdin":       {[]string{"--to", "s3:https://h/b", "--secret-key-file", "-", "--password-file", "-"}, exitUsage, "one secret only", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := &connected{}
			args := append([]string{"setup", "--password-file", secret}, tt.args...)
			if name == "two of one stdin" {
				args = append([]string{"setup"}, tt.args...)
			}
			r := runFake(t, c, args...)
			if r.status != tt.status || !strings.Contains(r.out+r.err, tt.says) {
				t.Errorf("status %d: %s%s", r.status, r.out, r.err)
			}
			if tt.check != nil && !tt.check(c) {
				t.Errorf("%+v, set up with %q", c.conn, c.setupOptions.To)
			}
			if strings.Contains(r.out+r.err, "s3cr3t") {
				t.Error("a secret is shown")
			}
		})
	}
}
