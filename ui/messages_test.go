package ui

import (
	"testing"
	"time"

	"coffer/app"
	"coffer/ui/canned"
)

func speakTest(t *testing.T, language string) {
	t.Helper()
	restoreLanguage(t)
	if tag, err := speak(language); err != nil || tag != language {
		t.Fatalf("speak(%s) = %s, %v", language, tag, err)
	}
}

func TestSize(t *testing.T) {
	for _, c := range []struct {
		bytes  int64
		en, de string
	}{
		{0, "0 bytes", "0 Byte"},
		{1, "1 byte", "1 Byte"},
		{999, "999 bytes", "999 Byte"},
		{1000, "1.0\u00a0kB", "1,0\u00a0kB"},
		{9_949, "9.9\u00a0kB", "9,9\u00a0kB"},
		{9_960, "10\u00a0kB", "10\u00a0kB"},
		{999_499, "999\u00a0kB", "999\u00a0kB"},
		{999_500, "1.0\u00a0MB", "1,0\u00a0MB"},
		{212e9, "212\u00a0GB", "212\u00a0GB"},
		{4e12, "4.0\u00a0TB", "4,0\u00a0TB"},
		{9.2e18, "9.2\u00a0EB", "9,2\u00a0EB"},
	} {
		speakTest(t, "en")
		if got := size(c.bytes); got != c.en {
			t.Errorf("size(%d) = %q, want %q", c.bytes, got, c.en)
		}
		speakTest(t, "de")
		if got := size(c.bytes); got != c.de {
			t.Errorf("in German size(%d) = %q, want %q", c.bytes, got, c.de)
		}
	}
}

func TestNumber(t *testing.T) {
	speakTest(t, "en")
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 100000: "100,000"} {
		if got := number(n); got != want {
			t.Errorf("number(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestMoment(t *testing.T) {
	speakTest(t, "en")
	zone := time.FixedZone("east", 5*3600)
	now := time.Date(2026, time.March, 3, 1, 0, 0, 0, zone)
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{now, "today at 01:00"},
		{now.Add(-2 * time.Hour), "yesterday at 23:00"},
		{now.Add(-26 * time.Hour), "1 March 2026, 23:00"},
		{now.Add(23 * time.Hour), "4 March 2026, 00:00"},
		{now.UTC().Add(-30 * time.Minute), "today at 00:30"},
	} {
		if got := moment(c.at, now); got != c.want {
			t.Errorf("moment(%v) = %q, want %q", c.at, got, c.want)
		}
	}
}

func TestTimeLeft(t *testing.T) {
	speakTest(t, "en")
	for _, c := range []struct {
		least, most time.Duration
		want        string
	}{
		{0, 0, ""},
		{time.Minute, 0, ""},
		{0, 30 * time.Second, "about 30 seconds left"},
		{2 * time.Minute, 4 * time.Minute, "2 minutes to 4 minutes left"},
		{61 * time.Second, 62 * time.Second, "about 1 minute left"},
		{40 * time.Minute, 3 * time.Hour, "40 minutes to 3 hours left"},
		{30 * time.Hour, 80 * time.Hour, "30 hours to 3 days left"},
	} {
		if got := timeLeft(c.least, c.most); got != c.want {
			t.Errorf("timeLeft(%v, %v) = %q, want %q", c.least, c.most, got, c.want)
		}
	}
}

func TestTrouble(t *testing.T) {
	speakTest(t, "en")
	made := time.Date(2024, time.May, 12, 23, 30, 0, 0, time.UTC).Format(time.RFC3339)
	head, body := trouble(app.Failure{Code: app.CodeKeyOfOther, Args: map[string]string{"made": made, "computer": "ANN-OLD-PC"}}, canned.Now)
	if head != "This key is correct, but for a different backup." || body != "That one was made 12 May 2024 on ANN-OLD-PC." {
		t.Errorf("%q %q", head, body)
	}
	_, body = trouble(app.Failure{Code: app.CodeKeyOfOther}, canned.Now)
	if body != "That one was made some time ago on another computer." {
		t.Errorf("without arguments: %q", body)
	}
	until := canned.Now.Add(time.Hour).Format(time.RFC3339)
	if head, _ = trouble(app.Failure{Code: app.CodeWait, Args: map[string]string{"until": until}}, canned.Now); head != "The vault takes the next try today at 15:30." {
		t.Error(head)
	}
}

func TestNearestLanguage(t *testing.T) {
	for wanted, want := range map[string]string{"de-AT": "de", "en-GB": "en", "de": "de", "tlh": "en", "": "en", "not a tag": "en"} {
		if got := nearestLanguage(wanted); got != want {
			t.Errorf("nearestLanguage(%q) = %s, want %s", wanted, got, want)
		}
	}
}
