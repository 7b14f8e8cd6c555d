package embedded

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/server/seal"
	"coffer/vault/server/store/bolt"
)

const password = "Tr0ub4dor and 3 canaries"

func mustOpen(t *testing.T, dir string, opts Options) *Vault {
	t.Helper()
	v, err := Open(t.Context(), dir, "ANN-LAPTOP", opts)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustClose(t *testing.T, v *Vault) {
	t.Helper()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustEnroll(t *testing.T, v *Vault, root crypto.RootKey) (*vault.Client, vault.Slot) {
	t.Helper()
	client := vault.NewClient(v.Transport(), vault.PinOf(v.Info()), "ann's laptop")
	cost := crypto.KDFCost{MemoryKiB: 64 << 10, Time: 3, Threads: 4} // the real Argon2id, at the floor
	slot, err := client.Enroll(t.Context(), root, crypto.NewSecret([]byte(password)), cost, nil, func(vault.Pending) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return client, slot
}

// A recorder keeps what goes through the pipe.
type recorder struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

type recorded struct {
	net.Conn
	r *recorder
}

func (c recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.r.Write(p[:n])
	return n, err
}

func (c recorded) Write(p []byte) (int, error) {
	c.r.Write(p)
	return c.Conn.Write(p)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *recorder) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.buf.Bytes())
}

// disguises returns a secret in the forms in which it could be found.
func disguises(secret []byte) map[string][]byte {
	wide := make([]byte, 0, 2*len(secret))
	for _, u := range utf16.Encode([]rune(string(secret))) {
		wide = binary.LittleEndian.AppendUint16(wide, u)
	}
	return map[string][]byte{
		"raw": secret, "hex": []byte(hex.EncodeToString(secret)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(secret))),
		"base64": []byte(base64.RawStdEncoding.EncodeToString(secret)[:len(secret)]), "base64url": []byte(base64.RawURLEncoding.EncodeToString(secret)[:len(secret)]),
		"UTF-16": wide, "decimal": []byte(strings.Trim(fmt.Sprint(secret), "[]")),
	}
}

// TestTheVaultNeverSeesPasswordOrRootKey looks for both on the wire, in the vault's files
// and in its log, through a registration, a wrong and a right try.
func TestTheVaultNeverSeesPasswordOrRootKey(t *testing.T) {
	wire, log, dir := &recorder{}, &recorder{}, t.TempDir()
	v := mustOpen(t, dir, Options{
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		tap: func(c net.Conn) net.Conn { return recorded{c, wire} },
	})
	root := crypto.NewRootKey()
	client, slot := mustEnroll(t, v, root)
	if _, _, err := client.Open(t.Context(), slot, crypto.NewSecret([]byte("Tr0ub4dor and 2 canaries"))); !errors.Is(err, vault.ErrWrongPassword) {
		t.Fatal(err)
	}
	got, left, err := client.Open(t.Context(), slot, crypto.NewSecret([]byte(password)))
	if err != nil || !got.Equal(root) || left != 10 {
		t.Fatalf("open: %d left, %v", left, err)
	}
	mustClose(t, v)
	places := map[string][]byte{"wire": wire.bytes(), "log": log.bytes()}
	for _, name := range []string{dbName, keyName, settingsName} {
		if places[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Contains(places["wire"], slot.Record[:]) || !bytes.Contains(places[dbName], slot.Record[:]) {
		t.Fatal("the scan does not find what is there: it could not fail")
	}
	root.Expose(func(key []byte) {
		for what, secret := range map[string][]byte{"password": []byte(password), "root key": key} {
			for form, needle := range disguises(secret) {
				for place, hay := range places {
					if bytes.Contains(hay, needle) {
						t.Errorf("the %s is in the %s, %s", what, place, form)
					}
				}
			}
		}
	})
}

// openable returns what the sealer can still open in the raw bytes of a store: it tries
// every offset as a handle, and behind each handle every length of a sealed record.
func openable(t *testing.T, raw []byte, sealer *seal.Soft, id [16]byte) (bodies [][]byte) {
	t.Helper()
	const handleSize, smallest, largest = 112, 900, 3000
	handles := 0
	for at := 0; at+handleSize <= len(raw); at++ {
		handle := raw[at : at+handleSize]
		if allZero(handle[:8]) {
			continue
		}
		if _, err := sealer.Seal(t.Context(), id, handle, nil); err != nil {
			continue // not a handle
		}
		handles++
		sealed := raw[at+handleSize:]
		for n := smallest; n < min(largest, len(sealed)); n++ {
			if body, err := sealer.Open(t.Context(), id, handle, sealed[:n]); err == nil {
				bodies = append(bodies, body)
			}
		}
	}
	t.Logf("%d handles, %d records", handles, len(bodies))
	return bodies
}

func allZero(b []byte) bool { return bytes.Equal(b, make([]byte, len(b))) }

// TestNothingOfADestroyedRecordCanBeOpened scans the raw file of the store with the keys
// that remain. The same scan finds the record before it is destroyed.
func TestNothingOfADestroyedRecordCanBeOpened(t *testing.T) {
	dir := t.TempDir()
	v := mustOpen(t, dir, Options{Tries: 1, Waits: []time.Duration{}})
	root := crypto.NewRootKey()
	client, slot := mustEnroll(t, v, root)
	scan := func() (bodies [][]byte) {
		raw, err := os.ReadFile(filepath.Join(dir, dbName))
		if err != nil {
			t.Fatal(err)
		}
		keys, err := readKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		return openable(t, raw, seal.NewSoft(keys.Seal), slot.Record)
	}
	if !slices.ContainsFunc(scan(), secretful) {
		t.Fatal("the scan does not find the living record: it could not fail")
	}
	_, _, err := client.Open(t.Context(), slot, crypto.NewSecret([]byte("a wrong password")))
	if !errors.Is(err, vault.ErrDestroyed) {
		t.Fatal(err)
	}
	if slices.ContainsFunc(scan(), secretful) {
		t.Error("a former record can be opened")
	}
	mustClose(t, v)
	v = mustOpen(t, dir, Options{})
	if bodies := scan(); len(bodies) != 1 || secretful(bodies[0]) {
		t.Errorf("%d records can be opened after a restart, want the tombstone alone", len(bodies))
	}
	mustClose(t, v)
}

// secretful reports whether a record's bytes (docs/vault-protocol.md, "What a vault keeps")
// hold any secret: of the active or of the pending generation, or an OPRF key.
func secretful(body []byte) bool {
	const head, public, secret, anchored = 160, 8 + 32 + 9, 129 + 32 + 112, 8
	active := body[head+public:]
	pending := active[secret+public:]
	lengths := pending[secret+anchored:]
	return !allZero(active[:secret]) || !allZero(pending[:secret]) || !allZero(lengths[:4])
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	v := mustOpen(t, dir, Options{})
	if _, err := Open(t.Context(), dir, "ANN-LAPTOP", Options{Patience: 50 * time.Millisecond}); !errors.Is(err, ErrBusy) {
		t.Fatalf("second open: %v, want busy", err)
	}
	released := time.AfterFunc(100*time.Millisecond, func() { v.Close() })
	defer released.Stop()
	mustClose(t, mustOpen(t, dir, Options{})) // waits for the first
}

func TestAVaultStaysWhatItWasMadeAs(t *testing.T) {
	dir := t.TempDir()
	v := mustOpen(t, dir, Options{Tries: 3, Waits: []time.Duration{0, time.Minute}})
	first := v.Info()
	mustClose(t, v)
	v = mustOpen(t, dir, Options{Tries: 50})
	defer mustClose(t, v)
	if second := v.Info(); fmt.Sprint(first) != fmt.Sprint(second) || second.Tries != 3 || len(second.Waits) != 2 {
		t.Fatalf("made as %+v, opened as %+v", first, second)
	}
	if v.ID() != first.VaultID {
		t.Fatal("another id")
	}
}

func TestFilesAreForTheUserAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no mode bits; the data folder is the user's by its ACL")
	}
	dir := filepath.Join(t.TempDir(), "vault")
	mustClose(t, mustOpen(t, dir, Options{}))
	want := map[string]os.FileMode{".": 0o700, dbName: 0o600, keyName: 0o600, settingsName: 0o600}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode().Perm(), err, mode)
		}
	}
}

func TestExistsMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	if Exists(dir, [16]byte{1}) {
		t.Fatal("there is no vault")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("Exists made something")
	}
	v := mustOpen(t, dir, Options{})
	if !Exists(dir, v.ID()) || Exists(dir, [16]byte{1}) { // while it is open
		t.Fatal("Exists does not know the vault")
	}
	mustClose(t, v)
}

func TestAVaultThatIsNotWholeIsNotReplaced(t *testing.T) {
	damage := map[string]func(t *testing.T, dir string){
		"key missing": func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, keyName))) },
		"key cut":     func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, keyName), 20)) },
		"settings garbled": func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, settingsName), []byte("{"), 0o600))
		},
		"store garbled": func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, dbName), bytes.Repeat([]byte("x"), 1<<16), 0o600))
		},
		"key of another": func(t *testing.T, dir string) {
			other := t.TempDir()
			mustClose(t, mustOpen(t, other, Options{}))
			b, err := os.ReadFile(filepath.Join(other, keyName))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, keyName), b, 0o600))
		},
	}
	for name, change := range damage {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			mustClose(t, mustOpen(t, dir, Options{}))
			db, err := bolt.Open(filepath.Join(dir, dbName), time.Second)
			must(t, err)
			must(t, db.Create(t.Context(), [16]byte{1}, []byte("a row")))
			must(t, db.Close())
			change(t, dir)
			if _, err := Open(t.Context(), dir, "ANN-LAPTOP", Options{}); !errors.Is(err, ErrDamaged) {
				t.Fatalf("open: %v, want damaged", err)
			}
		})
	}
}

// TestAKeyOfAnotherVaultIsNotTaken: also where no record shows it yet.
func TestAKeyOfAnotherVaultIsNotTaken(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	mustClose(t, mustOpen(t, dir, Options{}))
	mustClose(t, mustOpen(t, other, Options{}))
	must(t, os.Rename(filepath.Join(other, keyName), filepath.Join(dir, keyName)))
	if _, err := Open(t.Context(), dir, "ANN-LAPTOP", Options{}); !errors.Is(err, ErrDamaged) {
		t.Fatalf("open: %v, want damaged", err)
	}
}

// TestALostKeyIsNotMadeAnew: a new one would hide that the records are lost, and stand in the
// way of the old one, should it be found.
func TestALostKeyIsNotMadeAnew(t *testing.T) {
	dir := t.TempDir()
	mustClose(t, mustOpen(t, dir, Options{}))
	db, err := bolt.Open(filepath.Join(dir, dbName), time.Second)
	must(t, err)
	must(t, db.Create(t.Context(), [16]byte{1}, []byte("a row")))
	must(t, db.Close())
	must(t, os.Remove(filepath.Join(dir, keyName)))
	must(t, os.Remove(filepath.Join(dir, settingsName)))
	if _, err := Open(t.Context(), dir, "ANN-LAPTOP", Options{}); !errors.Is(err, ErrDamaged) {
		t.Fatalf("open: %v, want damaged", err)
	}
	for _, name := range []string{keyName, settingsName} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was made: %v", name, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAClosedVaultIsOffline(t *testing.T) {
	v := mustOpen(t, t.TempDir(), Options{})
	client := vault.NewClient(v.Transport(), vault.PinOf(v.Info()), "")
	mustClose(t, v)
	if _, err := client.Info(t.Context()); !errors.Is(err, vault.ErrOffline) {
		t.Fatalf("info of a closed vault: %v", err)
	}
}

func sampleKeys() []byte {
	return encodeKeys(keyFile{Magic: keyMagic, ID: [16]byte{1}, Seal: [32]byte{2}})
}

func TestKeyFilesAreWhole(t *testing.T) {
	good := sampleKeys()
	k, err := parseKeys(good)
	if err != nil || !bytes.Equal(encodeKeys(k), good) {
		t.Fatal(err)
	}
	for i := range good {
		changed := bytes.Clone(good)
		changed[i] ^= 1
		_, cut := parseKeys(good[:i])
		_, flipped := parseKeys(changed)
		if !errors.Is(cut, ErrDamaged) || !errors.Is(flipped, ErrDamaged) {
			t.Fatalf("byte %d: cut %v, changed %v", i, cut, flipped)
		}
	}
	if got := fmt.Sprintf("%v %+v %x", k, k, &k); got != "[redacted] [redacted] [redacted]" {
		t.Errorf("prints %s", got)
	}
}

func FuzzKeyFile(f *testing.F) {
	f.Add(sampleKeys())
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := parseKeys(b); err == nil && !bytes.Equal(encodeKeys(k), b) {
			t.Fatal("two encodings of one key file")
		}
	})
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"format":1,"vault":"01020304050607080910111213141516","tries":10,"waits_ms":[0,60000]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSettings(b); err == nil && (s.Tries < 1 || s.Tries > 100) {
			t.Fatalf("taken: %+v", s)
		}
	})
}
