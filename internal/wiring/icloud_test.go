package wiring

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"coffer/app"
	"coffer/cloud"
)

// icloudStand is a folder that passes for iCloud Drive's: the system's part of it is
// tested where it is, in package icloud.
func icloudStand(t *testing.T) *stand {
	root := t.TempDir()
	return &stand{kind: kindICloud, dest: "iCloud:", canonical: "icloud:Coffer Backups", secrets: secrets(), dir: true, icloud: root}
}

func TestNoICloudHere(t *testing.T) {
	s := icloudStand(t)
	s.icloud = ""
	c := s.connector(t)
	c.findICloud = func(string, func(string) string) (string, error) { return "", cloud.ErrNoSync }
	if _, err := c.Open(t.Context(), s.request(true)); !errors.Is(err, cloud.ErrNoSync) {
		t.Errorf("%v, want ErrNoSync", err)
	}
	if c.noICloud() != "no-icloud" {
		t.Error("a form would offer it")
	}
}

// TestICloudStaging: objects are prepared in the place's own folder of this computer, or
// in one that is gone afterwards.
func TestICloudStaging(t *testing.T) {
	s := icloudStand(t)
	c := s.connector(t)
	state := filepath.Join(t.TempDir(), "places", "id")
	r := s.request(true)
	r.State = state
	mustOpen(t, c, r)
	if info, err := os.Stat(filepath.Join(state, "staging")); err != nil || !info.IsDir() {
		t.Errorf("no staging: %v", err)
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Setenv("TMP", temporary) // of Windows
	p := mustOpen(t, c, s.request(true))
	place := p.Driver.(*icloudPlace)
	if filepath.Dir(place.lent) != temporary || p.Dir != filepath.Join(s.icloud, "Coffer Backups") {
		t.Errorf("prepared in %q for %q", place.lent, p.Dir)
	}
	if err := place.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := c.Open(t.Context(), app.PlaceRequest{Dest: "icloud:none", Secrets: secrets()})
	if !errors.Is(err, cloud.ErrNoPlace) {
		t.Errorf("%v, want ErrNoPlace", err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
