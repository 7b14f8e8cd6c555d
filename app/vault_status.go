package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"coffer/app/repo"
	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/trust"
)

// expiresSoon is how long before its bundle expires a vault is warned of.
const expiresSoon = 30 * day

// VaultStatus asks the vault how the password of this profile stands, and for its log.
// Asking charges nothing. Of a vault on another computer it says only where that is; of one
// on a network that does not answer, or is refused, what this computer knows of it, and why
// (VaultStatus.Refusal). Vaults that were left and still have a record are asked again to
// destroy it.
func (a *App) VaultStatus(ctx context.Context) (VaultStatus, error) {
	root, err := a.rootKey(ctx)
	if err != nil {
		return VaultStatus{}, err
	}
	defer root.Wipe()
	keys := root.Derive()
	defer keys.Wipe()
	store, p, err := a.openPlace(ctx)
	if err != nil {
		return VaultStatus{}, err
	}
	defer store.Close()
	head, _ := store.heads.verified(keys)
	status := VaultStatus{Left: -1}
	left, err := a.settleLeft(ctx, root, head)
	if err != nil {
		return VaultStatus{}, err
	}
	status.LeftBehind = a.leftRecords(left)
	if head == nil || head.Vault == nil {
		status.warn(p, time.Now())
		return status, nil
	}
	err = a.askStatus(ctx, head.Vault, keys, &status)
	status.warn(p, time.Now())
	return status, err
}

func (a *App) askStatus(ctx context.Context, at *repo.VaultSlot, keys *crypto.Keys, status *VaultStatus) error {
	slot := vaultSlot(at)
	status.Tries = at.Tries
	if link, remote := remoteLink(slot); remote {
		return a.askServer(ctx, link, slot, keys, status)
	}
	status.Kind, status.Computer = VaultEmbedded, at.Computer
	if !a.vaultHere(at) {
		return nil
	}
	status.Here, status.Where = true, a.cfg.VaultDir
	status.Sealer, status.Enforced, status.Store = trust.SealerSoftware, EnforcedByProgram, trust.StoreFile
	err := a.withSlot(ctx, slot, func(c *vault.Client) error { return a.fillStatus(ctx, c, slot, keys, status) })
	if err != nil {
		return fmt.Errorf("ask vault: %w", err)
	}
	return nil
}

// askServer fills in what the vault says, or why it said nothing. Only being cancelled is
// an error: what is known is worth showing, whatever the vault does.
func (a *App) askServer(ctx context.Context, link trust.Link, slot vault.Slot, keys *crypto.Keys, status *VaultStatus) error {
	ref := a.refOfLink(link)
	status.Kind, status.Name, status.Address, status.Link = VaultServer, ref.Name, ref.Address, link.String()
	status.Fingerprint, status.Sealer, status.Hardware = link.Fingerprint(), ref.Sealer, ref.Hardware
	if ref.Sealer != "" {
		status.Enforced = enforcedBy(ref.Sealer)
	}
	err := a.withSlot(ctx, slot, func(c *vault.Client) error {
		b := c.Bundle()
		status.Name, status.Sealer, status.Hardware, status.Enforced = b.Name, b.Sealer, isHardware(b.Sealer), enforcedBy(b.Sealer)
		status.Store, status.Incarnation, status.BundleIssued, status.BundleExpires = b.Store, b.Incarnation, b.Issued, b.Expires
		if err := a.fillStatus(ctx, c, slot, keys, status); err != nil {
			return err
		}
		if b.Sealer != trust.SealerTPM || status.State != "active" {
			return nil
		}
		_, err := c.CheckHardware(ctx, slot)
		status.Attested = err == nil
		return err
	})
	for _, c := range a.knownVault(link).seen().Changes {
		status.changed(c, time.Now())
	}
	if status.Reachable {
		if err := a.knownVault(link).looked(status.Log); err != nil {
			a.cfg.Log.WarnContext(ctx, "could not note what was shown: it is said again", "err", err)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		a.cfg.Log.InfoContext(ctx, "the vault did not say how it is", "err", err)
		status.Refusal = Explain(err)
	}
	return nil
}

func (a *App) fillStatus(ctx context.Context, c *vault.Client, slot vault.Slot, keys *crypto.Keys, out *VaultStatus) error {
	s, err := c.Status(ctx, slot)
	if err != nil {
		return err
	}
	out.Reachable = true
	out.State, out.Tries, out.Left, out.Until = stateName(s), s.Tries, s.Left, s.Until
	if out.Log, err = readLog(ctx, c, slot, keys); err != nil {
		return err
	}
	a.keepLook(ctx, c, slot, s, out)
	if s.Anchor == 0 || s.State == vault.StateDestroyed {
		return nil // nothing was ever there, or nothing is left
	}
	known, err := readAnchor(ctx, c, slot, keys)
	if err != nil {
		return err
	}
	out.Anchor = VaultAnchor{Snapshots: len(known), Newest: known.newest()}
	return nil
}

// changed warns of what the vault says otherwise than before.
func (s *VaultStatus) changed(c seenChange, now time.Time) {
	if c.At.Before(now.Add(-changeShownFor)) {
		return
	}
	s.Warnings = append(s.Warnings, c.warning())
}

// warn adds the warnings that follow from what is known.
func (s *VaultStatus) warn(p Profile, now time.Time) {
	add := func(code VaultWarningCode, args map[string]string) {
		s.Warnings = append(s.Warnings, VaultWarning{Code: code, Args: args})
	}
	if !s.BundleExpires.IsZero() && s.BundleExpires.Before(now.Add(expiresSoon)) {
		add(VaultWarnExpires, map[string]string{"until": s.BundleExpires.Format(time.RFC3339)})
	}
	if n, device := s.wrongTries(); n > 0 && !s.warns(VaultWarnStrange) {
		add(VaultWarnLog, map[string]string{"count": strconv.Itoa(n), "device": device})
	}
	for _, r := range s.LeftBehind {
		if r.Receipt == nil && !r.Unknown {
			add(VaultWarnNotDestroyed, map[string]string{"name": r.Vault.Name, "address": r.Vault.Address})
		}
	}
	if s.Kind != "" && p.SheetProvenAt.IsZero() {
		add(VaultWarnNoFallback, map[string]string{})
	}
}

// wrongTries counts the tries that opened nothing since the last right one, and names the
// device of the newest.
func (s *VaultStatus) wrongTries() (n int, device string) {
	spent := spentTries(sinceLast(s.Log, "right", "reset", "committed", "replaced", "unfrozen"))
	if len(spent) == 0 {
		return 0, ""
	}
	return len(spent), spent[len(spent)-1].device
}

func (s *VaultStatus) warns(code VaultWarningCode) bool {
	return slices.ContainsFunc(s.Warnings, func(w VaultWarning) bool { return w.Code == code })
}

// keepLook keeps what a vault on a network has said, warns of what the user does not know
// yet, and notes that now he does.
func (a *App) keepLook(ctx context.Context, c *vault.Client, slot vault.Slot, s vault.Status, out *VaultStatus) {
	link, remote := remoteLink(slot)
	if !remote {
		return
	}
	known := a.knownVault(link)
	if err := known.keepWatch(slot, s, c.Bundle(), out.Log, a.cfg.Computer, time.Now()); err != nil {
		a.cfg.Log.WarnContext(ctx, "could not keep what the vault said: a full disk hides nothing of it", "err", err)
	}
	w := known.seen().Watch
	if !w.of(slot.Record) {
		return // of nothing kept, nothing is said; the log is shown all the same
	}
	if w.Strange > 0 {
		out.Warnings = append(out.Warnings, w.strange())
	}
	if w.Behind {
		out.Warnings = append(out.Warnings, w.behind())
	}
}

// ResetVault gives all tries back, and has hardware that counts by itself count from zero.
// It takes the key that this computer has. [ErrNoSuchWay], [VaultElsewhereError],
// [vault.ErrDestroyed], and as [App.InspectVault].
func (a *App) ResetVault(ctx context.Context) error {
	c, err := a.openChange(ctx, Secret{})
	if err != nil {
		return err
	}
	defer c.end()
	if c.head.Vault == nil {
		return fmt.Errorf("reset the tries: %w", ErrNoSuchWay)
	}
	slot := vaultSlot(c.head.Vault)
	err = a.withSlot(ctx, slot, func(v *vault.Client) error { return v.Reset(ctx, slot, c.root) })
	if err != nil {
		return fmt.Errorf("reset the tries: %w", err)
	}
	return nil
}
