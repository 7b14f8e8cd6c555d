package wiring

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/drive"
	"coffer/cloud/icloud"
	"coffer/cloud/s3"
	"coffer/cloud/sftp"
	"coffer/cloud/webdav"
)

// The kinds of places.
const (
	kindFolder = "folder"
	kindDrive  = "drive"
	kindICloud = "icloud"
	kindS3     = "s3"
	kindWebDAV = "webdav"
	kindSFTP   = "sftp"
	kindRclone = "rclone"
)

// schemes are the words before the first colon of a destination. A path that looks
// like one of them is written "./drive:x".
var schemes = []string{kindFolder, kindDrive, kindICloud, kindS3, kindWebDAV, kindSFTP, kindRclone}

const (
	maxDest = 4096 // bytes of a destination
	maxName = 100  // bytes of the name of a folder at a service
)

// A dest is a destination that was understood.
type dest struct {
	kind string // one of schemes
	at   string // canonical, as the driver takes it; of sftp with its scheme
	user string // of webdav: who signs in, or ""
}

// String is the canonical text: parsing it gives the same dest.
func (d dest) String() string {
	switch {
	case d.kind == kindFolder, d.kind == kindSFTP:
		return d.at
	case d.kind == kindWebDAV && d.user != "":
		scheme, rest, _ := strings.Cut(d.at, "://")
		return kindWebDAV + ":" + scheme + "://" + url.User(d.user).String() + "@" + rest
	}
	return d.kind + ":" + d.at
}

// shown is what may be shown of a destination that was not understood: its kind, as err
// or the text's first word names it. The text itself may hold a password.
func (d dest) shown(err error) string {
	var unknown *app.UnsupportedPlaceError
	switch {
	case errors.As(err, &unknown):
		return unknown.Scheme + ":"
	case d.kind == kindFolder:
		return "" // a path has no secrets
	}
	return d.kind + ":"
}

// parseDest reads a destination as people write it. Where nothing follows the scheme,
// the option of the kind's first field ("address", "remote", "folder") says it: so a
// form need not put texts together. What the text says wins over options.
//
// The error wraps [cloud.ErrAddress], [cloud.ErrNoPlace] (a folder without a path) or
// [app.ErrPlaceUnsupported]. It repeats nothing of the text. Then dest has its kind if
// that is known, and nothing else.
func parseDest(text string, options map[string]string) (dest, error) {
	kind, rest, err := splitScheme(text)
	if err != nil {
		return dest{kind: kind}, err
	}
	if rest == "" {
		rest = fromOptions(kind, options)
	}
	if len(rest) > maxDest || strings.IndexByte(rest, 0) >= 0 || kind != kindFolder && !utf8.ValidString(rest) {
		return dest{kind: kind}, fmt.Errorf("parse place: %w: too long, or not text", cloud.ErrAddress)
	}
	d, err := parseKind(kind, rest)
	if err != nil && !errors.Is(err, cloud.ErrNoPlace) {
		err = fmt.Errorf("%w: %w", cloud.ErrAddress, err)
	}
	if err != nil {
		return dest{kind: kind}, fmt.Errorf("parse place: %w", err)
	}
	if kind == kindWebDAV && d.user == "" {
		d.user = options["user"]
		if strings.ContainsFunc(d.user, unicode.IsControl) || !utf8.ValidString(d.user) || len(d.user) > 256 {
			return dest{kind: kind}, fmt.Errorf("parse place: %w: the user cannot be read", cloud.ErrAddress)
		}
	}
	return d, nil
}

// splitScheme takes the kind off. What has no known scheme is a path; but something
// like "https://" is none, and shown as a path it would show its password.
func splitScheme(text string) (kind, rest string, err error) {
	scheme, rest, found := strings.Cut(text, ":")
	known := strings.ToLower(scheme)
	switch {
	case found && slices.Contains(schemes, known):
		return known, rest, nil
	case found && strings.HasPrefix(rest, "//") && isWord(known):
		return "", "", &app.UnsupportedPlaceError{Scheme: known}
	}
	return kindFolder, text, nil // of "C:\x" too: one letter is a drive of Windows
}

// isWord reports whether s can be the scheme of a URL, and not a drive of Windows.
func isWord(s string) bool {
	return len(s) > 1 && len(s) <= 20 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// fromOptions is what follows the scheme, by the options.
func fromOptions(kind string, options map[string]string) string {
	switch kind {
	case kindDrive, kindICloud:
		return options["folder"]
	case kindRclone:
		return options["remote"]
	}
	address := options["address"]
	scheme, rest, found := strings.Cut(address, ":")
	if found && strings.EqualFold(scheme, kind) { // the whole destination was typed into the form
		return rest
	}
	if kind == kindSFTP && address != "" {
		return "//" + address
	}
	return address
}

func parseKind(kind, rest string) (dest, error) {
	d := dest{kind: kind}
	var err error
	switch kind {
	case kindDrive:
		d.at, err = folderName(rest, drive.DefaultFolder)
	case kindICloud:
		if d.at, err = folderName(rest, icloud.DefaultFolder); err == nil && (strings.ContainsAny(d.at, `/\:*?"<>|`) || d.at[0] == '.') {
			err = fmt.Errorf("%w: not the name of a folder", cloud.ErrAddress)
		}
	case kindS3:
		d.at, err = s3.ParseAddress(rest)
	case kindWebDAV:
		d.at, d.user, err = webdav.ParseAddress(rest)
	case kindSFTP:
		var a sftp.Address
		a, err = sftp.ParseAddress(kindSFTP + ":" + rest)
		d.at = a.String()
	case kindRclone:
		d.at, err = remoteName(rest)
	default:
		d.at, err = folderPath(rest)
	}
	return d, err
}

// folderName is the name of a folder at a service; "" is the usual one.
func folderName(name, usual string) (string, error) {
	if name == "" {
		return usual, nil
	}
	if len(name) > maxName || name != strings.TrimSpace(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fmt.Errorf("%w: not the name of a folder", cloud.ErrAddress)
	}
	return name, nil
}

// remoteName is REMOTE:PATH. A remote is one that rclone knows by its name: in what
// rclone calls a connection string (":webdav,pass=...:") there would be secrets.
func remoteName(text string) (string, error) {
	name, path, found := strings.Cut(text, ":")
	outside := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_.+@ -", r)
	}
	if !found || name == "" || name[0] == '-' || name != strings.TrimSpace(name) || strings.ContainsFunc(name, outside) ||
		strings.ContainsFunc(path, unicode.IsControl) {
		return "", fmt.Errorf("%w: not REMOTE:PATH", cloud.ErrAddress)
	}
	for len(path) > 1 && strings.HasSuffix(path, "/") {
		path = path[:len(path)-1]
	}
	return name + ":" + path, nil
}

// folderPath returns the absolute path of a folder.
func folderPath(text string) (string, error) {
	if text == "" {
		return "", fmt.Errorf("%w: no path", cloud.ErrNoPlace)
	}
	path, err := filepath.Abs(text)
	if err != nil {
		return "", fmt.Errorf("find folder: %w", err)
	}
	return path, nil
}
