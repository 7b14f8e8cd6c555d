package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// forge signs any text, as a hostile root or stranger could.
func forge(t testing.TB, text []byte, keys ...Key) []byte {
	t.Helper()
	var signers []note.Signer
	for _, k := range keys {
		signers = append(signers, noteSigner{newVerifier(k.vault, k.second, k.public), k})
	}
	signed, err := note.Sign(&note.Note{Text: string(text)}, signers...)
	if err != nil {
		return append(text, "\n— x y\n"...) // not a text that can be signed: it is refused for something else
	}
	return signed
}

func TestSignedBundles(t *testing.T) {
	once := mustSign(t, sampleBundle(t))
	twice := mustAddSignature(t, once, sampleSecond())
	for _, ok := range []struct {
		name   string
		signed []byte
		link   Link
	}{
		{"one signature, one key", once, single()},
		{"two signatures, two keys", twice, double()},
		{"two signatures, one key", twice, single()},
		{"signed again", mustAddSignature(t, twice, sampleSecond()), double()},
	} {
		b, err := Verify(ok.signed, ok.link, sampleTime)
		if err != nil || !b.Equal(sampleBundle(t)) {
			t.Errorf("%s: %v", ok.name, err)
		}
	}
	if !bytes.Equal(twice, mustAddSignature(t, twice, sampleSecond())) {
		t.Error("the second signature is not renewed")
	}
	// A new second signer takes the place of the old one.
	if !bytes.Equal(twice, mustAddSignature(t, mustAddSignature(t, once, NewSecond(sampleVault)), sampleSecond())) {
		t.Error("the second signature is not replaced")
	}
}

// The table of forged bundles: what each must be refused as.
func TestForgedBundles(t *testing.T) {
	b := sampleBundle(t)
	text := mustEncode(t, b)
	root, second := sampleRoot(), sampleSecond()
	thief := newKey(sampleVault, false, pattern(32, 0x55))
	thief2 := newKey(sampleVault, true, pattern(32, 0x56))
	rootAsSecond := newKey(sampleVault, true, pattern(32, 0x40))
	secondAsRoot := newKey(sampleVault, false, pattern(32, 0x80))
	otherVault := [16]byte(pattern(16, 0x11))
	otherText := mustEncode(t, changed(t, func(b *Bundle) { b.VaultID = otherVault }))
	once, twice := forge(t, text, root), forge(t, text, root, second)
	splice := func(text, signed []byte) []byte { // the signatures of one text under another
		return append(bytes.Clone(text), signed[bytes.Index(signed, []byte("\n\n"))+1:]...)
	}
	line := func(signed []byte, n int) string { // the n-th signature
		return string(bytes.SplitAfter(signed[bytes.Index(signed, []byte("\n\n"))+2:], []byte("\n"))[n])
	}
	rename := func(line string, k Key) string { // a signature of somebody else, under the name of k
		_, sig, _ := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(sig))
		if err != nil {
			t.Fatal(err)
		}
		v := newVerifier(k.vault, k.second, k.public)
		binary.BigEndian.PutUint32(raw, v.KeyHash())
		return "— " + v.Name() + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
	}
	loosen := func(line string) string { // base64 that decodes to the same: its last character has two bits to spare
		at := strings.LastIndexByte(line, '=') - 1
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
		return line[:at] + string(digits[strings.IndexByte(digits, line[at])+1]) + line[at+1:]
	}
	unsigned := string(text) + "\n"
	for _, f := range []struct {
		name   string
		signed []byte
		link   Link
		want   error
	}{
		{"nothing", nil, single(), ErrBundle},
		{"no signature", text, single(), ErrBundle},
		{"no signature, but the place for it", []byte(unsigned), single(), ErrBundle},
		{"a stranger's", forge(t, text, thief), single(), ErrBundle},
		{"a stranger's, two keys", forge(t, text, thief, thief2), double(), ErrBundle},
		{"the second signer's alone", forge(t, text, second), single(), ErrBundle},
		{"the second signer's alone, two keys", forge(t, text, second), double(), ErrBundle},
		{"the second signer's, as the root's", forge(t, text, secondAsRoot), double(), ErrBundle},
		{"single-signed", once, double(), ErrSingleSigned},
		{"root twice", forge(t, text, root, rootAsSecond), double(), ErrSingleSigned},
		{"root and a stranger", forge(t, text, root, thief2), double(), ErrSingleSigned},
		{"a stranger and the second", forge(t, text, thief, second), double(), ErrBundle},
		{"second first", forge(t, text, second, root), double(), ErrBundle},
		{"a stranger first", forge(t, text, thief, root), single(), ErrBundle},
		{"two strangers after", forge(t, text, root, thief2, thief), single(), ErrBundle},
		{"three signatures", forge(t, text, root, second, thief2), double(), ErrBundle},
		{"signature twice", []byte(unsigned + line(once, 0) + line(once, 0)), single(), ErrBundle},
		{"second's signature is the root's", []byte(unsigned + line(once, 0) + rename(line(once, 0), second)), double(), ErrBundle},
		{"bits after the end", []byte(unsigned + loosen(line(once, 0))), single(), ErrBundle},
		{"bits after the end of the second", []byte(unsigned + line(twice, 0) + loosen(line(twice, 1))), single(), ErrBundle},
		{"other text, old signature", splice(mustEncode(t, changed(t, func(b *Bundle) { b.Tries = 100 })), twice), double(), ErrBundle},
		{"another vault, its signature", splice(otherText, twice), double(), ErrBundle},
		{"another vault, name of this", forge(t, otherText, root), single(), ErrBundle},
		{"another vault of the same root", forge(t, text, newKey(otherVault, false, pattern(32, 0x40))), single(), ErrBundle},
		{"the keys of the link changed round", twice, Link{Root: second.Public(), Second: root.Public()}, ErrBundle},
		{"another root in the link", twice, Link{Root: thief.Public()}, ErrBundle},
		{"another second in the link", twice, Link{Root: root.Public(), Second: thief2.Public()}, ErrSingleSigned},
		{"root twice, as the link has it", forge(t, text, root, rootAsSecond), Link{Root: root.Public(), Second: root.Public()}, ErrSingleSigned},
		{"no root in the link", twice, Link{}, ErrBundle},
		{"not a bundle", forge(t, []byte("hello\n"), root), single(), ErrBundle},
		{"another version", forge(t, bytes.Replace(text, []byte("bundle 1"), []byte("bundle 2"), 1), root), single(), ErrBundle},
		{"text after the text", forge(t, append(bytes.Clone(text), "more 1\n"...), root), single(), ErrBundle},
		{"signed text inside", forge(t, append(bytes.Clone(once), "more\n"...), thief), single(), ErrBundle},
		{"CRLF", bytes.ReplaceAll(once, []byte("\n"), []byte("\r\n")), single(), ErrBundle},
		{"with a BOM", append([]byte("\ufeff"), once...), single(), ErrBundle},
		{"too large", append(bytes.Clone(once), strings.Repeat(line(once, 0), 200)...), single(), ErrBundle},
	} {
		got, err := Verify(f.signed, f.link, sampleTime)
		if !errors.Is(err, f.want) || !isEmpty(got) {
			t.Errorf("%s: %v, want %v", f.name, err, f.want)
		}
	}
}

// isEmpty reports whether a refused bundle was not handed out.
func isEmpty(b Bundle) bool { return reflect.DeepEqual(b, Bundle{}) }

// A key of which everybody can sign must not be one that stands for "none".
func TestZeroRootSignsNothing(t *testing.T) {
	text := mustEncode(t, sampleBundle(t))
	// Of the point of order 4 that 32 zero bytes encode, R = identity and S = 0 is a
	// signature of one message in four.
	zero := Key{vault: sampleVault}
	v := newVerifier(sampleVault, false, zero.public)
	identity := append([]byte{1}, make([]byte, 63)...)
	sig := base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, v.KeyHash()), identity...))
	forged := 0
	for sequence := range 64 {
		text := bytes.Replace(text, []byte("sequence 7"), fmt.Appendf(nil, "sequence %d", sequence+1), 1)
		if v.Verify(text, identity) {
			forged++
		}
		signed := fmt.Appendf(nil, "%s\n— %s %s\n", text, v.Name(), sig)
		if _, err := Verify(signed, Link{}, sampleTime); !errors.Is(err, ErrBundle) {
			t.Fatalf("a bundle of the zero key: %v", err)
		}
	}
	if forged == 0 {
		t.Error("no signature was forged: this test tests nothing")
	}
}

func TestTimes(t *testing.T) {
	signed := mustSign(t, sampleBundle(t))
	b := sampleBundle(t)
	for _, at := range []struct {
		now  time.Time
		want error
	}{
		{b.Issued, nil},
		{b.Issued.Add(-MaxClockAhead), nil},
		{b.Issued.Add(-MaxClockAhead - time.Second), ErrExpired},
		{time.Unix(0, 0), ErrExpired},
		{time.Time{}, ErrExpired},
		{b.Expires.Add(-time.Nanosecond), nil},
		{b.Expires.Add(-time.Nanosecond).In(time.FixedZone("east", 12*3600)), nil},
		{b.Expires, ErrExpired},
		{b.Expires.AddDate(100, 0, 0), ErrExpired},
	} {
		got, err := Verify(signed, single(), at.now)
		if !errors.Is(err, at.want) || (err != nil) != (at.want != nil) || (err != nil) != isEmpty(got) {
			t.Errorf("at %s: %v, want %v", at.now, err, at.want)
		}
	}
	// Who has not signed is not excused by the clock.
	if _, err := Verify(signed, double(), b.Expires); !errors.Is(err, ErrSingleSigned) {
		t.Errorf("single-signed and expired: %v", err)
	}
}

// Every change of one byte, of text or signatures, is refused.
func TestMangledBundles(t *testing.T) {
	once := mustSign(t, smallBundle(t))
	twice := mustAddSignature(t, once, sampleSecond())
	text := bytes.Index(once, []byte("\n\n"))
	try := func(link Link, before, good []byte) {
		t.Helper()
		if _, err := Verify(append(bytes.Clone(before), good...), link, sampleTime); err != nil {
			t.Fatal(err)
		}
		mangle(good, func(what string, bad []byte) {
			_, err := Verify(append(bytes.Clone(before), bad...), link, sampleTime)
			if !errors.Is(err, ErrBundle) && !errors.Is(err, ErrSingleSigned) || bytes.Equal(bad, good) {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	try(double(), nil, twice)
	try(single(), once[:text], once[text:]) // the text is the same: its signature alone
}

func TestWhoMaySign(t *testing.T) {
	b := sampleBundle(t)
	once := mustSign(t, b)
	other := [16]byte(pattern(16, 0x11))
	wiped := newKey(sampleVault, false, pattern(32, 0x40))
	wiped.Wipe()
	for name, k := range map[string]Key{
		"none": {}, "the second's": sampleSecond(), "another vault's": newKey(other, false, pattern(32, 0x40)), "a wiped one": wiped,
	} {
		if _, err := Sign(b, k); !errors.Is(err, ErrKey) {
			t.Errorf("signed with %s: %v", name, err)
		}
	}
	wiped = newKey(sampleVault, true, pattern(32, 0x80))
	wiped.Wipe()
	for name, k := range map[string]Key{
		"none": {}, "the root's": sampleRoot(), "another vault's": newKey(other, true, pattern(32, 0x80)), "a wiped one": wiped,
		"the root's, as a second": newKey(sampleVault, true, pattern(32, 0x40)),
	} {
		if _, err := AddSignature(once, sampleRoot().Public(), k); !errors.Is(err, ErrKey) {
			t.Errorf("signature of %s added: %v", name, err)
		}
	}
	// A second signer signs nothing that the root of the link has not signed.
	thief := newKey(sampleVault, false, pattern(32, 0x55))
	for name, signed := range map[string][]byte{
		"unsigned": mustEncode(t, b), "a stranger's": forge(t, mustEncode(t, b), thief), "rubbish": []byte("x"),
		"changed": bytes.Replace(once, []byte("tries 10"), []byte("tries 99"), 1),
	} {
		if _, err := AddSignature(signed, sampleRoot().Public(), sampleSecond()); !errors.Is(err, ErrBundle) {
			t.Errorf("signature added to a bundle that is %s: %v", name, err)
		}
	}
}

// What package note says of a hostile note does not reach logs.
func TestErrorsRepeatNothing(t *testing.T) {
	signed := bytes.Replace(mustSign(t, sampleBundle(t)), []byte("tries 10"), []byte("tries 99"), 1)
	_, err := Verify(signed, single(), sampleTime)
	if !errors.Is(err, ErrBundle) || strings.Contains(err.Error(), "coffer-vault/") {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	once := mustSign(f, sampleBundle(f))
	twice := mustAddSignature(f, once, sampleSecond())
	for _, seed := range [][]byte{once, twice, mustSign(f, smallBundle(f)), mustEncode(f, sampleBundle(f)), []byte(firstLine + "\n"), nil} {
		f.Add(seed)
	}
	good := map[string]bool{string(once): true, string(twice): true}
	small := mustSign(f, smallBundle(f))
	good[string(small)] = true
	f.Fuzz(func(t *testing.T, signed []byte) {
		if _, err := Verify(signed, double(), sampleTime); (err == nil) != (string(signed) == string(twice)) {
			t.Fatalf("two keys: %v", err)
		}
		_, err := Verify(signed, single(), sampleTime)
		if good[string(signed)] && err != nil || err != nil && !errors.Is(err, ErrBundle) {
			t.Fatalf("one key: %v", err)
		}
		// With one key in the link a second signature is anybody's: only the text counts.
		if err == nil && !bytes.HasPrefix(signed, mustEncode(t, sampleBundle(t))) && !bytes.Equal(signed, small) {
			t.Fatal("a text was taken that nobody has signed")
		}
	})
}
