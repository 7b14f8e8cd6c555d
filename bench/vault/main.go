// Vault measures a Backup Key Vault, and wears it out.
//
// The words:
//
//   - opening: one whole try with the right password: attempt and finish, from KE1 to the
//     root key. It gives all tries back, so one record can be opened again and again.
//   - inside: the client asks the vault's core in the same process. Network: through TLS
//     1.3 and the sealed envelope, on loopback, through the gate.
//   - bound: what the processors could do if nothing but cryptography were done: cores
//     divided by the seconds of processor of one opening of a single client on a store in
//     memory, measured in the same run. Client and vault are one process, so the client's
//     half is in it; Argon2id is not (it is the client's alone, and half a second).
//   - bare: the reads and transactions of an opening, asked of etcd by its own client.
//   - keeper: who starts a vault again that has ended: systemd, or scripts/soak_vault.sh.
//
// The commands, each with Markdown tables on standard output:
//
//	vault speed -dir DIR [-etcd URL] [-tpm DEVICE] [-token URI]   openings a second, for stores and sealers
//	vault many -dir DIR -records 1000000                          one file with many records
//	vault cluster -etcd URL -etcd-pid PID -records 50000          what a record costs in etcd
//	vault soak -link-a LINK -pid-a FILE -link-b LINK -pid-b FILE  mixed load on two vaults; the first one is killed
//
// scripts/bench_vault.sh and scripts/soak_vault.sh start what they need. Linux only: they read /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"time"
)

func main() { os.Exit(realMain()) }

func realMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		return 1
	}
	return 0
}

// options are the flags of all commands.
type options struct {
	dir     string        // for files
	seconds time.Duration // of each measurement
	records int

	etcd    string
	etcdPID int
	tpm     string
	token   string
	only    string // one pair
	profile string // file for a profile of the processors

	clients  []int // at once, from few to many
	ripening int   // openings of each record before it is measured
	asked    int   // records that somebody asks for, of many

	soak soakOptions
}

func run(ctx context.Context, args []string, out io.Writer) error {
	commands := map[string]func(context.Context, options, io.Writer) error{
		"speed": speed, "many": many, "cluster": cluster, "soak": soak,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("usage: vault speed|many|cluster|soak [flags]")
	}
	// 24 openings fill the log of a record: from there on its row stays as long as it can
	// be, and what is measured does not depend on what was measured before.
	o := options{clients: []int{1, 8, 64}, ripening: 24, asked: 1000}
	f := flag.NewFlagSet("vault "+args[0], flag.ContinueOnError)
	f.StringVar(&o.dir, "dir", "", "folder for files, on the disk that is measured")
	f.DurationVar(&o.seconds, "seconds", 3*time.Second, "of each measurement")
	f.IntVar(&o.records, "records", 1_000_000, "number of records")
	f.StringVar(&o.etcd, "etcd", "", "client URL of an etcd")
	f.IntVar(&o.etcdPID, "etcd-pid", 0, "its process")
	f.StringVar(&o.tpm, "tpm", "", "device of a TPM: swtpm:unix:PATH")
	f.StringVar(&o.token, "token", "", "pkcs11: URI of a token")
	f.StringVar(&o.only, "only", "", "measure this pair alone")
	f.StringVar(&o.profile, "profile", "", "write a profile of the processors to this file (go tool pprof)")
	o.soak.flags(f)
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("what is %q?", f.Arg(0))
	}
	return profiled(o.profile, func() error { return commands[args[0]](ctx, o, out) })
}

// profiled does work, and writes where the processors spent their time to a file, if there
// is one.
func profiled(path string, work func() error) (err error) {
	if path == "" {
		return work()
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return work()
}
