package app

import "context"

// A PlaceCheck is one step of TestPlace.
type PlaceCheck struct {
	Name    string  `json:"name"` // "write", "read", "ranges", "list", "overwrite", "delete", "large", "speed"
	OK      bool    `json:"ok"`
	Skipped bool    `json:"skipped,omitempty"`
	Failure Failure `json:"-"`
	Seconds float64 `json:"seconds"`
}

// A PlaceTest is what a place was found to do.
type PlaceTest struct {
	Dest     string // canonical
	Checks   []PlaceCheck
	Promises []Promise
	Up, Down float64 // bytes a second; 0 not measured
	Seconds  float64
}

// TestPlace tries what a backup needs of a place, with objects that it makes itself and
// removes at the end. step, if not nil, hears of each check.
func (a *App) TestPlace(ctx context.Context, dest string, step func(PlaceCheck)) (PlaceTest, error) {
	return PlaceTest{}, errNotBuilt
}
