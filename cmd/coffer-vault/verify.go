package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

func (p *program) verifyCommand() *cobra.Command {
	return p.command("verify-bundle LINK [FILE]", "See who answers at a link, as a client would", `
Fetches what the vault says about itself, over TLS, and verifies it as Coffer would before
it says a word: signatures, dates, and the key of the connection. It prints what the vault
says. With FILE (- is standard input) that bundle is verified, and nobody is asked.

Exit status 0: it is the vault of the link; 1: nobody answers; 4: it is not.

JSON: {"type":"summary","vault","name","addresses","tries","waits","sealer","store","register",
"issuer","client_id","pins","attestation_key","incarnation","sequence","issued","expires"}

  coffer-vault verify-bundle 'coffer-vault://vault.example.org:7443#KEY'`,
		cobra.RangeArgs(1, 2), func(ctx context.Context, args []string) error {
			var signed []byte
			if len(args) == 2 {
				var err error
				if signed, err = p.readInput(args[1]); err != nil {
					return err
				}
			}
			b, err := node.VerifyBundle(ctx, args[0], signed, time.Now())
			if err != nil {
				return err
			}
			if err := p.record("summary", b); err != nil {
				return err
			}
			return p.result("%s", strings.TrimSuffix(bundleText(b), "\n"))
		})
}

// bundleText says what a bundle says.
func bundleText(b node.Bundle) string {
	var t strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&t, "%-12s "+format+"\n", append([]any{name + ":"}, args...)...)
	}
	line("vault", "%s", b.Vault)
	line("run by", "%s", b.Name)
	line("addresses", "%s", strings.Join(b.Addresses, ", "))
	line("tries", "%d", b.Tries)
	waits := strings.Join(b.Waits, ", ")
	if waits == "" {
		waits = "none"
	}
	line("waits", "%s", waits)
	line("keys", "%s", sealerText(b.Sealer))
	line("store", "%s", b.Store)
	line("register", "%s", b.Register)
	if b.Issuer != "" {
		line("issuer", "%s (client %s)", b.Issuer, b.ClientID)
	}
	certificate := "known by its key"
	if len(b.Pins) == 0 {
		certificate = "one of the web's"
	}
	line("certificate", "%s", certificate)
	if b.Incarnation > 0 {
		line("restored", "%d times from a copy", b.Incarnation)
	}
	line("bundle", "%d, issued %s, good until %s", b.Sequence, b.Issued.Format("2006-01-02"), b.Expires.Format("2006-01-02"))
	return t.String()
}

func sealerText(class string) string {
	words := map[string]string{
		"software":   "software vault: in a file; the program counts",
		"pkcs11":     "in a token; the program counts",
		"tpm":        "in a TPM, which counts the tries by itself",
		"tpm-epochs": "sealed to a TPM; the program counts",
	}
	if w, ok := words[class]; ok {
		return w
	}
	return class
}
