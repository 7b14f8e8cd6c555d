//go:build gallery

// Gallery shows the screens of Coffer with canned data, to be looked at while they are
// made: go run -tags gallery,x11,gles,no_emoji ./ui/gallery [-lang de] [-theme dark]
// [-text 2] [STORY [SCREEN]]. Without a story it lists them. A screen is a name such as
// "setup/where" or "key/check"; see the debug log of Coffer for all of them.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	fyneapp "fyne.io/fyne/v2/app"

	"coffer/app"
	"coffer/ui"
	"coffer/ui/canned"
)

// stories are the computers that can be looked at.
func stories() map[string]func() *canned.Coffer {
	return map[string]func() *canned.Coffer{
		"new": canned.NewComputer, "taken": canned.Taken, "safe": canned.Safe,
		"places": canned.TwoPlaces, "troubled": canned.Troubled, "late": canned.Late, "danger": canned.Danger, "waiting": canned.Waiting,
		"vault-offered": canned.Offered, "vault": canned.Guarded, "vault-guessed": canned.Guessed,
		"vault-office": func() *canned.Coffer {
			c := canned.Offered()
			c.Said, c.SignsIn, c.Signing = canned.Office(), true, make(chan struct{})
			return c
		},
		"vault-offline": func() *canned.Coffer { return canned.Refused(app.CodeVaultOffline) },
		"vault-alarm":   func() *canned.Coffer { return canned.Refused(app.CodeVaultRolledBack) },
	}
}

func main() {
	language := flag.String("lang", "", "`tag` of the language")
	theme := flag.String("theme", "", "light or dark")
	text := flag.Float64("text", 1, "size of text, 1 to 2")
	flag.Parse()
	story, ok := stories()[flag.Arg(0)]
	if !ok {
		fmt.Fprintln(os.Stderr, "gallery: the stories are", slices.Sorted(maps.Keys(stories())))
		os.Exit(2)
	}
	coffer := story()
	coffer.Kept.Language, coffer.Kept.Theme, coffer.Kept.TextScale = *language, *theme, *text
	f := fyneapp.NewWithID("app.coffer.gallery")
	w, err := ui.New(f, options(coffer))
	if err != nil {
		fmt.Fprintln(os.Stderr, "gallery:", err)
		os.Exit(1)
	}
	w.Show()
	if screen := flag.Arg(1); screen != "" {
		w.Open(screen)
	}
	f.Run()
}

func options(coffer *canned.Coffer) ui.Options {
	return ui.Options{
		Coffer: coffer, Computer: "ANN-LAPTOP", Home: canned.Home, Explain: canned.Explain,
		Now: func() time.Time { return canned.Now },
	}
}

// The canned Coffer stands for the real one.
var _ ui.Coffer = (*app.App)(nil)
