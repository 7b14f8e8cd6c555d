package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"coffer/app/apptest"
	"coffer/cloud/cloudtest"
)

// A backup may use this much, whatever the size of the source. The design asks for 400 MiB.
const memoryBudget = 320 << 20

// peakOfBackup runs a backup in a process of its own and returns the most memory that it
// used.
func peakOfBackup(t *testing.T, c *apptest.Computer) (files, peak int64, took time.Duration) {
	t.Helper()
	began := time.Now()
	k := startBackup(t, c)
	k.until(1 << 30)
	must(t, k.cmd.Wait())
	fields := strings.Fields(k.done)
	if len(fields) != 4 || fields[2] != "0" {
		t.Fatalf("the backup says %q", k.done)
	}
	files, err := strconv.ParseInt(fields[1], 10, 64)
	must(t, err)
	kib, err := strconv.ParseInt(fields[3], 10, 64)
	must(t, err)
	return files, kib << 10, time.Since(began)
}

func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() || cloudtest.Race {
		t.Skip("takes a while, and means nothing under the race detector")
	}
	_, c := killWorld(t, 0, 0)
	if os.Getuid() == 0 {
		smallDisk(t, c.Docs, 4000) // in memory, where 200,000 files are made in seconds
	}
	for d := range 400 {
		dir := filepath.Join(c.Docs, fmt.Sprintf("d%03d", d))
		must(t, os.Mkdir(dir, 0o700))
		for i := range 500 {
			must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%05d.txt", i)), []byte(dir+strconv.Itoa(i)), 0o600))
		}
	}
	f, err := os.Create(filepath.Join(c.Docs, "mixed"))
	must(t, err)
	must(t, f.Truncate(2<<30))
	block := noise("block", 1<<20)
	for at := int64(0); at < 2<<30; at += 16 << 20 {
		for part := range int64(3) {
			copy(block, fmt.Sprint(at, part))
			_, err := f.WriteAt(block, at+part<<20)
			must(t, err)
		}
	}
	must(t, f.Close())
	for _, run := range []string{"first", "unchanged"} {
		files, peak, took := peakOfBackup(t, c)
		t.Logf("%s backup: %d files in %.1f s, at most %d MiB", run, files, took.Seconds(), peak>>20)
		if peak > memoryBudget || peak == 0 {
			t.Errorf("%s backup used %d MiB", run, peak>>20)
		}
	}
}
