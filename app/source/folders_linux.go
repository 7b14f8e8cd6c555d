package source

func folderPaths(home string, getenv func(string) string) map[string]string {
	return xdgFolders(home, getenv)
}

// slashes brings a path into the form that Rules match.
func slashes(path string) string { return path }
