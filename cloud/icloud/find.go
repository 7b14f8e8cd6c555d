package icloud

import (
	"fmt"
	"os"

	"coffer/cloud"
)

// Find returns the synced folder of the user whose home folder is given: on
// macOS "Library/Mobile Documents/com~apple~CloudDocs" in it, on Windows what
// the registry says or "iCloudDrive" in %USERPROFILE%. getenv is os.Getenv.
// [cloud.ErrNoSync]: there is none, because this is Linux or iCloud Drive is not
// set up.
func Find(home string, getenv func(string) string) (root string, err error) {
	for _, path := range candidates(home, getenv) {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path, nil
		}
	}
	return "", fmt.Errorf("find iCloud Drive: %w", cloud.ErrNoSync)
}
