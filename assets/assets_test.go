package assets

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"
)

// TestDrawings: each is well-formed, and uses only what fyne draws. It knows neither
// transforms nor lines, and takes no colour of a group.
func TestDrawings(t *testing.T) {
	for dir, least := range map[string]int{"icons": 30, "pictures": 6} {
		entries, err := files.ReadDir(dir)
		if err != nil || len(entries) < least {
			t.Fatalf("%d files in %s: %v", len(entries), dir, err)
		}
		for _, e := range entries {
			content, err := files.ReadFile(dir + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			checkDrawing(t, e.Name(), content)
			if dir == "icons" && bytes.Count(content, []byte(`stroke="#000000"`)) == 0 {
				t.Errorf("%s has no line that takes a colour", e.Name())
			}
		}
	}
	checkDrawing(t, "icon.svg", AppIcon().Content())
}

func checkDrawing(t *testing.T, name string, content []byte) {
	t.Helper()
	shapes := 0
	for d := xml.NewDecoder(bytes.NewReader(content)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		element, ok := token.(xml.StartElement)
		if !ok || element.Name.Local == "svg" {
			continue
		}
		shapes++
		if !slices.Contains([]string{"path", "circle", "rect"}, element.Name.Local) {
			t.Errorf("%s has a %s, which fyne does not draw as it should", name, element.Name.Local)
		}
		for _, a := range element.Attr {
			if a.Name.Local == "transform" {
				t.Errorf("%s has a transform", name)
			}
		}
	}
	if shapes == 0 {
		t.Errorf("%s is empty", name)
	}
}

func TestIconsTakeTheirColour(t *testing.T) {
	test.NewTempApp(t)
	plain, accent := Icon("home"), IconIn("home", theme.ColorNamePrimary)
	if plain.Name() == accent.Name() || bytes.Equal(plain.Content(), accent.Content()) {
		t.Error("two colours, one picture")
	}
	if !strings.Contains(string(accent.Content()), accent.Name()[:6]) {
		t.Errorf("%s does not have the colour of its name", accent.Name())
	}
	defer func() {
		if recover() == nil {
			t.Error("an icon that is not there was found")
		}
	}()
	Icon("no such icon")
}

func TestLanguages(t *testing.T) {
	languages := Languages()
	if len(languages) < 2 || languages[0] != "en" {
		t.Fatalf("languages: %v", languages)
	}
	for _, l := range languages {
		if texts, ok := Translation(l); !ok || len(texts) == 0 {
			t.Errorf("no texts for %s", l)
		}
	}
	if _, ok := Translation("../icon"); ok {
		t.Error("found texts outside the folder")
	}
}

// The icon of the program is there as a picture too, for packages and FyneApp.toml.
func TestIconFile(t *testing.T) {
	f, err := os.Open("icon.png")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c, err := png.DecodeConfig(f); err != nil || c.Width != 512 || c.Height != 512 {
		t.Errorf("icon.png is %d x %d, %v", c.Width, c.Height, err)
	}
}
