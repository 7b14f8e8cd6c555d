//go:build !linux

package keyring

import "context"

// availability: these systems always have a key store.
func availability(string, bool) func(context.Context) error {
	return func(context.Context) error { return nil }
}
