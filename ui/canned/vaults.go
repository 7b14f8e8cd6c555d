package canned

import (
	"context"
	"maps"
	"strings"
	"time"

	"coffer/app"
)

// Link is that of the canned vault, with an invitation. Its key is that of nobody.
const Link = "coffer-vault://vault.lake.example:7353?invite=mWk3Zt0pQx7LrV2s#" + linkKey

const linkKey = "q2hLZXlvZm5vYm9keWtleW9mbm9ib2R5a2V5b2Zub2I"

// VaultFingerprint is that of the keys in the link.
const VaultFingerprint = "3f2a 91c0 77de 0b4c e815"

// VaultSignIn is where the canned vault sends the browser.
const VaultSignIn = "https://login.lake.example/authorize?client_id=canned&state=canned"

// Vaults is what a canned Coffer knows of vaults on a network.
type Vaults struct {
	Said      app.VaultDescription // of every link
	SaidErr   error
	MoveEnd   app.MoveReport
	MoveErr   error
	LeaveEnd  app.LeaveReport
	LeaveErr  error
	StatusErr error
	SignsIn   bool          // making a record wants a sign-in
	Signing   chan struct{} // the sign-in ends when this is closed; nil: at once

	// What was asked for.
	LinksAsked    []string
	MoveAsked     []app.MoveOptions
	PasswordAsked []app.PasswordOptions
	Left          int
	ResetAsked    int
}

// signIn sends somebody to the browser, if the vault of the link wants that.
func (c *Coffer) signIn(ctx context.Context, link string, browser func(string) error) error {
	if link == "" || !c.SignsIn {
		return nil
	}
	if err := browser(VaultSignIn); err != nil {
		return err
	}
	if c.Signing == nil {
		return nil
	}
	select {
	case <-c.Signing:
		return nil
	case <-ctx.Done():
		return Trouble{Code: app.CodeCanceled}
	}
}

func (c *Coffer) InspectVault(_ context.Context, link string) (app.VaultDescription, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.LinksAsked = append(c.LinksAsked, link)
	if !strings.HasPrefix(link, "coffer-vault://") || !strings.Contains(link, "#") {
		return app.VaultDescription{}, Trouble{Code: app.CodeVaultLink}
	}
	return c.Said, c.SaidErr
}

func (c *Coffer) SetPassword(ctx context.Context, o app.PasswordOptions) error {
	if err := c.signIn(ctx, o.Vault, o.Browser); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Changed++
	o.Password, o.Browser = copySecret(o.Password), nil
	c.PasswordAsked = append(c.PasswordAsked, o)
	return c.ChangeErr
}

func (c *Coffer) MoveVault(ctx context.Context, o app.MoveOptions) (app.MoveReport, error) {
	if err := c.signIn(ctx, o.Link, o.Browser); err != nil {
		return app.MoveReport{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o.Password, o.Browser = copySecret(o.Password), nil
	c.MoveAsked = append(c.MoveAsked, o)
	right := false
	o.Password.Expose(func(b []byte) { right = string(b) == c.Password })
	if !right && c.MoveErr == nil {
		return app.MoveReport{}, Trouble{Code: app.CodeOtherPassword}
	}
	return c.MoveEnd, c.MoveErr
}

func (c *Coffer) LeaveVault(context.Context) (app.LeaveReport, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Vaults.Left++
	return c.LeaveEnd, c.LeaveErr
}

func (c *Coffer) ResetVault(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ResetAsked++
	c.Vault.Left, c.Vault.Until = c.Vault.Tries, time.Time{}
	return nil
}

func (c *Coffer) VaultStatus(context.Context) (app.VaultStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Vault, c.StatusErr
}

// Lake is a vault with a TPM that a family runs, as it describes itself.
func Lake() app.VaultDescription {
	return app.VaultDescription{
		Link: "coffer-vault://vault.lake.example:7353#" + linkKey, ID: strings.Repeat("5c", 16),
		Name: "Lake family", Address: "vault.lake.example:7353", Sealer: "tpm", Hardware: true, Enforced: app.EnforcedByTPM,
		Tries: 10, Waits: []time.Duration{0, 0, 0, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 8 * time.Hour, 24 * time.Hour},
		Register: "invite", HasInvitation: true, Store: "file",
		Issued: Now.AddDate(0, -1, 0), Expires: Now.AddDate(1, -1, 0), Fingerprint: VaultFingerprint,
	}
}

// Office is a vault in software that a company runs: one that was restored, and whose word
// about itself soon ends.
func Office() app.VaultDescription {
	v := Lake()
	v.Name, v.Address, v.Sealer, v.Hardware, v.Enforced = "Example Insurance, IT", "coffer-vault.intern.example.com:443", "software", false, app.EnforcedByProgram
	v.Register, v.Issuer, v.HasInvitation, v.Store, v.SecondSigner = "oidc", "https://login.example.com", false, "cluster", true
	v.Incarnation, v.Issued, v.Expires = 2, Now.AddDate(0, -11, 0), Now.AddDate(0, 0, 17)
	v.Known = true
	v.Changes = []app.VaultChange{
		{Kind: "tries", Before: "10", After: "20"},
		{Kind: "waits", Before: "1m0s", After: "0s"},
		{Kind: "sealer", Before: "tpm", After: "software"},
		{Kind: "restored", Before: "1", After: "2"},
	}
	return v
}

// Ref names a vault.
func Ref(v app.VaultDescription) app.VaultRef {
	return app.VaultRef{Kind: app.VaultServer, Name: v.Name, Address: v.Address, Sealer: v.Sealer, Hardware: v.Hardware}
}

// Receipt is the word of a vault that it has destroyed a record.
func Receipt(v app.VaultRef) *app.VaultReceipt {
	return &app.VaultReceipt{
		Vault: v, VaultID: strings.Repeat("5c", 16), Record: strings.Repeat("a1", 16), At: Now.Add(-time.Minute),
		Signature: strings.Repeat("0e", 64), Key: strings.Repeat("7d", 32),
	}
}

// Offered is a computer that meets the canned vault for the first time.
func Offered() *Coffer {
	c := NewComputer()
	c.Said = Lake()
	return c
}

// Guarded is a computer whose password is kept by the canned vault.
func Guarded() *Coffer {
	c := Safe()
	v := Lake()
	way := &c.Ways[0]
	*way = app.WayIn{
		Kind: app.LockPassword, SetAt: way.SetAt, VaultKind: app.VaultServer, VaultName: v.Name, VaultAddress: v.Address,
		Usable: true, Hardware: true, Enforced: v.Enforced, Tries: v.Tries, TriesLeft: 10, State: "active",
	}
	c.Home.WaysIn, c.Place.Backups[0].Ways = c.Ways, c.Ways
	c.Vault = app.VaultStatus{
		Kind: app.VaultServer, Sealer: v.Sealer, State: "active", Tries: v.Tries, Left: 10, Name: v.Name, Address: v.Address, Link: v.Link,
		Fingerprint: v.Fingerprint, Hardware: true, Enforced: v.Enforced, Attested: true, Store: v.Store,
		BundleIssued: v.Issued, BundleExpires: v.Expires, Reachable: true,
		Anchor: app.VaultAnchor{Snapshots: 2, Newest: Now.Add(-28 * time.Minute)},
		Log: []app.VaultEvent{
			{At: Now.AddDate(0, -2, 0), Kind: "committed", Device: "ANN-LAPTOP", Left: 10},
			{At: Now.AddDate(0, 0, -30), Kind: "try", Device: "ANN-DESKTOP", Left: 9},
			{At: Now.AddDate(0, 0, -30), Kind: "right", Device: "ANN-DESKTOP", Left: 10},
		},
	}
	c.Said = Office()
	here := app.VaultRef{Kind: app.VaultEmbedded, Name: "ANN-LAPTOP", Sealer: "software"}
	c.MoveEnd = app.MoveReport{From: Ref(v), To: Ref(Office()), Receipt: Receipt(Ref(v))}
	c.LeaveEnd = app.LeaveReport{From: Ref(v), Waiting: true}
	c.Vault.LeftBehind = []app.LeftRecord{{Vault: here, Record: strings.Repeat("a1", 16), LeftAt: Now.AddDate(0, -2, 0), Receipt: Receipt(here)}}
	return c
}

// Guessed is a computer whose vault in software somebody is guessing at, and has more to
// tell that is not well.
func Guessed() *Coffer {
	c := Guarded()
	v := Office()
	s := &c.Vault
	s.Name, s.Address, s.Sealer, s.Hardware, s.Enforced, s.Attested = v.Name, v.Address, v.Sealer, false, v.Enforced, false
	s.Store, s.Incarnation, s.BundleIssued, s.BundleExpires = v.Store, v.Incarnation, v.Issued, v.Expires
	s.Left, s.Until = 6, Now.Add(55*time.Minute)
	for i := range 4 {
		s.Log = append(s.Log, app.VaultEvent{At: Now.Add(time.Duration(i-5) * 11 * time.Minute), Kind: "wrong", Device: "kali\u202e", Left: 9 - i})
	}
	s.Warnings = []app.VaultWarning{
		{Code: app.VaultWarnStrange, Args: map[string]string{"count": "4", "device": "kali", "since": Now.AddDate(0, 0, -10).Format(time.RFC3339)}},
		{Code: app.VaultWarnRestored, Args: map[string]string{"before": "1", "after": "2"}},
		{Code: app.VaultWarnWeaker, Args: map[string]string{"kind": "sealer", "before": "tpm", "after": "software"}},
		{Code: app.VaultWarnExpires, Args: map[string]string{"until": v.Expires.Format(time.RFC3339)}},
		{Code: app.VaultWarnNotDestroyed, Args: map[string]string{"name": Lake().Name, "address": Lake().Address}},
		{Code: app.VaultWarnNoFallback},
	}
	s.LeftBehind = append([]app.LeftRecord{{Vault: Ref(Lake()), Record: strings.Repeat("b2", 16), LeftAt: Now.AddDate(0, 0, -3)}}, s.LeftBehind...)
	c.Proven = false
	return c
}

// Behind is a computer whose vault has a chip that was not told of the last right password,
// after a typo on another one.
func Behind() *Coffer {
	c := Guarded()
	c.Vault.Left = 7
	c.Vault.Warnings = []app.VaultWarning{
		{Code: app.VaultWarnBehind, Args: map[string]string{"left": "7", "of": "10"}},
		{Code: app.VaultWarnLog, Args: map[string]string{"count": "1", "device": "ANN-PHONE"}},
	}
	return c
}

// News is a computer whose last backup has heard something of the vault.
func News(list ...app.VaultWarning) *Coffer {
	c := Guarded()
	for _, w := range list {
		args := map[string]string{"warning": string(w.Code), "name": Lake().Name, "address": Lake().Address}
		maps.Copy(args, w.Args)
		c.Home.Attention = append(c.Home.Attention, app.Attention{Code: app.AttentionVault, Args: args})
	}
	return c
}

// Refused is a computer whose vault did not answer as it should.
func Refused(code app.Code) *Coffer {
	c := Guarded()
	f := app.Failure{Code: code}
	s := &c.Vault
	s.Reachable, s.Attested, s.Left, s.State, s.Log, s.Refusal = false, false, -1, "", nil, f
	s.Anchor, s.LeftBehind = app.VaultAnchor{}, nil
	c.Ways[0].TriesLeft, c.Ways[0].State, c.Ways[0].Refusal = -1, "", f
	return c
}
