package app_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
)

// settle waits until there are no more goroutines than before, and fails when they stay.
func settleGoroutines(t *testing.T, before int) {
	t.Helper()
	for range 5000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
		<-time.After(time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // not a system that tells
	}
	return len(entries)
}

// tasks are what can be cancelled, paused and watched.
func tasks(t *testing.T, c *apptest.Computer) map[string]func(o app.BackupOptions, n int) error {
	return map[string]func(app.BackupOptions, int) error{
		"backup": func(o app.BackupOptions, n int) error {
			_, err := c.App.Backup(endsAfter(t, n), o)
			return err
		},
		"restore": func(o app.BackupOptions, n int) error {
			_, err := c.App.Restore(endsAfter(t, n), app.RestoreOptions{
				Snapshot: "latest", Target: filepath.Join(t.TempDir(), "target"), Gate: o.Gate, Progress: o.Progress, Verify: true,
			})
			return err
		},
		"check": func(o app.BackupOptions, n int) error {
			_, err := c.App.Check(endsAfter(t, n), app.CheckOptions{ReadData: true, Gate: o.Gate, Progress: o.Progress})
			return err
		},
	}
}

// Whenever a task is cancelled it ends with that word, and leaves no goroutine and no open
// file behind, and a place that is whole.
func TestCancelAtAnyMoment(t *testing.T) {
	_, c := faultWorld(t)
	mustBackup(t, c)
	for name, task := range tasks(t, c) {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, uint64(len(name))))
			goroutines, files := runtime.NumGoroutine(), openFiles(t)
			canceled := 0
			for i := range 15 {
				writeFile(t, filepath.Join(c.Docs, fmt.Sprint("f", i)), string(noise(fmt.Sprint(name, i), 100_000)))
				err := task(app.BackupOptions{Progress: func(app.Progress) {}}, 1+rng.IntN(10<<rng.IntN(9)))
				if err != nil {
					mustExplain(t, err, app.CodeCanceled)
					canceled++
				}
				settleGoroutines(t, goroutines)
			}
			if canceled < 4 {
				t.Errorf("cancelled %d times", canceled)
			}
			if n := openFiles(t); n > files {
				t.Errorf("%d files are open, %d were before", n, files)
			}
		})
	}
	mustBackup(t, c)
	mustComeBack(t, c)
}

// A task that finds the gate closed does nothing until it opens.
func TestPauseAndResume(t *testing.T) {
	_, c := faultWorld(t)
	mustBackup(t, c)
	for name, task := range tasks(t, c) {
		t.Run(name, func(t *testing.T) {
			writeFile(t, filepath.Join(c.Docs, "f1"), name)
			gate := app.NewGate()
			gate.Pause()
			told := make(chan app.Progress, 1)
			done := make(chan error)
			go func() {
				done <- task(app.BackupOptions{Gate: gate, Progress: func(p app.Progress) {
					select {
					case told <- p:
					default:
					}
				}}, 1<<40)
			}()
			for range 4 { // some tenths of a second in which it could have got on
				if p := <-told; p.Files > 1 {
					t.Errorf("it works while it is paused: %+v", p)
				}
			}
			select {
			case err := <-done:
				t.Fatalf("it ended while it was paused: %v", err)
			default:
			}
			gate.Resume()
			for {
				select {
				case err := <-done:
					must(t, err)
					return
				case <-told:
				}
			}
		})
	}
}

func TestProgress(t *testing.T) {
	_, c := faultWorld(t)
	for _, name := range []string{"backup", "again", "restore", "check"} {
		key := name
		if name == "again" {
			key = "backup"
		}
		t.Run(name, func(t *testing.T) {
			var all []app.Progress
			began := time.Now()
			err := tasks(t, c)[key](app.BackupOptions{Progress: func(p app.Progress) { all = append(all, p) }}, 1<<40)
			must(t, err)
			if most := int(time.Since(began)/(100*time.Millisecond)) + 2; len(all) > most || len(all) == 0 {
				t.Errorf("told %d times in %v", len(all), time.Since(began))
			}
			for i := 1; i < len(all); i++ {
				if all[i].Files < all[i-1].Files || all[i].Bytes < all[i-1].Bytes || all[i].NewBytes < all[i-1].NewBytes {
					t.Errorf("went back from %+v to %+v", all[i-1], all[i])
				}
			}
			last := all[len(all)-1]
			if last.Files != last.TotalFiles || last.Bytes != last.TotalBytes || !last.Scanned || last.Bytes == 0 {
				t.Errorf("at the end: %+v", last)
			}
		})
	}
}
