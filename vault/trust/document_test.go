package trust

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestBundlesAreThoseOfTheDocument: the lines of a bundle stand in docs/vault-protocol.md,
// in their order.
func TestBundlesAreThoseOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/vault-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Trust\n")
	if !ok {
		t.Fatal("no section Trust")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	_, table, _ := strings.Cut(section, "| `coffer-vault bundle 1` |")
	var said []string
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		for _, key := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			said = append(said, key[1])
		}
	}
	var are []string
	for _, line := range strings.Split(strings.TrimSpace(string(Bundle{}.text())), "\n")[1:] {
		key, _, _ := strings.Cut(line, " ")
		are = append(are, key)
	}
	if strings.Join(said, " ") != strings.Join(are, " ") {
		t.Errorf("the document says\n%v, a bundle has\n%v", said, are)
	}
}
