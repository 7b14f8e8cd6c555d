package ui

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
)

// consoleWords shows the words of somebody else's page in boxes, in the order in which they
// are met there: "New project › Create".
func consoleWords(path string) fyne.CanvasObject {
	var parts []fyne.CanvasObject
	for i, word := range strings.Split(path, " › ") {
		if i > 0 {
			parts = append(parts, pad(0, gap1, newWords("›", wordStyle{whole: true, color: colorMuted})))
		}
		text := newWords(word, wordStyle{whole: true, bold: true, size: sizeSmall, color: theme.ColorNamePrimary})
		parts = append(parts, newPanel(colorAccentSoft, colorOutline, 6, pad(gap2, gap1, text)))
	}
	return wrapRow(gap1+2, parts...)
}
