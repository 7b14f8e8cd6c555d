package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
)

// The choices of the text size.
var textScales = [...]float64{1, 1.25, 1.5, 2}

// settingsPage is the screen Settings: language, light or dark, text size, paper.
// What belongs to the network is kept with save, which leaves the page as it is.
func (d *desk) settingsPage(settings app.Settings, language string, change func(app.Settings), save func(*scope, app.Settings, func(error))) *page {
	sc := d.tasks.scope()
	themes := []string{"", "light", "dark"}
	themeChoice := widget.NewSelect([]string{say("settings.theme.system"), say("settings.theme.light"), say("settings.theme.dark")}, nil)
	for i, name := range themes {
		if name == settings.Theme {
			themeChoice.SetSelectedIndex(i)
		}
	}
	themeChoice.OnChanged = func(string) {
		settings.Theme = themes[themeChoice.SelectedIndex()]
		change(settings)
	}
	sizes := make([]string, len(textScales))
	for i, s := range textScales {
		sizes[i] = itoa(int(s*100)) + "\u00a0%"
	}
	textSize := widget.NewSelect(sizes, nil)
	textSize.SetSelectedIndex(0)
	for i, s := range textScales {
		if settings.TextScale == s {
			textSize.SetSelectedIndex(i)
		}
	}
	textSize.OnChanged = func(string) {
		settings.TextScale = textScales[textSize.SelectedIndex()]
		change(settings)
	}
	paper := widget.NewSelect([]string{"A4", "Letter"}, nil)
	paper.SetSelected("A4")
	if settings.Paper != "" {
		paper.SetSelected(settings.Paper)
	}
	paper.OnChanged = func(name string) {
		settings.Paper = name
		change(settings)
	}
	content := stack(gap6,
		stack(gap2, title(say("settings.title")), muted(say("settings.lead"))),
		card(stack(gap4,
			setting(say("settings.language"), languageChoice(language, func(tag string) {
				settings.Language = tag
				change(settings)
			})),
			setting(say("settings.theme"), themeChoice),
			setting(say("settings.text"), textSize),
			setting(say("settings.paper"), paper),
		)),
		d.networkCard(sc, &settings, save),
		small(say("settings.access")),
	)
	return &page{name: "settings", object: scrolling(pad(gap8, gap6, column(760, content))), scope: sc}
}

func setting(name string, control fyne.CanvasObject) fyne.CanvasObject {
	return rowFill(gap4, 0, plain(name), sized(230, 0, control))
}
