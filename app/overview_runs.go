package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"coffer/internal/durable"
)

// A Run is one task that was tried, for the strip of the last days.
type Run struct {
	Kind    string            `json:"kind"`            // RunBackup, RunRestore or RunCheck
	Place   string            `json:"place,omitempty"` // id of the place; "" in runs of an older Coffer, which knew one
	Started time.Time         `json:"started"`
	Seconds float64           `json:"seconds"`
	Code    Code              `json:"code,omitempty"`    // "" for done; the files that were not read are in Summary
	Args    map[string]string `json:"args,omitempty"`    // of the failure
	Summary *BackupSummary    `json:"summary,omitempty"` // of a backup that was made
	Free    int64             `json:"free,omitempty"`    // bytes left in the place; 0 unknown
	Total   int64             `json:"total,omitempty"`   // bytes of room that the place has in all; 0 unknown
	Stored  int64             `json:"stored,omitempty"`  // bytes in the place; 0 unknown
}

// The kinds of runs.
const (
	RunBackup  = "backup"
	RunRestore = "restore"
	RunCheck   = "check"
)

func (r Run) end() time.Time { return r.Started.Add(time.Duration(r.Seconds * float64(time.Second))) }

const (
	runsFile = "runs.json" // a Run a line, oldest first
	// maxRuns keeps a month of backups every hour, and the file under a megabyte.
	maxRuns     = 800
	maxRunsFile = 4 << 20
)

// recordRun adds a run to the history. A history that cannot be written must not make a
// backup fail that was made: it is logged. The caller holds the profile's lock.
func (a *App) recordRun(r Run) {
	runs, err := a.readRuns()
	if err == nil {
		err = a.writeRuns(append(runs, r))
	}
	if err != nil {
		a.cfg.Log.Warn("could not record the run", "err", err)
	}
}

// readRuns skips lines that it cannot read: they are history, not state.
func (a *App) readRuns() ([]Run, error) {
	data, err := readBounded(filepath.Join(a.stateDir(), runsFile), maxRunsFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrProfileDamaged) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	var runs []Run
	for line := range bytes.Lines(data) {
		var r Run
		if json.Unmarshal(line, &r) == nil && r.Kind != "" && !r.Started.IsZero() {
			runs = append(runs, r)
		}
	}
	return runs, nil
}

func (a *App) writeRuns(runs []Run) error {
	if len(runs) > maxRuns {
		runs = runs[len(runs)-maxRuns:]
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	for _, r := range runs {
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("encode history: %w", err)
		}
	}
	if err := durable.WriteFile(filepath.Join(a.stateDir(), runsFile), out.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}
