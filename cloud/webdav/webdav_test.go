package webdav_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	dav "golang.org/x/net/webdav"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/webdav"
)

// eachFolder opens a new folder of one server for each check.
func eachFolder(c webdav.Config) func(*testing.T) cloud.Driver {
	var count atomic.Int64
	return func(t *testing.T) cloud.Driver {
		c := c
		c.Address = strings.TrimSuffix(c.Address, "/") + fmt.Sprintf("-%d/", count.Add(1))
		return mustOpen(t, c)
	}
}

func TestConformance(t *testing.T) {
	for name, server := range map[string]func(*testing.T) webdav.Config{
		"InProcess": inProcess,
		"Lagging":   lagging,
		"Clumsy":    clumsy,
		"Apache":    func(t *testing.T) webdav.Config { return apache(t, "Digest", 300).config() },
		"Rclone":    rcloneServer,
	} {
		t.Run(name, func(t *testing.T) { cloudtest.Run(t, eachFolder(server(t))) })
	}
}

// lagging is a server whose listings do not show what is younger than three
// listings.
func lagging(*testing.T) webdav.Config {
	c := inBubble(dav.NewMemFS())
	c.Transport = &lag{next: c.Transport, seen: map[string]int{}}
	return c
}

// lag hides fresh names from PROPFIND.
type lag struct {
	next http.RoundTripper

	mu   sync.Mutex
	seen map[string]int // guarded by mu; how often an item was in a listing
}

func (l *lag) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(req)
	if err != nil || req.Method != "PROPFIND" || req.Header.Get("Depth") != "1" {
		return res, err
	}
	return rewrite(res, func(text string) string {
		l.mu.Lock()
		defer l.mu.Unlock()
		parts := strings.Split(text, "<D:response>")
		kept := parts[:1]
		for i, part := range parts[1:] {
			href, _, _ := strings.Cut(part, "</D:href>")
			if l.seen[href]++; i == 0 || l.seen[href] > 3 { // the first is the folder
				kept = append(kept, strings.TrimSuffix(part, "</D:multistatus>"))
			}
		}
		return strings.Join(kept, "<D:response>") + "</D:multistatus>"
	})
}

// clumsy is a server that takes what RFC 4918 leaves open the other way: no
// ranges, no length in HEAD, absolute and oddly encoded hrefs, sizes missing.
func clumsy(*testing.T) webdav.Config {
	c := inBubble(dav.NewMemFS())
	h := guarded(handler(dav.NewMemFS()))
	next := local{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		h.ServeHTTP(w, r)
	})}
	c.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
		res, err := next.RoundTrip(req)
		if err != nil || req.Method != "PROPFIND" {
			return res, err
		}
		return rewrite(res, func(text string) string {
			text = strings.ReplaceAll(text, "<D:href>/dav/", "<D:href> https://internal.example:8443/%64av/")
			text = strings.ReplaceAll(text, "index-", "inde%78%2d")
			return strings.NewReplacer("<D:", "<x:", "</D:", "</x:", "xmlns:D", "xmlns:x").Replace(text)
		})
	})
	return c
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestFreshNamesAreListed: where the server is one computer, at once.
func TestFreshNamesAreListed(t *testing.T) {
	for name, server := range map[string]func(*testing.T) webdav.Config{
		"InProcess": inProcess,
		"Apache":    func(t *testing.T) webdav.Config { return apache(t, "Digest", 300).config() },
		"Rclone":    rcloneServer,
	} {
		t.Run(name, func(t *testing.T) {
			d := mustOpen(t, server(t))
			for i := range 20 {
				one := mustPut(t, d, content(i, i))
				if found := names(t, d); len(found) != i+1 || found[one] != int64(i) {
					t.Fatalf("after %d: %v", i, found)
				}
			}
		})
	}
}

func TestFaultyDriver(t *testing.T) {
	cloudtest.RunFaulty(t, func(t *testing.T) *cloudtest.Faulty {
		return cloudtest.NewRandom(t, mustOpen(t, inBubble(dav.NewMemFS())), 7, 0.4)
	})
}

// inBubble is a place in memory, without a connection.
func inBubble(fs dav.FileSystem) webdav.Config {
	return webdav.Config{
		Address: "https://cloud.example.org/dav/backup/", User: testUser, Password: password, Create: true,
		Transport: local{guarded(handler(fs))},
	}
}
