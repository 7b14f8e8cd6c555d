package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"fyne.io/fyne/v2"
)

// clientSize is more than any client's file has: a larger one is not read.
const clientSize = 64 << 10

// A clientState is what can be said of a text that should be a Google client.
type clientState int

const (
	clientEmpty clientState = iota
	clientNot               // some other text
	clientCut               // the beginning of one
	clientWeb               // a client, but of a website
	clientOther             // a client of another kind: a service account, a token
	clientHalf              // a desktop client without its id
	clientFine
)

// key is the part of a text's key.
func (s clientState) key() string {
	return [...]string{"empty", "not", "cut", "web", "other", "half", "fine"}[s]
}

// judgeClient says what a text is, at once and without asking anybody: the driver reads it
// strictly later. id is that of a client that is fine.
func judgeClient(text string) (state clientState, id string) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if text == "" {
		return clientEmpty, ""
	}
	if len(text) > clientSize || text[0] != '{' {
		return clientNot, ""
	}
	var file struct {
		Type      string          `json:"type"`
		Refresh   string          `json:"refresh_token"`
		Web       json.RawMessage `json:"web"`
		Installed *struct {
			ID string `json:"client_id"`
		} `json:"installed"`
	}
	err := json.Unmarshal([]byte(text), &file)
	switch {
	case err != nil && !strings.HasSuffix(text, "}"):
		return clientCut, ""
	case err != nil:
		return clientNot, ""
	case file.Installed == nil && file.Web != nil:
		return clientWeb, ""
	case file.Installed == nil && (file.Type != "" || file.Refresh != ""):
		return clientOther, ""
	case file.Installed == nil:
		return clientNot, ""
	case file.Installed.ID == "":
		return clientHalf, ""
	}
	return clientFine, file.Installed.ID
}

// clientFile takes the file of a Google client: chosen, dropped on the window or pasted, and
// judged at once.
type clientFile struct {
	*desk
	sc      *scope
	changed func(text string, fine bool)

	box   *fyne.Container
	pick  *button
	paste *field
	hint  *hint
}

func (d *desk) newClientFile(sc *scope, text string, changed func(text string, fine bool)) *clientFile {
	f := &clientFile{desk: d, sc: sc, changed: changed, hint: newHint()}
	f.paste = newSecretField(say("guide.paste"))
	f.pick = push(say("guide.choose"), "files", func() {
		d.picker.File(sc, say("guide.choose"), d.home, f.read)
	})
	f.paste.SetText(text)
	f.paste.OnChanged = f.judge
	f.box = stack(gap3, row(0, f.pick), f.paste, f.hint.box)
	f.judge(text)
	return f
}

// read takes a file that was chosen or dropped.
func (f *clientFile) read(path string) {
	run(f.sc, func(context.Context) (string, error) { return readClient(path) }, func(text string, err error) {
		if err != nil {
			f.hint.set(toneBad, say("guide.unreadable", "path", f.short(path)))
			return
		}
		if f.paste.Text == text {
			f.judge(text) // the field would not say that it changed
			return
		}
		f.paste.SetText(text)
	})
}

// readClient reads no more of a file than a client can have.
func readClient(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open client file: %w", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, clientSize+1))
	if err != nil {
		return "", fmt.Errorf("read client file: %w", err)
	}
	return string(b), nil
}

func (f *clientFile) judge(text string) {
	state, id := judgeClient(text)
	t := toneBad
	switch state {
	case clientEmpty:
		f.hint.clear()
		f.changed("", false)
		return
	case clientFine:
		t = toneGood
	}
	f.hint.set(t, say("guide.client."+state.key(), "id", id))
	f.changed(strings.TrimSpace(text), state == clientFine)
}
