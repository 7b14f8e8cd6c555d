package app_test

import (
	"slices"
	"strings"
	"testing"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

func checks(t app.PlaceTest) string {
	text := ""
	for _, c := range t.Checks {
		switch {
		case c.Skipped:
			text += "-"
		case c.OK:
			text += "."
		default:
			text += strings.ToUpper(c.Name[:1])
		}
	}
	return text
}

func TestPlaceIsTested(t *testing.T) {
	w, c := newEngine(t)
	mem := w.Mem("place")
	for _, tt := range []struct {
		name  string
		shots []cloudtest.Shot
		want  string
		code  app.Code
	}{
		{"good", nil, ".......", ""},
		{"one fault", []cloudtest.Shot{{Op: cloudtest.Put, At: 1, Fault: cloudtest.FailDone}}, ".......", ""},
		{"read-only", []cloudtest.Shot{{Op: cloudtest.Put, Fault: cloudtest.Fail, Err: cloud.ErrReadOnly}}, "W------", app.CodePlaceReadOnly},
		{"wrong bytes", []cloudtest.Shot{{Op: cloudtest.Get, Fault: cloudtest.Flip}}, ".R", app.CodeObjectDamaged},
		{"never deletes", []cloudtest.Shot{{Op: cloudtest.Delete, Fault: cloudtest.Fail, Err: cloud.ErrDenied}}, "......D", app.CodePlaceDenied},
		{"full", []cloudtest.Shot{{Op: cloudtest.Put, At: 3, Fault: cloudtest.Fail, Err: cloud.ErrFull}}, ".....L.", app.CodePlaceFull},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mem.Wrap = func(d cloud.Driver) cloud.Driver { return cloudtest.NewFaulty(d, tt.shots...) }
			var heard []string
			result, err := c.App.TestPlace(t.Context(), mem.Dest, func(p app.PlaceCheck) { heard = append(heard, p.Name) })
			if err != nil || !strings.HasPrefix(checks(result), tt.want) || len(heard) != 7 || result.OK() != (tt.code == "") {
				t.Errorf("%s, heard %d, %v", checks(result), len(heard), err)
			}
			at := slices.IndexFunc(result.Checks, func(c app.PlaceCheck) bool { return !c.OK && !c.Skipped })
			if tt.code != "" && (at < 0 || result.Checks[at].Failure.Code != tt.code) {
				t.Errorf("%+v", result.Checks)
			}
			if len(result.Promises) != 7 {
				t.Errorf("%+v", result.Promises)
			}
			mem.Wrap = nil
			if _, err := c.App.TestPlace(t.Context(), mem.Dest, nil); err != nil {
				t.Error(err)
			}
			if names := mem.Memory.Names(); len(names) > 0 {
				t.Errorf("left behind: %v", names)
			}
		})
	}
}

// A backup that lies in the place is not touched.
func TestPlaceTestTouchesNothing(t *testing.T) {
	w, c := newEngine(t)
	mustBackup(t, c)
	before := w.Objects("")
	result, err := c.App.TestPlace(t.Context(), w.Place, nil)
	if err != nil || !result.OK() || result.Up <= 0 || result.Down <= 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	if after := w.Objects(""); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
	mustCheck(t, c)
}
