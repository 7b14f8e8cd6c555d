package app

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A meter counts what a long task does, and tells it at most ten times a second.
// Workers count with atomics; one goroutine tells.
type meter struct {
	phase      atomic.Pointer[Phase]
	files      atomic.Int64
	bytes      atomic.Int64
	totalFiles atomic.Int64
	totalBytes atomic.Int64
	scanned    atomic.Bool
	newBytes   atomic.Int64
	stored     atomic.Int64
	problems   atomic.Int64
	current    atomic.Pointer[string]

	tell    ProgressFunc
	gate    *Gate
	started time.Time
	stop    context.CancelFunc
	done    sync.WaitGroup

	// Of the telling goroutine alone:
	rate     float64 // bytes a second, smoothed over about 30 s
	lastAt   time.Time
	lastSeen int64
	told     Progress
}

const tellEvery = 100 * time.Millisecond

// newMeter starts to tell. end must be called.
func newMeter(ctx context.Context, tell ProgressFunc, gate *Gate, phase Phase) *meter {
	m := &meter{tell: tell, gate: gate, started: time.Now(), lastAt: time.Now(), stop: func() {}}
	m.enter(phase)
	if tell == nil {
		return m
	}
	ctx, m.stop = context.WithCancel(ctx)
	m.done.Go(func() { m.run(ctx) })
	return m
}

func (m *meter) run(ctx context.Context) {
	ticks := time.NewTicker(tellEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks.C:
			m.tell(m.progress(now))
		}
	}
}

// end tells for the last time.
func (m *meter) end() {
	m.stop()
	m.done.Wait()
	if m.tell != nil {
		m.tell(m.progress(time.Now()))
	}
}

func (m *meter) enter(p Phase) { m.phase.Store(&p) }

func (m *meter) at(path string) { m.current.Store(&path) }

func (m *meter) file(bytes int64) {
	m.files.Add(1)
	m.bytes.Add(bytes)
}

func (m *meter) progress(now time.Time) Progress {
	p := Progress{
		Phase:       *m.phase.Load(),
		Files:       m.files.Load(),
		Bytes:       m.bytes.Load(),
		TotalFiles:  m.totalFiles.Load(),
		TotalBytes:  m.totalBytes.Load(),
		Scanned:     m.scanned.Load(),
		NewBytes:    m.newBytes.Load(),
		StoredBytes: m.stored.Load(),
		Problems:    m.problems.Load(),
	}
	if path := m.current.Load(); path != nil {
		p.Current = *path
	}
	// A file that is read once more, as it changed meanwhile, does not take back what was
	// told.
	p.Files, p.Bytes = max(p.Files, m.told.Files), max(p.Bytes, m.told.Bytes)
	// What was counted ahead may be outgrown by what is met: then nobody knows how much
	// there is.
	p.Scanned = p.Scanned && p.Files <= p.TotalFiles && p.Bytes <= p.TotalBytes
	p.TotalFiles, p.TotalBytes = max(p.TotalFiles, p.Files), max(p.TotalBytes, p.Bytes)
	m.measure(now, p.Bytes)
	p.Rate = m.rate
	p.Left, p.LeftMax = m.left(now, p)
	m.told = p
	return p
}

// measure smooths the rate; a pause does not count as slowness.
func (m *meter) measure(now time.Time, bytes int64) {
	dt := now.Sub(m.lastAt).Seconds()
	if m.gate.Paused() {
		m.lastAt, m.lastSeen = now, bytes
		return
	}
	if dt < 0.2 {
		return
	}
	current := float64(bytes-m.lastSeen) / dt
	m.lastAt, m.lastSeen = now, bytes
	weight := min(1, max(dt/30, dt/max(now.Sub(m.started).Seconds(), dt)))
	m.rate += (current - m.rate) * weight
}

// left is a range while the rate is young, and nothing while the total is not
// known or hardly anything was done: a time left that is a lie is worse than
// none.
func (m *meter) left(now time.Time, p Progress) (least, most time.Duration) {
	age := now.Sub(m.started)
	if !p.Scanned || m.rate < 1 || age < 2*time.Second || p.TotalBytes <= p.Bytes {
		return 0, 0
	}
	seconds := float64(p.TotalBytes-p.Bytes) / m.rate
	least = time.Duration(seconds * float64(time.Second))
	if age < time.Minute {
		return least * 3 / 4, least * 3 / 2
	}
	return least, least * 5 / 4
}
