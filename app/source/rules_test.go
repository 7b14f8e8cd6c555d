package source

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
)

func mustRules(t testing.TB, goos string, lines ...string) Rules {
	t.Helper()
	r, err := parseRules(lines, goos)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExcluded(t *testing.T) {
	for _, c := range []struct {
		goos  string
		rules string // joined by newlines
		path  string // a folder if it ends in a slash
		want  bool
	}{
		{"linux", "*.tmp", "/a/b.tmp", true},
		{"linux", "*.tmp", "/a/b.TMP", false},
		{"darwin", "*.tmp", "/a/b.TMP", true},
		{"linux", "*.tmp", "/a.tmp/b", false}, // the walk has not come here
		{"linux", "*.tmp", "/.tmp", true},
		{"linux", "*.tmp\n!keep.tmp", "/a/keep.tmp", false},
		{"linux", "*.tmp\n!keep.tmp\nkeep.*", "/a/keep.tmp", true},
		{"linux", "!keep.tmp\n*.tmp", "/a/keep.tmp", true},
		{"linux", "node_modules/", "/x/node_modules/", true},
		{"linux", "node_modules/", "/x/node_modules", false},
		{"linux", "node_modules", "/x/node_modules", true},
		{"linux", "node_modules", "/x/my_node_modules", false},
		{"linux", "/home/ann/old", "/home/ann/old", true},
		{"linux", "/home/ann/old", "/mnt/home/ann/old", false},
		{"linux", "/home/*/old", "/home/ann/old", true},
		{"linux", "/home/*/old", "/home/a/b/old", false},
		{"linux", "/home/**/old", "/home/a/b/old", true},
		{"linux", "/home/**/old", "/home/old", true},
		{"linux", "/home/**", "/home", false},
		{"linux", "/home/**", "/home/a", true},
		{"linux", "Code/Cache", "/x/Code/Cache", true},
		{"linux", "Code/Cache", "/Code/Cache", true},
		{"linux", "Code/Cache", "/x/NoCode/Cache", false},
		{"linux", ".config/**/Cache/", "/h/.config/a/b/Cache/", true},
		{"linux", ".config/**/Cache/", "/h/other/Cache/", false},
		{"linux", "**", "/anything", true},
		{"linux", "*", "/a", true},
		{"linux", "a?c", "/a\xffc", true},
		{"linux", "a?c", "/a\u00e9c", true},
		{"linux", "a?c", "/ac", false},
		{"linux", "[a-c]x", "/bx", true},
		{"linux", "[!a-c]x", "/bx", false},
		{"linux", "[!a-c]x", "/dx", true},
		{"linux", "[]]x", "/]x", true},
		{"linux", `[\]]x`, "/]x", true},
		{"linux", "[\u00e0-\u00ef]", "/\u00e9", true},
		{"linux", "[!a]", "/\xff", true},
		{"linux", `\*`, "/*", true},
		{"linux", `\*`, "/a", false},
		{"linux", `\#x`, "/#x", true},
		{"linux", `\!x`, "/!x", true},
		{"linux", "# a comment\n\n", "/# a comment", false},
		{"linux", "a   ", "/a", true},
		{"linux", `a\ `, "/a ", true},
		{"linux", "a*b*c", "/axxbyybzzc", true},
		{"linux", "a*b*c", "/axxbyybzz", false},
		{"linux", "bad\xff*", "/bad\xff\xfe", true},
		{"linux", "a\nb", "/a", true},
		{"windows", `C:\Users\*\Temp`, `C:\Users\Ann\temp`, true},
		{"windows", "/c:/Users/", "C:/Users/", true},
		{"windows", "/?:/pagefile.sys", "C:/pagefile.sys", true},
		{"windows", "/?:/pagefile.sys", "C:/x/pagefile.sys", false},
	} {
		r := mustRules(t, c.goos, strings.Split(c.rules, "\n")...)
		if got := r.Excluded(strings.TrimSuffix(c.path, "/"), strings.HasSuffix(c.path, "/")); got != c.want {
			t.Errorf("%s: rules %q, path %q: %v", c.goos, c.rules, c.path, got)
		}
	}
	if (Rules{}).Excluded("/a", false) {
		t.Error("the zero Rules leave something out")
	}
}

func TestBadPatterns(t *testing.T) {
	for _, line := range []string{"!", "/", "!/", "//", "[", "[a", "[]", "[!]", "[a-", `[\`, `a\`, "a//b", "a/../b", "./a", "a\x00b", strings.Repeat("a", maxPattern+1)} {
		_, err := ParseRules([]string{"good", line})
		if runtime.GOOS == "windows" && strings.Contains(line, `\`) {
			continue
		}
		if !errors.Is(err, ErrPattern) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%.20q: %v", line, err)
		}
	}
	if _, err := ParseRules(make([]string, maxRules+1)); !errors.Is(err, ErrPattern) {
		t.Errorf("too many lines: %v", err)
	}
}

func TestHostilePatternIsFast(t *testing.T) {
	r := mustRules(t, "linux", strings.Repeat("*a", 500)+"b", strings.Repeat("**/a/", 300)+"b")
	path := strings.Repeat("a", 255) + strings.Repeat("/a", 2000)
	if r.Excluded("/"+path, false) { // exponential matching would never end
		t.Error("matched")
	}
}

func TestDefaultRules(t *testing.T) {
	for goos, in := range map[string]map[string]bool{
		"linux":   {"/home/a/.cache/": true, "/home/a/.local/share/Trash/": true, "/mnt/.Trash-1000/": true, "/home/a/.config/chromium/Default/Cache/": true, "/proc/": true, "/home/a/letter.txt": false, "/home/a/Cache/": false, "/home/a/proc/": false, "/home/a/.coffer-restore-00": true},
		"darwin":  {"/Users/a/Library/Caches/": true, "/Users/a/.Trash/": true, "/Users/a/Documents/": false, "/System/": true, "/Users/a/System/": false},
		"windows": {"C:/Users/a/AppData/Local/Temp/": true, "C:/pagefile.sys": true, "D:/System Volume Information/": true, "D:/$recycle.bin/": true, "C:/Users/a/x.docx": false, "C:/Users/a/~$x.docx": true},
	} {
		var lines []string
		for _, d := range DefaultRules(goos) {
			if d.Reason == "" {
				t.Errorf("%s: %q without a reason", goos, d.Pattern)
			}
			lines = append(lines, d.Pattern)
		}
		if len(lines) < 20 {
			t.Fatalf("%s: %d rules", goos, len(lines))
		}
		r := mustRules(t, goos, lines...)
		for path, want := range in {
			if got := r.Excluded(strings.TrimSuffix(path, "/"), strings.HasSuffix(path, "/")); got != want {
				t.Errorf("%s: %s: %v", goos, path, got)
			}
		}
	}
}

func FuzzRules(f *testing.F) {
	for _, s := range []string{"*.tmp", "!a/**/b/", "[a-z]*", `\*[!\]]`, "[", "**", "/a/b", "[]-a]", "[a-\xff]", "a\xff*?"} {
		f.Add(s, "/home/a/b.tmp", true)
	}
	f.Fuzz(func(t *testing.T, line, path string, isDir bool) {
		for _, goos := range []string{"linux", "windows"} {
			r, err := parseRules(strings.Split(line, "\n"), goos)
			if err != nil {
				if !errors.Is(err, ErrPattern) {
					t.Fatal(err)
				}
				continue
			}
			r.Excluded(path, isDir) // must not panic
			if r.Excluded(path, false) && !r.Excluded(path, true) && !strings.Contains(line, "!") {
				t.Errorf("%q leaves out the file %q and not the folder", line, path)
			}
		}
	})
}

func TestIsCacheDir(t *testing.T) {
	for content, want := range map[string]bool{cacheTag: true, cacheTag + "\n# more": true, cacheTag[:20]: false, "": false, "x" + cacheTag: false} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/CACHEDIR.TAG", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if IsCacheDir(d) != want {
			t.Errorf("%q: %v", content, !want)
		}
	}
}

func TestUserDirs(t *testing.T) {
	got := parseUserDirs(`# comment
XDG_DESKTOP_DIR="$HOME/Schreibtisch"
XDG_DOCUMENTS_DIR="/data/Dokumente/"
XDG_MUSIC_DIR="$HOME/"
XDG_PICTURES_DIR="$HOMEother/x"
XDG_VIDEOS_DIR=$HOME/unquoted
XDG_DOWNLOAD_DIR="$HOME/a \"b\" \$c"
XDG_NONSENSE_DIR="/x"
`, "/home/ann")
	want := map[string]string{"desktop": "/home/ann/Schreibtisch", "documents": "/data/Dokumente", "music": "", "downloads": `/home/ann/a "b" $c`}
	for id, path := range want {
		if p, ok := got[id]; !ok || p != path {
			t.Errorf("%s: %q", id, p)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%q", got)
	}
}
