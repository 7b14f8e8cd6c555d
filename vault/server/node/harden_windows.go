package node

func hardening() []step { return nil }

// Umask makes new files the owner's alone: on Windows the folder's rights do.
func Umask() {}
