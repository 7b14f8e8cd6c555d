package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A connector reaches places that need more than their text.
type connector interface {
	PlaceKinds() []app.PlaceKind
	Connect(ctx context.Context, c app.Connection) (app.PlaceInfo, error)
	SignIn(ctx context.Context, c app.Connection, browser func(address string) error) (app.PlaceInfo, error)
}

// connectFlags are what a place can want to know beside its text. Those that end in -file
// name files with secrets, which no argument ever holds.
type connectFlags struct {
	values map[string]*string // by the name of the app.PlaceField
	plain  bool
}

// A connectFlag belongs to one app.PlaceField.
type connectFlag struct {
	field, flag, usage string
}

// connectFlagList is in the order of the help.
var connectFlagList = []connectFlag{
	{"client", "drive-client", "Google Drive: `FILE` with your own client, the JSON of Google's console"},
	{"token", "drive-token-file", "Google Drive: `FILE` with a refresh token, instead of a browser"},
	{"access-key", "access-key", "S3: the `ID` of the access key"},
	{"secret-key", "secret-key-file", "S3: `FILE` with the secret key (- is standard input)"},
	{"region", "region", "S3: the `REGION` of the bucket"},
	{"lock-days", "lock-days", "S3: lock what is stored for `DAYS` days, against everybody"},
	{"user", "user", "WebDAV: the `NAME` to sign in with"},
	{"password", "place-password-file", "WebDAV, SFTP: `FILE` with the password of the place (- is standard input)"},
	{"key-file", "ssh-key", "SFTP: `FILE` with the private key"},
	{"key-passphrase", "ssh-passphrase-file", "SFTP: `FILE` with the passphrase of that key (- is standard input)"},
	{"host-key", "host-key", "SFTP: the `FINGERPRINT` of the server's key, SHA256:..."},
	{"config-file", "rclone-config", "rclone: its configuration `FILE`, if not the usual one"},
	{"pin", "pin", "the `PIN` of the server's certificate, sha256/..., and no other"},
}

const plainFlag = "allow-plain"

// add gives cmd the flags.
func (c *connectFlags) add(cmd *cobra.Command) {
	c.values = map[string]*string{}
	f := cmd.Flags()
	for _, flag := range connectFlagList {
		c.values[flag.field] = f.String(flag.flag, "", flag.usage)
	}
	f.BoolVar(&c.plain, plainFlag, false, "also take http://, where others on the network can watch")
}

// given reports whether any of the flags was used.
func (c *connectFlags) given() bool {
	for _, value := range c.values {
		if *value != "" {
			return true
		}
	}
	return c.plain
}

// kindOf returns the kind of place that a text names; a path is a folder. What one letter
// begins is a drive of Windows.
func kindOf(kinds []app.PlaceKind, dest string) app.PlaceKind {
	scheme, _, found := strings.Cut(dest, ":")
	for _, kind := range kinds {
		if found && len(scheme) > 1 && strings.EqualFold(kind.Scheme, scheme) {
			return kind
		}
	}
	for _, kind := range kinds {
		if kind.Scheme == "folder" {
			return kind
		}
	}
	return app.PlaceKind{Scheme: "folder"}
}

// connection reads what the flags name into a connection of that kind.
func (c *connectFlags) connection(p *program, kind app.PlaceKind, dest string) (conn app.Connection, err error) {
	conn = app.Connection{Dest: dest, Options: map[string]string{}, Secrets: map[string]app.Secret{}}
	defer func() {
		if err != nil {
			wipeAll(conn.Secrets)
		}
	}()
	for _, flag := range connectFlagList {
		value := *c.values[flag.field]
		if value == "" {
			continue
		}
		field, ok := fieldOf(kind, flag.field)
		if !ok {
			return conn, usage("--"+flag.flag+" does not belong to a place of the kind "+kind.Scheme+".", "'coffer help places' lists what each kind takes.")
		}
		if err := c.take(p, &conn, field, value); err != nil {
			return conn, err
		}
	}
	if c.plain {
		conn.Options["plain"] = "yes"
	}
	return conn, nil
}

// take puts one value where it belongs.
func (c *connectFlags) take(p *program, conn *app.Connection, field app.PlaceField, value string) error {
	switch {
	case field.Name == "lock-days":
		if n, err := strconv.Atoi(value); err != nil || n < 1 {
			return usage("The value of --lock-days is not a number of days.", "Write it like --lock-days 30.")
		}
	case field.Secret:
		secret, err := p.readSecretFile(value)
		if err != nil {
			return err
		}
		conn.Secrets[field.Name] = secret
		return nil
	case field.File:
		abs, err := filepath.Abs(value) // later commands run in other folders
		if err != nil {
			return fmt.Errorf("find working folder: %w", err)
		}
		value = abs
	}
	conn.Options[field.Name] = value
	return nil
}

func fieldOf(kind app.PlaceKind, name string) (app.PlaceField, bool) {
	for _, f := range kind.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return app.PlaceField{}, false
}

func wipeAll(secrets map[string]app.Secret) {
	for _, s := range secrets {
		s.Wipe()
	}
}

// connect makes sure that the profile knows how to reach a place, and asks on the terminal
// for what is missing. A folder needs nothing: its text is returned as it is.
func (p *program) connect(ctx context.Context, a connector, f *connectFlags, dest string) (string, error) {
	kind := kindOf(a.PlaceKinds(), dest)
	if kind.Scheme == "folder" && !f.given() {
		return dest, nil
	}
	conn, err := f.connection(p, kind, dest)
	if err != nil {
		return "", err
	}
	defer wipeAll(conn.Secrets)
	info, err := p.reach(kind, conn, func(c app.Connection) (app.PlaceInfo, error) {
		if _, token := c.Secrets["token"]; kind.SignIn && !token {
			return a.SignIn(ctx, c, p.browser)
		}
		return a.Connect(ctx, c)
	})
	if err != nil {
		return "", err
	}
	return info.Dest, nil
}

// reach tries to reach a place, until it answers or nobody knows more. What open takes is
// a copy.
func (p *program) reach(kind app.PlaceKind, conn app.Connection, open func(app.Connection) (app.PlaceInfo, error)) (app.PlaceInfo, error) {
	if err := p.askMissing(kind, conn); err != nil {
		return app.PlaceInfo{}, err
	}
	for asked := map[app.Code]bool{}; ; {
		info, err := open(cloneConnection(conn))
		f := app.Explain(err)
		if err == nil || asked[f.Code] || !p.interactive() {
			return info, err
		}
		asked[f.Code] = true
		again, askErr := p.askFor(kind, conn, f)
		if askErr != nil {
			return info, askErr
		}
		if !again {
			return info, err
		}
	}
}

func cloneConnection(c app.Connection) app.Connection {
	c.Options = maps.Clone(c.Options)
	secrets := map[string]app.Secret{}
	for name, s := range c.Secrets {
		secrets[name] = s.Clone()
	}
	c.Secrets = secrets
	return c
}

// fieldNames are what the fields are called in a question.
var fieldNames = map[string]string{
	"access-key": "ID of the access key", "secret-key": "Secret key", "password": "Password of the place",
	"key-passphrase": "Passphrase of the private key", "client": "Google client", "token": "Token",
}

// askMissing asks for what the kind cannot do without. What comes in files is not asked
// for: nobody types a client of Google's.
func (p *program) askMissing(kind app.PlaceKind, conn app.Connection) error {
	for _, f := range kind.Fields {
		name, known := fieldNames[f.Name]
		_, secret := conn.Secrets[f.Name]
		if f.Optional || f.File || secret || !known || conn.Options[f.Name] != "" || !p.interactive() {
			continue
		}
		if f.Secret {
			s, err := p.askSecret(name + ":")
			if err != nil {
				return err
			}
			conn.Secrets[f.Name] = s
			continue
		}
		line, err := p.askLine(name + ":")
		if err != nil {
			return err
		}
		conn.Options[f.Name] = line
	}
	return nil
}

// askFor asks for what a place wants after all, and reports whether it is worth another try.
func (p *program) askFor(kind app.PlaceKind, conn app.Connection, f app.Failure) (bool, error) {
	want := ""
	switch f.Code {
	case app.CodePlaceNewHost:
		return p.askHostKey(conn, f)
	case app.CodePlaceSignIn, app.CodePlaceSecret:
		want = "password"
	case app.CodePlaceKeyPassphrase:
		want = "key-passphrase"
	}
	if _, ok := fieldOf(kind, want); !ok {
		return false, nil
	}
	if _, given := conn.Secrets[want]; given && f.Code != app.CodePlaceKeyPassphrase {
		return false, nil // it was wrong: a file or a person must look again
	}
	s, err := p.askSecret(fieldNames[want] + ":")
	if err != nil {
		return false, err
	}
	conn.Secrets[want] = s
	return true, nil
}

// askHostKey shows the key of a server that was never met. Only the word itself counts as
// yes: a finger on Enter must not trust a stranger.
func (p *program) askHostKey(conn app.Connection, f app.Failure) (bool, error) {
	p.console.warn("The server %s is not known yet. Its key is\n\n  %s\n\nCompare it with what whoever runs the server tells you.", printable(f.Args["host"]), printable(f.Args["offered"]))
	line, err := p.askLine("Is it the same? Type yes to go on:")
	if err != nil {
		return false, err
	}
	if line != "yes" {
		return false, &commandError{code: app.CodeCanceled, says: "Stopped before anything was sent."}
	}
	conn.Options["host-key"] = f.Args["offered"]
	return true, nil
}

// browser shows the address of a sign-in. It is opened on the computer that runs this
// command, because the answer comes back to it.
func (p *program) browser(address string) error {
	if p.console.json {
		return p.console.record("sign-in", struct {
			Address string `json:"address"`
		}{address})
	}
	p.console.warn("Open this address in a browser on this computer, and allow access:\n\n%s\n\nWaiting for five minutes. Ctrl-C stops.", printable(address))
	return nil
}

// errNotBoth says that standard input is one secret only.
var errNotBoth = errors.New("coffer: standard input for two secrets")

// oneStdin refuses two flags that both read standard input.
func (c *connectFlags) oneStdin(others ...string) error {
	n := 0
	for _, flag := range connectFlagList {
		if *c.values[flag.field] == "-" {
			n++
		}
	}
	for _, other := range others {
		if other == "-" {
			n++
		}
	}
	if n > 1 {
		return &commandError{
			code: app.CodeUsage, err: errNotBoth,
			says: "Standard input can hold one secret only.", advice: "Give the others as files.",
		}
	}
	return nil
}
