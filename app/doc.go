// Package app is what Coffer does.
package app
