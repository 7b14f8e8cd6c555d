package main

// The exit statuses. Scripts and keepers of processes depend on them: they never change
// their meaning.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2 // wrong usage, or a mistake in the configuration: starting again does not help
	exitNotReady = 3 // status: the vault does not run, or is not ready
	exitOther    = 4 // verify-bundle: not the vault of the link
	exitDamaged  = 6
	exitStopped  = 130
)

// statuses lists every code of package node that has a status of its own; all others are
// exitFailed.
var statuses = map[string]int{
	codeUsage:        exitUsage,
	"config":         exitUsage,
	"link":           exitUsage,
	"no-destruction": exitUsage,
	"not-signed":     exitUsage,
	"token-uri":      exitUsage,
	"open-to-all":    exitUsage,
	"pin":            exitUsage, // each new start would use up one more try of the token
	"other-vault":    exitOther,
	"expired":        exitOther,
	"damaged":        exitDamaged,
	"tampered":       exitDamaged,
	"rolled-back":    exitDamaged,
	"stopped":        exitStopped,
}

func exitStatus(code string) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return exitFailed
}
