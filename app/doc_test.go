package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// The walks in the package's documentation lead somewhere: each file is there and has a
// function, or a method, of that name.
func TestTheWalksExist(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	hops := 0
	for line := range strings.Lines(f.Doc.Text()) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || strings.TrimSpace(cells[1]) == "hop" {
			continue
		}
		hops++
		file, function := strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])
		if !hasFunction(t, filepath.Join("..", filepath.FromSlash(file)), function) {
			t.Errorf("%s has no function %s", file, function)
		}
	}
	if hops < 20 {
		t.Errorf("%d hops: the test looks at nothing", hops)
	}
}

func hasFunction(t *testing.T, file, name string) bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return false
	}
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == name {
			return true
		}
	}
	return false
}
