package ui

import (
	"fyne.io/fyne/v2"

	"coffer/app"
)

// vaultAlarm reports whether a failure means that a vault may not be what it says. There is
// no way on from such a page: nothing that people could type here would make it sure.
func vaultAlarm(code app.Code) bool {
	switch code {
	case app.CodeVaultIdentity, app.CodeVaultSecondSigner, app.CodeVaultOlder, app.CodeVaultRolledBack, app.CodeVaultEvidence:
		return true
	}
	return false
}

// A meeting is how well a vault is known that an alarm is about.
type meeting string

const (
	firstMeeting meeting = "new"   // nothing is in it yet
	knownVault   meeting = "known" // it keeps the password of the backup
)

// alarmTitle is what is the case.
func alarmTitle(code app.Code, m meeting) string {
	return say("vaultalarm." + string(m) + "." + string(code) + ".title")
}

// vaultAlarmBody is what an alarm says below its title: what may have happened, that nothing
// was sent, what is known, and what to do.
func vaultAlarmBody(code app.Code, m meeting, address, known string) []fyne.CanvasObject {
	body := []fyne.CanvasObject{
		plain(say("vaultalarm.why." + string(code))),
		newNotice(toneBad, say("alarm.sent.title"), say("vaultalarm.sent."+string(m)), nil).box,
	}
	if address != "" {
		body = append(body, fact("server", say("vault.fact.address"), address))
	}
	if known != "" {
		body = append(body, fingerprint(say("vaultalarm.fingerprint"), known))
	}
	do := "vaultalarm.do." + string(m)
	if code == app.CodeVaultRolledBack && m == knownVault {
		do = "vaultalarm.do.rolled-back" // it ends by itself when its owner stands by it
	}
	return append(body, newNotice(tonePlain, say("vaultalarm.do.title"), say(do), nil).box)
}

// alarm turns a page whose work met such a vault into its alarm. There is only Back.
func (w *wizardPage) alarm(f app.Failure, m meeting, address, known string) {
	w.hint.clear()
	w.title.set(alarmTitle(f.Code, m))
	w.fail(stack(gap4, vaultAlarmBody(f.Code, m, address, known)...))
	if w.next != nil {
		w.next.Hide()
	}
	if w.lead != nil {
		w.lead.Hide()
	}
	if w.back != nil {
		w.window.Canvas().Focus(w.back)
	}
}

// vaultProblem says why work with a vault failed: an alarm takes the page, all else stands
// above the buttons.
func (d *desk) vaultProblem(w *wizardPage, err error, m meeting, address, known string) {
	f := d.explain(err)
	if vaultAlarm(f.Code) {
		w.alarm(f, m, address, known)
		d.log.Warn("alarm shown", "code", string(f.Code))
		return
	}
	d.problem(w.hint, err)
}
