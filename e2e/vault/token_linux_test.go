package vault_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A token is a SoftHSM token in a folder of its own.
type token struct {
	dir  string
	conf string // for SOFTHSM2_CONF
	uri  string // for --seal
}

func newToken(t testing.TB, dir string) *token {
	t.Helper()
	util := program(t, "softhsm2-util")
	module := ""
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			module = path
			break
		}
	}
	if module == "" {
		t.Fatal("the module of SoftHSM is not installed (scripts/packages.sh vault)")
	}
	k := &token{dir: filepath.Join(dir, "tokens"), conf: filepath.Join(dir, "softhsm2.conf")}
	must(t, os.Mkdir(k.dir, 0o700))
	must(t, os.WriteFile(k.conf, []byte("directories.tokendir = "+k.dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600))
	const pin = "pin-5b1fa0"
	pinFile := filepath.Join(dir, "pin")
	must(t, os.WriteFile(pinFile, []byte(pin+"\n"), 0o600))
	cmd := exec.Command(util, "--init-token", "--free", "--label", "proofs", "--pin", pin, "--so-pin", "so-pin-77")
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+k.conf)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util: %v: %s", err, out)
	}
	k.uri = fmt.Sprintf("pkcs11:token=proofs?module-path=%s&pin-source=file:%s", module, pinFile)
	return k
}
