package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coffer/vault/server/node"
)

func (p *program) inviteCommand() *cobra.Command {
	var life string
	var q qrFlags
	cmd := p.command("invite", "Print a link that lets one record in", `
Prints the vault's link with an invitation in it, alone, on standard output. Whoever has
it first may make one record. It is for vaults with register = "invite".

JSON: {"type":"summary","link","expires"}

  coffer-vault invite --life 7d --qr`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error { return p.invite(ctx, life, &q) })
	cmd.Flags().StringVar(&life, "life", "7d", "how long it is good: `TIME` like 30m, 12h or 7d")
	q.add(cmd)
	return cmd
}

func (p *program) invite(ctx context.Context, life string, q *qrFlags) error {
	d, err := parseLife(life)
	if err != nil {
		return err
	}
	return p.withVault(ctx, func(a *node.Access) error {
		link, err := a.Invite(ctx, d)
		if err != nil {
			return err
		}
		p.note("Good for one record, until %s.", time.Now().Add(d).Format("2006-01-02 15:04"))
		if err := q.show(p.stderr, link); err != nil {
			return err
		}
		err = p.record("summary", struct {
			Link    string    `json:"link"`
			Expires time.Time `json:"expires"`
		}{link, time.Now().Add(d).UTC().Truncate(time.Second)})
		if err != nil {
			return err
		}
		return p.result("%s", link)
	})
}

// parseLife reads a time of Go, or days.
func parseLife(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if n, isDays := strings.CutSuffix(text, "d"); isDays {
		var count int
		count, err = strconv.Atoi(n)
		d = time.Duration(min(count, 10_000)) * 24 * time.Hour
	}
	if err != nil || d < time.Minute || d > 366*24*time.Hour {
		return 0, usage(fmt.Sprintf("%q is no time between a minute and 366 days.", text), "It is like 30m, 12h or 7d.")
	}
	return d, nil
}
