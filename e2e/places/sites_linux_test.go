package places

import (
	"os"
	"path/filepath"
	"testing"

	"coffer/cloud/drive/drivetest"
)

// A site is a place for one test, and what the command line needs to reach it.
type site struct {
	kind    string
	dest    string
	flags   []string // for setup, open, place add
	secrets []string
	content func(t *testing.T) string // a folder with what lies in the place
}

// sites makes an empty place of each kind for a machine, with servers of its own.
func sites() map[string]func(m *machine) site {
	return map[string]func(m *machine) site{
		"folder": func(m *machine) site {
			dir := filepath.Join(m.TempDir(), "Backups äöü 日記")
			return site{kind: "folder", dest: dir, content: func(*testing.T) string { return dir }}
		},
		"drive": func(m *machine) site {
			f := startDrive(m.T)
			s := f.site(m, drivetest.Alice())
			s.content = f.download
			return s
		},
		"s3":     func(m *machine) site { return startS3(m.T, false).site(m) },
		"webdav": func(m *machine) site { return startDAV(m.T, false).site(m) },
		"sftp":   func(m *machine) site { return startSSH(m.T).site(m) },
		"rclone": rcloneSite,
	}
}

func (s *s3Server) site(m *machine) site {
	return site{
		kind: "s3", dest: s.address + "/ann's", content: func(*testing.T) string { return s.folder },
		flags:   []string{"--access-key", s.access, "--secret-key-file", m.file("secret-key", s.secretKey+"\n")},
		secrets: []string{s.secretKey},
	}
}

func (s *davServer) site(m *machine) site {
	scheme, rest := s.address[:len(s.address)-len(s.port)-len("://127.0.0.1:/")], "127.0.0.1:"+s.port+"/"
	return site{
		kind: "webdav", dest: "webdav:" + scheme + "://" + davUser + "@" + rest + "Backups", content: func(*testing.T) string { return s.folder },
		flags:   []string{"--place-password-file", m.file("dav-password", s.password+"\n")},
		secrets: []string{s.password},
	}
}

func (s *sshServer) site(m *machine) site {
	return site{
		kind: "sftp", dest: "sftp://" + s.user + "@127.0.0.1:" + s.port + filepath.ToSlash(s.files) + "/Backups",
		content: func(*testing.T) string { return s.files },
		flags:   []string{"--ssh-key", s.key, "--host-key", s.fingerprint(m.T)},
		secrets: []string{s.private},
	}
}

// rcloneSite is a folder of this computer, through a remote of rclone's: what rclone
// does on the way is the same for all of its services.
func rcloneSite(m *machine) site {
	m.Helper()
	program(m.T, "rclone")
	dir, hidden := m.TempDir(), secret(m.T)
	must(m.T, os.MkdirAll(filepath.Join(dir, "files"), 0o755))
	config := m.file("rclone.conf", "[here]\ntype = alias\nremote = "+filepath.Join(dir, "files")+"\n\n[other]\ntype = sftp\nhost = example.org\npass = "+hidden+"\n")
	return site{
		kind: "rclone", dest: "rclone:here:Backups", content: func(*testing.T) string { return dir },
		flags: []string{"--rclone-config", config}, secrets: []string{hidden},
	}
}
