package trust

import (
	"bytes"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The frozen sample, for other implementations and for ever: two key files, the link that
// names both keys, and a bundle that both have signed. Ed25519 signs in one way only, so
// the bundle comes out of the keys byte for byte.
func TestFrozenSample(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "sample*"))
	if err != nil || len(files) != 4 {
		t.Fatalf("the sample has %d files: %v", len(files), err)
	}
	root, err := ParseKey(mustRead(t, "sample-root.key"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := ParseKey(mustRead(t, "sample-second.key"))
	if err != nil {
		t.Fatal(err)
	}
	link, err := ParseLink(string(mustRead(t, "sample.link")))
	if err != nil {
		t.Fatal(err)
	}
	want := Link{Address: "vault.example.org:8443", Root: root.Public(), Second: second.Public(), Invite: "Zm9yIG9uZSBwZXJzb24"}
	if link != want || link.String()+"\n" != string(mustRead(t, "sample.link")) {
		t.Errorf("link %+v", link)
	}
	signed := mustRead(t, "sample.bundle")
	b, err := Verify(signed, link, sampleTime)
	if err != nil || !reflect.DeepEqual(b, sampleBundle(t)) {
		t.Fatalf("%v", err)
	}
	once, err := Sign(b, root)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mustAddSignature(t, once, second), signed) {
		t.Error("signed anew, it is another one")
	}
	if _, err := Verify(once, link, sampleTime); !errors.Is(err, ErrSingleSigned) {
		t.Errorf("once: %v", err)
	}
	if _, err := Verify(signed, link, b.Expires); !errors.Is(err, ErrExpired) {
		t.Errorf("later: %v", err)
	}
	if lines := strings.Count(string(signed), "\n"); lines != 24 {
		t.Errorf("%d lines", lines)
	}
}
