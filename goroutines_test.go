package main

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// mayStartGoroutines lists the only files with a go statement, or that start
// goroutines through an errgroup or a sync.WaitGroup. Everything else is
// sequential code that a reader can follow from top to bottom.
var mayStartGoroutines = []string{
	"app/backup.go",                       // the stages of a backup
	"app/meter.go",                        // tells progress while the others work
	"app/place_copy.go",                   // objects copied side by side
	"app/place_lock.go",                   // locks moved on side by side
	"app/repo/check.go",                   // packs read back side by side
	"app/repo/repository.go",              // reads indexes side by side
	"app/repo/writer.go",                  // uploads
	"app/restore_round.go",                // packs fetched side by side
	"app/scan.go",                         // counts what is still to come
	"cloud/drive/signin.go",               // serves the browser's answer
	"cloud/icloud/worker.go",              // a read of a file that is not here yet obeys nobody
	"cloud/rclone/process.go",             // waits for the child
	"internal/metered/metered_windows.go", // COM obeys no context
	"cloud/sftp/channel.go",               // the connection's own reading and writing
	"cloud/sftp/link.go",                  // likewise, and a watch that ends it
	"cloud/store.go",                      // one request, watched: a store that stalls must not hold up the program
	"cmd/coffer/signals.go",
	"internal/keyring/keyring.go", // a key store that does not answer must not hold up the program
	"ui/task.go",
	"vault/embedded/embedded.go",        // serves the pipe
	"bench/vault/load.go",               // clients side by side
	"bench/vault/world.go",              // serves a vault
	"internal/signin/signin.go",         // serves the browser's answer
	"vault/vaulttest/guesser.go",        // guessers side by side
	"vault/server/node/run.go",          // the listeners and what else a serving vault does
	"vault/server/store/etcd/member.go", // etcd's start takes no context
}

func TestGoroutinesStartInFewPlaces(t *testing.T) {
	started := map[string]bool{}
	for _, s := range sources(t) {
		if s.test || slices.Contains(s.imports(), "testing") {
			continue // conformance suites race on purpose
		}
		groups := slices.Contains(s.imports(), "golang.org/x/sync/errgroup") || slices.Contains(s.imports(), "sync")
		ast.Inspect(s.file, func(n ast.Node) bool {
			if !startsGoroutine(n, groups) {
				return true
			}
			started[s.path] = true
			if !slices.Contains(mayStartGoroutines, s.path) {
				t.Errorf("%s: a goroutine starts outside of the listed files", s.at(n))
			}
			return true
		})
	}
	for _, file := range mayStartGoroutines {
		if !started[file] {
			t.Errorf("%s is listed but starts no goroutine: a rule about a file that was renamed guards nothing", file)
		}
	}
}

// startsGoroutine recognizes a go statement and, in a file with groups, x.Go(...).
func startsGoroutine(n ast.Node, groups bool) bool {
	if _, ok := n.(*ast.GoStmt); ok {
		return true
	}
	call, ok := n.(*ast.CallExpr)
	if !ok || !groups {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Go" && len(call.Args) == 1
}

// TestNothingHappensBeforeMain: an init function, or a package variable that
// somebody changes, is work that no reader of main can see.
func TestNothingHappensBeforeMain(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init: do it in main, or make it a function that its user calls", s.at(f))
			}
		}
	}
}

func TestEnvironmentIsReadInOnePlace(t *testing.T) {
	readers := []string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv", "syscall.Getenv", "os.UserHomeDir", "os.UserConfigDir", "os.UserCacheDir"}
	for _, s := range sources(t) {
		if s.test || slices.Contains(mayReadEnvironment, s.pkg) {
			continue
		}
		eachName(s, func(n ast.Node, name string) {
			if slices.Contains(readers, name) {
				t.Errorf("%s: %s: take it from the configuration", s.at(n), name)
			}
		})
	}
}

// TestNobodyLeavesTheProgram: only main may end it, or what was deferred (locks,
// temporary files, secrets to wipe) never runs.
func TestNobodyLeavesTheProgram(t *testing.T) {
	leaving := []string{"os.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "syscall.Exit"}
	for _, s := range sources(t) {
		if s.test || s.file.Name.Name == "main" {
			continue
		}
		eachName(s, func(n ast.Node, name string) {
			if slices.Contains(leaving, name) {
				t.Errorf("%s: %s outside main", s.at(n), name)
			}
		})
	}
}

// TestTestsKeepTheRules: no sleeps, no skip without a reason, no check of an
// error by its text, and a fuzz target is one that "make fuzz" finds.
func TestTestsKeepTheRules(t *testing.T) {
	tests := 0
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		tests++
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch name := calledName(call); {
			case name == "time.Sleep" && !inSynctest(s):
				t.Errorf("%s: time.Sleep: wait for a condition, or use testing/synctest", s.at(call))
			case strings.HasSuffix(name, ".Skip") && len(call.Args) == 0, strings.HasSuffix(name, ".SkipNow"):
				t.Errorf("%s: a skip says what is missing", s.at(call))
			}
			return true
		})
	}
	if tests < 10 {
		t.Fatalf("found only %d test files", tests)
	}
}

// inSynctest says whether the file runs its time in bubbles: a sleep is free in
// there.
func inSynctest(s source) bool { return slices.Contains(s.imports(), "testing/synctest") }

// TestErrorsAreDecidedByIdentity: an error's text is for people, and changes.
func TestErrorsAreDecidedByIdentity(t *testing.T) {
	looking := []string{"strings.Contains", "strings.HasPrefix", "strings.HasSuffix", "strings.EqualFold", "strings.Index", "regexp.MatchString"}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && slices.Contains(looking, calledName(call)) && slices.ContainsFunc(call.Args, isErrorText) && !s.test {
				t.Errorf("%s: decides by an error's text: use errors.Is or errors.As", s.at(call))
			}
			if b, ok := n.(*ast.BinaryExpr); ok && (isErrorText(b.X) || isErrorText(b.Y)) && b.Op.String() != "+" {
				t.Errorf("%s: compares an error's text: use errors.Is or errors.As", s.at(b))
			}
			return true
		})
	}
}

// isErrorText recognizes err.Error().
func isErrorText(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	return ok && len(call.Args) == 0 && strings.HasSuffix(calledName(call), ".Error") && strings.HasPrefix(calledName(call), "err")
}

// TestNoOneLeavesANote: work that is not done belongs in an issue, where somebody
// finds it.
func TestNoOneLeavesANote(t *testing.T) {
	for _, s := range sources(t) {
		for _, group := range s.file.Comments {
			for _, word := range []string{"TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"} {
				if strings.Contains(group.Text(), word) {
					t.Errorf("%s: %s", s.at(group), word)
				}
			}
		}
	}
}

// eachName calls fn for every qualified name "package.Name" in a file.
func eachName(s source, fn func(ast.Node, string)) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				fn(sel, x.Name+"."+sel.Sel.Name)
			}
		}
		return true
	})
}

// calledName gives "x.f" for the call x.f(...), "f" for f(...), else "".
func calledName(call *ast.CallExpr) string {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		if x, ok := fun.X.(*ast.Ident); ok {
			return x.Name + "." + fun.Sel.Name
		}
	}
	return ""
}
