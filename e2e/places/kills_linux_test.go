package places

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"coffer/cloud"
	"coffer/cloud/drive/drivetest"
)

// chunk is how much of an object Coffer sends to Drive in one request.
const chunk = 8 << 20

// A trap kills a process at a moment of its conversation with Drive.
type trap struct {
	mu   sync.Mutex
	left int  // guarded by mu; chunks until it springs; 0: not set
	late bool // guarded by mu; springs when the chunk was taken and nobody has heard so
	pid  int  // guarded by mu
	hits int  // guarded by mu
}

// set arms the trap for a process that is about to begin.
func (k *trap) set(pid, chunks int, late bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pid, k.left, k.late = pid, chunks, late
}

func (k *trap) count(late bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left == 0 || k.late != late {
		return
	}
	if k.left--; k.left == 0 {
		_ = syscall.Kill(k.pid, syscall.SIGKILL) // it may have ended by itself
		k.hits++
	}
}

// TestTenKills: one backup to Drive, killed ten times: when a chunk has arrived in part,
// or as a whole without an answer. Afterwards there is one file for each object, all
// are what their names say, everything comes back, and what was sent in vain is little.
func TestTenKills(t *testing.T) {
	begin(t)
	t.Parallel()
	f := startDrive(t)
	k := &trap{}
	f.Before = func(op drivetest.Op, _ int) {
		if op == drivetest.Chunk {
			k.count(false)
		}
	}
	f.on(func(r *http.Request) {
		if r.Method == http.MethodPut && r.URL.Query().Has("upload_id") && !strings.HasPrefix(r.Header.Get("Content-Range"), "bytes */") {
			k.count(true)
		}
	})
	m := newMachine(t)
	s := f.site(m, drivetest.Alice())
	files := filepath.Join(scratch(t), "films")
	must(t, os.MkdirAll(files, 0o755))
	stream := noise("films")
	for i := range 40 {
		data := make([]byte, 8<<20)
		_, _ = stream.Read(data) // never fails
		must(t, os.WriteFile(filepath.Join(files, fmt.Sprintf("film %d", i)), data, 0o644))
	}
	digits := m.setUp(s, files)
	for i, chunks := range []int{1, 4, 2, 7, 5, 3, 9, 6, 4, 8} {
		cmd := m.command(t.Context(), "backup")
		cmd.Stdout, cmd.Stderr = m.said, m.said
		must(t, cmd.Start())
		k.set(cmd.Process.Pid, chunks, i%2 == 1)
		_ = cmd.Wait() // killed; counted below
		if cmd.ProcessState.Success() {
			t.Fatalf("backup %d was done before chunk %d: the test needs more files", i, chunks)
		}
	}
	if k.hits != 10 {
		t.Fatalf("killed %d times", k.hits)
	}
	k.set(0, 0, false)
	m.backup()
	m.must("check", "--read-data")
	for name, files := range f.objects(t) {
		if files != 1 {
			t.Errorf("there are %d files of %s", files, name)
		}
	}
	other := newMachine(t)
	other.env = append(other.env, "COFFER_DRIVE_ENDPOINT="+f.url+"/drive/v3/")
	other.join(s, digits)
	same(t, files, other.restore(files))
	m.keepsSecrets(s.secrets, f.download(t))
	wasted(t, f, 10)
}

// objects returns how many files there are of each object, all of which must be what
// their names say.
func (f *front) objects(t *testing.T) map[string]int {
	t.Helper()
	objects := map[string]int{}
	for _, x := range f.Files() {
		if !cloud.ValidName(x.Name) {
			continue // the folder
		}
		objects[x.Name]++
		sum := sha256.Sum256(f.Data(x.ID))
		if _, digits, found := strings.Cut(x.Name, "-"); found && hex.EncodeToString(sum[:])[:40] != digits {
			t.Errorf("%s has the hash %x", x.Name, sum)
		}
	}
	if len(objects) < 5 {
		t.Fatalf("there are only %d objects", len(objects))
	}
	return objects
}

// wasted requires that the kills made little be sent twice: less than a chunk each.
func wasted(t *testing.T, f *front, kills int64) {
	t.Helper()
	received, resent := f.Resent()
	var kept int64
	for _, x := range f.Files() {
		if x.Size > 256<<10 { // smaller ones are not sent in chunks
			kept += x.Size
		}
	}
	counts := f.Counts()
	t.Logf("%d MiB of chunks arrived for %d MiB of objects: %.1f MiB in vain, %.1f MiB of them again to the same session; %d sessions, %d were asked how far they are",
		received>>20, kept>>20, float64(received-kept)/(1<<20), float64(resent)/(1<<20), counts[drivetest.Session], counts[drivetest.Status])
	if counts[drivetest.Status] == 0 {
		t.Errorf("no session was ever asked how far it is: none went on after a kill")
	}
	if received-kept > kills*chunk {
		t.Errorf("%d bytes arrived in vain, more than a chunk for each kill", received-kept)
	}
}
