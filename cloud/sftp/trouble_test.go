package sftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

// operations are all that a Driver does, on an object that is there and one
// that is not.
func operations(d *Driver, there, fresh []byte) map[string]func(context.Context) error {
	name := cloud.Name("pack", there)
	return map[string]func(context.Context) error{
		"put":       func(ctx context.Context) error { return d.Put(ctx, cloud.Name("pack", fresh), cloud.Bytes(fresh)) },
		"put again": func(ctx context.Context) error { return d.Put(ctx, name, cloud.Bytes(there)) },
		"get":       func(ctx context.Context) error { _, err := read(ctx, d, name); return err },
		"list":      func(ctx context.Context) error { _, err := names(ctx, d); return err },
		"stat":      func(ctx context.Context) error { _, err := d.Stat(ctx, name); return err },
		"delete":    func(ctx context.Context) error { return d.Delete(ctx, cloud.Name("pack", fresh)) },
		"capacity":  func(ctx context.Context) error { _, err := d.Capacity(ctx); return err },
		"maintain":  func(ctx context.Context) error { _, err := d.Maintain(ctx); return err },
	}
}

// TestHangs: the server stops at one step, for one operation after the other.
// Each ends with its context, leaves no goroutine, and the next works.
func TestHangs(t *testing.T) {
	steps := []string{
		"open", "close", "read", "write", "lstat", "stat", "opendir", "readdir", "remove", extFsync, extHardlink, extStatvfs,
	}
	for _, step := range steps {
		for _, all := range []bool{false, true} { // from then on, this kind of request or all of them
			t.Run(fmt.Sprintf("%s all %v", step, all), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { hangAtStep(t, step, all) })
			})
		}
	}
}

func hangAtStep(t *testing.T, step string, all bool) {
	s := newServer(t)
	s.announceToo = []string{extFsync}
	var hung, fell atomic.Bool
	s.request = func(kind byte, ext string) deed {
		if hung.Load() && (opName(kind) == step || ext != "" && ext == step || all && fell.Load()) {
			fell.Store(true)
			return swallow
		}
		if ext == extFsync {
			return nothingOK // the library's server has none
		}
		return serve
	}
	d := s.open(s.config())
	there := content(1, 300_000)
	mustPut(t, d, there)
	falls := 0
	for name := range operations(d, nil, nil) {
		fresh := content(len(name), 200_000)
		do := operations(d, there, fresh)[name]
		hung.Store(true)
		fell.Store(false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		began := time.Now()
		err := do(ctx)
		took := time.Since(began)
		cancel()
		if fell.Load() {
			falls++
		}
		if took > time.Minute+2*farewell {
			t.Errorf("%s took %s", name, took)
		}
		if name != "put" && fell.Load() && step != "close" && step != "remove" && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		hung.Store(false)
		began = time.Now()
		if err := do(t.Context()); err != nil {
			t.Errorf("%s after the server came back: %v", name, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s after the server came back took %s", name, took)
		}
	}
	if falls == 0 {
		t.Errorf("nothing asks for %s", step)
	}
	wantData(t, d, cloud.Name("pack", there), there)
}

// TestHangsOnTheWay: the server stops before there is a channel.
func TestHangsOnTheWay(t *testing.T) {
	for _, step := range []string{"dial", "greeting", "channel", "subsystem", "version", "agent"} {
		for _, patient := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", step, patient), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { hangOnTheWay(t, step, patient) })
			})
		}
	}
}

func hangOnTheWay(t *testing.T, step string, patient bool) {
	s := newServer(t)
	s.hang.Store(step)
	c := s.config()
	if step == "agent" {
		s.users = []ssh.PublicKey{s.keys[0].PublicKey()}
		c.Agent = func(context.Context) (net.Conn, error) {
			here, _ := memoryPipe()
			return here, nil
		}
	}
	d := s.open(c)
	limit := 20 * time.Second
	if patient {
		limit = 10 * time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	_, err := d.Stat(ctx, cloud.Name("pack", nil))
	switch took := time.Since(began); {
	case patient: // our own limit
		wantIs(t, step, err, cloud.ErrOffline)
		if took != handshake {
			t.Errorf("took %s", took)
		}
	case took != limit || !errors.Is(err, context.DeadlineExceeded):
		t.Errorf("%v after %s", err, took)
	}
	s.hang.Store("")
	if step == "agent" {
		s.users = nil
		d.config.Agent = pipeAgent(agent.NewKeyring())
	}
	if _, err := d.Stat(t.Context(), cloud.Name("pack", nil)); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("after the server came back: %v", err)
	}
}

// TestDeadLine: nothing comes any more, and no error either. The driver notices
// by itself.
func TestDeadLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		var dead atomic.Bool
		c := s.config()
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := s.dial(ctx, network, address)
			return &deadConn{conn, &dead}, err
		}
		d := s.open(c)
		name := mustPut(t, d, content(1, 1000))
		dead.Store(true)
		began := time.Now()
		_, err := d.Stat(t.Context(), name)
		wantIs(t, "stat on a dead line", err, cloud.ErrOffline)
		if took := time.Since(began); took > pulse+silence+time.Second {
			t.Errorf("noticed after %s", took)
		}
		dead.Store(false)
		wantData(t, d, name, content(1, 1000))
	})
}

// deadConn swallows what is written while it is dead.
type deadConn struct {
	net.Conn
	dead *atomic.Bool
}

func (c *deadConn) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// TestIdleLinkIsGivenBack: and a link that is in use is not, for as long as it is.
func TestIdleLinkIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		d := s.open(s.config())
		name := mustPut(t, d, content(1, 5<<20))
		r, err := d.Get(t.Context(), name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		got := new(bytes.Buffer)
		if _, err := got.ReadFrom(r); err != nil || !bytes.Equal(got.Bytes(), content(1, 5<<20)) {
			t.Fatalf("%d bytes, %v", got.Len(), err)
		}
		_ = r.Close()
		if s.dials() != 1 {
			t.Errorf("%d connections", s.dials())
		}
		link := d.link
		time.Sleep(idle + 2*pulse)
		<-link.done
		wantData(t, d, name, content(1, 5<<20))
		if s.dials() != 2 {
			t.Errorf("%d connections", s.dials())
		}
	})
}

// TestReconnections: the line to OpenSSH breaks in the middle of an upload, and of
// a download, five times.
func TestReconnections(t *testing.T) {
	t.Parallel()
	srv := startSSHD(t)
	folder := t.TempDir()
	c := srv.config(folder)
	var mu sync.Mutex
	var last net.Conn
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		mu.Lock()
		defer mu.Unlock()
		last = conn
		return conn, err
	}
	cut := func() {
		mu.Lock()
		defer mu.Unlock()
		_ = last.Close()
	}
	d := mustOpen(t, c)
	mustPut(t, d, content(0, 10))
	for i := range 5 {
		data := content(i+1, 8<<20)
		name := cloud.Name("pack", data)
		err := d.Put(t.Context(), name, cutting{cloud.Bytes(data), cut})
		wantIs(t, "upload on a line that breaks", err, cloud.ErrOffline)
		mustPut(t, d, data)
		r, err := d.Get(t.Context(), name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		cut()
		if _, err := new(bytes.Buffer).ReadFrom(r); !errors.Is(err, cloud.ErrOffline) {
			t.Fatalf("download on a line that breaks: %v", err)
		}
		_ = r.Close()
		wantData(t, d, name, data)
	}
	mustPut(t, d, content(99, 10))
	if left := files(t, folder); len(left) != 7 {
		t.Errorf("left: %q", left)
	}
}

// cutting breaks the line in the middle.
type cutting struct {
	cloud.Source
	cut func()
}

func (c cutting) ReadAt(p []byte, off int64) (int, error) {
	if off > c.Size()/2 {
		c.cut()
	}
	return c.Source.ReadAt(p, off)
}

// storm picks deeds at random.
type storm struct {
	mu     sync.Mutex
	random *rand.Rand // guarded by mu
	rate   float64    // guarded by mu
	fired  int        // guarded by mu
}

func (s *storm) strike() (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.random.Float64() >= s.rate {
		return 0, false
	}
	s.fired++
	return s.random.IntN(1 << 20), true
}

func (s *storm) request(kind byte, _ string) deed {
	n, hit := s.strike()
	if !hit {
		return serve
	}
	deeds := []deed{swallow, cutBefore, cutAfter, swallowDone, refuseIt, refuseAs, refuseDone}
	if kind == kindOpen { // a file that was made and denied could not be ours
		deeds = deeds[:len(deeds)-1]
	}
	return deeds[n%len(deeds)]
}

// reply spoils an answer: too short, too long, of another kind, for another
// request, other bytes.
func (s *storm) reply(_ byte, _ string, packet []byte) []byte {
	n, hit := s.strike()
	if !hit {
		return packet
	}
	b := bytes.Clone(packet)
	switch n % 5 {
	case 0:
		return sealed(b[:9+n/5%(len(b)-9)])
	case 1:
		return sealed(append(b, "more"...))
	case 2:
		b[4] = byte(n / 5)
	case 3:
		b[5] ^= 0x80
	case 4:
		b[0] = 0x7f // a length of two gigabytes
	}
	return b
}

// TestRandomFaults: a Store gets every answer right while the server, the line and
// the answers fail in all ways, at least 300 times (100 with the race detector).
func TestRandomFaults(t *testing.T) {
	faults := 300
	if cloudtest.Race {
		faults = 100
	}
	for _, seed := range []uint64{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t)
			w := &storm{random: rand.New(rand.NewPCG(seed, seed)), rate: 0.06}
			s.request, s.reply = w.request, w.reply
			d := s.open(s.config())
			place := cloud.New(d, cloud.Options{Budget: time.Hour})
			kept := map[string][]byte{}
			for round := 0; w.count() < faults; round++ {
				if round > 2000 {
					t.Fatalf("only %d faults", w.count())
				}
				stormRound(t, place, round, kept)
			}
			w.calm()
			calmAfter(t, s, d, kept)
		})
	}
}

func (s *storm) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fired
}

func (s *storm) calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate = 0
}

// patiently calls f again where a Store gives up: damage twice in a row, a
// refusal that no class fits, a denial that was made up.
func patiently(f func() error) error {
	err := f()
	for tries := 0; err != nil && tries < 50; tries++ {
		err = f()
	}
	return err
}

func stormRound(t *testing.T, place *cloud.Store, round int, kept map[string][]byte) {
	t.Helper()
	data := content(round, []int{0, 1000, 100 << 10, 1<<19 + 5}[round%4])
	name := cloud.Name("pack", data)
	if err := patiently(func() error { return place.Put(t.Context(), name, data) }); err != nil {
		t.Fatalf("round %d, put: %v", round, err)
	}
	kept[name] = data
	for other, want := range kept {
		var got []byte
		err := patiently(func() (err error) { got, err = place.Get(t.Context(), other); return err })
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("round %d, get: %d of %d bytes, %v", round, len(got), len(want), err)
		}
		break
	}
	if round%5 == 4 {
		for gone := range kept {
			if err := patiently(func() error { return place.Delete(t.Context(), gone) }); err != nil {
				t.Fatalf("round %d, delete: %v", round, err)
			}
			delete(kept, gone)
			break
		}
	}
	var listed []string
	err := patiently(func() error {
		listed = nil
		for o, err := range place.List(t.Context(), "") {
			if err != nil {
				return err
			}
			listed = append(listed, o.Name)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("round %d, list: %v", round, err)
	}
	for name := range kept {
		if !slices.Contains(listed, name) {
			t.Fatalf("round %d: list lacks %s", round, name)
		}
	}
}

// calmAfter: another device finds every object whole, and nothing else.
func calmAfter(t *testing.T, s *server, d *Driver, kept map[string][]byte) {
	t.Helper()
	data := content(-1, 10)
	kept[mustPut(t, d, data)] = data
	other := s.open(s.config())
	for name, data := range kept {
		wantData(t, other, name, data)
	}
	found, err := names(t.Context(), other)
	if err != nil || len(found) != len(kept) {
		t.Errorf("%d objects, want %d; %v", len(found), len(kept), err)
	}
	age(t, s.root)
	if _, err := other.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := files(t, s.root); len(left) != len(kept) {
		t.Errorf("%d files, want %d", len(left), len(kept))
	}
}

// age makes all temporary files two days old.
func age(t *testing.T, folder string) {
	t.Helper()
	for _, name := range files(t, folder) {
		if isTemp(name) {
			old := realNow().Add(-48 * time.Hour)
			if err := os.Chtimes(filepath.Join(folder, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// realNow is the time of the file system: in a bubble the clock is another.
func realNow() time.Time {
	f, err := os.CreateTemp("", "coffer-clock-")
	if err != nil {
		panic(err)
	}
	defer os.Remove(f.Name())
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	_ = f.Close()
	return info.ModTime()
}

func TestMaintain(t *testing.T) {
	s := newServer(t)
	d := s.open(s.config())
	kept := mustPut(t, d, content(1, 10))
	temp := func(digit string) string { return filepath.Join(s.root, tempPrefix+strings.Repeat(digit, tempDigits)) }
	for _, path := range []string{temp("a"), temp("b"), temp("c"), temp("A"), filepath.Join(s.root, "old")} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(temp("d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{temp("a"), temp("b"), temp("A"), temp("d"), filepath.Join(s.root, "old"), filepath.Join(s.root, kept)} {
		old := time.Now().Add(-25 * time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{2, 0} {
		if tidied, err := d.Maintain(t.Context()); err != nil || tidied != want {
			t.Fatalf("tidied %d, want %d; %v", tidied, want, err)
		}
	}
	if left := files(t, s.root); len(left) != 5 {
		t.Fatalf("left: %q", left)
	}
}

func TestFolderOfThePlace(t *testing.T) {
	s := newServer(t)
	name := cloud.Name("pack", []byte("x"))
	if err := os.WriteFile(filepath.Join(s.root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, create := range map[string]bool{"missing": false, "missing/deep": true, "file": true} {
		c := s.config()
		c.Path, c.Create = path, create
		_, err := s.open(c).Stat(t.Context(), name)
		wantIs(t, path, err, cloud.ErrNoPlace)
	}
	c := s.config()
	c.Path, c.Create = "new", true
	d := s.open(c)
	mustPut(t, d, []byte("x"))
	if err := os.Rename(filepath.Join(s.root, "new"), filepath.Join(s.root, "moved")); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"put":    d.Put(t.Context(), cloud.Name("pack", []byte("y")), cloud.Bytes([]byte("y"))),
		"delete": d.Delete(t.Context(), name),
		"list":   func() error { _, err := names(t.Context(), d); return err }(),
		"get":    func() error { _, err := d.Get(t.Context(), name, 0, -1); return err }(),
	} {
		wantIs(t, what+" in a folder that was moved away", err, cloud.ErrNoPlace)
	}
}

// TestRefusals: what the server says, and what the caller hears.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*server)
		want   error
	}{
		"no sftp":      {func(s *server) { s.refuse = true }, cloud.ErrUnsupported},
		"denied":       {answering(kindOpen, codeDenied), cloud.ErrDenied},
		"read-only":    {answering(kindOpen, codeReadOnly), cloud.ErrReadOnly},
		"no space":     {answering(kindWrite, codeNoSpace), cloud.ErrFull},
		"quota":        {answering(kindWrite, codeQuota), cloud.ErrFull},
		"login script": {func(s *server) { s.reply = nil; s.greeting = "Welcome to this computer!\n" }, cloud.ErrUnsupported},
	} {
		s := newServer(t)
		test.change(s)
		d := s.open(s.config())
		err := d.Put(t.Context(), cloud.Name("pack", []byte("x")), cloud.Bytes([]byte("x")))
		wantIs(t, name, err, test.want)
		for _, left := range files(t, s.root) {
			t.Errorf("%s: %s is left", name, left)
		}
	}
}

// answering gives a code to every request of the kind.
func answering(kind byte, code uint32) func(*server) {
	return func(s *server) {
		s.reply = func(k byte, _ string, packet []byte) []byte {
			if k != kind {
				return packet
			}
			b := statusPacket(0, code)
			copy(b[5:9], packet[5:9])
			return b
		}
		s.request = func(k byte, _ string) deed {
			if k == kind && kind == kindOpen {
				return refuseWithReply
			}
			return serve
		}
	}
}

// TestFlush: an extension that fails once is not one that never works.
func TestFlush(t *testing.T) {
	s := newServer(t)
	fail := false
	s.announceToo = []string{extFsync}
	s.request = func(_ byte, ext string) deed {
		if ext != extFsync {
			return serve
		}
		if fail {
			return refuseIt
		}
		return nothingOK
	}
	d := s.open(s.config())
	mustPut(t, d, content(1, 10))
	if s.count(extFsync) != 1 {
		t.Fatalf("%d flushes", s.count(extFsync))
	}
	fail = true
	data := content(2, 10)
	err := d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data))
	if !isCode(err, codeFailure) {
		t.Fatalf("a flush that failed: %v", err)
	}
	if left := files(t, s.root); len(left) != 1 {
		t.Fatalf("left: %q", left)
	}
	before := s.count(extFsync)
	d = s.open(s.config()) // here it has never worked
	mustPut(t, d, data)
	mustPut(t, d, content(3, 10))
	if got := s.count(extFsync) - before; got != 2 { // the file, and a byte to be sure; then no more
		t.Fatalf("%d flushes", got)
	}
}

func TestClosed(t *testing.T) {
	s := newServer(t)
	d := s.open(s.config())
	mustPut(t, d, content(1, 10))
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, do := range operations(d, content(1, 10), content(2, 10)) {
		wantIs(t, name, do(t.Context()), os.ErrClosed)
	}
	if s.dials() != 1 {
		t.Errorf("%d connections", s.dials())
	}
}
