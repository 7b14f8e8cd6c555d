package app

import (
	"context"
	"fmt"
	"time"

	"coffer/app/repo"
)

// CheckOptions say how deep a check looks.
type CheckOptions struct {
	ReadData bool // read packs too, not only what describes them
	Percent  int  // of the packs, 1 to 100; 0 is 100
	Gate     *Gate
	Progress ProgressFunc
}

// A Damage is one object that is damaged or missing, and what needs it.
type Damage struct {
	Object string   `json:"object"`
	Reason string   `json:"reason"`
	Chunks int64    `json:"chunks"`
	Paths  []string `json:"paths"`
}

// A CheckReport is what a check found.
type CheckReport struct {
	Objects   int64    `json:"objects"`
	BytesRead int64    `json:"bytes_read"`
	Damaged   []Damage `json:"damaged"`
	Snapshots int64    `json:"-"`
	Seconds   float64  `json:"-"`
}

// Check reads the place and tells what is damaged or missing and which files
// need it. With damage the error is ErrDamaged, and the report is whole.
func (a *App) Check(ctx context.Context, o CheckOptions) (report CheckReport, err error) {
	started := time.Now()
	s, err := a.openKeys(ctx)
	if err != nil {
		return report, err
	}
	defer s.close()
	m := newMeter(ctx, o.Progress, o.Gate, PhaseChecking)
	defer m.end()
	m.scanned.Store(true)
	percent := 0
	if o.ReadData {
		percent = 100
		if o.Percent > 0 {
			percent = min(o.Percent, 100)
		}
	}
	found, err := repo.Check(ctx, s.store.Store, s.keys, repo.CheckOptions{
		Percent: percent,
		Wait:    o.Gate.Wait,
		Progress: func(p repo.CheckProgress) {
			m.files.Store(p.Objects)
			m.totalFiles.Store(p.TotalObjects)
			m.bytes.Store(p.Bytes)
			m.totalBytes.Store(p.TotalBytes)
		},
	})
	if err != nil {
		return report, err
	}
	report = CheckReport{
		Objects:   found.Objects,
		BytesRead: found.BytesRead,
		Snapshots: found.Snapshots,
		Damaged:   []Damage{},
		Seconds:   time.Since(started).Seconds(),
	}
	for _, d := range found.Damaged {
		report.Damaged = append(report.Damaged, Damage(d))
	}
	a.recordCheck(s.store.entry.ID, started, report)
	if n := len(report.Damaged); n > 0 {
		return report, fmt.Errorf("%w: %d objects", ErrDamaged, n)
	}
	return report, nil
}

// recordCheck notes the result, unless another Coffer works in this profile: a
// check needs no lock otherwise.
func (a *App) recordCheck(place string, started time.Time, report CheckReport) {
	unlock, err := a.lockProfile()
	if err != nil {
		return
	}
	defer unlock()
	r := Run{Kind: RunCheck, Place: place, Started: started, Seconds: report.Seconds}
	if len(report.Damaged) > 0 {
		r.Code = CodeDamaged
	}
	a.recordRun(r)
}
