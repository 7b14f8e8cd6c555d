package wiring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/icloud"
)

// An icloudPlace removes the folder that it was lent.
type icloudPlace struct {
	*icloud.Driver
	lent string // "": none
}

var (
	_ cloud.Stater     = (*icloudPlace)(nil)
	_ cloud.Confirmer  = (*icloudPlace)(nil)
	_ cloud.Maintainer = (*icloudPlace)(nil)
)

// Close implements [io.Closer].
func (p *icloudPlace) Close() error {
	if p.lent == "" {
		return nil
	}
	return os.RemoveAll(p.lent)
}

// noICloud says that this computer has no synced folder.
func (c *connector) noICloud() string {
	if _, err := c.findICloud(c.home, c.getenv); err != nil {
		return "no-icloud"
	}
	return ""
}

// openICloud returns the place and the path of its folder.
func (c *connector) openICloud(d dest, r app.PlaceRequest) (*icloudPlace, string, error) {
	root, err := c.findICloud(c.home, c.getenv)
	if err != nil {
		return nil, "", err
	}
	dir := filepath.Join(root, d.at)
	lent, err := staging(r.State)
	if err != nil {
		return nil, dir, fmt.Errorf("make folder to prepare objects in: %w", err)
	}
	at := lent
	if lent == "" {
		at = filepath.Join(r.State, "staging")
	}
	place := &icloudPlace{lent: lent}
	place.Driver, err = icloud.New(icloud.Config{Root: root, Folder: d.at, Staging: at, Create: r.Create})
	if err != nil {
		return nil, dir, errors.Join(err, place.Close())
	}
	return place, dir, nil
}

// staging makes a temporary folder for a place that is only looked at, or not yet the
// profile's. "": the place has a folder of its own.
func staging(state string) (lent string, err error) {
	if state != "" {
		return "", makeState(state)
	}
	return os.MkdirTemp("", "coffer-icloud-")
}
