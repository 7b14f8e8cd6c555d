package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestAVaultOnANetwork: somebody makes a vault with two commands, and the printed link is
// typed into the window of another profile. Then that computer is lost, and a new one opens
// the backup with the password.
func TestAVaultOnANetwork(t *testing.T) {
	if os.Getenv("COFFER_E2E") == "" {
		t.Skip("COFFER_E2E is not set: make test sets it")
	}
	if runtime.GOOS != "linux" {
		t.Skip("drives the window through X11, which only Linux has here")
	}
	d := newDesk(t, "vault")
	link := d.serveVault()
	docs := filepath.Join(d.home, "Documents")
	fillFolder(t, docs)
	place := filepath.Join(t.TempDir(), "Backup")

	d.openCoffer("start")
	d.setUp(place, func() {
		d.key("Tab", "Tab", "Tab", "space") // over the other answers to Use another vault
		d.screen("setup/vault")
		d.text(link)
		d.key("Return")
		d.screen("setup/vault/about")
		d.key("Return") // Use this vault
		d.screen("setup/lock")
		d.key("Return")
	})

	other := newDesk(t, "vault-new")
	other.openCoffer("start")
	other.openWithPassword(place)
	other.getBack()
	same(t, docs, filepath.Join(other.home, "Restored files", docs))
}

// openWithPassword finds the backup on a computer that knows nothing of it. Its head says
// where the vault is.
func (d *desk) openWithPassword(place string) {
	d.key("Tab", "Return") // Get files back
	d.screen("restore/where")
	d.logged("kinds shown")
	d.key("Return")
	d.screen("restore/place")
	d.text(place)
	d.logged("place inspected", "backups", "1")
	d.key("Return")
	d.screen("restore/which")
	d.key("Return")
	d.screen("restore/open")
	d.text(password)
	d.picture("password-typed")
	d.key("Return")
}

// serveVault runs the two commands of docs/self-hosting.md and returns the printed link.
func (d *desk) serveVault() string {
	d.Helper()
	binary, err := filepath.Abs(filepath.Join("..", "build", "coffer-vault"))
	must(d.T, err)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(d.T, err)
	address := free.Addr().String()
	must(d.T, free.Close())
	dir := filepath.Join(d.home, "vault")
	init := exec.Command(binary, "init", "--data", dir, "--address", address, "--name", "Ann")
	out, err := init.Output()
	must(d.T, err)
	d.start(binary, "serve", "--data", dir)
	d.until("the vault", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return strings.TrimSpace(string(out))
}
