package wiring

import (
	"os"
	"path/filepath"
	"runtime"

	"coffer/app"
)

// Kinds implements [app.Connector].
func (c *connector) Kinds() []app.PlaceKind {
	_, noKeys := c.awsKeys()
	keys := noKeys == nil // the environment has them
	pin, plain := app.PlaceField{Name: "pin", Optional: true}, app.PlaceField{Name: "plain", Optional: true}
	return []app.PlaceKind{
		{Scheme: kindFolder, Fields: []app.PlaceField{{Name: "address"}}},
		{Scheme: kindDrive, SignIn: true, Missing: c.noClient(), Fields: []app.PlaceField{
			{Name: "folder", Optional: true},
			{Name: "client", Secret: true, File: true, Optional: c.client != ""},
			{Name: "token", Secret: true, File: true, Optional: true},
		}},
		{Scheme: kindICloud, Missing: c.noICloud(), Fields: []app.PlaceField{{Name: "folder", Optional: true}}},
		{Scheme: kindS3, Fields: []app.PlaceField{
			{Name: "address"},
			{Name: "access-key", Optional: keys},
			{Name: "secret-key", Secret: true, Optional: keys},
			{Name: "region", Optional: true},
			{Name: "lock-days", Optional: true},
			pin, plain,
		}},
		{Scheme: kindWebDAV, Fields: []app.PlaceField{
			{Name: "address"},
			{Name: "user", Optional: true},
			{Name: "password", Secret: true, Optional: true},
			pin, plain,
		}},
		{Scheme: kindSFTP, Fields: []app.PlaceField{
			{Name: "address"},
			{Name: "password", Secret: true, Optional: true},
			{Name: "key-file", File: true, Optional: true},
			{Name: "key-passphrase", Secret: true, Optional: true},
			{Name: "host-key", Optional: true},
		}},
		{Scheme: kindRclone, Missing: c.noRclone(), Fields: []app.PlaceField{
			{Name: "remote"},
			{Name: "config-file", File: true, Optional: true},
		}},
	}
}

// noClient says that the user has to bring a client of Google's.
func (c *connector) noClient() string {
	if c.client == "" {
		return "no-client"
	}
	return ""
}

// noRclone looks for the program where the system would.
func (c *connector) noRclone() string {
	name := "rclone"
	if runtime.GOOS == "windows" {
		name = "rclone.exe"
	}
	for _, dir := range filepath.SplitList(c.getenv("PATH")) {
		info, err := os.Stat(filepath.Join(dir, name))
		if filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && (runtime.GOOS == "windows" || info.Mode()&0o111 != 0) {
			return ""
		}
	}
	return "no-rclone"
}
