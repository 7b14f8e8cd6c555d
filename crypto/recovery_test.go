package crypto

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"coffer/crypto/aead"
)

// sheet renders a recovery key in the ways that people have it.
func sheet(root RootKey, number, between, check, lineEnd string) string {
	var b strings.Builder
	for i, l := range RecoveryLines(root) {
		if number != "" {
			fmt.Fprintf(&b, "%d%s", i+1, number)
		}
		b.WriteString(strings.ReplaceAll(l.Digits, " ", between))
		if check != "" {
			b.WriteString(check + l.Check)
		}
		b.WriteString(lineEnd)
	}
	return b.String()
}

func reasonOf(t testing.TB, err error) *RecoveryError {
	t.Helper()
	var r *RecoveryError
	if !errors.As(err, &r) || !errors.Is(err, ErrRecoveryKey) {
		t.Fatalf("not a RecoveryError: %v", err)
	}
	return r
}

func TestRecoveryLines(t *testing.T) {
	root := mustRoot(t, mustHex(t, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))
	lines := RecoveryLines(root)
	// (1 * 16^8 + 0x00010203) mod 97 = 29 and (8 * 16^8 + 0x1c1d1e1f) mod 97 = 32, by a
	// calculator.
	if lines[0].Digits != "0001 0203" || lines[0].Check != "29" || lines[7].Digits != "1c1d 1e1f" || lines[7].Check != "32" {
		t.Errorf("%q %q, %q %q", lines[0].Digits, lines[0].Check, lines[7].Digits, lines[7].Check)
	}
	want := "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	if got := string(exposed(RecoveryDigits(root))); got != want {
		t.Errorf("digits %s", got)
	}
}

// The promise of the check, for 50 keys: every wrong digit, every swap of neighbours and
// every line in a wrong place is named by its line.
func TestCheckCatches(t *testing.T) {
	for range 50 {
		root := NewRootKey()
		lines := RecoveryLines(root)
		var digits [8][]byte
		for i, l := range lines {
			digits[i] = []byte(strings.ReplaceAll(l.Digits, " ", ""))
		}
		caught := func(what string, n int, changed []byte) {
			t.Helper()
			if bytes.Equal(changed, digits[n]) {
				return
			}
			line := string(changed) + " " + lines[n].Check
			if CheckRecoveryLine(n+1, line) != LineWrong {
				t.Fatalf("%s of line %d is not caught", what, n+1)
			}
		}
		for n := range lines {
			for i := range digits[n] {
				for _, d := range []byte("0123456789abcdef") {
					changed := bytes.Clone(digits[n])
					changed[i] = d
					caught("a wrong digit", n, changed)
				}
				if i > 0 {
					changed := bytes.Clone(digits[n])
					changed[i-1], changed[i] = changed[i], changed[i-1]
					caught("a swap", n, changed)
				}
			}
			for other := range lines {
				moved := string(digits[n]) + lines[n].Check
				if want := other == n; (CheckRecoveryLine(other+1, moved) == LineRight) != want {
					t.Fatalf("line %d in the place of %d", n+1, other+1)
				}
			}
		}
	}
}

func TestParseRecoveryKey(t *testing.T) {
	for range 20 {
		root := NewRootKey()
		digits := string(exposed(RecoveryDigits(root)))
		texts := map[string]string{
			"digits":                   digits,
			"upper case":               strings.ToUpper(digits),
			"with a line end":          digits + "\r\n",
			"each digit apart":         strings.Join(strings.Split(digits, ""), " "),
			"byte order mark":          "\ufeff" + digits,
			"sheet":                    sheet(root, ". ", " ", "  ", "\n"),
			"sheet, colons":            sheet(root, ": ", " ", " ", "\n"),
			"sheet, brackets":          sheet(root, ") ", " ", " ", "\n"),
			"sheet, bare numbers":      sheet(root, " ", " ", " ", "\n"),
			"sheet, tabs":              sheet(root, "\t", "\t", "\t", "\n"),
			"sheet, no checks":         sheet(root, ". ", " ", "", "\n"),
			"sheet, no checks, bare":   sheet(root, " ", " ", "", "\n"),
			"sheet, no numbers":        sheet(root, "", " ", "  ", "\n"),
			"sheet, only digits":       sheet(root, "", " ", "", "\n"),
			"sheet, nothing between":   sheet(root, "", "", "", "\n"),
			"sheet, all run together":  sheet(root, ".", "", "-", "\n"),
			"sheet, no separators":     strings.ReplaceAll(sheet(root, " ", "", " ", "\n"), " ", ""),
			"sheet, blank lines":       sheet(root, ". ", " ", "  ", "\r\n\r\n \t\n"),
			"sheet, old Macintosh":     sheet(root, ". ", " ", "  ", "\r"),
			"sheet, Unicode line ends": sheet(root, ". ", "\u00a0", "\u2003", "\u2028"),
			"hyphens":                  sheet(root, "", "-", "-", "-"),
			"dashes":                   sheet(root, "", "\u2013", "\u2014", " "),
			"one line":                 sheet(root, ". ", " ", " ", " "),
			"one line, bare numbers":   sheet(root, " ", " ", " ", " "),
			"one line, no checks":      sheet(root, ". ", " ", "", " "),
			"one line, no numbers":     sheet(root, "", " ", " ", " "),
			"one line, only digits":    sheet(root, "", " ", "", " "),
			"sixteen lines":            sheet(root, "", "\n", "", "\n"),
			"sixteen lines and checks": sheet(root, ". ", "\n", " ", "\n"),
			"four lines":               digits[:16] + "\n" + digits[16:32] + "\n" + digits[32:48] + "\n" + digits[48:],
			"full width":               widened(sheet(root, ". ", " ", " ", "\n")),
			"full width, ideographic":  widened(sheet(root, ". ", "\u3000", "\u3000", "\n")),
			"look-alikes":              lookAlike(digits, "o", "l"),
			"look-alikes, upper":       lookAlike(strings.ToUpper(digits), "O", "I"),
			"look-alikes on a sheet":   lookAlike(sheet(root, ". ", " ", " ", "\n"), "O", "l"),
		}
		for name, s := range texts {
			before := []byte(s)
			got, err := ParseRecoveryKey([]byte(s))
			if err != nil || !got.Equal(root) {
				t.Fatalf("%s: %v\n%s", name, err, s)
			}
			if string(before) != s {
				t.Errorf("%s: the text was changed", name)
			}
		}
	}
}

func widened(s string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < '\x7f' {
			return r - '!' + '！'
		}
		return r
	}, s)
}

func lookAlike(s, zero, one string) string {
	return strings.NewReplacer("0", zero, "1", one).Replace(s)
}

// On each line of a sheet number and check may be there or not, spacing is free, and case
// and look-alikes mix.
func TestParseMixedSheet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	spaces := []string{"", " ", "  ", "\t", "-", " - ", "\u00a0", "\u2009"}
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	for range 500 {
		root := NewRootKey()
		var b strings.Builder
		for i, l := range RecoveryLines(root) {
			b.WriteString(pick(spaces))
			if random.IntN(2) == 0 {
				fmt.Fprintf(&b, "%d%s", i+1, pick([]string{".", ". ", ": ", ") ", " ", "\t"}))
			}
			for _, d := range strings.ReplaceAll(l.Digits, " ", "") {
				b.WriteString(pick([]string{string(d), strings.ToUpper(string(d)), lookAlike(string(d), "o", "I")}))
				if random.IntN(4) == 0 {
					b.WriteString(pick(spaces))
				}
			}
			if random.IntN(2) == 0 {
				b.WriteString(pick(spaces) + l.Check)
			}
			b.WriteString(pick([]string{"\n", "\r\n", " \n", "\n\n"}))
		}
		if got, err := ParseRecoveryKey([]byte(b.String())); err != nil || !got.Equal(root) {
			t.Fatalf("%v\n%s", err, b.String())
		}
	}
}

func TestParseRefused(t *testing.T) {
	root := mustRoot(t, mustHex(t, "3f9a07bc1122334455667788990a0b0c0d0e0f10a1a2a3a4b1b2b3b4c1c2c3c4"))
	digits := string(exposed(RecoveryDigits(root)))
	full := sheet(root, ". ", " ", "  ", "\n")
	lines := strings.Split(strings.TrimSpace(full), "\n")
	with := func(n int, line string) string {
		l := append([]string(nil), lines...)
		l[n-1] = line
		return strings.Join(l, "\n")
	}
	plain := strings.Split(strings.TrimSpace(sheet(root, "", "", "", "\n")), "\n")
	swapped := append([]string(nil), lines...)
	swapped[1], swapped[2] = swapped[2], swapped[1]
	for _, c := range []struct {
		name, text string
		want       RecoveryError
	}{
		{"nothing", "", RecoveryError{0, RecoveryTooShort, 0}},
		{"spaces", " \n\t", RecoveryError{0, RecoveryTooShort, 0}},
		{"63 digits", digits[1:], RecoveryError{0, RecoveryTooShort, 0}},
		{"65 digits", digits + "0", RecoveryError{0, RecoveryTooLong, 0}},
		{"twice", digits + digits, RecoveryError{0, RecoveryTooLong, 0}},
		{"72 digits without numbers", digits + "01234567", RecoveryError{0, RecoveryTooLong, 0}},
		{"not a digit", digits[:10] + "g" + digits[11:], RecoveryError{0, RecoveryNotADigit, 11}},
		{"not a digit, after wide ones", "\u3000\uff13é", RecoveryError{0, RecoveryNotADigit, 3}},
		{"not UTF-8", digits[:10] + "\xff" + digits[10:], RecoveryError{0, RecoveryNotADigit, 11}},
		{"nul", digits + "\x00", RecoveryError{0, RecoveryNotADigit, 65}},
		{"seven lines", strings.Join(lines[:7], "\n"), RecoveryError{0, RecoveryTooShort, 0}},
		{"one line of eight", lines[0], RecoveryError{0, RecoveryTooShort, 0}},
		{"seven plain lines", strings.Join(plain[:7], "\n"), RecoveryError{0, RecoveryTooShort, 0}},
		{"nine plain lines", strings.Join(append(plain[:8:8], plain[0]), "\n"), RecoveryError{0, RecoveryTooLong, 0}},
		{"line too short", with(3, "3. 5566 778  86"), RecoveryError{3, RecoveryTooLong, 0}},
		{"plain line too short", with(3, "5566 778"), RecoveryError{3, RecoveryTooShort, 0}},
		{"numbered line too short", with(3, "3. 5566 778"), RecoveryError{3, RecoveryTooShort, 0}},
		{"line too long", with(3, "5566 7788 9"), RecoveryError{3, RecoveryTooLong, 0}},
		// A digit typed twice does not pass as a line number.
		{"doubled digit", with(1, "13f9a07bc"), RecoveryError{1, RecoveryTooLong, 0}},
		{"wrong digit", with(1, "1. 3f9b 07bc 69"), RecoveryError{1, RecoveryCheckMismatch, 0}},
		{"swapped lines", strings.Join(swapped, "\n"), RecoveryError{2, RecoveryCheckMismatch, 0}},
		{"wrong number", with(4, "5. 990a 0b0c"), RecoveryError{4, RecoveryCheckMismatch, 0}},
		{"letter in a line", with(8, "8. c1c2 c3cx"), RecoveryError{8, RecoveryNotADigit, 12}},
		{"hexadecimal check", with(8, "8. c1c2 c3c4 1a"), RecoveryError{8, RecoveryCheckMismatch, 0}},
		{"long text", strings.Repeat(" ", maxRecoveryText+1), RecoveryError{0, RecoveryTooLong, 0}},
		// Numbers there, digits missing: 56 digits and 8 numbers are not a key.
		{"numbers for digits", numbersForDigits(plain), RecoveryError{0, RecoveryTooShort, 0}},
		{"one line, wrong digit", strings.Replace(sheet(root, ". ", " ", " ", " "), "5566", "5567", 1), RecoveryError{3, RecoveryCheckMismatch, 0}},
		{"one line, wrong number", strings.Replace(sheet(root, ". ", " ", " ", " "), "3. ", "4. ", 1), RecoveryError{3, RecoveryCheckMismatch, 0}},
	} {
		got, err := ParseRecoveryKey([]byte(c.text))
		if !got.IsZero() || err == nil {
			t.Errorf("%s: taken", c.name)
			continue
		}
		if r := reasonOf(t, err); *r != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, *r, c.want)
		}
	}
}

func numbersForDigits(plain []string) string {
	var b strings.Builder
	for i, l := range plain {
		fmt.Fprintf(&b, "%d. %s ", i+1, l[1:])
	}
	return b.String()
}

// In one line each wrong digit is named as well, when the checks are there.
func TestOneLineNamesTheLine(t *testing.T) {
	root := NewRootKey()
	for _, s := range []string{sheet(root, "", "", "", ""), sheet(root, "", "", " ", " "), sheet(root, ".", "", " ", " ")} {
		for at := range s {
			for _, d := range []byte("07f") {
				changed := []byte(s)
				if _, ok := digitValue(rune(s[at])); !ok || changed[at] == d {
					continue
				}
				changed[at] = d
				got, err := ParseRecoveryKey(changed)
				if len(s) == recoveryDigits {
					if err != nil || got.Equal(root) {
						t.Fatalf("without checks: %v", err)
					}
					continue
				}
				line := at/(len(s)/8) + 1
				if r := reasonOf(t, err); r.Line != line || r.Reason != RecoveryCheckMismatch {
					t.Fatalf("%+v, want line %d\n%s", *r, line, changed)
				}
			}
		}
	}
}

func TestRecoveryErrorHidesTheText(t *testing.T) {
	root := NewRootKey()
	digits := string(exposed(RecoveryDigits(root)))
	for _, s := range []string{digits[:60], digits + "00", digits[:60] + "zzzz", sheet(NewRootKey(), ". ", " ", " 0", "\n")} {
		_, err := ParseRecoveryKey([]byte(s))
		if err == nil {
			t.Fatal("taken")
		}
		for i := 0; i+4 <= len(digits); i += 4 {
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), digits[i:i+4]) {
				t.Errorf("%v holds digits", err)
			}
		}
	}
	want := "crypto: not a recovery key: line 3: character 5: not a digit"
	if got := (&RecoveryError{3, RecoveryNotADigit, 5}).Error(); got != want {
		t.Errorf("got %q", got)
	}
	for r := RecoveryTooShort; r <= RecoveryCheckMismatch; r++ {
		if r.String() == RecoveryReason(0).String() {
			t.Errorf("reason %d has no words", int(r))
		}
	}
}

// Live entry: on the way to a right line nothing is wrong, whatever the form.
func TestCheckRecoveryLineWhileTyping(t *testing.T) {
	for range 100 {
		for i, l := range RecoveryLines(NewRootKey()) {
			n := i + 1
			digits := strings.ReplaceAll(l.Digits, " ", "")
			for _, line := range []string{
				l.Digits, digits, l.Digits + " " + l.Check, digits + l.Check, strings.ToUpper(l.Digits),
				fmt.Sprintf("%d. %s  %s", n, l.Digits, l.Check), fmt.Sprintf("%d: %s", n, l.Digits),
				fmt.Sprintf("%d %s %s", n, l.Digits, l.Check), fmt.Sprintf("%d. %s", n, digits),
			} {
				for end := range line {
					state := CheckRecoveryLine(n, line[:end])
					if state == LineWrong || (state == LineEmpty) != (end == 0) {
						t.Fatalf("line %d, %q: state %d", n, line[:end], state)
					}
				}
				if state := CheckRecoveryLine(n, line); state != LineRight {
					t.Fatalf("line %d, %q: state %d", n, line, state)
				}
			}
		}
	}
}

func TestCheckRecoveryLine(t *testing.T) {
	for _, c := range []struct {
		n    int
		text string
		want LineState
	}{
		{1, "", LineEmpty},
		{1, " \t", LineEmpty},
		{1, "3", LinePartial},
		{1, "3f9a 07b", LinePartial},
		{1, "3f9a 07bc", LineRight},
		{1, "3f9a 07bg", LineWrong},
		{1, "x", LineWrong},
		{1, "3f9a 07bc 94", LineRight},
		{1, "3f9a 07bc 9", LinePartial},
		{1, "3f9a 07bc 7", LineWrong},
		{1, "3f9a 07bc a", LineWrong},
		{1, "3f9a 07bc 60", LineWrong},
		{1, "3f9a 07bc 941", LineWrong},
		{2, "3f9a 07bc 94", LineWrong},
		{0, "3f9a 07bc", LineWrong},
		{9, "3f9a 07bc", LineWrong},
		{1, "1.", LinePartial},
		{1, "1. 3f9a 07bc 94", LineRight},
		{2, "1.", LineWrong},
		{2, "1. 3f9a", LineWrong},
		{1, strings.Repeat(" ", maxRecoveryText+1), LineWrong},
	} {
		if got := CheckRecoveryLine(c.n, c.text); got != c.want {
			t.Errorf("line %d, %q: %d, want %d", c.n, c.text, got, c.want)
		}
	}
}

func FuzzParseRecoveryKey(f *testing.F) {
	root := mustRoot(f, aead.Random(KeySize))
	f.Add([]byte{})
	f.Add(exposed(RecoveryDigits(root)))
	f.Add([]byte(sheet(root, ". ", " ", "  ", "\n")))
	f.Add([]byte(sheet(root, " ", "-", "", " ")))
	f.Add([]byte(widened(sheet(root, ": ", "\u3000", " ", "\r\n"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		got, err := ParseRecoveryKey(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the text was changed")
		}
		if err != nil {
			r := reasonOf(t, err)
			if !got.IsZero() || r.Line < 0 || r.Line > 8 || (r.Position > 0) != (r.Reason == RecoveryNotADigit) {
				t.Fatalf("%+v", *r)
			}
			return
		}
		again, err := ParseRecoveryKey(exposed(RecoveryDigits(got)))
		if err != nil || !again.Equal(got) {
			t.Fatal("what was read does not come back")
		}
	})
}

// Live entry and the parser agree: a line is right exactly when the sheet with it is.
func FuzzCheckRecoveryLine(f *testing.F) {
	root := mustRoot(f, aead.Random(KeySize))
	for i, l := range strings.Split(sheet(root, ". ", " ", "  ", "\n"), "\n") {
		f.Add(i+1, l)
	}
	f.Add(1, "1 2345 678 9")
	f.Add(1, "1")
	f.Fuzz(func(t *testing.T, n int, line string) {
		state := CheckRecoveryLine(n, line)
		if n < 1 || n > 8 || strings.ContainsFunc(line, isLineBreak) || len(line) > maxRecoveryText/2 {
			return
		}
		lines := strings.Split(sheet(root, ". ", " ", "  ", "\n"), "\n")
		lines[n-1] = line
		_, err := ParseRecoveryKey([]byte(strings.Join(lines, "\n")))
		if state == LineEmpty {
			return // seven lines are another matter
		}
		if (state == LineRight) != (err == nil) {
			t.Fatalf("line %d, %q: state %d, parser %v", n, line, state, err)
		}
	})
}
