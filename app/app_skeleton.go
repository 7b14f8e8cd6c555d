package app

import (
	"context"
	"errors"
	"io"

	"coffer/cloud"
)

var errUnbuilt = errors.New("app: not built yet")

func (a *App) Setup(ctx context.Context, o SetupOptions) (SetupResult, error) {
	return SetupResult{}, errUnbuilt
}
func (a *App) Open(ctx context.Context, o OpenOptions) (OpenResult, error) {
	return OpenResult{}, errUnbuilt
}
func (a *App) InspectPlace(ctx context.Context, dest string) (PlaceInfo, error) {
	return PlaceInfo{}, errUnbuilt
}
func (a *App) WaysIn(ctx context.Context, dest, repository string) ([]WayIn, error) {
	return nil, errUnbuilt
}
func (a *App) SuggestedSources(ctx context.Context) []SourceSuggestion { return nil }
func (a *App) MeasureSource(ctx context.Context, path string, progress func(files, bytes int64)) (files, bytes int64, err error) {
	return 0, 0, errUnbuilt
}
func DefaultExcludes() []Exclude                                 { return nil }
func (a *App) SheetInsideSources(path string) bool               { return false }
func (a *App) Unlock(ctx context.Context, o UnlockOptions) error { return errUnbuilt }
func (a *App) RecoveryLines(ctx context.Context) ([8]RecoveryLine, error) {
	return [8]RecoveryLine{}, errUnbuilt
}
func (a *App) VerifyRecovery(ctx context.Context, text []byte) error { return errUnbuilt }
func (a *App) MarkSheetProven() error                                { return errUnbuilt }
func (a *App) SheetProven() bool                                     { return false }
func (a *App) WriteSheet(ctx context.Context, w io.Writer, key RootKey, paper, place string) error {
	return errUnbuilt
}
func (a *App) ReadSheetPDF(ctx context.Context, r io.Reader) (RootKey, error) {
	return RootKey{}, errUnbuilt
}
func (a *App) ChangePassword(ctx context.Context, newPassword Secret) error { return errUnbuilt }
func (a *App) PracticePassword(ctx context.Context, password Secret) (bool, error) {
	return false, errUnbuilt
}
func (a *App) VaultStatus(ctx context.Context) (VaultStatus, error) { return VaultStatus{}, errUnbuilt }
func Explain(err error) Failure                                     { return Failure{} }

func (a *App) openPlace(ctx context.Context) (*cloud.Store, Profile, error) {
	return nil, Profile{}, errUnbuilt
}
