package app

// A Profile is what this computer knows of its backup: settings.json, without any secret.
type Profile struct {
	Repository string // 32 hex digits
	Dest       string // canonical
	Settings
}
