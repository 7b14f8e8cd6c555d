// Package metered says whether the network costs money by the byte.
//
// The words: a connection is metered when its user pays for what is moved, or
// gets slowed down after so much of it: a telephone's, a hotel's. Linux asks
// NetworkManager, Windows its cost manager. macOS knows ("Low Data Mode") but
// tells it only to programs with a C compiler's help, so there, and where nobody
// can be asked, the answer is unknown; a caller takes that for not metered,
// unless the user said otherwise.
package metered

import (
	"context"
	"time"
)

// patience is how long the answer may take: the question is asked before work
// that should begin.
const patience = 2 * time.Second

// Metered reports whether the network that is in use now is metered, and whether
// anybody knows. A guess of the system counts as knowledge. It takes two seconds
// at most. bus is the address of D-Bus's system bus (D-Bus Specification, "Server
// Addresses"); "": where Linux has it. Other systems do not look at it.
func Metered(ctx context.Context, bus string) (metered, known bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return ask(ctx, bus)
}
