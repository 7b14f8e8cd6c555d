package vault_test

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What porcupine is told: each question that was put to a vault, when it began and ended, and
// what came of it.

type question struct {
	record [16]byte
	number uint64 // of the try that is asked for; 0: how many were charged
}

type result struct {
	outcome outcome
	serial  uint64 // of a status: tries charged
}

type outcome int

const (
	answered outcome = iota
	used             // the number was used: no try was spent
	over             // there are no more tries
	unknown          // nobody told
)

// registered is the serial of a new record: the try that exposed it.
const registered = 1

// countModel is one record: a number that only goes up, by one for each answer, and not
// beyond the tries. A question of unknown outcome may have been charged or not, now or later,
// but never twice.
var countModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		byRecord := map[[16]byte][]porcupine.Operation{}
		for _, o := range history {
			record := o.Input.(question).record
			byRecord[record] = append(byRecord[record], o)
		}
		for _, part := range byRecord {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return uint64(registered) },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(uint64), input.(question), output.(result)
		fits := in.number == now+1 && now < registered+tries
		switch {
		case in.number == 0:
			return out.serial == now, now
		case out.outcome == answered:
			return fits, in.number
		case out.outcome == used:
			return in.number != now+1, now
		case out.outcome == over:
			return now == registered+tries, now
		case fits:
			return true, in.number
		}
		return true, now
	},
}

// A history records questions. It is safe for concurrent use.
type history struct {
	start time.Time

	mu  sync.Mutex
	all []porcupine.Operation // guarded by mu
}

func newHistory() *history { return &history{start: time.Now()} }

func (h *history) now() int64 { return time.Since(h.start).Nanoseconds() }

func (h *history) add(client int, began int64, in question, out result) {
	ended := h.now()
	if out.outcome == unknown {
		ended = math.MaxInt64 // it may be done after all others
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, porcupine.Operation{ClientId: client, Input: in, Call: began, Output: out, Return: ended})
}

// count returns how often this came, for one record.
func (h *history) count(record [16]byte, out outcome) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.all {
		if in := o.Input.(question); in.record == record && in.number != 0 && o.Output.(result).outcome == out {
			n++
		}
	}
	return n
}

// try names one number of one record.
type try struct {
	record [16]byte
	number uint64
}

// decided leaves out what cannot matter: questions of unknown outcome whose number was
// answered to somebody else, or is beyond all that was ever charged. Of several with one
// number at most one was charged, and they become one, which begins with the first. Without
// this the check would look at all subsets of them.
func decided(all []porcupine.Operation) (kept []porcupine.Operation) {
	answers, charged, open := map[try]bool{}, map[[16]byte]uint64{}, map[try]int{}
	for _, o := range all {
		in, out := o.Input.(question), o.Output.(result)
		if in.number != 0 && out.outcome == answered {
			answers[try{in.record, in.number}] = true
			charged[in.record] = max(charged[in.record], in.number)
		}
		charged[in.record] = max(charged[in.record], out.serial)
	}
	for _, o := range all {
		in := o.Input.(question)
		this := try{in.record, in.number}
		if in.number == 0 || o.Output.(result).outcome != unknown {
			kept = append(kept, o)
			continue
		}
		if answers[this] || in.number > charged[in.record] {
			continue
		}
		if at, ok := open[this]; ok {
			kept[at].Call = min(kept[at].Call, o.Call)
			continue
		}
		open[this] = len(kept)
		kept = append(kept, o)
	}
	return kept
}

// mustBeLinearizable checks what was recorded. The last question about each record was its
// status, when nobody else asked any more.
func (h *history) mustBeLinearizable(t testing.TB) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) == 0 {
		t.Fatal("an empty history says nothing")
	}
	if got := porcupine.CheckOperationsTimeout(countModel, decided(h.all), patience); got != porcupine.Ok {
		t.Fatalf("a history of %d questions is not linearizable: %v", len(h.all), got)
	}
}

func TestTheModelSeesWhatIsWrong(t *testing.T) {
	status := func(serial uint64) porcupine.Operation {
		return porcupine.Operation{Input: question{}, Output: result{serial: serial}}
	}
	ask := func(number uint64, out outcome) porcupine.Operation {
		return porcupine.Operation{Input: question{number: number}, Output: result{outcome: out}}
	}
	full := []porcupine.Operation{}
	for i := range uint64(tries) {
		full = append(full, ask(2+i, answered))
	}
	for _, c := range []struct {
		name string
		want porcupine.CheckResult
		all  []porcupine.Operation // one after the other
	}{
		{"answers", porcupine.Ok, []porcupine.Operation{status(1), ask(2, answered), ask(3, answered), status(3)}},
		{"too late", porcupine.Ok, []porcupine.Operation{ask(2, answered), ask(2, used), status(2)}},
		{"all", porcupine.Ok, append(full[:len(full):len(full)], ask(12, over))},
		{"unknown and charged", porcupine.Ok, []porcupine.Operation{ask(2, unknown), status(2), ask(3, answered)}},
		{"unknown and not charged", porcupine.Ok, []porcupine.Operation{ask(2, unknown), status(1), ask(2, answered)}},
		{"unknown and charged later", porcupine.Ok, []porcupine.Operation{ask(2, unknown), status(1), status(2)}},
		{"an answer without a charge", porcupine.Illegal, []porcupine.Operation{ask(2, answered), status(1)}},
		{"two answers to one charge", porcupine.Illegal, []porcupine.Operation{ask(2, answered), ask(2, answered)}},
		{"one answer too many", porcupine.Illegal, append(full[:len(full):len(full)], ask(12, answered))},
		{"over too early", porcupine.Illegal, []porcupine.Operation{ask(2, answered), ask(3, over)}},
		{"a lost charge", porcupine.Illegal, []porcupine.Operation{ask(2, unknown), status(2), status(1)}},
		{"charged twice", porcupine.Illegal, []porcupine.Operation{ask(2, unknown), status(3)}},
		{"charged twice, asked twice", porcupine.Illegal, []porcupine.Operation{ask(2, unknown), ask(2, unknown), status(3)}},
		{"lost to another", porcupine.Ok, []porcupine.Operation{ask(2, unknown), ask(2, answered), ask(3, unknown), status(2)}},
		{"lost and free again", porcupine.Illegal, []porcupine.Operation{ask(2, unknown), status(2), ask(2, answered)}},
	} {
		for i := range c.all {
			c.all[i].Call, c.all[i].Return = int64(10*i), int64(10*i+5)
			if c.all[i].Output.(result).outcome == unknown {
				c.all[i].Return = math.MaxInt64
			}
		}
		if got := porcupine.CheckOperationsTimeout(countModel, decided(c.all), patience); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
