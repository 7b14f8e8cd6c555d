package ui

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"coffer/app"
	"coffer/assets"
	"coffer/ui/canned"
)

// catalogue is the texts of a language: each key with its forms, "" being the only one.
func catalogue(t *testing.T, language string) map[string]map[string]string {
	t.Helper()
	raw, ok := assets.Translation(language)
	if !ok {
		t.Fatalf("no language %s", language)
	}
	var texts map[string]json.RawMessage
	if err := json.Unmarshal(raw, &texts); err != nil {
		t.Fatalf("%s: %v", language, err)
	}
	all := map[string]map[string]string{}
	for key, raw := range texts {
		var one string
		forms := map[string]string{}
		if json.Unmarshal(raw, &one) == nil {
			forms[""] = one
		} else if err := json.Unmarshal(raw, &forms); err != nil {
			t.Fatalf("%s: %s: %v", language, key, err)
		}
		all[key] = forms
	}
	return all
}

var hole = regexp.MustCompile(`\{\{\.(\w+)\}\}`)

// holesOf returns the holes of all forms of a text, sorted.
func holesOf(forms map[string]string) []string {
	var names []string
	for _, text := range forms {
		for _, m := range hole.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(names, m[1]) {
				names = append(names, m[1])
			}
		}
	}
	slices.Sort(names)
	return names
}

func TestEveryLanguageSaysTheSame(t *testing.T) {
	languages := assets.Languages()
	if len(languages) < 2 || languages[0] != "en" {
		t.Fatalf("languages are %v", languages)
	}
	english := catalogue(t, "en")
	for _, language := range languages[1:] {
		texts := catalogue(t, language)
		for key, forms := range english {
			other, ok := texts[key]
			if !ok {
				t.Errorf("%s lacks %s", language, key)
				continue
			}
			if (len(forms) == 1) != (len(other) == 1) {
				t.Errorf("%s: %s has other forms than in English", language, key)
			}
			if a, b := holesOf(forms), holesOf(other); !slices.Equal(a, b) {
				t.Errorf("%s: %s has the holes %v, in English %v", language, key, b, a)
			}
		}
		for key := range texts {
			if _, ok := english[key]; !ok {
				t.Errorf("%s has %s, which is not in English", language, key)
			}
		}
	}
}

func TestEveryTextIsThere(t *testing.T) {
	for _, language := range assets.Languages() {
		for key, forms := range catalogue(t, language) {
			for form, text := range forms {
				if strings.TrimSpace(text) == "" && key != "format.group" {
					t.Errorf("%s: %s has an empty text %s", language, key, form)
				}
				if strings.Count(text, "{{") != len(hole.FindAllString(text, -1)) {
					t.Errorf("%s: %s has a hole that nobody fills: %q", language, key, text)
				}
			}
			if _, plural := forms["one"]; plural && (forms["other"] == "" || len(forms) != 2) {
				t.Errorf("%s: %s has not exactly the forms one and other", language, key)
			}
		}
	}
}

// sourceFiles parses the package without its tests.
func sourceFiles(t *testing.T) (*token.FileSet, []*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) < 20 {
		t.Fatalf("found %d files", len(files))
	}
	return fset, files
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// beginning returns the literal that an expression such as "a." + b begins with.
func beginning(e ast.Expr) (string, bool) {
	sum, ok := e.(*ast.BinaryExpr)
	if !ok {
		return literal(e)
	}
	return beginning(sum.X)
}

// called returns the last name of what is called: "say", "Errorf", "Debug".
func called(c *ast.CallExpr) string {
	switch fn := c.Fun.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.SelectorExpr:
		return fn.Sel.Name
	}
	return ""
}

func TestEveryKeyInCodeHasAText(t *testing.T) {
	english := catalogue(t, "en")
	fset, files := sourceFiles(t)
	var used, prefixes []string
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				if s, ok := literal(lit); ok {
					used = append(used, s)
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || called(call) != "say" && called(call) != "sayN" {
				return true
			}
			name, isLiteral := literal(call.Args[0])
			if isLiteral {
				forms, ok := english[name]
				if !ok {
					t.Errorf("%s: there is no text %s", fset.Position(call.Pos()), name)
				}
				if _, plural := forms["one"]; ok && plural != (called(call) == "sayN") {
					t.Errorf("%s: %s is called with %s", fset.Position(call.Pos()), name, called(call))
				}
				return true
			}
			if prefix, ok := beginning(call.Args[0]); ok {
				prefixes = append(prefixes, prefix)
			}
			return true
		})
	}
	if len(used) < 300 || len(prefixes) == 0 {
		t.Fatalf("saw %d literals and %d prefixes", len(used), len(prefixes))
	}
	prefixes = append(prefixes, "failure.", "reason.")
	for key := range english {
		if slices.Contains(used, key) || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
			continue
		}
		t.Errorf("nothing says %s", key)
	}
	for _, p := range prefixes {
		if !slices.ContainsFunc(keysOf(english), func(key string) bool { return strings.HasPrefix(key, p) }) {
			t.Errorf("no text begins with %s", p)
		}
	}
}

func keysOf(m map[string]map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// notForPeople are calls whose texts are read by programmers.
var notForPeople = []string{"Errorf", "New", "Debug", "Info", "Error", "Warn", "panic"}

func TestNoTextForPeopleInCode(t *testing.T) {
	sentence := regexp.MustCompile(`[A-Za-z]{2,} [A-Za-z]{2,}`)
	fset, files := sourceFiles(t)
	looked := 0
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				return !slices.Contains(notForPeople, called(n))
			case *ast.ImportSpec, *ast.Field:
				return true
			case *ast.BasicLit:
				looked++
				if s, ok := literal(n); ok && sentence.MatchString(s) {
					t.Errorf("%s: %q is for people, and not in the catalogue", fset.Position(n.Pos()), s)
				}
			}
			return true
		})
	}
	if looked < 300 {
		t.Fatalf("looked at %d literals", looked)
	}
}

// constants returns the values of all constants of one type that package app declares.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	names, err := filepath.Glob("../app/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, name := range names {
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
				if s, ok := literal(v); ok {
					values = append(values, s)
				}
			}
			return true
		})
	}
	if len(values) < 3 {
		t.Fatalf("found %d constants of type %s", len(values), typeName)
	}
	return values
}

func TestEverySituationHasASentence(t *testing.T) {
	english := catalogue(t, "en")
	want := func(key string) {
		if _, ok := english[key]; !ok {
			t.Errorf("no text %s", key)
		}
	}
	for _, code := range constants(t, "Code") {
		want("failure." + code + ".title")
		want("failure." + code + ".body")
	}
	for _, problem := range constants(t, "PasswordProblem") {
		if problem != "" {
			want("secret.problem." + problem)
		}
	}
	for _, kind := range constants(t, "LockKind") {
		want("lock.name." + kind)
		if kind != string(app.LockPassword) { // its vault says what it means
			want("lock.meaning." + kind + ".title")
		}
	}
	for _, rule := range constants(t, "Conflict") {
		want("conflict." + rule)
		want("before.existing." + rule)
	}
	for _, phase := range constants(t, "Phase") {
		want("work.phase." + phaseKey(app.Phase(phase)))
	}
	for _, kept := range constants(t, "KeepKey") {
		want("ways.kept." + keptName(app.KeepKey(kept)))
	}
	for _, state := range []string{app.StateNever, app.StateSafe, app.StateWorking, app.StateWaiting, app.StateLate, app.StateDanger, app.StatePaused} {
		want("home." + state + ".title")
		want("home." + state + ".body")
	}
	for _, code := range constants(t, "AttentionCode") {
		key := attentionKey(app.AttentionCode(code))
		want("attention." + key + ".button")
		if key != string(app.AttentionLastFailed) {
			want("attention." + key + ".title")
		}
	}
	wantVaults(t, want)
	for _, s := range setupSteps {
		want("setup.step." + s)
	}
	for _, s := range restoreSteps {
		want("restore.step." + s)
	}
}

// wantVaults asks for the sentences about vaults.
func wantVaults(t *testing.T, want func(string)) {
	t.Helper()
	alarms := 0
	for _, code := range constants(t, "Code") {
		if !vaultAlarm(app.Code(code)) {
			continue
		}
		alarms++
		want("vaultalarm.why." + code)
		for _, m := range []meeting{firstMeeting, knownVault} {
			want("vaultalarm." + string(m) + "." + code + ".title")
		}
	}
	if alarms != 5 {
		t.Errorf("%d failures are alarms of a vault", alarms)
	}
	for _, m := range []meeting{firstMeeting, knownVault} {
		want("vaultalarm.sent." + string(m))
		want("vaultalarm.do." + string(m))
	}
	for _, class := range []string{"software", "token", "tpm", "epochs", "hardware", "unknown"} {
		want("vault.class." + class)
		want("vault.means." + class)
		want("vault.line." + class)
		want("vaultcard.keys." + class)
	}
	card := &vaultCard{desk: &desk{now: func() time.Time { return canned.Now }}}
	for _, code := range constants(t, "VaultWarningCode") {
		if code == string(app.VaultWarnNotDestroyed) {
			continue // said with the vault that was left
		}
		said := textOf(card.warning(app.VaultWarning{Code: app.VaultWarningCode(code), Args: map[string]string{"count": "2", "kind": "tries"}}))
		if said == "" || strings.Contains(said, say("vault.changed.other", "before", "", "after", "")) {
			t.Errorf("the warning %s says %q", code, said)
		}
	}
}

// What a failure can carry has to fit the holes that its text may have.
func TestFailureHoles(t *testing.T) {
	for key, forms := range catalogue(t, "en") {
		if !strings.HasPrefix(key, "failure.") {
			continue
		}
		for _, name := range holesOf(forms) {
			if !slices.Contains(failureHoles[:], name) {
				t.Errorf("%s has the hole %s, which no failure fills", key, name)
			}
		}
	}
}

func TestExclusionsAreExplainedInEveryLanguage(t *testing.T) {
	excludes := app.DefaultExcludes()
	if len(excludes) == 0 {
		t.Fatal("nothing is left out")
	}
	restoreLanguage(t)
	if _, err := speak("de"); err != nil {
		t.Fatal(err)
	}
	for _, e := range excludes {
		if got := reason(e.Reason); got == e.Reason {
			t.Errorf("%q is not translated", e.Reason)
		}
	}
	if got := reason("some words of a system {{.x}}"); got != "some words of a system {{.x}}" {
		t.Errorf("unknown words became %q", got)
	}
}

func TestEveryIconIsThere(t *testing.T) {
	entries, err := os.ReadDir("../assets/icons")
	if err != nil || len(entries) < 20 {
		t.Fatalf("%d icons: %v", len(entries), err)
	}
	for _, n := range navigation {
		assets.Icon(n.icon)
	}
	for t := tonePlain; t <= toneBusy; t++ {
		assets.IconIn(t.icon(), t.color())
	}
}

func restoreLanguage(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if _, err := speak("en"); err != nil {
			t.Error(err)
		}
	})
}
