package places

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"coffer/cloud/drive/drivetest"
)

// treeOf makes a small tree for a machine.
func (m *machine) treeOf(seed string) string {
	m.Helper()
	dir := filepath.Join(scratch(m.T), "tree of "+seed)
	plant(m.T, dir, seed, 120)
	return dir
}

// more changes a tree, so that there is something to store.
func more(t *testing.T, dir, name string) {
	t.Helper()
	data := make([]byte, 400_000)
	_, _ = noise(name).Read(data) // never fails
	must(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
}

// says requires that what was said contains all of the words.
func (a answer) says(t *testing.T, words ...string) {
	t.Helper()
	text, _ := a.record("error")["message"].(string)
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("the sentence %q does not name %q", text, word)
		}
	}
}

// place is the id of the only place.
func (m *machine) place() string {
	m.Helper()
	a := m.must("--json", "place", "list")
	id, _ := a.record("place")["id"].(string)
	if len(id) != 8 {
		m.Fatalf("place list: no id in\n%s", a.out)
	}
	return id
}

// wholeAgain requires a backup to succeed and everything to be there, the oldest
// snapshot too.
func (m *machine) wholeAgain(files string) {
	m.Helper()
	m.backup()
	m.must("check", "--read-data")
	same(m.T, files, m.restore(files))
}

// TestDriveTroubles: what Google may say, each by its sentence, and then it goes on.
func TestDriveTroubles(t *testing.T) {
	begin(t)
	t.Parallel()
	f := startDrive(t)
	m := newMachine(t)
	s := f.site(m, drivetest.Alice())
	files := m.treeOf("troubles")
	m.setUp(s, files)
	m.backup()
	id := m.place()

	// The account is full: nothing more, but everything can be read.
	more(t, files, "too much")
	f.Limit = 1
	m.refused("place-full", "backup").says(t, "full")
	same(t, filepath.Join(files, "deep"), filepath.Join(m.restore(files), "deep"))
	f.Limit = 0
	m.wholeAgain(files)

	// Somebody put the folder into the trash.
	more(t, files, "after the trash")
	f.Trash(f.folder(t), true)
	m.refused("place-trashed", "backup").says(t, "trash")
	m.must("place", "restore-folder", id)
	m.wholeAgain(files)

	// The sign-in was revoked. A new one, of the same account only.
	more(t, files, "after the sign-in")
	f.RevokeAll()
	m.refused("place-sign-in", "backup").says(t, drivetest.Alice().Email)
	m.refused("place-account", "place", "change", id, "--drive-token-file", m.file("bob", f.SignedIn(drivetest.Bob())))
	again := f.SignedIn(drivetest.Alice())
	m.must("place", "change", id, "--drive-token-file", m.file("again", again))
	m.wholeAgain(files)

	// A client that Google does not know any more.
	f.Plan(drivetest.Fault{Op: drivetest.Token, Kind: drivetest.Refuse, Status: 401, Reason: "invalid_client", Times: 2})
	if a := m.run("--json", "backup"); a.status == 0 {
		t.Error("a backup without a way to sign in was done")
	}
	f.Heal()
	m.wholeAgain(files)
	m.keepsSecrets(append(s.secrets, again), f.download(t))
}

// TestUnpluggedDisk: a disk that is pulled out, and plugged in again; before a backup and
// in the middle of one.
func TestUnpluggedDisk(t *testing.T) {
	begin(t)
	t.Parallel()
	m := newMachine(t)
	disk := filepath.Join(t.TempDir(), "disk")
	must(t, os.Mkdir(disk, 0o755))
	files := m.treeOf("disk")
	m.setUp(site{dest: filepath.Join(disk, "Backups")}, files)
	m.backup()
	more(t, files, "new")
	must(t, os.Rename(disk, disk+" in a drawer"))
	a := m.run("--json", "backup")
	if code := a.record("error")["code"]; a.status != 1 || code != "place-missing" && code != "place-offline" {
		t.Fatalf("backup without its disk: %d, %v", a.status, code)
	}
	must(t, os.Mkdir(disk, 0o755)) // an empty mount point
	if a := m.run("--json", "backup"); a.status != 1 || a.record("error") == nil {
		t.Fatalf("backup into an empty mount point: %d\n%s", a.status, a.out)
	}
	if left, err := os.ReadDir(disk); err != nil || len(left) != 0 {
		t.Fatalf("%d things were made in an empty mount point, %v", len(left), err)
	}
	must(t, os.Remove(disk))
	must(t, os.Rename(disk+" in a drawer", disk))
	m.wholeAgain(files)
}

// TestChangedHostKey: the server shows another key. Nothing is sent to it before the
// user has looked at it.
func TestChangedHostKey(t *testing.T) {
	begin(t)
	t.Parallel()
	server := startSSH(t)
	m := newMachine(t)
	s := server.site(m)
	files := m.treeOf("host")
	known := server.fingerprint(t)

	// One that was never met.
	key := append([]string{"setup", "--to", s.dest, "--new-key", "--keep-key", "file", "--ssh-key", server.key}, files)
	m.refused("place-new-host", key...).says(t, known)
	m.setUp(s, files)
	m.backup()

	more(t, files, "new")
	server.stop()
	server.newHostKey(t)
	server.start()
	offered := server.fingerprint(t)
	m.refused("place-host-key", "backup").says(t, offered, known)
	m.refused("place-host-key", "restore", "latest", "--target", filepath.Join(t.TempDir(), "x"))
	m.refused("place-host-key", "place", "change", m.place(), "--host-key", known)
	m.must("place", "change", m.place(), "--host-key", offered)
	m.wholeAgain(files)
	m.keepsSecrets(s.secrets, server.files)
}

// TestWrongCertificate: a certificate that nobody vouches for, until somebody does; and
// then another one.
func TestWrongCertificate(t *testing.T) {
	begin(t)
	for kind, start := range map[string]func(m *machine) (site, []byte){
		"s3":     func(m *machine) (site, []byte) { server := startS3(m.T, true); return server.site(m), server.ca },
		"webdav": func(m *machine) (site, []byte) { server := startDAV(m.T, true); return server.site(m), server.ca },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			s, ca := start(m)
			files := m.treeOf(kind)
			args := append([]string{"setup", "--to", s.dest, "--new-key", "--keep-key", "file"}, s.flags...)
			m.refused("place-certificate", append(args, files)...).says(t, "127.0.0.1")
			m.must("network", "--ca-file", m.file("ca.pem", string(ca)))
			m.setUp(s, files)
			m.backup()
			more(t, files, "new")
			other := filepath.Join(t.TempDir(), "other")
			m.must("network", "--ca-file", m.file("other.pem", string(certify(t, other, other+".key"))))
			m.refused("place-certificate", "backup").says(t, "127.0.0.1")
			m.must("network", "--ca-file", m.file("ca.pem", string(ca)))
			m.wholeAgain(files)
			m.keepsSecrets(s.secrets, s.content(t))
		})
	}
}

// TestWrongSecrets: the password of the place is wrong, and then right.
func TestWrongSecrets(t *testing.T) {
	begin(t)
	for kind, wrong := range map[string]func(m *machine) []string{
		"s3": func(m *machine) []string { return []string{"--secret-key-file", m.file("wrong", "not the secret key")} },
		"webdav": func(m *machine) []string {
			return []string{"--place-password-file", m.file("wrong", "not the password")}
		},
		"sftp": func(m *machine) []string {
			newSSHKey(m.T, filepath.Join(m.home, "stranger"))
			return []string{"--ssh-key", filepath.Join(m.home, "stranger")}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			s := sites()[kind](m)
			files := m.treeOf(kind)
			args := append([]string{"setup", "--to", s.dest, "--new-key", "--keep-key", "file"}, s.flags...)
			m.refused("place-sign-in", append(append(args, wrong(m)...), files)...)
			m.setUp(s, files)
			m.backup()
			m.refused("place-sign-in", append([]string{"place", "change", m.place()}, wrong(m)...)...)
			m.wholeAgain(files)
			m.keepsSecrets(append(s.secrets, "not the secret key", "not the password"), s.content(t))
		})
	}
}

// TestServerStopsAndComesBack: the server goes away in the middle of a backup and is
// back a moment later; one that is stopped by its user then says so, and goes on.
func TestServerStopsAndComesBack(t *testing.T) {
	begin(t)
	for kind, start := range map[string]func(m *machine) (site, *server){
		"s3":     func(m *machine) (site, *server) { server := startS3(m.T, false); return server.site(m), server.server },
		"webdav": func(m *machine) (site, *server) { server := startDAV(m.T, false); return server.site(m), server.server },
		"sftp":   func(m *machine) (site, *server) { server := startSSH(m.T); return server.site(m), server.server },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			s, server := start(m)
			files := m.treeOf(kind)
			m.setUp(s, files)
			m.backup()
			for i := range 8 {
				more(t, files, "film "+string(rune('a'+i)))
			}
			server.stop()
			cmd := m.command(t.Context(), "--json", "backup")
			var a answer
			var done sync.WaitGroup
			done.Go(func() { a = m.finish(cmd) })
			until(t, "the first try has failed", func() bool { return m.logged("request failed, trying again") })
			server.start()
			done.Wait()
			if a.status != 0 {
				t.Fatalf("backup over a server that was away for a moment: %d\n%s\n%s", a.status, a.out, a.err)
			}
			m.wholeAgain(files)
		})
	}
}

// logged reports whether a line of the machine's log holds the words.
func (m *machine) logged(words string) bool {
	text, err := os.ReadFile(filepath.Join(m.profile, "log", "coffer.log"))
	return err == nil && strings.Contains(string(text), words)
}

// TestServerThatHangs: a server takes connections and never says a word. Ctrl-C ends the
// backup at once; nothing is lost, and when the server speaks again it goes on.
func TestServerThatHangs(t *testing.T) {
	begin(t)
	for kind, start := range map[string]func(m *machine) (site, *server){
		"s3":     func(m *machine) (site, *server) { server := startS3(m.T, false); return server.site(m), server.server },
		"webdav": func(m *machine) (site, *server) { server := startDAV(m.T, false); return server.site(m), server.server },
		"sftp":   func(m *machine) (site, *server) { server := startSSH(m.T); return server.site(m), server.server },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			s, server := start(m)
			files := m.treeOf(kind)
			m.setUp(s, files)
			m.backup()
			more(t, files, "new")
			server.stop()
			met, speak := hang(t, server.port)
			cmd := m.command(t.Context(), "--json", "backup")
			var a answer
			var done sync.WaitGroup
			done.Go(func() { a = m.finish(cmd) })
			<-met
			began := time.Now()
			must(t, cmd.Process.Signal(syscall.SIGINT))
			done.Wait()
			if a.status != 130 || a.record("error")["code"] != "canceled" {
				t.Fatalf("stopped while the server hung: %d\n%s\n%s", a.status, a.out, a.err)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v to stop", took)
			}
			speak()
			server.start()
			m.wholeAgain(files)
		})
	}
}

// hang listens on a port and says nothing, until stop is called. met is closed when
// somebody has come.
func hang(t *testing.T, port string) (met <-chan struct{}, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	must(t, err)
	came := make(chan struct{})
	var taking sync.WaitGroup
	taking.Go(func() {
		var conns []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				break // it is closed
			}
			if conns = append(conns, conn); len(conns) == 1 {
				close(came)
			}
		}
		for _, conn := range conns {
			conn.Close()
		}
	})
	stop = func() {
		l.Close()
		taking.Wait()
	}
	t.Cleanup(stop)
	return came, stop
}
