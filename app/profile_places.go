package app

import (
	"encoding/hex"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"coffer/crypto/aead"
)

func placesJSON(list []placeEntry) []placeJSON {
	var out []placeJSON
	for _, e := range list {
		j := placeJSON{ID: e.ID, Dest: rawText(e.Dest), Kind: e.Kind, Dir: rawText(e.Dir), AddedAt: e.AddedAt}
		for name, value := range e.Options {
			if j.Options == nil {
				j.Options = map[string]rawText{}
			}
			j.Options[name] = rawText(value)
		}
		out = append(out, j)
	}
	return out
}

// places reads the places of either version of settings.json.
func (j *profileJSON) places() ([]placeEntry, error) {
	switch {
	case j.Version == 1 && len(j.Places) == 0 && j.Dest == "":
		return nil, nil
	case j.Version == 1 && len(j.Places) == 0:
		return []placeEntry{firstPlace(j)}, nil
	case j.Version != profileVersion || j.Dest != "":
		return nil, errors.New("places of another version")
	}
	var list []placeEntry
	for _, p := range j.Places {
		e := placeEntry{ID: p.ID, Dest: string(p.Dest), Kind: p.Kind, Dir: string(p.Dir), AddedAt: p.AddedAt}
		for name, value := range p.Options {
			if e.Options == nil {
				e.Options = map[string]string{}
			}
			e.Options[name] = string(value)
		}
		list = append(list, e)
	}
	return list, nil
}

// firstPlace is the one place of a profile of version 1, which knew folders only. Its id is
// made from what it is, so that it is the same until version 2 is written.
func firstPlace(j *profileJSON) placeEntry {
	dest := string(j.Dest)
	e := placeEntry{ID: fingerprint(j.Repository, dest)[:placeIDSize], Dest: dest, Kind: kindFolder, AddedAt: j.SetUpAt}
	if filepath.IsAbs(dest) {
		e.Dir = dest
	}
	return e
}

const (
	placeIDSize = 8 // hex digits
	kindFolder  = "folder"
)

func newPlaceID() string { return hex.EncodeToString(aead.Random(placeIDSize / 2)) }

// checkPlaces refuses what this program would never have written.
func checkPlaces(list []placeEntry) error {
	if len(list) == 0 || len(list) > maxPlaces {
		return errors.New("no place, or too many")
	}
	ids := map[string]bool{}
	for _, e := range list {
		switch {
		case !isHex(e.ID, placeIDSize) || ids[e.ID]:
			return errors.New("the id of a place is not 8 digits of its own")
		case e.Dest == "" || e.Kind == "" || !isOptionName(e.Kind):
			return errors.New("a place without a destination or a kind")
		case e.Dir != "" && !filepath.IsAbs(e.Dir):
			return errors.New("the folder of a place is not an absolute path")
		}
		ids[e.ID] = true
		if err := checkOptions(e.Options); err != nil {
			return err
		}
	}
	return nil
}

func checkOptions(options map[string]string) error {
	if len(options) > maxOptions {
		return errors.New("too many options of a place")
	}
	for name, value := range options {
		if !isOptionName(name) || value == "" || len(value) > maxOptionBytes {
			return errors.New("an option of a place without a name or a value")
		}
	}
	return nil
}

// isOptionName reports whether a name is lower-case letters, digits and dashes.
func isOptionName(name string) bool {
	return name != "" && len(name) <= 32 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// firstDest is the canonical text of the first place, or "".
func (p Profile) firstDest() string {
	if len(p.Places) == 0 {
		return ""
	}
	return p.Places[0].Dest
}

// place finds a place by its id or its canonical text.
func (p Profile) place(idOrDest string) (placeEntry, bool) {
	i := slices.IndexFunc(p.Places, func(e placeEntry) bool { return e.ID == idOrDest || e.Dest == idOrDest })
	if i < 0 {
		return placeEntry{}, false
	}
	return p.Places[i], true
}

// placesFor returns the places that are meant: the one of that id or text, or all.
func (p Profile) placesFor(idOrDest string) ([]placeEntry, error) {
	if idOrDest == "" {
		return p.Places, nil
	}
	e, ok := p.place(idOrDest)
	if !ok {
		return nil, atPlace(idOrDest, ErrPlaceUnknown)
	}
	return []placeEntry{e}, nil
}

// same reports whether two entries say the same.
func (e placeEntry) same(o placeEntry) bool {
	return e.ID == o.ID && e.Dest == o.Dest && e.Kind == o.Kind && e.Dir == o.Dir && e.AddedAt.Equal(o.AddedAt) &&
		maps.Equal(e.Options, o.Options)
}

// merged returns options with changes over them; one that is "" is removed.
func merged(options, changes map[string]string) map[string]string {
	out := maps.Clone(options)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, changes)
	maps.DeleteFunc(out, func(_, value string) bool { return value == "" })
	if len(out) == 0 {
		return nil
	}
	return out
}
