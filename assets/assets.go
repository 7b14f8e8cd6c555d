// Package assets holds what the window shows and does not compute: icons (24 x 24, one
// stroke, coloured by the theme), pictures (in their own colours, fit for light and dark),
// and translations (one JSON file a language, the same keys in each).
package assets

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
)

//go:embed icon.svg icons pictures translations
var files embed.FS

// AppIcon is the sign of the program.
func AppIcon() fyne.Resource { return mustResource("icon.svg") }

// Icon returns the icon of this name in the colour of text. It panics when there is none:
// names are written in code, and a test looks at every one of them.
func Icon(name string) fyne.Resource { return IconIn(name, theme.ColorNameForeground) }

// IconIn returns the icon of this name in a colour of the theme. It panics like [Icon].
func IconIn(name string, color fyne.ThemeColorName) fyne.Resource {
	return &strokes{plain: mustResource("icons/" + name + ".svg"), color: color}
}

// strokes is an icon of lines in a colour of the theme. fyne's own themed resources colour
// areas only, and would leave lines black on a dark ground.
type strokes struct {
	plain fyne.Resource
	color fyne.ThemeColorName
}

// Name implements fyne.Resource. fyne keeps pictures by name, so the colour is part of it.
func (s *strokes) Name() string { return s.hex()[1:] + "-" + s.plain.Name() }

// Content implements fyne.Resource.
func (s *strokes) Content() []byte {
	return bytes.ReplaceAll(s.plain.Content(), []byte("#000000"), []byte(s.hex()))
}

func (s *strokes) hex() string {
	r, g, b, _ := theme.Color(s.color).RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

// Picture returns the illustration of this name. It panics when there is none.
func Picture(name string) fyne.Resource { return mustResource("pictures/" + name + ".svg") }

// Languages returns the languages that the window speaks, as BCP 47 tags: English first,
// then by tag.
func Languages() []string {
	entries, err := files.ReadDir("translations")
	if err != nil {
		panic(fmt.Sprintf("assets: read embedded folder: %v", err))
	}
	languages := []string{"en"}
	for _, e := range entries {
		if tag := strings.TrimSuffix(e.Name(), ".json"); tag != "en" {
			languages = append(languages, tag)
		}
	}
	slices.Sort(languages[1:])
	return languages
}

// Translation returns the texts of a language as the JSON that fyne's lang package reads.
// ok is false when there is no such language.
func Translation(language string) (texts []byte, ok bool) {
	texts, err := files.ReadFile("translations/" + language + ".json")
	return texts, err == nil
}

func mustResource(name string) fyne.Resource {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(fmt.Sprintf("assets: no %s", name))
	}
	return fyne.NewStaticResource(strings.ReplaceAll(name, "/", "-"), content)
}
