package wiring

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"coffer/app"
	"coffer/cloud"
)

func TestDestinations(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text    string
		options map[string]string
		want    string
	}{
		{"a b", nil, filepath.Join(dir, "a b")},
		{"folder:a", nil, filepath.Join(dir, "a")},
		{"Folder:", map[string]string{"address": "a"}, filepath.Join(dir, "a")},
		{"./drive:x", nil, filepath.Join(dir, "drive:x")},
		{"drive:", nil, "drive:Coffer Backups"},
		{"DRIVE:Coffer Backups", nil, "drive:Coffer Backups"},
		{"drive:", map[string]string{"folder": "Ann's"}, "drive:Ann's"},
		{"drive:Mine", map[string]string{"folder": "Old"}, "drive:Mine"},
		{"drive:a/b:c", nil, "drive:a/b:c"},
		{"icloud:", nil, "icloud:Coffer Backups"},
		{"iCloud:Mine", nil, "icloud:Mine"},
		{"s3:https://S3.example.ORG:443/bucket/", nil, "s3:https://s3.example.org/bucket"},
		{"S3:https://h.example:9000/bucket/a/b", nil, "s3:https://h.example:9000/bucket/a/b"},
		{"s3:", map[string]string{"address": "https://h.example/bucket"}, "s3:https://h.example/bucket"},
		{"s3:", map[string]string{"address": "s3:https://h.example/bucket"}, "s3:https://h.example/bucket"},
		{"webdav:https://H.example/dav", nil, "webdav:https://h.example/dav/"},
		{"WebDAV:https://ann@h.example/dav/", nil, "webdav:https://ann@h.example/dav/"},
		{"webdav:https://h.example/dav/", map[string]string{"user": "ann@x.org"}, "webdav:https://ann%40x.org@h.example/dav/"},
		{"webdav:https://bob@h.example/dav/", map[string]string{"user": "ann"}, "webdav:https://bob@h.example/dav/"},
		{"webdav:", map[string]string{"address": "https://h.example", "user": "ann"}, "webdav:https://ann@h.example/"},
		{"sftp://ann@H.example/backups/", nil, "sftp://ann@h.example/backups"},
		{"SFTP://ann@h.example:22/~/b", nil, "sftp://ann@h.example/~/b"},
		{"sftp://ann@[::1]:2222/b", nil, "sftp://ann@[::1]:2222/b"},
		{"sftp:", map[string]string{"address": "ann@h.example/b"}, "sftp://ann@h.example/b"},
		{"sftp:", map[string]string{"address": "sftp://ann@h.example/b"}, "sftp://ann@h.example/b"},
		{"rclone:box:a/b/", nil, "rclone:box:a/b"},
		{"Rclone:my box:", nil, "rclone:my box:"},
		{"rclone:box:/", nil, "rclone:box:/"},
		{"rclone:", map[string]string{"remote": "box:a"}, "rclone:box:a"},
	} {
		d, err := parseDest(tt.text, tt.options)
		if err != nil || d.String() != tt.want {
			t.Errorf("%q %v: %q, %v; want %q", tt.text, tt.options, d, err, tt.want)
			continue
		}
		again, err := parseDest(d.String(), nil)
		if err != nil || again != d {
			t.Errorf("%q is read back as %+v, %v", d, again, err)
		}
	}
	if runtime.GOOS == "windows" {
		if d, err := parseDest(`D:\Backups`, nil); err != nil || d.kind != kindFolder || d.at != `D:\Backups` {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if d, err := parseDest(`D:\Backups`, nil); err != nil || d.kind != kindFolder {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestRefusedDestinations: nothing of them is repeated, for there may be a password in
// them; what may be shown instead is the kind alone.
func TestRefusedDestinations(t *testing.T) {
	const hidden = "hunter2"
	for text, want := range map[string]error{
		"":                                         cloud.ErrNoPlace,
		"folder:":                                  cloud.ErrNoPlace,
		hidden + "\x00":                            cloud.ErrAddress,
		"drive: " + hidden:                         cloud.ErrAddress,
		"drive:" + strings.Repeat(hidden, 20):      cloud.ErrAddress,
		"drive:" + hidden + "\n":                   cloud.ErrAddress,
		"drive:" + hidden + "\xff":                 cloud.ErrAddress,
		"icloud:../" + hidden:                      cloud.ErrAddress,
		"icloud:." + hidden:                        cloud.ErrAddress,
		`icloud:a\` + hidden:                       cloud.ErrAddress,
		"s3:" + hidden:                             cloud.ErrAddress,
		"s3:https://ann:" + hidden + "@h/bucket":   cloud.ErrAddress,
		"s3:https://h.example/bucket?" + hidden:    cloud.ErrAddress,
		"s3://" + hidden:                           cloud.ErrAddress,
		"webdav:https://ann:" + hidden + "@h/x":    cloud.ErrAddress,
		"webdav://ann:" + hidden + "@h/x":          cloud.ErrAddress,
		"webdav:ftp://" + hidden:                   cloud.ErrAddress,
		"sftp://ann:" + hidden + "@h/x":            cloud.ErrAddress,
		"sftp:ann@h:/" + hidden:                    cloud.ErrAddress,
		"sftp://h/" + hidden:                       cloud.ErrAddress,
		"rclone:" + hidden:                         cloud.ErrAddress,
		"rclone::webdav,pass=" + hidden + ":":      cloud.ErrAddress,
		"rclone:box,pass=" + hidden + ":":          cloud.ErrAddress,
		"rclone:--config=" + hidden + ":":          cloud.ErrAddress,
		"https://ann:" + hidden + "@h/x":           app.ErrPlaceUnsupported,
		"b2://ann:" + hidden + "@h":                app.ErrPlaceUnsupported,
		"drive:" + strings.Repeat("x", maxDest+10): cloud.ErrAddress,
	} {
		d, err := parseDest(text, map[string]string{"address": "", "user": "ann"})
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
			continue
		}
		if strings.Contains(err.Error()+d.String()+d.shown(err), hidden) {
			t.Errorf("%q is repeated: %v, %q", text, err, d)
		}
		p, err := (&stand{}).connector(t).Open(t.Context(), app.PlaceRequest{Dest: text, Secrets: secrets()})
		scheme, _, isOther := strings.Cut(text, ":")
		if !errors.Is(err, want) || p.Driver != nil || isOther && scheme != kindFolder && p.Dest != scheme+":" || strings.Contains(p.Dest, hidden) {
			t.Errorf("%q opened: %+v, %v", text, p, err)
		}
	}
	if _, err := parseDest("webdav:https://h.example/", map[string]string{"user": "a\nb"}); !errors.Is(err, cloud.ErrAddress) {
		t.Errorf("a user of two lines: %v", err)
	}
	f := app.Explain(&app.UnsupportedPlaceError{Scheme: "https"})
	if f.Code != app.CodePlaceUnsupported || f.Args["scheme"] != "https" {
		t.Errorf("explained as %+v", f)
	}
}

func FuzzParseDest(f *testing.F) {
	for _, text := range []string{
		"", "a", "folder:a", "drive:", "drive:x", "icloud:", "C:\\x", "s3:https://h.example/bucket/a", "x:y:z", "\x00", "https://h",
		"webdav:https://ann%40x@h.example:8443/a%20b/", "sftp://ann@[::1]:2222/~/a%2Fb", "rclone:box:a/b", "WEBDAV:HTTPS://a@b",
	} {
		f.Add(text, "", "")
		f.Add("webdav:https://h.example/", text, "")
		f.Add("sftp:", "", text)
	}
	f.Fuzz(func(t *testing.T, text, user, address string) {
		d, err := parseDest(text, map[string]string{"user": user, "address": address, "folder": address, "remote": address})
		if err != nil {
			known := errors.Is(err, cloud.ErrNoPlace) || errors.Is(err, app.ErrPlaceUnsupported)
			if !known || d.at != "" || d.user != "" {
				t.Fatalf("%q: %+v, %v", text, d, err)
			}
			return
		}
		if d.kind == kindFolder && !filepath.IsAbs(d.at) {
			t.Fatalf("%q became %+v", text, d)
		}
		again, err := parseDest(d.String(), nil)
		if err != nil || again != d {
			t.Fatalf("%q became %q, which is read as %+v, %v", text, d, again, err)
		}
	})
}
