package server

import (
	"fmt"
	"slices"
	"time"

	"coffer/vault/protocol"
)

// A tally is the part of a record that the rule is about: how it stands and what was
// charged. Times are unix milliseconds.
type tally struct {
	State     protocol.State
	Limit     int
	Count     int    // charged since the last right try
	Charged   int64  // when a try was last charged; 0: never
	Current   uint64 // the active generation; 0: none
	Pending   uint64 // the one on its way in; 0: none
	Committed bool   // Pending is complete
	Sequence  uint64 // of the owner's last act
	Serial    uint64 // tries ever charged; it never falls
	Open      []open // answered and not finished, oldest first
}

// An open attempt was charged and answered. The rule looks at its name, its generation
// and its deadline; the login state is secret and the server's.
type open struct {
	ID         [16]byte
	Generation uint64
	Deadline   int64
	Login      [loginSize]byte
}

// An ask is a request, already authentic and well formed.
type ask struct {
	What       what
	Generation uint64
	Attempt    [16]byte // askAttempt, askExpose: its new name; askRight, askWrong: which
	Sequence   uint64   // owner's acts
	Serial     uint64   // askAttempt, askExpose: the number of this try
	Counted    bool     // askAttempt, askExpose: the sealer's hardware counts as well,
	Hardware   int      // ... and has so many evaluations left
}

// maxOpen bounds the open attempts of a record.
const maxOpen = 128

type what byte

const (
	askStatus what = iota
	askBegin
	askCommit
	askAttempt
	askExpose
	askRight // a finish whose KE3 was verified
	askWrong // a finish whose KE3 was not right
	askReset
	askFreeze
	askUnfreeze
	askDestroy
	askKinds // their number
)

// A verdict is what the rule says to an ask. The new tally must be durable before any
// of it leaves the server.
type verdict struct {
	Err   error         // refused; nil: granted
	Left  int           // tries left now
	Wait  time.Duration // until the next try is allowed
	Erase bool          // what the record held must be destroyed, not only overwritten
}

// decide is the whole rule of attempts: a pure function of the record, the ask and the
// time. docs/vault-protocol.md, "Transitions", is its table.
func decide(t tally, q ask, waits []time.Duration, now int64) (tally, verdict) {
	t.Open = slices.Clone(t.Open)
	t, expired := settle(t, now)
	next, err := apply(t, q, waits, now)
	if err != nil {
		next = t
	}
	gone := next.State == protocol.StateDestroyed && t.State != protocol.StateDestroyed
	// A generation that is no longer the record's is to be destroyed.
	replaced := next.Current != t.Current && t.Current != 0
	dropped := t.Pending != 0 && next.Pending != t.Pending && next.Current != t.Pending
	return next, verdict{
		Err: err, Left: left(next), Wait: waitOf(next, waits, now),
		Erase: expired || gone || replaced || dropped,
	}
}

// settle brings a tally up to now: what has expired is gone, and a last try that was not
// finished has destroyed the record. A clock that was ahead and was put right must not
// lock the owner out for as long as it was wrong, so no time lies after now.
func settle(t tally, now int64) (tally, bool) {
	t.Charged = min(t.Charged, now)
	deadline := now + protocol.AttemptLife.Milliseconds()
	for i := range t.Open {
		t.Open[i].Deadline = min(t.Open[i].Deadline, deadline)
	}
	lastOver := t.State == protocol.StateLastCall && (len(t.Open) == 0 || t.Open[len(t.Open)-1].Deadline <= now)
	if lastOver {
		return destroy(t), true
	}
	t.Open = slices.DeleteFunc(t.Open, func(o open) bool { return o.Deadline <= now })
	return t, false
}

// apply returns the tally after q, or the reason why not.
func apply(t tally, q ask, waits []time.Duration, now int64) (tally, error) {
	if q.What == askStatus {
		return t, nil
	}
	if t.State == protocol.StateDestroyed {
		if q.What == askDestroy {
			return t, nil
		}
		return t, protocol.ErrDestroyed
	}
	switch q.What {
	case askBegin:
		return begin(t, q)
	case askCommit:
		return commit(t, q)
	case askAttempt, askExpose:
		return charge(t, q, waits, now)
	case askRight, askWrong:
		return finish(t, q)
	default:
		return act(t, q)
	}
}

// charge counts a try. It is the only place that allows an answer.
func charge(t tally, q ask, waits []time.Duration, now int64) (tally, error) {
	pending := q.Generation == t.Pending && t.Committed
	if q.Generation == 0 || q.Generation != t.Current && !pending {
		return t, protocol.ErrStale
	}
	exposing := q.What == askExpose
	switch {
	case exposing && !pending:
		return t, protocol.ErrStale
	case t.State == protocol.StateFrozen:
		return t, protocol.ErrFrozen
	case t.State == protocol.StateLastCall:
		return t, protocol.ErrLastTry
	case q.Serial != t.Serial+1: // recorded and played again, or somebody was faster
		return t, protocol.ErrSerial
	case q.Counted && q.Hardware <= 0:
		return t, protocol.ErrUnarmed
	case !exposing && waitOf(t, waits, now) > 0: // the owner holds the root key: he has nothing to guess
		return t, protocol.ErrWait
	}
	t.Count++
	t.Serial++
	t.Charged = now
	if len(t.Open) == maxOpen { // only who knows the password gets here; the oldest stays charged
		t.Open = t.Open[1:]
	}
	t.Open = append(t.Open, open{ID: q.Attempt, Generation: q.Generation, Deadline: now + protocol.AttemptLife.Milliseconds()})
	// Hardware that has one evaluation left makes this the last try: after it nobody but
	// the owner could ever have another answer.
	if t.Count >= t.Limit || q.Counted && q.Hardware == 1 {
		t.State = protocol.StateLastCall
	}
	return t, nil
}

// finish ends an attempt. A right one gives all tries back and exposes its generation.
func finish(t tally, q ask) (tally, error) {
	if t.State == protocol.StateFrozen {
		return t, protocol.ErrFrozen
	}
	i := slices.IndexFunc(t.Open, func(o open) bool { return o.ID == q.Attempt && o.Generation == q.Generation })
	if i < 0 {
		return t, protocol.ErrAttemptOver
	}
	last := t.State == protocol.StateLastCall && i == len(t.Open)-1
	t.Open = slices.Delete(t.Open, i, i+1)
	if q.What == askWrong {
		if last {
			t = destroy(t)
		}
		return t, nil
	}
	t.Count, t.State = 0, protocol.StateActive
	if q.Generation == t.Pending {
		t.Current, t.Pending, t.Committed = t.Pending, 0, false
		t.Open = slices.DeleteFunc(t.Open, func(o open) bool { return o.Generation != t.Current })
	}
	return t, nil
}

// begin makes room for a generation. The same one may be begun again until it is
// committed: after that its OPRF key answers only to charged tries.
func begin(t tally, q ask) (tally, error) {
	if err := changeable(t); err != nil {
		return t, err
	}
	switch {
	case q.Generation != 0 && (q.Generation == t.Current || q.Generation == t.Pending && t.Committed):
		return t, protocol.ErrCommitted
	case q.Generation == 0 || q.Generation < max(t.Current, t.Pending):
		return t, protocol.ErrStale
	case q.Generation == t.Pending:
		return t, nil
	}
	t.Pending, t.Committed = q.Generation, false
	t.Open = slices.DeleteFunc(t.Open, func(o open) bool { return o.Generation != t.Current })
	if t.State == protocol.StateNone {
		t.State = protocol.StatePending
	}
	return t, nil
}

func commit(t tally, q ask) (tally, error) {
	if err := changeable(t); err != nil {
		return t, err
	}
	switch {
	case q.Generation != 0 && q.Generation == t.Current:
		return t, protocol.ErrCommitted
	case q.Generation == 0 || q.Generation != t.Pending:
		return t, protocol.ErrStale
	case t.Committed:
		return t, protocol.ErrCommitted
	}
	t.Committed = true
	return t, nil
}

// changeable refuses a change of generations in a frozen record, and under a last try
// whose end decides whether there is a record at all.
func changeable(t tally) error {
	switch t.State {
	case protocol.StateFrozen:
		return protocol.ErrFrozen
	case protocol.StateLastCall:
		return protocol.ErrLastTry
	}
	return nil
}

// act does what only the owner may. The sequence goes up by one each time, so that no
// recorded act can be played back.
func act(t tally, q ask) (tally, error) {
	if t.State == protocol.StateNone || q.Sequence != t.Sequence+1 {
		return t, protocol.ErrStale
	}
	t.Sequence = q.Sequence
	switch q.What {
	case askReset:
		t.Count, t.Open = 0, nil
		if t.State != protocol.StateFrozen {
			t.State = alive(t)
		}
	case askFreeze: // also under a last try: who guesses must not be able to destroy
		t.State, t.Open = protocol.StateFrozen, nil
	case askUnfreeze:
		t.Count, t.Open, t.State = 0, nil, alive(t)
	case askDestroy:
		t = destroy(t)
	default:
		panic(fmt.Sprintf("server: internal error: no such ask: %d", q.What))
	}
	return t, nil
}

// alive is the state of a record that is neither frozen nor at its end.
func alive(t tally) protocol.State {
	if t.Current == 0 {
		return protocol.StatePending
	}
	return protocol.StateActive
}

func destroy(t tally) tally {
	t.State, t.Open = protocol.StateDestroyed, nil
	return t
}

func left(t tally) int {
	if t.State == protocol.StateDestroyed {
		return 0
	}
	return max(0, t.Limit-t.Count)
}

// waitOf returns how long no try is allowed: after the k-th charge in a row, the k-th
// wait; under a last try, until its deadline.
func waitOf(t tally, waits []time.Duration, now int64) time.Duration {
	until := int64(0)
	switch {
	case t.State == protocol.StateDestroyed || t.State == protocol.StateFrozen:
		return 0
	case t.State == protocol.StateLastCall:
		until = t.Open[len(t.Open)-1].Deadline
	case t.Count > 0 && len(waits) > 0:
		until = t.Charged + waits[min(t.Count, len(waits))-1].Milliseconds()
	}
	return time.Duration(max(0, until-now)) * time.Millisecond
}
