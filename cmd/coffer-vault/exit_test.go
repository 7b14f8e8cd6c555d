package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestWhatAPersonMustMendIsNotStartedAgain: a token locks itself after a few wrong PINs, so
// a keeper that starts the vault again and again would lock it for good.
func TestWhatAPersonMustMendIsNotStartedAgain(t *testing.T) {
	unit, err := os.ReadFile("../../packaging/vault/coffer-vault.service")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^RestartPreventExitStatus=(.*)$`).FindSubmatch(unit)
	if line == nil {
		t.Fatal("the unit starts the vault again whatever has ended it")
	}
	spared := map[string]bool{}
	for _, status := range strings.Fields(string(line[1])) {
		spared[status] = true
	}
	for _, code := range []string{"pin", "config", "token-uri", "open-to-all", "not-signed", "damaged", "tampered", "rolled-back"} {
		if !spared[strconv.Itoa(exitStatus(code))] {
			t.Errorf("%s: the unit would start the vault again", code)
		}
	}
}
