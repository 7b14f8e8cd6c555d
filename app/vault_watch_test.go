package app

import (
	"slices"
	"testing"
	"time"

	"coffer/vault"
	"coffer/vault/trust"
)

// A logText is a log of the vault in short: "try ANN", "wrong", "right", ..., one a minute.
func logOf(lines ...[2]string) []VaultEvent {
	var log []VaultEvent
	at := time.Date(2026, 11, 12, 10, 0, 0, 0, time.UTC)
	for _, l := range lines {
		if l[0] != "wrong" && l[0] != "right" {
			at = at.Add(2 * time.Minute) // an outcome comes at once
		}
		log = append(log, VaultEvent{At: at, Kind: l[0], Device: l[1]})
	}
	nameVerdicts(log)
	return log
}

func TestVerdictsHaveTheDeviceOfTheirTry(t *testing.T) {
	log := logOf([2]string{"try", "ANN"}, [2]string{"wrong", ""}, [2]string{"try", "BOB"}, [2]string{"right", ""}, [2]string{"right", ""})
	for i, want := range []string{"ANN", "ANN", "BOB", "BOB", ""} {
		if log[i].Device != want {
			t.Errorf("line %d is of %q, want %q", i, log[i].Device, want)
		}
	}
	// Two at once: nobody can say whose it was.
	log = logOf([2]string{"try", "ANN"}, [2]string{"try", "EVE"})
	log[1].At = log[0].At.Add(time.Second)
	log = append(log, VaultEvent{At: log[1].At, Kind: "right"})
	if nameVerdicts(log); log[2].Device != "" {
		t.Errorf("it was %q, who may have guessed at the same time", log[2].Device)
	}
}

// Who guesses need not say that he was wrong: a try without an outcome is one that was
// spent.
func TestStrangeTries(t *testing.T) {
	try, right, wrong := func(d string) [2]string { return [2]string{"try", d} }, [2]string{"right", ""}, [2]string{"wrong", ""}
	for name, tt := range map[string]struct {
		log  []VaultEvent
		own  int
		want []string
	}{
		"none":                     {logOf([2]string{"committed", ""}, try("ANN"), right), 0, nil},
		"mine":                     {logOf(try("ANN"), wrong, try("ANN"), wrong), 2, nil},
		"under my name":            {logOf(try("ANN"), wrong, try("ANN")), 1, []string{"ANN"}},
		"a typo, made good":        {logOf(try("BOB"), wrong, try("BOB"), right), 0, nil},
		"another's right":          {logOf(try("EVE"), wrong, try("BOB"), right), 0, []string{"EVE"}},
		"without an outcome":       {logOf(try("EVE"), try("EVE"), try("ANN"), right), 0, []string{"EVE", "EVE"}},
		"unnamed":                  {logOf(try(""), wrong), 0, []string{""}},
		"cut off":                  {logOf(wrong, try("EVE"), wrong), 0, []string{"", "EVE"}},
		"before the password":      {logOf(try("EVE"), wrong, [2]string{"replaced", ""}, try("ANN"), right), 0, nil},
		"a reset answers for none": {logOf(try("EVE"), wrong, [2]string{"reset", ""}), 0, []string{"EVE"}},
	} {
		var got []string
		for _, s := range strangeTries(tt.log, time.Time{}, "ANN", tt.own) {
			got = append(got, s.device)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	log := logOf(try("EVE"), wrong, try("EVE"), wrong)
	if got := strangeTries(log, log[1].At, "ANN", 0); len(got) != 1 {
		t.Errorf("%d since the first was seen", len(got))
	}
}

func TestAChipThatIsBehind(t *testing.T) {
	log := logOf([2]string{"try", "ANN"}, [2]string{"wrong", ""}, [2]string{"try", "ANN"}, [2]string{"right", ""}, [2]string{"try", "EVE"})
	for name, tt := range map[string]struct {
		sealer string
		left   int
		want   bool
	}{
		"as the log says":   {trust.SealerTPM, 9, false},
		"not given back":    {trust.SealerTPM, 7, true},
		"nothing counts it": {trust.SealerSoftware, 7, false},
	} {
		s := vault.Status{State: vault.StateActive, Left: tt.left, Tries: 10}
		if got := isBehind(s, trust.Bundle{Sealer: tt.sealer}, log); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What Home and backups say of a vault, from what was kept alone.
func TestNewsOfAVault(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	good := func() seenJSON {
		return seenJSON{
			Version: 1, Name: "Ann's club", Expires: now.Add(90 * day),
			Watch: &seenWatch{Record: make([]byte, 16), State: "active", Left: 10, Tries: 10},
		}
	}
	for name, tt := range map[string]struct {
		change func(*seenJSON)
		want   []VaultWarningCode
	}{
		"all is well":         {func(*seenJSON) {}, nil},
		"never looked at":     {func(s *seenJSON) { s.Watch, s.Expires = nil, time.Time{} }, nil},
		"destroyed":           {func(s *seenJSON) { s.Watch.State = "destroyed" }, []VaultWarningCode{VaultWarnDestroyed}},
		"guessed":             {func(s *seenJSON) { s.Watch.Strange, s.Watch.Since = 3, now }, []VaultWarningCode{VaultWarnStrange}},
		"not given back":      {func(s *seenJSON) { s.Watch.Behind = true }, []VaultWarningCode{VaultWarnBehind}},
		"expires":             {func(s *seenJSON) { s.Expires = now.Add(day) }, []VaultWarningCode{VaultWarnExpires}},
		"silent for a day":    {func(s *seenJSON) { s.Failed = now.Add(-day) }, nil},
		"silent for weeks":    {func(s *seenJSON) { s.Failed = now.Add(-20 * day) }, []VaultWarningCode{VaultWarnSilent}},
		"weaker":              {func(s *seenJSON) { s.Changes = []seenChange{{now.Add(-day), "tries", "10", "20"}} }, []VaultWarningCode{VaultWarnWeaker}},
		"weaker, shown":       {func(s *seenJSON) { s.Changes, s.Shown = []seenChange{{now.Add(-day), "tries", "10", "20"}}, now }, nil},
		"went on from a copy": {func(s *seenJSON) { s.Changes = []seenChange{{now, "restored", "1", "2"}} }, []VaultWarningCode{VaultWarnRestored}},
	} {
		s := good()
		tt.change(&s)
		var got []VaultWarningCode
		for _, w := range s.news(now) {
			got = append(got, w.Code)
			if w.Args["name"] != "Ann's club" {
				t.Errorf("%s: whose? %v", name, w.Args)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
