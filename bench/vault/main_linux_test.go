package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"coffer/crypto/aead"
	"coffer/vault/protocol"
	"coffer/vault/server/store"
	"coffer/vault/server/store/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) (store.Store, func() store.Store) {
		s := newMemoryStore()
		return s, func() store.Store { return s }
	})
}

// TestSpeedPrintsItsTable measures for an instant: that a record opens, through the core
// and through a real gate, is what load itself insists on.
func TestSpeedPrintsItsTable(t *testing.T) {
	var out strings.Builder
	o := options{dir: t.TempDir(), seconds: time.Millisecond, only: "memory, soft", clients: []int{1, 2}, ripening: 1}
	if err := speed(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| memory, soft | inside | 1 |", "| memory, soft | network | 2 |", "| memory, soft | network, new connections | 1 |",
		"bound, network: ", "the vault's half is ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestManyPrintsItsTable(t *testing.T) {
	var out strings.Builder
	if err := many(t.Context(), options{dir: t.TempDir(), seconds: time.Millisecond, records: 200, asked: 8}, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "| 8 records | 200 records |") {
		t.Errorf("got\n%s", out.String())
	}
}

// TestRowsFromThePlateAreRecords: a vault takes them for what they claim to be, under
// their own name and no other.
func TestRowsFromThePlateAreRecords(t *testing.T) {
	p, err := newPlate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows := newMemoryStore()
	v, err := p.v.on(rows)
	if err != nil {
		t.Fatal(err)
	}
	defer v.core.Close()
	id, other := store.ID(aead.Random(16)), store.ID(aead.Random(16))
	row, err := p.row(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(row) != p.size {
		t.Fatalf("a row of %d bytes, the real one has %d", len(row), p.size)
	}
	door, _ := v.inside()()
	ask := func(id store.ID) error {
		if err := rows.Create(t.Context(), id, row); err != nil {
			t.Fatal(err)
		}
		g := v.guesser(door)
		g.Record = id
		_, err := g.Status(t.Context())
		return err
	}
	if err := ask(id); !errors.Is(err, protocol.ErrUnknownRecord) { // another's signature
		t.Errorf("its own name: %v", err)
	}
	if err := ask(other); !errors.Is(err, protocol.ErrInternal) {
		t.Errorf("another name: %v", err)
	}
}

func TestWhatHasNoExplanationFailsTheSoak(t *testing.T) {
	begun := time.Now()
	killed := outage{begun.Add(-time.Minute), begun.Add(-50 * time.Second)}
	for name, c := range map[string]struct {
		from      time.Time
		err, want error
		wrong     int
	}{
		"as expected":                      {begun, nil, nil, 0},
		"expected refusal":                 {begun, protocol.ErrWrongPassword, protocol.ErrWrongPassword, 0},
		"cut off by a kill":                {begun.Add(-55 * time.Second), protocol.ErrUnknownOutcome, nil, 0},
		"cut off by nobody":                {begun, protocol.ErrUnknownOutcome, nil, 1},
		"another refusal during a kill":    {begun.Add(-55 * time.Second), protocol.ErrInternal, nil, 1},
		"taken where it should be refused": {begun, nil, protocol.ErrFrozen, 1},
	} {
		vault := &target{seen: map[string]*tally{"right finish": {done: 1}}, outages: []outage{killed}}
		vault.explain("it", c.from, c.err, c.want)
		if len(vault.wrong) != c.wrong {
			t.Errorf("%s: %v", name, vault.wrong)
		}
		var out strings.Builder
		if err := verdict(&out, []*target{vault}, grown(0), time.Hour); (err != nil) != (c.wrong > 0) {
			t.Errorf("%s: verdict %v", name, err)
		}
	}
}

// grown returns the samples of an hour in which memory grows by so much.
func grown(grows int64) (all []sample) {
	for minute := range int64(60) {
		all = append(all, sample{at: time.Duration(minute) * time.Minute, files: 10, memory: memory{Anon: 100<<20 + grows*minute/60}})
	}
	return all
}

func TestMemoryThatGrowsFailsTheSoak(t *testing.T) {
	good := &target{seen: map[string]*tally{"right finish": {done: 1}}}
	var out strings.Builder
	for grows, fails := range map[int64]bool{0: false, 1 << 20: false, 64 << 20: true} {
		if err := verdict(&out, []*target{good}, grown(grows), time.Hour); (err != nil) != fails {
			t.Errorf("growth of %d bytes: %v", grows, err)
		}
	}
	files := grown(0)
	files[len(files)-1].files = 1000
	if verdict(&out, []*target{good}, files, time.Hour) == nil {
		t.Error("files that stay open do not fail it")
	}
	if verdict(&out, []*target{{seen: map[string]*tally{}}}, grown(0), time.Hour) == nil {
		t.Error("a soak that did nothing does not fail")
	}
}

func TestMemoryOfThisProcess(t *testing.T) {
	m, err := memoryOf(os.Getpid())
	if err != nil || m.Anon < 1<<20 {
		t.Fatalf("memory %+v, %v", m, err)
	}
}
