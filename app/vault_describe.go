package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"coffer/vault"
	"coffer/vault/trust"
)

// The situations of a vault on a network that no other package has a word for.
var (
	// ErrVaultSame: the backup's password is kept in that vault already.
	ErrVaultSame = errors.New("app: the password is kept in this vault already")
	// ErrNoOtherWay: without its password nobody could be sure to open this backup again.
	ErrNoOtherWay = errors.New("app: no other way in has been proven")
	// ErrVaultSignIn: this vault wants a sign-in in a browser, and there was none.
	ErrVaultSignIn = errors.New("app: the vault wants a sign-in")
	// ErrVaultSignInFailed: the sign-in in the browser did not come to its end.
	ErrVaultSignInFailed = errors.New("app: the sign-in for the vault failed")
	// ErrVaultInvitation: this vault makes records for those whom it has invited.
	ErrVaultInvitation = errors.New("app: the vault wants an invitation")
	// ErrOtherPassword: this is not the password that was last set or used here. No try was
	// used.
	ErrOtherPassword = errors.New("app: this is not the password")
	// ErrNotCompared: this computer has never seen the password, and the vault that keeps it
	// cannot be asked, or must not be. Who has the key sets a new one: [App.SetPassword].
	ErrNotCompared = errors.New("app: the password cannot be compared")
)

// Kinds of vaults, as [VaultStatus] and [WayIn] name them.
const (
	VaultEmbedded = "embedded" // inside of the app, on one computer
	VaultServer   = "server"   // on a network
)

// Who counts the tries, for [VaultDescription] and [VaultStatus].
const (
	EnforcedByProgram = "program" // the vault's program: who owns its computer could count otherwise
	EnforcedByToken   = "token"   // the program; its keys cannot leave a token
	EnforcedByTPM     = "tpm"     // a chip, against everybody
)

// A VaultDescription is what a vault on a network says of itself, signed by the key that
// its link names. Name and Issuer are shown to people, and were checked for that: they
// neither break lines nor turn writing round.
type VaultDescription struct {
	Link          string // without the invitation
	ID            string // 32 hex digits
	Name          string // who runs it
	Address       string // host:port of the link
	Sealer        string // who holds its keys: "software", "pkcs11", "tpm", "tpm-epochs"
	Hardware      bool   // they cannot be copied off a disk
	Enforced      string // who counts the tries: EnforcedByProgram, ...
	Tries         int    // before it destroys the key
	Waits         []time.Duration
	Register      string // who may make a record: "open", "invite", "oidc"
	Issuer        string // for "oidc": where people sign in
	HasInvitation bool   // the link has one
	SecondSigner  bool   // the link wants a second signature, and it is there
	Store         string // "file", "cluster"
	Incarnation   uint64 // how often it went on from a copy of its store
	Issued        time.Time
	Expires       time.Time
	Fingerprint   string        // of the keys in the link, to be compared by phone: "3f2a 91c0 ..."
	Known         bool          // this computer has met it before
	Changes       []VaultChange // that make it weaker than it was then
}

// A VaultChange is one thing that a vault says otherwise than before.
type VaultChange struct {
	// Kind is "name", "tries", "waits", "floor", "sealer", "attestation" or "restored".
	Kind          string
	Before, After string // as they can be shown: a name, a number, a duration, a class
}

// InspectVault asks the vault of a link who it is, before anything is chosen: the signed
// bundle alone is fetched and checked, and nothing is sent but the question for it. link
// may have an invitation, and the breaks that mail programs put into it; the invitation
// stays unused.
//
// trust.ErrLink; [vault.ErrOffline]; of what was not signed by the keys of the link, and
// other alarms, see docs/vault-protocol.md, "Trust".
func (a *App) InspectVault(ctx context.Context, link string) (VaultDescription, error) {
	l, err := trust.ParseLink(link)
	if err != nil {
		return VaultDescription{}, fmt.Errorf("inspect vault: %w", err)
	}
	b, changes, known, err := a.meetVault(ctx, l)
	if err != nil {
		return VaultDescription{}, fmt.Errorf("inspect vault: %w", err)
	}
	d := describe(l, b)
	d.Known, d.Changes = known, changesOf(changes)
	return d, nil
}

func describe(l trust.Link, b trust.Bundle) VaultDescription {
	return VaultDescription{
		Link: l.WithoutInvite().String(), ID: hex.EncodeToString(b.VaultID[:]), Name: b.Name, Address: l.Address,
		Sealer: b.Sealer, Hardware: isHardware(b.Sealer), Enforced: enforcedBy(b.Sealer), Tries: b.Tries, Waits: b.Waits,
		Register: b.Register, Issuer: b.Issuer, HasInvitation: l.Invite != "", SecondSigner: l.HasSecond(), Store: b.Store,
		Incarnation: b.Incarnation, Issued: b.Issued, Expires: b.Expires, Fingerprint: l.Fingerprint(),
	}
}

func changesOf(list []trust.Change) []VaultChange {
	var out []VaultChange
	for _, c := range list {
		out = append(out, VaultChange{Kind: string(c.Kind), Before: c.Known, After: c.Offered})
	}
	return out
}

const sealerSoftware = trust.SealerSoftware

func isHardware(sealer string) bool {
	switch sealer {
	case trust.SealerToken, trust.SealerTPM, trust.SealerTPMEpochs:
		return true
	}
	return false
}

// enforcedBy says who counts the tries (docs/vault-protocol.md, "What it promises"). With
// epochs the chip guards the store, and the program counts.
func enforcedBy(sealer string) string {
	switch sealer {
	case trust.SealerTPM:
		return EnforcedByTPM
	case trust.SealerToken:
		return EnforcedByToken
	}
	return EnforcedByProgram
}

// remoteLink returns the link of a slot whose vault is on a network; false for one that is
// inside of the app.
func remoteLink(slot vault.Slot) (trust.Link, bool) {
	l, err := trust.ParseLink(slot.Link)
	return l, err == nil
}
