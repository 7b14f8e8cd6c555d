package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

const startPage = `Coffer keeps encrypted backups in a place of your own. Only you can open them.

  Set up:   coffer setup --to /media/disk/Backup ~/Documents ~/Pictures
  Back up:  coffer backup
  Restore:  coffer restore latest --target ~/Restored
  Places:   coffer help places

On a new computer:  coffer open --from /media/disk/Backup
To see it work:     coffer demo
All commands:       coffer --help
`

// rootCommand builds the tree of commands.
func (p *program) rootCommand() *cobra.Command {
	root := p.command("coffer", "Encrypted backups that only you can open", `
Coffer encrypts your files on this computer and keeps them in a place of your own: a
disk, Google Drive, iCloud Drive, a server ('coffer help places'). A password (guarded by a vault that counts the tries) or the 64
digits of your recovery key open them again. Nobody can reset this for you.

Secrets come from a prompt or a file, never from the command line.

Exit status: 0 done; 1 failed; 2 wrong usage; 3 done, but some files were not read or
restored; 4 wrong password or key; 5 the vault has destroyed the key; 6 the backup is
damaged; 7 the vault asks to wait; 130 stopped.`,
		nil, func(context.Context, []string) error { return p.console.result("%s", strings.TrimSpace(startPage)) })
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.Version = version()
	root.SetVersionTemplate("{{.Version}}\n")

	f := root.PersistentFlags()
	f.StringVarP(&p.flags.home, "home", "C", "", "use the profile in `DIR` (default: $COFFER_HOME, else your own)")
	f.StringVar(&p.flags.place, "place", "", "of several places, use the one with this `ID` (or its text) and no other")
	f.BoolVar(&p.flags.json, "json", false, "one JSON object a line on standard output, a summary last")
	f.BoolVarP(&p.flags.quiet, "quiet", "q", false, "say only what was asked for, and errors")
	f.BoolVarP(&p.flags.verbose, "verbose", "v", false, "say more, also the details of an error")
	f.StringVar(&p.flags.memory, "memory", "256MiB", "memory budget of the engine")

	root.AddCommand(
		p.setupCommand(), p.openCommand(), p.backupCommand(), p.statusCommand(), p.snapshotsCommand(), p.lsCommand(),
		p.findCommand(), p.catCommand(), p.diffCommand(), p.restoreCommand(), p.checkCommand(),
		p.keyCommand(), p.passwordCommand(), p.vaultCommand(), p.placeCommand(), p.networkCommand(),
		p.demoCommand(), p.versionCommand(), placesTopic(),
	)
	return root
}

// group makes a command that only holds others.
func (p *program) group(use, short, long string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: strings.TrimSpace(long), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("Which one? 'coffer "+use+"' is followed by another word.", "See 'coffer "+use+" --help'.")
		},
	}
	cmd.AddCommand(children...)
	return cmd
}
