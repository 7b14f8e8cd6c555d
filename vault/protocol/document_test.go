package protocol

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
)

func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/vault-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func tableRows(t *testing.T, heading string) [][]string {
	t.Helper()
	_, section, ok := strings.Cut(document(t), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows [][]string
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "|") {
			continue
		}
		var cells []string
		for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.Trim(strings.TrimSpace(c), "`"))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("no table below %q", heading)
	}
	return rows
}

func TestErrorsAreThoseOfTheDocument(t *testing.T) {
	rows := tableRows(t, "## Errors")[2:]
	if len(rows) != len(errorTable) {
		t.Fatalf("%d errors in the document, %d in the code", len(rows), len(errorTable))
	}
	for i, row := range rows {
		e := errorTable[i]
		if row[0] != e.code || row[1] != strconv.Itoa(e.status) {
			t.Errorf("row %d: the document says %s %s, the code %s %d", i+1, row[0], row[1], e.code, e.status)
		}
		if http.StatusText(e.status) == "" {
			t.Errorf("%s: %d is no HTTP status", e.code, e.status)
		}
	}
}

func TestRequestsAreThoseOfTheDocument(t *testing.T) {
	var rows [][]string
	for _, row := range tableRows(t, "## Requests") {
		if len(row) == 5 && row[0] != "kind" && !strings.HasPrefix(row[0], "-") {
			rows = append(rows, row)
		}
	}
	if len(rows) != len(endpoints) {
		t.Fatalf("%d requests in the document, %d in the code", len(rows), len(endpoints))
	}
	for i, row := range rows {
		e := endpoints[i]
		if row[0] != strconv.Itoa(int(e.Kind)) || row[1] != e.Path || strings.HasPrefix(row[2], "owner") != e.Owner {
			t.Errorf("the document says %v, the code %+v", row, e)
		}
	}
}

func TestLabelsAreThoseOfTheDocument(t *testing.T) {
	labels := []string{
		LabelCapability, LabelOwner, LabelReceipt, LabelContext, LabelRelease, LabelDevice, LabelEmbedded,
		LabelChannel, LabelBinding, LabelReply,
		"coffer-vault/1/record-key", "coffer-vault/1/record-body",
	}
	for i, a := range labels {
		if !strings.Contains(document(t), "| `"+a+"` |") {
			t.Errorf("label %s is not in the document", a)
		}
		for j, b := range labels {
			if i != j && strings.HasPrefix(a, b) {
				t.Errorf("label %s begins with label %s", a, b)
			}
		}
	}
}
