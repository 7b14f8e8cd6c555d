package app

// What the tests of several places look at and stand in for: another process.

// LockFile takes a lock of a profile as another process would.
func LockFile(path string) (unlock func(), err error) { return tryLock(path, false) }

// PlaceDir is where this computer keeps what it knows of a place.
func (a *App) PlaceDir(id string) string { return a.placeDir(id) }

// NotePlace leaves what an interrupted change of the places leaves.
func (a *App) NotePlace(id string) error { return a.writePlaceNote(placeNote{Version: 1, ID: id}) }

// ForgetHead removes the head that is kept here.
func (a *App) ForgetHead() error { return removeFile(a.headPath()) }
