package main

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"notes.txt", "notes.txt"},
		{"", `""`},
		{"two words", "two words"},
		{" leading", `" leading"`},
		{"trailing ", `"trailing "`},
		{"写真 1.png", "写真 1.png"},
		{"Grüße", "Grüße"},
		{"Gru\u0308ße", "Gru\u0308ße"},
		{"می\u200cخواهم", "می\u200cخواهم"},
		{"screen\u202fshot", "screen\u202fshot"},
		{"a\nb", `"a\nb"`},
		{"a\tb\rc", `"a\tb\rc"`},
		{"\x1b[2Jcls", `"\x1b[2Jcls"`},
		{"\x07bell", `"\x07bell"`},
		{"\u009b2J", `"\u009b2J"`},
		{"txt.\u202eexe", `"txt.\u202eexe"`},
		{"bad\xff\xfe", `"bad\xff\xfe"`},
		{`"quoted"`, `"\"quoted\""`},
		{`back\slash`, `back\slash`},
		{"back\\slash\n", `"back\\slash\n"`},
		{"\U000e0041tag", `"\U000e0041tag"`},
		{"\ufffd", "\ufffd"},
	} {
		if got := printable(c.name); got != c.want {
			t.Errorf("printable(%q) = %s, want %s", c.name, got, c.want)
		}
	}
}

// Whatever the name, what is shown holds nothing that a terminal acts on, and says
// exactly one name.
func FuzzPrintable(f *testing.F) {
	for _, seed := range []string{"", "a", "\x1b]0;title\x07", "\xff", "\u202e", "\"", "a\\", "写真", " ", "\x7f", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		shown := printable(name)
		for _, r := range shown {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
				t.Fatalf("printable(%q) = %q holds %U", name, shown, r)
			}
		}
		if !utf8.ValidString(shown) {
			t.Fatalf("printable(%q) = %q is not UTF-8", name, shown)
		}
		if !strings.HasPrefix(shown, `"`) {
			if shown != name {
				t.Fatalf("printable(%q) = %q without quotes", name, shown)
			}
			return
		}
		if back, err := strconv.Unquote(shown); err != nil || back != name {
			t.Fatalf("printable(%q) = %s, which reads as %q, %v", name, shown, back, err)
		}
	})
}

func TestColumnsAndFit(t *testing.T) {
	for _, c := range []struct {
		s     string
		cells int
	}{
		{"", 0}, {"abc", 3}, {"写真", 4}, {"Gru\u0308n", 4}, {"ｆ", 2}, {"ﾊ", 1}, {"🚢", 2}, {"a\u200db", 2},
	} {
		if got := columns(c.s); got != c.cells {
			t.Errorf("columns(%q) = %d, want %d", c.s, got, c.cells)
		}
	}
	for _, c := range []struct {
		s     string
		limit int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcdef", 4, "…def"}, {"写真の説明", 5, "…説明"}, {"写真の説明", 6, "…説明"}, {"abc", 1, "…"}, {"abc", 0, ""},
	} {
		if got := fit(c.s, c.limit); got != c.want {
			t.Errorf("fit(%q, %d) = %q, want %q", c.s, c.limit, got, c.want)
		}
	}
}

func FuzzFit(f *testing.F) {
	f.Add("写真の説明", 5)
	f.Add("e\u0301\u0301", 1)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(0, min(limit, 200))
		if got := fit(s, limit); columns(got) > limit {
			t.Fatalf("fit(%q, %d) takes %d cells", s, limit, columns(got))
		}
		if got := cutEnd(s, limit); columns(got) > limit || !strings.HasPrefix(s, got) {
			t.Fatalf("cutEnd(%q, %d) = %q", s, limit, got)
		}
	})
}
