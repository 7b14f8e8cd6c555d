package main

import (
	"context"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

func (p *program) rotateCommand() *cobra.Command {
	return p.command("rotate", "Replace the keys for envelopes and TLS", `
Makes new keys for envelopes and for the vault's own certificate, and the next bundle, which
names them. Clients fetch it by themselves; envelopes that are on their way still open. The
key by which clients know the vault, and the keys of records, stay as they are.

When the root is elsewhere, or a second signer must sign, or other computers of a cluster
must have vault.key first, the bundle is staged: see 'coffer-vault bundle --help'.

JSON: {"type":"summary","installed","missing","restart","sequence"}

  coffer-vault rotate`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withVault(ctx, func(a *node.Access) error {
				if err := p.mayWrite(a); err != nil {
					return err
				}
				r, err := a.Rotate(ctx)
				if err != nil {
					return err
				}
				return p.sayRenewed(r)
			})
		})
}

// sayRenewed says what became of a new bundle.
func (p *program) sayRenewed(r node.Renewed) error {
	err := p.record("summary", struct {
		Installed bool   `json:"installed"`
		Missing   string `json:"missing,omitempty"` // root, second: who must sign bundle.next
		Restart   bool   `json:"restart,omitempty"` // end the vault before it is installed
		Sequence  uint64 `json:"sequence"`
	}{r.Installed, r.Missing, r.Restart, r.Sequence})
	if err != nil || p.json {
		return err
	}
	if r.Restart {
		p.note("vault.toml has changed since the vault was started: end it before the bundle is installed. Where root.key is in the folder, starting it again is enough.")
	}
	switch {
	case r.Installed:
		return p.result("Bundle %d is in use.", r.Sequence)
	case r.Missing == node.MissingRoot:
		p.note("The root is not here. Where it is, run: coffer-vault bundle --sign-with root.key < bundle.next > bundle.signed")
	case r.Missing == node.MissingSecond:
		p.note("The second signer runs: coffer-vault bundle --sign-with SECOND.key --link LINK < bundle.next > bundle.signed")
	case !r.Restart:
		p.note("Copy vault.key to the other computers of the cluster first; then, on each: coffer-vault bundle --install bundle.next")
	}
	if r.Missing != "" {
		p.note("Then here: coffer-vault bundle --install bundle.signed")
	}
	return p.result("Bundle %d is staged in bundle.next.", r.Sequence)
}
