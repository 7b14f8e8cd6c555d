package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
)

func TestInspectPlace(t *testing.T) {
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	info, err := ann.App.InspectPlace(t.Context(), filepath.Join(w.Dir, "none"))
	if err != nil || info.Exists || len(info.Backups) != 0 {
		t.Errorf("a place that is not there: %+v, %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(w.Place, "holiday.jpg"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := w.Objects("")
	info, err = ann.App.InspectPlace(t.Context(), w.Place)
	if err != nil || !info.Exists || !info.Writable || info.Foreign != 1 || info.Free <= 0 || info.Total < info.Free || info.Dest != w.Place {
		t.Errorf("an empty place: %+v, %v", info, err)
	}
	if after := w.Objects(""); !slices.Equal(before, after) {
		t.Errorf("looking changed the place from %v to %v", before, after)
	}
	_, err = ann.App.InspectPlace(t.Context(), filepath.Join(w.Place, "holiday.jpg"))
	mustExplain(t, err, app.CodePlaceNotFolder)

	made := setup(t, w, ann, nil)
	if !slices.Contains(codes(made.Notices), app.NoticeForeignFiles) {
		t.Errorf("notices %v say nothing of the other file", codes(made.Notices))
	}
	for _, c := range []*apptest.Computer{ann, w.Computer("BOB-PC")} {
		info, err = c.App.InspectPlace(t.Context(), w.Place)
		if err != nil || len(info.Backups) != 1 {
			t.Fatalf("%+v, %v", info, err)
		}
		b := info.Backups[0]
		if b.Repository != made.Repository || b.Computer != "ANN-LAPTOP" || time.Since(b.MadeAt) > time.Minute || b.Bytes <= 0 {
			t.Errorf("the backup is %+v", b)
		}
		i := slices.IndexFunc(b.Ways, func(w app.WayIn) bool { return w.Kind == app.LockPassword })
		if len(b.Ways) != 2 || i < 0 || b.Ways[i].VaultHere != (c == ann) || b.Ways[i].VaultComputer != "ANN-LAPTOP" || b.Ways[i].Tries != 10 {
			t.Errorf("the ways in are %+v", b.Ways)
		}
	}
}

func TestSourcesAreSuggestedAndMeasured(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	got := c.App.SuggestedSources(t.Context())
	if len(got) != 1 || got[0].ID != "documents" || got[0].Path != c.Docs {
		t.Errorf("suggested %+v", got)
	}
	if err := os.WriteFile(filepath.Join(c.Docs, "left out.tmp"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, size, err := c.App.MeasureSource(t.Context(), c.Docs, nil)
	if err != nil || files != 3 || size < 4*4096 {
		t.Errorf("%d files of %d bytes, %v", files, size, err)
	}
	if len(app.DefaultExcludes()) < 10 || slices.ContainsFunc(app.DefaultExcludes(), func(e app.Exclude) bool { return e.Pattern == "" || e.Reason == "" }) {
		t.Error("defaults without a pattern or a reason")
	}
}

func TestSheetOfTheProfile(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	made := setup(t, w, c, func(o *app.SetupOptions) { o.Lock = app.LockKey })
	var pdf bytes.Buffer
	if err := c.App.WriteSheet(t.Context(), &pdf, app.RootKey{}, "", ""); err != nil {
		t.Fatal(err)
	}
	key, err := c.App.ReadSheetPDF(t.Context(), &pdf)
	if err != nil || !key.Equal(made.Key) {
		t.Fatalf("the sheet holds another key: %v", err)
	}
	if c.App.SheetProven() {
		t.Error("proven without a proof")
	}
	if err := c.App.MarkSheetProven(); err != nil || !c.App.SheetProven() {
		t.Errorf("proven %v, %v", c.App.SheetProven(), err)
	}
	for path, want := range map[string]bool{
		filepath.Join(c.Docs, "sheet.pdf"): true, filepath.Join(c.Docs, "not", "yet", "sheet.pdf"): true,
		filepath.Join(w.Dir, "sheet.pdf"): false, c.Docs + " 2/sheet.pdf": false,
	} {
		if c.App.SheetInsideSources(path) != want {
			t.Errorf("%s inside the sources: %v", strings.TrimPrefix(path, w.Dir), !want)
		}
	}
}

func TestWithoutSetupEverythingSaysSo(t *testing.T) {
	c := apptest.New(t).Computer("ANN-LAPTOP")
	_, err := c.App.RecoveryLines(t.Context())
	mustExplain(t, err, app.CodeNotSetUp)
	mustExplain(t, c.App.VerifyRecovery(t.Context(), nil), app.CodeNotSetUp)
	mustExplain(t, c.App.MarkSheetProven(), app.CodeNotSetUp)
	mustExplain(t, c.App.ChangePassword(t.Context(), password(apptest.Password)), app.CodeNotSetUp)
	mustExplain(t, c.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockKey, Key: app.NewRootKey()}), app.CodeNotSetUp)
	_, err = c.App.VaultStatus(t.Context())
	mustExplain(t, err, app.CodeNotSetUp)
	o, err := c.App.Overview(t.Context())
	if err != nil || o.SetUp || o.State != app.StateNever {
		t.Errorf("overview %+v, %v", o, err)
	}
}
