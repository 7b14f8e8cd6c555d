package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"coffer/app"
)

// fieldKey is the part of a text's key that belongs to a field: an address differs from
// kind to kind, a password does not.
func fieldKey(kind, name string) string {
	if isAddress(name) {
		return name + "-" + kind
	}
	return name
}

// knownField reports whether there are texts for a field.
func knownField(kind, name string) bool {
	switch fieldKey(kind, name) {
	case "address-folder", "address-s3", "address-webdav", "address-sftp", "remote-rclone", "folder-drive", "folder-icloud",
		"user", "password", "access-key", "secret-key", "region", "lock-days", "key-file", "key-passphrase",
		"host-key", "config-file", "pin", "plain":
		return true
	}
	return false
}

// hidden are fields that no form shows: the client has a page of its own, and a token is
// for computers without a browser.
func hiddenField(name string) bool { return name == "client" || name == "token" }

// rare are fields that most people never need.
func rareField(f app.PlaceField) bool {
	switch f.Name {
	case "region", "lock-days", "pin", "plain", "host-key", "config-file":
		return f.Optional
	}
	return false
}

// A placeForm is the fields of a kind of place. What is typed goes into the draft at once.
type placeForm struct {
	*desk
	sc      *scope
	draft   *placeDraft
	again   bool // it was set up before: secrets that stay empty stay as they are
	changed func()
	submit  func() // Enter in the last field

	box    *fyne.Container
	fields []*field
	names  []string
}

func (d *desk) newPlaceForm(sc *scope, draft *placeDraft, again bool, changed, submit func()) *placeForm {
	f := &placeForm{desk: d, sc: sc, draft: draft, again: again, changed: changed, submit: submit}
	usual, rare := stack(gap4), stack(gap4)
	used := false
	for _, spec := range draft.kind.Fields {
		if hiddenField(spec.Name) {
			continue
		}
		into := usual
		if rareField(spec) {
			into = rare
			used = used || draft.values[spec.Name] != ""
		}
		into.Add(f.row(spec))
	}
	f.box = stack(gap4, usual)
	if len(rare.Objects) > 0 {
		f.more(rare, used)
	}
	return f
}

// more hides the rare fields behind a button, unless one of them is used.
func (f *placeForm) more(rare *fyne.Container, open bool) {
	if open {
		f.box.Add(rare)
		return
	}
	rare.Hide()
	var button *button
	holder := row(0)
	button = quiet(say("form.more"), "plus", func() {
		rare.Show()
		holder.Hide()
		f.box.Refresh()
		f.window.Canvas().Focus(firstFocusable(rare))
	})
	holder.Add(button)
	f.box.Add(holder)
	f.box.Add(rare)
}

// row is one field with its name above it and what it is for below.
func (f *placeForm) row(spec app.PlaceField) fyne.CanvasObject {
	key := fieldKey(f.draft.kind.Scheme, spec.Name)
	known := knownField(f.draft.kind.Scheme, spec.Name)
	if known && spec.Name == "plain" {
		return f.allowPlain()
	}
	label, note := spec.Name, ""
	if known {
		label, note = say("field."+key+".label"), say("field."+key+".hint")
	}
	if spec.Optional {
		label = say("field.optional", "name", label)
	}
	control := f.control(spec, key, known)
	parts := stack(gap1+2, newWords(label, wordStyle{size: sizeSmall, color: colorMuted, bold: true}), control)
	if note != "" {
		parts.Add(small(note))
	}
	return parts
}

func (f *placeForm) control(spec app.PlaceField, key string, known bool) fyne.CanvasObject {
	var entry *field
	switch {
	case spec.Secret && f.again:
		entry = newSecretField(say("field.unchanged"))
	case spec.Secret:
		entry = newSecretField("")
	case known:
		entry = newField(say("field." + key + ".example"))
	default:
		entry = newField("")
	}
	entry.SetText(f.draft.values[spec.Name])
	entry.OnChanged = func(s string) {
		if spec.File {
			s = f.expand(s)
		}
		f.draft.set(spec.Name, s)
		f.changed()
	}
	at := len(f.fields)
	f.fields, f.names = append(f.fields, entry), append(f.names, spec.Name)
	entry.OnSubmitted = func(string) { f.next(at) }
	switch {
	case spec.Secret:
		show := newTick(say("secret.show"), false, func(on bool) {
			entry.Password = !on
			entry.Refresh()
		})
		return rowFill(gap2, 0, entry, show)
	case spec.File:
		pick := push(say("pick.choose"), "files", func() {
			f.picker.File(f.sc, say("pick.file"), f.expand(entry.Text), func(path string) { entry.SetText(path) })
		})
		return rowFill(gap2, 0, entry, pick)
	}
	return entry
}

// next moves to the field after at, or goes on from the last.
func (f *placeForm) next(at int) {
	for _, entry := range f.fields[at+1:] {
		if f.onScreen(entry) {
			f.window.Canvas().Focus(entry)
			return
		}
	}
	f.submit()
}

// onScreen reports whether a field can be seen: the rare ones may be hidden.
func (f *placeForm) onScreen(entry *field) bool {
	seen := false
	var walk func(fyne.CanvasObject)
	walk = func(o fyne.CanvasObject) {
		if !o.Visible() {
			return
		}
		seen = seen || o == fyne.CanvasObject(entry)
		for _, child := range below(o) {
			walk(child)
		}
	}
	walk(f.box)
	return seen
}

// allowPlain is the one field that is a yes or no.
func (f *placeForm) allowPlain() fyne.CanvasObject {
	t := newTick(say("field.plain.label"), f.draft.values["plain"] != "", func(on bool) {
		f.draft.values["plain"] = ""
		if on {
			f.draft.values["plain"] = "yes"
		}
		f.changed()
	})
	return stack(gap1, t, newWords(say("field.plain.hint"), wordStyle{size: sizeSmall, color: theme.ColorNameWarning}))
}

// focusOn returns the field of a name, or the first.
func (f *placeForm) focusOn(name string) fyne.Focusable {
	for i, n := range f.names {
		if n == name {
			return f.fields[i]
		}
	}
	if len(f.fields) > 0 {
		return f.fields[0]
	}
	return nil
}

// fieldOf is the field that a failure is about; "" for none.
func fieldOf(code app.Code) string {
	switch code {
	case app.CodePlaceAddress, app.CodePlacePlain:
		return "address"
	case app.CodePlaceKeyPassphrase:
		return "key-passphrase"
	case app.CodePlaceNoRemote:
		return "remote"
	case app.CodePlaceNoLock:
		return "lock-days"
	}
	return ""
}

// fieldsPage is the form of a kind of place that is neither a folder nor has a sign-in of
// its own. said is what went wrong before; may be nil.
func (c *connecting) fieldsPage(back func(), said *app.Failure) {
	sc := c.tasks.scope()
	var w *wizardPage
	failed := func(f app.Failure) { c.sayFailure(w, f) }
	try := func() {
		if c.complete() {
			c.connect(w, sc, failed)
		}
	}
	form := c.newPlaceForm(sc, c.draft, c.purpose == toChange, func() {
		if w != nil {
			w.hint.clear()
			w.allowQuietly(c.complete())
		}
	}, try)
	kind := c.draft.kind.Scheme
	body := []fyne.CanvasObject{card(form.box)}
	if c.purpose == toFind && kind == kindICloud || kind == kindRclone {
		body = append(body, small(say("kind."+kind+".note")))
	}
	w = c.ask(sc, c.rail, question{
		name:  c.at + "/place",
		title: c.formTitle(),
		lead:  c.formLead(),
		body:  body,
		next:  c.formButton(), onNext: try, back: back,
	})
	w.allowQuietly(c.complete())
	w.focus = form.focusOn("")
	if said != nil {
		w.focus = form.focusOn(fieldOf(said.Code))
		c.sayFailure(w, *said)
	}
	c.show(&w.page)
}

// complete reports whether the form can be tried. Secrets of a place of the profile may be
// left empty: they stay as they are.
func (c *connecting) complete() bool { return c.draft.complete(c.purpose == toChange) }

func (c *connecting) formTitle() string {
	if c.purpose == toChange {
		return say("change-place.title", "place", c.placeName(c.place.Dest))
	}
	return kindName(c.draft.kind.Scheme)
}

func (c *connecting) formButton() string {
	if c.purpose == toChange {
		return say("change-place.button")
	}
	return say("connect.button")
}

func (c *connecting) formLead() string {
	switch kind := c.draft.kind.Scheme; {
	case c.purpose == toChange:
		return say("change-place.lead")
	case knownKind(kind):
		return say("kind." + kind + ".lead")
	}
	return ""
}

// sayFailure writes above the buttons what went wrong. Nothing is said of what people
// stopped themselves.
func (c *connecting) sayFailure(w *wizardPage, f app.Failure) {
	if f.Code == app.CodeCanceled {
		return
	}
	w.hint.set(toneBad, c.sentence(f))
}
