package bolt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"coffer/vault/server/store"
)

// Rows and notes of one update come together or not at all, and each row has a revision
// that the ordinary ways know.
func TestUpdateIsOneWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	s := mustOpen(t, path)
	stop := errors.New("stop")
	for _, want := range []error{stop, nil} {
		err := s.Update(t.Context(), func(tx *Tx) error {
			for n := range byte(3) {
				if _, err := tx.Put(store.ID{n}, []byte{n, n}); err != nil {
					return err
				}
			}
			return errors.Join(tx.SetNote("state", []byte("one")), want)
		})
		if !errors.Is(err, want) || errors.Is(err, ErrNothing) != (want != nil) {
			t.Fatalf("%v, want %v", err, want)
		}
		_, _, err = s.Fetch(t.Context(), store.ID{1})
		if errors.Is(err, store.ErrNotFound) != (want != nil) {
			t.Fatalf("after %v: %v", want, err)
		}
	}
	_, revision, err := s.Fetch(t.Context(), store.ID{2})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Replace(t.Context(), store.ID{2}, revision, []byte("replaced")); err != nil {
		t.Fatal(err)
	}
	rows := 0
	err = s.View(t.Context(), func(tx *Tx) error {
		if got := tx.Note("state"); string(got) != "one" || tx.Note("other") != nil {
			t.Errorf("note %q", got)
		}
		got, r, err := tx.Fetch(store.ID{2})
		if string(got) != "replaced" || r == revision || err != nil {
			t.Errorf("%q, %d, %v", got, r, err)
		}
		if _, _, err := tx.Fetch(store.ID{9}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("absent: %v", err)
		}
		return tx.Each(func(store.ID, store.Revision, []byte) error { rows++; return nil })
	})
	if err != nil || rows != 3 {
		t.Fatalf("%d rows, %v", rows, err)
	}
}

func TestUpdateObeys(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "vault.db"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	called := func(*Tx) error { t.Error("called"); return nil }
	if err := s.Update(ctx, called); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	if err := s.View(ctx, called); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	err := s.Update(t.Context(), func(tx *Tx) error { _, err := tx.Put(store.ID{1}, nil); return err })
	if !errors.Is(err, store.ErrRow) || !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), called); !errors.Is(err, store.ErrClosed) {
		t.Error(err)
	}
}

// What an erasing update replaced is not in the file any more after Overwrite, and also
// when a crash came before it: the next Open overwrites.
func TestUpdateErases(t *testing.T) {
	for _, crash := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "vault.db")
		s := mustOpen(t, path)
		secret := bytes.Repeat([]byte("only-in-the-old-note"), 40)
		for i, value := range [][]byte{secret, []byte("new")} {
			err := s.Update(t.Context(), func(tx *Tx) error {
				if i == 1 {
					if err := tx.MarkErase(); err != nil {
						return err
					}
				}
				return tx.SetNote("state", value)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if crash {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			mustOpen(t, path)
		} else if err := s.Overwrite(t.Context()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, secret[:40]) {
			t.Errorf("crash %v: the old note lies in the file", crash)
		}
	}
}

func TestNotes(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "vault.db"))
	list := func(tx *Tx, prefix string) (names string) {
		t.Helper()
		err := tx.EachNote(prefix, func(name string, value []byte) error {
			names += name + "=" + string(value) + ";"
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return names
	}
	err := s.Update(t.Context(), func(tx *Tx) error {
		if err := tx.DeleteNote("absent"); err != nil || list(tx, "") != "" {
			t.Error("a store without notes has one")
		}
		return errors.Join(tx.SetNote("b/2", []byte("2")), tx.SetNote("b/1", []byte("1")), tx.SetNote("c", nil), tx.SetNote("a", nil))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx *Tx) error {
		if got := list(tx, "b/"); got != "b/1=1;b/2=2;" {
			t.Error(got)
		}
		return errors.Join(tx.DeleteNote("b/1"), tx.DeleteNote("absent"))
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	err = s.View(t.Context(), func(tx *Tx) error {
		if got := list(tx, ""); got != "a=;b/2=2;c=;" {
			t.Error(got)
		}
		return tx.EachNote("", func(string, []byte) error { return stop })
	})
	if !errors.Is(err, stop) {
		t.Error(err)
	}
}
