package main

import "coffer/app"

// The exit statuses. Scripts depend on them: they never change their meaning.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitPartly    = 3 // done, but some files were not read or restored
	exitWrongKey  = 4 // wrong password or key
	exitDestroyed = 5 // the vault has destroyed the key
	exitDamaged   = 6
	exitWait      = 7 // the vault asks to wait; no try was spent
	exitCanceled  = 130
)

// statuses lists every code that has a status of its own; all others are exitFailed.
var statuses = map[app.Code]int{
	app.CodeUsage:           exitUsage,
	app.CodeWrongPassword:   exitWrongKey,
	app.CodeOtherPassword:   exitWrongKey,
	app.CodeLastTry:         exitWrongKey,
	app.CodeWrongPassphrase: exitWrongKey,
	app.CodeRecoveryLine:    exitWrongKey,
	app.CodeRecoveryShort:   exitWrongKey,
	app.CodeRecoveryLong:    exitWrongKey,
	app.CodeRecoveryDigit:   exitWrongKey,
	app.CodeWrongKey:        exitWrongKey,
	app.CodeKeyOfOther:      exitWrongKey,
	app.CodeKeyDestroyed:    exitDestroyed,
	app.CodeObjectDamaged:   exitDamaged,
	app.CodeObjectMissing:   exitDamaged,
	app.CodeDamaged:         exitDamaged,
	app.CodeWait:            exitWait,
	app.CodeCanceled:        exitCanceled,
}

func exitStatus(code app.Code) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return exitFailed
}
