package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"coffer/assets"
)

// startPage is the first screen: two ways on, of the same size, and the language.
func (d *desk) startPage(language string, backUp, getBack func(), speakIn func(tag string)) *page {
	first := d.doorTile("backup", say("start.backup.title"), say("start.backup.body"), backUp)
	second := d.doorTile("restore", say("start.restore.title"), say("start.restore.body"), getBack)
	first.move = func(int) { d.window.Canvas().Focus(second) }
	second.move = func(int) { d.window.Canvas().Focus(first) }

	head := stack(gap2,
		picture("start", 230, 124),
		newWords(say("start.title"), wordStyle{size: sizeTitle, bold: true, center: true}),
		newWords(say("start.lead"), wordStyle{color: colorMuted, center: true}),
	)
	content := stack(gap6, head, flow(gap4, 260, first, second))
	foot := container.NewBorder(nil, nil, nil, languageChoice(language, speakIn))
	object := container.NewBorder(nil, pad(gap6, gap3, foot), nil, nil,
		scrolling(pad(gap8, gap6, middle(column(720, content)))))
	return &page{name: "start", object: object, focus: first, scope: d.tasks.scope()}
}

// doorTile is a large way on.
func (d *desk) doorTile(iconName, head, body string, tapped func()) *tile {
	text := stack(gap1, heading(head), muted(body))
	return newTile(pad(gap6, gap6, stack(gap3, row(0, bigIcon(iconName, tonePlain, 52)), text)), tapped)
}

// languageChoice offers every language in its own name.
func languageChoice(current string, speakIn func(tag string)) fyne.CanvasObject {
	tags := assets.Languages()
	names := make([]string, len(tags))
	for i, tag := range tags {
		names[i] = languageName(tag)
	}
	choice := widget.NewSelect(names, nil)
	for i, tag := range tags {
		if tag == current {
			choice.SetSelectedIndex(i)
		}
	}
	choice.OnChanged = func(name string) {
		for i := range tags {
			if names[i] == name && tags[i] != current {
				speakIn(tags[i])
			}
		}
	}
	return rowFill(gap2, 1, icon("globe", colorMuted), choice)
}

// languageName is how a language calls itself: the same in every translation.
func languageName(tag string) string {
	switch tag {
	case "de":
		return "Deutsch"
	case "en":
		return "English"
	case "es":
		return "Español"
	case "fr":
		return "Français"
	case "ja":
		return "日本語"
	case "pt":
		return "Português"
	}
	return tag
}
