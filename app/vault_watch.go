package app

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/trust"
)

const (
	silentAfter  = 14 * day         // a vault that has not answered for so long is said
	firstLook    = 30 * day         // how far back a computer that is new to a record looks
	typoFor      = time.Hour        // a wrong try that the same device has made good by then was its own
	tryLife      = 65 * time.Second // how long after a try its outcome can come (docs/vault-protocol.md, "States"), and some
	maxLogDevice = 64               // bytes of a device's name that are kept
)

// seenWatch is what this computer last heard of its record in a vault on a network, so that
// Home and the next backup can say it without asking. Backups look, and so does
// [App.VaultStatus]: what that has shown to the user is not said again.
type seenWatch struct {
	Record []byte `json:"record"`
	State  string `json:"state"` // in the vault's words: "active", ...
	Left   int    `json:"left"`
	Tries  int    `json:"tries"`
	Serial uint64 `json:"serial"`           // tries ever charged
	Behind bool   `json:"behind,omitempty"` // its chip allows fewer tries than its log explains
	Own    int    `json:"own,omitempty"`    // tries from here that opened nothing, since the user looked
	Looked int64  `json:"looked,omitempty"` // the newest line of the log that the user was shown, as the vault dates it: unix ms

	Strange int       `json:"strange,omitempty"` // tries since then that were not made here, and that nobody has made good
	Since   time.Time `json:"since,omitzero"`    // the first of them
	Device  string    `json:"device,omitempty"`  // the name that the last of them came under
}

func (w *seenWatch) check() bool {
	return w == nil || len(w.Record) == 16 && len(w.Device) <= maxLogDevice
}

func (w *seenWatch) of(record [16]byte) bool { return w != nil && [16]byte(w.Record) == record }

// watch asks how the record of a slot stands, and keeps what that means for Home. The log is
// asked for when something has happened since.
func (a *App) watch(ctx context.Context, c *vault.Client, slot vault.Slot, keys *crypto.Keys) error {
	link, ok := remoteLink(slot)
	if !ok {
		return nil
	}
	s, err := c.Status(ctx, slot)
	if err != nil {
		return err
	}
	known := a.knownVault(link)
	w := known.seen().Watch
	if w.of(slot.Record) && w.Serial == s.Serial && w.Left == s.Left && w.State == stateName(s) {
		return nil
	}
	log, err := readLog(ctx, c, slot, keys)
	if err != nil {
		return err
	}
	return known.keepWatch(slot, s, c.Bundle(), log, a.cfg.Computer, time.Now())
}

func stateName(s vault.Status) string { return strings.ToLower(s.State.String()) }

// readLog returns the log with the devices that its verdicts lack. A destroyed record may
// have none.
func readLog(ctx context.Context, c *vault.Client, slot vault.Slot, keys *crypto.Keys) ([]VaultEvent, error) {
	events, err := c.Log(ctx, slot, keys.Owner())
	if err != nil && !errors.Is(err, vault.ErrDestroyed) {
		return nil, err
	}
	var log []VaultEvent
	for _, e := range events {
		log = append(log, VaultEvent{At: e.At, Kind: eventName(e.Kind), Device: e.Device, Left: e.Left})
	}
	nameVerdicts(log)
	return log, nil
}

// nameVerdicts gives "right" and "wrong" the device of their try: the vault writes it with
// the try alone. Where tries of several devices were open, nobody can say whose it was.
func nameVerdicts(log []VaultEvent) {
	var open []int
	for i := range log {
		e := &log[i]
		open = slices.DeleteFunc(open, func(t int) bool { return e.At.Sub(log[t].At) > tryLife })
		switch e.Kind {
		case "try":
			open = append(open, i)
		case "right", "wrong":
			if len(open) == 0 || e.Device != "" {
				continue
			}
			device := log[open[0]].Device
			if !slices.ContainsFunc(open, func(t int) bool { return log[t].Device != device }) {
				e.Device = device
			}
			open = open[:len(open)-1]
		}
	}
}

// A spentTry is a try that has opened nothing: the answer was wrong, or nobody brought one.
// Who guesses needs not bring it: the vault's reply tells him whether he was right.
type spentTry struct {
	at     time.Time
	device string
}

// spentTries returns those of a log, oldest first.
func spentTries(log []VaultEvent) []spentTry {
	var spent []spentTry
	open := 0 // of spent, at its end: without a verdict yet
	for _, e := range log {
		switch e.Kind {
		case "try":
			spent = append(spent, spentTry{e.At, e.Device})
			open++
		case "wrong":
			if open == 0 {
				spent = append(spent, spentTry{e.At, e.Device}) // its try has left the log
				continue
			}
			open--
		case "right":
			if open > 0 {
				spent = spent[:len(spent)-1]
				open--
			}
		}
	}
	return spent
}

// sinceLast returns the part of a log behind the last line of one of the kinds.
func sinceLast(log []VaultEvent, kinds ...string) []VaultEvent {
	for i, e := range slices.Backward(log) {
		if slices.Contains(kinds, e.Kind) {
			return log[i+1:]
		}
	}
	return log
}

// strangeTries returns the tries of a log that were neither made here nor made good. Before
// the password was set they are no matter any more. own is how many of those under this
// computer's name it has made itself: the name alone proves nothing, for whoever has the
// files of the backup can try under any.
func strangeTries(log []VaultEvent, since time.Time, computer string, own int) []spentTry {
	log = sinceLast(log, "committed", "replaced")
	return slices.DeleteFunc(spentTries(log), func(t spentTry) bool {
		good := slices.ContainsFunc(log, func(e VaultEvent) bool {
			return e.Kind == "right" && e.Device != "" && e.Device == t.device && e.At.After(t.at) && e.At.Sub(t.at) < typoFor
		})
		if good || !t.at.After(since) {
			return true
		}
		if t.device == computer && own > 0 {
			own--
			return true
		}
		return false
	})
}

// isBehind reports that a chip that counts by itself allows fewer tries than the log
// explains: to give them back has failed, or somebody made it count past its vault.
// Nothing is mended here: only a right password, or the owner who asks for it, may give
// tries back, or who controls the vault's program would guess for ever.
func isBehind(s vault.Status, b trust.Bundle, log []VaultEvent) bool {
	if b.Sealer != trust.SealerTPM || s.State != vault.StateActive || len(log) == 0 {
		return false
	}
	return s.Left < s.Tries-len(spentTries(sinceLast(log, "right", "reset", "committed", "replaced", "unfrozen")))
}

// keepWatch keeps what a look at the record has shown.
func (k knownVault) keepWatch(slot vault.Slot, s vault.Status, b trust.Bundle, log []VaultEvent, computer string, now time.Time) error {
	return k.change(func(seen *seenJSON) {
		if !seen.Watch.of(slot.Record) {
			seen.Watch = &seenWatch{Record: slot.Record[:], Looked: now.Add(-firstLook).UnixMilli()}
		}
		w := seen.Watch
		w.State, w.Left, w.Tries, w.Serial = stateName(s), s.Left, s.Tries, s.Serial
		w.Behind = isBehind(s, b, log)
		w.Strange, w.Since, w.Device = 0, time.Time{}, ""
		if tries := strangeTries(log, time.UnixMilli(w.Looked), computer, w.Own); len(tries) > 0 {
			last := tries[len(tries)-1]
			w.Strange, w.Since, w.Device = len(tries), tries[0].at.UTC(), last.device[:min(len(last.device), maxLogDevice)]
		}
		seen.Failed, seen.Expires = time.Time{}, b.Expires
	})
}

// looked notes that the user was shown all of it.
func (k knownVault) looked(log []VaultEvent) error {
	return k.change(func(s *seenJSON) {
		s.Shown = time.Now().UTC().Truncate(time.Second)
		if s.Watch == nil {
			return
		}
		for _, e := range log {
			s.Watch.Looked = max(s.Watch.Looked, e.At.UnixMilli())
		}
		s.Watch.Own, s.Watch.Strange, s.Watch.Since, s.Watch.Device = 0, 0, time.Time{}, ""
	})
}

// forgetWatch is for a password that was set anew: what was heard of the one before is no
// matter any more.
func (k knownVault) forgetWatch() error {
	if k.seen().Watch == nil {
		return nil
	}
	return k.change(func(s *seenJSON) { s.Watch = nil })
}

// triedHere notes a try of this computer that has opened nothing.
func (k knownVault) triedHere(record [16]byte) error {
	return k.change(func(s *seenJSON) {
		if !s.Watch.of(record) {
			s.Watch = &seenWatch{Record: record[:], Looked: time.Now().Add(-firstLook).UnixMilli()}
		}
		s.Watch.Own++
	})
}

// notRearmed notes that a chip goes on from where it was, after a right password.
func (k knownVault) notRearmed(record [16]byte) error {
	return k.change(func(s *seenJSON) {
		if s.Watch.of(record) {
			s.Watch.Behind = true
		}
	})
}

// answered notes whether a look at the vault has come to something.
func (k knownVault) answered(ok bool) error {
	if s := k.seen(); ok == s.Failed.IsZero() {
		return nil
	}
	return k.change(func(s *seenJSON) {
		s.Failed = time.Time{}
		if !ok {
			s.Failed = time.Now().UTC().Truncate(time.Second)
		}
	})
}

// news is what the user should hear of a vault without having asked for it, the most urgent
// first; what he was shown is none, as far as it does not go on.
func (s seenJSON) news(now time.Time) []VaultWarning {
	var list []VaultWarning
	add := func(code VaultWarningCode, args map[string]string) {
		list = append(list, VaultWarning{Code: code, Args: args})
	}
	if w := s.Watch; w != nil {
		if w.State == "destroyed" {
			add(VaultWarnDestroyed, map[string]string{})
		}
		if w.Strange > 0 {
			list = append(list, w.strange())
		}
		if w.Behind && w.State == "active" {
			list = append(list, w.behind())
		}
	}
	for _, c := range s.Changes {
		if c.At.After(s.Shown) && c.At.After(now.Add(-changeShownFor)) {
			list = append(list, c.warning())
		}
	}
	if !s.Expires.IsZero() && s.Expires.Before(now.Add(expiresSoon)) {
		add(VaultWarnExpires, map[string]string{"until": s.Expires.Format(time.RFC3339)})
	}
	if !s.Failed.IsZero() && now.Sub(s.Failed) >= silentAfter {
		add(VaultWarnSilent, map[string]string{"since": s.Failed.Format(time.RFC3339)})
	}
	for i := range list {
		list[i].Args["name"], list[i].Args["address"] = s.Name, s.Address
	}
	return list
}

func (w *seenWatch) strange() VaultWarning {
	return VaultWarning{Code: VaultWarnStrange, Args: map[string]string{
		"count": strconv.Itoa(w.Strange), "since": w.Since.Format(time.RFC3339), "device": w.Device,
	}}
}

func (w *seenWatch) behind() VaultWarning {
	return VaultWarning{Code: VaultWarnBehind, Args: map[string]string{"left": strconv.Itoa(w.Left), "of": strconv.Itoa(w.Tries)}}
}

func (c seenChange) warning() VaultWarning {
	code := VaultWarnWeaker
	if c.Kind == string(trust.ChangeRestored) {
		code = VaultWarnRestored
	}
	return VaultWarning{Code: code, Args: map[string]string{"kind": c.Kind, "before": c.Before, "after": c.After}}
}

// vaultNews is what the user should hear of the vault of this profile. It asks nobody.
func (a *App) vaultNews(p Profile, now time.Time) []VaultWarning {
	link, err := trust.ParseLink(p.VaultLink)
	if p.VaultLink == "" || err != nil {
		return nil
	}
	return a.knownVault(link).seen().news(now)
}

// openRecord is a try. One that opens nothing is noted: it was made here.
func (a *App) openRecord(ctx context.Context, slot vault.Slot, password Secret) (root RootKey, err error) {
	err = a.withSlot(ctx, slot, func(c *vault.Client) (err error) {
		root, _, err = c.Open(ctx, slot, password)
		return err
	})
	link, remote := remoteLink(slot)
	spent := errors.Is(err, vault.ErrWrongPassword) || errors.Is(err, vault.ErrUnknownOutcome) || errors.Is(err, vault.ErrDestroyed)
	if remote && spent {
		if err := a.knownVault(link).triedHere(slot.Record); err != nil {
			a.cfg.Log.WarnContext(ctx, "could not note a try", "err", err)
		}
	}
	return root, err
}
