package places

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// forms are the ways in which a secret may stand somewhere.
func forms(secret string) [][]byte {
	b := []byte(secret)
	return [][]byte{
		b, []byte(url.QueryEscape(secret)), []byte(url.PathEscape(secret)), []byte(hex.EncodeToString(b)), []byte(strings.ToUpper(hex.EncodeToString(b))),
		[]byte(base64.StdEncoding.EncodeToString(b)), []byte(base64.RawURLEncoding.EncodeToString(b)), []byte(strconv.Quote(secret)[1 : len(strconv.Quote(secret))-1]),
	}
}

// holds reports whether text holds the secret in one of its forms.
func holds(text []byte, secret string) bool {
	for _, form := range forms(secret) {
		if bytes.Contains(text, form) {
			return true
		}
	}
	return false
}

// keepsSecrets requires that none of the secrets stands in what the machine said, in
// its profile, or below any of the other folders.
func (m *machine) keepsSecrets(secrets []string, dirs ...string) {
	m.Helper()
	if len(secrets) == 0 {
		m.Fatal("no secret to look for")
	}
	for _, secret := range secrets {
		if len(secret) < 6 {
			m.Fatalf("a secret of %d characters is found everywhere", len(secret))
		}
		if holds(m.said.bytes(), secret) {
			m.Errorf("a secret (%s...) was printed", secret[:3])
		}
	}
	files := 0
	for _, dir := range append(dirs, m.profile) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for _, secret := range secrets {
				if holds(data, secret) || holds([]byte(path), secret) {
					m.Errorf("a secret (%s...) stands in %s", secret[:3], path)
				}
			}
			return nil
		})
		must(m.T, err)
	}
	if files < 3 {
		m.Fatalf("looked for secrets in only %d files", files)
	}
}

// A lookout reads the arguments of this test's children, again and again, as any
// other user of the computer can.
type lookout struct {
	stop chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	seen map[string]bool // guarded by mu; arguments of processes
}

// look begins to look, until the test ends or arguments are asked for.
func look(t *testing.T) *lookout {
	t.Helper()
	l := &lookout{stop: make(chan struct{}), seen: map[string]bool{}}
	l.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				l.sample()
			}
		}
	})
	t.Cleanup(l.end)
	return l
}

func (l *lookout) end() {
	l.mu.Lock()
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.mu.Unlock()
	l.done.Wait()
}

// sample reads the arguments of all descendants of this process.
func (l *lookout) sample() {
	for _, pid := range descendants(strconv.Itoa(os.Getpid()), 10) {
		text, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		if err != nil || len(text) == 0 {
			continue // it has ended
		}
		l.mu.Lock()
		l.seen[string(text)] = true
		l.mu.Unlock()
	}
}

// descendants returns the children of a process, and theirs.
func descendants(pid string, depth int) []string {
	lists, err := filepath.Glob("/proc/" + pid + "/task/*/children")
	if err != nil || depth == 0 {
		return nil
	}
	var all []string
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, child := range strings.Fields(string(text)) {
			all = append(append(all, child), descendants(child, depth-1)...)
		}
	}
	return all
}

// clean requires that none of the secrets was an argument, and that some were read.
func (l *lookout) clean(t *testing.T, secrets []string) {
	t.Helper()
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	coffer := 0
	for args := range l.seen {
		if strings.Contains(args, "\x00-C\x00") {
			coffer++
		}
		for _, secret := range secrets {
			if holds([]byte(args), secret) {
				t.Errorf("a secret (%s...) is an argument of %q", secret[:3], strings.ReplaceAll(args, "\x00", " "))
			}
		}
	}
	if coffer == 0 {
		t.Fatalf("saw no arguments of coffer among %d", len(l.seen))
	}
}
