package wiring

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/drive/drivetest"
)

// TestEveryKindOpens: each kind is made, kept bytes are read back, and it opens again by
// its canonical text and what it said to keep.
func TestEveryKindOpens(t *testing.T) {
	for _, s := range stands(t) {
		t.Run(s.kind, func(t *testing.T) {
			c := s.connector(t)
			p := mustOpen(t, c, s.request(true))
			if p.Kind != s.kind || p.Dest != s.canonical || (p.Dir != "") != s.dir {
				t.Errorf("opened %q, %q, %q; want %q", p.Kind, p.Dest, p.Dir, s.canonical)
			}
			data := bytes.Repeat([]byte("coffer"), 100_000)
			name := cloud.Name("pack", data)
			store := cloud.New(p.Driver, cloud.Options{Budget: -1})
			if err := store.Put(t.Context(), name, data); err != nil {
				t.Fatal(err)
			}
			r := s.request(false)
			r.Dest, r.Options = p.Dest, p.Options
			again := mustOpen(t, c, r)
			got, err := cloud.New(again.Driver, cloud.Options{Budget: -1}).Get(t.Context(), name)
			if err != nil || !bytes.Equal(got, data) || again.Dest != p.Dest {
				t.Errorf("read %d bytes at %q, %v", len(got), again.Dest, err)
			}
		})
	}
}

// TestNoPlace: what is not there is not made, unless that is wanted.
func TestNoPlace(t *testing.T) {
	for _, s := range stands(t) {
		if s.kind == kindS3 { // its bucket is there
			continue
		}
		p, err := s.connector(t).Open(t.Context(), s.request(false))
		if err == nil {
			err = list(t.Context(), p.Driver)
		}
		if !errors.Is(err, cloud.ErrNoPlace) {
			t.Errorf("%s: %v, want ErrNoPlace", s.kind, err)
		}
	}
}

// TestSecrets: without them a place says so, with wrong ones it says that; and no error
// and nothing that is printed of a place or of its connector has any of them.
func TestSecrets(t *testing.T) {
	var said []string
	tried := 0
	for _, s := range stands(t) {
		c := s.connector(t)
		p := mustOpen(t, c, s.request(true))
		err := list(t.Context(), p.Driver)
		if err != nil {
			t.Fatalf("%s: %v", s.kind, err)
		}
		said = append(said, fmt.Sprintf("%+v %#v %+v %#v %+v", p, p, p.Driver, c, c))
		if s.secret == "" {
			continue
		}
		tried++
		right := s.secrets.kept[s.secret]
		delete(s.secrets.kept, s.secret)
		p, err = c.Open(t.Context(), s.request(false))
		if err == nil { // of Drive: signing in is not Open's business
			err = list(t.Context(), p.Driver)
		}
		if !errors.Is(err, app.ErrPlaceSecret) && !errors.Is(err, cloud.ErrAuth) {
			t.Errorf("%s without %s: %v", s.kind, s.secret, err)
		}
		said = append(said, fmt.Sprint(err))
		s.secrets.kept[s.secret] = "wrong-" + secretMark
		if s.kind == kindS3 { // the fake looks at the key's name
			s.options["access-key"] = "AKIA-mallory"
		}
		p = mustOpen(t, c, s.request(false))
		err = list(t.Context(), p.Driver)
		if !errors.Is(err, cloud.ErrAuth) {
			t.Errorf("%s with a wrong %s: %v", s.kind, s.secret, err)
		}
		said = append(said, fmt.Sprint(err), fmt.Sprintf("%+v", p.Driver))
		s.secrets.kept[s.secret] = right
		s.secrets.fail = app.ErrKeyringWaiting
		p, err = c.Open(t.Context(), s.request(false))
		if err == nil {
			err = list(t.Context(), p.Driver)
		}
		if !errors.Is(err, app.ErrKeyringWaiting) {
			t.Errorf("%s while the keyring is locked: %v", s.kind, err)
		}
		said = append(said, fmt.Sprint(err))
	}
	for _, text := range said {
		if strings.Contains(text, secretMark) {
			t.Errorf("said: %.400s", text)
		}
	}
	if tried < 4 {
		t.Errorf("only %d kinds with a secret", tried)
	}
}

// TestCertificates: a server that nobody vouches for is shown, and taken by its pin.
func TestCertificates(t *testing.T) {
	for _, s := range []*stand{s3Stand(t), webdavStand(t)} {
		s.cas = nil
		c := s.connector(t)
		err := list(t.Context(), mustOpen(t, c, s.request(true)).Driver)
		var who *cloud.IdentityError
		if !errors.As(err, &who) || who.Kind != cloud.Certificate || who.Offered == "" || who.Known != "" {
			t.Fatalf("%s: %v, %+v", s.kind, err, who)
		}
		r := s.request(true)
		r.Options = map[string]string{"access-key": s3Key, "pin": who.Offered}
		if err := list(t.Context(), mustOpen(t, c, r).Driver); err != nil {
			t.Errorf("%s, pinned: %v", s.kind, err)
		}
		r.Options["pin"] = "sha256/" + base64.StdEncoding.EncodeToString(make([]byte, 32))
		if err := list(t.Context(), mustOpen(t, c, r).Driver); !errors.Is(err, cloud.ErrIdentity) {
			t.Errorf("%s, another pin: %v", s.kind, err)
		}
		r.Options["pin"] = "sha256/short"
		if _, err := c.Open(t.Context(), r); !errors.Is(err, cloud.ErrAddress) {
			t.Errorf("%s, a pin that is none: %v", s.kind, err)
		}
	}
}

// TestPlainHTTP: an address without TLS is refused, unless it is this computer's or the
// user says so.
func TestPlainHTTP(t *testing.T) {
	for _, dest := range []string{"s3:http://192.0.2.1/bucket", "webdav:http://192.0.2.1/x"} {
		s := &stand{dest: dest, secrets: secrets("secret-key", "x", "password", "x"), options: map[string]string{"access-key": "x"}}
		c := s.connector(t)
		if _, err := c.Open(t.Context(), s.request(false)); !errors.Is(err, cloud.ErrPlain) {
			t.Errorf("%s: %v", dest, err)
		}
		s.options["plain"] = "yes"
		mustOpen(t, c, s.request(false))
		s.options["plain"] = "maybe"
		if _, err := c.Open(t.Context(), s.request(false)); !errors.Is(err, cloud.ErrAddress) {
			t.Errorf("%s, maybe: %v", dest, err)
		}
	}
}

// TestHostKeys: a host that was never met is shown; what is in known_hosts is taken and
// learned; another key is an alarm.
func TestHostKeys(t *testing.T) {
	server := sftpStand(t)
	s := server.stand()
	home := t.TempDir()
	s.options, s.env = nil, map[string]string{"HOME": home}
	c := s.connector(t)
	open := func(options map[string]string) (cloud.Driver, error) {
		r := s.request(true)
		r.Options = options
		p := mustOpen(t, c, r)
		return p.Driver, list(t.Context(), p.Driver)
	}
	var who *cloud.IdentityError
	driver, err := open(nil)
	if !errors.As(err, &who) || who.Known != "" || who.Offered != server.fingerprint() {
		t.Fatalf("never met: %v, %+v", err, who)
	}
	if learned := driver.(app.Learner).Learned(); len(learned) != 0 {
		t.Errorf("learned %v of a stranger", learned)
	}
	line := knownhosts.Line([]string{knownhosts.Normalize(server.address)}, server.key.PublicKey())
	writeFile(t, filepath.Join(home, ".ssh", "known_hosts"), line+"\n")
	if driver, err = open(nil); err != nil {
		t.Fatalf("in known_hosts: %v", err)
	}
	learned := driver.(app.Learner).Learned()
	if learned["host-key"] != server.fingerprint() || len(learned) != 1 {
		t.Errorf("learned %v", learned)
	}
	if _, err = open(learned); err != nil {
		t.Errorf("by what was learned: %v", err)
	}
	other, _ := newSigner(t)
	known := ssh.FingerprintSHA256(other.PublicKey())
	if _, err = open(map[string]string{"host-key": known}); !errors.As(err, &who) || who.Known != known || who.Offered != server.fingerprint() {
		t.Errorf("another key is known: %v, %+v", err, who)
	}
	if _, err = open(map[string]string{"host-key": known + " " + server.fingerprint()}); err != nil {
		t.Errorf("one of two keys: %v", err)
	}
	unused := mustOpen(t, c, s.request(true))
	if learned := unused.Driver.(app.Learner).Learned(); learned != nil {
		t.Errorf("learned %v without a connection", learned)
	}
}

// TestSSHKeys: the agent of the session, a key in a file, one with a passphrase.
func TestSSHKeys(t *testing.T) {
	signer, private := newSigner(t)
	home := t.TempDir()
	block, err := ssh.MarshalPrivateKey(private, "ann")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(home, "plain"), string(pem.EncodeToMemory(block)))
	// Made with "ssh-keygen -a 1": a passphrase that is quick to try. Nobody's.
	locked, err := os.ReadFile(filepath.Join("testdata", "locked_key"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(home, "locked"), string(locked))
	second, err := ssh.ParsePrivateKeyWithPassphrase(locked, []byte("phrase-"+secretMark))
	if err != nil {
		t.Fatal(err)
	}
	server := sftpStand(t, signer.PublicKey(), second.PublicKey())
	for name, tt := range map[string]struct {
		file, phrase, password, agent string
		want                          error
	}{
		"agent":            {agent: serveAgent(t, private)},
		"agent is gone":    {agent: filepath.Join(home, "nobody"), want: cloud.ErrAuth},
		"file":             {file: "~/plain"},
		"locked file":      {file: filepath.Join(home, "locked"), phrase: "phrase-" + secretMark},
		"no passphrase":    {file: "~/locked", want: cloud.ErrPassphrase},
		"wrong passphrase": {file: "~/locked", phrase: "other-" + secretMark, want: cloud.ErrPassphrase},
		"no such file":     {file: "~/none", want: cloud.ErrAuth},
		"a folder":         {file: "~/", want: cloud.ErrAuth},
		"not a key":        {file: "~/nonsense", want: cloud.ErrAuth},
		"endless":          {file: "/dev/zero", want: cloud.ErrAuth},
		"nothing at all":   {want: app.ErrPlaceSecret},
	} {
		t.Run(name, func(t *testing.T) {
			s := server.stand()
			s.secrets = secrets()
			for name, value := range map[string]string{"key-passphrase": tt.phrase, "password": tt.password} {
				if value != "" {
					s.secrets.kept[name] = value
				}
			}
			s.options["key-file"] = tt.file
			s.env = map[string]string{"HOME": home, "SSH_AUTH_SOCK": tt.agent}
			writeFile(t, filepath.Join(home, "nonsense"), "-----BEGIN NONSENSE "+secretMark)
			c := s.connector(t)
			p, err := c.Open(t.Context(), s.request(true))
			if err == nil {
				if tt.file != "" && !filepath.IsAbs(p.Options["key-file"]) {
					t.Errorf("keeps %q, which another folder would not find", p.Options["key-file"])
				}
				err = list(t.Context(), p.Driver)
			}
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if strings.Contains(fmt.Sprint(err), secretMark) {
				t.Errorf("said %v", err)
			}
		})
	}
}

// TestKeysOfTheEnvironment are taken for S3 when no others were given, and not kept.
func TestKeysOfTheEnvironment(t *testing.T) {
	s := s3Stand(t)
	s.options, s.secrets = nil, secrets()
	if _, err := s.connector(t).Open(t.Context(), s.request(false)); !errors.Is(err, app.ErrPlaceSecret) {
		t.Errorf("no keys anywhere: %v", err)
	}
	s.env = map[string]string{"AWS_ACCESS_KEY_ID": s3Key, "AWS_SECRET_ACCESS_KEY": "env-" + secretMark, "AWS_SESSION_TOKEN": "session-" + secretMark, "AWS_REGION": "us-east-1"}
	c := s.connector(t)
	p := mustOpen(t, c, s.request(false))
	if err := list(t.Context(), p.Driver); err != nil {
		t.Error(err)
	}
	if s.secrets.sets != 0 || strings.Contains(fmt.Sprint(p), s3Key) {
		t.Errorf("kept: %+v", p)
	}
	for _, k := range c.Kinds() {
		if k.Scheme == kindS3 && !k.Fields[1].Optional {
			t.Error("a form would ask for keys that are there")
		}
	}
	s.options = map[string]string{"access-key": s3Key} // half of a pair, and not the environment's
	if _, err := c.Open(t.Context(), s.request(false)); !errors.Is(err, app.ErrPlaceSecret) {
		t.Errorf("one key of two: %v", err)
	}
}

func TestLockDays(t *testing.T) {
	for text, want := range map[string]int{"": 0, "1": 1, "365": 365, "-1": -1, "01": -1, "x": -1, "1.5": -1, "99999": -1, "3 days": -1} {
		if n, err := lockDays(text); (err != nil) != (want < 0) || err == nil && n != want {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}

func TestKinds(t *testing.T) {
	c := (&stand{}).connector(t)
	var found []string
	for _, k := range c.Kinds() {
		names := k.Scheme
		for _, f := range k.Fields {
			names += " " + f.Name
			if f.Optional {
				names += "?"
			}
			if secret := slices.Contains([]string{"password", "secret-key", "key-passphrase", "client", "token"}, f.Name); f.Secret != secret {
				t.Errorf("%s: %s is a secret: %v", k.Scheme, f.Name, f.Secret)
			}
		}
		found = append(found, names)
	}
	want := []string{
		"folder address", "drive folder? client token?", "icloud folder?",
		"s3 address access-key secret-key region? lock-days? pin? plain?", "webdav address user? password? pin? plain?",
		"sftp address password? key-file? key-passphrase? host-key?", "rclone remote config-file?",
	}
	if !slices.Equal(found, want) {
		t.Errorf("kinds:\n%s\nwant:\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
}

// TestDriveClient: one's own counts; without it the build's; without that there is none.
func TestDriveClient(t *testing.T) {
	f := drivetest.New(t)
	s := driveStand(t, f)
	c := s.connector(t)
	if c.noClient() != "no-client" {
		t.Error("this build has a client")
	}
	own := s.secrets.kept["client"]
	delete(s.secrets.kept, "client")
	if _, err := c.Open(t.Context(), s.request(true)); !errors.Is(err, cloud.ErrClient) {
		t.Errorf("no client: %v", err)
	}
	s.secrets.kept["client"] = strings.Replace(own, "installed", "web", 1)
	if _, err := c.Open(t.Context(), s.request(true)); !errors.Is(err, cloud.ErrClient) || strings.Contains(err.Error(), secretMark) {
		t.Errorf("a web client: %v", err)
	}
	delete(s.secrets.kept, "client")
	c.client = drivetest.ClientID + ":" + drivetest.ClientSecret
	client, err := c.driveClientOf(t.Context(), s.request(true))
	if err != nil || client.ID != drivetest.ClientID || c.noClient() != "" {
		t.Errorf("the build's: %v, %v", client.ID, err)
	}
	for _, k := range c.Kinds() {
		if k.Scheme == kindDrive && !k.Fields[1].Optional {
			t.Error("a form would ask for a client that is there")
		}
	}
}

// browser is one whose user agrees to all.
func browser(t *testing.T, f *drivetest.Fake) func(string) error {
	return func(address string) error {
		back, err := f.Consent(address)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, back, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
}

func TestDriveSignIn(t *testing.T) {
	f := drivetest.New(t)
	s := driveStand(t, f)
	delete(s.secrets.kept, "token")
	c := s.connector(t)
	p, err := c.SignIn(t.Context(), s.request(true), browser(t, f))
	if err != nil {
		t.Fatal(err)
	}
	if err := list(t.Context(), p.Driver); err != nil {
		t.Fatal(err)
	}
	alice := drivetest.Alice()
	if p.Dest != s.canonical || p.Options[app.OptionAccount] != alice.Email || p.Options[app.OptionAccountID] != alice.ID {
		t.Errorf("signed in to %q: %v", p.Dest, p.Options)
	}
	token := s.secrets.get("token")
	if token == "" {
		t.Fatal("the sign-in was not kept")
	}

	// Somebody else at the browser changes nothing.
	f.NextSignIn(drivetest.Bob())
	r := s.request(false)
	r.Options = p.Options
	if _, err := c.SignIn(t.Context(), r, browser(t, f)); !errors.Is(err, cloud.ErrAccount) {
		t.Errorf("another account: %v", err)
	}
	if s.secrets.get("token") != token {
		t.Error("its sign-in was kept")
	}
	f.NextSignIn(alice)

	// A sign-in that has ended is renewed.
	f.RevokeAll()
	if err := list(t.Context(), mustOpen(t, c, r).Driver); !errors.Is(err, cloud.ErrAuth) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := c.SignIn(t.Context(), r, browser(t, f)); err != nil {
		t.Fatal(err)
	}
	if err := list(t.Context(), mustOpen(t, c, r).Driver); err != nil {
		t.Error(err)
	}

	// A keyring that takes nothing: no sign-in.
	s.secrets.fail = app.ErrNoKeyring
	if _, err := c.SignIn(t.Context(), r, browser(t, f)); !errors.Is(err, app.ErrNoKeyring) {
		t.Errorf("not kept: %v", err)
	}
	s.secrets.fail = nil

	for range 2 { // twice is no error
		if err := c.SignOut(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if s.secrets.get("token") != "" {
			t.Error("the sign-in is still here")
		}
	}
	if err := list(t.Context(), mustOpen(t, c, r).Driver); !errors.Is(err, cloud.ErrAuth) {
		t.Errorf("signed out: %v", err)
	}
}

// TestDriveLearnsItsAccount where only a token was given, and is held to it.
func TestDriveLearnsItsAccount(t *testing.T) {
	f := drivetest.New(t)
	s := driveStand(t, f)
	c := s.connector(t)
	s.secrets.kept["token"] = `{"refresh_token":"` + strings.TrimSpace(s.secrets.kept["token"]) + `"}` // a file of another program
	p := mustOpen(t, c, s.request(true))
	learner := p.Driver.(app.Learner)
	if learned := learner.Learned(); learned != nil {
		t.Errorf("learned %v from nobody", learned)
	}
	if err := list(t.Context(), p.Driver); err != nil {
		t.Fatal(err)
	}
	learned := learner.Learned()
	if learned[app.OptionAccount] != drivetest.Alice().Email || learned[app.OptionAccountID] != drivetest.Alice().ID {
		t.Errorf("learned %v", learned)
	}
	if s.secrets.sets != 0 {
		t.Error("the same token was written again")
	}
	r := s.request(false)
	r.Options = learned
	s.secrets.kept["token"] = f.SignedIn(drivetest.Bob())
	if err := list(t.Context(), mustOpen(t, c, r).Driver); !errors.Is(err, cloud.ErrAccount) {
		t.Errorf("Bob's token: %v", err)
	}
}

func TestDriveFolderOutOfTheTrash(t *testing.T) {
	f := drivetest.New(t)
	s := driveStand(t, f)
	s.dest = "drive:My folder"
	c := s.connector(t)
	if err := list(t.Context(), mustOpen(t, c, s.request(true)).Driver); err != nil {
		t.Fatal(err)
	}
	f.Trash(f.Named("My folder")[0].ID, true)
	if err := list(t.Context(), mustOpen(t, c, s.request(true)).Driver); !errors.Is(err, cloud.ErrTrashed) {
		t.Errorf("in the trash: %v", err)
	}
	if n, err := c.RestoreFolder(t.Context(), s.request(false)); n != 1 || err != nil {
		t.Errorf("restored %d, %v", n, err)
	}
	if err := list(t.Context(), mustOpen(t, c, s.request(false)).Driver); err != nil {
		t.Error(err)
	}
}

// TestOnlyDriveHasThese: a sign-in, and a trash.
func TestOnlyDriveHasThese(t *testing.T) {
	for _, dest := range []string{t.TempDir(), "s3:https://h.example/bucket", "sftp://a@h/x", "icloud:", "rclone:x:"} {
		s := &stand{dest: dest, secrets: secrets()}
		c := s.connector(t)
		_, err := c.SignIn(t.Context(), s.request(false), nil)
		out := c.SignOut(t.Context(), s.request(false))
		_, restore := c.RestoreFolder(t.Context(), s.request(false))
		for _, err := range []error{err, out, restore} {
			if !errors.Is(err, cloud.ErrUnsupported) {
				t.Errorf("%s: %v", dest, err)
			}
		}
	}
	c := (&stand{}).connector(t)
	r := app.PlaceRequest{Dest: "sftp://ann:" + secretMark + "@h/x", Secrets: secrets()}
	_, in := c.SignIn(t.Context(), r, nil)
	_, restore := c.RestoreFolder(t.Context(), r)
	for _, err := range []error{in, c.SignOut(t.Context(), r), restore} {
		if !errors.Is(err, cloud.ErrAddress) || strings.Contains(err.Error(), secretMark) {
			t.Errorf("a password in the destination: %v", err)
		}
	}
}

func TestCancelledOpen(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, s := range stands(t) {
		if _, err := s.connector(t).Open(ctx, s.request(true)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", s.kind, err)
		}
	}
}

func TestNetworkSettings(t *testing.T) {
	c := (&stand{}).connector(t)
	for name, s := range map[string]app.NetworkSettings{
		"proxy": {Proxy: "ftp://ann:" + secretMark + "@proxy"}, "certificates": {CAs: []byte("none")}, "limit": {Up: -1},
	} {
		if err := c.Network(s); err == nil || strings.Contains(err.Error(), secretMark) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Network(app.NetworkSettings{Up: 100_000, Down: 1 << 20, Proxy: "direct"}); err != nil {
		t.Error(err)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestMetered: where nobody can say, it is not known.
func TestMetered(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a system bus")
	}
	c := (&stand{env: map[string]string{"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=" + filepath.Join(t.TempDir(), "none")}}).connector(t)
	if costs, known := c.Metered(t.Context()); costs || known {
		t.Errorf("metered %v, known %v", costs, known)
	}
}
