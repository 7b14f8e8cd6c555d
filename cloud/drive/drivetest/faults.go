package drivetest

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A Kind is one way in which a request goes wrong.
type Kind string

// The faults. Those that do the work first are the mean ones.
const (
	Refuse     Kind = "refuse"     // nothing happens; Status and Reason come back
	Drop       Kind = "drop"       // nothing happens; the connection breaks
	Lost       Kind = "lost"       // it happens; the connection breaks before the answer
	Cut        Kind = "cut"        // small, chunk: only N bytes arrive, the connection breaks
	Half       Kind = "half"       // chunk: only half of it is kept
	Forget     Kind = "forget"     // chunk, status: the session is gone
	Truncate   Kind = "truncate"   // media: the connection breaks after N bytes
	Corrupt    Kind = "corrupt"    // small, chunk: one bit of what is stored is wrong
	WrongSum   Kind = "wrong-sum"  // small, chunk: the bytes are right and their hash is not
	Hang       Kind = "hang"       // nothing happens until the client gives up
	Expire     Kind = "expire"     // 401: the access token has died early
	EndSignIn  Kind = "end"        // all tokens are revoked; then 401
	Incomplete Kind = "incomplete" // list: incompleteSearch
)

// A Fault is one planned trouble.
type Fault struct {
	Op         Op // of which kind of request; "": any
	Skip       int
	Times      int // how often, after Skip requests; 0: once; negative: for ever
	Kind       Kind
	Status     int    // of Refuse
	Reason     string // of Refuse
	RetryAfter string // of Refuse: the header
	N          int64  // bytes, of Cut and Truncate
}

// Plan adds faults. They happen in this order, one a request.
func (f *Fake) Plan(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range faults {
		if fault.Times == 0 {
			fault.Times = 1
		}
		f.faults = append(f.faults, &fault)
	}
}

// Heal forgets the faults that have not happened, and random ones.
func (f *Fake) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.random = nil, nil
}

// Fired returns how many faults have happened.
func (f *Fake) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

type dice struct {
	rand *rand.Rand
	rate float64
}

// Random makes faults of all kinds that end in the given share of all requests.
// The seed is logged.
func (f *Fake) Random(t testing.TB, seed uint64, rate float64) {
	t.Helper()
	t.Logf("drivetest: seed %d, rate %v", seed, rate)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.random = &dice{rand.New(rand.NewPCG(seed, seed)), rate}
}

// fault returns what goes wrong with a request; nil: nothing. The caller holds
// mu.
func (f *Fake) fault(op Op) *Fault {
	for i, x := range f.faults {
		if x.Op != "" && x.Op != op {
			continue
		}
		if x.Skip > 0 {
			x.Skip--
			continue
		}
		if x.Times > 0 {
			x.Times--
		}
		if x.Times == 0 {
			f.faults = slices.Delete(f.faults, i, i+1)
		}
		f.fired++
		return x
	}
	if f.random == nil || f.random.rand.Float64() >= f.random.rate {
		return nil
	}
	f.fired++
	return f.random.roll(op)
}

// roll picks a fault that suits the request.
func (d *dice) roll(op Op) *Fault {
	likely := []Fault{
		{Kind: Drop},
		{Kind: Lost},
		{Kind: Refuse, Status: 500, Reason: "backendError"},
		{Kind: Refuse, Status: 503},
		{Kind: Refuse, Status: 503, RetryAfter: "2"},
		{Kind: Refuse, Status: 429, Reason: "rateLimitExceeded", RetryAfter: "1"},
	}
	if op != Token {
		likely = append(likely, Fault{Kind: Expire},
			Fault{Kind: Refuse, Status: 403, Reason: "userRateLimitExceeded"}, Fault{Kind: Refuse, Status: 403, Reason: "rateLimitExceeded"})
	}
	switch op {
	case Small:
		likely = append(likely, Fault{Kind: Cut, N: 100}, Fault{Kind: Corrupt}, Fault{Kind: WrongSum})
	case Chunk:
		likely = append(likely, Fault{Kind: Cut, N: d.rand.Int64N(1 << 20)}, Fault{Kind: Half}, Fault{Kind: Forget}, Fault{Kind: Corrupt}, Fault{Kind: WrongSum})
	case Status:
		likely = append(likely, Fault{Kind: Forget})
	case Media:
		likely = append(likely, Fault{Kind: Truncate, N: d.rand.Int64N(1000)})
	case List:
		likely = append(likely, Fault{Kind: Incomplete})
	}
	picked := likely[d.rand.IntN(len(likely))]
	return &picked
}
