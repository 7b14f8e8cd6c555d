package pkcs11

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const goodURI = "pkcs11:token=coffer%20vault;serial=0123;model=v2;manufacturer=ACME;slot-id=7?module-path=/usr/lib/x.so&pin-source=file:/etc/coffer/pin"

func TestParseURI(t *testing.T) {
	o, pin, err := ParseURI(goodURI)
	if err != nil {
		t.Fatal(err)
	}
	if o.TokenLabel != "coffer vault" || o.Serial != "0123" || o.Model != "v2" || o.Manufacturer != "ACME" || o.Slot == nil || *o.Slot != 7 ||
		o.Module != "/usr/lib/x.so" || pin != "/etc/coffer/pin" {
		t.Errorf("%+v, %q", o, pin)
	}
	for _, uri := range []string{
		"pkcs11:token=a?module-path=/x",
		"pkcs11:serial=a?module-path=/x&pin-source=file:///pin",
		"pkcs11:slot-id=0?pin-source=file:/pin&module-path=/x",
		"pkcs11:token=a&b=c%3B?module-path=/x%20y",
		"pkcs11:token=%C3%BC?module-path=/a?b|c",
	} {
		if _, _, err := ParseURI(uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	const secret = "s3cr3t"
	long := strings.Repeat("a", 33)
	for _, uri := range []string{
		"", "pkcs11", "pkcs11:", "PKCS11:token=a?module-path=/x", "pkcs11:token=a", "pkcs11:?module-path=/x",
		"pkcs11:model=a?module-path=/x",                   // names no token
		"pkcs11:token=?module-path=/x",                    // empty
		"pkcs11:token=a;?module-path=/x",                  // nothing after ;
		"pkcs11:token=a;token=a?module-path=/x",           // twice
		"pkcs11:token=a%20?module-path=/x",                // a blank at the end
		"pkcs11:token=a b?module-path=/x",                 // not encoded
		"pkcs11:token=a/b?module-path=/x",                 // only in a query
		"pkcs11:token=a%0?module-path=/x",                 // half
		"pkcs11:token=a%?module-path=/x",                  //
		"pkcs11:token=a%+1?module-path=/x",                //
		"pkcs11:token=a%00b?module-path=/x",               // ends a string in C
		"pkcs11:token=" + long + "?module-path=/x",        // longer than a label
		"pkcs11:serial=12345678901234567?module-path=/x",  //
		"pkcs11:object=a;token=b?module-path=/x",          // what a vault does not choose by
		"pkcs11:x-vendor=a;token=b?module-path=/x",        //
		"pkcs11:Token=a;token=b?module-path=/x",           //
		"pkcs11:slot-id=01?module-path=/x",                //
		"pkcs11:slot-id=-1?module-path=/x",                //
		"pkcs11:slot-id=4294967296?module-path=/x",        //
		"pkcs11:token=a?module-path=x.so",                 // looked for somewhere
		"pkcs11:token=a?module-name=x",                    //
		"pkcs11:token=a?module-path=/x&module-path=/x",    //
		"pkcs11:token=a?module-path=/x&pin-source=/pin",   // no scheme
		"pkcs11:token=a?module-path=/x&pin-source=file:p", // not absolute
		"pkcs11:token=a?module-path=/x&pin-source=file://host/pin",
		"pkcs11:token=a?module-path=/x&pin-source=|/bin/echo",
		"pkcs11:token=a?module-path=/x&pin-value=" + secret,
		"pkcs11:token=a?pin-value=" + secret + "&module-path=/x",
		"pkcs11:token=a?module-path=/x&" + strings.Repeat("a", maxURI),
		"pkcs11:token=a?module-path=/" + strings.Repeat("a", maxPath),
	} {
		o, pin, err := ParseURI(uri)
		if !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if fmt.Sprint(o) != fmt.Sprint(Options{}) || pin != "" || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %+v, %q, %v", uri, o, pin, err)
		}
	}
}

// TestEveryCutURI: what opens of a cut URI is what a shorter one says, and never without a
// module and a token.
func TestEveryCutURI(t *testing.T) {
	refused := 0
	for i := range goodURI {
		o, pin, err := ParseURI(goodURI[:i])
		if err != nil {
			refused++
			continue
		}
		again, pinAgain, err := ParseURI(encode(o, pin))
		if err != nil || encode(again, pinAgain) != encode(o, pin) || o.Module == "" {
			t.Errorf("%s: %v", goodURI[:i], err)
		}
	}
	if refused < len("pkcs11:token=coffer%20vault;serial=0123;model=v2;manufacturer=ACME;slot-id=7?module-path=/") {
		t.Errorf("only %d were refused", refused)
	}
}

// encode writes a URI as plainly as possible: each byte of a value encoded.
func encode(o Options, pin string) string {
	var path, query []string
	add := func(to *[]string, name, value string) {
		if value != "" {
			var b strings.Builder
			for _, c := range []byte(value) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
			*to = append(*to, name+"="+b.String())
		}
	}
	add(&path, "token", o.TokenLabel)
	add(&path, "serial", o.Serial)
	add(&path, "manufacturer", o.Manufacturer)
	add(&path, "model", o.Model)
	if o.Slot != nil {
		add(&path, "slot-id", fmt.Sprint(*o.Slot))
	}
	add(&query, "module-path", o.Module)
	if pin != "" {
		add(&query, "pin-source", "file:"+pin)
	}
	return "pkcs11:" + strings.Join(path, ";") + "?" + strings.Join(query, "&")
}

func FuzzParseURI(f *testing.F) {
	f.Add(goodURI)
	f.Add("pkcs11:slot-id=0?module-path=/x")
	f.Add("pkcs11:token=a%2?module-path=/x&pin-source=file:///p")
	f.Fuzz(func(t *testing.T, uri string) {
		o, pin, err := ParseURI(uri)
		if err != nil {
			if !errors.Is(err, ErrOptions) {
				t.Fatal(err)
			}
			return
		}
		if o.TokenLabel == "" && o.Serial == "" && o.Slot == nil || !filepath.IsAbs(o.Module) || pin != "" && !filepath.IsAbs(pin) {
			t.Fatalf("%+v, %q", o, pin)
		}
		if len(o.TokenLabel) > 32 || len(o.Serial) > 16 || strings.Contains(o.TokenLabel+o.Serial+o.Module+pin, "\x00") {
			t.Fatalf("%+v, %q", o, pin)
		}
		plain := encode(o, pin)
		if len(plain) > maxURI {
			return
		}
		again, pinAgain, err := ParseURI(plain)
		if err != nil || encode(again, pinAgain) != plain {
			t.Fatalf("%q, then %q: %v", plain, encode(again, pinAgain), err)
		}
	})
}

func TestOptions(t *testing.T) {
	slot := uint(0)
	good := Options{Module: "/x", Slot: &slot, PIN: func() (string, error) { return "1", nil }}
	o, err := good.withDefaults()
	if err != nil || o.Label != DefaultLabel || o.Sessions != DefaultSessions {
		t.Fatalf("%+v, %v", o, err)
	}
	for name, change := range map[string]func(o *Options){
		"no module":         func(o *Options) { o.Module = "" },
		"relative module":   func(o *Options) { o.Module = "x.so" },
		"module with NUL":   func(o *Options) { o.Module = "/x\x00" },
		"no token":          func(o *Options) { o.Slot = nil },
		"no PIN":            func(o *Options) { o.PIN = nil },
		"long label":        func(o *Options) { o.Label = strings.Repeat("a", 65) },
		"sessions below 1":  func(o *Options) { o.Sessions = -1 },
		"too many sessions": func(o *Options) { o.Sessions = MaxSessions + 1 },
	} {
		o := good
		change(&o)
		if _, err := o.withDefaults(); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPINFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pin")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := PINFile(path)(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for text, want := range map[string]string{"1234": "1234", "12 34\n": "12 34", "1234\r\n": "1234", strings.Repeat("1", 255) + "\r\n": strings.Repeat("1", 255)} {
		write(text)
		if got, err := PINFile(path)(); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "\n", "s3c\nr3t", "s3c\n\n", "s3c\x00", strings.Repeat("1", 256), strings.Repeat("1", 1000)} {
		write(text)
		if got, err := PINFile(path)(); !errors.Is(err, ErrOptions) || got != "" || strings.Contains(err.Error(), "s3c") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
