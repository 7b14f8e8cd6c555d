package app

import (
	"fmt"
	"io"
	"strconv"

	"github.com/dustin/go-humanize"
)

func writeReceipt(w io.Writer, r Receipt) {
	head := "Restored"
	if r.Restored == 0 {
		head = "Nothing was restored"
	}
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "%-14s%s\n", label, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(w, head)
	fmt.Fprintln(w)
	line("Backup", "%s", r.Snapshot)
	line("To", "%s", printable(r.Target))
	line("Date", "%s", r.StartedAt.Format("2 January 2006 15:04"))
	line("Restored", "%d files and links, %s", r.Restored, humanize.IBytes(uint64(max(r.Bytes, 0))))
	line("Checked", "%d files, every byte against the backup", r.Verified)
	if r.Identical > 0 {
		line("", "%d of them were there already, the same", r.Identical)
	}
	line("Renamed", "%d", r.Renamed)
	line("Skipped", "%d", r.Skipped)
	line("Not restored", "%d", r.Failed)
	line("Time", "%.1f s", r.Seconds)
	section := func(title string, problems []Problem) {
		if len(problems) == 0 {
			return
		}
		fmt.Fprintf(w, "\n%s\n", title)
		for _, p := range problems {
			fmt.Fprintf(w, "  %s: %s\n", printable(p.Path), p.Reason)
		}
	}
	section("Not restored, or not wholly:", r.Problems)
	if len(r.Renames) > 0 {
		fmt.Fprintf(w, "\nRenamed:\n")
		for _, n := range r.Renames {
			fmt.Fprintf(w, "  %s -> %s\n", printable(n.From), printable(n.To))
		}
	}
	section("Not taken by this system:", r.Lost)
}

// printable quotes a name that holds control characters or is no text: a file
// name must not be able to forge lines of a receipt.
func printable(name string) string {
	quoted := strconv.Quote(name)
	if quoted[1:len(quoted)-1] == name {
		return name
	}
	return quoted
}
