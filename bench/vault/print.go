package main

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 2, 64)
}

func mebibytes(n int64) string { return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) }

// table prints a Markdown table.
func table(out io.Writer, title string, header []string, rows [][]string) {
	fmt.Fprintf(out, "\n### %s\n\n| %s |\n|%s\n", title, strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	for _, r := range rows {
		fmt.Fprintf(out, "| %s |\n", strings.Join(r, " | "))
	}
}

func printSpeed(out io.Writer, all []measured, limit bounds, notes []string) {
	var rows [][]string
	for _, m := range all {
		share := "-"
		if limit[m.way] > 0 {
			share = fmt.Sprintf("%.2f", m.rate()/limit[m.way])
		}
		rows = append(rows, []string{
			m.pair, m.way, strconv.Itoa(m.clients), fmt.Sprintf("%.0f", m.rate()),
			milliseconds(m.quantile(0.5)), milliseconds(m.quantile(0.99)), milliseconds(m.processor), fmt.Sprintf("%.2f", m.cores()), share,
		})
	}
	table(out, "Openings a second",
		[]string{"store, sealer", "way", "clients", "openings/s", "p50 ms", "p99 ms", "processor ms", "cores at work", "share of the bound"}, rows)
	fmt.Fprintf(out, "\n%d cores, %s/%s. One opening is two requests: attempt, finish. Client and vault are one process and share the cores.\n",
		runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH)
	for _, way := range []string{wayInside, wayNetwork, wayFresh} {
		fmt.Fprintf(out, "- bound, %s: %.0f openings/s, both halves of the cryptography\n", way, limit[way])
	}
	fmt.Fprintln(out, strings.Join(notes, "\n"))
}
