package seal

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"coffer/crypto/aead"
)

func TestSoftOpensWhatItSealed(t *testing.T) {
	s, id, body := NewSoft([32]byte{1}), ID{1}, []byte("a record")
	handle, err := s.NewKey(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Seal(t.Context(), id, handle, body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Open(t.Context(), id, handle, sealed)
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("opened %q, %v", got, err)
	}
	if err := s.DestroyKey(t.Context(), id, handle); err != nil {
		t.Fatal(err)
	}
	if len(handle) > MaxHandle || bytes.Contains(sealed, body) {
		t.Fatal("handle too long, or sealed is not sealed")
	}
}

func TestSoftRefusesWhatWasChanged(t *testing.T) {
	s, id := NewSoft([32]byte{1}), ID{1}
	handle, _ := s.NewKey(t.Context(), id)
	other, _ := s.NewKey(t.Context(), id)
	sealed, err := s.Seal(t.Context(), id, handle, []byte("a record"))
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(name string, s *Soft, id ID, handle, sealed []byte) {
		t.Helper()
		if _, err := s.Open(t.Context(), id, handle, sealed); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refuse("another key file", NewSoft([32]byte{2}), id, handle, sealed)
	refuse("another record", s, ID{2}, handle, sealed)
	refuse("another record key", s, id, other, sealed)
	for i := range sealed {
		refuse(fmt.Sprintf("cut at %d", i), s, id, handle, sealed[:i])
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		refuse(fmt.Sprintf("changed at %d", i), s, id, handle, changed)
	}
	for i := range handle {
		changed := bytes.Clone(handle)
		changed[i] ^= 1
		refuse(fmt.Sprintf("handle changed at %d", i), s, id, changed, sealed)
	}
	if got := fmt.Sprintf("%v %+v %#v %x", s, s, s, s); got != "[redacted] [redacted] [redacted] [redacted]" {
		t.Errorf("prints %s", got)
	}
}

// TestABodyIsOfOneRecord: also for who has brought the key of one record under the name of
// another, its body does not open as that.
func TestABodyIsOfOneRecord(t *testing.T) {
	s, one, two := NewSoft([32]byte{1}), ID{1}, ID{2}
	handle, err := s.NewKey(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Seal(t.Context(), one, handle, []byte("a record"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := aead.Open(s.key[:], label(labelKey, one), handle)
	if err != nil {
		t.Fatal(err)
	}
	moved := aead.Seal(s.key[:], label(labelKey, two), key)
	if _, err := s.Open(t.Context(), two, moved, sealed); !errors.Is(err, ErrOpen) {
		t.Fatalf("another record's body: %v", err)
	}
}
