package opaque

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A peer is @serenity-kit/opaque-p256 (opaque-ke, Rust, in WASM) in a process of node.
type peer struct {
	in  io.Writer
	out *bufio.Scanner
}

// newPeer installs the peer into a folder of its own. Only a computer without node, npm
// or a registry is a reason to skip; whatever comes later fails.
func newPeer(t *testing.T) *peer {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "peer.mjs"} {
		b, err := os.ReadFile(filepath.Join("interop", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("interoperation not tested: %v", err)
		}
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("interoperation not tested: npm cannot install the peer: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "node", "peer.mjs")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it ends when its input does
	})
	return &peer{in: in, out: bufio.NewScanner(out)}
}

type args map[string]any

// call makes one call; a result that is a string is under "".
func (p *peer) call(t *testing.T, side, step string, a args) map[string]string {
	t.Helper()
	request, err := json.Marshal(args{"call": []string{side, step}, "args": a})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(p.in, "%s\n", request); err != nil {
		t.Fatal(err)
	}
	if !p.out.Scan() {
		t.Fatalf("%s.%s: the peer is gone: %v", side, step, p.out.Err())
	}
	var answer struct {
		Result json.RawMessage
		Error  string
	}
	if err := json.Unmarshal(p.out.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Error != "" {
		t.Fatalf("%s.%s: %s", side, step, answer.Error)
	}
	var object map[string]string
	if json.Unmarshal(answer.Result, &object) != nil {
		var text string
		if err := json.Unmarshal(answer.Result, &text); err != nil {
			t.Fatalf("%s.%s: %v", side, step, err)
		}
		object = map[string]string{"": text}
	}
	return object
}

var base64URL = base64.RawURLEncoding

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	return must(base64URL.DecodeString(s))(t)
}

// Both ways, with Argon2id: their client with our server, our client with theirs. Their
// library knows neither context nor info.
func TestInterop(t *testing.T) {
	if testing.Short() {
		t.Skip("installs a package")
	}
	p := newPeer(t)
	cfg := testConfig()
	cfg.Context, cfg.Info = nil, nil
	cfg.KSF = must(Argon2id(64<<10, 3, 4))(t)
	identifiers := args{"client": string(cfg.ClientIdentity), "server": string(cfg.ServerIdentity)}
	stretching := args{"argon2id-custom": args{"iterations": 3, "memory": 64 << 10, "parallelism": 4}}
	t.Run("their client", func(t *testing.T) { testTheirClient(t, p, cfg, identifiers, stretching) })
	t.Run("their server", func(t *testing.T) { testTheirServer(t, p, cfg, identifiers) })
}

func testTheirClient(t *testing.T, p *peer, cfg Config, identifiers, stretching args) {
	key, evaluator := GenerateServerKey(), must(NewEvaluator(NewOPRFKey()))(t)
	server := must(NewServer(cfg, key))(t)

	started := p.call(t, "client", "startRegistration", args{"password": string(right)})
	response := must(server.RegistrationResponse(unbase64(t, started["registrationRequest"]), evaluator))(t)
	registered := p.call(t, "client", "finishRegistration", args{
		"password": string(right), "registrationResponse": base64URL.EncodeToString(response),
		"clientRegistrationState": started["clientRegistrationState"],
		"identifiers":             identifiers, "keyStretching": stretching,
	})
	record := unbase64(t, registered["registrationRecord"])
	wantBytes(t, "server key that they saw", unbase64(t, registered["serverStaticPublicKey"]), key.Public())

	login := func(password string) (map[string]string, *Login) {
		t.Helper()
		started := p.call(t, "client", "startLogin", args{"password": password})
		ke2, login, err := server.KE2(unbase64(t, started["startLoginRequest"]), record, evaluator)
		if err != nil {
			t.Fatal(err)
		}
		return p.call(t, "client", "finishLogin", args{
			"password": password, "clientLoginState": started["clientLoginState"],
			"loginResponse": base64URL.EncodeToString(ke2),
			"identifiers":   identifiers, "keyStretching": stretching,
		}), login
	}
	result, state := login(string(right))
	sessionKey := must(state.Finish(unbase64(t, result["finishLoginRequest"])))(t)
	wantBytes(t, "session key", unbase64(t, result["sessionKey"]), sessionKey)
	if result["exportKey"] == "" || result["exportKey"] != registered["exportKey"] {
		t.Error("their export key is not the one of the registration")
	}
	if result, _ := login("wrong"); result != nil {
		t.Error("their client took a wrong password")
	}
}

func testTheirServer(t *testing.T, p *peer, cfg Config, identifiers args) {
	setup := p.call(t, "server", "createSetup", nil)[""]
	client := must(NewClient(cfg))(t)
	request := must(client.RegistrationRequest(right))(t)
	response := p.call(t, "server", "createRegistrationResponse", args{
		"serverSetup": setup, "userIdentifier": "1", "registrationRequest": base64URL.EncodeToString(request),
	})
	record, exportKey, err := client.FinishRegistration(unbase64(t, response["registrationResponse"]))
	if err != nil {
		t.Fatal(err)
	}
	// start returns KE2 and their state; a nil record is a user whom they do not know.
	start := func(client *Client, password, record []byte) (ke2 []byte, state string) {
		t.Helper()
		var encoded any
		if record != nil {
			encoded = base64URL.EncodeToString(record)
		}
		started := p.call(t, "server", "startLogin", args{
			"serverSetup": setup, "userIdentifier": "1", "registrationRecord": encoded,
			"startLoginRequest": base64URL.EncodeToString(must(client.KE1(password))(t)), "identifiers": identifiers,
		})
		return unbase64(t, started["loginResponse"]), started["serverLoginState"]
	}

	client = must(NewClient(cfg))(t)
	ke2, state := start(client, right, record)
	ke3, sessionKey, again, err := client.KE3(ke2)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "export key", again, exportKey)
	finished := p.call(t, "server", "finishLogin", args{
		"finishLoginRequest": base64URL.EncodeToString(ke3), "serverLoginState": state, "identifiers": identifiers,
	})
	wantBytes(t, "session key", sessionKey, unbase64(t, finished["sessionKey"]))

	for _, c := range []struct {
		name             string
		password, record []byte
	}{{"wrong password", []byte("wrong"), record}, {"unknown user", right, nil}} {
		client := must(NewClient(cfg))(t)
		ke2, _ := start(client, c.password, c.record)
		if _, _, _, err := client.KE3(ke2); !errors.Is(err, ErrEnvelope) {
			t.Errorf("%s: %v, want ErrEnvelope", c.name, err)
		}
	}
}
