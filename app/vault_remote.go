package app

import (
	"context"
	"fmt"

	"coffer/vault"
	"coffer/vault/trust"
)

func (a *App) meetVault(ctx context.Context, l trust.Link) (trust.Bundle, []trust.Change, bool, error) {
	return trust.Bundle{}, nil, false, fmt.Errorf("reach %s: %w", l.Address, vault.ErrOffline)
}

func (a *App) moveVault(ctx context.Context, o MoveOptions) (MoveReport, error) {
	return MoveReport{}, fmt.Errorf("move: %w", vault.ErrOffline)
}

func (a *App) leaveVault(ctx context.Context) (LeaveReport, error) {
	return LeaveReport{}, fmt.Errorf("leave: %w", vault.ErrOffline)
}
