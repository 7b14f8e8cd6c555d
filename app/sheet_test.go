package app

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coffer/crypto"
)

var sheetDir = flag.String("sheets", "", "write the recovery sheets of TestSheet into this folder, to be looked at")

func testKey(t testing.TB, fill byte) RootKey {
	t.Helper()
	key, err := crypto.RootKeyFrom(bytes.Repeat([]byte{fill, 0x3c, fill ^ 0xff, 0x07}, 8))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustSheet(t testing.TB, key RootKey, facts sheetFacts, paper string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := writeSheet(&out, key, facts, paper); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func plainFacts() sheetFacts {
	return sheetFacts{
		computer: "ANN-LAPTOP", repository: strings.Repeat("3fa90c7e", 4),
		place: "/media/ann/Backup disk/coffer", printed: time.Date(2026, 3, 3, 14, 2, 0, 0, time.UTC),
	}
}

func TestSheet(t *testing.T) {
	facts := map[string]sheetFacts{"plain": plainFacts(), "scripts": plainFacts(), "long": plainFacts(), "hostile": plainFacts()}
	change := func(name, computer, place string) {
		f := facts[name]
		f.computer, f.place = computer, place
		facts[name] = f
	}
	change("scripts", "Büro-Ελένη-Пётр", "/home/中文/文档 (حاسوب)")
	change("long", strings.Repeat("W", 300), "/"+strings.Repeat("very long path/", 400))
	change("hostile", "a\x1b[2J(\\)\r\n\x00\xff", "(aaaa bbbb)\n0123 4567")
	for name, f := range facts {
		for _, paper := range []string{"A4", "Letter"} {
			t.Run(name+" "+paper, func(t *testing.T) {
				key := testKey(t, 0x5a)
				pdf := mustSheet(t, key, f, paper)
				if *sheetDir != "" {
					if err := os.WriteFile(filepath.Join(*sheetDir, name+"-"+paper+".pdf"), pdf, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if n := bytes.Count(pdf, []byte("/Type /Page\n")); n != 1 {
					t.Errorf("%d pages, want 1", n)
				}
				got, err := readSheet(bytes.Clone(pdf))
				if err != nil {
					t.Fatal(err)
				}
				if !got.Equal(key) {
					t.Error("the sheet holds another key")
				}
			})
		}
	}
}

func TestSheetTakesTwoPapersOnly(t *testing.T) {
	for _, paper := range []string{"a4", "A5", "letter"} {
		if err := writeSheet(&bytes.Buffer{}, testKey(t, 1), plainFacts(), paper); !errors.Is(err, ErrPaper) {
			t.Errorf("paper %q: %v, want ErrPaper", paper, err)
		}
	}
}

// What cannot be drawn is written as its number, and is not lost.
func TestSheetWritesLettersItCannotDrawAsNumbers(t *testing.T) {
	s, err := newSheet("A4", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"Ann’s Büro":   "Ann’s Büro",
		"Пётр Ελένη":   "Пётр Ελένη",
		"中a":           "‹4E2D›a",
		"tab\tesc\x1b": "tab‹0009›esc‹001B›",
		"\xff":         "‹FFFD›",
	} {
		if got := s.printable(text); got != want {
			t.Errorf("%q is printed as %q, want %q", text, got, want)
		}
	}
}

// Every cut of a sheet is refused, or (behind the last stream) still the same key.
func TestReadSheetRefusesACutSheet(t *testing.T) {
	key := testKey(t, 0x5a)
	pdf := mustSheet(t, key, plainFacts(), "A4")
	for n := 0; n < len(pdf); n += 1499 {
		got, err := readSheet(bytes.Clone(pdf[:n]))
		if err == nil && !got.Equal(key) {
			t.Fatalf("cut at %d of %d bytes: another key", n, len(pdf))
		}
	}
	for _, other := range [][]byte{nil, []byte("%PDF-1.3\n"), []byte("no PDF"), bytes.Repeat([]byte("stream\n"), 100)} {
		if _, err := readSheet(other); !errors.Is(err, ErrNotSheet) {
			t.Errorf("%.20q: %v, want ErrNotSheet", other, err)
		}
	}
}

// Two sheets in one file name two keys: neither is taken.
func TestReadSheetRefusesTwoKeys(t *testing.T) {
	a, b := mustSheet(t, testKey(t, 1), plainFacts(), "A4"), mustSheet(t, testKey(t, 2), plainFacts(), "A4")
	if _, err := readSheet(append(a, b...)); !errors.Is(err, ErrNotSheet) {
		t.Errorf("got %v, want ErrNotSheet", err)
	}
}

func FuzzReadSheet(f *testing.F) {
	f.Add(mustSheet(f, testKey(f, 0x5a), plainFacts(), "A4"))
	f.Add([]byte("%PDF-1.3\nstream\n(\x00a\x00b)\nendstream"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := readSheet(data)
		if err == nil && key.IsZero() {
			t.Error("no key and no error")
		}
	})
}
