package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

type serveFlags struct {
	listen    []string
	cert, key string
}

func (p *program) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := p.command("serve", "Run the vault", `
Runs the vault until it is told to end (SIGTERM, Ctrl-C), and then finishes what is under
way. The log goes to standard error, a JSON object a line; it names no record, and no
address unless vault.toml asks for that.

It renews its bundle by itself as long as root.key is in the folder and nobody else must
sign; otherwise it warns 60 days before.

On the same port: /healthz (it runs) and /readyz (it can answer).

  coffer-vault serve --data /var/lib/coffer-vault`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error { return p.serve(ctx, f) })
	s := cmd.Flags()
	s.StringArrayVar(&f.listen, "listen", nil, "listen on `[ADDRESS]:PORT`, not as vault.toml says (may be repeated)")
	s.StringVar(&f.cert, "tls-cert", "", "show the certificate in `FILE` (PEM), not that of vault.toml")
	s.StringVar(&f.key, "tls-key", "", "its key: `FILE`")
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	return cmd
}

func (p *program) serve(ctx context.Context, f serveFlags) (err error) {
	dir, err := p.ownDir()
	if err != nil {
		return err
	}
	p.harden(slog.New(slog.NewJSONHandler(p.stderr, nil)))
	if err := absolute(&f.cert, &f.key); err != nil {
		return err
	}
	opts := p.options()
	opts.Listen, opts.Certificate, opts.Key = f.listen, f.cert, f.key
	n, err := node.Open(ctx, dir, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	return n.Serve(ctx)
}
