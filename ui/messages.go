package ui

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/lang"
	"golang.org/x/text/language"

	"coffer/app"
	"coffer/assets"
)

// say returns the text of key in the user's language. pairs are the names of the holes in
// it, each followed by its value.
func say(key string, pairs ...any) string {
	return lang.X(key, key, holes(pairs))
}

// sayN is say for a text that depends on a number, which fills its hole n.
func sayN(key string, n int64, pairs ...any) string {
	h := holes(pairs)
	h["n"] = number(n)
	return lang.XN(key, key, int(min(n, 1<<30)), h)
}

func holes(pairs []any) map[string]any {
	h := make(map[string]any, len(pairs)/2+1)
	for i := 0; i+1 < len(pairs); i += 2 {
		h[pairs[i].(string)] = pairs[i+1]
	}
	return h
}

// speak loads the texts of a language, "" being the system's, and returns its tag. fyne
// looks texts up under the system's locale, so that is the name they are loaded under.
// Objects made earlier keep their texts.
func speak(wanted string) (tag string, err error) {
	system := lang.SystemLocale()
	if wanted == "" {
		wanted = system.String()
	}
	tag = nearestLanguage(wanted)
	texts, ok := assets.Translation(tag)
	if !ok {
		return "", fmt.Errorf("load texts: no language %q", tag)
	}
	for _, locale := range []fyne.Locale{"en", system} {
		if err := lang.AddTranslationsForLocale(texts, locale); err != nil {
			return "", fmt.Errorf("load texts of %s: %w", tag, err)
		}
	}
	return tag, nil
}

func nearestLanguage(wanted string) string {
	languages := assets.Languages()
	tags := make([]language.Tag, len(languages))
	for i, l := range languages {
		tags[i] = language.Make(l)
	}
	_, at, confidence := language.NewMatcher(tags).Match(language.Make(wanted))
	if confidence == language.No {
		at = 0
	}
	return languages[at]
}

// number writes n in groups of three.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + say("format.group") + digits[at:]
	}
	return digits
}

// size writes bytes in decimal units, as file managers and disk makers do.
func size(bytes int64) string {
	if bytes < 1000 {
		return sayN("format.bytes", bytes)
	}
	value, unit := float64(bytes)/1000, 0
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	digits := 0
	if value < 9.95 {
		digits = 1
	}
	text := strconv.FormatFloat(value, 'f', digits, 64)
	return strings.Replace(text, ".", say("format.decimal"), 1) + "\u00a0" + units[unit]
}

// day writes a date in full.
func day(t time.Time) string {
	return say("format.date", "day", t.Day(), "month", say("month."+strconv.Itoa(int(t.Month()))), "year", t.Year())
}

// clockTime writes the time of day.
func clockTime(t time.Time) string { return t.Format("15:04") }

// moment writes when something was, as seen from now: the time for today and yesterday,
// else the date in full and the time.
func moment(t, now time.Time) string {
	t = t.In(now.Location())
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch {
	case !t.Before(midnight) && t.Before(midnight.AddDate(0, 0, 1)):
		return say("format.today", "time", clockTime(t))
	case !t.Before(midnight.AddDate(0, 0, -1)) && t.Before(midnight):
		return say("format.yesterday", "time", clockTime(t))
	}
	return say("format.moment", "date", day(t), "time", clockTime(t))
}

// span writes a duration roughly, in one unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return sayN("format.seconds", max(1, int64(d.Round(time.Second)/time.Second)))
	case d < 100*time.Minute:
		return sayN("format.minutes", int64((d+30*time.Second)/time.Minute))
	case d < 48*time.Hour:
		return sayN("format.hours", int64((d+30*time.Minute)/time.Hour))
	}
	return sayN("format.days", int64((d+12*time.Hour)/(24*time.Hour)))
}

// timeLeft writes how long something may still take, as a range where it is one.
func timeLeft(least, most time.Duration) string {
	if most <= 0 {
		return ""
	}
	from, to := span(least), span(most)
	if least <= 0 || from == to {
		return say("format.left", "time", to)
	}
	return say("format.left-range", "from", from, "to", to)
}

// lockName names a way in.
func lockName(kind app.LockKind) string { return say("lock.name." + string(kind)) }

// failureHoles are the arguments that a failure can carry. A text may have a hole for each,
// and what a failure lacks is written as nothing.
var failureHoles = [...]string{
	"tries", "until", "path", "line", "computer", "made", "place", "object", "position",
	"scheme", "count", "problem", "at", "name", "account", "host", "known", "offered",
}

// trouble returns a failure as people read it: what is the case, and what follows from it.
func trouble(f app.Failure, now time.Time) (title, body string) {
	pairs := make([]any, 0, 2*len(failureHoles))
	for _, name := range failureHoles {
		pairs = append(pairs, name, failureArg(name, f.Args[name], now))
	}
	key := "failure." + string(f.Code)
	return say(key+".title", pairs...), say(key+".body", pairs...)
}

// failureArg writes times as people do; everything else stays.
func failureArg(name, value string, now time.Time) string {
	at, err := time.Parse(time.RFC3339, value)
	switch {
	case name == "place" && value == "":
		return say("failure.some-place")
	case name == "place":
		return placeName(value, func(path string) string { return path })
	case value == "" && name == "account":
		return say("failure.some-account")
	case value == "" && name == "until":
		return say("failure.some-time")
	case err != nil && value == "" && name == "computer":
		return say("failure.some-computer")
	case err != nil && value == "" && name == "made":
		return say("failure.some-day")
	case err != nil:
		return value
	case name == "made":
		return day(at.In(now.Location()))
	}
	return moment(at, now)
}

func secondsOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// reason is a phrase of package app in the user's language: the catalogue is asked for it
// by its letters. One that is not there, such as the system's own words, stays as it is. pairs
// fill its holes.
func reason(phrase string, pairs ...any) string {
	key := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(phrase))
	for strings.Contains(key, "--") {
		key = strings.ReplaceAll(key, "--", "-")
	}
	key = "reason." + strings.Trim(key, "-")
	if english, _ := assets.Translation("en"); !bytes.Contains(english, []byte(`"`+key+`"`)) {
		return phrase
	}
	return say(key, pairs...)
}

// sentenceCase makes the first letter a capital, for a text that stands alone.
func sentenceCase(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
