package places

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coffer/cloud/drive/drivetest"
)

// TestDevicesOfOneFolder: sixteen computers back up into one folder of Google Drive at the
// same time, twice, while every new file takes two seconds to appear in listings. They
// all have one file in common. Nothing is lost.
func TestDevicesOfOneFolder(t *testing.T) {
	begin(t)
	t.Parallel()
	const devices = 16
	f := startDrive(t)
	f.setLag(2 * time.Second)
	shared := make([]byte, 2<<20)
	_, _ = noise("shared").Read(shared) // never fails

	// The first computer makes the backup; the others find it once it is listed.
	machines := make([]*machine, devices)
	trees := make([]string, devices)
	place := site{}
	for i := range machines {
		machines[i] = newMachine(t)
		place = f.site(machines[i], drivetest.Alice())
		trees[i] = filepath.Join(scratch(t), fmt.Sprintf("computer %d", i))
		plant(t, trees[i], fmt.Sprintf("computer %d", i), 80)
		must(t, os.WriteFile(filepath.Join(trees[i], "of all"), shared, 0o644))
	}
	digits := machines[0].setUp(place, trees[0])
	until(t, "the new backup is listed", func() bool {
		a := machines[1].run(append([]string{"--json", "open", "--from", place.dest, "--key-file", machines[1].file("key", digits), "--keep-key", "file", trees[1]}, place.flags...)...)
		return a.status == 0
	})
	atOnce(machines, func(i int, m *machine) {
		if i > 1 {
			m.must(append([]string{"open", "--from", place.dest, "--key-file", m.file("key", digits), "--keep-key", "file", trees[i]}, place.flags...)...)
		}
	})
	newest := make([]string, devices)
	for round := range 2 {
		atOnce(machines, func(i int, m *machine) {
			more(t, trees[i], fmt.Sprintf("more %d", round))
			newest[i], _ = m.backup("--memory", "64MiB")["snapshot"].(string)
		})
	}
	f.setLag(0)
	late := newMachine(t)
	s := f.site(late, drivetest.Alice())
	late.join(s, digits)
	late.must("check", "--read-data")
	a := late.must("--json", "snapshots")
	if n := number(a.record("summary"), "snapshots"); n != 2*devices {
		t.Errorf("%d snapshots of %d backups", n, 2*devices)
	}
	for i, id := range newest {
		to := filepath.Join(scratch(t), "restored")
		late.must("restore", id, "--target", to)
		same(t, trees[i], filepath.Join(to, trees[i]))
	}
	for name, files := range f.objects(t) {
		if files > devices { // equal ones do no harm; each is of a device that could not see the others
			t.Errorf("%d files of %s", files, name)
		}
	}
}

// atOnce runs f for all machines at the same time.
func atOnce(machines []*machine, f func(i int, m *machine)) {
	var all sync.WaitGroup
	for i, m := range machines {
		all.Go(func() { f(i, m) })
	}
	all.Wait()
}
