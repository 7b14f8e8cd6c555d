package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

func (p *program) statusCommand() *cobra.Command {
	return p.command("status", "Say how the vault is, and its link", `
Says who the vault is, whether it runs and can answer, how long its bundle is good, and who
holds its keys and counts the tries.

Exit status 0: it runs and is ready; 3: it does not, or is not.

JSON: {"type":"summary","vault","name","link","fingerprint","running","ready","not_ready","since","version","listen",
"bundle":{as verify-bundle},"days_left","staged","root_here","sealer":{"class","hardware","counted_by":
"program"|"tpm","says"},"store","rows" (records and admissions; -1: not known),"tries","register",
"endorsement_certificate","warnings","addresses"}

  coffer-vault status`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withVault(ctx, func(a *node.Access) error {
				s, err := a.Status(ctx)
				if err != nil {
					return err
				}
				if err := p.record("summary", s); err != nil {
					return err
				}
				if err := p.result("%s", strings.TrimSuffix(statusText(s), "\n")); err != nil {
					return err
				}
				if !s.Ready {
					return doneError{exitNotReady}
				}
				return nil
			})
		})
}

func statusText(s node.Status) string {
	var t strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&t, "%-12s "+format+"\n", append([]any{name + ":"}, args...)...)
	}
	line("vault", "%s, run by %s", s.Vault, s.Name)
	line("link", "%s", s.Link)
	line("fingerprint", "%s", s.Fingerprint)
	line("state", "%s", stateText(s))
	line("listens on", "%s", strings.Join(s.Listen, ", "))
	line("keys", "%s", sealerText(s.Sealer.Class))
	hardware := "no"
	if s.Sealer.Hardware {
		hardware = "yes"
	}
	line("hardware", "%s; tries are counted by the %s", hardware, strings.ReplaceAll(s.Sealer.CountedBy, "tpm", "TPM"))
	for _, l := range s.Sealer.Says {
		fmt.Fprintf(&t, "%-12s %s\n", "", l)
	}
	line("store", "%s", s.Store)
	if s.Rows >= 0 {
		line("rows", "%d (records and admissions)", s.Rows)
	}
	line("tries", "%d", s.Tries)
	line("register", "%s", s.Register)
	line("bundle", "%d, good for %s", s.Bundle.Sequence, days(s.DaysLeft))
	if s.Staged {
		line("staged", "bundle.next waits to be signed, or to be installed")
	}
	if s.RootHere {
		line("root", "root.key is in the folder; for more than a home it belongs elsewhere")
	}
	for _, w := range s.Warnings {
		line("WARNING", "%s", w)
	}
	if s.Endorsed != "" {
		t.WriteString(s.Endorsed)
	}
	return t.String()
}

func stateText(s node.Status) string {
	switch {
	case !s.Running:
		return "does not run"
	case !s.Ready:
		return "runs, and is NOT READY: " + s.NotReady
	}
	return "runs since " + s.Since.Format("2006-01-02 15:04:05 MST") + ", ready"
}
