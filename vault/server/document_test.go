package server

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"coffer/vault/protocol"
)

// tableRows returns the cells of the rows of the first table below a heading.
func tableRows(t *testing.T, heading string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/vault-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows [][]string
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var cells []string
		for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(c))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("no table below %q", heading)
	}
	return rows[2:] // without head and rule
}

const testNow = int64(1_800_000_000_000)

var testWaits = DefaultWaits()

const sampleSerial = 20

// sample returns a tally in a state: active generation 2 (none for PENDING), pending 3.
func sample(state protocol.State) tally {
	t := tally{State: state, Limit: 10, Count: 1, Charged: testNow - 1000, Current: 2, Pending: 3, Sequence: 7, Serial: sampleSerial}
	t.Open = []open{{ID: [16]byte{1}, Generation: 2, Deadline: testNow + 1000}}
	switch state {
	case protocol.StateNone:
		return tally{Limit: 10}
	case protocol.StatePending:
		t.Current, t.Open[0].Generation, t.Committed = 0, 3, true
	case protocol.StateFrozen, protocol.StateDestroyed:
		t.Open = nil
	case protocol.StateLastCall:
		t.Count = t.Limit
		t.Open = append(t.Open, open{ID: [16]byte{2}, Generation: 2, Deadline: testNow + 2000})
	}
	return t
}

// conditions are the words of the column "when".
var conditions = map[string]func(t *tally, q *ask){
	"new generation":    func(_ *tally, q *ask) { q.Generation = 4 },
	"lower generation":  func(_ *tally, q *ask) { q.Generation = 1 },
	"other generation":  func(_ *tally, q *ask) { q.Generation = 9 },
	"same generation":   func(_ *tally, q *ask) { q.Generation = 2 },
	"active generation": func(_ *tally, q *ask) { q.Generation = 2 },
	"not committed":     func(t *tally, q *ask) { q.Generation, t.Committed = 3, false },
	"committed":         func(t *tally, q *ask) { q.Generation, t.Committed = 3, true },
	"too early":         func(t *tally, _ *ask) { t.Count = 4 },
	"last try":          func(t *tally, _ *ask) { t.Count, t.Charged = 9, testNow-24*time.Hour.Milliseconds() },
	"open attempt": func(t *tally, q *ask) {
		o := t.Open[len(t.Open)-1]
		q.Attempt, q.Generation = o.ID, o.Generation
	},
	"earlier attempt": func(t *tally, q *ask) { q.Attempt, q.Generation = t.Open[0].ID, t.Open[0].Generation },
	"no open attempt": func(_ *tally, q *ask) { q.Attempt, q.Generation = [16]byte{99}, 2 },
	"deadline passed": func(t *tally, q *ask) {
		for i := range t.Open {
			t.Open[i].Deadline = testNow
			q.Attempt, q.Generation = t.Open[i].ID, t.Open[i].Generation
		}
		q.Sequence = t.Sequence + 1
	},
	"next sequence":   func(t *tally, q *ask) { q.Sequence = t.Sequence + 1 },
	"old sequence":    func(t *tally, q *ask) { q.Sequence = t.Sequence },
	"used number":     func(_ *tally, q *ask) { q.Serial = sampleSerial },
	"unarmed":         func(_ *tally, q *ask) { q.Counted = true },
	"hardware's last": func(_ *tally, q *ask) { q.Counted, q.Hardware = true, 1 },
	"never exposed":   func(t *tally, q *ask) { t.Current, q.Sequence = 0, t.Sequence+1 },
}

var asks = map[string]what{
	"begin": askBegin, "commit": askCommit, "attempt": askAttempt, "expose": askExpose, "right": askRight,
	"wrong": askWrong, "reset": askReset, "freeze": askFreeze, "unfreeze": askUnfreeze, "destroy": askDestroy,
	"time": askStatus,
}

var codes = map[string]error{
	"ok": nil, "wait": protocol.ErrWait, "last-try": protocol.ErrLastTry, "destroyed": protocol.ErrDestroyed,
	"frozen": protocol.ErrFrozen, "attempt-over": protocol.ErrAttemptOver, "stale": protocol.ErrStale,
	"committed": protocol.ErrCommitted, "serial": protocol.ErrSerial, "unarmed": protocol.ErrUnarmed,
}

func TestTransitionsAreThoseOfTheDocument(t *testing.T) {
	seen, used := map[string]bool{}, map[string]bool{}
	for _, row := range tableRows(t, "## Transitions") {
		name := strings.Join(row[:3], "/")
		if seen[name] {
			t.Errorf("%s: twice in the table", name)
		}
		seen[name] = true
		state, ok := stateNamed(row[0])
		what, known := asks[row[1]]
		if !ok || !known {
			t.Errorf("%s: no such state or request", name)
			continue
		}
		seen[row[0]+"/"+row[1]] = true
		before, q := sample(state), ask{What: what, Attempt: [16]byte{77}, Serial: sampleSerial + 1}
		for _, when := range strings.Split(row[2], ", ") {
			apply, ok := conditions[when]
			if !ok {
				t.Fatalf("%s: no such condition", name)
			}
			apply(&before, &q)
			used[when] = true
		}
		checkTransition(t, name, before, q, row[3], row[4])
	}
	for _, state := range []string{"PENDING", "ACTIVE", "FROZEN", "LAST_CALL", "DESTROYED"} {
		for request := range asks {
			if !seen[state+"/"+request] {
				t.Errorf("the document does not say what %s does in %s", request, state)
			}
		}
	}
	if len(used) != len(conditions) {
		t.Errorf("%d of %d conditions are in the document", len(used), len(conditions))
	}
}

func checkTransition(t *testing.T, name string, before tally, q ask, answer, then string) {
	t.Helper()
	want, ok := codes[answer]
	if !ok {
		t.Fatalf("%s: no such answer: %s", name, answer)
	}
	next, v := decide(before, q, testWaits, testNow)
	if !errors.Is(v.Err, want) || (want == nil) != (v.Err == nil) {
		t.Errorf("%s: answer %v, the document says %s", name, v.Err, answer)
	}
	if next.State.String() != then {
		t.Errorf("%s: then %s, the document says %s", name, next.State, then)
	}
}

func stateNamed(name string) (protocol.State, bool) {
	for s := protocol.StateNone; s <= protocol.StateDestroyed; s++ {
		if s.String() == name {
			return s, true
		}
	}
	return 0, false
}

func TestWaitsAreThoseOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/vault-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	const said = "0, 0, 0, 1 min,\n5 min, 30 min, 2 h, 8 h, 24 h"
	if !strings.Contains(string(text), said) {
		t.Errorf("the document does not say %q", said)
	}
	if len(DefaultWaits()) != 9 || DefaultWaits()[3] != time.Minute || DefaultWaits()[8] != 24*time.Hour {
		t.Errorf("default waits: %v", DefaultWaits())
	}
}
