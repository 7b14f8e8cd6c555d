package node

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/trust"
)

// The whole way: init, serve, a client that knows nothing but the link, wrong and right
// passwords, the next start.
func TestAVaultServes(t *testing.T) {
	dir, m := made(t, nil)
	s := serve(t, dir, Options{})
	c := dial(t, m.Link, vault.RemoteOptions{})
	slot, root := enroll(t, c)
	if _, _, err := c.Open(t.Context(), slot, secret("wrong")); !errors.Is(err, vault.ErrWrongPassword) {
		t.Fatalf("wrong password: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if folder(dir).has(socketName) {
		t.Error("the socket is still there")
	}
	s = serve(t, dir, Options{})
	status, err := c.Status(t.Context(), slot)
	if err != nil || status.Left != 9 {
		t.Fatalf("after a restart: %d left, %v", status.Left, err)
	}
	mustOpen(t, c, slot, root)
	if got := mustStatus(t, dir); !got.Running || !got.Ready || got.Rows != 1 || got.Link != m.Link || len(got.Warnings) > 0 ||
		got.Sealer.Hardware || got.Sealer.CountedBy != CountedByProgram {
		t.Errorf("status: %+v", got)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.log.String(), "127.0.0.1") && strings.Contains(s.log.String(), `"address"`) {
		t.Error("the log names addresses")
	}
}

// Clients with the bundle from before, and with envelopes sealed to its key, go on.
func TestRotateWhileClientsTalk(t *testing.T) {
	dir, m := made(t, nil)
	serve(t, dir, Options{})
	c := dial(t, m.Link, vault.RemoteOptions{})
	slot, root := enroll(t, c)
	for range 3 {
		withAccess(t, dir, func(a *Access) {
			if r, err := a.Rotate(t.Context()); err != nil || !r.Installed {
				t.Fatalf("rotate: %+v, %v", r, err)
			}
		})
		if _, err := VerifyBundle(t.Context(), m.Link, nil, time.Now()); err != nil {
			t.Fatalf("verify after rotation: %v", err)
		}
	}
	pin := slot.Pin()
	mustOpen(t, dial(t, m.Link, vault.RemoteOptions{Pin: &pin}), slot, root)
	mustOpen(t, c, slot, root)
}

func unpack(t *testing.T, path string) (dir string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatalf("mode of the backup: %v, %v", info.Mode(), err)
	}
	dir = shortDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files := 0
	for r := tar.NewReader(f); ; files++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || h.Mode != 0o600 || strings.ContainsAny(h.Name, `/\`) {
			t.Fatalf("%s: mode %o, %v", h.Name, h.Mode, err)
		}
		if err := os.WriteFile(filepath.Join(dir, h.Name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if files < 5 {
		t.Fatalf("only %d files", files)
	}
	return dir
}

// A backup that was made while the vault ran is a vault, and its users are told that it is
// a copy: tries have come back.
func TestBackupAndRestore(t *testing.T) {
	dir, root, m := moved(t, nil)
	s := serve(t, dir, Options{})
	c := dial(t, m.Link, vault.RemoteOptions{})
	slot, key := enroll(t, c)
	file := filepath.Join(t.TempDir(), "backup.tar")
	withAccess(t, dir, func(a *Access) {
		if err := a.Backup(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		if err := a.Backup(t.Context(), file); !errors.Is(err, ErrFileExists) {
			t.Fatalf("a backup is not overwritten: %v", err)
		}
	})
	// One that does not come to its end says why.
	if err := os.Rename(filepath.Join(dir, configName), filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	r, err := dialAdmin(t.Context(), folder(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.backup(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), configName) {
		t.Errorf("without %s: %v", configName, err)
	}
	r.close()
	if err := os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, configName)); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	copied := unpack(t, file)
	if folder(copied).has(rootName) {
		t.Fatal("the root is in the backup")
	}
	if err := opened(t, copied, 0); !errors.Is(err, ErrNotSigned) || !strings.Contains(err.Error(), "incarnation") {
		t.Fatalf("a copy is not served in silence: %v", err)
	}
	withAccess(t, copied, func(a *Access) {
		r, err := a.Renew(t.Context())
		if err != nil || r.Sequence != 1+1+copyAdvance {
			t.Fatalf("renew: %+v, %v", r, err)
		}
		signed, says, err := SignBundle(root, "", r.Text)
		if err != nil || says.Incarnation != 1 {
			t.Fatalf("sign: %+v, %v", says, err)
		}
		if _, err := a.Install(t.Context(), signed); err != nil {
			t.Fatal(err)
		}
	})
	if folder(copied).has(copyName) {
		t.Error("copy.txt is still there")
	}
	serve(t, copied, Options{})
	pin := slot.Pin()
	again := dial(t, m.Link, vault.RemoteOptions{Pin: &pin})
	mustOpen(t, again, slot, key)
	if again.Bundle().Incarnation != 1 {
		t.Errorf("incarnation %d", again.Bundle().Incarnation)
	}
}

func TestBackupOfAVaultThatDoesNotRun(t *testing.T) {
	dir, _ := made(t, nil)
	file := filepath.Join(t.TempDir(), "backup.tar")
	withAccess(t, dir, func(a *Access) {
		if err := a.Backup(t.Context(), file); err != nil {
			t.Fatal(err)
		}
	})
	if err := os.WriteFile(filepath.Join(unpack(t, file), "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "backup-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// One process has the vault; commands find it; a dead one leaves nothing in the way.
func TestOneProcessHasTheVault(t *testing.T) {
	dir, _ := made(t, nil)
	if err := os.WriteFile(filepath.Join(dir, socketName), []byte("of a dead process"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, Options{})
	if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, ErrBusy) {
		t.Errorf("second process: %v", err)
	}
	if info, err := os.Lstat(filepath.Join(dir, socketName)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
	if _, err := Reach(t.Context(), t.TempDir(), Options{}); !errors.Is(err, ErrNoVault) {
		t.Errorf("no vault: %v", err)
	}
}

func TestALongPathHasASocketToo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a path of a socket is short on this system")
	}
	dir, _ := made(t, func(o *InitOptions) { o.Dir = filepath.Join(o.Dir, strings.Repeat("long/", 30)) })
	serve(t, dir, Options{})
	if s := mustStatus(t, dir); !s.Running {
		t.Error("the vault is not reached")
	}
}

func TestInvitations(t *testing.T) {
	dir, m := made(t, func(o *InitOptions) { o.Config.Register = "invite" })
	if !m.Invited {
		t.Error("nobody is told that invitations are needed")
	}
	invite := func() (link string) {
		withAccess(t, dir, func(a *Access) {
			var err error
			if link, err = a.Invite(t.Context(), time.Hour); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Invite(t.Context(), 1000*day); !errors.Is(err, ErrConfig) {
				t.Errorf("a thousand days: %v", err)
			}
		})
		return link
	}
	offline := invite()
	serve(t, dir, Options{})
	online := invite()
	for _, link := range []string{offline, online} {
		c := dial(t, link, vault.RemoteOptions{})
		if _, err := c.Enroll(t.Context(), crypto.NewRootKey(), secret("right"), floor, nil, func(vault.Pending) error { return nil }); err != nil {
			t.Fatalf("enroll with an invitation: %v", err)
		}
	}
	got := mustStatus(t, dir)
	if got.Rows != 4 || got.Admitted == nil || *got.Admitted != 2 || !maps.Equal(got.Records, map[string]int{"active": 2}) {
		t.Errorf("%d rows, records %v, admitted %v", got.Rows, got.Records, got.Admitted)
	}
	open, _ := made(t, nil)
	withAccess(t, open, func(a *Access) {
		if _, err := a.Invite(t.Context(), time.Hour); !errors.Is(err, ErrNotInvited) {
			t.Errorf("open to all: %v", err)
		}
	})
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestBehindAFront(t *testing.T) {
	metrics := freePort(t)
	dir, _ := made(t, func(o *InitOptions) { o.Config.Front.Behind, o.Config.Metrics.Listen = true, metrics })
	s := serve(t, dir, Options{})
	at := s.node.Addresses()[0]
	if !strings.HasPrefix(at, "127.0.0.1:") {
		t.Fatalf("listens in clear on %s", at)
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/v1/bundle": "coffer-vault bundle 1"} {
		if code, body := get(t, http.DefaultClient, "http://"+at+path); code != http.StatusOK || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %d %.40q", path, code, body)
		}
	}
	if code, body := get(t, http.DefaultClient, "http://"+metrics+"/metrics"); code != http.StatusOK || !strings.Contains(body, "sequence") {
		t.Errorf("metrics: %d %.200q", code, body)
	}
	b := identityOf(t, dir, 0).bundle
	if len(b.TLSPins) != 0 {
		t.Error("the bundle pins a certificate that the vault does not have")
	}
}

// writeCertificate puts a certificate of a fresh key into two PEM files.
func writeCertificate(t *testing.T, cert, key string) (pin [32]byte) {
	t.Helper()
	k := trust.NewTLSKey()
	c, pin, err := trust.SelfSigned(k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := marshalKey(k)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600),
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	return pin
}

// A certificate from elsewhere that is replaced, as its keeper does every few weeks, is
// taken up without a restart. When it is pinned, that needs a bundle, which is made.
func TestACertificateFromElsewhere(t *testing.T) {
	files := t.TempDir()
	cert, key := filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem")
	pin := writeCertificate(t, cert, key)
	dir, m := made(t, func(o *InitOptions) { o.Config.TLS = TLS{cert, key, true} })
	s := serve(t, dir, Options{})
	if b := identityOf(t, dir, 0).bundle; len(b.TLSPins) != 1 || b.TLSPins[0] != pin {
		t.Fatalf("pins: %x", b.TLSPins)
	}
	if _, err := VerifyBundle(t.Context(), m.Link, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	seen := tending{certificate: s.node.certificateTime()}
	pin = writeCertificate(t, cert, key)
	if err := os.Chtimes(cert, time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	s.node.tendOnce(&seen)
	if b, err := VerifyBundle(t.Context(), m.Link, nil, time.Now()); err != nil || b.Sequence != 2 {
		t.Fatalf("after the change: %+v, %v", b, err)
	}
	conn, err := tls.Dial("tcp", s.node.config.Addresses[0], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if trust.PinOf(conn.ConnectionState().PeerCertificates[0]) != pin {
		t.Error("it still shows the certificate from before")
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	s.node.tendOnce(&seen) // the one in use stays in use
	if _, err := VerifyBundle(t.Context(), m.Link, nil, time.Now()); err != nil {
		t.Errorf("without the file: %v", err)
	}
}

// What is changed in vault.toml while the vault runs is staged, not claimed.
func TestAChangedConfigurationWhileItRuns(t *testing.T) {
	dir, m := made(t, nil)
	s := serve(t, dir, Options{})
	edit(t, dir, configName, "tries = 10", "tries = 5")
	withAccess(t, dir, func(a *Access) {
		r, err := a.Renew(t.Context())
		if err != nil || r.Installed || !r.Restart || r.Missing != "" {
			t.Fatalf("renew: %+v, %v", r, err)
		}
		if _, err := a.Install(t.Context(), r.Text); !errors.Is(err, ErrBundle) || Explain(err).Code != "bundle" {
			t.Fatalf("install while it runs otherwise: %v", err)
		}
		if _, err := a.Reload(t.Context()); err != nil {
			t.Fatalf("reload: %v", err)
		}
	})
	if b, err := VerifyBundle(t.Context(), m.Link, nil, time.Now()); err != nil || b.Tries != 10 {
		t.Fatalf("claims %d tries, %v", b.Tries, err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, Options{})
	if b, err := VerifyBundle(t.Context(), m.Link, nil, time.Now()); err != nil || b.Tries != 5 {
		t.Fatalf("after the restart: %d tries, %v", b.Tries, err)
	}
}

// The vault of another computer of a cluster brings vault.key and bundle.txt.
func TestReload(t *testing.T) {
	dir, m := made(t, nil)
	twin := shortDir(t)
	if err := os.Mkdir(twin, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range readAll(t, dir) {
		if err := os.WriteFile(filepath.Join(twin, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	serve(t, dir, Options{})
	withAccess(t, twin, func(a *Access) {
		if _, err := a.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	carry := func(name string) {
		b, err := os.ReadFile(filepath.Join(twin, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	carry(bundleName)
	withAccess(t, dir, func(a *Access) {
		if _, err := a.Reload(t.Context()); err == nil {
			t.Error("a bundle whose keys are not there was taken")
		}
	})
	carry(keyName)
	withAccess(t, dir, func(a *Access) {
		if r, err := a.Reload(t.Context()); err != nil || r.Sequence != 2 {
			t.Errorf("reload: %+v, %v", r, err)
		}
	})
	if b, err := VerifyBundle(t.Context(), m.Link, nil, time.Now()); err != nil || b.Sequence != 2 {
		t.Errorf("verify: %+v, %v", b, err)
	}
}

func TestServeSaysWhoIsInTheWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir, _ := made(t, func(o *InitOptions) { o.Config.Listen = []string{l.Addr().String()} })
	n, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Serve(t.Context()); !errors.Is(err, ErrListen) {
		t.Errorf("serve: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err = Open(t.Context(), dir, Options{Listen: []string{"127.0.0.1:0"}}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.Serve(ctx), n.Close()); err != nil {
		t.Errorf("ended before it began: %v", err)
	}
}

// A vault on which the root signs by itself does not expire while it runs; one whose root
// is elsewhere warns, once a day, and is not ready at the end.
func TestTending(t *testing.T) {
	var now time.Time
	clock := func() time.Time { return now }
	for _, away := range []bool{false, true} {
		now = start
		dir, _ := made(t, nil)
		if away {
			if err := os.Remove(filepath.Join(dir, rootName)); err != nil {
				t.Fatal(err)
			}
		}
		log := &logBuffer{}
		n, err := Open(t.Context(), dir, Options{Clock: clock, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		seen := tending{}
		for now = start.Add(bundleLife/2 - 4*day); now.Before(start.Add(bundleLife + 4*day)); now = now.Add(4 * day) {
			n.tendOnce(&seen)
		}
		err = n.ready(t.Context())
		warned := strings.Count(log.String(), `"warning"`)
		switch {
		case !away && (err != nil || warned > 0):
			t.Errorf("with the root: %v, %d warnings", err, warned)
		case away && (!errors.Is(err, errExpired) || warned < 14 || warned > 17):
			t.Errorf("without the root: %v, %d warnings", err, warned)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Nothing of what a vault keeps secret is in its log, its status, or in clear in its store.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	dir, m := made(t, func(o *InitOptions) { o.Config.Log.Level = "debug" })
	s := serve(t, dir, Options{})
	c := dial(t, m.Link, vault.RemoteOptions{})
	slot, root := enroll(t, c)
	mustOpen(t, c, slot, root)
	withAccess(t, dir, func(a *Access) {
		if _, err := a.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	k := s.node.office.id.keys
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	db, err := os.ReadFile(filepath.Join(dir, dbName))
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{k.Seal[:], k.Server[:], k.Receipts[:], k.Admission[:], k.HPKE[0][:], k.HPKE[1][:], k.TLS[0][:], []byte("right")}
	for i, key := range secrets {
		for _, spelled := range spellings(key) {
			if strings.Contains(s.log.String(), spelled) || bytes.Contains(db, []byte(spelled)) {
				t.Errorf("secret %d is in the log or in the store", i)
			}
		}
	}
}
