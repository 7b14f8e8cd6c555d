package trust

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestSuccession(t *testing.T) {
	known := sampleBundle(t)
	for name, c := range map[string]struct {
		change func(*Bundle)
		want   error
	}{
		"the same":                    {func(*Bundle) {}, nil},
		"next":                        {func(b *Bundle) { b.Sequence++ }, nil},
		"much later":                  {func(b *Bundle) { b.Sequence = ^uint64(0) }, nil},
		"other TLS and HPKE keys":     {func(b *Bundle) { b.Sequence, b.TLSPins, b.HPKEKey = 8, nil, make([]byte, HPKEKeySize) }, nil},
		"weaker in every way":         {weaken, nil},
		"lower":                       {func(b *Bundle) { b.Sequence-- }, ErrOlder},
		"first":                       {func(b *Bundle) { b.Sequence = 1 }, ErrOlder},
		"lower, but issued later":     {func(b *Bundle) { b.Sequence--; b.Issued = b.Issued.Add(time.Hour) }, ErrOlder},
		"lower, other incarnation":    {func(b *Bundle) { b.Sequence--; b.Incarnation++ }, ErrOlder},
		"lower incarnation":           {func(b *Bundle) { b.Sequence++; b.Incarnation-- }, ErrOlder},
		"one sequence, other name":    {func(b *Bundle) { b.Name = "x" }, ErrBundle},
		"one sequence, other expiry":  {func(b *Bundle) { b.Expires = b.Expires.Add(time.Hour) }, ErrBundle},
		"one sequence, more tries":    {func(b *Bundle) { b.Tries = 100 }, ErrBundle},
		"one sequence, pins in order": {func(b *Bundle) { b.TLSPins[0], b.TLSPins[1] = b.TLSPins[1], b.TLSPins[0] }, ErrBundle},
		"other vault":                 {func(b *Bundle) { b.Sequence++; b.VaultID[0]++ }, ErrBundle},
		"other server key":            {func(b *Bundle) { b.Sequence++; b.ServerKey[1]++ }, ErrBundle},
		"other receipt key":           {func(b *Bundle) { b.Sequence++; b.ReceiptKey[1]++ }, ErrBundle},
		"other vault, lower":          {func(b *Bundle) { b.Sequence--; b.VaultID[0]++ }, ErrBundle},
	} {
		err := Newer(known, changed(t, c.change))
		if !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// weaken makes everything weaker that [Changes] tells.
func weaken(b *Bundle) {
	b.Sequence++
	b.Name, b.Tries, b.Sealer, b.AttestationKey = "Somebody", 20, SealerToken, nil
	b.Waits[4] = time.Minute
	b.Floor.MemoryKiB, b.Floor.Time = 64<<10, 3
	b.Incarnation = 5
}

func TestChanges(t *testing.T) {
	dear := func(b *Bundle) { b.Floor.MemoryKiB, b.Floor.Time = 256<<10, 4 }
	known := changed(t, dear)
	offered := changed(t, weaken)
	want := []Change{
		{ChangeName, "Käthe's vault — at home", "Somebody"},
		{ChangeTries, "10", "20"},
		{ChangeWaits, "5m0s", "1m0s"},
		{ChangeFloor, "256 MiB, 4, 4", "64 MiB, 3, 4"},
		{ChangeSealer, SealerTPM, SealerToken},
		{ChangeAttestation, showKey(known.AttestationKey), "-"},
		{ChangeRestored, "1", "5"},
	}
	if got := Changes(known, offered); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// The other way round it becomes stronger; the name is another one either way.
	if got := Changes(offered, known); len(got) != 1 || got[0].Kind != ChangeName {
		t.Errorf("stronger: %v", got)
	}
}

func TestOneChangeAtATime(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Bundle)
		want   ChangeKind // empty: nothing to tell
	}{
		"fewer tries":       {func(b *Bundle) { b.Tries = 5 }, ""},
		"more tries":        {func(b *Bundle) { b.Tries = 11 }, ChangeTries},
		"no waits":          {func(b *Bundle) { b.Waits = nil }, ChangeWaits},
		"fewer waits":       {func(b *Bundle) { b.Waits = b.Waits[:8] }, ChangeWaits},
		"last wait again":   {func(b *Bundle) { b.Waits = append(b.Waits, 24*time.Hour) }, ""},
		"longer waits":      {func(b *Bundle) { b.Waits[0] = time.Second }, ""},
		"shorter at last":   {func(b *Bundle) { b.Waits = append(b.Waits, time.Hour) }, ChangeWaits},
		"swapped waits":     {func(b *Bundle) { b.Waits[0], b.Waits[8] = b.Waits[8], b.Waits[0] }, ChangeWaits},
		"dearer":            {func(b *Bundle) { b.Floor.MemoryKiB++ }, ""},
		"other TPM":         {func(b *Bundle) { b.AttestationKey[3]++ }, ChangeAttestation},
		"epochs":            {func(b *Bundle) { b.Sealer = SealerTPMEpochs }, ChangeSealer},
		"restored":          {func(b *Bundle) { b.Incarnation++ }, ChangeRestored},
		"moved":             {func(b *Bundle) { b.Addresses = []string{"nas:1"} }, ""},
		"other keys":        {func(b *Bundle) { b.TLSPins, b.HPKEKey = nil, make([]byte, HPKEKeySize) }, ""},
		"longer life":       {func(b *Bundle) { b.Expires = b.Expires.Add(time.Hour) }, ""},
		"open for everyone": {func(b *Bundle) { b.Register, b.Issuer, b.ClientID = RegisterOpen, "", "" }, ""},
	} {
		got := Changes(sampleBundle(t), changed(t, c.change))
		if len(got) > 1 || (len(got) == 1) != (c.want != "") || len(got) == 1 && got[0].Kind != c.want {
			t.Errorf("%s: %v, want %q", name, got, c.want)
		}
	}
}

func TestSealers(t *testing.T) {
	order := []string{SealerSoftware, SealerToken, SealerTPMEpochs, SealerTPM}
	for i, known := range order {
		for k, offered := range order {
			sideways := i == 1 && k == 2 || i == 2 && k == 1
			if want := k < i || sideways; isWeaker(known, offered) != want {
				t.Errorf("from %s to %s: %v", known, offered, !want)
			}
		}
	}
}
