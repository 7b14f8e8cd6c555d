package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"coffer/app/repo"
	"coffer/cloud"
	"coffer/internal/durable"
)

// pendingSetup notes which backup a Setup is making where: state/pending-setup.json. It
// proves that a head found there later is our own and that nobody else uses it.
type pendingSetup struct {
	Version    int     `json:"version"`
	Repository string  `json:"repository"`
	Dest       rawText `json:"destination"`
}

func (a *App) writePendingSetup(p pendingSetup) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encode note of the setup: %w", err)
	}
	if err := durable.WriteFile(a.pendingSetupPath(), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write note of the setup: %w", err)
	}
	return nil
}

func parsePendingSetup(data []byte) (pendingSetup, error) {
	var p pendingSetup
	if err := decodeStrictly(data, &p); err != nil {
		return pendingSetup{}, err
	}
	if p.Version != 1 || !isHex(p.Repository, 32) || p.Dest == "" {
		return pendingSetup{}, ErrProfileDamaged
	}
	return p, nil
}

// abandonedHeads returns the names of the heads in a place, if all there is are heads of
// the one backup that a Setup of this profile began in this place and did not finish. In
// any other case it returns none: what may be somebody's is never taken away. Such a head
// was never given to anybody, for its key died with that Setup or comes again with this one.
func (a *App) abandonedHeads(ctx context.Context, store *cloud.Store, dest string) ([]string, error) {
	data, err := readBounded(a.pendingSetupPath(), maxPending)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrProfileDamaged) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read note of the setup: %w", err)
	}
	note, err := parsePendingSetup(data)
	if err != nil || string(note.Dest) != dest {
		return nil, nil
	}
	heads, err := repo.ReadHeads(ctx, store)
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for _, h := range heads {
		if h.Repository.String() == note.Repository {
			ours["head-"+h.Name.String()] = true
		}
	}
	var names []string
	for object, err := range store.List(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("list place: %w", err)
		}
		switch {
		case ours[object.Name]:
			names = append(names, object.Name)
		case object.Name != "README.txt":
			return nil, nil
		}
	}
	return names, nil
}
