package places

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/drive"
	"coffer/cloud/drive/drivetest"
	"coffer/cloud/icloud"
	"coffer/cloud/rclone"
	"coffer/cloud/s3"
	"coffer/cloud/sftp"
	"coffer/cloud/webdav"
)

// over is a world in a folder of this computer that a server serves; open opens the
// place once more.
func over(t *testing.T, dir string, open func(t *testing.T) cloud.Driver) cloudtest.World {
	t.Helper()
	first := open(t)
	// The first request makes the folder.
	if _, err := cloud.New(first, cloud.Options{}).Stat(t.Context(), "README.txt"); err == nil {
		t.Fatal("the place is not empty")
	}
	return cloudtest.World{
		Driver: first, Another: open,
		Drop: func(t *testing.T, name string, data []byte) {
			t.Helper()
			if os.MkdirAll(dir, 0o777) == nil { // or the server's, which made it
				_ = os.Chmod(dir, 0o777)
			}
			must(t, os.WriteFile(filepath.Join(dir, name), data, 0o666))
			must(t, os.Chmod(filepath.Join(dir, name), 0o666))
		},
		Names: func(t *testing.T) (all []string) {
			t.Helper()
			entries, err := os.ReadDir(dir)
			must(t, err)
			for _, e := range entries {
				all = append(all, e.Name())
			}
			return all
		},
		Shift: func(t *testing.T, by time.Duration) {
			t.Helper()
			must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				info, err := d.Info()
				if err != nil {
					return err
				}
				return os.Chtimes(path, time.Time{}, info.ModTime().Add(by))
			}))
		},
	}
}

// opener gives a func that opens a driver and closes it, if it can be, with the test.
func opener[D cloud.Driver](open func() (D, error)) func(t *testing.T) cloud.Driver {
	return func(t *testing.T) cloud.Driver {
		t.Helper()
		d, err := open()
		must(t, err)
		t.Cleanup(func() { _ = cloud.New(d, cloud.Options{}).Close() })
		return d
	}
}

// driveWorld is a folder in the stand-in for Google Drive. What is dropped there comes
// from another device of the same user: what others upload, this scope does not show.
func driveWorld(t *testing.T) cloudtest.World {
	t.Helper()
	f := startDrive(t)
	client, err := drive.ParseClient(f.ClientJSON(f.url))
	must(t, err)
	state := t.TempDir()
	open := opener(func() (*drive.Driver, error) {
		tokens := &oneToken{token: drive.NewToken(f.SignedIn(drivetest.Alice()), drive.Account{})}
		return drive.New(drive.Config{Client: client, Tokens: tokens, Create: true, State: state, Endpoint: f.url + "/drive/v3/"})
	})
	first := open(t)
	_, err = cloud.New(first, cloud.Options{}).Stat(t.Context(), "README.txt")
	if !errors.Is(err, cloud.ErrNotFound) {
		t.Fatalf("the place is not empty: %v", err)
	}
	return cloudtest.World{
		Driver: first, Another: open,
		Drop: func(t *testing.T, name string, data []byte) { t.Helper(); f.Add(f.folder(t), name, data, 0) },
		Names: func(*testing.T) (all []string) {
			for _, x := range f.Files() {
				all = append(all, x.Name)
			}
			return all
		},
	}
}

// TestWorlds: what users, sync clients and other computers do in the folders of real
// servers, behind the back of the drivers.
func TestWorlds(t *testing.T) {
	begin(t)
	t.Parallel()
	var places atomic.Int64
	next := func() string { return "place-" + strconv.FormatInt(places.Add(1), 10) }
	t.Run("drive", func(t *testing.T) {
		t.Parallel()
		cloudtest.RunWorld(t, driveWorld)
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		server := startS3(t, false)
		cloudtest.RunWorld(t, func(t *testing.T) cloudtest.World {
			name := next()
			return over(t, filepath.Join(server.folder, name), opener(func() (*s3.Driver, error) {
				return s3.New(s3.Config{
					Address:     strings.TrimPrefix(server.address, "s3:") + "/" + name,
					Credentials: func() (string, string, string) { return server.access, server.secretKey, "" },
				})
			}))
		})
	})
	t.Run("webdav", func(t *testing.T) {
		t.Parallel()
		server := startDAV(t, false)
		cloudtest.RunWorld(t, func(t *testing.T) cloudtest.World {
			name := next()
			return over(t, filepath.Join(server.folder, name), opener(func() (*webdav.Driver, error) {
				return webdav.New(webdav.Config{
					Address: server.address + name + "/", User: davUser, Create: true,
					Password: func() string { return server.password },
				})
			}))
		})
	})
	t.Run("sftp", func(t *testing.T) {
		t.Parallel()
		server := startSSH(t)
		port, err := strconv.Atoi(server.port)
		must(t, err)
		key, err := os.ReadFile(server.key)
		must(t, err)
		cloudtest.RunWorld(t, func(t *testing.T) cloudtest.World {
			name := next()
			return over(t, filepath.Join(server.files, name), opener(func() (*sftp.Driver, error) {
				return sftp.New(sftp.Config{
					User: server.user, Host: "127.0.0.1", Port: port, Path: path.Join(server.files, name), Create: true,
					HostKeys: []string{server.fingerprint(t)}, Key: func() ([]byte, error) { return key, nil },
				})
			}))
		})
	})
	t.Run("rclone", func(t *testing.T) {
		t.Parallel()
		program(t, "rclone")
		dir := t.TempDir()
		config := filepath.Join(dir, "conf")
		must(t, os.WriteFile(config, []byte("[here]\ntype = alias\nremote = "+dir+"\n"), 0o600))
		cloudtest.RunWorld(t, func(t *testing.T) cloudtest.World {
			name := next()
			return over(t, filepath.Join(dir, name), opener(func() (*rclone.Driver, error) {
				return rclone.New(rclone.Config{
					Remote: "here:" + name, ConfigFile: config, Create: true,
					Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, Password: func() string { return "a password of one test" },
				})
			}))
		})
	})
	t.Run("icloud", func(t *testing.T) {
		t.Parallel()
		cloudtest.RunWorld(t, func(t *testing.T) cloudtest.World {
			root, staging := t.TempDir(), t.TempDir()
			return over(t, filepath.Join(root, "Backups"), opener(func() (*icloud.Driver, error) {
				return icloud.New(icloud.Config{Root: root, Folder: "Backups", Staging: staging, Create: true})
			}))
		})
	})
}
