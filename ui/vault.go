package ui

import (
	"strings"
	"time"

	"coffer/app"
)

// A guard is the vault of a password as people are told of it: the same words in the first
// run, where a backup is opened, and in Key & recovery.
type guard struct {
	name, address string // of one on a network: who runs it, "" when nobody asked it yet; host:port
	computer      string // that one inside of the app is on
	here          bool   // that is this computer
	sealer        string // who holds its keys: "software", "pkcs11", "tpm", "tpm-epochs"; "" not known
	hardware      bool
	enforced      string // who counts: app.EnforcedByProgram, ...; "" not known
	tries         int    // 0 not known
}

func (g guard) remote() bool { return g.address != "" }

// usualTries is what a vault made now on this computer allows.
const usualTries = 10

func guardHere(computer string) guard {
	return guard{computer: computer, here: true, sealer: "software", enforced: app.EnforcedByProgram, tries: usualTries}
}

func guardOfWay(w app.WayIn) guard {
	g := guard{computer: w.VaultComputer, here: w.VaultHere, hardware: w.Hardware, enforced: w.Enforced, tries: w.Tries}
	if w.VaultKind == app.VaultServer {
		g.name, g.address = w.VaultName, w.VaultAddress
	}
	return g
}

func guardOfStatus(s app.VaultStatus) guard {
	g := guard{computer: s.Computer, here: s.Here, sealer: s.Sealer, hardware: s.Hardware, enforced: s.Enforced, tries: s.Tries}
	if s.Kind == app.VaultServer {
		g.name, g.address = s.Name, s.Address
	}
	return g
}

func guardOfRef(r app.VaultRef) guard {
	if r.Kind != app.VaultServer {
		return guard{computer: r.Name, sealer: r.Sealer}
	}
	return guard{name: r.Name, address: r.Address, sealer: r.Sealer, hardware: r.Hardware}
}

// title names the vault.
func (g guard) title() string {
	switch {
	case g.remote() && g.name != "":
		return say("vault.title.named", "name", g.name, "address", g.address)
	case g.remote():
		return say("vault.title.address", "address", g.address)
	case g.here:
		return say("vault.title.here")
	}
	return say("vault.title.computer", "computer", orUnknown(g.computer))
}

// class is the part of a text's key that says how the vault keeps what it keeps.
func (g guard) class() string {
	switch {
	case g.enforced == app.EnforcedByTPM:
		return "tpm"
	case g.sealer == "tpm-epochs":
		return "epochs"
	case g.enforced == app.EnforcedByToken, g.sealer == "pkcs11":
		return "token"
	case g.hardware:
		return "hardware"
	case g.enforced == app.EnforcedByProgram, g.sealer == "software":
		return "software"
	}
	return "unknown"
}

// line is all that matters of the vault, in one line.
func (g guard) line() string {
	if !g.remote() && g.here {
		return say("vault.line.here")
	}
	return g.short()
}

// short is the line where somebody opens a backup, and chooses no vault.
func (g guard) short() string {
	tries := say("vault.tries-unknown")
	if g.tries > 0 {
		tries = sayN("vault.tries", int64(g.tries))
	}
	return say("vault.line."+g.class(), "vault", g.title(), "tries", tries)
}

// meaning is what that is worth, in one plain sentence.
func (g guard) meaning() string {
	if g.here {
		return say("vault.means.here")
	}
	return say("vault.means." + g.class())
}

// A vaultChoice is the vault that is to guard a password. The zero choice is the one on
// this computer.
type vaultChoice struct {
	link string // with its invitation, which nothing may show or log
	told app.VaultDescription
}

func (c vaultChoice) remote() bool { return c.link != "" }

// signsIn reports whether a browser will ask who the user is.
func (c vaultChoice) signsIn() bool { return c.told.Register == "oidc" }

func (c vaultChoice) guard(computer string) guard {
	if !c.remote() {
		return guardHere(computer)
	}
	t := c.told
	return guard{name: t.Name, address: t.Address, sealer: t.Sealer, hardware: t.Hardware, enforced: t.Enforced, tries: t.Tries}
}

// waitsOf says how a vault slows guessing down.
func waitsOf(waits []time.Duration) string {
	for i, w := range waits {
		if w > 0 {
			last := waits[len(waits)-1]
			if last == w {
				return say("vault.waits-one", "n", i+1, "time", span(w))
			}
			return say("vault.waits", "n", i+1, "first", span(w), "last", span(last))
		}
	}
	return say("vault.waits-none")
}

// changeOf says one thing that a vault says otherwise than before.
func changeOf(kind, before, after string) string {
	switch kind {
	case "tries", "name", "attestation", "restored":
	case "waits":
		before, after = durationText(before), durationText(after)
	case "sealer":
		before, after = sealerName(before), sealerName(after)
	case "floor":
	default: // of a newer package app
		kind = "other"
	}
	return say("vault.changed."+kind, "before", before, "after", after)
}

// durationText writes a duration of Go as people do. What is none stays as it is.
func durationText(s string) string {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return s
	case d == 0:
		return say("vault.no-time")
	}
	return span(d)
}

func sealerName(sealer string) string {
	switch sealer {
	case "software", "pkcs11", "tpm", "tpm-epochs":
		return say("vault.sealer." + sealer)
	}
	return sealer
}

// linkScheme begins the link of a vault.
const linkScheme = "coffer-vault://"

// maxLink is how long a link may be with what mail programs have put into it; package app
// refuses longer ones.
const maxLink = 1024

// linkIn finds a link in what people pasted or opened: a whole mail, perhaps, which breaks
// long lines. The end of the link is known by its keys: 43 characters after "#", and 43 more
// where a "." follows. What holds no link is returned as it is, for package app to refuse.
func linkIn(text string) string {
	at := strings.Index(text, linkScheme)
	if at < 0 {
		return strings.TrimSpace(text)
	}
	link := ""
	words := strings.Fields(text[at:])
	for i, w := range words {
		link += w
		continued := i+1 < len(words) && strings.HasPrefix(words[i+1], ".")
		if wholeLink(link) && !continued || len(link) > maxLink {
			break
		}
	}
	return strings.TrimRight(link, ">)]\"',;")
}

func wholeLink(link string) bool {
	const key = 43 // of base64url, for 32 bytes
	_, keys, found := strings.Cut(link, "#")
	root, second, two := strings.Cut(keys, ".")
	return found && len(root) >= key && (!two || len(second) >= key || second == "")
}

// linkAddress is the address in a link, to be shown when the vault itself has not spoken;
// "" when there is none.
func linkAddress(link string) string {
	rest, ok := strings.CutPrefix(link, linkScheme)
	if !ok {
		return ""
	}
	if at := strings.IndexAny(rest, "?#"); at >= 0 {
		rest = rest[:at]
	}
	return rest
}
