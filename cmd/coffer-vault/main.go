// Coffer-vault, a Backup Key Vault for a network, as a program.
//
// The words are those of package node: folder, configuration, bundle, root, second signer.
// What a command promises is in its own file, named after it. Commands ask the vault that
// runs, through a socket in its folder, and open the files when none runs. Secrets come
// from files and never from an argument, because every process of a computer can read the
// arguments of all others.
package main

import (
	"os"

	"coffer/vault/server/node"
)

func main() { os.Exit(realMain()) }

// realMain wires a program to this process and returns its exit status.
func realMain() int {
	// Before the first file is made: whatever this program writes is its owner's alone.
	node.Umask()
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, harden: node.Harden}
	stop := p.watchSignals()
	defer stop()
	return p.run(os.Args[1:])
}
