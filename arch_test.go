package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "coffer/"

// mayImport is policy, not a record of what happens to compile: never change it
// to make a build pass. A new line, or a new name in a line, is a commit of its
// own that says why. "x": {"y"} lets package x import package y of ours.
var mayImport = map[string][]string{
	// Leaves: what they do could be a module of its own.
	"crypto/aead":      {},
	"crypto/opaque":    {},
	"crypto/hpke":      {},
	"crypto":           {"crypto/aead"},
	"internal/durable": {},
	"assets":           {},

	// Places that keep objects. They see sealed bytes only.
	"cloud":                 {},
	"cloud/cloudtest":       {"cloud"},
	"cloud/folder":          {"cloud", "internal/durable"},
	"cloud/drive":           {"cloud", "internal/durable"},
	"cloud/drive/drivetest": {},
	"cloud/transport":       {"cloud"},
	"cloud/icloud":          {"cloud", "cloud/folder", "internal/durable"},
	"cloud/s3":              {"cloud"},
	"cloud/webdav":          {"cloud"},
	"cloud/rclone":          {"cloud", "cloud/webdav"},
	"cloud/sftp":            {"cloud"},

	// The vault: its client may know what a root key is, its server may not.
	"vault/protocol":                   {},
	"vault":                            {"crypto", "crypto/aead", "crypto/hpke", "crypto/opaque", "vault/attest", "vault/protocol", "vault/trust"},
	"vault/server":                     {"crypto/aead", "crypto/opaque", "vault/protocol", "vault/server/store", "vault/server/seal"},
	"vault/server/store":               {},
	"vault/server/store/bolt":          {"vault/server/store"},
	"vault/server/store/storetest":     {"vault/server/store"},
	"vault/server/store/etcd":          {"vault/server/store"},
	"vault/server/store/etcd/etcdtest": {},
	"vault/server/seal":                {"crypto/aead", "crypto/opaque"},
	"vault/server/seal/sealtest":       {"crypto/opaque", "vault/server/seal"},
	"vault/server/seal/pkcs11":         {"crypto/aead", "crypto/opaque", "vault/server/seal"},
	"vault/server/seal/tpm":            {"crypto/aead", "crypto/opaque", "vault/attest", "vault/server/seal", "vault/server/store", "vault/server/store/bolt"},
	"vault/attest":                     {},
	"vault/trust":                      {"crypto/aead", "vault/protocol"},
	"vault/vaulttest":                  {"crypto", "crypto/aead", "crypto/hpke", "crypto/opaque", "vault/attest", "vault/protocol", "vault/trust"},
	"vault/server/admit":               {"crypto/aead", "vault/protocol", "vault/server/seal", "vault/server/store"},
	"vault/server/gate":                {"crypto/aead", "crypto/hpke", "vault/protocol", "vault/server", "vault/server/admit"},
	"vault/server/node": {"crypto/aead", "crypto/hpke", "crypto/opaque", "internal/durable", "vault/protocol", "vault/trust", "vault/server",
		"vault/server/admit", "vault/server/gate", "vault/server/seal", "vault/server/seal/pkcs11", "vault/server/seal/tpm",
		"vault/server/store", "vault/server/store/bolt", "vault/server/store/etcd"},
	"vault/server/seal/tpm/tpmtest": {},
	"vault/server/admit/oidctest":   {"crypto/aead"},
	"internal/signin":               {},
	"vault/embedded":                {"crypto/aead", "crypto/opaque", "internal/durable", "vault/protocol", "vault/server", "vault/server/seal", "vault/server/store/bolt"},

	// What Coffer does. "crypto/aead" in app is for random names and for the sealed secrets of places.
	"app/source":  {},
	"app/target":  {"app/source"},
	"app/repo":    {"cloud", "crypto"},
	"app":         {"app/repo", "app/source", "app/target", "cloud", "crypto", "crypto/aead", "internal/durable", "vault", "vault/embedded", "vault/trust"},
	"app/apptest": {"app", "cloud", "cloud/cloudtest", "cloud/folder", "crypto"},

	// The edges: they see app, and what wires it to this computer.
	"internal/keyring": {"app"},
	"internal/metered": {},
	"internal/wiring": {"app", "crypto/aead", "cloud", "cloud/drive", "cloud/folder", "cloud/icloud", "cloud/rclone", "cloud/s3",
		"cloud/sftp", "cloud/transport", "cloud/webdav", "internal/keyring", "internal/metered", "internal/signin"},
	"ui":               {"app", "assets"},
	"ui/canned":        {"app"},
	"ui/gallery":       {"app", "assets", "ui", "ui/canned"},
	"cmd/coffer":       {"app", "internal/wiring"},
	"cmd/coffer-vault": {"vault/server/node"},
	".":                {"app", "assets", "internal/wiring", "ui"},

	// Tools and tests of the whole.
	"bench/gen": {},
	"bench/vault": {"crypto/aead", "crypto/hpke", "crypto/opaque", "vault/protocol", "vault/server", "vault/server/admit", "vault/server/gate",
		"vault/server/node", "vault/server/seal", "vault/server/seal/pkcs11", "vault/server/seal/tpm", "vault/server/store", "vault/server/store/bolt",
		"vault/server/store/etcd", "vault/trust", "vault/vaulttest"},
	"e2e":        {},
	"e2e/vault":  {},
	"e2e/places": {},
}

// never holds also for what a package reaches through others: the vault can
// lose everything without losing a key only as long as nothing in it could open
// a backup.
var never = map[string][]string{
	"vault/server":      {"crypto", "app", "vault", "cloud"},
	"vault/embedded":    {"crypto", "app", "vault", "cloud"},
	"vault/server/node": {"crypto", "app", "vault", "cloud"},
	"cmd/coffer-vault":  {"crypto", "app", "vault", "cloud"},
	"app":               {"ui"},
	"cmd/coffer":        {"ui", "assets"}, // the command line runs where there is no window
}

// onlyIn keeps an outside package in its rooms of the house. The longest prefix
// that fits decides; a room that ends in "/..." means the rooms inside as well.
var onlyIn = map[string][]string{
	"fyne.io/":                         {"ui/...", "assets", "."},
	"fyne.io/fyne/v2/app":              {".", "ui/gallery"}, // needs OpenGL and cgo
	"crypto/rand":                      {"crypto/..."},
	"crypto/aes":                       {"crypto/..."},
	"crypto/cipher":                    {"crypto/..."},
	"crypto/hmac":                      {"crypto/...", "vault/..."},
	"crypto/hkdf":                      {"crypto/...", "vault/..."},
	"crypto/ed25519":                   {"crypto/...", "vault/...", "bench/vault"},
	"crypto/md5":                       {"cloud/drive", "cloud/drive/drivetest", "cloud/webdav"}, // Drive's own checksum, against accidents only; what old servers want of a sign-in (RFC 7616)
	"crypto/sha1":                      {},
	"crypto/des":                       {},
	"crypto/rc4":                       {},
	"crypto/tls":                       {"cloud/transport", "cloud/s3", "vault/...", "bench/vault"}, // s3: to meet a test's own server
	"golang.org/x/crypto":              {"crypto/..."},
	"golang.org/x/crypto/ssh":          {"cloud/sftp"},
	"github.com/pkg/sftp":              {"cloud/sftp", "internal/wiring"}, // a server for tests: see ADR 10
	"github.com/minio/minio-go":        {"cloud/s3"},
	"golang.org/x/time":                {"cloud/transport", "vault/server/gate"},
	"golang.org/x/net":                 {"cloud/transport"},
	"golang.org/x/net/webdav":          {"cloud/webdav", "cloud/rclone", "internal/wiring"}, // a server for tests
	"github.com/godbus/dbus":           {"internal/keyring", "internal/metered"},
	"github.com/cloudflare/circl":      {"crypto/opaque"},
	"filippo.io/nistec":                {"crypto/opaque"},
	"github.com/zeebo/blake3":          {"crypto"},
	"golang.org/x/text/secure":         {"crypto"},
	"github.com/klauspost/compress":    {"app/repo"},
	"github.com/zalando/go-keyring":    {"internal/keyring"},
	"go.etcd.io/bbolt":                 {"vault/server/store/bolt"},
	"go.etcd.io/etcd":                  {"vault/server/store/etcd", "bench/vault"},
	"go.uber.org/zap":                  {"vault/server/store/etcd"},
	"google.golang.org/grpc":           {"vault/server/store/etcd"},
	"github.com/google/go-tpm":         {"vault/server/seal/tpm", "vault/attest"},
	"github.com/miekg/pkcs11":          {"vault/server/seal/pkcs11"},
	"golang.org/x/mod/sumdb/note":      {"vault/trust"},
	"github.com/spf13/":                {"cmd/coffer", "cmd/coffer-vault"},
	"golang.org/x/term":                {"cmd/coffer"},
	"github.com/rogpeppe/go-internal":  {"cmd/coffer", "cmd/coffer-vault"},
	"github.com/prometheus/":           {"vault/server/gate"},
	"github.com/coreos/go-oidc":        {"vault/server/admit"},
	"github.com/go-jose":               {"vault/server/admit/..."},
	"github.com/zitadel":               {"vault/server/admit/oidctest"}, // a real provider, for tests
	"github.com/BurntSushi/toml":       {"vault/server/node"},
	"github.com/ncruces/zenity":        {"ui"},
	"github.com/go-pdf/fpdf":           {"app"},
	"rsc.io/qr":                        {"app", "ui", "cmd/coffer-vault"},
	"github.com/trustelem/zxcvbn":      {"app"},
	"github.com/sethvargo/go-diceware": {"app"},
	"net/http":                         {"vault/...", "app", "cloud/drive/...", "cloud/transport", "cloud/s3", "cloud/webdav", "cloud/rclone", "internal/wiring", "e2e/places", "bench/vault", "internal/signin"},
	"net":                              {"vault/...", "cloud/drive/...", "cloud/transport", "cloud/s3", "cloud/webdav", "cloud/rclone", "cloud/sftp", "internal/wiring", "e2e/places", "app", "bench/vault", "internal/signin"},
	"google.golang.org/api":            {"cloud/drive/..."},
	"golang.org/x/oauth2":              {"cloud/drive/...", "internal/signin"},
	"os/exec":                          {"e2e", "main", "cloud/rclone", "vault/server/store/etcd/etcdtest", "vault/server/seal/tpm/tpmtest", "bench/vault"},                                   // the user's own rclone
	"math/rand":                        {"app/repo", "app/target", "cloud", "cloud/cloudtest", "cloud/drive/drivetest", "cloud/webdav", "internal/durable", "ui", "bench/gen", "bench/vault"}, // samples, jitter, temporary names, faults, a client's nonce: nothing that a stranger may not guess
	"unsafe":                           {"app/source", "app/target", "internal/durable", "cloud/icloud", "cloud/rclone", "internal/metered"},
	"C":                                {},
	"plugin":                           {},
	"encoding/gob":                     {},
	"github.com/stretchr/testify":      {},
	"log":                              {"vault/embedded", "cloud/transport"}, // http.Server takes no other
	"log/slog":                         {"app/...", "cloud/...", "crypto/...", "vault/...", "internal/...", "ui/...", "cmd/...", ".", "bench/vault"},
	"testing":                          {"cloud/cloudtest", "cloud/drive/drivetest", "app/apptest", "vault/server/store/storetest", "vault/server/seal/sealtest", "vault/server/store/etcd/etcdtest", "vault/server/seal/tpm/tpmtest", "vault/server/admit/oidctest"},
}

// mayReadEnvironment: main packages and the one package that wires them. What
// another package needs from outside is a field of its configuration.
var mayReadEnvironment = []string{".", "cmd/coffer", "internal/wiring", "bench/gen"}

// source is one parsed file of the tree.
type source struct {
	path string // slash-separated, from the root
	pkg  string // its folder; "." is the root
	test bool
	file *ast.File
	fset *token.FileSet
}

// sources parses every Go file of the tree: of every OS, every build tag, tests
// too. Folders that Go itself ignores are left out, and so is build.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && file != "." &&
			(name == "build" || name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		slashed := filepath.ToSlash(file)
		all = append(all, source{slashed, path.Dir(slashed), strings.HasSuffix(file, "_test.go"), f, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found only %d Go files: is this the root of the tree?", len(all))
	}
	return all
}

// imports gives the import paths of a file.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// at gives file:line of a node.
func (s source) at(n ast.Node) string { return s.fset.Position(n.Pos()).String() }

func TestImportDirections(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue // tests may build a world from every part
		}
		allowed, known := mayImport[s.pkg]
		if !known && !seen[s.pkg] {
			t.Errorf("%s is not on the map: add it to mayImport, and say why", s.pkg)
		}
		seen[s.pkg] = true
		for _, imp := range s.imports() {
			if ours, ok := strings.CutPrefix(imp, module); ok && known && !slices.Contains(allowed, ours) {
				t.Errorf("%s: %s may not import %s", s.path, s.pkg, ours)
			}
		}
	}
	for pkg := range mayImport {
		if !seen[pkg] {
			t.Errorf("%s is on the map but has no files", pkg)
		}
	}
}

func TestForbiddenReach(t *testing.T) {
	edges := map[string]map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if edges[s.pkg] == nil {
			edges[s.pkg] = map[string]bool{}
		}
		for _, imp := range s.imports() {
			if ours, ok := strings.CutPrefix(imp, module); ok {
				edges[s.pkg][ours] = true
			}
		}
	}
	for from, banned := range never {
		if edges[from] == nil {
			t.Errorf("%s is under a ban but has no files", from)
		}
		reached := reach(edges, from)
		for _, to := range banned {
			if edges[to] == nil {
				t.Errorf("%s is banned from %s but has no files: was it renamed?", to, from)
			}
			if way, ok := reached[to]; ok {
				t.Errorf("%s reaches %s: %s", from, to, way)
			}
		}
	}
}

// reach gives every package that from imports, at first or at second hand, with
// the way to it.
func reach(edges map[string]map[string]bool, from string) map[string]string {
	ways := map[string]string{from: from}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, to := range slices.Sorted(maps.Keys(edges[queue[0]])) {
			if _, ok := ways[to]; !ok {
				ways[to] = ways[queue[0]] + " -> " + to
				queue = append(queue, to)
			}
		}
	}
	delete(ways, from)
	return ways
}

func TestOutsidePackagesStayInTheirRooms(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		for _, imp := range s.imports() {
			prefix := longestPrefix(imp)
			if prefix == "" {
				continue
			}
			used[prefix] = true
			if s.test && testsMayImport(imp) {
				continue
			}
			if !inRoom(s.pkg, onlyIn[prefix]) {
				t.Errorf("%s: %s does not belong in %s", s.path, imp, s.pkg)
			}
		}
	}
	for prefix, rooms := range onlyIn {
		if !used[prefix] && len(rooms) > 0 {
			t.Logf("nothing imports %s yet", prefix)
		}
	}
}

// longestPrefix finds the rule that fits an import path best: the path itself,
// or a folder above it.
func longestPrefix(imp string) string {
	best := ""
	for prefix := range onlyIn {
		fits := imp == prefix || strings.HasPrefix(imp, strings.TrimSuffix(prefix, "/")+"/")
		if fits && len(prefix) > len(best) {
			best = prefix
		}
	}
	// The standard library's "net" rules itself, not net/netip and net/url.
	if best == "net" && imp != "net" || best == "log" && imp != "log" || best == "testing" && imp != "testing" {
		return ""
	}
	return best
}

// testsMayImport lists what is kept from the product for a reason that does not
// count in its tests: they start programs, need randomness and break things.
func testsMayImport(imp string) bool {
	switch imp {
	case "testing", "os/exec", "crypto/rand", "crypto/aes", "crypto/cipher", "crypto/hmac", "crypto/hkdf", "crypto/ed25519",
		"encoding/gob", "math/rand", "math/rand/v2", "net", "net/http", "unsafe", "log/slog":
		return true
	}
	return strings.HasPrefix(imp, "go.etcd.io/bbolt") || strings.HasPrefix(imp, "golang.org/x/crypto")
}

// inRoom says whether pkg is one of the rooms.
func inRoom(pkg string, rooms []string) bool {
	return slices.ContainsFunc(rooms, func(room string) bool {
		parent, open := strings.CutSuffix(room, "/...")
		return pkg == parent || open && strings.HasPrefix(pkg, parent+"/")
	})
}

func TestEveryPackageHasADoc(t *testing.T) {
	docs := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test {
			docs[s.pkg] = docs[s.pkg] || s.file.Doc != nil && len(strings.Fields(s.file.Doc.Text())) > 5
		}
	}
	for pkg, has := range docs {
		if !has {
			t.Errorf("%s has no package doc: say what its words mean", pkg)
		}
	}
}

// TestFoldersAreWords keeps names out that say nothing.
func TestFoldersAreWords(t *testing.T) {
	banned := []string{"util", "utils", "common", "helpers", "helper", "misc", "manager", "service", "services", "models", "types", "base", "shared"}
	for _, s := range sources(t) {
		for _, part := range strings.Split(s.pkg, "/") {
			if slices.Contains(banned, part) {
				t.Errorf("%s: a folder is a word of docs/glossary.md, and %q is none", s.path, part)
			}
		}
	}
}
