package ui

import (
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// expiresSoon is how long before its end a vault's word about itself is a matter for
// whoever is about to rely on it.
const expiresSoon = 30 * 24 * time.Hour

// vaultFacts are what a vault says of itself.
func vaultFacts(v app.VaultDescription) []fyne.CanvasObject {
	facts := []fyne.CanvasObject{
		fact("person", say("vault.fact.name"), v.Name),
		fact("server", say("vault.fact.address"), v.Address),
		fact("lock", say("vault.fact.tries"), sayN("vaultabout.tries", int64(v.Tries))+" "+waitsOf(v.Waits)),
		fact("key", say("vault.fact.register"), registerText(v)),
	}
	if v.Store == "cluster" {
		facts = append(facts, fact("many", say("vault.fact.store"), say("vaultabout.cluster")))
	}
	signed := "one"
	if v.SecondSigner {
		signed = "two"
	}
	return append(facts, fact("document", say("vault.fact.bundle"), say("vaultabout.signed."+signed, "from", day(v.Issued), "until", day(v.Expires))))
}

// registerText says who may put a password there, and what that means now.
func registerText(v app.VaultDescription) string {
	switch {
	case v.Register == "oidc":
		return say("vaultabout.register.oidc", "issuer", v.Issuer)
	case v.Register == "invite" && v.HasInvitation:
		return say("vaultabout.register.invited")
	case v.Register == "invite":
		return say("vaultabout.register.invite")
	}
	return say("vaultabout.register.open")
}

// vaultCautions are what should give people pause before they choose a vault.
func vaultCautions(v app.VaultDescription, now time.Time) []fyne.CanvasObject {
	var list []fyne.CanvasObject
	add := func(head, body string) { list = append(list, newNotice(toneCareful, head, body, nil).box) }
	var lines []string
	for _, c := range v.Changes {
		if c.Kind != "restored" { // said below, with its date
			lines = append(lines, changeOf(c.Kind, c.Before, c.After))
		}
	}
	if len(lines) > 0 {
		add(say("vaultabout.weaker"), strings.Join(lines, "\n"))
	}
	if v.Incarnation > 0 {
		add("", sayN("vaultabout.restored", int64(min(v.Incarnation, 1<<30)), "date", day(v.Issued)))
	}
	if v.Expires.Before(now.Add(expiresSoon)) {
		add("", say("vaultabout.expires", "until", day(v.Expires)))
	}
	return list
}

// bareFingerprint takes the spaces out of a fingerprint, which the page groups itself.
func bareFingerprint(s string) string { return strings.Join(strings.Fields(s), "") }
