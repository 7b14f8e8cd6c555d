package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coffer/app"
)

func TestEveryVaultWarningHasASentence(t *testing.T) {
	codes := constantsOf(t, "VaultWarningCode")
	for code := range codes {
		checkVariants(t, code, vaultWarnings[app.VaultWarningCode(code)], true)
	}
	for code := range vaultWarnings {
		if !codes[string(code)] {
			t.Errorf("the sentence of %s has no warning", code)
		}
	}
}

// serverStatus is a vault on a network that says what it can say, with tricks in its names.
func serverStatus() app.VaultStatus {
	expires := time.Date(2027, 3, 4, 0, 0, 0, 0, time.UTC)
	return app.VaultStatus{
		Kind: app.VaultServer, Name: "Eve\x1b[2J", Address: "vault.example.org:7443", Sealer: "tpm", Hardware: true, Enforced: app.EnforcedByTPM,
		Attested: true, Fingerprint: "3f2a 91c0 0000 1111 2222", Tries: 10, Left: 9, Reachable: true, State: "active",
		BundleExpires: expires, Anchor: app.VaultAnchor{Snapshots: 2, Newest: expires},
		Warnings:   []app.VaultWarning{{Code: app.VaultWarnNotDestroyed, Args: map[string]string{"name": "Old\x1b"}}},
		LeftBehind: []app.LeftRecord{{Vault: app.VaultRef{Kind: app.VaultEmbedded, Name: "ANN"}, Receipt: &app.VaultReceipt{At: expires}}},
	}
}

func TestStatusOfAServer(t *testing.T) {
	r := runFake(t, &fakeProfile{vault: serverStatus()}, "vault", "status")
	for _, want := range []string{
		`"Eve\x1b[2J"`, "A TPM counts the tries, against everybody", "proven that just now", "9 of 10 tries are left",
		"good until 4 March 2027", `Careful: The vault that was left ("Old\x1b")`, "The vault on ANN destroyed",
	} {
		if !strings.Contains(strings.ReplaceAll(r.out, "Left: the vault", "The vault"), want) {
			t.Errorf("no %q in:\n%s", want, r.out)
		}
	}
	if r.status != exitDone || strings.Contains(r.out, "\x1b") {
		t.Errorf("status %d: %q", r.status, r.out)
	}
	refused := serverStatus()
	refused.Reachable, refused.Refusal = false, app.Failure{Code: app.CodeVaultRolledBack}
	r = runFake(t, &fakeProfile{vault: refused}, "vault", "status", "--json")
	var says struct {
		Refusal string `json:"refusal"`
		Left    int    `json:"tries_left"`
	}
	if err := json.Unmarshal([]byte(strings.SplitN(r.out, "\n", 2)[0]), &says); err != nil || says.Refusal != "vault-rolled-back" || says.Left != 9 {
		t.Errorf("%+v, %v: %s", says, err, r.out)
	}
	if r.status != exitFailed {
		t.Errorf("status %d", r.status)
	}
	if r := runFake(t, &fakeProfile{vault: refused}, "vault", "log"); r.status != exitFailed || !strings.Contains(r.err, "old copy of its store") {
		t.Errorf("status %d: %s", r.status, r.err)
	}
}

func TestMoveAndLeave(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password.secret")
	if err := os.WriteFile(secret, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fakeProfile{
		described: app.VaultDescription{Name: "The club", Address: "h:1", Enforced: app.EnforcedByProgram, Tries: 3, Waits: []time.Duration{0, time.Minute}, Register: "invite"},
		moved:     app.MoveReport{From: app.VaultRef{Kind: app.VaultEmbedded, Name: "ANN"}, To: app.VaultRef{Kind: app.VaultServer, Name: "The club", Address: "h:1"}, Waiting: true},
	}
	r := runFake(t, f, "vault", "move", "coffer-vault://h:1#k", "--password-file", secret)
	if r.status != exitDone || f.moveOptions.Link != "coffer-vault://h:1#k" || f.unlockSecret != "correct horse" || f.moveOptions.Browser == nil {
		t.Errorf("status %d, %+v", r.status, f.moveOptions)
	}
	for _, want := range []string{"run by The club", "the link has no invitation", "3 tries", "number 2 on"} {
		if !strings.Contains(r.err, want) {
			t.Errorf("no %q in: %s", want, r.err)
		}
	}
	if !strings.Contains(r.out, "is in the vault of The club (h:1)") || !strings.Contains(r.out, "asked again after each backup") {
		t.Errorf("%s", r.out)
	}
	if r := runFake(t, f, "vault", "move", "--here", "--password-file", secret); r.status != exitDone || f.moveOptions.Link != "" {
		t.Errorf("status %d, %+v", r.status, f.moveOptions)
	}
	f.left = app.LeaveReport{From: f.moved.To}
	if r := runFake(t, f, "vault", "leave"); r.status != exitDone || !strings.Contains(r.out, "has no record of it") {
		t.Errorf("status %d: %s", r.status, r.out)
	}
	if r := runFake(t, f, "vault", "reset"); r.status != exitDone || f.resets != 1 {
		t.Errorf("status %d, %d resets", r.status, f.resets)
	}
	f = &fakeProfile{err: app.ErrNoOtherWay}
	if r := runFake(t, f, "vault", "leave"); r.status != exitFailed || !strings.Contains(r.err, "coffer key sheet") {
		t.Errorf("status %d: %s", r.status, r.err)
	}
}
