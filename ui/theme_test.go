package ui

import (
	"image/color"
	"math"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
)

func luminance(c color.NRGBA) float64 {
	part := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*part(c.R) + 0.7152*part(c.G) + 0.0722*part(c.B)
}

// contrast is the ratio of WCAG 2.2, 1.4.3.
func contrast(a, b color.NRGBA) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestContrast(t *testing.T) {
	grounds := []fyne.ThemeColorName{
		theme.ColorNameBackground, colorSurface, colorRail, theme.ColorNameInputBackground, theme.ColorNameButton,
		colorAccentSoft, colorGoodSoft, colorWarnSoft, colorBadSoft, theme.ColorNameMenuBackground,
	}
	onAll := []fyne.ThemeColorName{theme.ColorNameForeground}
	onMost := []fyne.ThemeColorName{
		colorMuted, theme.ColorNamePrimary, theme.ColorNameError, theme.ColorNameWarning, theme.ColorNameSuccess, theme.ColorNamePlaceHolder,
	}
	for name, p := range map[string]palette{"light": lightPalette(), "dark": darkPalette()} {
		for _, ground := range grounds {
			for _, text := range onAll {
				if c := contrast(p[text], p[ground]); c < 7 {
					t.Errorf("%s: %s on %s has a contrast of %.2f", name, text, ground, c)
				}
			}
		}
		for _, ground := range grounds[:4] {
			for _, text := range onMost {
				if c := contrast(p[text], p[ground]); c < 4.5 {
					t.Errorf("%s: %s on %s has a contrast of %.2f", name, text, ground, c)
				}
			}
		}
		for text, ground := range map[fyne.ThemeColorName]fyne.ThemeColorName{
			theme.ColorNameForegroundOnPrimary: theme.ColorNamePrimary, theme.ColorNameForegroundOnError: theme.ColorNameError,
			theme.ColorNameForegroundOnSuccess: theme.ColorNameSuccess, theme.ColorNameForegroundOnWarning: theme.ColorNameWarning,
			theme.ColorNameWarning: colorWarnSoft, theme.ColorNameError: colorBadSoft, theme.ColorNameSuccess: colorGoodSoft,
			theme.ColorNamePrimary: colorAccentSoft,
		} {
			if c := contrast(p[text], p[ground]); c < 4.5 {
				t.Errorf("%s: %s on %s has a contrast of %.2f", name, text, ground, c)
			}
		}
	}
}

func TestPalettesHaveTheSameColours(t *testing.T) {
	light, dark := lightPalette(), darkPalette()
	for name := range light {
		if _, ok := dark[name]; !ok {
			t.Errorf("dark lacks %s", name)
		}
	}
	if len(light) != len(dark) || len(light) < 30 {
		t.Errorf("%d light colours, %d dark", len(light), len(dark))
	}
}

func TestLookFollowsTheSystemUnlessItIsSet(t *testing.T) {
	ground := func(l *look, v fyne.ThemeVariant) color.Color { return l.Color(theme.ColorNameBackground, v) }
	light, dark := lightPalette()[theme.ColorNameBackground], darkPalette()[theme.ColorNameBackground]
	for _, c := range []struct {
		name    string
		variant fyne.ThemeVariant
		want    color.Color
	}{
		{"", theme.VariantLight, light},
		{"", theme.VariantDark, dark},
		{"light", theme.VariantDark, light},
		{"dark", theme.VariantLight, dark},
	} {
		if got := ground(newLook(c.name, 1), c.variant); got != c.want {
			t.Errorf("%q on %d: %v", c.name, c.variant, got)
		}
	}
}

func TestTextGrows(t *testing.T) {
	if s := newLook("", 2).Size(theme.SizeNameText); s != 28 {
		t.Errorf("200 %% text is %v", s)
	}
	for _, scale := range []float64{0, -1, 0.2, 1} {
		if s := newLook("", scale).Size(theme.SizeNameText); s != 14 {
			t.Errorf("text at %v is %v", scale, s)
		}
	}
	if s := newLook("", 99).Size(theme.SizeNameText); s != 28 {
		t.Errorf("text at 9900 %% is %v", s)
	}
}
