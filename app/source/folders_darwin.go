package source

// folderPaths: Finder translates the names for display only; on disk they are
// English.
func folderPaths(home string, _ func(string) string) map[string]string {
	return plainFolders(home, "Movies")
}

// slashes brings a path into the form that Rules match.
func slashes(path string) string { return path }
