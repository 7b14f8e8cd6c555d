package main

import (
	"errors"
	"testing"
	"time"
)

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1: "1 byte", 999: "999 bytes", 1000: "1.0 kB", 9_940: "9.9 kB", 9_960: "10 kB",
		999_400: "999 kB", 999_999: "1.0 MB", 1_234_567: "1.2 MB", 2_900_000_000: "2.9 GB", 1 << 62: "4.6 EB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 12: "12", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := number(n); got != want {
			t.Errorf("number(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDates(t *testing.T) {
	when := time.Date(2026, 3, 3, 14, 2, 59, 0, time.Local)
	if got := dateText(when); got != "3 March 2026 14:02" {
		t.Errorf("dateText = %q", got)
	}
	if got := dayText(when); got != "3 March 2026" {
		t.Errorf("dayText = %q", got)
	}
}

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "less than a second", time.Second: "1 second", 99 * time.Second: "99 seconds",
		100 * time.Second: "2 minutes", 3 * time.Hour: "3 hours", 72 * time.Hour: "3 days",
	} {
		if got := durationText(d); got != want {
			t.Errorf("durationText(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestLeftIsARangeWhileItIsYoung(t *testing.T) {
	for _, c := range []struct {
		low, high time.Duration
		want      string
	}{
		{0, 0, ""},
		{40 * time.Second, 40 * time.Second, "40 s left"},
		{40 * time.Second, 0, "40 s left"},
		{2 * time.Minute, 5 * time.Minute, "2 to 5 min left"},
		{50 * time.Second, 5 * time.Minute, "50 s to 5 min left"},
		{121 * time.Minute, 122 * time.Minute, "2 h left"},
	} {
		if got := leftText(c.low, c.high); got != c.want {
			t.Errorf("leftText(%v, %v) = %q, want %q", c.low, c.high, got, c.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"268435456": 256 << 20, "256MiB": 256 << 20, "256M": 256 << 20, "256 mib": 256 << 20, "1GiB": 1 << 30,
		"1GB": 1e9, "64kb": 64e3, "7b": 7,
	} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "256MiBB", "1e9", "99999999999999999999", "9999999999GiB", "0x10", "1 2", "٣"} {
		if got, err := parseSize(text); !errors.Is(err, errSize) {
			t.Errorf("parseSize(%q) = %d, %v; want errSize", text, got, err)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	f.Add("256MiB")
	f.Add("1 GB")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseSize(text)
		if err == nil && n < 0 || err != nil && n != 0 {
			t.Fatalf("parseSize(%q) = %d, %v", text, n, err)
		}
	})
}
