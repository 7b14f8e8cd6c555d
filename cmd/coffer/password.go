package main

import (
	"context"
	"runtime/debug"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A passwordUser sets and practices the password of a backup.
type passwordUser interface {
	SetPassword(ctx context.Context, o app.PasswordOptions) error
	PracticePassword(ctx context.Context, password app.Secret) (bool, error)
}

func (p *program) passwordCommand() *cobra.Command {
	return p.group("password", "The password: change it, practice it", `
A vault guards the password: it counts every try, and destroys its key after a fixed number
of wrong ones. On a computer that still opens the backup a forgotten password is easily
replaced, without the old one: 'coffer password change'.`,
		p.passwordChangeCommand(), p.passwordPracticeCommand())
}

func (p *program) passwordChangeCommand() *cobra.Command {
	var secrets secretFlags
	var file, link string
	cmd := p.command("change", "Set a new password", `
Sets a new password. The old one is not needed, only the key, which this computer keeps
(or --key-file, --passphrase-file, --old-password-file). Nothing is uploaded again, and
no old backup is lost.

The new password is asked for twice, or read from --password-file. The vault that guards
the old one guards the new one, too; --vault names another one.

  coffer password change`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withKey(ctx, &secrets, func(a profile) error { return p.passwordChange(ctx, a, file, link) })
		})
	f := cmd.Flags()
	f.StringVar(&file, "password-file", "", "read the new password from `FILE` (- is standard input)")
	addVault(cmd, &link)
	f.StringVar(&secrets.password, "old-password-file", "", "open the backup with the password in `FILE`")
	f.StringVar(&secrets.passphrase, "passphrase-file", "", "open the backup with the passphrase in `FILE`")
	f.StringVar(&secrets.key, "key-file", "", "open the backup with the 64 digits in `FILE`")
	cmd.MarkFlagsMutuallyExclusive("old-password-file", "passphrase-file", "key-file")
	return cmd
}

func (p *program) passwordChange(ctx context.Context, a profile, file, link string) (err error) {
	if err := p.showVault(ctx, a, link); err != nil {
		return err
	}
	var secret app.Secret
	if file != "" {
		secret, err = p.readSecretFile(file)
	} else {
		secret, err = p.newSecret(app.LockPassword)
	}
	if err != nil {
		return err
	}
	defer secret.Wipe()
	if err := a.SetPassword(ctx, app.PasswordOptions{Password: secret, Vault: link, Browser: p.browser}); err != nil {
		return err
	}
	debug.FreeOSMemory()
	if p.console.json {
		return p.console.record("summary", struct {
			Changed bool `json:"changed"`
		}{true})
	}
	return p.console.done("The new password is set, and the old one opens nothing any more.\nTry it in a few days: coffer password practice")
}

func (p *program) passwordPracticeCommand() *cobra.Command {
	var file string
	cmd := p.command("practice", "See whether you still know the password", `
Checks a password on this computer, which still has the key. It never uses a try.

  coffer password practice`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withProfile(func(a profile, _ app.Config) error { return p.passwordPractice(ctx, a, file) })
		})
	cmd.Flags().StringVar(&file, "password-file", "", "read the password from `FILE` (- is standard input)")
	return cmd
}

func (p *program) passwordPractice(ctx context.Context, a passwordUser, file string) (err error) {
	var secret app.Secret
	if file != "" {
		secret, err = p.readSecretFile(file)
	} else {
		secret, err = p.askSecret("Password:")
	}
	if err != nil {
		return err
	}
	defer secret.Wipe()
	right, err := a.PracticePassword(ctx, secret)
	if err != nil {
		return err
	}
	if !right {
		return &commandError{
			code: app.CodeOtherPassword, says: "That was not the password. No try was used.",
			advice: "If you do not remember it, set a new one now: coffer password change",
		}
	}
	if p.console.json {
		return p.console.record("summary", struct {
			Right bool `json:"right"`
		}{true})
	}
	return p.console.result("That is the password. No try was used.")
}
