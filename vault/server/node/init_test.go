package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"coffer/vault/trust"
)

func TestInitMakesAVaultForItsOwnerAlone(t *testing.T) {
	dir, m := made(t, nil)
	if link := mustLink(t, m.Link); link.HasSecond() || link.Invite != "" {
		t.Errorf("link: %v", link)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 5 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 && e.Name() != bundleName {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if folder(dir).has(markName) {
		t.Error("init.tmp is still there")
	}
	root, err := folder(dir).readRoot()
	if err != nil || root.Public() != mustLink(t, m.Link).Root || root.Vault() != m.Vault {
		t.Errorf("root.key: %v", err)
	}
}

func TestInitNeverTouchesWhatIsThere(t *testing.T) {
	dir, _ := made(t, nil)
	before := readAll(t, dir)
	o := InitOptions{Dir: dir, Config: sampleConfig()}
	if _, err := Init(t.Context(), o, Options{}); !errors.Is(err, ErrExists) {
		t.Fatalf("second init: %v", err)
	}
	// Somebody has lost vault.toml: his keys and records are worth more than a new vault.
	if err := os.Remove(filepath.Join(dir, configName)); err != nil {
		t.Fatal(err)
	}
	delete(before, configName)
	if _, err := Init(t.Context(), o, Options{}); !errors.Is(err, ErrExists) {
		t.Fatalf("init without vault.toml: %v", err)
	}
	after := readAll(t, dir)
	for name, data := range before {
		if !bytes.Equal(after[name], data) {
			t.Errorf("%s was changed", name)
		}
	}
}

func readAll(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatalf("nothing in %s: %v", dir, err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = b
	}
	return all
}

// A crash leaves the files that were written so far, in their order, and init.tmp.
func TestInitAfterACrash(t *testing.T) {
	order := []string{dbName, keyName, rootName, bundleName}
	whole, _ := made(t, nil)
	files := readAll(t, whole)
	for n := range len(order) + 1 {
		dir := shortDir(t)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range append([]string{markName}, order[:n]...) {
			if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, ErrNoVault) {
			t.Fatalf("open after %d files: %v", n, err)
		}
		c := sampleConfig()
		c.Addresses = []string{freePort(t)}
		m, err := Init(t.Context(), InitOptions{Dir: dir, Config: c}, Options{})
		if err != nil {
			t.Fatalf("init after a crash that left %d files: %v", n, err)
		}
		s := serve(t, dir, Options{})
		if _, err := VerifyBundle(t.Context(), m.Link, nil, start); err != nil {
			t.Fatalf("verify: %v", err)
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
	// The crash after the commit point: the mark is still there, and means nothing.
	if err := os.WriteFile(filepath.Join(whole, markName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Init(t.Context(), InitOptions{Dir: whole, Config: sampleConfig()}, Options{}); !errors.Is(err, ErrExists) {
		t.Fatalf("init of a vault with a mark: %v", err)
	}
	n, err := Open(t.Context(), whole, Options{Clock: clockAt(0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil || folder(whole).has(markName) {
		t.Errorf("the mark is still there; %v", err)
	}
}

// TestInitThatFailsLeavesNoRecoveryKeyBehind: it would be in the way of the next, and is the
// key of nothing.
func TestInitThatFailsLeavesNoRecoveryKeyBehind(t *testing.T) {
	recovery := filepath.Join(t.TempDir(), "recovery.txt")
	c := sampleConfig()
	c.Seal = "tpm:" + filepath.Join(t.TempDir(), "no-such-chip")
	_, err := Init(t.Context(), InitOptions{Dir: shortDir(t), Config: c, Recovery: recovery}, Options{})
	if !errors.Is(err, ErrSeal) {
		t.Fatalf("init without its TPM: %v", err)
	}
	if _, err := os.Stat(recovery); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the recovery key is left behind: %v", err)
	}
	// What was there before is somebody's.
	if err := os.WriteFile(recovery, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Init(t.Context(), InitOptions{Dir: shortDir(t), Config: c, Recovery: recovery}, Options{})
	if says := Explain(err); says.Code != "file-exists" || !strings.Contains(says.Says, "recovery.txt") {
		t.Errorf("over a file: %+v", says)
	}
	if b, err := os.ReadFile(recovery); string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestInitRefuses(t *testing.T) {
	cluster := func(o *InitOptions) { o.Config.Store, o.Config.Etcd.Endpoints = StoreEtcd, []string{"127.0.0.1:1"} }
	for name, c := range map[string]struct {
		change func(*InitOptions)
		want   error
	}{
		"no name":                    {func(o *InitOptions) { o.Config.Name = "" }, ErrConfig},
		"no folder":                  {func(o *InitOptions) { o.Dir = "" }, ErrConfig},
		"a cluster does not destroy": {cluster, ErrNoDestruction},
		"recovery of a file":         {func(o *InitOptions) { o.Recovery = "x" }, ErrConfig},
		"no TPM there":               {func(o *InitOptions) { o.Config.Seal = "tpm:/nowhere/tpm" }, ErrSeal},
		"no token there": {func(o *InitOptions) {
			o.Config.Seal = "pkcs11:token=x?module-path=/nowhere.so&pin-source=file:/nowhere"
		}, ErrSeal},
		"pin in the URI": {func(o *InitOptions) { o.Config.Seal = "pkcs11:token=x?module-path=/nowhere.so&pin-value=1234" }, ErrSeal},
	} {
		o := InitOptions{Dir: shortDir(t), Config: sampleConfig()}
		c.change(&o)
		if _, err := Init(t.Context(), o, Options{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if o.Dir != "" && folder(o.Dir).has(configName) {
			t.Errorf("%s: there is a vault", name)
		}
	}
}

// A link of a made vault verifies against the bundle in its folder, and no other.
func TestInitSignsTheFirstBundle(t *testing.T) {
	dir, m := made(t, func(o *InitOptions) { o.Config.Tries = 7 })
	signed, err := folder(dir).read(bundleName, trust.MaxBundle)
	if err != nil {
		t.Fatal(err)
	}
	b, err := VerifyBundle(t.Context(), m.Link, signed, start)
	if err != nil || b.Tries != 7 || b.Sequence != 1 || b.Sealer != "software" || b.Store != "file" || len(b.Pins) != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	_, other := made(t, nil)
	if _, err := VerifyBundle(t.Context(), other.Link, signed, start); !errors.Is(err, ErrOtherVault) {
		t.Errorf("another vault's link: %v", err)
	}
	if _, err := VerifyBundle(t.Context(), m.Link, signed, start.Add(bundleLife+day)); !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v", err)
	}
	if _, err := VerifyBundle(t.Context(), "coffer-vault://x", signed, start); !errors.Is(err, ErrLink) {
		t.Errorf("no link: %v", err)
	}
}
