// Package wiring gives the programs their [app.Config]. It is the one place below the main
// packages that reads the environment, and it does so once.
//
// Words: the home is the profile folder of one backup (settings, state, cache, log); a
// destination is a place as people write it. Nothing here is made or opened until it is
// used, except the folder and file of the log.
//
// The variables, all optional:
//
//	COFFER_HOME          the home, where -C is not given
//	COFFER_VAULT_DIR     the folder of the embedded vault
//	COFFER_VAULT_WAITS   "none", or durations such as "0,0,0,1m,5m": the waits after wrong
//	                     tries of a vault that is made now; an existing one keeps its own
//	COFFER_LOG           "debug", "info" (default), "warn", "error" or "off"
package wiring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"coffer/app"
	"coffer/internal/keyring"
)

// Version is what the programs call themselves, unless the linker says otherwise.
const Version = "0.1.0"

// service is the name under which the key store of the system shows our entries.
const service = "Coffer"

// maxWaits bounds COFFER_VAULT_WAITS: a vault has at most as many tries.
const maxWaits = 64

// Config returns the configuration of the profile in home, as -C gave it; "" stands for
// COFFER_HOME, or else for the folder that the system keeps settings in. getenv is
// os.Getenv. An error says which variable is wrong, never what is in it.
func Config(home string, getenv func(string) string) (app.Config, error) {
	user, err := userHome(getenv)
	if err != nil {
		return app.Config{}, err
	}
	own := home
	if own == "" {
		own = getenv("COFFER_HOME")
	}
	dirs := foldersOf(runtime.GOOS, user, getenv)
	vaultDir := getenv("COFFER_VAULT_DIR")
	if vaultDir == "" {
		vaultDir = filepath.Join(dirs.data, "vault")
		if own != "" {
			vaultDir = filepath.Join(own, "vault")
		}
	}
	if own == "" {
		own = dirs.config
	}
	waits, err := parseWaits(getenv("COFFER_VAULT_WAITS"))
	if err != nil {
		return app.Config{}, err
	}
	if own, err = filepath.Abs(own); err != nil {
		return app.Config{}, fmt.Errorf("find profile folder: %w", err)
	}
	if vaultDir, err = filepath.Abs(vaultDir); err != nil {
		return app.Config{}, fmt.Errorf("find vault folder: %w", err)
	}
	log, err := openLog(filepath.Join(own, "log"), getenv("COFFER_LOG"))
	if err != nil {
		return app.Config{}, err
	}
	places, err := newConnector(user, getenv)
	if err != nil {
		return app.Config{}, err
	}
	return app.Config{
		Home: own, VaultDir: vaultDir, Computer: computerName(), UserHome: user, Version: Version,
		Keyring: openKeyring(getenv), Places: places, Log: log, VaultWaits: waits, Getenv: getenv,
		Dial: places.line.Dial, IDToken: places.idToken,
	}, nil
}

// folders are the system's own, each with our name at its end.
type folders struct {
	config string // a profile
	data   string // what all profiles of a user share
}

// foldersOf follows each system's rules: XDG Base Directory Specification 0.8 (a relative
// path there is to be ignored), Known Folders on Windows, Library on macOS.
func foldersOf(goos, user string, getenv func(string) string) folders {
	absolute := func(name, otherwise string) string {
		if dir := getenv(name); filepath.IsAbs(dir) {
			return dir
		}
		return otherwise
	}
	switch goos {
	case "windows":
		roaming := absolute("AppData", filepath.Join(user, "AppData", "Roaming"))
		local := absolute("LocalAppData", filepath.Join(user, "AppData", "Local"))
		return folders{config: filepath.Join(roaming, "Coffer"), data: filepath.Join(local, "Coffer")}
	case "darwin":
		support := filepath.Join(user, "Library", "Application Support", "Coffer")
		return folders{config: support, data: support}
	}
	return folders{
		config: filepath.Join(absolute("XDG_CONFIG_HOME", filepath.Join(user, ".config")), "coffer"),
		data:   filepath.Join(absolute("XDG_DATA_HOME", filepath.Join(user, ".local", "share")), "coffer"),
	}
}

func userHome(getenv func(string) string) (string, error) {
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	if dir := getenv(name); filepath.IsAbs(dir) {
		return dir, nil
	}
	dir, err := os.UserHomeDir() // knows more than one variable on some systems
	if err != nil || !filepath.IsAbs(dir) {
		return "", fmt.Errorf("find your home folder: %s is not set", name)
	}
	return dir, nil
}

// computerName is what people call this computer, as far as the system knows.
func computerName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "this computer"
	}
	return strings.TrimSuffix(name, ".local") // macOS adds the domain of its network
}

// parseWaits reads COFFER_VAULT_WAITS: nil for "", an empty list for "none".
func parseWaits(text string) ([]time.Duration, error) {
	switch text {
	case "":
		return nil, nil
	case "none":
		return []time.Duration{}, nil
	}
	words := strings.Split(text, ",")
	if len(words) > maxWaits {
		return nil, fmt.Errorf("COFFER_VAULT_WAITS: more than %d waits", maxWaits)
	}
	var waits []time.Duration
	for _, word := range words {
		wait, err := time.ParseDuration(strings.TrimSpace(word))
		if err != nil || wait < 0 {
			return nil, errors.New(`COFFER_VAULT_WAITS: want "none" or durations such as 0,0,0,1m,5m`)
		}
		waits = append(waits, wait)
	}
	return waits, nil
}

// openKeyring finds the session bus, as the bus library will, without starting one.
func openKeyring(getenv func(string) string) app.Keyring {
	bus := getenv("DBUS_SESSION_BUS_ADDRESS")
	if runtime.GOOS == "linux" && bus == "" {
		socket := filepath.Join(getenv("XDG_RUNTIME_DIR"), "bus")
		if info, err := os.Stat(socket); filepath.IsAbs(socket) && err == nil && info.Mode()&os.ModeSocket != 0 {
			bus = "unix:path=" + socket
		}
	}
	desktop := getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
	return keyring.New(service, bus, desktop)
}
