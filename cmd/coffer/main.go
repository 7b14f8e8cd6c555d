// Coffer, the command line.
//
// The words: a command is one thing that a person asks for (backup, restore, ...); a
// record is one line of JSON on standard output; a summary is the last record, or the
// paragraph in its place, that says what was done; a sentence is what people read when
// something went wrong, made from the stable code of package app and never from the text
// of an error; the exit status is what scripts read (exit.go).
//
// What a command promises is in its own file, named after it. Secrets come from a prompt
// or a file and never from an argument, because every process of a computer can read the
// arguments of all others (secrets.go). Names from disks and backups are shown only
// through printable, because whoever can place a file can choose its name (text.go).
package main

import (
	"os"
	"runtime/debug"

	"coffer/app"
	"coffer/internal/wiring"
)

func main() { os.Exit(realMain(wiring.Config)) }

// realMain wires a program to this process and returns its exit status.
func realMain(config func(home string, getenv func(string) string) (app.Config, error)) int {
	p := &program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, config: config,
		newProfile:  func(c app.Config) (profile, error) { return app.New(c) },
		limitMemory: limitMemory,
	}
	stop := p.watchSignals()
	defer stop()
	return p.run(os.Args[1:])
}

// limitMemory keeps the process near the budget of the engine: what the engine does not
// count (stacks, the runtime, reading JSON) fits in half as much again. The collector
// runs at half its usual slack, since most of the heap is buffers that live long.
func limitMemory(budget int64) {
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(budget + budget/2)
}
