package icloud

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// syncRoots is where the Cloud Files API writes down all synced folders: a key
// "PROVIDER!SID!ACCOUNT" for each, whose key UserSyncRoots has the path as the
// value of the user's SID.
const syncRoots = `SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\SyncRootManager`

// candidates are where the synced folder may be.
func candidates(home string, getenv func(string) string) []string {
	paths := registered()
	for _, base := range []string{getenv("USERPROFILE"), home} {
		if base != "" {
			paths = append(paths, filepath.Join(base, "iCloudDrive"), filepath.Join(base, "iCloud Drive"))
		}
	}
	return paths
}

// registered returns what the registry knows; what cannot be read is not there.
func registered() []string {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil
	}
	sid := user.User.Sid.String()
	all, err := registry.OpenKey(registry.LOCAL_MACHINE, syncRoots, registry.READ)
	if err != nil {
		return nil
	}
	defer all.Close()
	names, err := all.ReadSubKeyNames(-1)
	if err != nil {
		return nil
	}
	var paths []string
	for _, name := range names {
		provider, _, _ := strings.Cut(strings.ToLower(name), "!")
		if !strings.HasPrefix(provider, "icloud") || strings.Contains(provider, "photo") {
			continue
		}
		key, err := registry.OpenKey(all, name+`\UserSyncRoots`, registry.QUERY_VALUE)
		if err != nil {
			continue
		}
		if path, _, err := key.GetStringValue(sid); err == nil && filepath.IsAbs(path) {
			paths = append(paths, path)
		}
		key.Close()
	}
	return paths
}
