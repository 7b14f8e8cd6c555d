package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"coffer/app"
	"coffer/vault"
)

func TestEveryAttentionHasASentence(t *testing.T) {
	codes := constantsOf(t, "AttentionCode")
	for code := range codes {
		checkVariants(t, code, attentions[app.AttentionCode(code)], true)
	}
	for code := range attentions {
		if !codes[string(code)] {
			t.Errorf("the sentence of %s has no code", code)
		}
	}
}

func weakerVault() app.Overview {
	return app.Overview{
		SetUp: true, State: app.StateSafe, LastBackup: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC), Place: "/media/disk\x1b", PlaceFree: 5e9, StoredBytes: -1,
		Attention: []app.Attention{
			{Code: app.AttentionVault, Args: map[string]string{"warning": "weaker", "kind": "tries", "before": "10", "after": "20"}},
			{Code: app.AttentionVault, Args: map[string]string{"warning": "strange-tries", "count": "3", "since": "2026-11-12T10:00:00Z", "device": "x\x1b"}},
			{Code: app.AttentionLastFailed, Args: map[string]string{"code": string(app.CodeVaultRolledBack)}},
			{Code: "of-a-newer-version"},
		},
	}
}

func TestStatusSaysWhatNeedsYou(t *testing.T) {
	r := runFake(t, &fakeProfile{overview: weakerVault()}, "status")
	for _, want := range []string{
		"Backed up. The last backup was on 21 November 2026", "It allowed 10 tries, and now 20.", "'coffer vault move LINK'",
		"since 12 November 2026", `3, the last from "x\x1b"`, "an old copy of its store was put back", "of-a-newer-version", "5.0 GB free",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in:\n%s", want, r.out)
		}
	}
	if r.status != exitDone || strings.Contains(r.out, "\x1b") {
		t.Errorf("status %d: %q", r.status, r.out)
	}
	r = runFake(t, &fakeProfile{overview: weakerVault()}, "status", "--json")
	var says overviewRecord
	if err := json.Unmarshal([]byte(r.out), &says); err != nil || says.State != "safe" || len(says.Attention) != 4 || says.Attention[0].Args["after"] != "20" {
		t.Errorf("%+v, %v: %s", says, err, r.out)
	}
	if r := runFake(t, &fakeProfile{}, "status"); r.status != exitFailed || !strings.Contains(r.err, "no backup in this profile") {
		t.Errorf("status %d: %s", r.status, r.err)
	}
}

// What a backup has to say of the vault is said to a job that runs at night, too.
func TestABackupSaysWhatIsNewOfTheVault(t *testing.T) {
	f := &fakeProfile{backup: app.BackupSummary{Snapshot: "3f9a07bc", Vault: []app.VaultWarning{
		{Code: app.VaultWarnDestroyed}, {Code: app.VaultWarnBehind, Args: map[string]string{"left": "7", "of": "10"}},
	}}}
	r := runFake(t, f, "backup", "--quiet")
	if !strings.Contains(r.err, "no password opens this backup any more") || !strings.Contains(r.err, "7 of 10 tries") || r.out != "" || r.status != exitDone {
		t.Errorf("status %d: %s%s", r.status, r.out, r.err)
	}
	r = runFake(t, f, "backup", "--json")
	if !strings.Contains(r.out, `"vault_warnings":[{"code":"destroyed"}`) {
		t.Error(r.out)
	}
}

// A vault that is only looked at has no password to lose, and no try to use.
func TestALinkThatLeadsNowhere(t *testing.T) {
	for code, want := range map[error]string{
		vault.ErrPin: "not the vault of this link", vault.ErrOffline: "Nobody answers", vault.ErrSingleSigned: "one of them has not signed",
	} {
		r := runFake(t, &fakeProfile{err: code}, "vault", "inspect", "coffer-vault://x:1#y")
		if r.status != exitFailed || !strings.Contains(r.err, want) || strings.Contains(r.err, "No try") {
			t.Errorf("status %d: %s", r.status, r.err)
		}
	}
	for _, args := range [][]string{{"vault", "inspect"}, {"vault", "inspect", "a", "b"}} {
		if r := runFake(t, &fakeProfile{}, args...); r.status != exitUsage || !strings.Contains(r.err, "One link is wanted") {
			t.Errorf("status %d: %s", r.status, r.err)
		}
	}
}
