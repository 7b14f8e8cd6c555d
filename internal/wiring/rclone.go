package wiring

import (
	"encoding/hex"
	"os"
	"slices"
	"strings"

	"coffer/app"
	"coffer/cloud/rclone"
	"coffer/crypto/aead"
)

// openRclone opens a remote and puts the absolute path of rclone's configuration into
// keep, if it is not the usual one.
func (c *connector) openRclone(d dest, r app.PlaceRequest, keep map[string]string) (*rclone.Driver, error) {
	config := r.Options["config-file"]
	if config != "" {
		config = c.ownPath(config)
		keep["config-file"] = config
	}
	return rclone.New(rclone.Config{
		Remote: d.at, ConfigFile: config, Create: r.Create, Env: c.rcloneEnv(os.Environ()), Dial: c.line.Dial,
		Password: func() string { return hex.EncodeToString(aead.Random(32)) },
	})
}

// rcloneVariables are what rclone needs of the environment: where its configuration is,
// where programs and temporary files are, how to get out to the network, and the agent
// that its own sftp asks. Not given is what else is in there: keys of other services,
// and switches of rclone that would change what it does for us.
var rcloneVariables = []string{
	"HOME", "PATH", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"USERPROFILE", "APPDATA", "LOCALAPPDATA", "SYSTEMROOT", "PROGRAMDATA", "TEMP", "TMP",
}

// proxyVariables are those of [transport.New].
var proxyVariables = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}

// rcloneEnv is the environment of the child. The names are those of environ, the values
// those of getenv: there is no other way to ask it for RCLONE_CONFIG_*.
func (c *connector) rcloneEnv(environ []string) []string {
	proxy := c.proxy()
	var env []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		upper := strings.ToUpper(name)
		wanted := slices.Contains(rcloneVariables, upper) || strings.HasPrefix(upper, "RCLONE_CONFIG") ||
			proxy == "" && slices.Contains(proxyVariables, upper)
		if value := c.getenv(name); wanted && value != "" {
			env = append(env, name+"="+value)
		}
	}
	if proxy != "" && proxy != "direct" {
		env = append(env, "HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy)
	}
	return env
}
