package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages reads every page of documentation of the tree, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && file != "." && (name == "build" || name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(file) != ".md" {
			return nil
		}
		text, err := os.ReadFile(file)
		found[filepath.ToSlash(file)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("found only %d pages", len(found))
	}
	return found
}

// TestLinksLeadSomewhere follows every link to a file of the tree, and to a
// heading of a page.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	all, links := pages(t), 0
	for file, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			to := filepath.ToSlash(filepath.Join(filepath.Dir(file), target))
			if target == "" {
				to = file
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: the link %q leads nowhere", file, m[1])
			}
			if page, ok := all[to]; anchor != "" && ok && !hasHeading(page, anchor) {
				t.Errorf("%s: %s has no heading %q", file, to, anchor)
			}
		}
	}
	if links < 20 {
		t.Fatalf("followed only %d links", links)
	}
}

// hasHeading says whether a heading of the page becomes this anchor.
func hasHeading(page, anchor string) bool {
	for line := range strings.Lines(page) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			if strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-") == anchor {
				return true
			}
		}
	}
	return false
}

// TestDecisionsHaveTheirForm: a page without what would change our mind is a
// rule that nobody dares to touch.
func TestDecisionsHaveTheirForm(t *testing.T) {
	all, decisions := pages(t), 0
	for file, text := range all {
		name := filepath.Base(file)
		if !strings.HasPrefix(file, "docs/adr/") || name == "README.md" {
			continue
		}
		decisions++
		number, _, _ := strings.Cut(name, "-")
		if !strings.HasPrefix(text, "# "+number+": ") {
			t.Errorf("%s does not begin with its number", file)
		}
		for _, part := range []string{"**Context.**", "**Decision.**", "**Consequences.**", "**What would change our mind.**"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s has no part %s", file, part)
			}
		}
		if !strings.Contains(all["docs/adr/README.md"], "("+name+")") {
			t.Errorf("%s is not in docs/adr/README.md", file)
		}
	}
	if decisions == 0 {
		t.Fatal("found no decision")
	}
}

// TestChangesHaveTheirForm: the first line says the kind, for whoever collects
// them for a release.
func TestChangesHaveTheirForm(t *testing.T) {
	form := regexp.MustCompile(`^(New|Changed|Fixed|Security): [^\n]+\n\n(.|\n)+\n$`)
	for file, text := range pages(t) {
		if strings.HasPrefix(file, "changes/unreleased/") && !form.MatchString(text) {
			t.Errorf("%s has not the form that changes/README.md describes", file)
		}
	}
}

// TestScriptsAreListed: the Makefile is the way to every script, so a script that
// nothing calls is dead.
func TestScriptsAreListed(t *testing.T) {
	callers := ""
	for _, file := range []string{"Makefile", ".ci/run"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		callers += string(text)
	}
	scripts, err := filepath.Glob("scripts/*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("found no scripts: %v", err)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		callers += string(text)
	}
	for _, script := range scripts {
		if !regexp.MustCompile(`[ (/]` + regexp.QuoteMeta(filepath.Base(script))).MatchString(strings.ReplaceAll(callers, "# "+filepath.Base(script), "")) {
			t.Errorf("nothing calls %s", script)
		}
	}
}

// TestDependenciesAreExplained insists on a line in docs/dependencies.md for
// every module that go.mod requires directly, and on none for others.
func TestDependenciesAreExplained(t *testing.T) {
	page, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) >= 4 && strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			explained[strings.Trim(strings.TrimSpace(cells[1]), "`")] = len(strings.Fields(cells[2])) >= 4
		}
	}
	direct := directRequirements(t)
	for name := range direct {
		if !explained[name] {
			t.Errorf("docs/dependencies.md does not say why %s is needed", name)
		}
	}
	for name := range explained {
		if !direct[name] {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require directly", name)
		}
	}
}

// directRequirements reads the module paths of go.mod without "// indirect".
func directRequirements(t *testing.T) map[string]bool {
	t.Helper()
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	direct := map[string]bool{}
	inside := false
	for line := range strings.Lines(string(mod)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			inside = true
		case line == ")":
			inside = false
		case inside && line != "" && !strings.HasSuffix(line, "// indirect"):
			direct[strings.Fields(line)[0]] = true
		}
	}
	if len(direct) == 0 {
		t.Fatal("go.mod requires nothing: was its form changed?")
	}
	return direct
}
