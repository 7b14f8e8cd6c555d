package ui

import (
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
)

// Speeds that people can limit a direction to, in bytes a second; 0: as fast as it goes.
func speedLimits() []int64 {
	return []int64{0, 128e3, 256e3, 512e3, 1e6, 2e6, 5e6, 10e6, 25e6, 50e6}
}

// speedText writes a limit.
func speedText(limit int64) string {
	if limit == 0 {
		return say("network.unlimited")
	}
	return say("work.rate", "size", size(limit))
}

// The ways to the network.
const (
	proxySystem = ""
	proxyDirect = "direct"
	proxyOther  = "other"
)

// network is the part of Settings about the line to all places. What is changed holds at
// once, also for a backup that runs.
type network struct {
	*desk
	sc       *scope
	settings *app.Settings // of the page; changed when they are kept
	save     func(*scope, app.Settings, func(error))
	hint     *hint
}

func (d *desk) networkCard(sc *scope, settings *app.Settings, save func(*scope, app.Settings, func(error))) fyne.CanvasObject {
	n := &network{desk: d, sc: sc, settings: settings, save: save, hint: newHint()}
	wait := newTick(say("network.metered"), settings.Metered != app.MeteredGoOn, func(on bool) {
		rule := app.MeteredGoOn
		if on {
			rule = app.MeteredWait
		}
		n.keep(func(s *app.Settings) { s.Metered = rule })
	})
	return card(stack(gap4,
		heading(say("network.title")),
		setting(say("network.up"), n.limit(settings.UploadLimit, func(s *app.Settings, l int64) { s.UploadLimit = l })),
		setting(say("network.down"), n.limit(settings.DownloadLimit, func(s *app.Settings, l int64) { s.DownloadLimit = l })),
		stack(gap1, wait, small(say("network.metered.note"))),
		n.proxy(),
		n.certificates(),
		n.hint.box,
	))
}

// keep changes the settings and saves them, and says so or why not.
func (n *network) keep(change func(*app.Settings)) {
	changed := *n.settings
	change(&changed)
	n.save(n.sc, changed, func(err error) {
		if err != nil {
			n.problem(n.hint, err)
			return
		}
		*n.settings = changed
		n.hint.set(toneGood, say("network.saved"))
	})
}

// limit chooses a speed. One that was set with the command line is among the choices.
func (n *network) limit(value int64, set func(*app.Settings, int64)) fyne.CanvasObject {
	limits := speedLimits()
	if !slices.Contains(limits, value) {
		limits = append(limits, value)
		slices.Sort(limits)
	}
	names := make([]string, len(limits))
	for i, l := range limits {
		names[i] = speedText(l)
	}
	choice := widget.NewSelect(names, nil)
	choice.SetSelectedIndex(slices.Index(limits, value))
	choice.OnChanged = func(string) {
		limit := limits[choice.SelectedIndex()]
		n.keep(func(s *app.Settings) { set(s, limit) })
	}
	return choice
}

// proxy chooses the way to the network. An address is taken when it is whole.
func (n *network) proxy() fyne.CanvasObject {
	ways := []string{proxySystem, proxyDirect, proxyOther}
	choice := widget.NewSelect([]string{say("network.proxy.system"), say("network.proxy.direct"), say("network.proxy.other")}, nil)
	address := newField(say("network.proxy.example"))
	use := push(say("network.use"), "check", func() {
		n.keep(func(s *app.Settings) { s.Proxy = address.Text })
	})
	address.OnSubmitted = func(string) { use.press() }
	own := rowFill(gap2, 0, address, use)
	chosen := n.settings.Proxy
	if chosen != proxySystem && chosen != proxyDirect {
		address.SetText(chosen)
		chosen = proxyOther
	}
	choice.SetSelectedIndex(slices.Index(ways, chosen))
	all := stack(gap2, setting(say("network.proxy"), choice), own)
	setVisible(own, chosen == proxyOther)
	choice.OnChanged = func(string) {
		way := ways[choice.SelectedIndex()]
		setVisible(own, way == proxyOther)
		all.Refresh()
		if way == proxyOther {
			n.window.Canvas().Focus(address)
			return
		}
		n.keep(func(s *app.Settings) { s.Proxy = way })
	}
	return all
}

// certificates takes a file of certificates that are trusted beside the system's.
func (n *network) certificates() fyne.CanvasObject {
	file := newField(say("network.ca.none"))
	file.SetText(n.settings.CAFile)
	take := func(path string) {
		n.keep(func(s *app.Settings) { s.CAFile = n.expand(path) })
	}
	file.OnSubmitted = take
	pick := push(say("pick.choose"), "files", func() {
		n.picker.File(n.sc, say("network.ca"), n.home, func(path string) {
			file.SetText(path)
			take(path)
		})
	})
	clearIt := quiet(say("network.ca.clear"), "remove", func() {
		file.SetText("")
		take("")
	})
	return stack(gap1+2, labelled(say("network.ca"), rowFill(gap2, 0, file, pick, clearIt)), small(say("network.ca.note")))
}
