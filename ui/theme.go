package ui

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
)

// Colours of our own, beside fyne's. Every text colour has a contrast of at least 4.5 to
// every ground that it stands on (theme_test.go).
const (
	colorSurface fyne.ThemeColorName = "coffer.surface" // cards
	colorRail    fyne.ThemeColorName = "coffer.rail"    // navigation, steps
	colorMuted   fyne.ThemeColorName = "coffer.muted"   // second text
	colorOutline fyne.ThemeColorName = "coffer.outline" // of cards

	colorAccentSoft fyne.ThemeColorName = "coffer.accent-soft" // grounds for notices
	colorGoodSoft   fyne.ThemeColorName = "coffer.good-soft"
	colorWarnSoft   fyne.ThemeColorName = "coffer.warn-soft"
	colorBadSoft    fyne.ThemeColorName = "coffer.bad-soft"
	colorTrack      fyne.ThemeColorName = "coffer.track" // of bars
)

// Sizes of text, beside fyne's.
const (
	sizeTitle   fyne.ThemeSizeName = "coffer.title"
	sizeHeading fyne.ThemeSizeName = "coffer.heading"
	sizeFigure  fyne.ThemeSizeName = "coffer.figure"
	sizeSmall   fyne.ThemeSizeName = "coffer.small"
	sizeDigits  fyne.ThemeSizeName = "coffer.digits"
)

// look is Coffer's theme: one accent, light and dark, a grid of four.
type look struct {
	fixed bool // light or dark by the user's choice, whatever the system says
	dark  bool
	scale float32 // of text; 1 is normal

	light, night palette
}

// newLook makes the theme that the settings ask for.
func newLook(name string, scale float64) *look {
	if scale == 0 {
		scale = 1
	}
	return &look{
		fixed: name != "", dark: name == "dark", scale: float32(min(max(scale, 1), 2)),
		light: lightPalette(), night: darkPalette(),
	}
}

type palette map[fyne.ThemeColorName]color.NRGBA

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{R: byte(hex >> 16), G: byte(hex >> 8), B: byte(hex), A: 0xff}
}

func alpha(c color.NRGBA, a byte) color.NRGBA { c.A = a; return c }

func lightPalette() palette {
	accent := rgb(0x0b6668)
	return palette{
		theme.ColorNameBackground:          rgb(0xf6f7f5),
		theme.ColorNameForeground:          rgb(0x182326),
		theme.ColorNameButton:              rgb(0xe3e9e7),
		theme.ColorNameDisabledButton:      rgb(0xe9edeb),
		theme.ColorNameDisabled:            rgb(0x66757a),
		theme.ColorNamePlaceHolder:         rgb(0x5c6b70),
		theme.ColorNamePrimary:             accent,
		theme.ColorNameForegroundOnPrimary: rgb(0xffffff),
		theme.ColorNameHyperlink:           accent,
		theme.ColorNameFocus:               alpha(accent, 0x38),
		theme.ColorNameSelection:           alpha(accent, 0x33),
		theme.ColorNameHover:               alpha(rgb(0x0b3a3c), 0x12),
		theme.ColorNamePressed:             alpha(rgb(0x0b3a3c), 0x24),
		theme.ColorNameInputBackground:     rgb(0xf5f8f7),
		theme.ColorNameInputBorder:         rgb(0x839297),
		theme.ColorNameSeparator:           rgb(0xdde2e0),
		theme.ColorNameScrollBar:           alpha(rgb(0x182326), 0x66),
		theme.ColorNameScrollBarBackground: alpha(rgb(0x182326), 0x10),
		theme.ColorNameShadow:              alpha(rgb(0x000000), 0x26),
		theme.ColorNameMenuBackground:      rgb(0xffffff),
		theme.ColorNameOverlayBackground:   rgb(0xffffff),
		theme.ColorNameHeaderBackground:    rgb(0xedf1ef),
		theme.ColorNameError:               rgb(0xa8261d),
		theme.ColorNameForegroundOnError:   rgb(0xffffff),
		theme.ColorNameSuccess:             rgb(0x1a6b42),
		theme.ColorNameForegroundOnSuccess: rgb(0xffffff),
		theme.ColorNameWarning:             rgb(0x8a5200),
		theme.ColorNameForegroundOnWarning: rgb(0xffffff),
		colorSurface:                       rgb(0xffffff),
		colorRail:                          rgb(0xe9f0ee),
		colorMuted:                         rgb(0x526166),
		colorOutline:                       rgb(0xdbe2e0),
		colorAccentSoft:                    rgb(0xdcefec),
		colorGoodSoft:                      rgb(0xe0f2e7),
		colorWarnSoft:                      rgb(0xfcefd6),
		colorBadSoft:                       rgb(0xfbe5e2),
		colorTrack:                         rgb(0xd9e1df),
	}
}

func darkPalette() palette {
	accent := rgb(0x63cdc1)
	return palette{
		theme.ColorNameBackground:          rgb(0x121819),
		theme.ColorNameForeground:          rgb(0xe9efee),
		theme.ColorNameButton:              rgb(0x2a3537),
		theme.ColorNameDisabledButton:      rgb(0x20292b),
		theme.ColorNameDisabled:            rgb(0x8d9b9e),
		theme.ColorNamePlaceHolder:         rgb(0x97a6a9),
		theme.ColorNamePrimary:             accent,
		theme.ColorNameForegroundOnPrimary: rgb(0x06211f),
		theme.ColorNameHyperlink:           accent,
		theme.ColorNameFocus:               alpha(accent, 0x48),
		theme.ColorNameSelection:           alpha(accent, 0x44),
		theme.ColorNameHover:               alpha(rgb(0xffffff), 0x12),
		theme.ColorNamePressed:             alpha(rgb(0xffffff), 0x22),
		theme.ColorNameInputBackground:     rgb(0x0d1213),
		theme.ColorNameInputBorder:         rgb(0x73858a),
		theme.ColorNameSeparator:           rgb(0x2b3638),
		theme.ColorNameScrollBar:           alpha(rgb(0xe9efee), 0x66),
		theme.ColorNameScrollBarBackground: alpha(rgb(0xe9efee), 0x10),
		theme.ColorNameShadow:              alpha(rgb(0x000000), 0x80),
		theme.ColorNameMenuBackground:      rgb(0x1c2527),
		theme.ColorNameOverlayBackground:   rgb(0x1c2527),
		theme.ColorNameHeaderBackground:    rgb(0x1c2527),
		theme.ColorNameError:               rgb(0xff9d93),
		theme.ColorNameForegroundOnError:   rgb(0x2d0603),
		theme.ColorNameSuccess:             rgb(0x7fd6a4),
		theme.ColorNameForegroundOnSuccess: rgb(0x06210f),
		theme.ColorNameWarning:             rgb(0xf2bd6b),
		theme.ColorNameForegroundOnWarning: rgb(0x2a1a00),
		colorSurface:                       rgb(0x1a2224),
		colorRail:                          rgb(0x172022),
		colorMuted:                         rgb(0xa6b4b7),
		colorOutline:                       rgb(0x2c383a),
		colorAccentSoft:                    rgb(0x153533),
		colorGoodSoft:                      rgb(0x163225),
		colorWarnSoft:                      rgb(0x382b13),
		colorBadSoft:                       rgb(0x3d1d1a),
		colorTrack:                         rgb(0x334042),
	}
}

// Color implements fyne.Theme.
func (l *look) Color(name fyne.ThemeColorName, variant fyne.ThemeVariant) color.Color {
	dark := variant == theme.VariantDark
	if l.fixed {
		dark = l.dark
	}
	colors := l.light
	if dark {
		colors = l.night
		variant = theme.VariantDark
	} else {
		variant = theme.VariantLight
	}
	if c, ok := colors[name]; ok {
		return c
	}
	return theme.DefaultTheme().Color(name, variant)
}

// Font implements fyne.Theme.
func (l *look) Font(style fyne.TextStyle) fyne.Resource { return theme.DefaultTheme().Font(style) }

// Icon implements fyne.Theme.
func (l *look) Icon(name fyne.ThemeIconName) fyne.Resource { return theme.DefaultTheme().Icon(name) }

// Size implements fyne.Theme. Only text and the icons in it grow with the text size, so
// that 200 % still fits a small window.
func (l *look) Size(name fyne.ThemeSizeName) float32 {
	switch name {
	case theme.SizeNameText:
		return 14 * l.scale
	case theme.SizeNameCaptionText, sizeSmall:
		return 12.5 * l.scale
	case sizeTitle, theme.SizeNameHeadingText:
		return 25 * l.bigScale()
	case sizeHeading, theme.SizeNameSubHeadingText:
		return 16.5 * l.bigScale()
	case sizeFigure:
		return 21 * l.bigScale()
	case sizeDigits:
		return 15.5 * l.scale
	case theme.SizeNameInlineIcon:
		return 19 * l.bigScale()
	case theme.SizeNamePadding:
		return 4
	case theme.SizeNameInnerPadding:
		return 9
	case theme.SizeNameInputRadius, theme.SizeNameButtonRadius, theme.SizeNameSelectionRadius:
		return 7
	case theme.SizeNameInputBorder:
		return 1
	case theme.SizeNameLineSpacing:
		return 4
	}
	return theme.DefaultTheme().Size(name)
}

// bigScale is the scale of what is large already: it need not double to be read.
func (l *look) bigScale() float32 { return 1 + (l.scale-1)*0.7 }
