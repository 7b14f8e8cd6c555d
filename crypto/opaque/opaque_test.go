package opaque

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// fastKSF is not an identity, so that a forgotten stretching is noticed, and not slow.
func fastKSF(input []byte) []byte { return hash([]byte("fast"), input) }

var right = []byte("correct horse")

func testConfig() Config {
	return Config{
		Context:        []byte("context"),
		ClientIdentity: []byte("record 1"),
		ServerIdentity: []byte("vault.example"),
		Info:           []byte("record 1, generation 1"),
		KSF:            fastKSF,
	}
}

// A world is a server with one record.
type world struct {
	cfg       Config
	key       *ServerKey
	oprf      Evaluator
	record    []byte
	exportKey []byte
}

func newWorld(t testing.TB, cfg Config) *world {
	t.Helper()
	w := &world{cfg: cfg, key: GenerateServerKey(), oprf: must(NewEvaluator(NewOPRFKey()))(t)}
	client := must(NewClient(cfg))(t)
	request := must(client.RegistrationRequest(right))(t)
	response := must(w.server(t, cfg).RegistrationResponse(request, w.oprf))(t)
	var err error
	if w.record, w.exportKey, err = client.FinishRegistration(response); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) server(t testing.TB, cfg Config) *Server {
	t.Helper()
	return must(NewServer(cfg, w.key))(t)
}

// login runs a whole login; each side may have a Config of its own.
func (w *world) login(t testing.TB, client, server Config, password []byte) error {
	t.Helper()
	c := must(NewClient(client))(t)
	ke1 := must(c.KE1(password))(t)
	ke2, login, err := w.server(t, server).KE2(ke1, w.record, w.oprf)
	if err != nil {
		t.Fatal(err)
	}
	ke3, sessionKey, exportKey, err := c.KE3(ke2)
	if err != nil {
		if ke3 != nil || sessionKey != nil || exportKey != nil {
			t.Error("a failed login gave results away")
		}
		return err
	}
	serverKey, err := login.Finish(ke3)
	if err != nil {
		return err
	}
	wantBytes(t, "session key", sessionKey, serverKey)
	wantBytes(t, "export key", exportKey, w.exportKey)
	return nil
}

func TestLogin(t *testing.T) {
	for _, edit := range []func(*Config){
		func(*Config) {},
		func(c *Config) { c.ClientIdentity = nil },
		func(c *Config) { c.ServerIdentity = nil },
		func(c *Config) { c.Info, c.Context = nil, nil },
	} {
		cfg := testConfig()
		edit(&cfg)
		w := newWorld(t, cfg)
		for range 3 {
			if err := w.login(t, cfg, cfg, right); err != nil {
				t.Error(err)
			}
		}
	}
}

// The real stretching, once.
func TestLoginArgon2id(t *testing.T) {
	cfg := testConfig()
	cfg.KSF = must(Argon2id(64<<10, 3, 4))(t)
	w := newWorld(t, cfg)
	if err := w.login(t, cfg, cfg, right); err != nil {
		t.Error(err)
	}
	weak := cfg
	weak.KSF = fastKSF
	if err := w.login(t, weak, cfg, right); !errors.Is(err, ErrEnvelope) {
		t.Errorf("other KSF: %v, want ErrEnvelope", err)
	}
}

func TestArgon2idBounds(t *testing.T) {
	for _, c := range []struct {
		memory, time uint32
		threads      uint8
		ok           bool
	}{
		{64 << 10, 3, 1, true},
		{256 << 10, 3, 4, true},
		{1 << 20, 16, 16, true},
		{64<<10 - 1, 3, 4, false},
		{1<<20 + 1, 3, 4, false},
		{64 << 10, 2, 4, false},
		{64 << 10, 17, 4, false},
		{64 << 10, 3, 0, false},
		{64 << 10, 3, 17, false},
		{0, 0, 0, false},
	} {
		ksf, err := Argon2id(c.memory, c.time, c.threads)
		if (err == nil) != c.ok || (ksf != nil) != c.ok || err != nil && !errors.Is(err, ErrKSF) {
			t.Errorf("Argon2id(%d, %d, %d): %v", c.memory, c.time, c.threads, err)
		}
	}
}

// What is bound: each difference between registration, client and server is an error.
func TestBinding(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	with := func(edit func(*Config)) Config {
		c := cfg
		edit(&c)
		return c
	}
	other := []byte("other")
	otherKey := GenerateServerKey().Public()
	for _, c := range []struct {
		name           string
		client, server Config
		password       []byte
		want           error
	}{
		{"wrong password", cfg, cfg, []byte("wrong horse"), ErrEnvelope},
		{"password with a trailing zero", cfg, cfg, append(bytes.Clone(right), 0), ErrEnvelope},
		{"client's context", with(func(c *Config) { c.Context = other }), cfg, right, ErrServerAuth},
		{"server's context", cfg, with(func(c *Config) { c.Context = other }), right, ErrServerAuth},
		{"client's idea of itself", with(func(c *Config) { c.ClientIdentity = other }), cfg, right, ErrEnvelope},
		{"server's idea of the client", cfg, with(func(c *Config) { c.ClientIdentity = other }), right, ErrServerAuth},
		{"client's idea of the server", with(func(c *Config) { c.ServerIdentity = other }), cfg, right, ErrEnvelope},
		{"server's idea of itself", cfg, with(func(c *Config) { c.ServerIdentity = other }), right, ErrServerAuth},
		{"info", with(func(c *Config) { c.Info = other }), cfg, right, ErrEnvelope},
		{"no info", with(func(c *Config) { c.Info = nil }), cfg, right, ErrEnvelope},
		{
			"info moved into the password", with(func(c *Config) { c.Info = nil }), cfg,
			concat(cfg.Info, right), ErrEnvelope,
		},
		{"server key", with(func(c *Config) { c.ServerPublicKey = otherKey }), cfg, right, ErrServerAuth},
		{"the same", with(func(c *Config) { c.ServerPublicKey = w.key.Public() }), cfg, right, nil},
	} {
		if err := w.login(t, c.client, c.server, c.password); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// The framing of the OPRF input is what the documents say.
func TestOPRFInput(t *testing.T) {
	cfg := testConfig()
	cfg.Info = []byte("info")
	got := must(must(NewClient(cfg))(t).oprfInput([]byte("password")))(t)
	wantBytes(t, "input", got, []byte("\x00\x04infopassword"))
	cfg.Info = nil
	got = must(must(NewClient(cfg))(t).oprfInput([]byte("password")))(t)
	wantBytes(t, "input", got, []byte("password"))
}

// Another server, or another OPRF key, with the very same record.
func TestOtherKeys(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	rekeyed := *w
	rekeyed.oprf = must(NewEvaluator(NewOPRFKey()))(t)
	if err := rekeyed.login(t, cfg, cfg, right); !errors.Is(err, ErrEnvelope) {
		t.Errorf("other OPRF key: %v, want ErrEnvelope", err)
	}
	impostor := *w
	impostor.key = GenerateServerKey()
	if err := impostor.login(t, cfg, cfg, right); !errors.Is(err, ErrEnvelope) {
		t.Errorf("other server key: %v, want ErrEnvelope", err)
	}
}

// A server that holds the record, but not the private key that belongs to it.
func TestStolenRecord(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	thief := *w
	thief.key = &ServerKey{pair: keyPair{private: GenerateServerKey().Private(), public: w.key.Public()}}
	if err := thief.login(t, cfg, cfg, right); !errors.Is(err, ErrServerAuth) {
		t.Errorf("%v, want ErrServerAuth", err)
	}
}

func TestRegistrationPinsServer(t *testing.T) {
	cfg := testConfig()
	cfg.ServerPublicKey = GenerateServerKey().Public()
	server := must(NewServer(cfg, GenerateServerKey()))(t)
	client := must(NewClient(cfg))(t)
	request := must(client.RegistrationRequest(right))(t)
	response := must(server.RegistrationResponse(request, must(NewEvaluator(NewOPRFKey()))(t)))(t)
	if _, _, err := client.FinishRegistration(response); !errors.Is(err, ErrServerAuth) {
		t.Errorf("%v, want ErrServerAuth", err)
	}
}

func TestFakeRecord(t *testing.T) {
	cfg := testConfig()
	seed := random(KeySize)
	record, key, err := FakeRecord(seed, []byte("nobody"))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckRecord(record); err != nil {
		t.Fatal(err)
	}
	again, sameKey, _ := FakeRecord(seed, []byte("nobody"))
	if !bytes.Equal(record, again) || !bytes.Equal(key, sameKey) {
		t.Error("the same user is answered otherwise the second time")
	}
	for _, other := range []struct{ seed, id []byte }{{seed, []byte("nobody else")}, {random(KeySize), []byte("nobody")}} {
		r, k, _ := FakeRecord(other.seed, other.id)
		if bytes.Equal(record, r) || bytes.Equal(key, k) {
			t.Error("another user or seed gives the same record")
		}
	}
	w := &world{cfg: cfg, key: GenerateServerKey(), record: record, oprf: must(NewEvaluator(key))(t)}
	if err := w.login(t, cfg, cfg, right); !errors.Is(err, ErrEnvelope) {
		t.Errorf("login: %v, want ErrEnvelope, as for a wrong password", err)
	}
	for _, n := range []int{0, 31, 33} {
		if _, _, err := FakeRecord(make([]byte, n), nil); !errors.Is(err, ErrConfig) {
			t.Errorf("seed of %d bytes: %v", n, err)
		}
	}
}

func TestLoginState(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	c := must(NewClient(cfg))(t)
	ke2, login, err := w.server(t, cfg).KE2(must(c.KE1(right))(t), w.record, w.oprf)
	if err != nil {
		t.Fatal(err)
	}
	ke3, sessionKey, _, err := c.KE3(ke2)
	if err != nil {
		t.Fatal(err)
	}
	state := login.Bytes()
	moved := must(LoginFrom(state))(t)
	clear(state)
	got := must(moved.Finish(ke3))(t)
	wantBytes(t, "session key", got, sessionKey)
	clear(got)
	wantBytes(t, "session key, again", must(moved.Finish(ke3))(t), sessionKey)
	for _, n := range []int{0, LoginSize - 1, LoginSize + 1} {
		if _, err := LoginFrom(make([]byte, n)); !errors.Is(err, ErrMessage) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestServerKeyRoundTrip(t *testing.T) {
	key := GenerateServerKey()
	private := key.Private()
	again := must(ServerKeyFrom(private))(t)
	clear(private)
	wantBytes(t, "public", again.Public(), key.Public())
	wantBytes(t, "private", again.Private(), key.Private())
}

// order is the order of the group, big-endian (SEC 2, section 2.4.2).
const order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"

func TestScalarsOutOfRange(t *testing.T) {
	n := must(hex.DecodeString(order))(t)
	above := bytes.Clone(n)
	above[31]++
	for name, b := range map[string][]byte{
		"nil": nil, "zero": make([]byte, 32), "order": n, "order + 1": above,
		"all ones": bytes.Repeat([]byte{0xff}, 32), "31 bytes": n[:31], "33 bytes": append(bytes.Clone(n), 1),
	} {
		if _, err := NewEvaluator(b); !errors.Is(err, ErrMessage) {
			t.Errorf("NewEvaluator(%s): %v", name, err)
		}
		if _, err := ServerKeyFrom(b); !errors.Is(err, ErrMessage) {
			t.Errorf("ServerKeyFrom(%s): %v", name, err)
		}
	}
	below := bytes.Clone(n)
	below[31]--
	if _, err := NewEvaluator(below); err != nil {
		t.Errorf("order - 1: %v", err)
	}
}

func TestConfigRefused(t *testing.T) {
	long := make([]byte, 0x10000)
	for name, edit := range map[string]func(*Config){
		"no KSF":          func(c *Config) { c.KSF = nil },
		"context":         func(c *Config) { c.Context = long },
		"client identity": func(c *Config) { c.ClientIdentity = long },
		"server identity": func(c *Config) { c.ServerIdentity = long },
		"info":            func(c *Config) { c.Info = long },
	} {
		cfg := testConfig()
		edit(&cfg)
		if _, err := NewClient(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("NewClient, %s: %v", name, err)
		}
		serverOwn := name != "no KSF" && name != "info"
		if _, err := NewServer(cfg, GenerateServerKey()); errors.Is(err, ErrConfig) != serverOwn {
			t.Errorf("NewServer, %s: %v", name, err)
		}
	}
	if _, err := NewServer(testConfig(), nil); !errors.Is(err, ErrConfig) {
		t.Errorf("no key: %v", err)
	}
	cfg := testConfig()
	cfg.ServerPublicKey = make([]byte, 33)
	if _, err := NewClient(cfg); !errors.Is(err, ErrMessage) {
		t.Errorf("bad server key: %v", err)
	}
	cfg = testConfig()
	cfg.KSF = func([]byte) []byte { return nil }
	client := must(NewClient(cfg))(t)
	ke1 := must(client.KE1(right))(t)
	w := newWorld(t, testConfig())
	ke2, _, _ := w.server(t, cfg).KE2(ke1, w.record, w.oprf)
	if _, _, _, err := client.KE3(ke2); !errors.Is(err, ErrConfig) {
		t.Errorf("KSF that gives nothing: %v", err)
	}
}

func TestPasswordRefused(t *testing.T) {
	cfg := testConfig()
	for _, n := range []int{0, 0x10000 - 2 - len(cfg.Info), 0x20000} {
		client := must(NewClient(cfg))(t)
		if _, err := client.KE1(make([]byte, n)); !errors.Is(err, ErrPassword) {
			t.Errorf("KE1, %d bytes: %v", n, err)
		}
		if _, err := client.RegistrationRequest(make([]byte, n)); !errors.Is(err, ErrPassword) {
			t.Errorf("RegistrationRequest, %d bytes: %v", n, err)
		}
	}
}

// A Client asks once and hears one answer: a second answer would be a second guess for a
// server that lies.
func TestOrder(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	server := w.server(t, cfg)
	c := must(NewClient(cfg))(t)
	ke1 := must(c.KE1(right))(t)
	ke2, _, err := server.KE2(ke1, w.record, w.oprf)
	if err != nil {
		t.Fatal(err)
	}
	response := must(server.RegistrationResponse(ke1[:33], w.oprf))(t)
	wantOrder := func(step string, err error) {
		t.Helper()
		if !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v, want ErrOrder", step, err)
		}
	}
	_, err = c.KE1(right)
	wantOrder("KE1 twice", err)
	_, err = c.RegistrationRequest(right)
	wantOrder("request after KE1", err)
	_, _, err = c.FinishRegistration(response)
	wantOrder("finish registration after KE1", err)
	if _, _, _, err = c.KE3(ke2); err != nil {
		t.Fatal(err)
	}
	_, _, _, err = c.KE3(ke2)
	wantOrder("KE3 twice", err)
	fresh := must(NewClient(cfg))(t)
	_, _, _, err = fresh.KE3(ke2)
	wantOrder("KE3 first", err)
	_, _, err = fresh.FinishRegistration(response)
	wantOrder("finish first", err)
	registering := must(NewClient(cfg))(t)
	must(registering.RegistrationRequest(right))(t)
	_, _, _, err = registering.KE3(ke2)
	wantOrder("KE3 in a registration", err)
}

// The caller's slices are neither kept nor changed.
func TestArgumentsStayTheCallers(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	c := must(NewClient(cfg))(t)
	password := bytes.Clone(right)
	ke1 := must(c.KE1(password))(t)
	wantBytes(t, "password", password, right)
	clear(password)
	ke2, login, err := w.server(t, cfg).KE2(ke1, w.record, w.oprf)
	if err != nil {
		t.Fatal(err)
	}
	clear(ke1)
	before := bytes.Clone(ke2)
	ke3, _, exportKey, err := c.KE3(ke2)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "KE2", ke2, before)
	wantBytes(t, "export key", exportKey, w.exportKey)
	if _, err := login.Finish(ke3); err != nil {
		t.Error(err)
	}
}

// A token that fails, or answers with something that is no point.
type badToken struct {
	answer []byte
	err    error
}

func (b badToken) Evaluate([]byte) ([]byte, error) { return b.answer, b.err }

func TestBadToken(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	ke1 := must(must(NewClient(cfg))(t).KE1(right))(t)
	broken := errors.New("the token is gone")
	for _, c := range []struct {
		token badToken
		want  error
	}{
		{badToken{err: broken}, broken},
		{badToken{}, ErrMessage},
		{badToken{answer: []byte{0}}, ErrMessage},
		{badToken{answer: make([]byte, 33)}, ErrMessage},
	} {
		if _, _, err := w.server(t, cfg).KE2(ke1, w.record, c.token); !errors.Is(err, c.want) {
			t.Errorf("KE2: %v, want %v", err, c.want)
		}
		if _, err := w.server(t, cfg).RegistrationResponse(ke1[:33], c.token); !errors.Is(err, c.want) {
			t.Errorf("RegistrationResponse: %v, want %v", err, c.want)
		}
	}
}

// A malformed message never reaches the key: the caller has not counted the guess yet.
func TestCheckedBeforeEvaluated(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	ke1 := must(must(NewClient(cfg))(t).KE1(right))(t)
	touched := errors.New("touched")
	for _, at := range []int{0, KE1Size - elementSize} {
		bad := slices.Clone(ke1)
		bad[at] = 4
		if _, _, err := w.server(t, cfg).KE2(bad, w.record, badToken{err: touched}); !errors.Is(err, ErrMessage) {
			t.Errorf("KE1 bad at %d: %v", at, err)
		}
	}
	if _, _, err := w.server(t, cfg).KE2(ke1, w.record[1:], badToken{err: touched}); !errors.Is(err, ErrMessage) {
		t.Errorf("bad record: %v", err)
	}
}

func TestStateNeverPrints(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	c := must(NewClient(cfg))(t)
	_, login, err := w.server(t, cfg).KE2(must(c.KE1(right))(t), w.record, w.oprf)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{
		"session key": login.sessionKey[:], "client MAC": login.clientMAC[:],
		"server key": w.key.pair.private, "OPRF key": w.oprf.(memoryKey).key,
		"ephemeral key": c.ephemeral.private, "password": right,
	}
	var out bytes.Buffer
	for _, v := range []any{login, *login, w.key, *w.key, w.oprf, c, *c} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
			fmt.Fprintf(&out, verb+"\n", struct{ X any }{v})
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		if b, err := json.Marshal(v); err == nil {
			t.Errorf("json of %T succeeded: %s", v, b)
		}
	}
	text := out.String()
	for name, s := range secrets {
		for _, form := range []string{string(s), fmt.Sprintf("%x", s), fmt.Sprint(s)[1:20], fmt.Sprintf("%#v", s)[7:30]} {
			if strings.Contains(text, form) {
				t.Errorf("%s leaks as %q", name, form)
			}
		}
	}
}
