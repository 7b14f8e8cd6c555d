package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A vaultAsker asks the vault about the password of a profile; that uses no try.
type vaultAsker interface {
	VaultStatus(ctx context.Context) (app.VaultStatus, error)
}

func (p *program) vaultCommand() *cobra.Command {
	var secrets secretFlags
	status := p.command("status", "Say how many tries are left", `
Says where the vault is that guards the password, how many tries are left, and which tries
there were. Asking uses no try.

  coffer vault status`,
		cobra.NoArgs, func(ctx context.Context, _ []string) error {
			return p.withKey(ctx, &secrets, func(a profile) error { return p.vaultStatus(ctx, a) })
		})
	secrets.add(status)
	return p.group("vault", "The vault that guards the password", `
The vault keeps what a password needs to open the backup, counts the tries, and destroys
its key after too many wrong ones. It never sees the password or your files.`, status)
}

// vaultRecord is a status as JSON.
type vaultRecord struct {
	Kind     string        `json:"kind"`
	Where    string        `json:"where"`
	Computer string        `json:"computer"`
	Sealer   string        `json:"sealer"`
	State    string        `json:"state"`
	Tries    int           `json:"tries"`
	Left     int           `json:"tries_left"` // -1: not known
	Until    *time.Time    `json:"until,omitempty"`
	Log      []eventRecord `json:"log"`
}

type eventRecord struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Device string    `json:"device"`
}

func (p *program) vaultStatus(ctx context.Context, a vaultAsker) error {
	s, err := a.VaultStatus(ctx)
	if err != nil {
		return err
	}
	if !p.console.json {
		return p.console.result("%s", vaultText(s))
	}
	r := vaultRecord{s.Kind, s.Where, s.Computer, s.Sealer, s.State, s.Tries, s.Left, nil, []eventRecord{}}
	if !s.Until.IsZero() {
		r.Until = &s.Until
	}
	for _, e := range s.Log {
		r.Log = append(r.Log, eventRecord{e.At, e.Kind, e.Device})
	}
	return p.console.record("summary", r)
}

func vaultText(s app.VaultStatus) string {
	if s.Kind == "" {
		return "This backup has no password, so no vault guards it."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "The vault is on %s (%s, %s).\n", printable(s.Computer), printable(s.Kind), printable(s.Sealer))
	switch {
	case s.State == "destroyed":
		b.WriteString("It has destroyed its key: no password opens this backup any more. The 64 digits still do.\n")
	case s.State == "frozen":
		b.WriteString("It is frozen: it takes no tries.\n")
	case s.Left < 0:
		fmt.Fprintf(&b, "It allows %s. How many are left is not known.\n", count(int64(s.Tries), "try", "tries"))
	default:
		fmt.Fprintf(&b, "%d of %s left.\n", s.Left, count(int64(s.Tries), "try is", "tries are"))
	}
	if !s.Until.IsZero() {
		fmt.Fprintf(&b, "It takes none before %s.\n", dateText(s.Until))
	}
	for _, e := range s.Log {
		fmt.Fprintf(&b, "  %s  %s  %s\n", pad(dateText(e.At), 23), pad(eventText(e.Kind), 20), deviceText(e.Device))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// eventText says in words what the vault's log has as a kind.
func eventText(kind string) string {
	words := map[string]string{
		"committed": "password set", "replaced": "old password removed", "right": "right password",
		"wrong": "wrong password", "destroyed": "key destroyed", "reset": "tries set back",
	}
	if w, ok := words[kind]; ok {
		return w
	}
	return printable(kind)
}

// deviceText names the computer that asked, where the vault was told.
func deviceText(name string) string {
	if name == "" {
		return ""
	}
	return printable(name)
}
