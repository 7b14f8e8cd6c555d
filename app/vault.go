package app

import "time"

// VaultStatus is what the vault says about the password of this profile.
type VaultStatus struct {
	Kind     string // "embedded"; "" when this backup has no password
	Where    string // folder
	Computer string
	Sealer   string // "software"
	State    string
	Tries    int
	Left     int // -1 unknown
	Until    time.Time
	Log      []VaultEvent
}

// A VaultEvent is one line of the vault's own log of tries.
type VaultEvent struct {
	At     time.Time
	Kind   string // "attempt", "right", "wrong", "registered", "replaced", "reset", ...
	Device string
}
