package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rusageThread is RUSAGE_THREAD of getrusage(2).
const rusageThread = 1

// processorTime returns what this process has used of the processors.
func processorTime() (time.Duration, error) { return usage(syscall.RUSAGE_SELF) }

// threadTime is processorTime of the calling thread.
func threadTime() (time.Duration, error) { return usage(rusageThread) }

func usage(who int) (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// A memory is what a process has in RAM, in bytes.
type memory struct {
	Anon int64 // its own
	File int64 // pages of files that it has mapped, which the system may drop
}

// memoryOf reads /proc/PID/status.
func memoryOf(pid int) (m memory, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		at := map[string]*int64{"RssAnon": &m.Anon, "RssFile": &m.File}[name]
		if at == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return m, fmt.Errorf("read status of process %d: %w", pid, err)
		}
		*at = kib << 10
	}
	if m.Anon == 0 {
		return m, fmt.Errorf("process %d says nothing about its memory", pid)
	}
	return m, nil
}
