package server

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"coffer/vault/protocol"
)

// The model is the promise, told independently of the rule: it does not know states, it
// keeps the whole history of what was answered and asks of each step what may be.
type model struct {
	limit     int
	answered  int              // charged and answered since the last right try or reset
	open      map[[16]byte]try // answered, not finished, in time
	lastAsked [16]byte
	active    uint64
	pending   uint64
	committed bool
	frozen    bool
	dead      bool
	seq       uint64
	charged   int64
	ever      uint64 // tries charged in the whole life
}

type try struct {
	generation uint64
	deadline   int64
}

func (m *model) clockwork(now int64) {
	if m.answered >= m.limit && !m.frozen && !m.dead {
		if last, ok := m.open[m.lastAsked]; !ok || last.deadline <= now {
			m.die()
		}
	}
	for id, o := range m.open {
		if o.deadline <= now {
			delete(m.open, id)
		}
	}
}

func (m *model) die() { m.dead, m.open = true, map[[16]byte]try{} }

func (m *model) lastCall() bool { return !m.dead && !m.frozen && m.answered >= m.limit }

func (m *model) wait(waits []time.Duration, now int64) int64 {
	if m.answered == 0 || len(waits) == 0 {
		return 0
	}
	return max(0, m.charged+waits[min(m.answered, len(waits))-1].Milliseconds()-now)
}

// step says whether q is to be granted, and does it.
func (m *model) step(q ask, waits []time.Duration, now int64) bool {
	m.clockwork(now)
	if q.What == askStatus {
		return true
	}
	if m.dead {
		return q.What == askDestroy
	}
	switch q.What {
	case askBegin:
		return m.begin(q)
	case askCommit:
		if m.frozen || m.lastCall() || q.Generation == 0 || q.Generation != m.pending || m.committed {
			return false
		}
		m.committed = true
		return true
	case askAttempt, askExpose:
		return m.ask(q, waits, now)
	case askRight, askWrong:
		return m.finish(q)
	}
	if q.Sequence != m.seq+1 || m.active == 0 && m.pending == 0 {
		return false
	}
	m.seq++
	m.open = map[[16]byte]try{}
	switch q.What {
	case askReset:
		m.answered = 0
	case askFreeze:
		m.frozen = true
	case askUnfreeze:
		m.frozen, m.answered = false, 0
	case askDestroy:
		m.die()
	}
	return true
}

func (m *model) begin(q ask) bool {
	if m.frozen || m.lastCall() || q.Generation <= m.active || q.Generation < m.pending {
		return false
	}
	if q.Generation == m.pending {
		return !m.committed
	}
	for id, o := range m.open {
		if o.generation != m.active {
			delete(m.open, id)
		}
	}
	m.pending, m.committed = q.Generation, false
	return true
}

func (m *model) ask(q ask, waits []time.Duration, now int64) bool {
	atPending := m.committed && q.Generation == m.pending
	if q.Generation == 0 || q.Generation != m.active && !atPending || m.frozen || m.answered >= m.limit {
		return false
	}
	if q.Serial != m.ever+1 {
		return false // played again, or another was faster
	}
	if q.What == askExpose && !atPending || q.What == askAttempt && m.wait(waits, now) > 0 {
		return false
	}
	m.answered++
	m.ever++
	m.charged, m.lastAsked = now, q.Attempt
	m.open[q.Attempt] = try{q.Generation, now + 60_000}
	return true
}

func (m *model) finish(q ask) bool {
	o, ok := m.open[q.Attempt]
	if !ok || m.frozen || o.generation != q.Generation {
		return false
	}
	wasLast := m.lastCall() && q.Attempt == m.lastAsked
	delete(m.open, q.Attempt)
	if q.What == askWrong {
		if wasLast {
			m.die()
		}
		return true
	}
	m.answered = 0
	if q.Generation == m.pending {
		m.active, m.pending, m.committed = m.pending, 0, false
		for id, o := range m.open {
			if o.generation != m.active {
				delete(m.open, id)
			}
		}
	}
	return true
}

func (m *model) state() protocol.State {
	switch {
	case m.dead:
		return protocol.StateDestroyed
	case m.frozen:
		return protocol.StateFrozen
	case m.lastCall():
		return protocol.StateLastCall
	case m.active != 0:
		return protocol.StateActive
	case m.pending != 0:
		return protocol.StatePending
	}
	return protocol.StateNone
}

func (m *model) clone() *model {
	c := *m
	c.open = map[[16]byte]try{}
	for k, v := range m.open {
		c.open[k] = v
	}
	return &c
}

// compare lets rule and model take the same step and compares them.
func compare(t *testing.T, before tally, m *model, q ask, waits []time.Duration, now int64) tally {
	t.Helper()
	kept := before
	kept.Open = slices.Clone(before.Open)
	want := m.step(q, waits, now)
	next, v := decide(before, q, waits, now)
	if granted := v.Err == nil; granted != want {
		t.Fatalf("%+v on %+v: the rule says %v, the model %t", q, before, v.Err, want)
	}
	if !reflect.DeepEqual(before, kept) {
		t.Fatalf("%+v: the rule is not pure: it changed %+v into %+v", q, kept, before)
	}
	if next.State != m.state() {
		t.Fatalf("%+v on %+v: state %v, the model says %v", q, before, next.State, m.state())
	}
	if wantLeft := max(0, m.limit-m.answered); next.State != protocol.StateDestroyed && v.Left != wantLeft {
		t.Fatalf("%+v on %+v: %d left, the model says %d", q, before, v.Left, wantLeft)
	}
	if next.Current != m.active || next.Pending != m.pending || len(next.Open) != len(m.open) {
		t.Fatalf("%+v on %+v: %+v, the model has %+v", q, before, next, m)
	}
	died := next.State == protocol.StateDestroyed && before.State != protocol.StateDestroyed
	if died && !v.Erase {
		t.Fatalf("%+v on %+v: destroyed, and not erased", q, before)
	}
	return next
}

// TestTheRuleOnAllShortHistories walks every history of a small record to a depth.
func TestTheRuleOnAllShortHistories(t *testing.T) {
	depth := 4
	if testing.Short() {
		depth = 3
	}
	waits := []time.Duration{0, time.Minute}
	var steps int
	var walk func(s tally, m *model, now int64, depth int)
	walk = func(s tally, m *model, now int64, depth int) {
		if depth == 0 {
			return
		}
		for _, q := range shortAsks(m, byte(depth)) {
			next, later := m.clone(), now+1
			if q.What == askStatus {
				later = now + 61_000 // time goes by
			}
			steps++
			walk(compare(t, s, next, q, waits, later), next, later, depth-1)
		}
	}
	for _, start := range shortStarts() {
		walk(start.tally, start.model, testNow, depth)
	}
	if steps < 5_000 {
		t.Fatalf("only %d steps", steps)
	}
	t.Logf("%d steps", steps)
}

type start struct {
	tally tally
	model *model
}

func shortStarts() []start {
	return []start{
		{tally{Limit: 2}, &model{limit: 2, open: map[[16]byte]try{}}},
		{
			tally{Limit: 2, State: protocol.StateActive, Current: 1},
			&model{limit: 2, active: 1, open: map[[16]byte]try{}},
		},
		{
			tally{Limit: 2, State: protocol.StateActive, Current: 1, Pending: 2, Committed: true},
			&model{limit: 2, active: 1, pending: 2, committed: true, open: map[[16]byte]try{}},
		},
	}
}

// shortAsks returns the requests worth trying next.
func shortAsks(m *model, fresh byte) []ask {
	asks := []ask{{What: askStatus}}
	for _, g := range []uint64{1, 2} {
		asks = append(asks, ask{What: askBegin, Generation: g}, ask{What: askCommit, Generation: g},
			ask{What: askAttempt, Generation: g, Attempt: [16]byte{fresh}, Serial: m.ever + 1},
			ask{What: askExpose, Generation: g, Attempt: [16]byte{fresh}, Serial: m.ever + 1})
	}
	asks = append(asks, ask{What: askAttempt, Generation: 1, Attempt: [16]byte{fresh}, Serial: m.ever})
	for id, o := range m.open {
		asks = append(asks, ask{What: askRight, Generation: o.generation, Attempt: id},
			ask{What: askWrong, Generation: o.generation, Attempt: id})
	}
	for _, w := range []what{askReset, askFreeze, askUnfreeze, askDestroy} {
		asks = append(asks, ask{What: w, Sequence: m.seq + 1})
	}
	return append(asks, ask{What: askReset, Sequence: m.seq})
}

// TestTheRuleOnLongRandomHistories also counts answers, the promise itself.
func TestTheRuleOnLongRandomHistories(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	deaths := 0
	for range 400 {
		limit := 1 + rng.IntN(12)
		s, m := tally{Limit: limit}, &model{limit: limit, open: map[[16]byte]try{}}
		now, answers := testNow, 0
		for i := range 300 {
			now += rng.Int64N(1 << rng.IntN(24))
			q := randomAsk(rng, m, uint16(i))
			before := s.State
			s = compare(t, s, m, q, testWaits, now)
			_, v := decide(s, ask{What: askStatus}, testWaits, now)
			switch {
			case (q.What == askAttempt || q.What == askExpose) && len(s.Open) > 0 && s.Open[len(s.Open)-1].ID == q.Attempt:
				answers++
			case s.Count == 0:
				answers = 0
			}
			if answers > limit || v.Left < 0 {
				t.Fatalf("%d answers to %d tries", answers, limit)
			}
			if before != s.State && s.State == protocol.StateDestroyed {
				deaths++
			}
		}
	}
	if deaths < 50 {
		t.Fatalf("only %d of 400 histories got to the end", deaths)
	}
}

func randomAsk(rng *rand.Rand, m *model, fresh uint16) ask {
	q := ask{What: what(rng.IntN(int(askKinds))), Generation: max(m.active, m.pending) + uint64(rng.IntN(3)) - min(1, m.active)}
	q.Attempt = [16]byte{byte(fresh), byte(fresh >> 8), 1}
	q.Sequence = m.seq + uint64(rng.IntN(2))
	q.Serial = m.ever + uint64(min(1, rng.IntN(8))) // at times one that was used
	if q.What == askDestroy && rng.IntN(20) > 0 {
		q.What = askAttempt
	}
	if q.What == askReset && rng.IntN(4) > 0 {
		q.What = askAttempt
	}
	if (q.What == askRight && rng.IntN(2) == 0) || q.What == askWrong {
		for id, o := range m.open {
			q.Attempt, q.Generation = id, o.generation
			break
		}
	}
	if (q.What == askAttempt || q.What == askCommit) && rng.IntN(2) == 0 {
		q.Generation = max(m.active, m.pending)
	}
	return q
}

func TestAClockPutRightLengthensNoWait(t *testing.T) {
	ahead := testNow + (10 * 365 * 24 * time.Hour).Milliseconds()
	s := tally{State: protocol.StateActive, Limit: 10, Count: 4, Charged: ahead, Current: 1}
	s, v := decide(s, ask{What: askAttempt, Generation: 1, Serial: 1}, testWaits, testNow)
	if !errors.Is(v.Err, protocol.ErrWait) || v.Wait != time.Minute {
		t.Fatalf("verdict %+v, want a wait of a minute", v)
	}
	if _, v = decide(s, ask{What: askAttempt, Generation: 1, Serial: 1}, testWaits, testNow+60_000); v.Err != nil {
		t.Fatalf("after the wait: %v", v.Err)
	}
	last := tally{
		State: protocol.StateLastCall, Limit: 1, Count: 1, Charged: ahead, Current: 1,
		Open: []open{{Generation: 1, Deadline: ahead + 60_000}},
	}
	last, _ = decide(last, ask{What: askStatus}, testWaits, testNow)
	if last, _ = decide(last, ask{What: askStatus}, testWaits, testNow+60_000); last.State != protocol.StateDestroyed {
		t.Fatalf("last try after its deadline: %v", last.State)
	}
}

func TestOpenAttemptsAreBounded(t *testing.T) {
	s := tally{State: protocol.StateActive, Limit: 100, Current: 1}
	for i := range 300 {
		var v verdict
		q := ask{What: askAttempt, Generation: 1, Attempt: [16]byte{byte(i), byte(i >> 8), 1}, Serial: uint64(i) + 1}
		if s, v = decide(s, q, nil, testNow); v.Err != nil {
			t.Fatal(v.Err)
		}
		s.Count = 0 // as after a right try
	}
	if len(s.Open) != maxOpen {
		t.Fatalf("%d open attempts", len(s.Open))
	}
}

func TestHardwareThatCountsMakesTheLastTry(t *testing.T) {
	s := tally{State: protocol.StateActive, Limit: 10, Current: 1}
	q := ask{What: askAttempt, Generation: 1, Serial: 1, Counted: true, Hardware: 0}
	if _, v := decide(s, q, nil, testNow); !errors.Is(v.Err, protocol.ErrUnarmed) {
		t.Fatalf("with unarmed hardware: %v", v.Err)
	}
	q.Hardware = 1
	next, v := decide(s, q, nil, testNow)
	if v.Err != nil || next.State != protocol.StateLastCall {
		t.Fatalf("with one evaluation left: %v, %v", next.State, v.Err)
	}
	q.Hardware = 2
	if next, _ = decide(s, q, nil, testNow); next.State != protocol.StateActive {
		t.Fatalf("with two evaluations left: %v", next.State)
	}
}
