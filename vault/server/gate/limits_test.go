package gate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"coffer/vault/protocol"
)

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = address + ":4711" }
}

// TestLimitsAreThoseOfTheDocument compares the defaults with docs/vault-protocol.md.
func TestLimitsAreThoseOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../../docs/vault-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Limits{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		fmt.Sprintf("| requests of one address | %d at once, then %g a second;", l.AddressBurst, l.AddressRate),
		fmt.Sprintf("| requests about one record | %d at once, then %g a second |", l.RecordBurst, l.RecordRate),
		fmt.Sprintf("| a request for evidence, a challenge, or to arm | counts as %d about its record |", chipWeight),
		"| envelope | 24,576 bytes |",
		fmt.Sprintf("| time for a request | %d s in the vault |", int(requestLife.Seconds())),
	} {
		if !strings.Contains(string(text), row) {
			t.Errorf("the document does not say %q", row)
		}
	}
}

func TestOneAddressIsLimited(t *testing.T) {
	opened := 0
	w := newWorld(t, coreFunc(func(context.Context, [32]byte, []byte) ([]byte, error) {
		opened++
		return nil, nil
	}), nil)
	record := byte(0)
	ask := func(address string) error {
		record++ // another record each time
		_, err := w.ask(t, statusRequest(record), from(address))
		return err
	}
	for i := range 20 {
		if err := ask("192.0.2.1"); err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
	}
	var refusal *protocol.Refusal
	for range 5 {
		if err := ask("192.0.2.1"); !errors.Is(err, protocol.ErrBusy) || !errors.As(err, &refusal) || refusal.Wait != 500*time.Millisecond {
			t.Fatalf("one more: %v, %+v", err, refusal)
		}
	}
	if opened != 20 {
		t.Errorf("%d envelopes reached the core", opened)
	}
	if err := ask("192.0.2.2"); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	w.pass(time.Second)
	if ask("192.0.2.1") != nil || ask("192.0.2.1") != nil || !errors.Is(ask("192.0.2.1"), protocol.ErrBusy) {
		t.Error("a second later: not two more")
	}
	for i := range 20 { // one home has a network of IPv6
		if err := ask(fmt.Sprintf("[2001:db8:0:1::%x]", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask("[2001:db8:0:1:ffff::1]"); !errors.Is(err, protocol.ErrBusy) {
		t.Errorf("another address of the same network: %v", err)
	}
	if err := ask("[2001:db8:0:2::1]"); err != nil {
		t.Errorf("another network: %v", err)
	}
	if !strings.Contains(w.scrape(t), `coffer_vault_limited_total{limit="address"} 7`) {
		t.Error("the metrics do not count it")
	}
}

// TestTheLimitComesBeforeTheWork: who is over it costs no decapsulation, whatever he sends.
func TestTheLimitComesBeforeTheWork(t *testing.T) {
	w := newWorld(t, coreFunc(echo), nil)
	for i := range 30 {
		want := "malformed"
		if i >= 20 {
			want = "busy"
		}
		if got := refusal(t, w.post(t, []byte("no envelope"), from("192.0.2.1"))); got != want {
			t.Errorf("request %d: %s, not %s", i+1, got, want)
		}
	}
	rec := w.post(t, nil, func(r *http.Request) {
		from("192.0.2.1")(r)
		r.Method, r.URL.Path = http.MethodGet, protocol.BundlePath
	})
	if got := refusal(t, rec); got != "busy" {
		t.Errorf("the bundle: %s", got)
	}
}

// TestWhatKeepsAChipBusyWeighsMore: and a limit below its weight is no ban.
func TestWhatKeepsAChipBusyWeighsMore(t *testing.T) {
	for kind, want := range map[protocol.Kind]int{
		protocol.KindEvidence: 10, protocol.KindChallenge: 10, protocol.KindArm: 10, protocol.KindStatus: 30, protocol.KindAttempt: 30,
	} {
		l, now := newLimiter[int](30, 1, 8), time.Now()
		n := 0
		for l.take(1, weight(kind), now) == 0 {
			n++
		}
		if n != want {
			t.Errorf("kind %d: %d at once, want %d", kind, n, want)
		}
	}
	l, now := newLimiter[int](1, 1, 8), time.Now()
	if l.take(1, weight(protocol.KindArm), now) != 0 || l.take(1, weight(protocol.KindArm), now.Add(time.Second)) != 0 {
		t.Error("a bucket of one never lets it through")
	}
}

func TestOneRecordIsLimited(t *testing.T) {
	w := newWorld(t, coreFunc(echo), nil)
	ask := func(record byte, i int) error {
		_, err := w.ask(t, statusRequest(record), from(fmt.Sprintf("192.0.2.%d", i)))
		return err
	}
	for i := range 30 {
		if err := ask(1, i); err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
	}
	var refusal *protocol.Refusal
	if err := ask(1, 30); !errors.Is(err, protocol.ErrBusy) || !errors.As(err, &refusal) || refusal.Wait != time.Second {
		t.Errorf("one more: %v, %+v", err, refusal)
	}
	s := sealTo(t, w.key.Public(), testVault, statusRequest(1))
	if rec := w.post(t, s.body, from("192.0.2.31")); rec.Code != http.StatusOK {
		t.Errorf("the refusal is said outside: HTTP status %d", rec.Code)
	}
	if err := ask(2, 32); err != nil {
		t.Errorf("another record: %v", err)
	}
	w.pass(time.Second)
	if ask(1, 33) != nil || !errors.Is(ask(1, 34), protocol.ErrBusy) {
		t.Error("a second later: not one more")
	}
}

// TestOnlyFrontsAreBelieved: who writes X-Forwarded-For himself gains nothing.
func TestOnlyFrontsAreBelieved(t *testing.T) {
	w := newWorld(t, coreFunc(echo), func(c *Config) {
		c.Fronts = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	})
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:80", nil, "192.0.2.1"},
		{"192.0.2.1:80", []string{"198.51.100.7"}, "192.0.2.1"},
		{"10.0.0.1:80", nil, "10.0.0.1"},
		{"10.0.0.1:80", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[::ffff:10.0.0.1]:80", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[fd00::1]:80", []string{"2001:db8::7"}, "2001:db8::7"},
		{"10.0.0.1:80", []string{"[2001:db8::7]:443"}, "2001:db8::7"},
		{"10.0.0.1:80", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"10.0.0.1:80", []string{"198.51.100.7:443"}, "198.51.100.7"},
		{"10.0.0.1:80", []string{"1.1.1.1, 2.2.2.2, 198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:80", []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:80", []string{"198.51.100.7, 10.1.1.1, 10.2.2.2"}, "198.51.100.7"},
		{"10.0.0.1:80", []string{"10.1.1.1, 198.51.100.7,10.2.2.2"}, "198.51.100.7"},
		{"10.0.0.1:80", []string{"10.1.1.1"}, "10.1.1.1"},
		{"10.0.0.1:80", []string{"198.51.100.7, unknown, 10.2.2.2"}, "10.2.2.2"},
		{"10.0.0.1:80", []string{"198.51.100.7, "}, "10.0.0.1"},
		{"10.0.0.1:80", []string{strings.Repeat("1.1.1.1,", 100000) + "198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:80", []string{"198.51.100.7," + strings.Repeat("10.1.1.1,", 1000) + "10.1.1.2"}, "10.1.1.1"},
		{"@", []string{"198.51.100.7"}, "invalid IP"},
		{"", nil, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := w.clientAddress(r).String(); got != c.want {
			t.Errorf("%s, %.60q: %s, not %s", c.remote, c.forwarded, got, c.want)
		}
	}
	for key, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "::1": "::",
	} {
		if got := limitKey(netip.MustParseAddr(key)).String(); got != want {
			t.Errorf("%s counts as %s, not as %s", key, got, want)
		}
	}
	if a := limitKey(netip.Addr{}); a.IsValid() {
		t.Error("nobody counts as somebody")
	}
}

// TestTheLogNamesAddressesWhenAsked and not otherwise.
func TestTheLogNamesAddressesWhenAsked(t *testing.T) {
	for _, asked := range []bool{false, true} {
		w := newWorld(t, coreFunc(echo), func(c *Config) { c.LogAddresses = asked })
		if _, err := w.ask(t, statusRequest(1), from("192.0.2.1")); err != nil {
			t.Fatal(err)
		}
		if named := strings.Contains(string(w.log.Bytes()), "192.0.2.1"); named != asked {
			t.Errorf("asked: %v, named: %v", asked, named)
		}
		if strings.Contains(w.scrape(t), "192.0.2.1") {
			t.Error("the metrics name it")
		}
	}
}

// TestALimiterIsABucketForEachKey compares it with one bucket for each key, without a bound.
func TestALimiterIsABucketForEachKey(t *testing.T) {
	l := newLimiter[int](5, 3, 1000)
	model := map[int]*rate.Limiter{}
	now := time.Unix(1_800_000_000, 0)
	random := rand.New(rand.NewPCG(1, 2))
	for step := range 20000 {
		now = now.Add(time.Duration(random.IntN(50)) * time.Millisecond)
		key := random.IntN(20)
		if model[key] == nil {
			model[key] = rate.NewLimiter(3, 5)
		}
		if got, want := l.take(key, 1, now) == 0, model[key].AllowN(now, 1); got != want {
			t.Fatalf("step %d, key %d: allowed %v, not %v", step, key, got, want)
		}
	}
}

// TestNobodyEmptiesTheTableForHimself: who is over his limit stays so, however many other
// addresses he asks from, unless he empties their buckets, too.
func TestNobodyEmptiesTheTableForHimself(t *testing.T) {
	const size, burst = 100, 20
	l := newLimiter[int](burst, 2, size)
	now := time.Unix(1_800_000_000, 0)
	empty := func(key int) (taken int) {
		for l.take(key, 1, now) == 0 {
			taken++
		}
		return taken
	}
	if got := empty(-1); got != burst {
		t.Fatalf("a bucket of %d", got)
	}
	for key := range 100 * size {
		l.take(key, 1, now)
		if len(l.buckets) > size || len(l.order) != len(l.buckets) {
			t.Fatalf("%d buckets, %d in order", len(l.buckets), len(l.order))
		}
	}
	if wait := l.take(-1, 1, now); wait == 0 {
		t.Error("forgotten after one request each from ten thousand addresses")
	}
	cost := 0
	for key := 1000000; l.buckets[-1] != nil && cost < 10*size*burst; key++ {
		now = now.Add(time.Microsecond) // so that theirs are full later than his
		cost += empty(key)
	}
	if cost < size*burst*9/10 || l.buckets[-1] != nil {
		t.Errorf("after %d requests: forgotten is %v", cost, l.buckets[-1] == nil)
	}
	now = now.Add(time.Minute) // all are full again
	for key := range 2 * size {
		l.take(key, 1, now)
	}
	now = now.Add(time.Hour)
	for range 2 * size {
		l.take(7, 1, now)
		l.take(rand.IntN(math.MaxInt), 1, now)
		now = now.Add(time.Minute)
	}
	if len(l.buckets) > 8 {
		t.Errorf("%d buckets are remembered of two addresses a minute", len(l.buckets))
	}
}

func TestTooMuchAtOnceIsBusy(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	w := newWorld(t, coreFunc(func(_ context.Context, _ [32]byte, body []byte) ([]byte, error) {
		if body[4] == 1 {
			begun <- struct{}{}
			<-goOn
		}
		return body, nil
	}), func(c *Config) { c.Limits.Requests = 2 })
	ended := make(chan error)
	for range 2 {
		go func() {
			_, err := w.ask(t, statusRequest(1), nil)
			ended <- err
		}()
		<-begun
	}
	if _, err := w.ask(t, statusRequest(2), nil); !errors.Is(err, protocol.ErrBusy) {
		t.Errorf("a third: %v", err)
	}
	close(goOn)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if _, err := w.ask(t, statusRequest(2), nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	w := newWorld(t, coreFunc(echo), nil)
	for name, change := range map[string]func(*Config){
		"no vault": func(c *Config) { c.VaultID = [16]byte{} }, "no core": func(c *Config) { c.Server = nil },
		"no keys": func(c *Config) { c.Keys = nil }, "no bundle": func(c *Config) { c.Bundle = nil },
		"no desk":    func(c *Config) { c.Desk = nil },
		"burst":      func(c *Config) { c.Limits.AddressBurst = -1 },
		"rate":       func(c *Config) { c.Limits.RecordRate = -1 },
		"no number":  func(c *Config) { c.Limits.AddressRate = math.NaN() },
		"endless":    func(c *Config) { c.Limits.AddressRate = math.Inf(1) },
		"time":       func(c *Config) { c.Limits.Header = -time.Second },
		"table":      func(c *Config) { c.Limits.Table = -1 },
		"connection": func(c *Config) { c.Limits.Connections = -1 },
	} {
		cfg := w.cfg
		change(&cfg)
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, w.Gate); s != "[redacted]" {
			t.Errorf("%s prints %q", verb, s)
		}
	}
}
