package wiring

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coffer/app"
	"coffer/cloud"
)

// otherStands are those of programs that may not be installed; their own tests say so.
func otherStands(t *testing.T) []*stand {
	if _, err := exec.LookPath("rclone"); err != nil {
		return nil
	}
	return []*stand{rcloneStand(t)}
}

// rcloneStand is a folder of this computer, as a remote of the user's rclone.
func rcloneStand(t *testing.T) *stand {
	program, err := exec.LookPath("rclone")
	if err != nil {
		t.Skip("rclone is not installed")
	}
	home := t.TempDir()
	config := filepath.Join(home, "my rclone.conf")
	writeFile(t, config, "[box]\ntype = local\n")
	dest := "rclone:box:" + filepath.ToSlash(filepath.Join(home, "place"))
	return &stand{
		kind: kindRclone, dest: dest + "/", canonical: dest, options: map[string]string{"config-file": config}, secrets: secrets(),
		env: map[string]string{"HOME": home, "PATH": filepath.Dir(program)},
	}
}

func TestRcloneIsMissing(t *testing.T) {
	dir := t.TempDir()
	c := (&stand{env: map[string]string{"PATH": dir}}).connector(t)
	if c.noRclone() != "no-rclone" {
		t.Error("rclone is in an empty folder")
	}
	for _, s := range []*stand{rcloneStand(t)} {
		if s.connector(t).noRclone() != "" {
			t.Error("rclone is there")
		}
	}
}

func TestRcloneRemoteIsUnknown(t *testing.T) {
	s := rcloneStand(t)
	s.dest = "rclone:chest:x"
	p := mustOpen(t, s.connector(t), s.request(false))
	if err := list(t.Context(), p.Driver); !errors.Is(err, cloud.ErrNoRemote) {
		t.Errorf("%v, want ErrNoRemote", err)
	}
}

func TestRcloneIsNotForDrive(t *testing.T) {
	s := rcloneStand(t)
	writeFile(t, s.options["config-file"], "[box]\ntype = drive\ntoken = "+secretMark+"\n")
	p := mustOpen(t, s.connector(t), s.request(false))
	if err := list(t.Context(), p.Driver); !errors.Is(err, cloud.ErrUseDrive) || strings.Contains(err.Error(), secretMark) {
		t.Errorf("%v, want ErrUseDrive", err)
	}
}

// TestRcloneGetsOnlyWhatItNeeds of the environment, and the proxy of the settings.
func TestRcloneGetsOnlyWhatItNeeds(t *testing.T) {
	values := map[string]string{
		"HOME": "/home/ann", "PATH": "/bin", "RCLONE_CONFIG": "/c", "RCLONE_CONFIG_PASS": "p", "RCLONE_CONFIG_BOX_TYPE": "local",
		"HTTPS_PROXY": "http://env", "no_proxy": "x", "AppData": "A",
		"AWS_SECRET_ACCESS_KEY": "k", "RCLONE_DRY_RUN": "true", "RCLONE_USER": "u", "COFFER_HOME": "h", "EMPTY": "", "TMP": "",
	}
	var environ []string
	for name := range values {
		environ = append(environ, name+"=not this but what getenv says")
	}
	c, err := newConnector("", env(values))
	if err != nil {
		t.Fatal(err)
	}
	without := []string{"AppData=A", "HOME=/home/ann", "PATH=/bin", "RCLONE_CONFIG=/c", "RCLONE_CONFIG_BOX_TYPE=local", "RCLONE_CONFIG_PASS=p"}
	for proxy, more := range map[string][]string{
		"": {"HTTPS_PROXY=http://env", "no_proxy=x"}, "direct": nil, "socks5://ann:p@proxy:1": {"HTTPS_PROXY=socks5://ann:p@proxy:1", "HTTP_PROXY=socks5://ann:p@proxy:1"},
	} {
		if err := c.Network(app.NetworkSettings{Proxy: proxy}); err != nil {
			t.Fatal(err)
		}
		got, want := c.rcloneEnv(environ), slices.Concat(without, more)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("proxy %q: %q, want %q", proxy, got, want)
		}
	}
}
