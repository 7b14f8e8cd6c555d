package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coffer/vault/protocol"
)

func sampleRecord() *record {
	return &record{
		id: [16]byte{1}, owner: [32]byte{2}, lastAct: [32]byte{3}, destroyedAt: 0, begunAt: 8,
		tally: tally{
			State: protocol.StateActive, Limit: 10, Count: 2, Charged: 5, Current: 1, Pending: 2, Committed: true, Sequence: 4,
			Open: []open{{ID: [16]byte{9}, Generation: 1, Deadline: 6}},
		},
		current: generation{Number: 1, Capability: [32]byte{4}}, pending: generation{Number: 2},
		currentKey: []byte("current key"), pendingKey: []byte("pending key"), anchored: 3, anchor: []byte("anchor"), doomed: []byte("doomed"),
		guard: [33]byte{2}, events: []protocol.Event{{At: 7, Kind: protocol.EventTry}},
	}
}

func TestRecordsHaveOneEncoding(t *testing.T) {
	good := sampleRecord().encode()
	r, err := decodeRecord([16]byte{1}, good)
	if err != nil || !bytes.Equal(r.encode(), good) {
		t.Fatalf("round trip: %v", err)
	}
	for i := range good {
		if _, err := decodeRecord([16]byte{1}, good[:i]); !errors.Is(err, errRecord) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		changed := bytes.Clone(good)
		changed[i] ^= 1
		if r, err := decodeRecord([16]byte{1}, changed); err == nil && !bytes.Equal(r.encode(), changed) {
			t.Fatalf("changed at %d is read as something else", i)
		}
	}
	if _, err := decodeRecord([16]byte{2}, good); !errors.Is(err, errRecord) {
		t.Fatalf("as another record: %v", err)
	}
	sizes := []int{binary.Size(recordHead{}), binary.Size(open{}), binary.Size(protocol.Event{})}
	if !slices.Equal(sizes, []int{headSize, openSize, eventSize}) {
		t.Fatalf("a record is made of parts of %v bytes, not of those of the document", sizes)
	}
	short := &record{id: [16]byte{1}}
	if n := len(short.encode()); n != headSize {
		t.Fatalf("the head of a record has %d bytes, not those of the document", n)
	}
}

// TestARowOfSomethingElseIsNoRecord: a client that asks for one is told nothing, and a start
// is not held up by it.
func TestARowOfSomethingElseIsNoRecord(t *testing.T) {
	if _, err := decodeRecord([16]byte{1}, []byte{0x81, 1, 2}); !errors.Is(err, errOther) || errors.Is(err, errRecord) {
		t.Fatalf("an admission: %v", err)
	}
}

func TestATombstoneHoldsNoSecret(t *testing.T) {
	r := sampleRecord()
	r.currentKey, r.current.Release, r.current.Wrapped = []byte{0xAA}, [32]byte{0xAA}, [112]byte{0xAA}
	r.pendingKey, r.tally.Open[0].Login, r.anchor = []byte{0xAA}, [loginSize]byte{0xAA}, []byte{0xAA}
	r.decide(ask{What: askDestroy, Sequence: 5}, nil, testNow)
	if bytes.Contains(r.encode(), []byte{0xAA}) || r.destroyedAt != testNow || r.current.Capability != [32]byte{4} {
		t.Fatalf("tombstone %+v", r)
	}
}

func TestRowsAreStrict(t *testing.T) {
	good := encodeRow([]byte("handle"), []byte("sealed"))
	handle, sealed, err := decodeRow(good)
	if err != nil || string(handle) != "handle" || string(sealed) != "sealed" {
		t.Fatalf("%q %q %v", handle, sealed, err)
	}
	for i := range 3 + len("handle") {
		if _, _, err := decodeRow(good[:i]); !errors.Is(err, errRecord) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(sampleRecord().encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord([16]byte{1}, b); err == nil && !bytes.Equal(r.encode(), b) {
			t.Fatal("two encodings of one record")
		}
	})
}

func FuzzRow(f *testing.F) {
	f.Add(encodeRow([]byte("handle"), []byte("sealed")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if handle, sealed, err := decodeRow(b); err == nil && !bytes.Equal(encodeRow(handle, sealed), b) {
			t.Fatal("two encodings of one row")
		}
	})
}

// TestTheServerCannotOpenABackup follows the imports of the server, and of all that it
// imports of ours, on every system: none of it may be able to open a backup.
func TestTheServerCannotOpenABackup(t *testing.T) {
	seen, queue := map[string]bool{}, []string{"vault/server", "vault/server/store/bolt", "vault/server/seal"}
	for len(queue) > 0 {
		pkg := queue[0]
		queue = queue[1:]
		if seen[pkg] {
			continue
		}
		seen[pkg] = true
		imports := importsOf(t, pkg)
		for _, imp := range imports {
			if ours, ok := strings.CutPrefix(imp, "coffer/"); ok {
				queue = append(queue, ours)
			}
		}
	}
	for _, forbidden := range []string{"crypto", "vault", "app", "app/repo", "cloud"} {
		if seen[forbidden] {
			t.Errorf("the server imports %s", forbidden)
		}
	}
	if !seen["crypto/aead"] || !seen["vault/protocol"] {
		t.Fatalf("only %v was looked at: the test could not fail", seen)
	}
}

func importsOf(t *testing.T, pkg string) (imports []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pkg), "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", pkg, errors.Join(err, fs.ErrNotExist))
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports = append(imports, path)
		}
	}
	return imports
}
