package main

import (
	"fmt"
	"strings"
	"time"

	"coffer/app"
)

// vaultText is a status as people read it.
func vaultText(s app.VaultStatus) string {
	var b strings.Builder
	if s.Kind == "" {
		b.WriteString("This backup has no password, so no vault guards it.\n")
	} else {
		whereText(&b, s)
		triesLeftText(&b, s)
		anchorText(&b, s)
	}
	for _, w := range s.Warnings {
		if text := warningText(w); text != "" {
			fmt.Fprintf(&b, "Careful: %s\n", text)
		}
	}
	for _, l := range s.LeftBehind {
		if l.Receipt != nil {
			fmt.Fprintf(&b, "Left: the vault %s destroyed its record on %s.\n", refText(l.Vault), dateText(l.Receipt.At))
		}
	}
	for _, e := range s.Log {
		fmt.Fprintf(&b, "%s\n", eventLine(e))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func whereText(b *strings.Builder, s app.VaultStatus) {
	if s.Kind != app.VaultServer {
		fmt.Fprintf(b, "The vault is on %s (%s, %s).\n", printable(s.Computer), printable(s.Kind), printable(s.Sealer))
		return
	}
	fmt.Fprintf(b, "The vault is run by %s (%s).\n", orUnknown(s.Name), printable(s.Address))
	fmt.Fprintf(b, "Its keys: %s\n", s.Fingerprint)
	b.WriteString(hardwareText(s.Hardware, s.Enforced))
	if s.Attested {
		b.WriteString("The chip has proven that just now.\n")
	}
	if !s.BundleExpires.IsZero() {
		fmt.Fprintf(b, "What it says of itself is good until %s.\n", dayText(s.BundleExpires))
	}
}

// hardwareText says who could copy the keys, and who counts.
func hardwareText(hardware bool, enforced string) string {
	switch {
	case enforced == "":
		return ""
	case !hardware:
		return "Hardware: no. Its keys are in files, and its program counts the tries.\n"
	case enforced == app.EnforcedByTPM:
		return "Hardware: yes. A TPM counts the tries, against everybody.\n"
	case enforced == app.EnforcedByToken:
		return "Hardware: yes. Its keys cannot leave a token; its program counts the tries.\n"
	}
	return "Hardware: yes. Its keys are bound to a TPM, which notices old copies; its program counts the tries.\n"
}

func triesLeftText(b *strings.Builder, s app.VaultStatus) {
	switch {
	case s.State == "destroyed":
		b.WriteString("It has destroyed its key: no password opens this backup any more. The 64 digits still do.\n")
	case s.State == "frozen":
		b.WriteString("It is frozen: it takes no tries.\n")
	case s.Left < 0:
		fmt.Fprintf(b, "It allows %s. How many are left is not known.\n", count(int64(s.Tries), "try", "tries"))
	default:
		fmt.Fprintf(b, "%d of %s left.\n", s.Left, count(int64(s.Tries), "try is", "tries are"))
	}
	if !s.Until.IsZero() {
		fmt.Fprintf(b, "It takes none before %s.\n", dateText(s.Until))
	}
}

func anchorText(b *strings.Builder, s app.VaultStatus) {
	if s.Anchor.Snapshots > 0 {
		fmt.Fprintf(b, "It knows of the newest backup, of %s, so that no place can hide it.\n", dateText(s.Anchor.Newest))
	}
}

// vaultWarnings has a sentence for every warning of package app.
var vaultWarnings = map[app.VaultWarningCode][]string{
	app.VaultWarnRestored:     say("The vault went on from a copy of its store, so tries may have come back. A new password makes them worthless: 'coffer password change'."),
	app.VaultWarnWeaker:       say("The vault says something weaker than before: {kind} was {before}, and is {after}. "+weakerAdvice, "The vault says something weaker than before. "+weakerAdvice),
	app.VaultWarnExpires:      say("What the vault says of itself expires {until}, and it has nothing newer. Ask whoever runs it.", "What the vault says of itself expires soon. Ask whoever runs it."),
	app.VaultWarnNotDestroyed: say("The vault that was left ({name}) still has its record. It is asked again after each backup.", "A vault that was left still has its record. It is asked again after each backup."),
	app.VaultWarnNoFallback:   say("If the vault is lost, so is the password, and the recovery sheet is not proven yet: 'coffer key sheet FILE.pdf', then 'coffer key verify'."),
	app.VaultWarnLog:          say("Wrong passwords since the last right one: {count}, the last from {device}.", "Wrong passwords since the last right one: {count}.", "There were wrong passwords since the last right one."),
	app.VaultWarnStrange: say("Tries of the password since {since} that were not made here and opened nothing: {count}, the last from {device}. "+strangeAdvice,
		"Tries of the password since {since} that were not made here and opened nothing: {count}. "+strangeAdvice,
		"There were tries of the password that were not made here and opened nothing. "+strangeAdvice),
	app.VaultWarnBehind: say("The vault's chip allows {left} of {of} tries, fewer than its log explains: it could not be told of the last right password. "+behindAdvice,
		"The vault's chip allows fewer tries than its log explains. "+behindAdvice),
	app.VaultWarnDestroyed: say("Too many wrong tries: the vault has destroyed its key, and no password opens this backup any more. This computer and the 64 digits do. Set a new one: 'coffer password change'."),
	app.VaultWarnSilent:    say("The vault of the password has not answered since {since}. Ask whoever runs it; 'coffer vault move LINK' takes the password elsewhere.", "The vault of the password does not answer. Ask whoever runs it; 'coffer vault move LINK' takes the password elsewhere."),
}

const (
	strangeAdvice = "If that was not you: who made them can read the place of the backup. Change what opens it, then the password ('coffer password change')."
	behindAdvice  = "'coffer vault reset' gives them back. If it comes again, ask whoever runs the vault."
)

// vaultChanges says what has become weaker, by kind.
var vaultChanges = map[string][]string{
	"name":        say("It was called {before}, and now {after}. Is it still run by those whom you chose?"),
	"tries":       say("It allowed {before} tries, and now {after}."),
	"waits":       say("It makes people wait less between tries: {before} before, now {after}."),
	"floor":       say("It lets a guess cost less: {before} before, now {after} (memory, passes, threads)."),
	"sealer":      say("Its keys are held in a weaker way: {before} before, now {after}."),
	"attestation": say("Another chip counts its tries than before."),
}

const weakerAdvice = "Ask whoever runs it. 'coffer vault move LINK' takes the password elsewhere."

// warningText is a warning as people read it.
func warningText(w app.VaultWarning) string {
	if w.Code == app.VaultWarnWeaker {
		if change := fill(vaultChanges[w.Args["kind"]], w.Args); change != "" {
			return "The vault has changed. " + change + " " + weakerAdvice
		}
	}
	return fill(vaultWarnings[w.Code], w.Args)
}

func eventLine(e app.VaultEvent) string {
	return strings.TrimRight(fmt.Sprintf("  %s  %s  %s", pad(dateText(e.At), 23), pad(eventText(e.Kind), 20), deviceText(e.Device)), " ")
}

// eventText says in words what the vault's log has as a kind.
func eventText(kind string) string {
	words := map[string]string{
		"committed": "password registered", "replaced": "it took effect", "right": "right password",
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

func orUnknown(name string) string {
	if name == "" {
		return "somebody"
	}
	return printable(name)
}

// refText names a vault in a sentence.
func refText(r app.VaultRef) string {
	if r.Kind != app.VaultServer {
		return "on " + orUnknown(r.Name)
	}
	return fmt.Sprintf("of %s (%s)", orUnknown(r.Name), printable(r.Address))
}

func destroyedText(from app.VaultRef, r *app.VaultReceipt, waiting bool) string {
	switch {
	case r != nil:
		return fmt.Sprintf("The vault %s destroyed its record on %s, and signed that.", refText(from), dateText(r.At))
	case waiting:
		return fmt.Sprintf("The vault %s did not answer, and is asked again after each backup to destroy its record.", refText(from))
	}
	return fmt.Sprintf("The vault %s has no record of it.", refText(from))
}

// describeText is what a vault says of itself, for people who are about to trust it.
func describeText(d app.VaultDescription) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This vault is run by %s (%s).\n", printable(d.Name), printable(d.Address))
	fmt.Fprintf(&b, "Its keys: %s\n", d.Fingerprint)
	b.WriteString(hardwareText(d.Hardware, d.Enforced))
	fmt.Fprintf(&b, "It allows %s%s.\n", count(int64(d.Tries), "try", "tries"), waitsText(d.Waits))
	switch {
	case d.Register == "invite" && d.HasInvitation:
		b.WriteString("It takes those whom it has invited; the link has an invitation.\n")
	case d.Register == "invite":
		b.WriteString("It takes those whom it has invited, and the link has no invitation.\n")
	case d.Register == "oidc":
		fmt.Fprintf(&b, "It takes those who sign in at %s.\n", printable(d.Issuer))
	default:
		b.WriteString("It takes everybody who has the link.\n")
	}
	if d.SecondSigner {
		b.WriteString("Two keys have signed for it, as the link wants.\n")
	}
	if d.Incarnation > 0 {
		fmt.Fprintf(&b, "It went on from a copy of its store %s.\n", count(int64(d.Incarnation), "time", "times"))
	}
	for _, c := range d.Changes {
		fmt.Fprintf(&b, "Careful: it says something weaker than before: %s was %s, and is %s.\n", printable(c.Kind), printable(c.Before), printable(c.After))
	}
	fmt.Fprintf(&b, "What it says of itself is good until %s.", dayText(d.Expires))
	return b.String()
}

func waitsText(waits []time.Duration) string {
	for i, w := range waits {
		if w > 0 {
			return fmt.Sprintf(", with waits from the wrong one number %d on, up to %s", i+1, durationText(waits[len(waits)-1]))
		}
	}
	return ""
}

type describedRecord struct {
	Link         string         `json:"link"`
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	Address      string         `json:"address"`
	Sealer       string         `json:"sealer"`
	Hardware     bool           `json:"hardware"`
	Enforced     string         `json:"enforced"`
	Tries        int            `json:"tries"`
	Waits        []float64      `json:"waits"` // seconds
	Register     string         `json:"register"`
	Issuer       string         `json:"issuer,omitempty"`
	Invitation   bool           `json:"invitation"`
	SecondSigner bool           `json:"second_signer"`
	Store        string         `json:"store"`
	Incarnation  uint64         `json:"incarnation"`
	Issued       time.Time      `json:"issued"`
	Expires      time.Time      `json:"expires"`
	Fingerprint  string         `json:"fingerprint"`
	Known        bool           `json:"known"`
	Changes      []changeRecord `json:"changes"`
}

type changeRecord struct {
	Kind   string `json:"kind"`
	Before string `json:"before"`
	After  string `json:"after"`
}

func describeRecord(d app.VaultDescription) describedRecord {
	r := describedRecord{
		Link: d.Link, ID: d.ID, Name: d.Name, Address: d.Address, Sealer: d.Sealer, Hardware: d.Hardware, Enforced: d.Enforced,
		Tries: d.Tries, Waits: []float64{}, Register: d.Register, Issuer: d.Issuer, Invitation: d.HasInvitation, SecondSigner: d.SecondSigner,
		Store: d.Store, Incarnation: d.Incarnation, Issued: d.Issued, Expires: d.Expires, Fingerprint: d.Fingerprint, Known: d.Known,
		Changes: []changeRecord{},
	}
	for _, w := range d.Waits {
		r.Waits = append(r.Waits, w.Seconds())
	}
	for _, c := range d.Changes {
		r.Changes = append(r.Changes, changeRecord(c))
	}
	return r
}
