package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

func (p *program) statusCommand() *cobra.Command {
	return p.command("status", "Say how the vault is, and its link", `
Says who the vault is, whether it runs and can answer, how long its bundle is good, and who
holds its keys and counts the tries, how many records there are, and how much room the
disk has left. Whatever a person should do something about is a WARNING.

Exit status 0: it runs and is ready; 3: it does not, or is not.

JSON: {"type":"summary","vault","name","link","fingerprint","running","ready","not_ready","since","version","listen",
"bundle":{as verify-bundle},"days_left","staged","root_here","sealer":{"class","hardware","counted_by":
"program"|"tpm","says"},"store","rows" (records and admissions; -1: not known),"records" (how many are in
each state),"admitted","tries","register","endorsement_certificate","warnings","addresses",
"disk_free" (bytes; -1: not known)}

  coffer-vault status`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withVault(ctx, func(a *node.Access) error {
				s, err := a.Status(ctx)
				if err != nil {
					return err
				}
				r, err := p.report(s)
				if err != nil {
					return err
				}
				if err := p.record("summary", r); err != nil {
					return err
				}
				if err := p.result("%s", strings.TrimSuffix(r.text(), "\n")); err != nil {
					return err
				}
				if !s.Ready {
					return doneError{exitNotReady}
				}
				return nil
			})
		})
}

// A report is what the vault says, and what this computer says about its folder.
type report struct {
	node.Status
	DiskFree int64 `json:"disk_free"` // bytes; -1: not known
}

// roomAlways is how much room a vault's disk should have left, in bytes. A vault whose disk
// is full answers nothing, because it could not write down what it has answered.
const roomAlways = 256 << 20

// report looks at the disk of the folder, which is on this computer even when the vault's
// program answers for itself.
func (p *program) report(s node.Status) (report, error) {
	dir, err := p.dir()
	if err != nil {
		return report{}, err
	}
	r := report{Status: s, DiskFree: diskFree(dir)}
	var store int64
	if info, err := os.Stat(filepath.Join(dir, "vault.db")); err == nil {
		store = info.Size()
	}
	switch {
	case r.DiskFree < 0:
	case r.DiskFree < roomAlways:
		r.Warnings = append(r.Warnings, "the disk is nearly full: "+megabytes(r.DiskFree)+" are free")
	case r.DiskFree < 2*store:
		r.Warnings = append(r.Warnings, "the disk has little room: a backup copies the store first, and that has "+megabytes(store))
	}
	return r, nil
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", n/1_000_000) }

// states lists how many records are in each state, in the order of a record's life.
func states(records map[string]int) string {
	life := []string{"pending", "active", "frozen", "last_call", "destroyed"}
	for _, state := range slices.Sorted(maps.Keys(records)) {
		if !slices.Contains(life, state) {
			life = append(life, state)
		}
	}
	var parts []string
	for _, state := range life {
		if n := records[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ReplaceAll(state, "_", " ")))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (s report) text() string {
	var t strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&t, "%-12s "+format+"\n", append([]any{name + ":"}, args...)...)
	}
	line("vault", "%s, run by %s", s.Vault, s.Name)
	line("link", "%s", s.Link)
	line("fingerprint", "%s", s.Fingerprint)
	line("state", "%s", stateText(s.Status))
	line("addresses", "%s", strings.Join(s.Addresses, ", "))
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
	switch {
	case s.Records != nil:
		line("records", "%s", states(s.Records))
	case s.Rows >= 0:
		line("rows", "%d (records and admissions)", s.Rows)
	}
	if s.Admitted != nil && s.Register != "open" {
		line("admitted", "%d", *s.Admitted)
	}
	line("tries", "%d", s.Tries)
	line("register", "%s", registerText(s.Status))
	if s.DiskFree >= 0 {
		line("disk", "%s free", megabytes(s.DiskFree))
	}
	line("bundle", "%s", bundleLife(s.Status))
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

func registerText(s node.Status) string {
	if s.Bundle.Issuer == "" {
		return s.Register
	}
	return fmt.Sprintf("%s (%s, client %s)", s.Register, s.Bundle.Issuer, s.Bundle.ClientID)
}

func bundleLife(s node.Status) string {
	switch {
	case s.Bundle.Sequence == 0:
		return "none"
	case s.DaysLeft < 0:
		return fmt.Sprintf("%d, EXPIRED on %s", s.Bundle.Sequence, s.Bundle.Expires.Format("2006-01-02"))
	}
	return fmt.Sprintf("%d, good for %s, until %s", s.Bundle.Sequence, days(s.DaysLeft), s.Bundle.Expires.Format("2006-01-02"))
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
