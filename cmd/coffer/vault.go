package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A vaultKeeper asks vaults, which uses no try, and takes the password from one to another.
type vaultKeeper interface {
	VaultStatus(ctx context.Context) (app.VaultStatus, error)
	InspectVault(ctx context.Context, link string) (app.VaultDescription, error)
	MoveVault(ctx context.Context, o app.MoveOptions) (app.MoveReport, error)
	LeaveVault(ctx context.Context) (app.LeaveReport, error)
	ResetVault(ctx context.Context) error
}

func (p *program) vaultCommand() *cobra.Command {
	return p.group("vault", "The vault that guards the password", `
The vault keeps what a password needs to open the backup, counts the tries, and destroys
its key after too many wrong ones. It never sees the password or your files. It is on this
computer, or on a network: whoever runs one gives you its link.`,
		p.vaultStatusCommand(), p.vaultLogCommand(), p.vaultInspectCommand(), p.vaultMoveCommand(), p.vaultLeaveCommand(), p.vaultResetCommand())
}

func (p *program) vaultStatusCommand() *cobra.Command {
	var secrets secretFlags
	cmd := p.command("status", "Say how many tries are left", `
Says where the vault is that guards the password, who runs it, who counts the tries and how
many are left, and which tries there were. Asking uses no try.

As JSON: kind ("embedded", "server", ""), where, computer, name, address, link, fingerprint,
sealer, hardware, enforced ("program", "token", "tpm"), attested (the chip has proven it now),
store, incarnation, bundle_expires, reachable, refusal (a code; why it did not answer), state,
tries, tries_left (-1: not known), until, anchored (snapshots that the vault knows of), newest,
warnings (code and what belongs to it), log (at, kind, device), left_behind (records in vaults
that were left: name, address, record, left_at, receipt).

  coffer vault status`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withKey(ctx, &secrets, func(a profile) error { return p.vaultStatus(ctx, a) })
		})
	secrets.add(cmd)
	return cmd
}

func (p *program) vaultLogCommand() *cobra.Command {
	var secrets secretFlags
	cmd := p.command("log", "List the tries that the vault has counted", `
Lists what the vault has noted of this password, oldest first: when, what, and which computer
it was, by the name that it gave itself. Asking uses no try.

As JSON one line each, of the type "event": at, kind ("try", "right", "wrong", "committed",
"replaced", "reset", "frozen", "unfrozen", "destroyed"), device.

  coffer vault log`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withKey(ctx, &secrets, func(a profile) error { return p.vaultLog(ctx, a) })
		})
	secrets.add(cmd)
	return cmd
}

func (p *program) vaultInspectCommand() *cobra.Command {
	return p.command("inspect LINK", "Say who a vault is, before it is chosen", `
Asks the vault of a link who it is, and checks who has signed that. Nothing else is sent, and
an invitation in the link stays unused. Compare the fingerprint with what whoever runs the
vault tells you.

As JSON: link, id, name, address, sealer, hardware, enforced ("program", "token", "tpm"),
tries, waits (seconds), register ("open", "invite", "oidc"), issuer, invitation, second_signer,
store, incarnation, issued, expires, fingerprint, known, changes (kind, before, after).

  coffer vault inspect 'coffer-vault://vault.example.org:7443#...'`,
		oneLink, func(ctx context.Context, args []string) error {
			return p.withProfile(func(a profile, _ app.Config) error { return p.vaultInspect(ctx, a, args[0]) })
		})
}

func oneLink(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("Which vault? One link is wanted.", "It begins with coffer-vault:// and has to stand in quotes: 'coffer-vault://...'")
	}
	return nil
}

// newVaults are the sentences about a vault that keeps nothing yet: there is no password that
// it could have lost, and no try.
var newVaults = map[app.Code]message{
	app.CodeVaultOffline:      {say("Nobody answers at the address of this link, or no vault does. Nothing was sent."), say("Is the link whole, the vault running, and the network there? Ask whoever runs it.")},
	app.CodeVaultIdentity:     {say("What answers is not the vault of this link. Coffer stopped before sending anything."), say("Ask whoever gave you the link, by telephone and not by mail.")},
	app.CodeVaultSecondSigner: {say("The link wants the word of two, and one of them has not signed. Coffer stopped before sending anything."), say("Ask whoever signs for the vault second.")},
}

// aboutLink says why a vault cannot be chosen.
func aboutLink(err error) error {
	f := app.Explain(err)
	m, ok := newVaults[f.Code]
	if !ok {
		return err
	}
	return &commandError{code: f.Code, says: fill(m.says, f.Args), advice: fill(m.advice, f.Args), err: err}
}

func (p *program) vaultMoveCommand() *cobra.Command {
	var file string
	var here bool
	cmd := p.command("move LINK | --here", "Take the password to another vault", `
Takes the password from the vault that guards it to the one of LINK, or with --here to this
computer's. Nothing is uploaded again, and every backup stays. The password is asked for once
more, because the old vault does not have it; comparing it uses no try. The old vault opens
the backup until the new one is proven; then it destroys its record and signs a receipt.

As JSON: from, to (kind, name, address, sealer, hardware), waiting (the old vault has not
answered, and is asked again after each backup), receipt (vault, record, at, signature, key),
notices.

  coffer vault move 'coffer-vault://vault.example.org:7443#...'
  coffer vault move --here`,
		cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
			if here == (len(args) == 1) {
				return usage("Where shall the password go?", "Give the link of a vault, or --here for this computer's.")
			}
			return p.withKey(ctx, &secretFlags{}, func(a profile) error {
				return p.vaultMove(ctx, a, strings.Join(args, ""), file)
			})
		})
	cmd.Flags().StringVar(&file, "password-file", "", "read the password from `FILE` (- is standard input)")
	cmd.Flags().BoolVar(&here, "here", false, "take it to the vault on this computer")
	return cmd
}

func (p *program) vaultLeaveCommand() *cobra.Command {
	var secrets secretFlags
	cmd := p.command("leave", "Take the password out of the backup", `
Takes the password out of the backup, and has the vault destroy its record. Then only the 64
digits open the backup: it is refused before the recovery sheet was proven. The vault signs a
receipt.

As JSON: from (kind, name, address, sealer, hardware), waiting, receipt (vault, record, at,
signature, key).

  coffer vault leave`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withKey(ctx, &secrets, func(a profile) error { return p.vaultLeave(ctx, a) })
		})
	secrets.add(cmd)
	return cmd
}

func (p *program) vaultResetCommand() *cobra.Command {
	var secrets secretFlags
	cmd := p.command("reset", "Give all tries back", `
Has the vault give all tries back, as the owner of the backup may: with the key that this
computer has, and not with the password.

  coffer vault reset`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withKey(ctx, &secrets, func(a profile) error { return p.vaultReset(ctx, a) })
		})
	secrets.add(cmd)
	return cmd
}

func (p *program) vaultStatus(ctx context.Context, a vaultKeeper) error {
	s, err := a.VaultStatus(ctx)
	if err != nil {
		return err
	}
	if p.console.json {
		err = p.console.record("summary", statusRecord(s))
	} else {
		err = p.console.result("%s", vaultText(s))
	}
	if err != nil || s.Refusal.Code == "" {
		return err
	}
	// What is known was printed; that the vault did not answer, or must not be asked, is
	// the outcome all the same.
	c := complain(s.Refusal, nil)
	return &commandError{code: c.code, says: c.says, advice: c.advice}
}

func (p *program) vaultLog(ctx context.Context, a vaultKeeper) error {
	s, err := a.VaultStatus(ctx)
	if err != nil {
		return err
	}
	if s.Refusal.Code != "" {
		c := complain(s.Refusal, nil)
		return &commandError{code: c.code, says: c.says, advice: c.advice}
	}
	for _, e := range s.Log {
		if p.console.json {
			err = p.console.record("event", eventRecord{e.At, e.Kind, e.Device})
		} else {
			err = p.console.result("%s", eventLine(e))
		}
		if err != nil {
			return err
		}
	}
	if len(s.Log) == 0 {
		p.console.note("The vault has noted nothing, or does not answer here.")
	}
	return nil
}

func (p *program) vaultInspect(ctx context.Context, a vaultKeeper, link string) error {
	d, err := a.InspectVault(ctx, link)
	if err != nil {
		return aboutLink(err)
	}
	if p.console.json {
		return p.console.record("summary", describeRecord(d))
	}
	return p.console.result("%s", describeText(d))
}

func (p *program) vaultMove(ctx context.Context, a vaultKeeper, link, file string) error {
	// Who it is comes first: nobody is to type a password for a vault that they would not
	// have chosen.
	if err := p.showVault(ctx, a, link); err != nil {
		return err
	}
	var secret app.Secret
	var err error
	if file != "" {
		secret, err = p.readSecretFile(file)
	} else {
		secret, err = p.askSecret("Password:")
	}
	if err != nil {
		return err
	}
	defer secret.Wipe()
	report, err := a.MoveVault(ctx, app.MoveOptions{Link: link, Password: secret, Browser: p.browser})
	if err != nil {
		return err
	}
	p.sayNotices(report.Notices)
	if p.console.json {
		return p.console.record("summary", struct {
			From    refRecord        `json:"from"`
			To      refRecord        `json:"to"`
			Waiting bool             `json:"waiting"`
			Receipt *receiptRecord   `json:"receipt,omitempty"`
			Notices []app.NoticeCode `json:"notices"`
		}{refOf(report.From), refOf(report.To), report.Waiting, receiptOf(report.Receipt), noticeCodes(report.Notices)})
	}
	return p.console.done("The password is in the vault %s now.\n%s", refText(report.To), destroyedText(report.From, report.Receipt, report.Waiting))
}

func (p *program) vaultLeave(ctx context.Context, a vaultKeeper) error {
	report, err := a.LeaveVault(ctx)
	if err != nil {
		return err
	}
	if p.console.json {
		return p.console.record("summary", struct {
			From    refRecord      `json:"from"`
			Waiting bool           `json:"waiting"`
			Receipt *receiptRecord `json:"receipt,omitempty"`
		}{refOf(report.From), report.Waiting, receiptOf(report.Receipt)})
	}
	return p.console.done("No password opens this backup any more: the 64 digits of the recovery sheet do.\n%s", destroyedText(report.From, report.Receipt, report.Waiting))
}

func (p *program) vaultReset(ctx context.Context, a vaultKeeper) error {
	if err := a.ResetVault(ctx); err != nil {
		return err
	}
	if p.console.json {
		return p.console.record("summary", struct {
			Reset bool `json:"reset"`
		}{true})
	}
	return p.console.done("All tries are back.")
}

// A vaultRecord is a status as JSON.
type vaultRecord struct {
	Kind        string          `json:"kind"`
	Where       string          `json:"where"`
	Computer    string          `json:"computer"`
	Name        string          `json:"name,omitempty"`
	Address     string          `json:"address,omitempty"`
	Link        string          `json:"link,omitempty"`
	Fingerprint string          `json:"fingerprint,omitempty"`
	Sealer      string          `json:"sealer"`
	Hardware    bool            `json:"hardware"`
	Enforced    string          `json:"enforced"`
	Attested    bool            `json:"attested"`
	Store       string          `json:"store"`
	Incarnation uint64          `json:"incarnation,omitempty"`
	Expires     *time.Time      `json:"bundle_expires,omitempty"`
	Reachable   bool            `json:"reachable"`
	Refusal     app.Code        `json:"refusal,omitempty"`
	State       string          `json:"state"`
	Tries       int             `json:"tries"`
	Left        int             `json:"tries_left"` // -1: not known
	Until       *time.Time      `json:"until,omitempty"`
	Anchored    int             `json:"anchored"`
	Newest      *time.Time      `json:"newest,omitempty"`
	Warnings    []warningRecord `json:"warnings"`
	Log         []eventRecord   `json:"log"`
	LeftBehind  []leftRecord    `json:"left_behind"`
}

type eventRecord struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Device string    `json:"device"`
}

type warningRecord struct {
	Code app.VaultWarningCode `json:"code"`
	Args map[string]string    `json:"args,omitempty"`
}

type leftRecord struct {
	Vault   refRecord      `json:"vault"`
	Record  string         `json:"record"`
	LeftAt  time.Time      `json:"left_at"`
	Unknown bool           `json:"unknown,omitempty"`
	Receipt *receiptRecord `json:"receipt,omitempty"`
}

type refRecord struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Address  string `json:"address,omitempty"`
	Sealer   string `json:"sealer"`
	Hardware bool   `json:"hardware"`
}

type receiptRecord struct {
	Vault     string    `json:"vault"`
	Record    string    `json:"record"`
	At        time.Time `json:"at"`
	Signature string    `json:"signature"`
	Key       string    `json:"key"`
}

func statusRecord(s app.VaultStatus) vaultRecord {
	r := vaultRecord{
		Kind: s.Kind, Where: s.Where, Computer: s.Computer, Name: s.Name, Address: s.Address, Link: s.Link, Fingerprint: s.Fingerprint,
		Sealer: s.Sealer, Hardware: s.Hardware, Enforced: s.Enforced, Attested: s.Attested, Store: s.Store, Incarnation: s.Incarnation,
		Expires: moment(s.BundleExpires), Reachable: s.Reachable, Refusal: s.Refusal.Code, State: s.State, Tries: s.Tries, Left: s.Left,
		Until: moment(s.Until), Anchored: s.Anchor.Snapshots, Newest: moment(s.Anchor.Newest),
		Warnings: []warningRecord{}, Log: []eventRecord{}, LeftBehind: []leftRecord{},
	}
	for _, w := range s.Warnings {
		r.Warnings = append(r.Warnings, warningRecord{w.Code, w.Args})
	}
	for _, e := range s.Log {
		r.Log = append(r.Log, eventRecord{e.At, e.Kind, e.Device})
	}
	for _, l := range s.LeftBehind {
		r.LeftBehind = append(r.LeftBehind, leftRecord{refOf(l.Vault), l.Record, l.LeftAt, l.Unknown, receiptOf(l.Receipt)})
	}
	return r
}

// moment is a time for JSON, or nothing.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func refOf(r app.VaultRef) refRecord { return refRecord(r) }

func receiptOf(r *app.VaultReceipt) *receiptRecord {
	if r == nil {
		return nil
	}
	return &receiptRecord{r.VaultID, r.Record, r.At, r.Signature, r.Key}
}
