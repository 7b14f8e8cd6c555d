package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/vault/trust"
)

// opened opens the vault at a moment, and closes it.
func opened(t *testing.T, dir string, after time.Duration) error {
	t.Helper()
	n, err := Open(t.Context(), dir, Options{Clock: clockAt(after)})
	if err != nil {
		return err
	}
	return n.Close()
}

func identityOf(t *testing.T, dir string, after time.Duration) *identity {
	t.Helper()
	id, err := readIdentity(folder(dir), clockAt(after))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// edit replaces a text in a file of the folder, which must be there.
func edit(t *testing.T, dir, name, from, to string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || !bytes.Contains(b, []byte(from)) {
		t.Fatalf("%q is not in %s: %v", from, name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), bytes.Replace(b, []byte(from), []byte(to), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestABundleIsRenewedInTime(t *testing.T) {
	dir, _ := made(t, nil)
	for _, step := range []struct {
		after time.Duration
		want  uint64
	}{{0, 1}, {bundleLife/2 - day, 1}, {bundleLife/2 + day, 2}, {bundleLife/2 + 2*day, 2}, {3 * bundleLife, 3}} {
		if err := opened(t, dir, step.after); err != nil {
			t.Fatalf("after %v: %v", step.after, err)
		}
		if got := identityOf(t, dir, step.after).bundle; got.Sequence != step.want || !got.Expires.After(start.Add(step.after)) {
			t.Errorf("after %v: bundle %d until %v, want %d", step.after, got.Sequence, got.Expires, step.want)
		}
	}
}

// moved is a vault whose root is elsewhere.
func moved(t *testing.T, change func(*InitOptions)) (dir, root string, m Made) {
	t.Helper()
	dir, m = made(t, change)
	root = filepath.Join(t.TempDir(), rootName)
	if err := os.Rename(filepath.Join(dir, rootName), root); err != nil {
		t.Fatal(err)
	}
	return dir, root, m
}

func TestWithoutTheRootABundleIsStagedSignedElsewhereAndInstalled(t *testing.T) {
	dir, root, m := moved(t, nil)
	if err := opened(t, dir, bundleLife-10*day); err != nil {
		t.Fatalf("a bundle that expires soon is a warning: %v", err)
	}
	if err := opened(t, dir, bundleLife+day); err != nil {
		t.Fatalf("an expired one is a vault that is not ready: %v", err)
	}
	edit(t, dir, configName, "tries = 10", "tries = 5")
	if err := opened(t, dir, 0); !errors.Is(err, ErrNotSigned) || !strings.Contains(err.Error(), "tries") {
		t.Fatalf("other tries than signed: %v", err)
	}
	withAccess(t, dir, func(a *Access) {
		r, err := a.Renew(t.Context())
		if err != nil || r.Installed || r.Missing != MissingRoot || r.Sequence != 2 {
			t.Fatalf("renew: %+v, %v", r, err)
		}
		if _, err := a.Install(t.Context(), r.Text); !errors.Is(err, ErrBundle) {
			t.Fatalf("install what nobody has signed: %v", err)
		}
		staged, err := a.Signed(true)
		if err != nil || !bytes.Equal(staged, r.Text) {
			t.Fatalf("bundle.next: %v", err)
		}
		signed, says, err := SignBundle(root, "", staged)
		if err != nil || says.Tries != 5 {
			t.Fatalf("sign: %+v, %v", says, err)
		}
		if r, err = a.Install(t.Context(), signed); err != nil || !r.Installed {
			t.Fatalf("install: %v", err)
		}
		if _, err := VerifyBundle(t.Context(), m.Link, signed, time.Now()); err != nil {
			t.Fatalf("verify: %v", err)
		}
		if _, err := a.Signed(true); !errors.Is(err, ErrNotSigned) {
			t.Errorf("bundle.next is still there: %v", err)
		}
	})
	if err := opened(t, dir, 0); err != nil {
		t.Fatalf("open what was signed: %v", err)
	}
}

func TestInstallTakesOnlyTheNextBundleOfThisVault(t *testing.T) {
	dir, root, _ := moved(t, nil)
	other, _ := made(t, nil)
	foreign, _ := folder(other).read(bundleName, trust.MaxBundle)
	first, _ := folder(dir).read(bundleName, trust.MaxBundle)
	withAccess(t, dir, func(a *Access) {
		sign := func() []byte {
			r, err := a.Renew(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			signed, _, err := SignBundle(root, "", r.Text)
			if err != nil {
				t.Fatal(err)
			}
			return signed
		}
		second := sign()
		for name, bad := range map[string][]byte{
			"another vault's": foreign, "nothing": nil, "cut": second[:len(second)-1], "too long": make([]byte, trust.MaxBundle+1),
			"changed": bytes.Replace(second, []byte("tries 10"), []byte("tries 11"), 1),
		} {
			if _, err := a.Install(t.Context(), bad); !errors.Is(err, ErrBundle) {
				t.Errorf("install %s: %v", name, err)
			}
		}
		if _, err := a.Install(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Install(t.Context(), first); !errors.Is(err, ErrBundle) {
			t.Errorf("install an older one: %v", err)
		}
		edited := sign()
		edited, _, err := SignBundle(root, "", bytes.Replace(edited, []byte("tries 10"), []byte("tries 9"), 1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Install(t.Context(), edited); !errors.Is(err, ErrBundle) || !strings.Contains(err.Error(), "tries") {
			t.Errorf("install what the vault does not do: %v", err)
		}
	})
	now, _ := folder(dir).read(bundleName, trust.MaxBundle)
	if !bytes.Contains(now, []byte("\nsequence 2\n")) {
		t.Errorf("in use: %s", now)
	}
}

func TestSignBundleRefuses(t *testing.T) {
	dir, root, _ := moved(t, nil)
	_, foreign, _ := moved(t, nil)
	bundle, _ := folder(dir).read(bundleName, trust.MaxBundle)
	if _, _, err := SignBundle(foreign, "", bundle); !errors.Is(err, ErrKeyFile) {
		t.Errorf("another vault's root: %v", err)
	}
	if _, _, err := SignBundle(filepath.Join(dir, bundleName), "", bundle); !errors.Is(err, ErrKeyFile) && !errors.Is(err, ErrOpenToAll) {
		t.Errorf("no key: %v", err)
	}
	if _, _, err := SignBundle(root, "", []byte("hello\n")); !errors.Is(err, ErrBundle) {
		t.Errorf("no bundle: %v", err)
	}
	if err := os.Chmod(root, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := SignBundle(root, "", bundle); !errors.Is(err, ErrOpenToAll) {
		t.Errorf("a root that all can read: %v", err)
	}
}

func TestWhatIsFixedStaysFixed(t *testing.T) {
	for _, c := range []struct{ from, to, says string }{
		{"tries = 10", "tries = 11", "tries"},
		{`seal = "soft"`, `seal = "tpm-epochs"`, "seal"},
		{`store = "bolt"`, "store = \"etcd\"\n[etcd]\nendpoints = [\"127.0.0.1:1\"]\n", "store"},
	} {
		dir, _ := made(t, nil)
		edit(t, dir, configName, c.from, c.to)
		if c.says == "store" { // what follows belongs to the table before
			text, _ := os.ReadFile(filepath.Join(dir, configName))
			head, _, _ := strings.Cut(string(text), "\n# The most")
			edit(t, dir, configName, string(text), head)
		}
		if err := opened(t, dir, 0); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "made with") {
			t.Errorf("%s: %v", c.to, err)
		}
	}
	dir, _ := made(t, nil)
	edit(t, dir, configName, "tries = 10", "tries = 3")
	edit(t, dir, configName, "Ann", "Bob")
	if err := opened(t, dir, 0); err != nil {
		t.Fatalf("fewer tries, another name: %v", err)
	}
	if b := identityOf(t, dir, 0).bundle; b.Tries != 3 || b.Name != "Bob's vault" || b.Sequence != 2 {
		t.Errorf("bundle: %+v", viewOf(b))
	}
}

func TestRotateKeepsWhatIsInUse(t *testing.T) {
	dir, _, _ := moved(t, nil)
	inUse := identityOf(t, dir, 0).bundle
	// Rotations that nobody signs must not push out the keys that clients use.
	for range 5 {
		withAccess(t, dir, func(a *Access) {
			r, err := a.Rotate(t.Context())
			if err != nil || r.Installed || r.Missing != MissingRoot {
				t.Fatalf("rotate: %+v, %v", r, err)
			}
		})
		id := identityOf(t, dir, 0)
		keys, err := id.envelopeKeys()
		if err != nil || !bytes.Equal(keys[0].Public().Bytes(), inUse.HPKEKey) {
			t.Fatalf("the envelope key in use is not the first: %v", err)
		}
		cert, err := id.certificate()
		if err != nil {
			t.Fatal(err)
		}
		if pin, err := trust.Pin(cert); err != nil || pin != inUse.TLSPins[0] {
			t.Fatalf("another certificate: %v", err)
		}
		if err := opened(t, dir, 0); err != nil {
			t.Fatalf("open with a staged bundle: %v", err)
		}
	}
}

func TestRotateKeepsTheKeyBefore(t *testing.T) {
	dir, _ := made(t, nil)
	before := identityOf(t, dir, 0).bundle
	for n := uint64(2); n < 6; n++ {
		withAccess(t, dir, func(a *Access) {
			if r, err := a.Rotate(t.Context()); err != nil || !r.Installed || r.Sequence != n {
				t.Fatalf("rotate: %+v, %v", r, err)
			}
		})
		id := identityOf(t, dir, 0)
		keys, err := id.envelopeKeys()
		if err != nil || len(keys) < 2 || !bytes.Equal(keys[0].Public().Bytes(), id.bundle.HPKEKey) ||
			!bytes.Equal(keys[1].Public().Bytes(), before.HPKEKey) || bytes.Equal(id.bundle.HPKEKey, before.HPKEKey) {
			t.Fatalf("%d: envelope keys are not the new one and the one before: %v", n, err)
		}
		if !slices.Contains(id.bundle.TLSPins, before.TLSPins[0]) || id.bundle.TLSPins[0] == before.TLSPins[0] || id.bundle.ServerKey != before.ServerKey {
			t.Fatalf("%d: pins %x, before %x", n, id.bundle.TLSPins, before.TLSPins)
		}
		before = id.bundle
	}
}

func TestTheSecondSignerMustSign(t *testing.T) {
	secondKey := filepath.Join(t.TempDir(), "second.key")
	signer, err := NewSigner("", secondKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSigner("", secondKey); !errors.Is(err, ErrFileExists) {
		t.Fatalf("a key file is not overwritten: %v", err)
	}
	dir, m := made(t, func(o *InitOptions) { o.Second = signer })
	if m.Vault != signer.Vault || m.Staged == "" || !mustLink(t, m.Link).HasSecond() {
		t.Fatalf("made: %+v", m)
	}
	if err := opened(t, dir, 0); !errors.Is(err, ErrNotSigned) {
		t.Fatalf("open what the second signer has not signed: %v", err)
	}
	withAccess(t, dir, func(a *Access) {
		staged, err := a.Signed(true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Install(t.Context(), staged); !errors.Is(err, ErrNotSigned) {
			t.Fatalf("install single-signed: %v", err)
		}
		_, other := made(t, nil)
		if _, _, err := SignBundle(secondKey, other.Link, staged); !errors.Is(err, ErrNotSigned) {
			t.Fatalf("sign what another root should have signed: %v", err)
		}
		signed, says, err := SignBundle(secondKey, m.Link, staged)
		if err != nil || says.Sequence != 1 {
			t.Fatalf("sign: %v", err)
		}
		if _, err := a.Install(t.Context(), signed); err != nil {
			t.Fatalf("install: %v", err)
		}
		if _, err := VerifyBundle(t.Context(), m.Link, signed, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyBundle(t.Context(), m.Link, staged, time.Now()); !errors.Is(err, ErrNotSigned) {
			t.Fatalf("verify single-signed: %v", err)
		}
	})
	if err := opened(t, dir, 0); err != nil {
		t.Fatal(err)
	}
	// It is not renewed behind the back of the second signer, though the root is there.
	if err := opened(t, dir, bundleLife-day); err != nil || identityOf(t, dir, 0).bundle.Sequence != 1 {
		t.Fatalf("renewed alone: %v", err)
	}
}

func TestASecondSignerMayComeLater(t *testing.T) {
	dir, m := made(t, nil)
	secondKey := filepath.Join(t.TempDir(), "second.key")
	signer, err := NewSigner(dir, secondKey)
	if err != nil || signer.Vault != m.Vault {
		t.Fatal(err)
	}
	edit(t, dir, configName, "register =", "second = \""+encodeKey(signer.Key)+"\"\nregister =")
	if err := opened(t, dir, 0); !errors.Is(err, ErrNotSigned) {
		t.Fatalf("open: %v", err)
	}
	var link string
	withAccess(t, dir, func(a *Access) {
		r, err := a.Renew(t.Context())
		if err != nil || r.Missing != MissingSecond {
			t.Fatalf("renew: %+v, %v", r, err)
		}
		signed, _, err := SignBundle(secondKey, m.Link, r.Text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Install(t.Context(), signed); err != nil {
			t.Fatal(err)
		}
		s, err := a.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		link = s.Link
		for _, l := range []string{link, m.Link} { // who has the old link is not locked out
			if _, err := VerifyBundle(t.Context(), l, signed, time.Now()); err != nil {
				t.Errorf("verify with %s: %v", l, err)
			}
		}
	})
	if !mustLink(t, link).HasSecond() {
		t.Error("the new link does not name the second signer")
	}
	if err := opened(t, dir, 0); err != nil {
		t.Fatal(err)
	}
}

// A folder whose keys others can read, or whose files are damaged, is not served.
func TestDamagedFoldersAreRefused(t *testing.T) {
	for _, name := range []string{keyName, bundleName, dbName} {
		dir, _, _ := moved(t, nil)
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/3] ^= 1
		if name == dbName {
			b = b[:100]
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		err = opened(t, dir, 0)
		if code := Explain(err).Code; code != "damaged" {
			t.Errorf("%s changed: %v (%s)", name, err, code)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := opened(t, dir, 0); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotSigned) {
			t.Errorf("%s missing: %v", name, err)
		}
	}
	dir, _ := made(t, nil)
	if err := os.Chmod(filepath.Join(dir, keyName), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := opened(t, dir, 0); !errors.Is(err, ErrOpenToAll) {
		t.Errorf("keys that others can read: %v", err)
	}
}

func TestEveryErrorHasASentence(t *testing.T) {
	if len(failures) < 30 {
		t.Fatalf("only %d rows", len(failures))
	}
	seen := map[string]error{}
	for i, f := range failures {
		if got := Explain(f.err); got.Code != f.code || got.Says == "" || strings.Contains(got.Says, "%!") {
			t.Errorf("row %d: %+v", i, got)
		}
		if f.do == "" && f.code != "not-here" {
			t.Errorf("%s: no advice", f.code)
		}
		seen[f.code] = f.err
		through := &remoteError{problem{f.code, "text\x1b"}}
		if !errors.Is(through, f.err) {
			t.Errorf("%s: not itself after the socket", f.code)
		}
		if got := Explain(through); got.Code != f.code || strings.ContainsRune(got.Says, 0x1b) {
			t.Errorf("%s: %+v after the socket", f.code, got)
		}
	}
	if got := Explain(errors.New("x\x1b[2J")); got.Code != "failed" || strings.ContainsRune(got.Says, 0x1b) {
		t.Errorf("an unknown error: %+v", got)
	}
}
