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
	staging, lent := "", ""
	if r.State != "" {
		staging = filepath.Join(r.State, "staging")
		err = makeState(r.State)
	} else { // a place that is only looked at, or not yet the profile's
		lent, err = os.MkdirTemp("", "coffer-icloud-")
		staging = lent
	}
	if err != nil {
		return nil, dir, fmt.Errorf("make folder to prepare objects in: %w", err)
	}
	place := &icloudPlace{lent: lent}
	place.Driver, err = icloud.New(icloud.Config{Root: root, Folder: d.at, Staging: staging, Create: r.Create})
	if err != nil {
		return nil, dir, errors.Join(err, place.Close())
	}
	return place, dir, nil
}
