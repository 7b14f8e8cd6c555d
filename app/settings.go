package app

// Settings is what the user can change at any time.
type Settings struct {
	Sources   []string // absolute paths
	Exclude   []string // patterns, in addition to the defaults
	Language  string   // BCP 47, "" for the system's
	Theme     string   // "", "light", "dark"
	TextScale float64  // 1 is normal; 0 means 1
	MemoryMiB int      // 0 for the default
	Paper     string   // "A4", "Letter", "" for A4
}
