package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"rsc.io/qr"

	"coffer/crypto"
)

// ErrPaper: a sheet is printed on "A4" or "Letter".
var ErrPaper = fmt.Errorf("%w: paper", ErrSettings)

// sheetFacts is what a recovery sheet says, beside the key.
type sheetFacts struct {
	computer   string
	repository string
	place      string
	printed    time.Time
}

// WriteSheet writes the recovery sheet, a PDF of one page, for key, or for this profile's
// key when that is zero. paper is "A4", "Letter", or "" for what the settings say; place
// is what people call the place, "" for the profile's. Whoever reads the sheet opens the
// backup: the caller writes it where the user said, and nowhere else.
func (a *App) WriteSheet(ctx context.Context, w io.Writer, key RootKey, paper, place string) error {
	p, err := a.loadProfile()
	if err != nil {
		return err
	}
	if key.IsZero() {
		if key, err = a.rootKey(ctx); err != nil {
			return err
		}
		defer key.Wipe()
	}
	if paper == "" {
		paper = p.Paper
	}
	if place == "" {
		place = p.firstDest()
	}
	keys := key.Derive()
	defer keys.Wipe()
	facts := sheetFacts{
		computer: a.cfg.Computer, repository: keys.Repository().String(), place: place, printed: time.Now(),
	}
	if err := writeSheet(w, key, facts, paper); err != nil {
		return fmt.Errorf("write recovery sheet: %w", err)
	}
	return nil
}

// sheet is a page being drawn. Lengths are in millimetres, sizes of type in points.
type sheet struct {
	pdf     *fpdf.Fpdf
	fonts   *sfnt.Font // what goregular can draw; the mono face has the same letters
	left, y float64
	width   float64
	bottom  float64
	escaped bool // a letter was written as its number
	buf     sfnt.Buffer
}

const (
	sheetMargin = 20
	faceText    = "go"
	faceMono    = "gomono"
)

func writeSheet(w io.Writer, key RootKey, facts sheetFacts, paper string) error {
	if paper == "" {
		paper = "A4"
	}
	if paper != "A4" && paper != "Letter" {
		return ErrPaper
	}
	s, err := newSheet(paper, facts.printed)
	if err != nil {
		return err
	}
	s.heading(facts)
	if err := s.key(key); err != nil {
		return err
	}
	s.steps(facts)
	s.copies()
	s.footer(facts)
	if s.pdf.PageCount() != 1 {
		return errors.New("app: the sheet does not fit its page")
	}
	return s.pdf.Output(w)
}

func newSheet(paper string, now time.Time) (*sheet, error) {
	pdf := fpdf.New("P", "mm", paper, "")
	pdf.SetMargins(sheetMargin, sheetMargin, sheetMargin)
	pdf.SetAutoPageBreak(false, 0)
	pdf.SetCatalogSort(true)
	pdf.SetCreationDate(now)
	pdf.SetModificationDate(now)
	pdf.SetTitle("Coffer recovery sheet", true)
	pdf.SetProducer("Coffer", true)
	pdf.AddUTF8FontFromBytes(faceText, "", goregular.TTF)
	pdf.AddUTF8FontFromBytes(faceText, "B", gobold.TTF)
	pdf.AddUTF8FontFromBytes(faceMono, "", gomono.TTF)
	pdf.AddUTF8FontFromBytes(faceMono, "B", gomonobold.TTF)
	pdf.AddPage()
	fonts, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("read font: %w", err)
	}
	width, height := pdf.GetPageSize()
	return &sheet{
		pdf: pdf, fonts: fonts, left: sheetMargin, y: sheetMargin,
		width: width - 2*sheetMargin, bottom: height - sheetMargin,
	}, pdf.Error()
}

func (s *sheet) font(face, style string, size float64) { s.pdf.SetFont(face, style, size) }

func (s *sheet) ink(gray int) { s.pdf.SetTextColor(gray, gray, gray) }

// text writes one line at x, its baseline at y.
func (s *sheet) text(x, y float64, text string) { s.pdf.Text(x, y, text) }

// fact writes a label and what it says, which may take two lines and is cut after them:
// a path of a thousand letters must not push the key off the page.
func (s *sheet) fact(label, text string) {
	const indent, lines = 32, 2
	s.font(faceText, "", 9)
	s.ink(110)
	s.text(s.left, s.y, label)
	s.font(faceText, "", 11)
	s.ink(0)
	rest := []rune(s.printable(text))
	for i := 0; i < lines && len(rest) > 0; i++ {
		n := s.fitting(rest, s.width-indent)
		line := string(rest[:n])
		if rest = rest[n:]; i == lines-1 && len(rest) > 0 {
			line = string([]rune(line)[:max(0, n-2)]) + "…"
		}
		s.text(s.left+indent, s.y, line)
		s.y += 5.5
	}
	s.y += 1
}

// fitting returns how many of the runes fit into width, at least one.
func (s *sheet) fitting(text []rune, width float64) int {
	n := len(text)
	for n > 1 && s.pdf.GetStringWidth(string(text[:n])) > width {
		n -= max(1, (n-1)/16)
	}
	return n
}

// printable writes what the font cannot draw as Unicode numbers: "Büro ‹4E2D›‹6587›". A
// question mark would say that the name was lost; this says what it is.
func (s *sheet) printable(text string) string {
	var out strings.Builder
	for _, r := range text {
		index, err := s.fonts.GlyphIndex(&s.buf, r)
		if err == nil && index != 0 && unicode.IsPrint(r) && r != unicode.ReplacementChar {
			out.WriteRune(r)
			continue
		}
		s.escaped = true
		fmt.Fprintf(&out, "‹%04X›", r)
	}
	return out.String()
}

func (s *sheet) heading(facts sheetFacts) {
	s.font(faceText, "B", 22)
	s.ink(0)
	s.y += 4
	s.text(s.left, s.y, "Coffer recovery sheet")
	s.y += 8
	s.font(faceText, "", 11)
	s.ink(60)
	s.text(s.left, s.y, "This page opens your backup. Keep it on paper, in a safe place, away from the computer.")
	s.y += 5.5
	s.text(s.left, s.y, "Whoever has it can read your files. Nobody can make it again for you if it is lost.")
	s.y += 6
	s.rule()
	s.y += 7
	s.fact("Backup of", facts.computer)
	s.fact("Kept in", facts.place)
	s.fact("Backup number", facts.repository)
	s.fact("Printed on", facts.printed.Format("2 January 2006"))
	s.rule()
	s.y += 8
}

func (s *sheet) rule() {
	s.pdf.SetDrawColor(200, 200, 200)
	s.pdf.SetLineWidth(0.3)
	s.pdf.Line(s.left, s.y, s.left+s.width, s.y)
}

const (
	keyLine = 8.6 // from one line of the key to the next
	qrSize  = 58
)

// key draws the eight lines and, beside them, the same as a QR code.
func (s *sheet) key(key RootKey) error {
	s.font(faceText, "B", 13)
	s.ink(0)
	s.text(s.left, s.y, "Recovery key")
	s.font(faceText, "", 8)
	s.ink(110)
	s.text(s.left+59, s.y, "check")
	top := s.y - 1 // four squares of white around it, as a reader wants
	s.y += 9
	for i, line := range crypto.RecoveryLines(key) {
		s.font(faceText, "", 10)
		s.ink(110)
		s.text(s.left, s.y, strconv.Itoa(i+1))
		s.font(faceMono, "B", 18)
		s.ink(0)
		s.text(s.left+9, s.y, line.Digits)
		s.font(faceMono, "", 12)
		s.ink(110)
		s.text(s.left+60, s.y, line.Check)
		s.y += keyLine
	}
	if err := s.code(key, s.left+s.width-qrSize, top); err != nil {
		return err
	}
	s.font(faceText, "", 8.5)
	s.ink(110)
	s.y += 0.5
	s.text(s.left, s.y, "Digits are 0 to 9 and a to f; there is no letter o or l. The check numbers find typing errors and need not be typed.")
	s.y += 5
	s.rule()
	s.y += 8
	return nil
}

// code draws the QR code of the 64 digits, in capitals: these take the denser alphabet of
// QR codes (ISO/IEC 18004, alphanumeric mode), so that the squares are larger on paper.
// Rows of squares are drawn as one bar, a little over each other, so that no printer
// leaves white lines between them.
func (s *sheet) code(key RootKey, x, y float64) error {
	digits := crypto.RecoveryDigits(key)
	defer digits.Wipe()
	var code *qr.Code
	var err error
	digits.Expose(func(b []byte) { code, err = qr.Encode(strings.ToUpper(string(b)), qr.Q) })
	if err != nil {
		return fmt.Errorf("encode QR code: %w", err)
	}
	module := float64(qrSize) / float64(code.Size)
	s.pdf.SetFillColor(0, 0, 0)
	for row := range code.Size {
		for start := 0; start < code.Size; start++ {
			end := start
			for end < code.Size && code.Black(end, row) {
				end++
			}
			if end > start {
				s.pdf.Rect(x+float64(start)*module, y+float64(row)*module, float64(end-start)*module+0.02, module+0.02, "F")
				start = end
			}
		}
	}
	s.font(faceText, "", 8.5)
	s.ink(110)
	s.text(x, y+qrSize+7.5, "The same key, for a camera")
	return nil
}

func (s *sheet) steps(facts sheetFacts) {
	s.font(faceText, "B", 13)
	s.ink(0)
	s.text(s.left, s.y, "To get your files back")
	s.y += 7
	s.font(faceText, "", 10.5)
	for i, step := range []string{
		"Install Coffer on any computer: Windows, macOS or Linux.",
		"Choose “Get files back”, and show Coffer the place named above.",
		"Choose “I have a recovery sheet”, and type the eight lines.",
	} {
		s.text(s.left, s.y, strconv.Itoa(i+1)+".")
		s.text(s.left+7, s.y, step)
		s.y += 5.8
	}
	s.font(faceText, "", 9)
	s.ink(90)
	s.y += 1
	s.text(s.left, s.y, "Without Coffer: README.txt beside the backup says how the format is documented, and which")
	s.y += 4.2
	s.text(s.left, s.y, "small program reads it with these 64 digits alone.")
	s.y += 6
	s.rule()
	s.y += 8
}

// copies are lines to write on with a pen.
func (s *sheet) copies() {
	s.font(faceText, "B", 13)
	s.ink(0)
	s.text(s.left, s.y, "Where I keep copies of this sheet")
	s.pdf.SetDrawColor(150, 150, 150)
	for range 3 {
		if s.y += 10; s.y > s.bottom-10 {
			break // long names took the room
		}
		s.pdf.Line(s.left, s.y, s.left+s.width, s.y)
	}
}

func (s *sheet) footer(facts sheetFacts) {
	s.font(faceText, "", 8.5)
	s.ink(110)
	if s.escaped {
		s.text(s.left, s.bottom-4.5, "Letters that this page cannot print stand as their Unicode numbers, in ‹ ›.")
	}
	s.text(s.left, s.bottom, "“Check my sheet” in Coffer proves that this page opens the backup. A new password does not change this key.")
}
