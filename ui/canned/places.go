package canned

import (
	"context"
	"maps"
	"slices"
	"time"

	"coffer/app"
)

// SignInAddress is where the canned sign-in sends the browser.
const SignInAddress = "https://accounts.example.org/o/oauth2/v2/auth?client_id=canned&state=canned"

// Fingerprint is that of the canned server, and Other that of somebody in its place.
const (
	Fingerprint = "SHA256:iKwtZ0UVyFZ0bG5cVjD8nR1tYq2m3xE7sLw9aHc4BdU"
	Other       = "SHA256:Qm9vb29vb3RoaXNpc2Fub3RoZXJrZXlub3R0aGVvbmU"
)

// An Answer is what a place says when somebody tries to reach it.
type Answer struct {
	Info app.PlaceInfo
	Err  error
}

// A Tried is what somebody gave to reach a place, with the secrets in the open.
type Tried struct {
	ID, Dest string
	Options  map[string]string
	Secrets  map[string]string
}

// Known is what a canned Coffer knows of places.
type Known struct {
	Kinds   []app.PlaceKind
	Answers []Answer // to Connect, SignIn and ChangePlace in turn; the last one stays
	Mine    []app.Place
	MineErr error
	AddErr  error
	DropErr error // of RemovePlace and Disconnect
	Trial   app.PlaceTest
	TestErr error
	Copying []app.Progress
	CopyEnd app.CopySummary
	CopyErr error
	Trash   int // folders in the trash

	// What was asked for.
	Tried        []Tried
	Added        []string
	Removed      []string
	Disconnected []string
	Copied       [][2]string
}

// UsualKinds are the kinds of places of a computer with Linux.
func UsualKinds() []app.PlaceKind {
	field := func(name string) app.PlaceField { return app.PlaceField{Name: name} }
	maybe := func(f app.PlaceField) app.PlaceField { f.Optional = true; return f }
	secret := func(name string) app.PlaceField { return app.PlaceField{Name: name, Secret: true} }
	file := func(f app.PlaceField) app.PlaceField { f.File = true; return f }
	network := []app.PlaceField{maybe(field("pin")), maybe(field("plain"))}
	return []app.PlaceKind{
		{Scheme: "folder", Fields: []app.PlaceField{field("address")}},
		{Scheme: "drive", SignIn: true, Fields: []app.PlaceField{maybe(field("folder")), maybe(file(secret("client"))), maybe(file(secret("token")))}},
		{Scheme: "icloud", Missing: "no-icloud", Fields: []app.PlaceField{maybe(field("folder"))}},
		{Scheme: "s3", Fields: append([]app.PlaceField{
			field("address"), field("access-key"), secret("secret-key"), maybe(field("region")), maybe(field("lock-days")),
		}, network...)},
		{Scheme: "webdav", Fields: append([]app.PlaceField{field("address"), maybe(field("user")), maybe(secret("password"))}, network...)},
		{Scheme: "sftp", Fields: []app.PlaceField{
			field("address"), maybe(secret("password")), maybe(file(field("key-file"))), maybe(secret("key-passphrase")), maybe(field("host-key")),
		}},
		{Scheme: "rclone", Fields: []app.PlaceField{field("remote"), maybe(file(field("config-file")))}},
	}
}

// Missing returns the usual kinds, one of which cannot be used for a reason.
func Missing(scheme, why string) []app.PlaceKind {
	kinds := UsualKinds()
	for i := range kinds {
		if kinds[i].Scheme == scheme {
			kinds[i].Missing = why
		}
	}
	return kinds
}

// Drive is Google Drive of Ann, after she signed in.
func Drive() app.PlaceInfo {
	return app.PlaceInfo{
		Kind: "drive", Dest: "drive:Coffer Backups", Writable: true, Free: 812e9, Total: 1000e9, Account: "ann@example.org",
		Promises: []app.Promise{
			{Name: app.PromiseResumes, Kept: app.PromiseKept},
			{Name: app.PromiseChecksum, Kept: app.PromiseKept},
			{Name: app.PromiseListed, Kept: app.PromiseNot},
			{Name: app.PromiseFirst, Kept: app.PromiseNot},
			{Name: app.PromiseVersions, Kept: app.PromiseUnknown},
		},
	}
}

// Server is a place that Ann reaches with SFTP.
func Server() app.PlaceInfo {
	return app.PlaceInfo{
		Kind: "sftp", Dest: "sftp://ann@nas.example.org/~/coffer", Exists: true, Writable: true, Free: 2.1e12, Total: 4e12, Server: "OpenSSH_10.0",
		Promises: []app.Promise{{Name: app.PromiseFirst, Kept: app.PromiseKept}, {Name: app.PromiseListed, Kept: app.PromiseKept}, {Name: app.PromiseVersions, Kept: app.PromiseNot}},
	}
}

// TwoPlaces is a computer that backs up to a disk and to Google Drive.
func TwoPlaces() *Coffer {
	c := Safe()
	c.Mine = []app.Place{disk(), drive()}
	return c
}

func disk() app.Place {
	return app.Place{
		ID: "0a1b2c3d", Dest: place, Kind: "folder", AddedAt: Now.AddDate(-1, 0, 0), LastBackup: Now.Add(-28 * time.Minute),
		Free: 590e9, Total: 1000e9, Stored: 212e9, Grows: 400e6, Enough: Now.AddDate(4, 0, 0), State: app.PlaceSafe, Selected: true,
	}
}

func drive() app.Place {
	return app.Place{
		ID: "4e5f6a7b", Dest: "drive:Coffer Backups", Kind: "drive", Account: "ann@example.org", AddedAt: Now.AddDate(0, -3, 0),
		LastBackup: Now.Add(-20 * time.Minute), Free: 18e9, Total: 200e9, Stored: 180e9, Grows: 400e6,
		Enough: Now.AddDate(0, 1, 14), State: app.PlaceSafe,
	}
}

// Troubled is a computer with a place of each state that is not well.
func Troubled() *Coffer {
	c := TwoPlaces()
	c.Mine[0].State, c.Mine[0].LastBackup = app.PlaceLate, Now.AddDate(0, 0, -6)
	c.Mine[1].State = app.PlaceTrouble
	c.Mine[1].Trouble = app.Failure{Code: app.CodePlaceSignIn, Args: map[string]string{"place": "drive:Coffer Backups", "account": "ann@example.org"}}
	server := app.Place{
		ID: "8c9d0e1f", Dest: "sftp://ann@nas.example.org/~/coffer", Kind: "sftp", AddedAt: Now.AddDate(0, -1, 0), State: app.PlaceTrouble,
		Options: map[string]string{"host-key": Fingerprint}, LastBackup: Now.AddDate(0, 0, -1), Free: -1, Total: -1, Stored: 205e9,
		Trouble: app.Failure{Code: app.CodePlaceHostKey, Args: map[string]string{"place": "sftp://ann@nas.example.org/~/coffer", "host": "nas.example.org", "known": Fingerprint, "offered": Other}},
	}
	bucket := app.Place{
		ID: "2a3b4c5d", Dest: "s3:https://s3.example.org/ann-backups", Kind: "s3", Options: map[string]string{"access-key": "AKIAIOSFODNN7EXAMPLE", "lock-days": "30"},
		AddedAt: Now.AddDate(0, 0, -1), Free: -1, Total: -1, Stored: -1, State: app.PlaceNever,
	}
	c.Mine = append(c.Mine, server, bucket)
	c.Home.Attention = []app.Attention{
		{Code: app.AttentionPlaceLate, Args: map[string]string{"place": place, "days": "6"}},
		{Code: app.AttentionPlaceTrouble, Args: map[string]string{"place": "drive:Coffer Backups", "code": string(app.CodePlaceSignIn), "account": "ann@example.org"}},
		{Code: app.AttentionSpace, Args: map[string]string{"place": "drive:Coffer Backups", "days": "23"}},
	}
	return c
}

// GoodTrial is a test of a place in which everything worked.
func GoodTrial() app.PlaceTest {
	t := app.PlaceTest{Up: 4.8e6, Down: 21e6, Seconds: 11, Promises: Drive().Promises}
	for _, name := range []string{"write", "read", "ranges", "list", "overwrite", "delete", "large", "speed"} {
		t.Checks = append(t.Checks, app.PlaceCheck{Name: name, OK: true, Skipped: name == "overwrite", Seconds: 1})
	}
	return t
}

// HalfCopied is the progress of a copy.
func HalfCopied() []app.Progress {
	return []app.Progress{{
		Phase: app.PhaseUploading, Bytes: 84e9, TotalBytes: 212e9, Scanned: true, Rate: 4.6e6, Left: 7 * time.Hour, LeftMax: 9 * time.Hour,
	}}
}

func (c *Coffer) tried(id string, given app.Connection) (app.PlaceInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := Tried{ID: id, Dest: given.Dest, Options: maps.Clone(given.Options), Secrets: map[string]string{}}
	for name, s := range given.Secrets {
		s.Expose(func(b []byte) { t.Secrets[name] = string(b) })
		s.Wipe()
	}
	c.Tried = append(c.Tried, t)
	if len(c.Answers) == 0 {
		return app.PlaceInfo{}, Trouble{Code: app.CodePlaceOffline}
	}
	a := c.Answers[0]
	if len(c.Answers) > 1 {
		c.Answers = c.Answers[1:]
	}
	return a.Info, a.Err
}

func (c *Coffer) PlaceKinds() []app.PlaceKind { return c.Kinds }

func (c *Coffer) Connect(ctx context.Context, given app.Connection) (app.PlaceInfo, error) {
	if err := c.wait(ctx, app.NewGate()); err != nil {
		return app.PlaceInfo{}, err
	}
	return c.tried("", given)
}

func (c *Coffer) SignIn(ctx context.Context, given app.Connection, browser func(address string) error) (app.PlaceInfo, error) {
	if err := browser(SignInAddress); err != nil {
		return app.PlaceInfo{}, err
	}
	return c.Connect(ctx, given)
}

func (c *Coffer) ChangePlace(ctx context.Context, id string, given app.Connection) (app.PlaceInfo, error) {
	if err := c.wait(ctx, app.NewGate()); err != nil {
		return app.PlaceInfo{}, err
	}
	return c.tried(id, given)
}

func (c *Coffer) Places() ([]app.Place, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.Mine), c.MineErr
}

func (c *Coffer) AddPlace(_ context.Context, dest string, _ bool) (app.Place, []app.Notice, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Added = append(c.Added, dest)
	if c.AddErr != nil {
		return app.Place{}, nil, c.AddErr
	}
	p := app.Place{ID: "77777777", Dest: dest, Kind: "folder", Free: -1, Total: -1, Stored: -1, State: app.PlaceNever}
	c.Mine = append(c.Mine, p)
	return p, nil, nil
}

func (c *Coffer) RemovePlace(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Removed = append(c.Removed, id)
	if c.DropErr == nil {
		c.Mine = slices.DeleteFunc(c.Mine, func(p app.Place) bool { return p.ID == id })
	}
	return c.DropErr
}

func (c *Coffer) Disconnect(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Disconnected = append(c.Disconnected, id)
	return c.DropErr
}

func (c *Coffer) RestoreFolder(_ context.Context, id string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.Mine {
		if c.Mine[i].ID == id && c.Trash > 0 {
			c.Mine[i].State, c.Mine[i].Trouble = app.PlaceSafe, app.Failure{}
		}
	}
	return c.Trash, nil
}

func (c *Coffer) TestPlace(ctx context.Context, dest string, step func(app.PlaceCheck)) (app.PlaceTest, error) {
	half := len(c.Trial.Checks) / 2
	for _, check := range c.Trial.Checks[:half] {
		step(check)
	}
	if err := c.wait(ctx, app.NewGate()); err != nil {
		return app.PlaceTest{}, err
	}
	for _, check := range c.Trial.Checks[half:] {
		step(check)
	}
	t := c.Trial
	t.Dest = dest
	return t, c.TestErr
}

func (c *Coffer) CopyPlace(ctx context.Context, from, to string, o app.CopyOptions) (app.CopySummary, error) {
	c.mu.Lock()
	c.Copied = append(c.Copied, [2]string{from, to})
	c.mu.Unlock()
	for _, p := range c.Copying {
		o.Progress(p)
	}
	if err := c.wait(ctx, o.Gate); err != nil {
		return app.CopySummary{}, err
	}
	return c.CopyEnd, c.CopyErr
}
