// Package ui is the window of Coffer.
//
//   - A screen is one view, in a file named after what the user is doing there. It takes a
//     small interface that it declares itself, and plain values; it knows no other screen.
//   - A wizard is a row of screens, one question each, with Back always there: first run
//     (setup/...) and getting files back (restore/...).
//   - Connecting is the row of screens that leads to a place: which kind, how it is reached,
//     signing in, whom to trust, what is there. Both wizards and the screen Where use it. What
//     people typed is a draft until package app has taken it.
//   - A task is work off the UI goroutine: task.go has the only go statement and the only
//     fyne.Do of the package. Everything else is sequential code on the UI goroutine.
//   - A presenter turns the progress of a task into states of a screen, at most ten a second.
//   - A say key names a text in assets/translations; no text for people stands in code.
//   - A tone is how a line is meant: plain, good, careful, bad. It has an icon as well as a
//     colour, since a colour alone says nothing to many people.
//
// Everything works with the keyboard: Tab and Shift-Tab move, Space or Enter press, Escape
// goes back, arrow keys choose within a group.
package ui
