package webdav

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// leftOverAge is when an upload belongs to nobody any more. A day is more than
	// a pack takes on any line that is worth using.
	leftOverAge = 24 * time.Hour
	// maxLeftOvers is how many are removed at once: the next time comes.
	maxLeftOvers = 10_000
)

// Maintain implements [cloud.Maintainer]: it removes uploads whose program died
// more than a day ago, by the server's own clock. Where the server does not tell
// the time or the age of files, it removes nothing.
func (d *Driver) Maintain(ctx context.Context) (tidied int, err error) {
	type leftOver struct {
		name     string
		modified time.Time
	}
	var found []leftOver
	header, err := d.children(ctx, askAge, func(i item, name string) (bool, error) {
		modified, err := http.ParseTime(i.modified)
		if isUpload(name) && !i.folder && i.status == http.StatusOK && err == nil {
			found = append(found, leftOver{name, modified})
		}
		return len(found) < maxLeftOvers, nil
	})
	if err != nil {
		return 0, fmt.Errorf("look for left-overs: %w", err)
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0, nil //nolint:nilerr // a server without a clock: no age can be told
	}
	for _, l := range found {
		if now.Sub(l.modified) < leftOverAge {
			continue
		}
		gone, err := d.remove(ctx, l.name)
		if err != nil {
			return tidied, fmt.Errorf("remove a left-over: %w", err)
		}
		if gone {
			tidied++
		}
	}
	return tidied, nil
}

// isUpload reports whether name is one that an upload gets.
func isUpload(name string) bool {
	digits, ok := strings.CutPrefix(name, uploadPrefix)
	return ok && len(digits) == uploadDigits && strings.Trim(digits, "0123456789abcdef") == ""
}
