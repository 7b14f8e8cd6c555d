package app

import "time"

// BackupAt returns options that make a backup believe that it starts at now, if that is
// not zero, and that call read before each attempt to read a file.
func BackupAt(o BackupOptions, now time.Time, read func(path string)) BackupOptions {
	o.hooks.read = read
	if !now.IsZero() {
		o.hooks.now = func() time.Time { return now }
	}
	return o
}

// RestoreWith returns options that make a restore call fn before it reads a file back.
func RestoreWith(o RestoreOptions, fn func(path string)) RestoreOptions {
	o.beforeVerify = fn
	return o
}
