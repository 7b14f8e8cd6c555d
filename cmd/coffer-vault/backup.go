package main

import (
	"context"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

func (p *program) backupCommand() *cobra.Command {
	return p.command("backup FILE", "Copy the vault, while it runs", `
Writes configuration, keys, bundle and records, as they are at one moment, to a new file
(tar, mode 0600). To restore: make an empty folder of mode 0700, 'tar -xpf FILE -C FOLDER',
and serve it.

The file holds the vault's keys IN CLEAR: keep it as you keep the vault, and encrypt it
before it goes anywhere. A software vault that is restored has the tries of that moment
back, and the keys that were destroyed since: its users are told so ("incarnation"), and
for that the root must sign once: put root.key into the folder, or sign where it is
('coffer-vault bundle --help'). Without root.key a copy is worth nothing. A store on a TPM is restored with 'recover-epoch'.

Not in it: root.key, files that vault.toml names elsewhere, the keys in a token, and the
records of a cluster, whose snapshots are etcd's ('etcdctl snapshot save').

JSON: {"type":"summary","file"}

  coffer-vault backup /media/safe/vault-2027-01.tar`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			return p.withVault(ctx, func(a *node.Access) error { return p.backup(ctx, a, args[0]) })
		})
}

func (p *program) backup(ctx context.Context, a *node.Access, path string) error {
	s, err := a.Status(ctx)
	if err != nil {
		return err
	}
	if err := a.Backup(ctx, path); err != nil {
		return err
	}
	p.note("The file holds the vault's keys in clear. Keep it as you keep the vault.")
	if s.Store == node.StoreBolt {
		p.note("root.key is not in it. Keep a copy of that elsewhere: without it a vault that was restored cannot say so, and does not serve.")
	}
	switch {
	case s.Store != node.StoreBolt:
		p.note("The records are in the cluster and not in this file: etcdctl snapshot save.")
	case !s.Sealer.Hardware:
		p.note("Restoring it gives back the tries of this moment, and keys that are destroyed later. Users are told.")
	case s.Sealer.CountedBy == node.CountedByTPM, s.Sealer.Class == "tpm-epochs":
		p.note("It opens with the recovery key only: coffer-vault recover-epoch.")
	default:
		p.note("Its records open only with the token. Restoring it gives back the tries of this moment. Users are told.")
	}
	err = p.record("summary", struct {
		File string `json:"file"`
	}{path})
	if err != nil {
		return err
	}
	return p.result("Copied to %q.", path)
}
