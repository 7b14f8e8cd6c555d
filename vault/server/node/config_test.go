package node

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sampleConfig() Config {
	c := DefaultConfig()
	c.Name, c.Addresses = "Ann's vault", []string{"vault.example.org:7443"}
	return c
}

// fullConfig has another value than the default in each setting that one kind of vault can
// have at once.
func fullConfig() Config {
	c := sampleConfig()
	c.Name = "Ann \"the\\boss\" Ä 😀"
	c.Listen = []string{"127.0.0.1:7443", "[::1]:7443", ":443"}
	c.Seal, c.Store, c.Tries, c.Waits = "soft", StoreEmbedded, 3, []Duration{0, Duration(90 * time.Second), Duration(250 * time.Millisecond)}
	c.Register, c.OIDC = "oidc", OIDC{"https://id.example.org", "coffer"}
	c.Second = encodeKey([32]byte{1, 2, 3})
	c.TLS = TLS{"cert.pem", "/etc/key.pem", true}
	c.Metrics.Listen, c.Log, c.Limits = "127.0.0.1:9100", Log{"debug", true}, Limits{1, 2, 3, 4, 5, 6}
	c.Etcd = Etcd{
		Endpoints: []string{"https://a:2379"}, Prefix: "p/", CA: "ca", Certificate: "c", Key: "k", Username: "u", PasswordFile: "f",
		Member: Member{"a", "https://10.0.0.1:2380", "https://a:2380", "https://10.0.0.1:2379", "https://a:2379", "a=https://a:2380", true, "ca", "c", "k"},
	}
	return c
}

func TestConfigComesBack(t *testing.T) {
	tpm := sampleConfig()
	tpm.Seal, tpm.TPM = "tpm-epochs:/dev/tpmrm0", TPM{0x01500000, "auth"}
	front := sampleConfig()
	front.Front, front.Waits = Front{true, []string{"10.0.0.0/8"}, []string{strings.Repeat("ab", 32)}}, nil
	for name, c := range map[string]Config{"default": sampleConfig(), "full": fullConfig(), "tpm": tpm, "front": front} {
		got, err := parseConfig(c.encode())
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, c.encode())
			continue
		}
		if string(got.encode()) != string(c.encode()) || got.Name != c.Name || !reflect.DeepEqual(got.OIDC, c.OIDC) || got.TPM != c.TPM || len(got.Waits) != len(c.Waits) {
			t.Errorf("%s: %+v came back as %+v", name, c, got)
		}
	}
}

func TestConfigMistakesAreFound(t *testing.T) {
	const good = "name = \"x\"\naddresses = [\"a.example:1\"]\n"
	for text, want := range map[string]string{
		good + "tires = 3\n":                                                 "line 3: tires",
		good + "tries = 0\n":                                                 "line 3: tries",
		good + "tries = 101\n":                                               "line 3: tries",
		good + "tries = \"many\"\n":                                          "line 3",
		good + "\n\n[tls]\ncertificat = \"x\"\n":                             "line 6: tls.certificat",
		good + "[tls]\ncertificate = \"x\"\n":                                "line 3: tls",
		good + "[tls]\npinned = true\n":                                      "line 4: tls.pinned",
		good + "waits = [\"soon\"]\n":                                        "line 3",
		good + "waits = [\"-1s\"]\n":                                         "line 3: waits",
		good + "waits = [\"800h\"]\n":                                        "line 3: waits",
		good + "waits = [\"1us\"]\n":                                         "line 3: waits",
		good + "seal = \"hard\"\n":                                           "line 3: seal",
		good + "seal = \"tpm:\"\n":                                           "line 3: seal",
		good + "seal = \"pkcs11\"\n":                                         "line 3: seal",
		good + "seal = \"soft:x\"\n":                                         "line 3: seal",
		good + "store = \"sql\"\n":                                           "line 3: store",
		good + "store = \"etcd\"\n":                                          "etcd.endpoints",
		good + "store = \"etcd-embedded\"\n":                                 "etcd.member",
		good + "seal = \"tpm\"\nstore = \"etcd\"\n":                          "line 4: store",
		good + "register = \"all\"\n":                                        "line 3: register",
		good + "register = \"oidc\"\n":                                       "oidc",
		good + "[oidc]\nissuer = \"https://x\"\n":                            "line 3: oidc",
		good + "listen = [\"example.org:1\"]\n":                              "line 3: listen",
		good + "listen = [\"7443\"]\n":                                       "line 3: listen",
		good + "second = \"x\"\n":                                            "line 3: second",
		good + "[front]\nnetworks = [\"10.0.0.0/8\"]\n":                      "line 3: front",
		good + "[front]\nbehind = true\nnetworks = [\"10.0.0.0\"]\n":         "line 5: front.networks",
		good + "[front]\nbehind = true\npins = [\"00\"]\n":                   "line 5: front.pins",
		good + "[front]\nbehind = true\n[tls]\ncertificate=\"a\"\nkey=\"b\"": "line 5: tls",
		good + "[metrics]\nlisten = \"9100\"\n":                              "line 4: metrics.listen",
		good + "[log]\nlevel = \"loud\"\n":                                   "line 4: log.level",
		good + "[limits]\nburst = -1\n":                                      "line 3: limits",
		good + "[etcd]\ncertificate = \"x\"\n":                               "line 3: etcd",
		good + "tries = 3\ntries = 4\n":                                      "line 4",
		good + "tries = \n":                                                  "line 3",
		"name = \"x\"\naddresses = []\n":                                     "line 2: addresses",
		"name = \"x\"\naddresses = [\"0.0.0.0:1\"]\n":                        "line 2: addresses",
		"name = \"x\"\naddresses = [\"a.example\"]\n":                        "line 2: addresses",
		"name = \"\"\naddresses = [\"a.example:1\"]\n":                       "line 1: name",
		"name = \"a\\u001b[2J\"\naddresses = [\"a.example:1\"]\n":            "line 1: name",
		"addresses = [\"a.example:1\"]\n":                                    "name",
		"\x1b[2J":                                                            "line 1",
	} {
		_, err := parseConfig([]byte(text))
		if !errors.Is(err, ErrConfig) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%q: the error moves the terminal", text)
		}
	}
	if _, err := parseConfig([]byte(good)); err != nil {
		t.Fatal(err)
	}
}

func TestListenDefaults(t *testing.T) {
	c := sampleConfig()
	c.Addresses = []string{"a.example:7443", "[2001:db8::1]:7443", "a.example:443"}
	if got := strings.Join(c.listen(), " "); got != ":7443 :443" {
		t.Errorf("listen: %s", got)
	}
	c.Front.Behind = true
	if got := strings.Join(c.listen(), " "); got != "127.0.0.1:7443 127.0.0.1:443" {
		t.Errorf("listen behind a front: %s", got)
	}
	c.Listen = []string{"10.0.0.1:80"}
	if got := strings.Join(c.listen(), " "); got != "10.0.0.1:80" {
		t.Errorf("listen as told: %s", got)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(sampleConfig().encode())
	f.Add(fullConfig().encode())
	f.Add([]byte("name = \"x\"\n[a.b]\nc = 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConfig(text)
		if err != nil {
			if !errors.Is(err, ErrConfig) {
				t.Fatalf("not a mistake: %v", err)
			}
			return
		}
		back, err := parseConfig(c.encode())
		if err != nil || string(back.encode()) != string(c.encode()) {
			t.Fatalf("what is read is not written: %v\n%s", err, c.encode())
		}
	})
}

// Hardware with room for few keys is not open to every stranger unless its owner says so.
func TestWhoMayRegisterWhenNothingIsSaid(t *testing.T) {
	for seal, want := range map[string]string{
		"soft": "open", "tpm-epochs": "open", "tpm-epochs:swtpm:unix:/x": "open",
		"tpm": "invite", "tpm:/dev/tpmrm0": "invite", "pkcs11:token=x?module-path=/x.so&pin-source=file:/x": "invite",
	} {
		c := DefaultConfig()
		if c.Seal = seal; c.DefaultRegister() != want {
			t.Errorf("%s: %s, not %s", seal, c.DefaultRegister(), want)
		}
	}
}

// TestWhatIsShownOfAFileIsWholeAndHarmless: also when it was shown before.
func TestWhatIsShownOfAFileIsWholeAndHarmless(t *testing.T) {
	for text, want := range map[string]string{
		`register = "oidc"`:  `register = "oidc"`,
		"a\x1b[2Jb\nc\u202e": `a\x1b[2Jb\nc\u202e`,
		"Žluťoučký 金庫":       "Žluťoučký 金庫",
	} {
		if got := quoteControls(text); got != want || quoteControls(got) != want {
			t.Errorf("%q is shown as %q, then as %q", text, got, quoteControls(got))
		}
	}
}
