package opaque

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
)

// identityKSF is the one that the vectors of the RFC use.
func identityKSF(input []byte) []byte { return bytes.Clone(input) }

// A hexMap is an object of the vectors' JSON; what is absent is nil.
type hexMap map[string]string

func (m hexMap) get(t testing.TB, name string) []byte {
	t.Helper()
	v, ok := m[name]
	if !ok {
		return nil
	}
	b, err := hex.DecodeString(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

func (m hexMap) must(t testing.TB, name string) []byte {
	t.Helper()
	b := m.get(t, name)
	if b == nil {
		t.Fatalf("the vector lacks %s", name)
	}
	return b
}

type rfc9807Vector struct {
	Config        map[string]string
	Inputs        hexMap
	Intermediates hexMap
	Outputs       hexMap
}

func mustReadJSON(t testing.TB, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func wantBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s\n got %x\nwant %x", what, got, want)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// drawFrom gives out the values in their order, and fails the test when asked for another
// length or for more.
func drawFrom(t testing.TB, values ...[]byte) func(int) []byte {
	return func(n int) []byte {
		t.Helper()
		if len(values) == 0 || len(values[0]) != n {
			t.Fatalf("draw of %d bytes: %d values left", n, len(values))
		}
		v := bytes.Clone(values[0])
		values = values[1:]
		return v
	}
}

func mustScalar(t testing.TB, b []byte) oprf.Blind {
	t.Helper()
	s := group.P256.NewScalar()
	if err := s.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return s
}

// RFC 9807, appendix C: all vectors of the suite, two real and one fake.
func TestRFC9807(t *testing.T) {
	var vectors []rfc9807Vector
	mustReadJSON(t, "testdata/rfc9807.json", &vectors)
	genuine, fake := 0, 0
	for _, v := range vectors {
		if v.Config["OPRF"] != "P256-SHA256" || v.Config["Hash"] != "SHA256" {
			t.Fatalf("vector of another suite: %v", v.Config)
		}
		if v.Config["Fake"] == "True" {
			fake++
			t.Run("fake", func(t *testing.T) { testFakeVector(t, v) })
			continue
		}
		genuine++
		t.Run("real", func(t *testing.T) { testRealVector(t, v) })
	}
	if genuine != 2 || fake != 1 {
		t.Fatalf("%d real and %d fake vectors, want 2 and 1", genuine, fake)
	}
}

func vectorServer(t *testing.T, v rfc9807Vector) *Server {
	key := must(ServerKeyFrom(v.Inputs.must(t, "server_private_key")))(t)
	wantBytes(t, "server_public_key", key.Public(), v.Inputs.must(t, "server_public_key"))
	s := must(NewServer(vectorConfig(t, v), key))(t)
	s.draw = drawFrom(t, v.Inputs.must(t, "masking_nonce"), v.Inputs.must(t, "server_nonce"), v.Inputs.must(t, "server_keyshare_seed"))
	return s
}

func vectorConfig(t *testing.T, v rfc9807Vector) Config {
	context, err := hex.DecodeString(v.Config["Context"])
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Context:        context,
		ClientIdentity: v.Inputs.get(t, "client_identity"),
		ServerIdentity: v.Inputs.get(t, "server_identity"),
		KSF:            identityKSF,
	}
}

func testFakeVector(t *testing.T, v rfc9807Vector) {
	in := v.Inputs
	record := concat(in.must(t, "client_public_key"), in.must(t, "masking_key"), make([]byte, envelopeSize))
	key := must(deriveOPRFKey(in.must(t, "oprf_seed"), in.must(t, "credential_identifier")))(t)
	ke2, _, err := vectorServer(t, v).KE2(in.must(t, "KE1"), record, must(NewEvaluator(key))(t))
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "KE2", ke2, v.Outputs.must(t, "KE2"))
}

func testRealVector(t *testing.T, v rfc9807Vector) {
	in, mid, out := v.Inputs, v.Intermediates, v.Outputs
	server := vectorServer(t, v)
	oprfKey := must(deriveOPRFKey(in.must(t, "oprf_seed"), in.must(t, "credential_identifier")))(t)
	wantBytes(t, "oprf_key", oprfKey, mid.must(t, "oprf_key"))
	evaluator := must(NewEvaluator(oprfKey))(t)

	client := must(NewClient(vectorConfig(t, v)))(t)
	client.draw = draw{drawFrom(t, in.must(t, "envelope_nonce")), mustScalar(t, in.must(t, "blind_registration"))}
	request := must(client.RegistrationRequest(in.must(t, "password")))(t)
	wantBytes(t, "registration_request", request, out.must(t, "registration_request"))
	response := must(server.RegistrationResponse(request, evaluator))(t)
	wantBytes(t, "registration_response", response, out.must(t, "registration_response"))
	record, exportKey, err := client.FinishRegistration(response)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "registration_upload", record, out.must(t, "registration_upload"))
	wantBytes(t, "export_key", exportKey, out.must(t, "export_key"))
	wantBytes(t, "client_public_key", record[:33], mid.must(t, "client_public_key"))
	wantBytes(t, "masking_key", record[33:65], mid.must(t, "masking_key"))
	wantBytes(t, "envelope", record[65:], mid.must(t, "envelope"))
	keys := must(openEnvelope(mid.must(t, "randomized_password"), in.must(t, "envelope_nonce")))(t)
	wantBytes(t, "auth_key", keys.auth, mid.must(t, "auth_key"))

	client = must(NewClient(vectorConfig(t, v)))(t)
	client.draw = draw{drawFrom(t, in.must(t, "client_nonce"), in.must(t, "client_keyshare_seed")), mustScalar(t, in.must(t, "blind_login"))}
	ke1 := must(client.KE1(in.must(t, "password")))(t)
	wantBytes(t, "KE1", ke1, out.must(t, "KE1"))
	ke2, login, err := server.KE2(ke1, record, evaluator)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "KE2", ke2, out.must(t, "KE2"))
	ke3, sessionKey, exportKey, err := client.KE3(ke2)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "KE3", ke3, out.must(t, "KE3"))
	wantBytes(t, "client's session_key", sessionKey, out.must(t, "session_key"))
	wantBytes(t, "export_key of the login", exportKey, out.must(t, "export_key"))
	wantBytes(t, "server's session_key", must(login.Finish(ke3))(t), out.must(t, "session_key"))
}

type rfc9497Suite struct {
	Seed    string `json:"seed"`
	KeyInfo string `json:"keyInfo"`
	Key     string `json:"skSm"`
	Vectors []hexVector
}

type hexVector struct{ Blind, BlindedElement, EvaluationElement, Input, Output string }

// RFC 9497, appendix A.3.1: OPRF(P-256, SHA-256) in OPRF mode. The server's side is our
// own, so this also says that nistec and circl agree.
func TestRFC9497(t *testing.T) {
	var suites []rfc9497Suite
	mustReadJSON(t, "testdata/rfc9497.json", &suites)
	if len(suites) != 1 || len(suites[0].Vectors) != 2 {
		t.Fatal("want one suite with two vectors")
	}
	suite := suites[0]
	unhex := func(s string) []byte { return must(hex.DecodeString(s))(t) }
	pair := must(deriveKeyPair(unhex(suite.Seed), string(unhex(suite.KeyInfo))))(t)
	wantBytes(t, "skSm", pair.private, unhex(suite.Key))
	evaluator := must(NewEvaluator(unhex(suite.Key)))(t)
	for _, v := range suite.Vectors {
		var output []byte
		client := must(NewClient(Config{KSF: func(input []byte) []byte {
			output = bytes.Clone(input)
			return identityKSF(input)
		}}))(t)
		client.draw.blind = mustScalar(t, unhex(v.Blind))
		blinded := must(client.RegistrationRequest(unhex(v.Input)))(t)
		wantBytes(t, "BlindedElement", blinded, unhex(v.BlindedElement))
		evaluated := must(evaluator.Evaluate(blinded))(t)
		wantBytes(t, "EvaluationElement", evaluated, unhex(v.EvaluationElement))
		if _, err := client.randomizedPassword(evaluated); err != nil {
			t.Fatal(err)
		}
		wantBytes(t, "Output", output, unhex(v.Output))
	}
}
