// Package e2e drives the real window of Coffer, as built, with a keyboard: under Xvfb and
// openbox, with a home, a run-time folder and a message bus of its own. A story is what one
// person does from start to end. It waits for conditions (a line of the log, a file), and
// never for time to pass.
//
// It runs with COFFER_E2E=1, on Linux, when build/coffer-desktop is there; see window_test.go.
package e2e
