package target

import (
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

var systems = []string{"linux", "darwin", "windows"}

func TestSafeName(t *testing.T) {
	temp := tempName()
	for _, c := range []struct{ raw, linux, darwin, windows string }{
		{"plain.txt", "plain.txt", "plain.txt", "plain.txt"},
		{"100%", "100%", "100%", "100%"},
		{"a%3Ab", "a%3Ab", "a%3Ab", "a%3Ab"},
		{"a:b", "a:b", "a:b", "a%3Ab"},
		{"50%:x", "50%:x", "50%:x", "50%25%3Ax"},
		{"", "%", "%", "%"},
		{".", "%2E", "%2E", "%2E"},
		{"..", "%2E.", "%2E.", "%2E%2E"},
		{"...", "...", "...", "..%2E"},
		{"a/b", "a%2Fb", "a%2Fb", "a%2Fb"},
		{"../../etc", "..%2F..%2Fetc", "..%2F..%2Fetc", "..%2F..%2Fetc"},
		{"a\x00", "a%00", "a%00", "a%00"},
		{"a\nb", "a\nb", "a\nb", "a%0Ab"},
		{"a\\b", "a\\b", "a\\b", "a%5Cb"},
		{"bad\xff", "bad\xff", "bad%FF", "bad%FF"},
		{"con", "con", "con", "%63on"},
		{"AUX.txt", "AUX.txt", "AUX.txt", "%41UX.txt"},
		{"nul ", "nul ", "nul ", "%6Eul%20"},
		{"com1.tar.gz", "com1.tar.gz", "com1.tar.gz", "%63om1.tar.gz"},
		{"COM¹", "COM¹", "COM¹", "%43OM¹"},
		{"com10", "com10", "com10", "com10"},
		{"console", "console", "console", "console"},
		{"end.", "end.", "end.", "end%2E"},
		{"end ", "end ", "end ", "end%20"},
		{`<>"|?*`, `<>"|?*`, `<>"|?*`, "%3C%3E%22%7C%3F%2A"},
		{temp, "%2E" + temp[1:], "%2E" + temp[1:], "%2E" + temp[1:]},
		{strings.ToUpper(temp), strings.ToUpper(temp), "%2E" + strings.ToUpper(temp)[1:], "%2E" + strings.ToUpper(temp)[1:]},
		{strings.Repeat("é", 127), strings.Repeat("é", 127), strings.Repeat("é", 127), strings.Repeat("é", 127)},
		{"cafe\u0301", "cafe\u0301", "cafe\u0301", "cafe\u0301"},
	} {
		for i, want := range []string{c.linux, c.darwin, c.windows} {
			got, changed := SafeName(c.raw, systems[i])
			if got != want || changed != (got != c.raw) {
				t.Errorf("%s: SafeName(%q) = %q, %v; want %q", systems[i], c.raw, got, changed, want)
			}
			if back, err := RawName(got); changed && (err != nil || back != c.raw) {
				t.Errorf("%s: %q comes back as %q, %v", systems[i], c.raw, back, err)
			}
		}
	}
	for _, bad := range []string{"%4", "%", "%4g", "%ff", "a%", "%%41"} {
		if back, err := RawName(bad); err == nil && bad != "%" {
			t.Errorf("RawName(%q) = %q", bad, back)
		}
	}
}

func TestLongNames(t *testing.T) {
	a, b := strings.Repeat("é", 200)+"1.jpeg", strings.Repeat("é", 200)+"2.jpeg"
	na, changed := SafeName(a, "linux")
	nb, _ := SafeName(b, "linux")
	if !changed || na == nb || len(na) > maxName || !utf8.ValidString(na) || !strings.HasSuffix(na, ".jpeg") || !strings.HasPrefix(na, "ééé") {
		t.Errorf("%q, %q", na, nb)
	}
	if _, changed := SafeName(a, "darwin"); changed {
		t.Error("206 UTF-16 units fit")
	}
	n, changed := SafeName(strings.Repeat(":", 255), "windows")
	if !changed || len(n) > maxName || nameLen(n, "windows") > maxName {
		t.Errorf("%q", n)
	}
}

func TestCopyName(t *testing.T) {
	for raw, want := range map[string]string{
		"a.txt":      "a (restored 2026-11-21).txt",
		"a":          "a (restored 2026-11-21)",
		".bashrc":    ".bashrc (restored 2026-11-21)",
		"a.":         "a. (restored 2026-11-21)",
		"a.b.tar.gz": "a.b.tar (restored 2026-11-21).gz",
		"Mr. Smith":  "Mr. Smith (restored 2026-11-21)",
	} {
		if got := copyName(raw, "2026-11-21", 1, runtime.GOOS); got != want {
			t.Errorf("%q: %q", raw, got)
		}
	}
	for _, goos := range systems {
		for _, raw := range []string{strings.Repeat("é", 127), strings.Repeat("x", 251) + ".txt", strings.Repeat("\xff", 255)} {
			got := copyName(raw, "2026-11-21", 123, goos)
			if nameLen(got, goos) > maxName || !strings.Contains(got, " (restored 2026-11-21 123)") {
				t.Errorf("%s: %q", goos, got)
			}
		}
	}
}

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"a", "", ".", "..", "con", "a:b", "%3A", "\xff", "a/b", "nul.", "COM¹ .x", tempName(), strings.Repeat("é:", 200), "~$x", "𝄞"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, goos := range systems {
			name, changed := SafeName(raw, goos)
			if changed == (name == raw) && !(raw == "%" || changed && name == raw) {
				t.Fatalf("%s: %q, %v", goos, name, changed)
			}
			if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || nameLen(name, goos) > maxName || isTemp(name) {
				t.Fatalf("%s: %q became %q", goos, raw, name)
			}
			if again, changed := SafeName(name, goos); changed {
				t.Fatalf("%s: %q became %q and then %q", goos, raw, name, again)
			}
			if changed && !strings.Contains(name, "~") {
				if back, err := RawName(name); err != nil || back != raw {
					t.Fatalf("%s: %q came back from %q as %q, %v", goos, raw, name, back, err)
				}
			}
			if goos != "linux" && !utf8.ValidString(name) {
				t.Fatalf("%s: %q is no UTF-8", goos, name)
			}
			if got := copyName(name, "2026-11-21", 2, goos); nameLen(got, goos) > maxName {
				t.Fatalf("%s: %q is too long", goos, got)
			}
		}
	})
}
