package app

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"coffer/app/repo"
	"coffer/app/target"
	"coffer/crypto"
)

// done counts one file or link.
func (r *restore) done(f *restoreFile, verified bool, outcome target.Outcome, err error) error {
	if err != nil {
		if fatal(err) {
			return targetError(r.options.Target, err)
		}
		r.fail(f.path, ProblemUnreadable, restoreReason(err))
		return nil
	}
	r.meter.files.Add(1)
	r.meter.bytes.Add(f.entry.HoleBytes())
	if f.entry.State == repo.StatePartly && outcome.Result != target.Skipped {
		r.fail(f.path, ProblemPartly, "some of it could not be read when it was backed up: "+f.entry.Reason)
		verified = false
	}
	if outcome.Result == target.Written || outcome.Result == target.Renamed || len(outcome.Lost) > 0 {
		r.lost.add(f.path, outcome.Lost)
	}
	if outcome.Result == target.Renamed {
		r.rename(f.path, f.folder.at(outcome.Name))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch outcome.Result {
	case target.Skipped:
		r.receipt.Skipped++
		return nil
	case target.Identical:
		r.receipt.Identical++
	}
	r.receipt.Restored++
	r.receipt.Bytes += f.entry.Size
	if verified {
		r.receipt.Verified++
	}
	return nil
}

func restoreReason(err error) string {
	switch {
	case errors.Is(err, errReadBack):
		return errReadBack.Error()
	case errors.Is(err, repo.ErrMissing):
		return "part of it is missing from the backup"
	case errors.Is(err, repo.ErrDamaged):
		return "part of it is damaged in the backup"
	}
	return target.Reason(err)
}

func (r *restore) rename(from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receipt.Renamed++
	if len(r.receipt.Renames) < maxProblems {
		r.receipt.Renames = append(r.receipt.Renames, Rename{from, to})
	}
}

func (r *restore) fail(path, kind, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Problem{Path: path, Reason: reason, Kind: kind}
	r.receipt.Failed++
	if len(r.receipt.Problems) < maxProblems {
		r.receipt.Problems = append(r.receipt.Problems, p)
	}
	r.meter.problems.Add(1)
	if r.options.Problem != nil {
		r.options.Problem(p)
	}
}

// lostAttributes collects what this system could not take.
type lostAttributes struct {
	things  int64    // that had their attributes set
	reasons []string // in the order in which they were met
	paths   map[string][]string
	count   map[string]int64
}

// fewPaths is how many files are named for one reason; more are summed up. What a system
// can never do is the same line for every file.
const fewPaths = 20

func (l *lostAttributes) add(path string, reasons []string) {
	l.things++
	if l.count == nil {
		l.paths, l.count = map[string][]string{}, map[string]int64{}
	}
	for _, reason := range reasons {
		if l.count[reason] == 0 && len(l.reasons) == maxProblems {
			continue
		}
		if l.count[reason]++; l.count[reason] == 1 {
			l.reasons = append(l.reasons, reason)
		}
		if len(l.paths[reason]) < fewPaths {
			l.paths[reason] = append(l.paths[reason], path)
		}
	}
}

func (l *lostAttributes) list() (list []Problem) {
	for _, reason := range l.reasons {
		n := l.count[reason]
		switch {
		case n > 1 && (n == l.things || strings.HasPrefix(reason, target.LostBirthTime)):
			list = append(list, Problem{Path: "every file", Reason: reason})
		case n > fewPaths:
			list = append(list, Problem{Path: fmt.Sprintf("%d files, such as %s", n, l.paths[reason][0]), Reason: reason})
		default:
			for _, path := range l.paths[reason] {
				list = append(list, Problem{Path: path, Reason: reason})
			}
		}
	}
	return list
}

// madeFolders remembers which folders a restore to one target has made. Their attributes
// come last, so those of an interrupted restore have none yet: the next one must not
// take them for the user's own. It is a file of the profile with a path a line, in hex.
type madeFolders struct {
	file *os.File
	past map[string]bool
}

func openMadeFolders(dir string, id crypto.RepositoryID, to string) (*madeFolders, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	name := "restore-" + fingerprint(id.String(), to)
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open list of folders: %w", err)
	}
	m := &madeFolders{file: f, past: map[string]bool{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if path, err := hex.DecodeString(lines.Text()); err == nil {
			m.past[string(path)] = true
		}
	}
	return m, nil
}

// is reports whether the restore makes the folder at path now, or has made it before. A
// list that cannot be written costs attributes after an interruption, and no file.
func (m *madeFolders) is(path string, now bool) bool {
	if now && !m.past[path] {
		_, _ = fmt.Fprintln(m.file, hex.EncodeToString([]byte(path)))
	}
	return now || m.past[path]
}

func (m *madeFolders) close() { _ = m.file.Close() }

func (m *madeFolders) remove() {
	m.close()
	_ = os.Remove(m.file.Name())
}
