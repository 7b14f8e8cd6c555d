package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// bytesText says a size the way people do, in decimal units: "1.2 GB".
func bytesText(n int64) string {
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	if n < 1000 {
		return count(n, "byte", "bytes")
	}
	value, unit := float64(n)/1000, 0
	for value >= 999.5 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	if value < 9.95 {
		return fmt.Sprintf("%.1f %s", value, units[unit])
	}
	return fmt.Sprintf("%.0f %s", value, units[unit])
}

// count says a number and its noun: "1 file", "12,345 files".
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// number writes n with a comma between thousands.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// dateText writes a moment in full, on the clock of this computer: "3 March 2026 14:02".
func dateText(t time.Time) string { return t.Local().Format("2 January 2006 15:04") }

// dayText writes a day in full: "12 May 2024".
func dayText(t time.Time) string { return t.Local().Format("2 January 2006") }

// durationText says a length of time in the coarsest words that are still of use.
func durationText(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 100*time.Second:
		return count(int64(d.Round(time.Second)/time.Second), "second", "seconds")
	case d < 100*time.Minute:
		return count(int64(d.Round(time.Minute)/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return count(int64(d.Round(time.Hour)/time.Hour), "hour", "hours")
	}
	return count(int64(d.Round(24*time.Hour)/(24*time.Hour)), "day", "days")
}

// leftText says how long a run still takes: a range while the estimate is young, since
// one number in the first minute is a lie. It is empty when nothing is known.
func leftText(left, most time.Duration) string {
	if left <= 0 && most <= 0 {
		return ""
	}
	low, high := shortDuration(left), shortDuration(most)
	if most <= left || low == high {
		return low + " left"
	}
	lowNumber, lowUnit, _ := strings.Cut(low, " ")
	if _, highUnit, _ := strings.Cut(high, " "); lowUnit == highUnit {
		low = lowNumber
	}
	return low + " to " + high + " left"
}

// shortDuration is durationText for a line that is redrawn: "40 s", "12 min", "3 h".
func shortDuration(d time.Duration) string {
	switch {
	case d < 100*time.Second:
		return fmt.Sprintf("%d s", max(1, int64(math.Round(d.Seconds()))))
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min", int64(math.Round(d.Minutes())))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int64(math.Round(d.Hours())))
	}
	return fmt.Sprintf("%d days", int64(math.Round(d.Hours()/24)))
}

var errSize = errors.New("coffer: not a size such as 256MiB")

// parseSize reads a number of bytes with or without a unit: "268435456", "256MiB",
// "256M", "1 GB". Without the i a unit is decimal, but a bare letter is binary, as in
// other tools. Fractions are refused: "0.5GiB" is 512MiB.
func parseSize(text string) (int64, error) {
	digits := strings.TrimLeft(text, "0123456789")
	n, err := strconv.ParseInt(text[:len(text)-len(digits)], 10, 64)
	if err != nil {
		return 0, errSize
	}
	unit, ok := sizeUnit(strings.ToLower(strings.TrimSpace(digits)))
	if !ok || n > math.MaxInt64/unit {
		return 0, errSize
	}
	return n * unit, nil
}

func sizeUnit(name string) (bytes int64, ok bool) {
	switch name {
	case "", "b":
		return 1, true
	case "k", "kib":
		return 1 << 10, true
	case "m", "mib":
		return 1 << 20, true
	case "g", "gib":
		return 1 << 30, true
	case "kb":
		return 1e3, true
	case "mb":
		return 1e6, true
	case "gb":
		return 1e9, true
	}
	return 0, false
}

// seconds says how long a task took.
func seconds(s float64) string { return durationText(time.Duration(s * float64(time.Second))) }
