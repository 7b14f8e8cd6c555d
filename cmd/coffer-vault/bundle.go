package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

type bundleFlags struct {
	renew, reload, staged    bool
	sign, link, signer, from string
}

func (p *program) bundleCommand() *cobra.Command {
	var f bundleFlags
	cmd := p.command("bundle", "What the vault says about itself, and who signs it", `
Prints the signed bundle. With one of these flags:

  --renew            makes the next one: after a change of vault.toml, or in time before it
                     expires. It is in use at once when root.key is in the folder and nobody
                     else must sign; otherwise bundle.next has to be signed
  --next             prints bundle.next
  --sign-with FILE   signs the bundle on standard input with the root's or the second signer's
                     key in FILE, on any computer, and prints it. A second signer needs --link,
                     and should read first what the vault says (it is shown)
  --install FILE     takes a bundle into use that is signed completely (- is standard input)
  --new-signer FILE  makes a key for a second signer, and prints what 'init --second' wants,
                     or, for a vault that exists, what to put into vault.toml
  --reload           has the vault that runs read vault.key, vault.toml and bundle.txt again

  coffer-vault bundle --renew
  coffer-vault bundle --sign-with root.key < bundle.next > bundle.signed
  coffer-vault bundle --install bundle.signed`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error { return p.bundle(ctx, f) })
	s := cmd.Flags()
	s.BoolVar(&f.renew, "renew", false, "make the next bundle")
	s.BoolVar(&f.staged, "next", false, "print bundle.next")
	s.BoolVar(&f.reload, "reload", false, "have the vault that runs read its files again")
	s.StringVar(&f.sign, "sign-with", "", "sign with the key in `FILE`")
	s.StringVar(&f.link, "link", "", "the vault's `LINK`, for --sign-with of a second signer")
	s.StringVar(&f.signer, "new-signer", "", "make a second signer's key, in `FILE`")
	s.StringVar(&f.from, "install", "", "take the bundle in `FILE` into use")
	cmd.MarkFlagsMutuallyExclusive("renew", "next", "reload", "sign-with", "new-signer", "install")
	return cmd
}

func (p *program) bundle(ctx context.Context, f bundleFlags) error {
	switch {
	case f.signer != "":
		return p.newSigner(f.signer)
	case f.sign != "":
		return p.signBundle(f)
	case f.link != "":
		return usage("--link is only for --sign-with.", "")
	}
	return p.withVault(ctx, func(a *node.Access) error {
		var r node.Renewed
		var err error
		if f.renew || f.from != "" {
			if err := p.mayWrite(a); err != nil {
				return err
			}
		}
		switch {
		case f.renew:
			r, err = a.Renew(ctx)
		case f.reload:
			if !a.Running() {
				return usage("The vault does not run: it reads its files when it starts.", "")
			}
			r, err = a.Reload(ctx)
		case f.from != "":
			r, err = p.install(ctx, a, f.from)
		default:
			return p.printBundle(a, f.staged)
		}
		if err != nil {
			return err
		}
		return p.sayRenewed(r)
	})
}

func (p *program) install(ctx context.Context, a *node.Access, path string) (node.Renewed, error) {
	signed, err := p.readInput(path)
	if err != nil {
		return node.Renewed{}, err
	}
	return a.Install(ctx, signed)
}

func (p *program) printBundle(a *node.Access, staged bool) error {
	b, err := a.Signed(staged)
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(b)
	return err
}

func (p *program) signBundle(f bundleFlags) error {
	bundle, err := p.readInput("-")
	if err != nil {
		return err
	}
	signed, says, err := node.SignBundle(f.sign, f.link, bundle)
	if err != nil {
		return err
	}
	p.note("Signed, and that is what it says:\n%s", bundleText(says))
	_, err = p.stdout.Write(signed)
	return err
}

func (p *program) newSigner(path string) error {
	dir, err := p.dir()
	if err != nil {
		return err
	}
	exists := true
	s, err := node.NewSigner(dir, path)
	if errors.Is(err, node.ErrNoVault) && p.data == "" {
		exists = false
		s, err = node.NewSigner("", path)
	}
	if err != nil {
		return err
	}
	p.note("The key is in %q. Keep it: without it no new bundle is good for who has a link with two keys.", path)
	if exists {
		p.note("For the vault in this folder: put the line\n  second = %q\ninto vault.toml, then 'coffer-vault bundle --renew', sign, install, and hand out the new link ('status').", fmt.Sprint(s)[33:])
	} else {
		p.note("For a vault that is still to be made: coffer-vault init --second ...")
	}
	if err := p.record("summary", struct {
		Signer string `json:"signer"`
	}{s.String()}); err != nil {
		return err
	}
	return p.result("%s", s)
}
