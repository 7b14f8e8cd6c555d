package node

import "log/slog"

// Harden makes this process one that tells nothing when it crashes, and whose keys are not
// written to a swap file, as far as the system allows: no core dumps, no other process of
// the same user may look into it, memory locked, new files for the owner alone. It is for
// the whole process: a program calls it, once, at its start. What was not possible is said
// in the log; a vault in a container or a virtual machine runs without.
func Harden(log *slog.Logger) {
	for _, step := range hardening() {
		if err := step.do(); err != nil {
			log.Warn("not hardened", "step", step.name, "error", err)
		}
	}
}

// A step is one thing that the system is asked for.
type step struct {
	name string
	do   func() error
}
