package main

import (
	"context"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

func (p *program) recoverCommand() *cobra.Command {
	var o node.RecoverOptions
	cmd := p.command("recover-epoch --recovery FILE --new-recovery FILE", "Go on with a store that its TPM refuses", `
For a vault on a TPM: opens a store that is an old copy, or whose TPM is gone or was cleared,
with the recovery key that 'init' has written. It goes on on this computer's TPM.

Tries that were used since the copy was made come back, so users are told: the vault's
incarnation rises. With --seal tpm the keys behind the passwords lay in the old TPM: where
that is another one, every user sets a new password, with the sheet or an unlocked computer.

The recovery key was on this computer now. A new one is written to --new-recovery; the old
one opens nothing that is written from now on.

JSON: {"type":"summary","recovered":true}

  coffer-vault recover-epoch --recovery /media/stick/recovery.txt --new-recovery /media/stick/recovery-2.txt`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			dir, err := p.ownDir()
			if err != nil {
				return err
			}
			o.Dir = dir
			if err := node.Recover(ctx, o, p.options()); err != nil {
				return err
			}
			p.note("The new recovery key is in %q. Keep it away from this computer, and destroy the old one.", o.New)
			err = p.record("summary", struct {
				Recovered bool `json:"recovered"`
			}{true})
			if err != nil {
				return err
			}
			return p.result("The store is open again. Users will be told that it is a copy. Run it: coffer-vault serve")
		})
	cmd.Flags().StringVar(&o.Recovery, "recovery", "", "`FILE` with the recovery key")
	cmd.Flags().StringVar(&o.New, "new-recovery", "", "write the next recovery key to `FILE`, which must not exist")
	must(cmd.MarkFlagRequired("recovery"))
	must(cmd.MarkFlagRequired("new-recovery"))
	return cmd
}
