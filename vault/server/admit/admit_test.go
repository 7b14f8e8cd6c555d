package admit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
)

// memory is a store in memory. fail says what a write returns in its stead, and whether it
// is done all the same.
type memory struct {
	mu   sync.Mutex
	rows map[store.ID][]byte
	revs map[store.ID]store.Revision
	fail func(verb string) (done bool, err error)
}

func newMemory() *memory {
	return &memory{rows: map[store.ID][]byte{}, revs: map[store.ID]store.Revision{}}
}

func (m *memory) write(verb string, id store.ID, row []byte) error {
	if m.fail != nil {
		if done, err := m.fail(verb); err != nil {
			if done {
				m.rows[id], m.revs[id] = bytes.Clone(row), m.revs[id]+1
			}
			return err
		}
	}
	m.rows[id], m.revs[id] = bytes.Clone(row), m.revs[id]+1
	return nil
}

func (m *memory) Create(_ context.Context, id store.ID, row []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows[id] != nil {
		return store.ErrExists
	}
	return m.write("create", id, row)
}

func (m *memory) Fetch(_ context.Context, id store.ID) ([]byte, store.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if _, err := m.fail("fetch"); err != nil {
			return nil, 0, err
		}
	}
	if m.rows[id] == nil {
		return nil, 0, store.ErrNotFound
	}
	return bytes.Clone(m.rows[id]), m.revs[id], nil
}

func (m *memory) Replace(_ context.Context, id store.ID, rev store.Revision, row []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows[id] == nil {
		return store.ErrNotFound
	}
	if m.revs[id] != rev {
		return store.ErrChanged
	}
	return m.write("replace", id, row)
}

// keyed counts the keys that a token would hold.
type keyed struct {
	*seal.Soft
	mu   sync.Mutex
	keys map[string]bool
}

func (k *keyed) NewKey(ctx context.Context, id seal.ID) ([]byte, error) {
	handle, err := k.Soft.NewKey(ctx, id)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[string(handle)] = true
	return handle, err
}

func (k *keyed) DestroyKey(_ context.Context, _ seal.ID, handle []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, string(handle))
	return nil
}

// A world is a desk with what it stands on.
type world struct {
	*Desk
	store  *memory
	sealer *keyed
	mu     sync.Mutex
	now    time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{store: newMemory(), now: time.Now()}
	w.sealer = &keyed{Soft: seal.NewSoft([32]byte{1}), keys: map[string]bool{}}
	cfg := Config{
		VaultID: [16]byte{7}, Key: [32]byte{9}, Mode: ModeInvite, Store: w.store, Sealer: w.sealer, Clock: w.clock,
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if w.Desk, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) invite(t *testing.T, life time.Duration) []byte {
	t.Helper()
	token, err := w.Invite(life)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(token)
}

// admitted asks and, when that is right, checks the ticket.
func (w *world) admitted(t *testing.T, record byte, token []byte) error {
	t.Helper()
	ticket, err := w.Admit(t.Context(), [16]byte{record}, token)
	if err != nil {
		if ticket != [32]byte{} {
			t.Errorf("a ticket beside the error %v", err)
		}
		return err
	}
	if err := w.Check([16]byte{record}, ticket); err != nil {
		t.Errorf("the ticket of record %d is not taken: %v", record, err)
	}
	return nil
}

func TestAnInvitationLetsOneRecordIn(t *testing.T) {
	w := newWorld(t, nil)
	token := w.invite(t, time.Hour)
	if len(token) != 43 {
		t.Errorf("an invitation of %d characters", len(token))
	}
	for range 3 { // its answers were lost
		if err := w.admitted(t, 1, token); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.admitted(t, 2, token); !errors.Is(err, protocol.ErrInvitation) {
		t.Errorf("another record: %v", err)
	}
	if err := w.admitted(t, 2, w.invite(t, time.Hour)); err != nil {
		t.Errorf("another invitation: %v", err)
	}
	if len(w.store.rows) != 2 {
		t.Errorf("%d rows", len(w.store.rows))
	}
}

func TestAnInvitationExpires(t *testing.T) {
	w := newWorld(t, nil)
	token := w.invite(t, time.Minute)
	if err := w.admitted(t, 1, token); err != nil {
		t.Fatal(err)
	}
	w.pass(61 * time.Second)
	for record := range byte(2) {
		if err := w.admitted(t, 1+record, token); !errors.Is(err, protocol.ErrInvitation) {
			t.Errorf("record %d: %v", 1+record, err)
		}
	}
	for _, life := range []time.Duration{0, -time.Hour, time.Millisecond, MaxInvitation + 1} {
		if _, err := w.Invite(life); !errors.Is(err, ErrConfig) {
			t.Errorf("an invitation for %v: %v", life, err)
		}
	}
}

// TestOnlyTheVaultMakesInvitations: every cut, every other bit, and the invitations of
// another key or vault are refused, and the store is not even asked.
func TestOnlyTheVaultMakesInvitations(t *testing.T) {
	w := newWorld(t, nil)
	w.store.fail = func(verb string) (bool, error) {
		t.Errorf("%s: the store was asked", verb)
		return false, errors.New("no")
	}
	token := w.invite(t, time.Hour)
	raw, err := base64.RawURLEncoding.DecodeString(string(token))
	if err != nil {
		t.Fatal(err)
	}
	bad := [][]byte{
		nil, []byte("="), append(slices.Clone(token), 'A'), append(slices.Clone(token), '='),
		append(slices.Clone(token), '\n'), append([]byte(" "), token...), bytes.Repeat([]byte{'A'}, protocol.MaxAdmission),
	}
	for i := range token {
		bad = append(bad, token[:i])
	}
	for bit := range len(raw) * 8 {
		changed := slices.Clone(raw)
		changed[bit/8] ^= 1 << (bit % 8)
		bad = append(bad, []byte(base64.RawURLEncoding.EncodeToString(changed)))
	}
	// The last character holds 4 bits: the other 2 are not a second spelling.
	last := slices.Clone(token)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last[42] = alphabet[strings.IndexByte(alphabet, last[42])+1]
	bad = append(bad, last)
	bad = append(bad, newWorld(t, func(c *Config) { c.Key = [32]byte{8} }).invite(t, time.Hour))
	bad = append(bad, newWorld(t, func(c *Config) { c.VaultID = [16]byte{8} }).invite(t, time.Hour))
	for _, b := range bad {
		if err := w.admitted(t, 1, b); !errors.Is(err, protocol.ErrInvitation) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	w.store.fail = nil
	if err := w.admitted(t, 1, token); err != nil {
		t.Errorf("the one that was not changed: %v", err)
	}
}

func TestATicketIsForOneRecordForAnHour(t *testing.T) {
	w := newWorld(t, nil)
	ticket, err := w.Admit(t.Context(), [16]byte{1}, w.invite(t, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(desk *Desk, record byte, ticket [32]byte) {
		t.Helper()
		if err := desk.Check([16]byte{record}, ticket); !errors.Is(err, protocol.ErrNotAdmitted) {
			t.Errorf("record %d: %v", record, err)
		}
	}
	refused(w.Desk, 2, ticket)
	refused(w.Desk, 1, [32]byte{})
	for bit := range 256 {
		changed := ticket
		changed[bit/8] ^= 1 << (bit % 8)
		refused(w.Desk, 1, changed)
	}
	refused(newWorld(t, func(c *Config) { c.Key = [32]byte{8} }).Desk, 1, ticket)
	refused(newWorld(t, func(c *Config) { c.VaultID = [16]byte{8} }).Desk, 1, ticket)
	w.pass(TicketLife - 2*time.Second)
	if err := w.Check([16]byte{1}, ticket); err != nil {
		t.Errorf("before the hour is over: %v", err)
	}
	w.pass(3 * time.Second)
	refused(w.Desk, 1, ticket)
}

func TestOpenLetsEverybodyIn(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Mode = ModeOpen })
	if err := w.Check([16]byte{1}, [32]byte{}); err != nil {
		t.Error(err)
	}
	if err := w.admitted(t, 1, []byte("whatever")); err != nil {
		t.Error(err)
	}
	if _, err := w.Invite(time.Hour); !errors.Is(err, ErrConfig) {
		t.Errorf("an invitation: %v", err)
	}
	if len(w.store.rows) != 0 {
		t.Errorf("%d rows", len(w.store.rows))
	}
}

// TestOneOfManyRecordsWins: the same invitation, used for many records at once.
func TestOneOfManyRecordsWins(t *testing.T) {
	w := newWorld(t, nil)
	for round := range 20 {
		token := w.invite(t, time.Hour)
		const records = 16
		errs := make([]error, records)
		var all sync.WaitGroup
		for i := range records {
			all.Go(func() { _, errs[i] = w.Admit(t.Context(), [16]byte{byte(i + 1)}, token) })
		}
		all.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, protocol.ErrInvitation):
				t.Errorf("round %d: %v", round, err)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d records got in", round, won)
		}
	}
	if len(w.sealer.keys) != len(w.store.rows) {
		t.Errorf("%d keys for %d rows: who lost left its key", len(w.sealer.keys), len(w.store.rows))
	}
}

// TestNoTicketWithoutADurableAdmission: each write as failed, as failed but done, and as
// refused.
func TestNoTicketWithoutADurableAdmission(t *testing.T) {
	for _, c := range []struct {
		verb string
		done bool
		err  error
		want error
	}{
		{"fetch", false, errors.New("down"), protocol.ErrInternal},
		{"create", false, errors.New("hung"), protocol.ErrUnknownOutcome},
		{"create", true, errors.New("hung"), protocol.ErrUnknownOutcome},
		{"create", false, store.ErrClosed, protocol.ErrInternal},
		{"create", false, store.ErrRow, protocol.ErrInternal},
		{"create", false, store.ErrExists, protocol.ErrInternal}, // again and again
	} {
		t.Run(fmt.Sprintf("%s %v %v", c.verb, c.done, c.err), func(t *testing.T) {
			w := newWorld(t, nil)
			token := w.invite(t, time.Hour)
			w.store.fail = func(verb string) (bool, error) {
				if verb == c.verb {
					return c.done, c.err
				}
				return false, nil
			}
			if err := w.admitted(t, 1, token); !errors.Is(err, c.want) {
				t.Fatalf("%v, not %v", err, c.want)
			}
			w.store.fail = nil
			if c.done {
				if err := w.admitted(t, 2, token); !errors.Is(err, protocol.ErrInvitation) {
					t.Errorf("another record, after a write that was done: %v", err)
				}
			}
			if err := w.admitted(t, 1, token); err != nil {
				t.Errorf("the same record again: %v", err)
			}
		})
	}
}

// TestDamagedRowsAreRefused: every prefix of a row, and every other byte.
func TestDamagedRowsAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	token := w.invite(t, time.Hour)
	if err := w.admitted(t, 1, token); err != nil {
		t.Fatal(err)
	}
	for id, row := range w.store.rows {
		try := func(what string, changed []byte) {
			t.Helper()
			w.store.rows[id] = changed
			if err := w.admitted(t, 1, token); !errors.Is(err, protocol.ErrInternal) {
				t.Errorf("%s: %v", what, err)
			}
		}
		for n := 1; n < len(row); n++ {
			try(fmt.Sprintf("cut to %d", n), row[:n])
		}
		for i := range row {
			changed := bytes.Clone(row)
			changed[i] ^= 0x40
			try(fmt.Sprintf("byte %d changed", i), changed)
		}
		try("longer", append(bytes.Clone(row), 0))
		w.store.rows[id] = row
	}
	if err := w.admitted(t, 1, token); err != nil {
		t.Errorf("the row that was not changed: %v", err)
	}
}

// TestAnAdmissionIsNoRecord: its sealed body says what it is, the store cannot tell, and its
// name is not one that a client could choose for a record.
func TestAnAdmissionIsNoRecord(t *testing.T) {
	w := newWorld(t, nil)
	token := w.invite(t, time.Hour)
	if err := w.admitted(t, 1, token); err != nil {
		t.Fatal(err)
	}
	other := newWorld(t, func(c *Config) { c.Key = [32]byte{8} })
	for id, row := range w.store.rows {
		handle, sealed, err := splitRow(row)
		if err != nil {
			t.Fatal(err)
		}
		body, err := w.sealer.Open(t.Context(), id, handle, sealed)
		if err != nil {
			t.Fatal(err)
		}
		const recordFormat = 2 // docs/vault-protocol.md, "What a vault keeps"
		if body[0] != RowFormat || body[0] == recordFormat {
			t.Errorf("format %#x", body[0])
		}
		if bytes.Contains(row, token[:8]) || bytes.Contains(row, []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) {
			t.Error("the row shows what it is about")
		}
		raw, _ := base64.RawURLEncoding.DecodeString(string(token))
		about := admission{byInvitation, raw[:invitationID]}
		if w.name(about) != id {
			t.Error("the row lies elsewhere")
		}
		if other.name(about) == id {
			t.Error("who does not have the admission key knows the name")
		}
		if w.name(admission{byAccount, about.about}) == id {
			t.Error("an account has the name of an invitation")
		}
	}
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	good := Config{VaultID: [16]byte{7}, Key: [32]byte{9}, Mode: ModeOpen, Store: newMemory(), Sealer: seal.NewSoft([32]byte{1})}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	oidc := func(issuer, client string) func(*Config) {
		return func(c *Config) { c.Mode, c.Issuer, c.ClientID = ModeOIDC, issuer, client }
	}
	for name, change := range map[string]func(*Config){
		"no vault": func(c *Config) { c.VaultID = [16]byte{} }, "no key": func(c *Config) { c.Key = [32]byte{} },
		"no mode": func(c *Config) { c.Mode = "" }, "no store": func(c *Config) { c.Store = nil },
		"no sealer":          func(c *Config) { c.Sealer = nil },
		"open, and issuer":   func(c *Config) { c.Issuer = "https://issuer.example" },
		"invite, and client": func(c *Config) { c.Mode, c.ClientID = ModeInvite, "client" },
		"no issuer":          oidc("", "client"), "no client": oidc("https://issuer.example", ""),
		"http": oidc("http://issuer.example", "client"), "query": oidc("https://issuer.example?x", "client"),
		"fragment": oidc("https://issuer.example#x", "client"), "user": oidc("https://me@issuer.example", "client"),
		"no host": oidc("https:///x", "client"), "file": oidc("file:///etc/passwd", "client"),
		"long": oidc("https://issuer.example/"+strings.Repeat("x", 256), "client"),
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	desk, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, desk); s != "[redacted]" {
			t.Errorf("%s prints %q", verb, s)
		}
	}
}

func FuzzInvitation(f *testing.F) {
	// The same in each process that fuzzes.
	now := time.Unix(1_800_000_000, 0)
	w := &Desk{cfg: Config{VaultID: [16]byte{7}, Key: [32]byte{9}, Mode: ModeInvite, Clock: func() time.Time { return now }}}
	id := binary.BigEndian.AppendUint32(make([]byte, invitationRandom), uint32(now.Add(time.Hour).Unix()))
	token := base64.RawURLEncoding.EncodeToString(append(id, w.invitationMAC(id)...))
	f.Add(token)
	f.Add("")
	f.Add(hex.EncodeToString([]byte(token)))
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := w.openInvitation([]byte(s)); (err == nil) != (s == token) {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add(byInvitation, encodeBody(byInvitation, []place{{[16]byte{1}, 7}}))
	f.Add(byAccount, encodeBody(byAccount, []place{{[16]byte{1}, 7}, {[16]byte{2}, -1}, {[16]byte{3}, 1 << 40}}))
	f.Add(byAccount, []byte{RowFormat, byAccount, 0})
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		places, err := decodeBody(kind, body)
		if err == nil && !bytes.Equal(encodeBody(kind, places), body) {
			t.Errorf("%x reads as %d places and writes otherwise", body, len(places))
		}
	})
}

// TestWhenAPlaceIsFree: when nothing can come of it any more, and not a second earlier.
func TestWhenAPlaceIsFree(t *testing.T) {
	w := newWorld(t, nil)
	now := w.clock()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		name      string
		state     protocol.State
		admitted  time.Time
		destroyed time.Time
		want      bool
	}{
		{"its ticket is still good", protocol.StateNone, ago(TicketLife - time.Second), time.Time{}, false},
		{"it was never made", protocol.StateNone, ago(TicketLife + 2*time.Second), time.Time{}, true},
		{"just destroyed", protocol.StateDestroyed, ago(time.Hour), ago(PlaceRest - time.Second), false},
		{"long destroyed", protocol.StateDestroyed, ago(48 * time.Hour), ago(PlaceRest), true},
		{"pending", protocol.StatePending, ago(1000 * time.Hour), time.Time{}, false},
		{"active", protocol.StateActive, ago(1000 * time.Hour), time.Time{}, false},
		{"frozen", protocol.StateFrozen, ago(1000 * time.Hour), time.Time{}, false},
		{"in its last try", protocol.StateLastCall, ago(1000 * time.Hour), time.Time{}, false},
	} {
		if got := w.vacant(place{admitted: c.admitted.Unix()}, c.state, c.destroyed); got != c.want {
			t.Errorf("%s: free %t", c.name, got)
		}
	}
}
