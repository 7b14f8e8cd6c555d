package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

const startPage = `A Backup Key Vault guards the passwords of Coffer's backups: it counts every try, and
destroys a key after too many wrong ones. It never sees a password or a file.

  Make one:   coffer-vault init --address vault.example.org:7443
  Run it:     coffer-vault serve
  Its link:   coffer-vault status
  All commands: coffer-vault --help
`

// rootCommand builds the tree of commands.
func (p *program) rootCommand() *cobra.Command {
	root := p.command("coffer-vault", "A Backup Key Vault for a network", `
A vault that guards the passwords of backups. 'init' makes it and prints its link, which
is what people put into Coffer; 'serve' runs it. The other commands ask the vault that
runs, through a socket in its folder, or open its files when none runs.

Secrets come from files, never from the command line.

Exit status: 0 done; 1 failed; 2 wrong usage, or a mistake in the configuration; 3 the vault
does not run, or is not ready ('status'); 4 not the vault of the link ('verify-bundle');
6 a file or the store is damaged or old; 130 stopped.

With --json the last line on standard output is an object with "type": "summary", or
"error" with "code" and "message".`,
		nil, func(context.Context, []string) error { return p.result("%s", strings.TrimSpace(startPage)) })
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.Version = version()
	root.SetVersionTemplate("{{.Version}}\n")

	f := root.PersistentFlags()
	f.StringVarP(&p.data, "data", "d", "", "the vault's folder is `DIR` (default: "+node.DefaultDir()+")")
	f.BoolVar(&p.json, "json", false, "one JSON object on standard output")
	must(root.MarkPersistentFlagDirname("data"))

	root.AddCommand(
		p.initCommand(), p.serveCommand(), p.statusCommand(), p.inviteCommand(), p.bundleCommand(), p.verifyCommand(),
		p.rotateCommand(), p.backupCommand(), p.recoverCommand(), p.versionCommand(),
	)
	return root
}
