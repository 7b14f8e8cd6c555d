//go:build !race

package cloudtest

// Race says that the race detector watches: not in this build.
const Race = false
