package app_test

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/internal/signin"
	"coffer/vault/server/admit/oidctest"
	"coffer/vault/server/node"
)

// A vaultServer is a real vault on a network, on this computer.
type vaultServer struct {
	t    *testing.T
	dir  string
	link string
	stop func()
}

// newServer makes and starts a vault. It is stopped when the test ends.
func newServer(t *testing.T, change func(*node.Config)) *vaultServer {
	t.Helper()
	// The port is free now, and a moment later most likely too: the link needs it before the
	// vault listens.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	must(t, l.Close())
	config := node.DefaultConfig()
	config.Name, config.Addresses, config.Listen, config.Waits = "Ann's club", []string{address}, []string{address}, nil
	// A test does in a second what people do in a day.
	config.Limits = node.Limits{Burst: 10_000, PerMinute: 10_000, RecordBurst: 10_000, RecordPerMinute: 10_000}
	if change != nil {
		change(&config)
	}
	s := &vaultServer{t: t, dir: filepath.Join(t.TempDir(), "v"), stop: func() {}}
	made, err := node.Init(t.Context(), node.InitOptions{Dir: s.dir, Config: config}, node.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.link = made.Link
	t.Cleanup(func() { s.stop() })
	s.start()
	return s
}

func (s *vaultServer) start() {
	s.t.Helper()
	n, err := node.Open(s.t.Context(), s.dir, node.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Serve(ctx) }()
	s.stop = func() {
		s.stop = func() {}
		cancel()
		if err := errors.Join(<-done, n.Close()); err != nil {
			s.t.Errorf("vault: %v", err)
		}
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(30 * time.Second); ; {
		conn, err := net.Dial("tcp", n.Addresses()[0])
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-end:
			s.t.Fatal("the vault does not listen")
		}
	}
}

func (s *vaultServer) invitation() string {
	s.t.Helper()
	a, err := node.Reach(s.t.Context(), s.dir, node.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Close()
	link, err := a.Invite(s.t.Context(), time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return link
}

func (s *vaultServer) setup(o *app.SetupOptions) { o.Vault, o.SheetProven = s.link, true }

func mustStatus(t *testing.T, c *apptest.Computer) app.VaultStatus {
	t.Helper()
	status, err := c.App.VaultStatus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// passwordWay is how the password of the only backup in the world's place can be used.
func passwordWay(t *testing.T, w *apptest.World, c *apptest.Computer) app.WayIn {
	t.Helper()
	ways, err := c.App.WaysIn(t.Context(), w.Place, "")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(ways, func(way app.WayIn) bool { return way.Kind == app.LockPassword })
	if i < 0 {
		t.Fatalf("no password: %+v", ways)
	}
	return ways[i]
}

func open(t *testing.T, w *apptest.World, c *apptest.Computer, text string) (app.OpenResult, error) {
	t.Helper()
	return c.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockPassword, Secret: password(text)})
}

// A backup whose password is in a vault on a network: set up, opened elsewhere, and what is
// said when the vault is gone.
func TestAVaultOnANetwork(t *testing.T) {
	s := newServer(t, nil)
	w := apptest.New(t)
	ann, bob := w.Computer("ANN-LAPTOP"), w.Computer("BOB-PC")
	d, err := ann.App.InspectVault(t.Context(), s.link+"\n")
	if err != nil || d.Name != "Ann's club" || d.Hardware || d.Enforced != app.EnforcedByProgram || d.Tries != 10 || d.Known || len(d.Fingerprint) != 24 {
		t.Fatalf("%+v, %v", d, err)
	}
	_, err = ann.App.InspectVault(t.Context(), s.link[:len(s.link)-3])
	mustExplain(t, err, app.CodeVaultLink)
	made := setup(t, w, ann, s.setup)
	if got := codes(made.Notices); !slices.Contains(got, app.NoticeVaultServer) || !slices.Contains(got, app.NoticeVaultSoftware) || slices.Contains(got, app.NoticeVaultHere) {
		t.Errorf("notices %v", got)
	}
	mustBackup(t, ann)
	status := mustStatus(t, ann)
	if status.Kind != app.VaultServer || status.Name != "Ann's club" || !status.Reachable || status.Left != 10 || status.Anchor.Snapshots != 1 || status.Refusal.Code != "" {
		t.Errorf("%+v", status)
	}
	if way := passwordWay(t, w, bob); way.VaultKind != app.VaultServer || !way.Usable || way.VaultHere || way.VaultName != "Ann's club" || way.TriesLeft != 10 {
		t.Errorf("%+v", way)
	}
	_, err = open(t, w, bob, "not this one either")
	if f := mustExplain(t, err, app.CodeWrongPassword); f.Args["tries"] != "9" {
		t.Errorf("%+v", f)
	}
	if status := mustStatus(t, ann); status.Left != 9 || !warned(status, app.VaultWarnStrange) {
		t.Errorf("%+v", status)
	}
	if _, err := open(t, w, bob, apptest.Password); err != nil {
		t.Fatal(err)
	}
	mustRestore(t, bob, app.RestoreOptions{Verify: true})
	must(t, bob.App.ChangePassword(t.Context(), password("seven green boats sail home")))
	s.stop()
	testVaultGone(t, w, ann)
}

func warned(s app.VaultStatus, code app.VaultWarningCode) bool {
	return slices.ContainsFunc(s.Warnings, func(w app.VaultWarning) bool { return w.Code == code })
}

// testVaultGone: a vault that does not answer costs a backup nothing, and uses no try.
func testVaultGone(t *testing.T, w *apptest.World, ann *apptest.Computer) {
	mustBackup(t, ann)
	if status := mustStatus(t, ann); status.Reachable || status.Refusal.Code != app.CodeVaultOffline || status.Name != "Ann's club" || status.Left != -1 {
		t.Errorf("%+v", status)
	}
	eve := w.Computer("EVE")
	if way := passwordWay(t, w, eve); way.Refusal.Code != app.CodeVaultOffline || way.TriesLeft != -1 {
		t.Errorf("%+v", way)
	}
	_, err := open(t, w, eve, "seven green boats sail home")
	mustExplain(t, err, app.CodeVaultOffline)
}

// To a server, to another, and back: nothing is uploaded but heads, and each vault that was
// left destroys its record.
func TestMovingBetweenVaults(t *testing.T) {
	one, two := newServer(t, nil), newServer(t, nil)
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	setup(t, w, ann, func(o *app.SetupOptions) { o.SheetProven = true })
	mustBackup(t, ann)
	before := append(w.Objects("pack-"), append(w.Objects("snap-"), w.Objects("index-")...)...)
	_, err := ann.App.MoveVault(t.Context(), app.MoveOptions{Link: one.link, Password: password("not this one either")})
	mustExplain(t, err, app.CodeOtherPassword)
	_, err = ann.App.MoveVault(t.Context(), app.MoveOptions{Password: password(apptest.Password)})
	mustExplain(t, err, app.CodeVaultSame)

	report := mustMove(t, ann, one.link)
	if n := len(w.Objects("")); n != len(before)+2 { // README.txt and the head
		t.Errorf("%d objects after the move, %d before", n, len(before)+2)
	}
	if report.Receipt == nil || report.Waiting || report.From.Kind != app.VaultEmbedded || report.To.Kind != app.VaultServer || report.To.Name != "Ann's club" {
		t.Errorf("%+v", report)
	}
	if _, err := open(t, w, w.Computer("BOB-PC"), apptest.Password); err != nil {
		t.Fatalf("the new vault: %v", err)
	}
	one.stop()
	report = mustMove(t, ann, two.link)
	if report.Receipt != nil || !report.Waiting || !slices.Contains(codes(report.Notices), app.NoticeVaultWaiting) {
		t.Errorf("%+v", report)
	}
	if status := mustStatus(t, ann); !warned(status, app.VaultWarnNotDestroyed) || len(status.LeftBehind) != 2 {
		t.Errorf("%+v", status)
	}
	one.start()
	mustBackup(t, ann) // asks it again
	if status := mustStatus(t, ann); warned(status, app.VaultWarnNotDestroyed) || status.LeftBehind[0].Receipt == nil {
		t.Errorf("%+v", status)
	}
	report = mustMove(t, ann, "")
	if report.Receipt == nil || report.To.Kind != app.VaultEmbedded || !slices.Contains(codes(report.Notices), app.NoticeVaultHere) {
		t.Errorf("%+v", report)
	}
	for _, name := range before {
		if !slices.Contains(w.Objects(""), name) {
			t.Errorf("%s is gone", name)
		}
	}
	if n := len(w.Objects("head-")); n != 1 {
		t.Errorf("%d heads", n)
	}
	if status := mustStatus(t, ann); status.Left != 10 || !status.Here || status.Anchor.Snapshots != 0 {
		t.Errorf("%+v", status)
	}
	mustBackup(t, ann)
	if status := mustStatus(t, ann); status.Anchor.Snapshots != 1 {
		t.Errorf("%+v", status.Anchor)
	}
}

func mustMove(t *testing.T, c *apptest.Computer, link string) app.MoveReport {
	t.Helper()
	report, err := c.App.MoveVault(t.Context(), app.MoveOptions{Link: link, Password: password(apptest.Password)})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// A move that is stopped anywhere: the password opens the backup all the time, and the same
// call again comes to the end.
func TestAMoveThatIsStoppedGoesOn(t *testing.T) {
	s := newServer(t, nil)
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	setup(t, w, ann, func(o *app.SetupOptions) { o.SheetProven = true })
	stopped := 0
	for n := 20; ; n += n / 2 {
		ctx := endsAfter(t, n)
		report, err := ann.App.MoveVault(ctx, app.MoveOptions{Link: s.link, Password: password(apptest.Password)})
		if err == nil {
			if report.Waiting {
				report, err = ann.App.MoveVault(t.Context(), app.MoveOptions{Link: s.link, Password: password(apptest.Password)})
			}
			if err != nil || report.Receipt == nil {
				t.Errorf("%+v, %v", report, err)
			}
			break
		}
		if app.Explain(err).Code == app.CodeVaultSame {
			break // all of it was done before it was stopped
		}
		stopped++
		ann.Restart()
		if way := passwordWay(t, w, ann); way.VaultHere {
			must(t, ann.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockPassword, Secret: password(apptest.Password)}))
		} else if _, err := open(t, w, w.Computer("BOB-"+hex.EncodeToString([]byte{byte(stopped)})), apptest.Password); err != nil {
			t.Fatalf("stopped at %d: %v", n, err)
		}
		if n > 1<<20 {
			t.Fatal("it never comes to an end")
		}
	}
	if stopped < 3 {
		t.Errorf("stopped %d times only", stopped)
	}
	mustBackup(t, ann)
	status := mustStatus(t, ann)
	if status.Kind != app.VaultServer || status.Left != 10 || warned(status, app.VaultWarnNotDestroyed) || len(status.LeftBehind) == 0 {
		t.Errorf("after %d stops: %+v", stopped, status)
	}
	if _, err := open(t, w, w.Computer("EVE"), apptest.Password); err != nil {
		t.Error(err)
	}
}

func TestLeavingAVault(t *testing.T) {
	s := newServer(t, nil)
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	made := setup(t, w, ann, func(o *app.SetupOptions) { o.Vault = s.link })
	_, err := ann.App.LeaveVault(t.Context())
	mustExplain(t, err, app.CodeNoOtherWay)
	must(t, ann.App.VerifyRecovery(t.Context(), digits(made.Key)))
	must(t, ann.App.MarkSheetProven())
	report, err := ann.App.LeaveVault(t.Context())
	if err != nil || report.Receipt == nil || report.From.Name != "Ann's club" {
		t.Fatalf("%+v, %v", report, err)
	}
	if len(report.Receipt.Signature) != 128 || len(report.Receipt.Key) != 64 {
		t.Errorf("%+v", report.Receipt)
	}
	_, err = ann.App.LeaveVault(t.Context())
	mustExplain(t, err, app.CodeNoSuchWay)
	_, err = ann.App.MoveVault(t.Context(), app.MoveOptions{Password: password(apptest.Password)})
	mustExplain(t, err, app.CodeNoSuchWay)
	_, err = open(t, w, w.Computer("BOB-PC"), apptest.Password)
	mustExplain(t, err, app.CodeNoSuchWay)
	mustBackup(t, ann)
	must(t, ann.App.SetPassword(t.Context(), app.PasswordOptions{Password: password(apptest.Password), Vault: s.link}))
	if _, err := open(t, w, w.Computer("EVE"), apptest.Password); err != nil {
		t.Error(err)
	}
}

// A place that shows an old state to a computer that has never seen it: the vault knows
// better. So does it on the computer that goes on.
func TestAnOldPlaceIsNoticedThroughTheVault(t *testing.T) {
	for name, server := range map[string]bool{"embedded": false, "server": true} {
		t.Run(name, func(t *testing.T) {
			w := apptest.New(t)
			ann, bob := w.Computer("ANN-LAPTOP"), w.Computer("BOB-PC")
			bob.Config.VaultDir = ann.Config.VaultDir // two profiles of one user
			bob.Restart()
			setup(t, w, ann, func(o *app.SetupOptions) {
				if server {
					o.Vault = newServer(t, nil).link
				}
			})
			mustBackup(t, ann)
			old := w.Objects("snap-")
			writeFile(t, filepath.Join(ann.Docs, "new.txt"), "new")
			mustBackup(t, ann)
			for _, object := range w.Objects("snap-") {
				if !slices.Contains(old, object) {
					must(t, os.Remove(filepath.Join(w.Place, object)))
				}
			}
			_, err := open(t, w, bob, apptest.Password)
			if f := mustExplain(t, err, app.CodeRollback); f.Args["computer"] != "ANN-LAPTOP" || f.Args["until"] == "" {
				t.Errorf("%+v", f)
			}
			got, err := bob.App.Open(t.Context(), app.OpenOptions{
				From: w.Place, Lock: app.LockPassword, Secret: password(apptest.Password), Sources: []string{bob.Docs}, Old: true,
			})
			if err != nil || !slices.Contains(codes(got.Notices), app.NoticeOldPlace) {
				t.Fatalf("%+v, %v", got, err)
			}
			summary, err := bob.App.Backup(t.Context(), app.BackupOptions{})
			mustExplain(t, err, app.CodeRollback)
			if summary.Snapshot == "" {
				t.Error("the backup was not made")
			}
			mustBackup(t, bob) // the alarm was raised
		})
	}
}

// The operator puts yesterday's store back: tries would come back with it.
func TestAVaultThatWasPutBackIsAnAlarm(t *testing.T) {
	s := newServer(t, nil)
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	setup(t, w, ann, s.setup)
	s.stop()
	db := filepath.Join(s.dir, "vault.db")
	yesterday, err := os.ReadFile(db)
	must(t, err)
	s.start()
	_, err = open(t, w, w.Computer("EVE"), "not this one either")
	mustExplain(t, err, app.CodeWrongPassword)
	mustBackup(t, ann)
	s.stop()
	must(t, os.WriteFile(db, yesterday, 0o600))
	s.start()
	if status := mustStatus(t, ann); status.Refusal.Code != app.CodeVaultRolledBack {
		t.Errorf("%+v", status)
	}
	err = ann.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockPassword, Secret: password(apptest.Password)})
	mustExplain(t, err, app.CodeVaultRolledBack)
	summary, err := ann.App.Backup(t.Context(), app.BackupOptions{})
	mustExplain(t, err, app.CodeVaultRolledBack)
	if summary.Snapshot == "" {
		t.Error("the backup was not made")
	}
}

// Another vault on the address of the link: nothing is sent, the backup is made, and says so.
func TestAnotherVaultInItsPlaceIsAnAlarm(t *testing.T) {
	s := newServer(t, nil)
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	setup(t, w, ann, s.setup)
	s.stop()
	address := strings.TrimPrefix(s.link[:strings.IndexByte(s.link, '#')], "coffer-vault://")
	newServer(t, func(c *node.Config) { c.Addresses, c.Listen = []string{address}, []string{address} })
	if status := mustStatus(t, ann); status.Refusal.Code != app.CodeVaultIdentity {
		t.Errorf("%+v", status)
	}
	err := ann.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockPassword, Secret: password(apptest.Password)})
	mustExplain(t, err, app.CodeVaultIdentity)
	summary, err := ann.App.Backup(t.Context(), app.BackupOptions{})
	mustExplain(t, err, app.CodeVaultIdentity)
	if summary.Snapshot == "" {
		t.Error("the backup was not made")
	}
}

func TestVaultsThatDoNotTakeEverybody(t *testing.T) {
	s := newServer(t, func(c *node.Config) { c.Register = "invite" })
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	o := app.SetupOptions{To: w.Place, Sources: []string{ann.Docs}, Lock: app.LockPassword, Secret: password(apptest.Password), Vault: s.link}
	_, err := ann.App.Setup(t.Context(), o)
	mustExplain(t, err, app.CodeVaultInvitation)
	o.Vault = s.invitation()
	if d, err := ann.App.InspectVault(t.Context(), o.Vault); err != nil || !d.HasInvitation || strings.Contains(d.Link, "invite") {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err = ann.App.Setup(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, file := range filesBelow(t, ann.Home) {
		data, err := os.ReadFile(file)
		must(t, err)
		if strings.Contains(string(data), "invite=") {
			t.Errorf("%s has the invitation", file)
		}
	}
	bob := w.Computer("BOB-PC")
	o.To, o.Sources = filepath.Join(w.Dir, "other"), []string{bob.Docs}
	o.Create = true
	_, err = bob.App.Setup(t.Context(), o)
	mustExplain(t, err, app.CodeVaultInvitationBad)
}

func filesBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no files below %s", dir)
	}
	return files
}

func TestAVaultThatWantsASignIn(t *testing.T) {
	issuer := oidctest.Start(t)
	s := newServer(t, func(c *node.Config) {
		c.Register, c.OIDC = "oidc", node.OIDC{Issuer: issuer.Issuer(), ClientID: issuer.ClientID()}
	})
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	ann.Config.IDToken = func(ctx context.Context, r app.IDTokenRequest, browser func(string) error) (string, error) {
		return signin.IDToken(ctx, signin.Request{Issuer: r.Issuer, ClientID: r.ClientID, Nonce: r.Nonce}, browser)
	}
	ann.Restart()
	o := app.SetupOptions{To: w.Place, Sources: []string{ann.Docs}, Lock: app.LockPassword, Secret: password(apptest.Password), Vault: s.link}
	_, err := ann.App.Setup(t.Context(), o)
	mustExplain(t, err, app.CodeVaultSignIn)
	o.Browser = func(string) error { return errors.New("no browser") }
	_, err = ann.App.Setup(t.Context(), o)
	mustExplain(t, err, app.CodeVaultSignInFailed)
	asked := 0
	o.Browser = func(address string) error {
		asked++
		issuer.SignIn(t, address, "ann")
		return nil
	}
	if _, err := ann.App.Setup(t.Context(), o); err != nil || asked != 1 {
		t.Fatalf("asked %d times: %v", asked, err)
	}
	if status := mustStatus(t, ann); status.Left != 10 {
		t.Errorf("%+v", status)
	}
}

// A vault that has destroyed its key says so, and not that the backup is damaged: the anchor
// went with the key.
func TestADestroyedRecordHasNoAnchor(t *testing.T) {
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	ann.Config.VaultTries = 1
	ann.Restart()
	setup(t, w, ann, nil)
	mustBackup(t, ann)
	err := ann.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockPassword, Secret: password("not this one either")})
	mustExplain(t, err, app.CodeKeyDestroyed)
	if status := mustStatus(t, ann); status.State != "destroyed" || status.Left != 0 {
		t.Errorf("%+v", status)
	}
	mustBackup(t, ann)
}
