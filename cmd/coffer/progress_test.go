package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coffer/app"
)

func testView(out *bytes.Buffer, width int) *progressView {
	c := newConsole(out, out, false)
	p := &program{console: c, stderr: out}
	v := p.newProgress()
	v.width = func() int { return width }
	return v
}

var halfway = app.Progress{
	Phase: app.PhaseReading, Files: 1234, TotalFiles: 5678, Bytes: 1_200_000_000, TotalBytes: 2_900_000_000, Scanned: true,
	Rate: 56e6, Left: 2 * time.Minute, LeftMax: 5 * time.Minute, Current: "/home/ann/Documents/Letters/a.txt",
}

func TestProgressText(t *testing.T) {
	want := "Backing up: 41 %, 1.2 GB of 2.9 GB, 1,234 of 5,678 files, 56 MB/s, 2 to 5 min left"
	if got := progressText(halfway); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	scanning := halfway
	scanning.Scanned, scanning.Problems = false, 2
	want = "Backing up: 1.2 GB, 1,234 files so far, 56 MB/s, 2 to 5 min left, 2 problems"
	if got := progressText(scanning); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// A total that was passed was a guess.
	passed := halfway
	passed.Bytes, passed.Files, passed.Left, passed.LeftMax = passed.TotalBytes, passed.TotalFiles, 0, 0
	want = "Backing up: 2.9 GB, 5,678 files so far, 56 MB/s"
	if got := progressText(passed); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := progressText(app.Progress{Phase: "a phase of the future"}); got != "Working: 0 bytes" {
		t.Errorf("%q", got)
	}
}

func TestPercentIsNever100BeforeTheEnd(t *testing.T) {
	for _, c := range []struct{ done, total, want int64 }{{0, 10, 0}, {9_999_999, 10_000_000, 99}, {10, 10, 99}, {-1, 10, 0}} {
		if got := percent(app.Progress{Bytes: c.done, TotalBytes: c.total}); got != c.want {
			t.Errorf("%d of %d: %d %%, want %d", c.done, c.total, got, c.want)
		}
	}
}

func TestProgressLineFits(t *testing.T) {
	hostile := halfway
	hostile.Current = "/home/\x1b[2J写真写真写真写真写真/a\n/b"
	for width := 20; width < 200; width++ {
		line := progressLine(hostile, width)
		if columns(line) > width || strings.ContainsAny(line, "\x1b\n\r") {
			t.Fatalf("width %d: %q takes %d", width, line, columns(line))
		}
	}
	if line := progressLine(halfway, 150); !strings.HasSuffix(line, "  /home/ann/Documents/Letters") {
		t.Errorf("%q", line)
	}
}

// On a terminal the line is redrawn ten times a second at most, over the one before.
func TestRedraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		v := testView(&out, 80)
		for range 100 {
			v.show(halfway)
			time.Sleep(10 * time.Millisecond)
		}
		if n := strings.Count(out.String(), "\r"); n < 9 || n > 11 {
			t.Errorf("drawn %d times in a second", n)
		}
		if strings.Contains(out.String(), "\n") {
			t.Error("the line wanders down the screen")
		}
		// A message stands on a line of its own, and the progress comes back below it.
		out.Reset()
		v.console.warn("Not done: /x")
		if got := strings.TrimLeft(out.String(), "\r "); got != "Not done: /x\n" {
			t.Errorf("%q", got)
		}
	})
}

// Without a terminal a log gets a line each 30 seconds, and none for short runs.
func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		v := testView(&out, 0)
		for range 650 {
			v.show(halfway)
			time.Sleep(100 * time.Millisecond)
		}
		if n := strings.Count(out.String(), "\n"); n != 2 {
			t.Errorf("%d lines in 65 s:\n%s", n, out.String())
		}
	})
}

func TestProgressRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		v := testView(&out, 80)
		v.console.json = true
		hostile := halfway
		hostile.Current = "/\xff\u009b\U000e0041"
		for range 30 {
			v.show(hostile)
			time.Sleep(100 * time.Millisecond)
		}
		if n := strings.Count(out.String(), "\n"); n != 3 {
			t.Errorf("%d records in 3 s", n)
		}
		var record map[string]any
		line, _, _ := strings.Cut(out.String(), "\n")
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if strings.ContainsAny(line, "\u009b\U000e0041") {
			t.Errorf("a control character in %q", line)
		}
		if record["type"] != "progress" || record["phase"] != "reading" || record["path"] != "/\ufffd\u009b\U000e0041" || record["path_base64"] == nil {
			t.Errorf("%v", record)
		}
	})
}

func TestQuietDrawsNothing(t *testing.T) {
	var out bytes.Buffer
	v := testView(&out, 80)
	v.console.quiet = true
	v.show(halfway)
	if out.Len() > 0 {
		t.Errorf("%q", out.String())
	}
}

func FuzzRecord(f *testing.F) {
	for _, seed := range []string{"", "a", "\x1b", "\xff", "\u009b", "\u2028", "\U000e0041", `"`, `\`, "<&>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		line, err := encodeRecord("error", errorRecord{"x", path, pathOrNil(path)})
		if err != nil {
			t.Fatal(err)
		}
		var back struct {
			Type, Message string
		}
		if err := json.Unmarshal(line, &back); err != nil || back.Type != "error" {
			t.Fatalf("%q: %v", line, err)
		}
		if want := strings.ToValidUTF8(path, "\ufffd"); fmt.Sprintf("%q", back.Message) != fmt.Sprintf("%q", want) && strings.ToValidUTF8(path, "") == path {
			t.Fatalf("%q came back as %q", path, back.Message)
		}
		for _, r := range string(line[:len(line)-1]) {
			if !harmless(r, 4) {
				t.Fatalf("%q holds %U", line, r)
			}
		}
	})
}
