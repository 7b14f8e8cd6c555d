package app

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMeterTellsTenTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []Progress
		m := newMeter(t.Context(), func(p Progress) { all = append(all, p) }, nil, PhaseReading)
		time.Sleep(10*time.Second + time.Millisecond)
		m.end()
		if len(all) != 101 {
			t.Errorf("told %d times in ten seconds, and at the end", len(all))
		}
	})
}

// The time left is a range that holds the truth, is not said while nothing is known, and a
// pause does not make it longer.
func TestTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate()
		var last Progress
		m := newMeter(t.Context(), func(p Progress) { last = p }, gate, PhaseReading)
		const total, rate = 600 << 20, 2 << 20 // five minutes
		m.totalBytes.Store(total)
		work := func(seconds int) {
			for range seconds * 10 {
				m.bytes.Add(rate / 10)
				time.Sleep(tellEvery)
			}
			synctest.Wait()
		}
		work(10)
		if last.Left != 0 {
			t.Error("a time is told before the total is known")
		}
		m.scanned.Store(true)
		for part := range 8 {
			work(20)
			truth := time.Duration(float64(total-m.bytes.Load()) / rate * float64(time.Second))
			if last.Left > truth+3*time.Second || last.LeftMax < truth-3*time.Second || last.LeftMax > 2*truth {
				t.Errorf("part %d: %v to %v, in truth %v", part, last.Left, last.LeftMax, truth)
			}
		}
		before := last
		gate.Pause()
		time.Sleep(time.Hour)
		gate.Resume()
		work(2)
		if last.LeftMax > before.LeftMax+10*time.Second || last.LeftMax == 0 {
			t.Errorf("after a pause of an hour %v, before it %v", last.LeftMax, before.LeftMax)
		}
		m.end()
	})
}

// What was read twice does not take back what was told.
func TestProgressNeverGoesBack(t *testing.T) {
	m := newMeter(t.Context(), nil, nil, PhaseReading)
	m.bytes.Store(1000)
	first := m.progress(time.Now())
	m.bytes.Add(-500)
	if p := m.progress(time.Now()); p.Bytes < first.Bytes || p.TotalBytes < p.Bytes {
		t.Errorf("from %+v to %+v", first, p)
	}
}
