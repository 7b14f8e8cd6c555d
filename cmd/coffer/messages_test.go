package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"coffer/app"
)

// constantsOf reads the values of every constant of one type from the source of app: a
// new code without a sentence is found here, not by a user.
func constantsOf(t *testing.T, typeName string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../../app/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of app: %v", err)
	}
	found := map[string]bool{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != typeName {
				return true
			}
			for _, v := range spec.Values {
				if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					value, _ := strconv.Unquote(lit.Value)
					found[value] = true
				}
			}
			return true
		})
	}
	if len(found) < 5 {
		t.Fatalf("found %d constants of type %s: the test looks at nothing", len(found), typeName)
	}
	return found
}

func TestEveryCodeHasASentence(t *testing.T) {
	codes := constantsOf(t, "Code")
	for code := range codes {
		m, ok := messages[app.Code(code)]
		if !ok {
			t.Errorf("%s has no message", code)
			continue
		}
		checkVariants(t, code, m.says, true)
		checkVariants(t, code, m.advice, false)
	}
	for code := range messages {
		if !codes[string(code)] {
			t.Errorf("the message of %s has no code", code)
		}
	}
	for code := range statuses {
		if !codes[string(code)] {
			t.Errorf("the exit status of %s has no code", code)
		}
	}
}

func TestEveryNoticeHasASentence(t *testing.T) {
	codes := constantsOf(t, "NoticeCode")
	for code := range codes {
		checkVariants(t, code, notices[app.NoticeCode(code)], true)
	}
	for code := range notices {
		if !codes[string(code)] {
			t.Errorf("the sentence of %s has no notice", code)
		}
	}
}

// checkVariants wants whole sentences, the last of which needs no argument.
func checkVariants(t *testing.T, code string, variants []string, required bool) {
	t.Helper()
	if len(variants) == 0 {
		if required {
			t.Errorf("%s: no sentence", code)
		}
		return
	}
	for _, v := range variants {
		// Some sentences end with an argument that is a sentence itself.
		if !strings.HasSuffix(v, ".") && !strings.HasSuffix(v, "?") && !strings.HasSuffix(v, ")") && !strings.HasSuffix(v, "}") {
			t.Errorf("%s: %q does not end like a sentence", code, v)
		}
		for _, banned := range []string{"invalid", "military", "zero-knowledge", "re you sure", "rror:", "  "} {
			if strings.Contains(strings.ToLower(v), banned) {
				t.Errorf("%s: %q says %q", code, v, banned)
			}
		}
	}
	if last := variants[len(variants)-1]; strings.ContainsAny(last, "{}") {
		t.Errorf("%s: the last variant %q needs an argument", code, last)
	}
}

func TestSentences(t *testing.T) {
	until := time.Date(2026, 3, 3, 14, 2, 0, 0, time.Local)
	for _, c := range []struct {
		code app.Code
		args map[string]string
		want string
	}{
		{app.CodeWrongPassword, map[string]string{"tries": "7"}, "That was not the password. 7 tries are left."},
		{app.CodeWrongPassword, nil, "That was not the password."},
		{app.CodeWrongPassword, map[string]string{"tries": "1"}, "That was not the password. 1 try is left: if it is wrong, the vault destroys its key for good."},
		{app.CodeWait, map[string]string{"until": until.Format(time.RFC3339)}, "The vault takes no try before 3 March 2026 14:02. No try was used."},
		{app.CodeWait, map[string]string{"until": "soon\x1b"}, `The vault takes no try before "soon\x1b". No try was used.`},
		{app.CodeKeyOfOther, map[string]string{"made": until.Format(time.RFC3339), "computer": "ANN-OLD-PC"}, "This key is correct, but for a different backup, made 3 March 2026 on ANN-OLD-PC."},
		{app.CodeNoPath, map[string]string{"path": "/a\nb"}, `There is no "/a\nb" in this snapshot.`},
		{app.CodeRecoveryLine, map[string]string{"line": "3"}, "Line 3 of the recovery key has a typing error."},
		{"a-code-of-the-future", nil, "Something went wrong that Coffer has no words for."},
	} {
		if got := complain(app.Failure{Code: c.code, Args: c.args}, nil).says; got != c.want {
			t.Errorf("%s: %q, want %q", c.code, got, c.want)
		}
	}
}

func TestEveryPasswordProblemHasASentence(t *testing.T) {
	for problem := range constantsOf(t, "PasswordProblem") {
		for _, lock := range []app.LockKind{app.LockPassword, app.LockPassphrase} {
			if text := passwordProblem(lock, app.PasswordProblem(problem)); len(text) < 20 {
				t.Errorf("%s, %s: %q", lock, problem, text)
			}
		}
	}
}
