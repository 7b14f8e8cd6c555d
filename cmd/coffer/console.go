package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"

	"coffer/app"
)

// A console is where a program speaks: results on standard output, everything else on
// standard error, and a progress line that is redrawn below all of it. It may be used
// from many goroutines.
type console struct {
	json, quiet, verbose bool // set before work begins

	mu       sync.Mutex
	out, err io.Writer
	records  io.Writer // where JSON goes; standard error when standard output is data
	drawn    int       // cells of the progress line on the screen; 0: none
}

func newConsole(out, err io.Writer, json bool) *console {
	return &console{json: json, out: out, err: err, records: out}
}

// outputIsData gives standard output to what the command makes (the content of a file,
// the digits of a key): records go to standard error instead.
func (c *console) outputIsData() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = c.err
}

// result writes text that was asked for to standard output. With JSON it is left out:
// a record says the same.
func (c *console) result(format string, args ...any) error {
	if c.json {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eraseLocked()
	_, err := fmt.Fprintf(c.out, format+"\n", args...)
	return err
}

// done says that something was done; with --quiet the exit status says it.
func (c *console) done(format string, args ...any) error {
	if c.quiet {
		return nil
	}
	return c.result(format, args...)
}

// note writes a line to standard error that nobody misses with --quiet.
func (c *console) note(format string, args ...any) {
	if !c.quiet {
		c.warn(format, args...)
	}
}

// warn writes a line to standard error in every case.
func (c *console) warn(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eraseLocked()
	fmt.Fprintf(c.err, format+"\n", args...)
}

// draw shows a line in place of the one that was drawn before. The rest of an older,
// longer line is overwritten with spaces: that works on every terminal of the last fifty
// years, where an escape sequence would not.
func (c *console) draw(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := columns(line)
	fmt.Fprint(c.err, "\r"+line+strings.Repeat(" ", max(0, c.drawn-n)))
	c.drawn = n
}

// clearLine removes the progress line.
func (c *console) clearLine() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eraseLocked()
}

// caret is how many cells the ^C takes that a terminal shows behind the line at Ctrl-C.
const caret = 2

func (c *console) eraseLocked() {
	if c.drawn > 0 {
		fmt.Fprint(c.err, "\r"+strings.Repeat(" ", c.drawn+caret)+"\r")
		c.drawn = 0
	}
}

// width returns how many cells a line may take; 0 when there is no terminal to draw on.
func (c *console) width() int {
	f, ok := c.err.(*os.File)
	if !ok {
		return 0
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	if n == 0 {
		n = 80 // a terminal that does not know, such as some serial lines
	}
	return max(n-1-caret, 20) // the last cell would wrap on some terminals
}

// A complaint is what is said of one failure.
type complaint struct {
	code         app.Code
	says, advice string
	path         string // raw bytes; "" when it is not about one file
	details      error  // for --verbose; may be nil
}

// errorRecord is a complaint as JSON. Code and message are always there.
type errorRecord struct {
	Code    app.Code `json:"code"`
	Message string   `json:"message"`
	*namedPath
}

// fail says what went wrong: a sentence on standard error, and a record where records
// were asked for.
func (c *console) fail(f complaint) {
	if c.json {
		_ = c.record("error", errorRecord{f.code, strings.TrimSpace(f.says + " " + f.advice), pathOrNil(f.path)})
		return
	}
	text := f.says
	if f.advice != "" {
		text += "\n" + f.advice
	}
	if c.verbose && f.details != nil {
		text += "\n(details: " + printable(f.details.Error()) + ")"
	}
	c.warn("%s", text)
}

// record writes one line of JSON: v's fields after the type.
func (c *console) record(kind string, v any) error {
	line, err := encodeRecord(kind, v)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eraseLocked()
	_, err = c.records.Write(line)
	return err
}

func encodeRecord(kind string, v any) ([]byte, error) {
	var body strings.Builder
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %s: %w", kind, err)
	}
	rest := strings.TrimSuffix(body.String(), "\n")[1:]
	if rest != "}" {
		rest = "," + rest
	}
	return append(escapeControls(`{"type":"`+kind+`"`+rest), '\n'), nil
}

// escapeControls writes the characters that could move a terminal as JSON escapes.
// encoding/json leaves DEL, the C1 controls (among them an 8-bit CSI) and bidirectional
// overrides as they are, and a record may well end up on a screen. They can only stand
// inside strings, so that the meaning stays the same.
func escapeControls(line string) []byte {
	out := make([]byte, 0, len(line))
	for _, r := range line {
		switch {
		case harmless(r, utf8.RuneLen(r)):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// A namedPath is a path in a record. Names are bytes: one that is not UTF-8 is shown with
// replacement characters, and given exactly beside that.
type namedPath struct {
	Path   string `json:"path"`
	Base64 string `json:"path_base64,omitempty"`
}

func pathRecord(path string) namedPath {
	p := namedPath{Path: path}
	if !utf8.ValidString(path) {
		p.Base64 = base64.StdEncoding.EncodeToString([]byte(path))
	}
	return p
}

func pathOrNil(path string) *namedPath {
	if path == "" {
		return nil
	}
	p := pathRecord(path)
	return &p
}
