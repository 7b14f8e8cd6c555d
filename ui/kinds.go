package ui

import (
	"strings"

	"coffer/app"
)

// The kinds of places, as package app names them.
const (
	kindFolder = "folder"
	kindDrive  = "drive"
	kindICloud = "icloud"
	kindS3     = "s3"
	kindWebDAV = "webdav"
	kindSFTP   = "sftp"
	kindRclone = "rclone"
)

// Why a kind of place cannot be used here as it is.
const (
	missingICloud = "no-icloud"
	missingRclone = "no-rclone"
	missingClient = "no-client" // it can, with the user's own Google client
)

// kindIcon is the icon of a kind of place. One of a newer package app has that of places.
func kindIcon(kind string) string {
	switch kind {
	case kindFolder:
		return "disk"
	case kindDrive:
		return "drive"
	case kindICloud:
		return "cloud"
	case kindS3:
		return "bucket"
	case kindWebDAV:
		return "globe"
	case kindSFTP:
		return "server"
	case kindRclone:
		return "many"
	}
	return "where"
}

// knownKind reports whether there are texts for a kind of place.
func knownKind(kind string) bool { return kindIcon(kind) != "where" }

// kindName is how people call a kind of place. One of a newer package app is called as it
// calls itself.
func kindName(kind string) string {
	if !knownKind(kind) {
		return kind
	}
	return say("kind." + kind + ".name")
}

// usable reports whether a kind of place can be used on this computer, at least after some
// steps that Coffer leads through.
func usable(k app.PlaceKind) bool { return k.Missing == "" || k.Missing == missingClient }

// missingKey is the part of a text's key that says why a kind cannot be used.
func missingKey(why string) string {
	switch why {
	case missingICloud, missingRclone:
		return why
	}
	return "other"
}

// splitDest parts the text of a place into its kind and the rest. What has none of the
// known schemes is a folder, a path of Windows too.
func splitDest(dest string) (kind, rest string) {
	scheme, rest, found := strings.Cut(dest, ":")
	switch scheme = strings.ToLower(scheme); {
	case !found || !knownKind(scheme):
		return kindFolder, dest
	case scheme == kindSFTP:
		return scheme, strings.TrimPrefix(rest, "//")
	}
	return scheme, rest
}

// defaultFolder is the folder that a place has in a service unless somebody wants another:
// the same in every language.
func defaultFolder() string { return say("place.default-folder") }

// placeName is how people call a place, from its text: short for a line, and never all of
// what reaches it. Folders are left to shorten.
func placeName(dest string, shorten func(string) string) string {
	kind, rest := splitDest(dest)
	switch kind {
	case kindFolder:
		return shorten(rest)
	case kindDrive, kindICloud:
		if rest == "" || rest == defaultFolder() {
			return kindName(kind)
		}
		return say("place.part", "place", kindName(kind), "part", rest)
	case kindRclone:
		return say("place.part", "place", kindName(kind), "part", rest)
	}
	_, rest, withScheme := strings.Cut(rest, "://")
	if !withScheme {
		_, rest = splitDest(dest)
	}
	host, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		host = host[at+1:]
	}
	if path = strings.Trim(path, "/"); path == "" {
		return host
	}
	return say("place.on", "path", path, "host", host)
}

// placeName names a place as the user would find it.
func (d *desk) placeName(dest string) string { return placeName(dest, d.short) }

// A placeDraft is what somebody gave to reach a place, before it is tried. It has no fyne
// in it.
type placeDraft struct {
	kind   app.PlaceKind
	values map[string]string // by the names of the fields, secrets too
}

func newDraft(kind app.PlaceKind) *placeDraft {
	return &placeDraft{kind: kind, values: map[string]string{}}
}

// draftOf begins with what is known of a place. Its secrets are not: what stays empty stays
// as it is.
func draftOf(kind app.PlaceKind, p app.Place) *placeDraft {
	draft := newDraft(kind)
	for _, f := range kind.Fields {
		switch value := p.Options[f.Name]; {
		case f.Secret:
		case isAddress(f.Name):
			_, draft.values[f.Name] = splitDest(p.Dest)
		case value != "":
			draft.values[f.Name] = value
		}
	}
	return draft
}

// isAddress reports whether a field is part of the text of the place itself.
func isAddress(field string) bool {
	return field == "address" || field == "folder" || field == "remote"
}

func (p *placeDraft) field(name string) (app.PlaceField, bool) {
	for _, f := range p.kind.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return app.PlaceField{}, false
}

// set takes a value; secrets as they are, everything else without spaces around it.
func (p *placeDraft) set(name, value string) {
	if f, _ := p.field(name); !f.Secret {
		value = strings.TrimSpace(value)
	}
	p.values[name] = value
}

// complete reports whether everything is there that the kind cannot do without. Secrets
// that are known already are there.
func (p *placeDraft) complete(secretsKnown bool) bool {
	for _, f := range p.kind.Fields {
		if f.Secret && secretsKnown {
			continue
		}
		if !f.Optional && p.values[f.Name] == "" {
			return false
		}
	}
	return true
}

// dest is the text of the place. People may leave out the beginning that is always the same.
func (p *placeDraft) dest() string {
	value := ""
	for _, f := range p.kind.Fields {
		if isAddress(f.Name) {
			value = p.values[f.Name]
		}
	}
	if kind, rest := splitDest(value); kind == p.kind.Scheme && kind != kindFolder {
		value = rest
	}
	switch p.kind.Scheme {
	case kindFolder:
		return value
	case kindS3, kindWebDAV:
		if value != "" && !strings.Contains(value, "://") {
			value = "https://" + value
		}
	case kindSFTP:
		value = "//" + value
	}
	return p.kind.Scheme + ":" + value
}

// connection is the draft for package app, which takes the secrets over.
func (p *placeDraft) connection() app.Connection {
	c := app.Connection{Dest: p.dest(), Options: map[string]string{}, Secrets: map[string]app.Secret{}}
	for name, value := range p.values {
		f, known := p.field(name)
		switch {
		case value == "" || isAddress(name):
		case known && f.Secret:
			c.Secrets[name] = secretOf(value)
		default:
			c.Options[name] = value
		}
	}
	return c
}

// changes is the draft for a place that was there before: what was taken away is said too.
func (p *placeDraft) changes(before app.Place) app.Connection {
	c := p.connection()
	for _, f := range p.kind.Fields {
		if !f.Secret && !isAddress(f.Name) && p.values[f.Name] == "" && before.Options[f.Name] != "" {
			c.Options[f.Name] = ""
		}
	}
	return c
}

// forget drops the secrets, once the place is connected or given up.
func (p *placeDraft) forget() {
	for _, f := range p.kind.Fields {
		if f.Secret {
			delete(p.values, f.Name)
		}
	}
}
