//go:build unix && !linux

package node

func hardening() []step { return commonSteps() }
