package main

import (
	"fmt"
	"path"
	"time"

	"coffer/app"
)

// How often progress is said: on a terminal the line is redrawn as often as the engine
// reports (ten times a second at most), a log gets a line now and then.
const (
	redrawEvery = 100 * time.Millisecond
	recordEvery = time.Second
	logEvery    = 30 * time.Second
)

// A progressView shows how far a task has come. The engine calls show from one goroutine
// at a time.
type progressView struct {
	console *console
	now     func() time.Time
	width   func() int // cells on the terminal; 0: there is none
	start   time.Time
	last    time.Time
}

func (p *program) newProgress() *progressView {
	v := &progressView{console: p.console, now: time.Now, width: p.console.width}
	if !isTerminal(p.stderr) {
		v.width = func() int { return 0 }
	}
	v.start = v.now()
	v.last = v.start.Add(-recordEvery) // records begin at once, log lines after a while
	return v
}

// show draws, writes or records the progress, when it is time for it.
func (v *progressView) show(p app.Progress) {
	now := v.now()
	switch width := v.width(); {
	case v.console.json:
		if v.due(now, recordEvery) {
			_ = v.console.record("progress", recordOf(p))
		}
	case v.console.quiet:
	case width > 0:
		if v.due(now, redrawEvery) {
			v.console.draw(progressLine(p, width))
		}
	case now.Sub(v.start) >= logEvery && v.due(now, logEvery):
		v.console.note("%s", progressText(p))
	}
}

func (v *progressView) due(now time.Time, every time.Duration) bool {
	if now.Sub(v.last) < every {
		return false
	}
	v.last = now
	return true
}

// phaseVerbs says what is being done.
var phaseVerbs = map[app.Phase]string{
	app.PhasePlanning:   "Planning",
	app.PhaseReading:    "Backing up",
	app.PhaseUploading:  "Storing",
	app.PhaseIndexing:   "Finishing",
	app.PhaseRestoring:  "Restoring",
	app.PhaseChecking:   "Checking",
	app.PhaseLoadingKey: "Opening",
}

// progressText says the progress without the folder: "Backing up: 42 %, 1.2 GB of 2.9 GB,
// 1,234 of 5,678 files, 56 MB/s, 2 to 4 min left".
func progressText(p app.Progress) string {
	text := phaseVerbs[p.Phase]
	if text == "" {
		text = "Working"
	}
	text += ": "
	// The totals may be those of the backup before. Once they are passed they say nothing.
	if p.Scanned && p.Bytes < p.TotalBytes {
		text += fmt.Sprintf("%d %%, %s of %s", percent(p), bytesText(p.Bytes), bytesText(p.TotalBytes))
	} else {
		text += bytesText(p.Bytes)
	}
	switch {
	case p.Scanned && p.Files < p.TotalFiles:
		text += fmt.Sprintf(", %s of %s", number(p.Files), count(p.TotalFiles, "file", "files"))
	case p.Files > 0:
		text += ", " + count(p.Files, "file", "files") + " so far"
	}
	if p.Rate >= 1 {
		text += ", " + bytesText(int64(p.Rate)) + "/s"
	}
	if left := leftText(p.Left, p.LeftMax); left != "" {
		text += ", " + left
	}
	if p.Problems > 0 {
		text += ", " + count(p.Problems, "problem", "problems")
	}
	return text
}

// percent is how much is done. It is never 100: while a line of progress is shown, there
// is something left to do.
func percent(p app.Progress) int64 {
	return max(0, min(99, int64(float64(p.Bytes)/float64(p.TotalBytes)*100)))
}

// progressLine is progressText and the folder, in width cells.
func progressLine(p app.Progress, width int) string {
	line := progressText(p)
	if room := width - columns(line) - 2; p.Current != "" && room >= 8 {
		line += "  " + fit(printable(path.Dir(p.Current)), room)
	}
	if columns(line) > width {
		line = cutEnd(line, width)
	}
	return line
}

// cutEnd keeps the first cells of s: of a progress line the front matters.
func cutEnd(s string, limit int) string {
	used := 0
	for i, r := range s {
		if used += cells(r); used > limit {
			return s[:i]
		}
	}
	return s
}

// progressRecord is a Progress as JSON.
type progressRecord struct {
	Phase       app.Phase `json:"phase"`
	Files       int64     `json:"files"`
	TotalFiles  int64     `json:"total_files"`
	Bytes       int64     `json:"bytes"`
	TotalBytes  int64     `json:"total_bytes"`
	Scanned     bool      `json:"scanned"` // the totals are final
	NewBytes    int64     `json:"new_bytes"`
	StoredBytes int64     `json:"stored_bytes"`
	Rate        float64   `json:"rate"`                   // bytes a second
	Left        float64   `json:"seconds_left,omitempty"` // left out while unknown
	LeftMax     float64   `json:"seconds_left_max,omitempty"`
	Problems    int64     `json:"problems"`
	*namedPath
}

func recordOf(p app.Progress) progressRecord {
	return progressRecord{
		p.Phase, p.Files, p.TotalFiles, p.Bytes, p.TotalBytes, p.Scanned, p.NewBytes, p.StoredBytes,
		p.Rate, p.Left.Seconds(), p.LeftMax.Seconds(), p.Problems, pathOrNil(p.Current),
	}
}
