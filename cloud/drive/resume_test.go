package drive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"coffer/cloud"
	"coffer/cloud/drive"
	"coffer/cloud/drive/drivetest"
)

const (
	childVar   = "COFFER_DRIVE_CHILD" // the endpoint: this process is the one that is killed
	killedSize = 13<<20 + 5
	killChunk  = 512 << 10
)

// TestChildThatUploads is the program that TestTenKills kills.
func TestChildThatUploads(t *testing.T) {
	base := os.Getenv(childVar)
	if base == "" {
		t.Skip("is run by TestTenKills")
	}
	state := os.Getenv(childVar + "_STATE")
	client, err := os.ReadFile(filepath.Join(state, "client.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := drive.ParseClient(client)
	if err != nil {
		t.Fatal(err)
	}
	token, err := drive.ReadTokenFile(filepath.Join(state, "token"))
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, mustOpen(t, drive.Config{
		Client: c, Tokens: &keptTokens{token: token}, Create: true, Endpoint: base, State: state, Chunk: killChunk,
	}), content(7, killedSize))
}

// TestTenKills: a program is killed ten times in one upload, in the middle of a
// chunk that is on its way, and goes on at the byte.
func TestTenKills(t *testing.T) {
	t.Parallel()
	f := drivetest.New(t)
	state := t.TempDir()
	var mu sync.Mutex
	var child *exec.Cmd // guarded by mu, as these
	kills, arrived := 0, 0
	f.Before = func(op drivetest.Op, _ int) {
		mu.Lock()
		defer mu.Unlock()
		if op != drivetest.Chunk || kills == 10 {
			return
		}
		if arrived++; arrived%2 == 0 { // one chunk arrives, the next does not
			kills++
			_ = child.Process.Kill() // Wait, below, says whether it worked
		}
	}
	base := f.Serve()
	writeFile(t, filepath.Join(state, "client.json"), f.ClientJSON(base))
	writeFile(t, filepath.Join(state, "token"), []byte(f.SignedIn(drivetest.Alice())+"\n"))
	runs := 0
	for done := false; !done; runs++ {
		if runs > 11 {
			t.Fatal("it never ends")
		}
		var out bytes.Buffer
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildThatUploads$")
		cmd.Env = append(os.Environ(), childVar+"="+base, childVar+"_STATE="+state)
		cmd.Stdout, cmd.Stderr = &out, &out
		mu.Lock()
		err := cmd.Start()
		child = cmd
		mu.Unlock()
		if err == nil {
			err = cmd.Wait()
		}
		var exit *exec.ExitError
		switch {
		case err == nil:
			done = true
		case !errors.As(err, &exit) || exit.Exited():
			t.Fatalf("the child was not killed: %v\n%s", err, out.String())
		}
	}
	data := content(7, killedSize)
	files := f.Named(cloud.Name("pack", data))
	if kills != 10 || runs != 11 || len(files) != 1 || string(f.Data(files[0].ID)) != string(data) {
		t.Fatalf("%d kills, %d runs, files %v", kills, runs, files)
	}
	counts := f.Counts()
	received, resent := f.Resent()
	t.Logf("%d bytes came for %d, %d of them twice; %v", received, killedSize, resent, counts)
	if counts[drivetest.Session] != 1 || resent > 10*killChunk || received > killedSize+10*killChunk {
		t.Errorf("%d sessions, %d bytes came, %d of them were there already", counts[drivetest.Session], received, resent)
	}
	if left, err := filepath.Glob(filepath.Join(state, "drive-upload-*")); err != nil || len(left) != 0 {
		t.Errorf("journals stay: %v, %v", left, err)
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDroppedAtEveryStep: a driver is lost at every request of an upload, before
// it was done and after, and a new one goes on from the journal.
func TestDroppedAtEveryStep(t *testing.T) {
	t.Parallel()
	seal := func(b []byte) ([]byte, error) {
		out := append([]byte("sealed"), b...)
		for i := range out {
			out[i] ^= 0x55
		}
		return out, nil
	}
	open := func(b []byte) ([]byte, error) {
		out := append([]byte(nil), b...)
		for i := range out {
			out[i] ^= 0x55
		}
		rest, ok := strings.CutPrefix(string(out), "sealed")
		if !ok {
			return nil, errors.New("not sealed")
		}
		return []byte(rest), nil
	}
	data := content(3, 1<<20+5)
	name := cloud.Name("pack", data)
	for _, kind := range []drivetest.Kind{drivetest.Drop, drivetest.Lost} {
		for step := range 20 {
			f := drivetest.New(t)
			f.Lag = 3
			c := config(t, f)
			c.State, c.Seal, c.Open = t.TempDir(), seal, open
			// Broken from some step on, so that the driver cannot help itself.
			f.Plan(drivetest.Fault{Kind: kind, Skip: step, Times: 4})
			broken := mustOpen(t, c).Put(t.Context(), name, cloud.Bytes(data))
			checkSealed(t, c.State)
			f.Heal()
			if broken != nil { // else it is done, and another device cannot see it yet
				mustPut(t, mustOpen(t, c), data)
			}
			files := f.Named(name)
			if len(files) != 1 || string(f.Data(files[0].ID)) != string(data) {
				t.Fatalf("%s at step %d: %v; first error %v", kind, step, files, broken)
			}
			if _, resent := f.Resent(); resent > c.Chunk {
				t.Fatalf("%s at step %d: %d bytes sent twice", kind, step, resent)
			}
		}
	}
}

// checkSealed: what is on the disk of this computer is sealed.
func checkSealed(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || strings.Contains(string(data), drivetest.Mark) || strings.Contains(string(data), "uri") {
			t.Fatalf("%s is not sealed: %v", e.Name(), err)
		}
	}
}

// TestCancelledUploadGoesOn in the same process, from memory.
func TestCancelledUploadGoesOn(t *testing.T) {
	f := drivetest.New(t)
	d := mustOpen(t, config(t, f))
	data := content(1, 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	f.Before = func(op drivetest.Op, n int) {
		if op == drivetest.Chunk && n == 3 {
			cancel()
		}
	}
	name := cloud.Name("pack", data)
	wantIs(t, "put", d.Put(ctx, name, cloud.Bytes(data)), context.Canceled)
	mustPut(t, d, data)
	if _, resent := f.Resent(); resent != 0 || f.Counts()[drivetest.Session] != 1 {
		t.Fatalf("%d bytes twice, %d sessions", resent, f.Counts()[drivetest.Session])
	}
}

// A brokenSource fails from some byte on, once it was read whole.
type brokenSource struct {
	cloud.Source
	reads *int
}

var errBroken = errors.New("broken source")

func (s brokenSource) ReadAt(p []byte, off int64) (int, error) {
	if *s.reads++; *s.reads > 3 && off >= 512<<10 {
		return 0, errBroken
	}
	return s.Source.ReadAt(p, off)
}

// TestSourceBreaksOnTheWay: its own error comes back, not that of a connection.
func TestSourceBreaksOnTheWay(t *testing.T) {
	f := drivetest.New(t)
	d := mustOpen(t, config(t, f))
	data := content(1, 1<<20)
	name := cloud.Name("pack", data)
	wantIs(t, "put", d.Put(t.Context(), name, brokenSource{cloud.Bytes(data), new(int)}), errBroken)
	wantData(t, d, mustPut(t, d, data), data)
}

// TestDamagedJournal: whatever is in it, the object arrives whole, once.
func TestDamagedJournal(t *testing.T) {
	data := content(3, 600<<10)
	name := cloud.Name("pack", data)
	damages := map[string]func([]byte) []byte{
		"cut":      func(b []byte) []byte { return b[:len(b)/2] },
		"empty":    func([]byte) []byte { return nil },
		"long":     func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) },
		"session":  func(b []byte) []byte { return []byte(strings.Replace(string(b), "session-", "session+", 1)) },
		"host":     func(b []byte) []byte { return []byte(strings.Replace(string(b), "127.0.0.1:1", "evil.example", 1)) },
		"insecure": func(b []byte) []byte { return []byte(strings.Replace(string(b), "127.0.0.1:1", "127.0.0.1:2", 1)) },
		"id":       func(b []byte) []byte { return []byte(strings.Replace(string(b), `"id":"id-`, `"id":"no-`, 1)) },
		"hash":     func(b []byte) []byte { return []byte(strings.Replace(string(b), `"sha256":"`, `"sha256":"0`, 1)) },
	}
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			f := drivetest.New(t)
			c := config(t, f)
			c.State = t.TempDir()
			f.Plan(drivetest.Fault{Op: drivetest.Chunk, Skip: 1, Kind: drivetest.Drop}, drivetest.Fault{Op: drivetest.Status, Kind: drivetest.Drop})
			wantIs(t, "put", mustOpen(t, c).Put(t.Context(), name, cloud.Bytes(data)), cloud.ErrOffline)
			found, err := filepath.Glob(filepath.Join(c.State, "drive-upload-*"))
			if err != nil || len(found) != 1 {
				t.Fatalf("journals %v, %v", found, err)
			}
			old, err := os.ReadFile(found[0])
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(found[0]); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
				t.Fatalf("others may read the journal: %v, %v", info.Mode(), err)
			}
			bad := damage(old)
			if string(bad) == string(old) {
				t.Fatal("nothing was damaged")
			}
			writeFile(t, found[0], bad)
			s := cloud.New(mustOpen(t, c), cloud.Options{Budget: -1})
			if err := s.Put(t.Context(), name, data); err != nil {
				t.Fatal(err)
			}
			if files := f.Named(name); len(files) != 1 || string(f.Data(files[0].ID)) != string(data) {
				t.Fatalf("files %v", files)
			}
		})
	}
}

// TestUploadTroubles: one trouble at each kind of request of an upload, under
// one Put of a Store.
func TestUploadTroubles(t *testing.T) {
	data := content(3, 1<<20+5)
	name := cloud.Name("pack", data)
	for _, fault := range []drivetest.Fault{
		{Op: drivetest.Chunk, Kind: drivetest.Cut, N: 100_000, Skip: 1},
		{Op: drivetest.Chunk, Kind: drivetest.Half, Skip: 1},
		{Op: drivetest.Chunk, Kind: drivetest.Forget, Skip: 2},
		{Op: drivetest.Chunk, Kind: drivetest.Lost, Skip: 4}, // the last one
		{Op: drivetest.Chunk, Kind: drivetest.Refuse, Status: 500, Skip: 2},
		{Op: drivetest.Chunk, Kind: drivetest.Refuse, Status: 410, Skip: 2},
		{Op: drivetest.Chunk, Kind: drivetest.Expire, Skip: 2},
		{Op: drivetest.Session, Kind: drivetest.Lost},
	} {
		t.Run(fmt.Sprint(fault.Op, fault.Kind, fault.Status), func(t *testing.T) {
			f := drivetest.New(t)
			c := config(t, f)
			d := mustOpen(t, c)
			f.Plan(fault)
			err := d.Put(t.Context(), name, cloud.Bytes(data))
			for tries := 0; err != nil && tries < 3; tries++ {
				wantIs(t, "put", err, cloud.ErrOffline)
				err = d.Put(t.Context(), name, cloud.Bytes(data))
			}
			if files := f.Named(name); err != nil || len(files) != 1 || f.Fired() != 1 {
				t.Fatalf("files %v, %d faults, %v", files, f.Fired(), err)
			}
			wantData(t, mustOpen(t, c), name, data)
		})
	}
}
