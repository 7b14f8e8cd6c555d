//go:build race

package cloudtest

// Race says that the race detector watches. It finds what it finds in few rounds and among few objects, and makes
// everything five to ten times as slow: volume is proven without it.
const Race = true
