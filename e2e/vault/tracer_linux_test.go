package vault_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The tracer is this test's program once more, as a process of its own: one that waits for
// the threads of another (ptrace(2)) would take the ends of the test's own children. It
// counts the points of a process, and kills it at one of them with SIGKILL.
//
// A point is a moment at which a crash could matter, and differs from the one before it for
// the rest of the world: before each system call that changes a file or sends something, and
// after each that has sent something, when the other side may do its part and nobody has
// heard so yet. (What was received, and what was written to a file, is over when the next
// call begins.) A process that is killed before a call has not done it; the points of all
// threads are numbered in one row.

// Arguments of the tracer: what it does, at which point it kills (0: never), and which points
// count (a regular expression; empty: all). Then the process, or the program that is to be
// run and its arguments.
const (
	tracerArg  = "-coffer-tracer"
	tracesRun  = "run"
	tracesThis = "attach"
)

// tracerFile is the number of the file to which the tracer writes lines: tracedLine when it
// has stopped all threads once and counts, then one for each point, and one for each end of a
// call that is none.
const (
	tracerFile = 3
	tracedLine = "traced"
	pointLine  = "point "
)

type tracer struct {
	out    *os.File
	pid    int
	at     int            // 0: never
	only   *regexp.Regexp // nil: all points count
	points int
	in     map[int]*call // thread: the call that it is in
	known  map[int]bool  // threads
	status int           // of the program that was run
}

// A call is a system call that has points.
type call struct {
	text  string
	sends bool // its end is a point, too
}

// beTracer is main of the tracer.
func beTracer(args []string) (status int) {
	runtime.LockOSThread() // ptrace knows threads
	unix.CloseOnExec(tracerFile)
	p := &tracer{out: os.NewFile(tracerFile, "points"), in: map[int]*call{}, known: map[int]bool{}}
	var err error
	if args[2] != "" {
		p.only = regexp.MustCompile(args[2])
	}
	if p.at, err = strconv.Atoi(args[1]); err == nil {
		switch args[0] {
		case tracesRun:
			err = p.run(args[3:])
		case tracesThis:
			err = p.attach(args[3])
		}
	}
	if err == nil {
		err = p.follow()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tracer:", err)
		return 99
	}
	return p.status
}

const traceOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE

// run starts a program.
func (p *tracer) run(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.pid = cmd.Process.Pid
	var ws unix.WaitStatus
	if _, err := unix.Wait4(p.pid, &ws, unix.WALL, nil); err != nil || !ws.Stopped() {
		return fmt.Errorf("start: %v, %v", ws, err)
	}
	if err := unix.PtraceSetOptions(p.pid, traceOptions); err != nil {
		return err
	}
	p.known[p.pid] = true
	p.say(tracedLine)
	return unix.PtraceSyscall(p.pid, 0)
}

// attach stops all threads of a process that runs, and lets them go on when all are traced.
func (p *tracer) attach(number string) error {
	pid, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	p.pid = pid
	for {
		found, err := p.seize()
		if err != nil {
			return err
		}
		if found == 0 {
			break // all are stopped: none can make another
		}
	}
	p.say(tracedLine)
	for tid := range p.known {
		if err := unix.PtraceSyscall(tid, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

func (p *tracer) seize() (found int, err error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.pid))
	if err != nil {
		return 0, err
	}
	for _, e := range tasks {
		tid, err := strconv.Atoi(e.Name())
		if err != nil || p.known[tid] {
			continue
		}
		if err := unix.PtraceSeize(tid); errors.Is(err, unix.ESRCH) {
			continue // it has ended
		} else if err != nil {
			return 0, fmt.Errorf("trace %d: %w", tid, err)
		}
		found++
		var ws unix.WaitStatus
		if err := unix.PtraceInterrupt(tid); err != nil {
			return 0, err
		}
		if _, err := unix.Wait4(tid, &ws, unix.WALL, nil); err != nil {
			return 0, err
		}
		if !ws.Stopped() {
			continue
		}
		if err := unix.PtraceSetOptions(tid, traceOptions); err != nil {
			return 0, err
		}
		p.known[tid] = true
		if ws.StopSignal() != unix.SIGTRAP { // a signal was on its way: it comes again
			if err := unix.Tgkill(p.pid, tid, ws.StopSignal()); err != nil {
				return 0, err
			}
		}
	}
	return found, nil
}

// follow lets the process go from stop to stop, until it has ended or was killed.
func (p *tracer) follow() error {
	for {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ECHILD) {
			return nil
		}
		if err != nil {
			return err
		}
		if !ws.Stopped() {
			p.ended(tid, ws)
			continue
		}
		if err := unix.PtraceSyscall(tid, p.stopped(tid, ws)); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
}

func (p *tracer) ended(tid int, ws unix.WaitStatus) {
	if tid != p.pid {
		return
	}
	p.status = ws.ExitStatus()
	if ws.Signaled() {
		p.status = 128 + int(ws.Signal())
	}
}

// stopped looks at why a thread has stopped, and returns the signal that it goes on with.
func (p *tracer) stopped(tid int, ws unix.WaitStatus) (signal int) {
	first := !p.known[tid]
	p.known[tid] = true
	switch s := ws.StopSignal(); {
	case s == unix.SIGTRAP|0x80:
		p.call(tid)
	case int(ws)>>16 != 0, s == unix.SIGTRAP: // a thread was made, or stops for the first time
	case first && s == unix.SIGSTOP: // likewise
	default:
		return int(s)
	}
	return 0
}

// Layout of struct ptrace_syscall_info (linux/ptrace.h): the same on all processors.
const (
	infoSize  = 88
	infoEntry = 1
	infoExit  = 2
	infoAt    = 24 // of the number of the call and its arguments, or of its result
)

func (p *tracer) call(tid int) {
	var info [infoSize]byte
	const getSyscallInfo = 0x420e // PTRACE_GET_SYSCALL_INFO
	if _, _, e := unix.RawSyscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(tid), infoSize, uintptr(unsafe.Pointer(&info[0])), 0, 0); e != 0 {
		return // it was killed meanwhile
	}
	word := func(i int) uint64 { return binary.NativeEndian.Uint64(info[infoAt+8*i:]) }
	switch info[0] {
	case infoEntry:
		c := p.parse(word(0), [3]uint64{word(1), word(2), word(3)})
		p.in[tid] = c
		if c != nil {
			p.point("before " + c.text)
		}
	case infoExit:
		c := p.in[tid]
		delete(p.in, tid)
		switch {
		case c == nil:
		case c.sends:
			p.point("after " + c.text)
		default:
			p.say("after " + c.text)
		}
	}
}

func (p *tracer) point(text string) {
	if p.only != nil && !p.only.MatchString(text) {
		return
	}
	if p.at != 0 && p.points >= p.at {
		return // it is dead
	}
	p.points++
	p.say(pointLine + text)
	if p.points == p.at {
		_ = unix.Kill(p.pid, unix.SIGKILL)
	}
}

func (p *tracer) say(text string) { _, _ = p.out.WriteString(text + "\n") }

// names of the system calls that have points: those with a file, and those with the path of
// one, as Go and etcd use them.
var (
	writing = map[uint64]string{
		unix.SYS_WRITE: "write", unix.SYS_WRITEV: "write", unix.SYS_PWRITE64: "write", unix.SYS_PWRITEV: "write",
		unix.SYS_SENDTO: "write", unix.SYS_SENDMSG: "write", unix.SYS_FTRUNCATE: "truncate", unix.SYS_FALLOCATE: "allocate",
		unix.SYS_FSYNC: "sync", unix.SYS_FDATASYNC: "sync",
	}
	naming = map[uint64]string{
		unix.SYS_RENAMEAT: "rename", unix.SYS_RENAMEAT2: "rename", unix.SYS_UNLINKAT: "remove", unix.SYS_LINKAT: "link", unix.SYS_MKDIRAT: "make",
	}
)

// parse returns nil for a call without points.
func (p *tracer) parse(number uint64, args [3]uint64) *call {
	if name, ok := naming[number]; ok {
		return &call{text: name + " " + p.path(args[1])}
	}
	if number == unix.SYS_OPENAT {
		if args[2]&(unix.O_CREAT|unix.O_TRUNC) == 0 {
			return nil
		}
		return &call{text: "create " + p.path(args[1])}
	}
	name, writes := writing[number]
	if !writes {
		return nil
	}
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", p.pid, int32(args[0])))
	switch {
	case err != nil:
		return nil
	case strings.HasPrefix(target, "socket:"):
		return &call{text: name + " " + p.peer(target), sends: true}
	case !strings.HasPrefix(target, "/"), strings.HasPrefix(target, "/dev/null"), strings.HasPrefix(target, "/proc/"):
		return nil // its own wake-up calls
	}
	return &call{text: name + " " + filepath.Base(target)}
}

// path reads a name out of the process: its last part.
func (p *tracer) path(address uint64) string {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.pid))
	if err != nil {
		return "?"
	}
	defer mem.Close()
	var buf [4096]byte
	n, _ := mem.ReadAt(buf[:], int64(address)) // to the end of a page at least
	name, _, _ := strings.Cut(string(buf[:n]), "\x00")
	return filepath.Base(name)
}

// peer says whom a socket leads to: ":8123" is a connection that came to this port of the
// process, "to :8123" one that it has made, "socket" what is not TCP.
func (p *tracer) peer(target string) string {
	inode := strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")
	var ours, port, peer string
	for _, name := range []string{"tcp", "tcp6"} {
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", p.pid, name))
		if err != nil {
			continue
		}
		listening := map[string]bool{}
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) < 10 {
				continue
			}
			if f[3] == "0A" {
				listening[portOf(f[1])] = true
			}
			if f[9] == inode {
				ours, port, peer = name, portOf(f[1]), portOf(f[2])
			}
		}
		if ours == name && listening[port] {
			return ":" + port
		}
	}
	if ours == "" {
		return "socket"
	}
	return "to :" + peer
}

// portOf reads the port of an address as the tables of /proc have it.
func portOf(address string) string {
	_, digits, _ := strings.Cut(address, ":")
	n, err := strconv.ParseUint(digits, 16, 16)
	if err != nil {
		return "?"
	}
	return strconv.FormatUint(n, 10)
}
