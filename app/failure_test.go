package app

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coffer/app/repo"
	"coffer/cloud"
	"coffer/crypto"
	"coffer/vault"
)

// Every exported sentinel of this package and of those below it has a row.
func TestEverySentinelIsExplained(t *testing.T) {
	table, err := os.ReadFile("failure.go")
	if err != nil {
		t.Fatal(err)
	}
	for dir, prefix := range map[string]string{
		".": "", "repo": "repo.", "source": "source.", "target": "target.", "../cloud": "cloud.", "../crypto": "crypto.",
		"../vault": "vault.", "../vault/embedded": "embedded.",
	} {
		found := 0
		for _, name := range sentinels(t, dir) {
			found++
			if dir == "target" && name == "ErrPermission" {
				continue // the same as source.ErrPermission
			}
			if !strings.Contains(string(table), "{"+prefix+name+", Code") {
				t.Errorf("%s%s has no row in failure.go", prefix, name)
			}
		}
		if found == 0 {
			t.Errorf("no sentinels in %s: the test looks at nothing", dir)
		}
	}
}

func parseDir(t *testing.T, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// sentinels returns the package-level variables whose names begin with Err.
func sentinels(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, f := range parseDir(t, dir) {
		for _, decl := range f.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				for _, id := range spec.(*ast.ValueSpec).Names {
					if strings.HasPrefix(id.Name, "Err") {
						names = append(names, id.Name)
					}
				}
			}
		}
	}
	return names
}

// Every code can come out of Explain: a sentence that nobody ever sees is a situation that
// was forgotten.
func TestEveryCodeIsReached(t *testing.T) {
	reached := map[Code]bool{
		CodeInternal: true, CodeLastTry: true, CodeRecoveryShort: true, CodeRecoveryLong: true, CodeRecoveryDigit: true,
		CodePlaceNewHost: true, CodePlaceCertificate: true, CodePlaceLimit: true,
	}
	for _, c := range causes {
		reached[c.code] = true
	}
	found := 0
	for _, f := range parseDir(t, ".") {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			typ, ok := spec.Type.(*ast.Ident)
			if !ok || typ.Name != "Code" {
				return true
			}
			found++
			if code := Code(strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)); !reached[code] {
				t.Errorf("no error leads to %q", code)
			}
			return true
		})
	}
	if found < 50 {
		t.Errorf("found %d codes: the test looks at nothing", found)
	}
}

func TestExplain(t *testing.T) {
	until := time.Date(2026, 3, 3, 14, 2, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		err  error
		code Code
		args map[string]string
	}{
		"nothing":        {nil, "", nil},
		"cancelled":      {fmt.Errorf("back up: %w: %w", cloud.ErrOffline, context.Canceled), CodeCanceled, nil},
		"unknown":        {errors.New("surprise"), CodeInternal, nil},
		"wrong password": {&vault.AttemptError{Err: vault.ErrWrongPassword, Left: 7}, CodeWrongPassword, map[string]string{"tries": "7"}},
		"last try":       {&vault.AttemptError{Err: vault.ErrWrongPassword, Left: 1}, CodeLastTry, map[string]string{"tries": "1"}},
		"tries unknown":  {&vault.AttemptError{Err: vault.ErrUnknownOutcome, Left: -1}, CodeOutcomeUnknown, map[string]string{"tries": ""}},
		"wait": {
			fmt.Errorf("open: %w", &vault.AttemptError{Err: vault.ErrWait, Left: 5, Until: until}), CodeWait,
			map[string]string{"tries": "5", "until": "2026-03-03T14:02:00Z"},
		},
		"damaged pack":             {fmt.Errorf("check: %w", &repo.ObjectError{Object: "pack-ab", Err: repo.ErrDamaged}), CodeObjectDamaged, map[string]string{"object": "pack-ab"}},
		"pack on a disk that went": {&repo.ObjectError{Object: "pack-ab", Err: fmt.Errorf("%w: %w", repo.ErrMissing, cloud.ErrOffline)}, CodePlaceOffline, nil},
		"recovery line":            {&crypto.RecoveryError{Line: 3, Reason: crypto.RecoveryCheckMismatch}, CodeRecoveryLine, map[string]string{"line": "3"}},
		"recovery short":           {&crypto.RecoveryError{Reason: crypto.RecoveryTooShort}, CodeRecoveryShort, nil},
		"recovery long":            {&crypto.RecoveryError{Reason: crypto.RecoveryTooLong}, CodeRecoveryLong, nil},
		"recovery digit":           {&crypto.RecoveryError{Line: 1, Reason: crypto.RecoveryNotADigit, Position: 4}, CodeRecoveryDigit, map[string]string{"line": "1", "position": "4"}},
		"snapshot":                 {&SnapshotError{Ref: "abc", Err: ErrAmbiguous}, CodeAmbiguous, map[string]string{"snapshot": "abc"}},
		"path":                     {&PathError{Path: "/a", Err: ErrNoPath}, CodeNoPath, map[string]string{"path": "/a"}},
		"forged head":              {fmt.Errorf("%w: %w", ErrRollback, repo.ErrForged), CodeRollback, nil},
		"newer profile":            {ErrProfileNewer, CodeFormatNewer, nil},
		"new host": {
			atPlace("sftp://h/x", &cloud.IdentityError{Kind: cloud.HostKey, Host: "h:22", Offered: "SHA256:b"}), CodePlaceNewHost,
			map[string]string{"place": "sftp://h/x", "host": "h:22", "offered": "SHA256:b", "known": ""},
		},
		"changed host": {
			&cloud.IdentityError{Kind: cloud.HostKey, Host: "h:22", Known: "SHA256:a", Offered: "SHA256:b"}, CodePlaceHostKey,
			map[string]string{"host": "h:22", "known": "SHA256:a", "offered": "SHA256:b"},
		},
		"certificate": {
			fmt.Errorf("put: %w", &cloud.IdentityError{Kind: cloud.Certificate, Host: "h", Reason: "expired", Offered: "SHA256:c"}), CodePlaceCertificate,
			map[string]string{"host": "h", "reason": "expired", "offered": "SHA256:c"},
		},
		"identity alone":    {cloud.ErrIdentity, CodePlaceHostKey, nil},
		"busy":              {&cloud.LimitError{Until: time.Now().Add(time.Minute)}, CodePlaceOffline, map[string]string{"until": ""}},
		"busy, until where": {cloud.ErrLimit, CodePlaceOffline, nil},
		"daily limit": {
			atPlace("drive:", &cloud.LimitError{Until: time.Date(2999, 3, 3, 14, 2, 0, 0, time.UTC)}), CodePlaceLimit,
			map[string]string{"place": "drive:", "until": "2999-03-03T14:02:00Z"},
		},
		"signed out": {
			atAccount("drive:", "ann@example.org", fmt.Errorf("list: %w", cloud.ErrAuth)), CodePlaceSignIn,
			map[string]string{"place": "drive:", "account": "ann@example.org"},
		},
		"trashed, of a place that was there": {gone(atPlace("drive:", cloud.ErrTrashed)), CodePlaceTrashed, map[string]string{"place": "drive:"}},
		"not there any more":                 {gone(atPlace("/disk", cloud.ErrNoPlace)), CodePlaceOffline, map[string]string{"place": "/disk"}},
		"secret missing":                     {fmt.Errorf("%w: %w", ErrPlaceSecret, ErrNoEntry), CodePlaceSecret, nil},
		"place":                              {atPlace("/outer", fmt.Errorf("x: %w", atPlace("/inner", cloud.ErrFull))), CodePlaceFull, map[string]string{"place": "/inner"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := Explain(tt.err)
			if f.Code != tt.code {
				t.Errorf("got %q, want %q", f.Code, tt.code)
			}
			for arg, want := range tt.args {
				if f.Args[arg] != want {
					t.Errorf("%s is %q, want %q", arg, f.Args[arg], want)
				}
			}
		})
	}
}

// Each situation of package cloud leads to its own sentence, also where it is wrapped by
// those that say less.
func TestSituationsOfPlacesAreToldApart(t *testing.T) {
	for code, err := range map[Code]error{
		CodePlaceTrashed: cloud.ErrTrashed, CodePlaceAccount: cloud.ErrAccount, CodePlacePermission: cloud.ErrScope,
		CodeSignInRefused: cloud.ErrRefused, CodeSignInTimeout: cloud.ErrTimeout, CodePlaceClient: cloud.ErrClient,
		CodePlaceKeyPassphrase: cloud.ErrPassphrase, CodePlaceClock: cloud.ErrClock, CodePlaceArchived: cloud.ErrArchived,
		CodePlaceNoLock: cloud.ErrNoLock, CodePlaceWaiting: cloud.ErrWaiting, CodePlaceNoICloud: cloud.ErrNoSync,
		CodePlaceNoProgram: cloud.ErrNoProgram, CodePlaceNoRemote: cloud.ErrNoRemote, CodePlaceUseDrive: cloud.ErrUseDrive,
		CodeProxy: cloud.ErrProxy, CodePlaceAddress: cloud.ErrAddress, CodePlacePlain: cloud.ErrPlain,
		CodePlaceLast: ErrPlaceLast, CodePlaceUnknown: ErrPlaceUnknown, CodePlaceKnown: ErrPlaceKnown,
		CodePlaceSecret: ErrPlaceSecret, CodeMetered: ErrMetered, CodeTargetInPlace: ErrTargetInPlace,
	} {
		wrapped := gone(atPlace("/place", fmt.Errorf("list: %w", cloud.Final(err))))
		if f := Explain(wrapped); f.Code != code || f.Args["place"] != "/place" {
			t.Errorf("%v leads to %+v, want %s", err, f, code)
		}
	}
}

// What a backup calls waiting, Home calls waiting when it reads of it later.
func TestWaitingIsTheSameInBothPlaces(t *testing.T) {
	waiting := 0
	for _, c := range causes {
		for _, err := range []error{c.err, atPlace("/p", c.err), &cloud.LimitError{Until: time.Now().Add(time.Hour)}} {
			code := Explain(err).Code
			if isWaiting(err) != isWaitingCode(code) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v (%s): waiting %v and then %v", err, code, isWaiting(err), isWaitingCode(code))
			}
			if isWaiting(err) {
				waiting++
			}
		}
	}
	if waiting < 10 {
		t.Errorf("%d waits: the test looks at nothing", waiting)
	}
}
