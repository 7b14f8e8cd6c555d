package opaque

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"filippo.io/nistec"
)

// badPoints are encodings of no point, or of a point in another way.
func badPoints(t testing.TB) map[string][]byte {
	t.Helper()
	generator := nistec.NewP256Point().SetGenerator()
	prime := must(hex.DecodeString("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"))(t)
	points := map[string][]byte{
		"zeroes":                  make([]byte, 33),
		"ones":                    bytes.Repeat([]byte{0xff}, 33),
		"identity, padded":        append([]byte{0}, make([]byte, 32)...),
		"uncompressed, cut":       generator.Bytes()[:33],
		"hybrid prefix":           append([]byte{6}, generator.BytesCompressed()[1:]...),
		"x is the prime":          append([]byte{2}, prime...),
		"x above the prime":       append([]byte{3}, bytes.Repeat([]byte{0xff}, 32)...),
		"x of a point plus prime": append([]byte{2}, addTo(prime, 5)...),
	}
	if _, err := parsePoint(append(make([]byte, 0, 33), addTo(append([]byte{2}, make([]byte, 32)...), 5)...)); err != nil {
		t.Fatal("x = 5 is on no point: choose another")
	}
	// About half of all x have no point; find one.
	off := append([]byte{2}, make([]byte, 32)...)
	for {
		off[32]++
		if _, err := nistec.NewP256Point().SetBytes(off); err != nil {
			break
		}
	}
	points["off the curve"] = off
	return points
}

// addTo returns the big-endian b plus n; x = 5 is on the curve, so this is its second,
// non-canonical encoding.
func addTo(b []byte, n byte) []byte {
	sum, carry := bytes.Clone(b), uint16(n)
	for i := len(sum) - 1; i >= 0; i-- {
		carry += uint16(sum[i])
		sum[i] = byte(carry)
		carry >>= 8
	}
	return sum
}

// Every place for a point refuses every bad point and every wrong length.
func TestHostilePoints(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	server := w.server(t, cfg)
	ke1 := must(must(NewClient(cfg))(t).KE1(right))(t)
	ke2, _, err := server.KE2(ke1, w.record, w.oprf)
	if err != nil {
		t.Fatal(err)
	}
	response := must(server.RegistrationResponse(ke1[:33], w.oprf))(t)
	places := []struct {
		name string
		good []byte
		at   []int
		read func([]byte) error
	}{
		{"registration request", ke1[:33], []int{0}, func(b []byte) error {
			_, err := server.RegistrationResponse(b, w.oprf)
			return err
		}},
		{"registration response", response, []int{0, 33}, func(b []byte) error {
			c := must(NewClient(cfg))(t)
			must(c.RegistrationRequest(right))(t)
			_, _, err := c.FinishRegistration(b)
			return err
		}},
		{"KE1", ke1, []int{0, KE1Size - 33}, func(b []byte) error {
			_, _, err := server.KE2(b, w.record, w.oprf)
			return err
		}},
		{"record", w.record, []int{0}, func(b []byte) error {
			_, _, err := server.KE2(ke1, b, w.oprf)
			return err
		}},
		{"KE2", ke2, []int{0, KE2Size - 32 - 33}, func(b []byte) error {
			c := must(NewClient(cfg))(t)
			must(c.KE1(right))(t)
			_, _, _, err := c.KE3(b)
			return err
		}},
		{"KE3", make([]byte, KE3Size), nil, func(b []byte) error {
			_, err := new(Login).Finish(b)
			return err
		}},
	}
	for _, p := range places {
		for _, at := range p.at {
			for name, point := range badPoints(t) {
				bad := bytes.Clone(p.good)
				copy(bad[at:], point)
				if err := p.read(bad); !errors.Is(err, ErrMessage) {
					t.Errorf("%s with %s at %d: %v, want ErrMessage", p.name, name, at, err)
				}
			}
		}
		for n := range len(p.good) {
			if err := p.read(p.good[:n]); !errors.Is(err, ErrMessage) {
				t.Errorf("%s cut to %d: %v, want ErrMessage", p.name, n, err)
			}
		}
		for _, more := range [][]byte{{0}, {0xff}, p.good, make([]byte, 1<<20)} {
			if err := p.read(append(bytes.Clone(p.good), more...)); !errors.Is(err, ErrMessage) {
				t.Errorf("%s with %d more bytes: %v, want ErrMessage", p.name, len(more), err)
			}
		}
	}
}

// fork returns a Client in the same state, for one more answer than a Client hears.
func (c *Client) fork() *Client {
	f := *c
	f.ephemeral.private = bytes.Clone(c.ephemeral.private)
	return &f
}

func flipped(b []byte, i int) []byte {
	f := bytes.Clone(b)
	f[i] ^= 1 << (i % 8)
	return f
}

// Every byte of every message of a login counts: changed on the way, nobody gets a key.
func TestTamperedLogin(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	server := w.server(t, cfg)
	client := must(NewClient(cfg))(t)
	ke1 := must(client.KE1(right))(t)
	ke2, login, err := server.KE2(ke1, w.record, w.oprf)
	if err != nil {
		t.Fatal(err)
	}

	for i := range ke1 {
		answer, _, err := server.KE2(flipped(ke1, i), w.record, w.oprf)
		if errors.Is(err, ErrMessage) {
			continue
		}
		if err != nil {
			t.Fatalf("KE1, byte %d: %v", i, err)
		}
		want := ErrServerAuth // the client sees that the server heard something else
		if i < elementSize {
			want = ErrEnvelope // another question was answered
		}
		if _, _, _, err := client.fork().KE3(answer); !errors.Is(err, want) {
			t.Errorf("KE1, byte %d: %v, want %v", i, err, want)
		}
	}
	for i := range ke2 {
		_, _, _, err := client.fork().KE3(flipped(ke2, i))
		want := ErrServerAuth
		if i < credentialResponseSize {
			want = ErrEnvelope
		}
		if !errors.Is(err, want) && !errors.Is(err, ErrMessage) {
			t.Errorf("KE2, byte %d: %v, want %v or ErrMessage", i, err, want)
		}
	}
	ke3, _, _, err := client.fork().KE3(ke2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ke3 {
		if _, err := login.Finish(flipped(ke3, i)); !errors.Is(err, ErrClientAuth) {
			t.Errorf("KE3, byte %d: %v, want ErrClientAuth", i, err)
		}
	}
	if _, err := login.Finish(ke3); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// A record changed at rest opens for nobody.
func TestTamperedRecord(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	client := must(NewClient(cfg))(t)
	ke1 := must(client.KE1(right))(t)
	for i := range w.record {
		answer, _, err := w.server(t, cfg).KE2(ke1, flipped(w.record, i), w.oprf)
		if errors.Is(err, ErrMessage) && i < elementSize {
			continue
		}
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		want := ErrEnvelope
		if i < elementSize {
			want = ErrServerAuth // the key exchange is with another client
		}
		if _, _, _, err := client.fork().KE3(answer); !errors.Is(err, want) {
			t.Errorf("byte %d: %v, want %v", i, err, want)
		}
	}
}

// A registration changed on the way is refused, or makes a record that never opens.
func TestTamperedRegistration(t *testing.T) {
	cfg := testConfig()
	w := newWorld(t, cfg)
	server := w.server(t, cfg)
	for i := range RegistrationResponseSize {
		client := must(NewClient(cfg))(t)
		request := must(client.RegistrationRequest(right))(t)
		response := must(server.RegistrationResponse(request, w.oprf))(t)
		record, _, err := client.FinishRegistration(flipped(response, i))
		if errors.Is(err, ErrMessage) {
			continue
		}
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		changed := &world{cfg: cfg, key: w.key, oprf: w.oprf, record: record}
		if err := changed.login(t, cfg, cfg, right); !errors.Is(err, ErrEnvelope) {
			t.Errorf("byte %d: %v, want ErrEnvelope", i, err)
		}
	}
}

func FuzzServer(f *testing.F) {
	cfg := testConfig()
	w := newWorld(f, cfg)
	ke1 := must(must(NewClient(cfg))(f).KE1(right))(f)
	f.Add(ke1, w.record)
	f.Add(ke1[:33], w.record[:33])
	f.Add([]byte{}, []byte{})
	for _, p := range badPoints(f) {
		f.Add(concat(p, ke1[33:]), w.record)
		f.Add(ke1, concat(p, w.record[33:]))
	}
	server := must(NewServer(cfg, w.key))(f)
	f.Fuzz(func(t *testing.T, ke1, record []byte) {
		ke2, login, err := server.KE2(ke1, record, w.oprf)
		if wellFormed := CheckKE1(ke1) == nil && CheckRecord(record) == nil; wellFormed != (err == nil) {
			t.Fatalf("well formed: %v, KE2: %v", wellFormed, err)
		}
		if err == nil && (len(ke2) != KE2Size || login == nil) || err != nil && !errors.Is(err, ErrMessage) {
			t.Fatalf("KE2 of %d bytes, %v", len(ke2), err)
		}
		response, err := server.RegistrationResponse(ke1, w.oprf)
		if (CheckRegistrationRequest(ke1) == nil) != (err == nil) || err == nil && len(response) != RegistrationResponseSize {
			t.Fatalf("RegistrationResponse of %d bytes, %v", len(response), err)
		}
	})
}

func FuzzClient(f *testing.F) {
	cfg := testConfig()
	w := newWorld(f, cfg)
	server := must(NewServer(cfg, w.key))(f)
	login := must(NewClient(cfg))(f)
	ke1 := must(login.KE1(right))(f)
	ke2, _, err := server.KE2(ke1, w.record, w.oprf)
	if err != nil {
		f.Fatal(err)
	}
	registering := must(NewClient(cfg))(f)
	response := must(server.RegistrationResponse(must(registering.RegistrationRequest(right))(f), w.oprf))(f)
	f.Add(ke2)
	f.Add(response)
	f.Add([]byte{})
	for _, p := range badPoints(f) {
		f.Add(concat(p, ke2[33:]))
		f.Add(concat(p, response[33:]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, exportKey, err := login.fork().KE3(b)
		if err == nil && !bytes.Equal(b, ke2) {
			t.Fatal("a forged KE2 was taken")
		}
		if err != nil && exportKey != nil {
			t.Fatal("a failed login gave the export key")
		}
		record, _, err := registering.fork().FinishRegistration(b)
		if err == nil && CheckRecord(record) != nil {
			t.Fatal("the client made a malformed record")
		}
	})
}

func FuzzScalar(f *testing.F) {
	f.Add(NewOPRFKey())
	f.Add([]byte{})
	f.Add(make([]byte, 32))
	f.Add(must(hex.DecodeString(order))(f))
	point := GenerateServerKey().Public()
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := NewEvaluator(b)
		if _, keyErr := ServerKeyFrom(b); (err == nil) != (keyErr == nil) {
			t.Fatal("evaluator and server key differ about a scalar")
		}
		if err != nil {
			return
		}
		if out, err := key.Evaluate(point); err != nil || checkPoints(out) != nil {
			t.Fatalf("a taken key does not evaluate: %v", err)
		}
	})
}
