package node

import (
	"errors"

	"golang.org/x/sys/unix"
)

func hardening() []step {
	return append(commonSteps(),
		step{"not dumpable", func() error { return failed("prctl", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)) }},
		step{"memory locked", lockMemory},
	)
}

var errLimit = errors.New("the limit of locked memory is not infinite")

// lockMemory keeps memory out of swap. With a limit it must not be tried: what is mapped
// later would fail beyond it, and with it the run-time of Go.
func lockMemory() error {
	_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}) // who may not is told below
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return failed("getrlimit", err)
	}
	if limit.Cur != unix.RLIM_INFINITY {
		return errLimit
	}
	// On fault: the run-time reserves far more than it touches.
	return failed("mlockall", unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT))
}
