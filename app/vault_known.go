package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"coffer/internal/durable"
	"coffer/vault"
	"coffer/vault/trust"
)

const (
	vaultsDir   = "vaults"
	maxSeenFile = 64 << 10
	maxBundle   = 16 << 10 // docs/vault-protocol.md, "Trust"

	maxSeen        = 16 // records of one vault
	maxSeenChanges = 16
	changeShownFor = 30 * day
)

// A knownVault is what this computer keeps of one vault on a network, under the
// fingerprint of its link: state/vaults/<id>.bundle, the signed bundle that was accepted
// last, and state/vaults/<id>.seen, what must never fall. A bundle that is lost makes the
// next contact a first one, as far as the slot does not pin the vault; what was seen and is
// lost makes an old store of the vault pass unnoticed, once.
type knownVault struct {
	app *App
	id  string // 20 hex digits
}

// seenJSON is <id>.seen, version 1. What people are shown of the vault stands in it, so
// that nobody has to be asked for that.
type seenJSON struct {
	Version int          `json:"version"`
	Name    string       `json:"name"`
	Address string       `json:"address"`
	Sealer  string       `json:"sealer"`
	Records []seenRecord `json:"records,omitempty"` // asked last first
	Changes []seenChange `json:"changes,omitempty"` // newest first
	Shown   time.Time    `json:"shown,omitzero"`    // when the user was shown all that stands here
	Failed  time.Time    `json:"failed,omitzero"`   // since when backups get no answer; zero: the last one did
	Expires time.Time    `json:"expires,omitzero"`  // when what it says of itself does
	Watch   *seenWatch   `json:"watch,omitempty"`   // of the record that guards this profile's password
}

type seenRecord struct {
	Record      []byte `json:"record"`
	Serial      uint64 `json:"serial"`
	Sequence    uint64 `json:"sequence"`
	Generation  uint64 `json:"generation"`
	Anchor      uint64 `json:"anchor"`
	Incarnation uint64 `json:"incarnation"`
}

type seenChange struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Before string    `json:"before"`
	After  string    `json:"after"`
}

func (a *App) knownVault(link trust.Link) knownVault {
	return knownVault{app: a, id: strings.ReplaceAll(link.Fingerprint(), " ", "")}
}

func (k knownVault) path(kind string) string {
	return filepath.Join(k.app.stateDir(), vaultsDir, k.id+kind)
}

// bundle returns the signed bundle that was accepted last, or nil.
func (k knownVault) bundle() []byte {
	data, err := readBounded(k.path(".bundle"), maxBundle)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			k.app.cfg.Log.Warn("could not read what a vault said of itself", "err", err)
		}
		return nil
	}
	return data
}

func (k knownVault) write(kind string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(k.path(kind)), 0o700); err != nil {
		return fmt.Errorf("make folder for vaults: %w", err)
	}
	return durable.WriteFile(k.path(kind), data, 0o600)
}

func (k knownVault) keepBundle(signed []byte) error { return k.write(".bundle", signed) }

// seen returns what is kept; one that cannot be read is as good as none.
func (k knownVault) seen() seenJSON {
	data, err := readBounded(k.path(".seen"), maxSeenFile)
	if err == nil {
		var s seenJSON
		if s, err = parseSeen(data); err == nil {
			return s
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		k.app.cfg.Log.Warn("could not read what was seen of a vault", "err", err)
	}
	return seenJSON{Version: 1}
}

func parseSeen(data []byte) (seenJSON, error) {
	var s seenJSON
	if err := decodeStrictly(data, &s); err != nil {
		return seenJSON{}, err
	}
	short := slices.ContainsFunc(s.Records, func(r seenRecord) bool { return len(r.Record) != 16 })
	if s.Version != 1 || short || len(s.Records) > maxSeen || len(s.Changes) > maxSeenChanges || !s.Watch.check() {
		return seenJSON{}, ErrProfileDamaged
	}
	return s, nil
}

// change changes what is kept, one writer of this program at a time.
func (k knownVault) change(fn func(*seenJSON)) error {
	k.app.vaults.Lock()
	defer k.app.vaults.Unlock()
	s := k.seen()
	fn(&s)
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what was seen of a vault: %w", err)
	}
	return k.write(".seen", append(data, '\n'))
}

// of returns what was seen of one record.
func (s seenJSON) of(record [16]byte) vault.Seen {
	for _, r := range s.Records {
		if [16]byte(r.Record) == record {
			return vault.Seen{
				Record: record, Serial: r.Serial, Sequence: r.Sequence, Generation: r.Generation,
				Anchor: r.Anchor, Incarnation: r.Incarnation,
			}
		}
	}
	return vault.Seen{Record: record}
}

// keepSeen takes over what a client saw. Another process may have seen more meanwhile.
func (k knownVault) keepSeen(now vault.Seen) error {
	return k.change(func(s *seenJSON) {
		was := s.of(now.Record)
		if was.Incarnation == now.Incarnation {
			now.Serial, now.Sequence = max(now.Serial, was.Serial), max(now.Sequence, was.Sequence)
			now.Generation, now.Anchor = max(now.Generation, was.Generation), max(now.Anchor, was.Anchor)
		}
		s.Records = slices.DeleteFunc(s.Records, func(r seenRecord) bool { return [16]byte(r.Record) == now.Record })
		s.Records = slices.Insert(s.Records, 0, seenRecord{
			Record: now.Record[:], Serial: now.Serial, Sequence: now.Sequence, Generation: now.Generation,
			Anchor: now.Anchor, Incarnation: now.Incarnation,
		})
		s.Records = s.Records[:min(len(s.Records), maxSeen)]
	})
}

// keepMet keeps what people are shown of a vault, and what it says otherwise than before.
func (k knownVault) keepMet(l trust.Link, b trust.Bundle, changes []trust.Change) error {
	s := k.seen()
	if len(changes) == 0 && s.Name == b.Name && s.Address == l.Address && s.Sealer == b.Sealer {
		return nil
	}
	return k.change(func(s *seenJSON) {
		s.Name, s.Address, s.Sealer = b.Name, l.Address, b.Sealer
		for _, c := range changes {
			next := seenChange{time.Now().UTC().Truncate(time.Second), string(c.Kind), c.Known, c.Offered}
			s.Changes = slices.Insert(s.Changes, 0, next)
		}
		s.Changes = s.Changes[:min(len(s.Changes), maxSeenChanges)]
	})
}

// refOf names the vault of a slot to people, without asking anybody.
func (a *App) refOf(slot vault.Slot) VaultRef {
	link, ok := remoteLink(slot)
	if !ok {
		ref := VaultRef{Kind: VaultEmbedded, Name: slot.Computer}
		if a.vaultHere(repoSlot(slot)) {
			ref.Sealer = sealerSoftware
		}
		return ref
	}
	return a.refOfLink(link)
}

func (a *App) refOfLink(link trust.Link) VaultRef {
	s := a.knownVault(link).seen()
	return VaultRef{Kind: VaultServer, Name: s.Name, Address: link.Address, Sealer: s.Sealer, Hardware: isHardware(s.Sealer)}
}
