package drive_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coffer/cloud"
	"coffer/cloud/drive"
	"coffer/cloud/drive/drivetest"
)

// TestErrorClasses: what Drive says, and what it means for us.
func TestErrorClasses(t *testing.T) {
	for _, c := range []struct {
		status int
		reason string
		class  error
		final  bool // the Store does not try again
	}{
		{400, "invalid", nil, true},
		{403, "userRateLimitExceeded", cloud.ErrLimit, false},
		{403, "rateLimitExceeded", cloud.ErrLimit, false},
		{403, "dailyLimitExceeded", cloud.ErrLimit, true},
		{403, "storageQuotaExceeded", cloud.ErrFull, true},
		{403, "activeItemCreationLimitExceeded", cloud.ErrFull, true},
		{403, "numChildrenInNonRootLimitExceeded", cloud.ErrFull, true},
		{403, "teamDriveFileLimitExceeded", cloud.ErrFull, true},
		{403, "insufficientFilePermissions", cloud.ErrDenied, true},
		{403, "appNotAuthorizedToFile", cloud.ErrDenied, true},
		{403, "domainPolicy", cloud.ErrDenied, true},
		{403, "", cloud.ErrDenied, true},
		{429, "rateLimitExceeded", cloud.ErrLimit, false},
		{500, "backendError", cloud.ErrOffline, false},
		{503, "", cloud.ErrOffline, false},
		{308, "", nil, true},
	} {
		t.Run(fmt.Sprint(c.status, c.reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := drivetest.New(t)
				d := mustOpen(t, config(t, f))
				data := content(1, 100)
				name := mustPut(t, d, data)
				f.Plan(drivetest.Fault{Op: drivetest.Delete, Kind: drivetest.Refuse, Status: c.status, Reason: c.reason, Times: 2})
				s := cloud.New(d, cloud.Options{})
				err := s.Delete(t.Context(), name)
				switch {
				case c.final && err == nil, !c.final && err != nil:
					t.Fatalf("delete: %v; final %v", err, c.final)
				case c.class != nil && c.final && !errors.Is(err, c.class):
					t.Fatalf("delete: %v, want %v", err, c.class)
				case c.final && f.Fired() != 1 || !c.final && f.Fired() != 2:
					t.Fatalf("%d requests", f.Fired())
				}
			})
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := drivetest.New(t)
		s := cloud.New(mustOpen(t, config(t, f)), cloud.Options{})
		f.Plan(drivetest.Fault{Op: drivetest.Small, Kind: drivetest.Refuse, Status: 503, RetryAfter: "90"})
		data := content(1, 100)
		began := time.Now()
		if err := s.Put(t.Context(), cloud.Name("pack", data), data); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 90*time.Second || waited > 100*time.Second {
			t.Fatalf("waited %v", waited)
		}
	})
}

// TestDailyLimit: ten minutes of nothing but "slow down" is the day's limit.
func TestDailyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := drivetest.New(t)
		d := mustOpen(t, config(t, f))
		early := mustPut(t, d, content(0, 100))
		f.Plan(drivetest.Fault{Op: drivetest.Small, Kind: drivetest.Refuse, Status: 403, Reason: "userRateLimitExceeded", Times: 14})
		data := content(1, 100)
		name := cloud.Name("pack", data)
		began := time.Now()
		for minute := range 13 {
			err := d.Put(t.Context(), name, cloud.Bytes(data))
			wantIs(t, "put", err, cloud.ErrLimit)
			var limit *cloud.LimitError
			if told := errors.As(err, &limit); told != (minute >= 10) {
				t.Fatalf("minute %d: %v", minute, err)
			}
			if limit != nil && !limit.Until.Equal(began.Add(24*time.Hour)) {
				t.Fatalf("until %v, began %v", limit.Until, began)
			}
			wantData(t, d, early, content(0, 100)) // reading goes on
			time.Sleep(time.Minute)
		}
		time.Sleep(24 * time.Hour)
		var limit *cloud.LimitError
		if err := d.Put(t.Context(), name, cloud.Bytes(data)); errors.As(err, &limit) {
			t.Fatalf("the next day one refusal is a day's limit: %v", err)
		}
		mustPut(t, d, data)
	})
}

func TestFullAccount(t *testing.T) {
	for _, late := range []bool{false, true} {
		f := drivetest.New(t)
		f.Limit, f.LateFull = 1<<20, late
		d := mustOpen(t, config(t, f))
		first := mustPut(t, d, content(1, 700<<10))
		second := content(2, 600<<10)
		name := cloud.Name("pack", second)
		wantIs(t, "put into a full account", d.Put(t.Context(), name, cloud.Bytes(second)), cloud.ErrFull)
		if len(f.Named(name)) != 0 {
			t.Fatal("it is there after all")
		}
		room, err := d.Capacity(t.Context())
		if err != nil || room != (cloud.Capacity{Free: 324 << 10, Total: 1 << 20}) {
			t.Fatalf("capacity %+v, %v", room, err)
		}
		wantData(t, d, first, content(1, 700<<10))
		if err := d.Delete(t.Context(), first); err != nil {
			t.Fatalf("delete in a full account: %v", err)
		}
		wantData(t, d, mustPut(t, d, second), second)
	}
}

func TestUnlimitedAccount(t *testing.T) {
	room, err := mustOpen(t, config(t, drivetest.New(t))).Capacity(t.Context())
	if err != nil || room != (cloud.Capacity{Free: -1, Total: -1}) {
		t.Fatalf("capacity %+v, %v", room, err)
	}
}

func TestTrashedFolder(t *testing.T) {
	f := drivetest.New(t)
	c := config(t, f)
	c.State = t.TempDir()
	d := mustOpen(t, c)
	one := mustPut(t, d, content(1, 100))
	folder := f.Named(drive.DefaultFolder)[0].ID
	f.Trash(folder, true)

	two := content(2, 300<<10)
	name := cloud.Name("pack", two)
	wantIs(t, "put under way", d.Put(t.Context(), name, cloud.Bytes(two)), cloud.ErrTrashed, cloud.ErrNoPlace)
	sent := f.Counts()[drivetest.Session]
	wantIs(t, "put once more", d.Put(t.Context(), cloud.Name("pack", content(3, 300<<10)), cloud.Bytes(content(3, 300<<10))), cloud.ErrTrashed)
	if f.Counts()[drivetest.Session] != sent {
		t.Fatal("more was sent into the trash")
	}
	wantData(t, d, one, content(1, 100)) // what is known can be read
	fresh := mustOpen(t, c)
	wantIs(t, "the next run", fresh.Put(t.Context(), name, cloud.Bytes(two)), cloud.ErrTrashed)
	wantIs(t, "list", listOnce(t, mustOpen(t, c)), cloud.ErrTrashed)
	if got := f.Counts()[drivetest.Create]; got != 1 {
		t.Fatalf("%d folders were made: a new one would hide the backups in the trash", got)
	}

	n, err := fresh.Restore(t.Context())
	if err != nil || n != 1 {
		t.Fatalf("restore: %d, %v", n, err)
	}
	wantData(t, fresh, one, content(1, 100))
	wantData(t, fresh, mustPut(t, fresh, two), two)
	if len(f.Named(name)) != 1 {
		t.Fatalf("%d files of one object", len(f.Named(name)))
	}
}

// TestTrashedObjects: what somebody threw away piece by piece comes back.
func TestTrashedObjects(t *testing.T) {
	f := drivetest.New(t)
	d := mustOpen(t, config(t, f))
	name := mustPut(t, d, content(1, 100))
	foreign := f.Add(f.Named(name)[0].Parent, "holiday.jpg", []byte("x"), 0)
	f.Trash(foreign, true)
	f.Trash(f.Named(name)[0].ID, true)
	fresh := mustOpen(t, config(t, f))
	_, err := fresh.Stat(t.Context(), name)
	wantIs(t, "stat", err, cloud.ErrNotFound)
	if n, err := fresh.Restore(t.Context()); err != nil || n != 1 {
		t.Fatalf("restore: %d, %v", n, err)
	}
	wantData(t, fresh, name, content(1, 100))
}

func TestFolderIsKnownByItsProperty(t *testing.T) {
	f := drivetest.New(t)
	c := config(t, f)
	wantIs(t, "no folder, and none wanted", listOnce(t, mustOpen(t, func() drive.Config { c := c; c.Create = false; return c }())), cloud.ErrNoPlace)
	name := mustPut(t, mustOpen(t, c), content(1, 100))
	c.Folder = `Tom's \ "other" folder`
	other := mustPut(t, mustOpen(t, c), content(2, 100))
	if found := names(t, mustOpen(t, c)); !found[other] || found[name] {
		t.Fatalf("found %v", found)
	}
	if f.Counts()[drivetest.Create] != 2 {
		t.Fatal("two folders were to be made")
	}
}

// TestFolderOfALostAnswer: the folder is made once although nobody heard so.
func TestFolderOfALostAnswer(t *testing.T) {
	f := drivetest.New(t)
	f.Lag = 5
	d := mustOpen(t, config(t, f))
	f.Plan(drivetest.Fault{Op: drivetest.Create, Kind: drivetest.Lost})
	data := content(1, 100)
	wantIs(t, "put", d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)), cloud.ErrOffline)
	mustPut(t, d, data)
	if folders := f.Named(drive.DefaultFolder); len(folders) != 1 {
		t.Fatalf("%d folders", len(folders))
	}
}

func TestFolderIsGone(t *testing.T) {
	f := drivetest.New(t)
	d := mustOpen(t, config(t, f))
	mustPut(t, d, content(1, 100))
	f.Remove(f.Named(drive.DefaultFolder)[0].ID)
	for _, n := range []int{100, 300 << 10} {
		data := content(2, n)
		wantIs(t, "put", d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)), cloud.ErrNoPlace)
		d = mustOpen(t, config(t, f))
		mustPut(t, d, content(1, 100))
		f.Remove(f.Named(drive.DefaultFolder)[0].ID)
	}
}

func TestRevokedSignIn(t *testing.T) {
	f := drivetest.New(t)
	c := config(t, f)
	d := mustOpen(t, c)
	name := mustPut(t, d, content(1, 100))
	f.ExpireAll() // an early 401 is healed by one new token
	wantData(t, d, name, content(1, 100))
	f.Plan(drivetest.Fault{Op: drivetest.Media, Kind: drivetest.Expire, Times: 2})
	_, err := read(t.Context(), d, name)
	wantIs(t, "401 twice", err, cloud.ErrAuth)
	wantData(t, d, name, content(1, 100))

	f.RevokeAll()
	data := content(2, 700<<10)
	for range 2 {
		wantIs(t, "put", d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)), cloud.ErrAuth)
	}
	tokens := f.Counts()[drivetest.Token]
	if err := c.Tokens.Save(t.Context(), drive.NewToken(f.SignedIn(drivetest.Alice()), drive.Account(drivetest.Alice()))); err != nil {
		t.Fatal(err)
	}
	mustPut(t, d, data) // signed in again, the same driver goes on
	if f.Counts()[drivetest.Token] != tokens+1 {
		t.Fatal("more than one new token")
	}
}

// TestRevokedInAnUpload: the session waits for the new sign-in.
func TestRevokedInAnUpload(t *testing.T) {
	f := drivetest.New(t)
	c := config(t, f)
	c.State = t.TempDir()
	d := mustOpen(t, c)
	f.Plan(drivetest.Fault{Op: drivetest.Chunk, Skip: 2, Kind: drivetest.EndSignIn})
	data := content(1, 1<<20)
	wantIs(t, "put", d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)), cloud.ErrAuth)
	if err := c.Tokens.Save(t.Context(), drive.NewToken(f.SignedIn(drivetest.Alice()), drive.Account{})); err != nil {
		t.Fatal(err)
	}
	mustPut(t, mustOpen(t, c), data)
	if got := f.Counts()[drivetest.Session]; got != 1 {
		t.Fatalf("%d sessions", got)
	}
}

func TestOtherAccount(t *testing.T) {
	f := drivetest.New(t)
	c := config(t, f)
	c.State = t.TempDir()
	mustPut(t, mustOpen(t, c), content(1, 100))
	kept, err := c.Tokens.Load(t.Context())
	if err != nil || kept.Account != drive.Account(drivetest.Alice()) {
		t.Fatalf("the account was not kept: %+v, %v", kept.Account, err)
	}
	bob := f.SignedIn(drivetest.Bob())
	for _, known := range []drive.Account{kept.Account, {}} { // by the sign-in, or by the place
		c.Tokens = &keptTokens{token: drive.NewToken(bob, known)}
		d := mustOpen(t, c)
		wantIs(t, "list as Bob", listOnce(t, d), cloud.ErrAccount, cloud.ErrDenied)
		_, err := d.Account(t.Context())
		wantIs(t, "account", err, cloud.ErrAccount)
	}
	if len(f.Named(drive.DefaultFolder)) != 1 {
		t.Fatal("Bob has a folder now")
	}
}

func TestPermissionLost(t *testing.T) {
	f := drivetest.New(t)
	d := mustOpen(t, config(t, f))
	name := mustPut(t, d, content(1, 100))
	for _, op := range []drivetest.Op{drivetest.Session, drivetest.Media, drivetest.Delete, drivetest.Get} {
		f.Plan(drivetest.Fault{Op: op, Kind: drivetest.Refuse, Status: 403, Reason: "insufficientFilePermissions"})
	}
	data := content(2, 300<<10)
	wantIs(t, "put", d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)), cloud.ErrDenied)
	_, err := read(t.Context(), d, name)
	wantIs(t, "get", err, cloud.ErrDenied)
	wantIs(t, "delete", d.Delete(t.Context(), name), cloud.ErrDenied)
}

func TestWrongChecksum(t *testing.T) {
	for _, kind := range []drivetest.Kind{drivetest.Corrupt, drivetest.WrongSum} {
		for _, n := range []int{100, 300 << 10} {
			for _, noSHA := range []bool{false, true} {
				f := drivetest.New(t)
				f.NoSHA = noSHA
				d := mustOpen(t, config(t, f))
				op := drivetest.Small
				if n > 256<<10 {
					op = drivetest.Chunk
				}
				f.Plan(drivetest.Fault{Op: op, Kind: kind, Skip: n >> 18})
				data := content(1, n)
				name := cloud.Name("pack", data)
				wantIs(t, "put", d.Put(t.Context(), name, cloud.Bytes(data)), cloud.ErrChecksum)
				if len(f.Named(name)) != 0 {
					t.Fatal("the wrong bytes stayed")
				}
				wantData(t, d, mustPut(t, d, data), data)
			}
		}
	}
}

// TestDuplicates: all devices take the same file, and the others are deleted
// where they are the same.
func TestDuplicates(t *testing.T) {
	f := drivetest.New(t)
	d := mustOpen(t, config(t, f))
	data := content(1, 100)
	name := mustPut(t, d, data)
	own := f.Named(name)[0]
	old := f.Add(own.Parent, name, data, time.Hour)
	f.Add(own.Parent, name, []byte("planted, and older than all"), 2*time.Hour)
	f.Add(own.Parent, name, data, -time.Hour)
	f.Add(own.Parent, "notes.txt", []byte("foreign"), 0)
	fresh := mustOpen(t, config(t, f))
	if found := names(t, fresh); len(found) != 1 {
		t.Fatalf("listed %v", found)
	}
	wantData(t, fresh, name, data)
	report, err := fresh.Tidy(t.Context())
	if err != nil || report != (drive.Report{Deleted: 2, Unequal: 1}) {
		t.Fatalf("maintain: %+v, %v", report, err)
	}
	left := f.Named(name)
	if len(left) != 2 || f.Data(old) == nil || len(f.Named("notes.txt")) != 1 {
		t.Fatalf("left %v", left)
	}
	wantData(t, d, name, data) // whose own file was deleted meanwhile
	if err := fresh.Delete(t.Context(), name); err != nil || len(f.Named(name)) != 0 {
		t.Fatalf("delete leaves %v, %v", f.Named(name), err)
	}
}

// TestOtherDeviceDeletes: what the index remembers may be gone.
func TestOtherDeviceDeletes(t *testing.T) {
	f := drivetest.New(t)
	d := mustOpen(t, config(t, f))
	data := content(1, 100)
	name := mustPut(t, d, data)
	f.Remove(f.Named(name)[0].ID)
	_, err := read(t.Context(), d, name)
	wantIs(t, "get", err, cloud.ErrNotFound)
	mustPut(t, d, data)
	f.Remove(f.Named(name)[0].ID)
	mustPut(t, d, data) // must not believe that it is still there
	if len(f.Named(name)) != 1 {
		t.Fatal("put said yes to nothing")
	}
}

func TestIncompleteSearch(t *testing.T) {
	f := drivetest.New(t)
	d := mustOpen(t, config(t, f))
	mustPut(t, d, content(1, 100))
	f.Plan(drivetest.Fault{Op: drivetest.List, Kind: drivetest.Incomplete})
	wantIs(t, "list", listOnce(t, d), cloud.ErrOffline)
	if err := listOnce(t, d); err != nil {
		t.Fatal(err)
	}
}

// TestListings: one run asks for few of them, and they stay right.
func TestListings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := drivetest.New(t)
		d := mustOpen(t, config(t, f))
		for i := range 20 {
			names(t, d)
			mustPut(t, d, content(i, 100))
		}
		if got := f.Counts()[drivetest.List]; got > 3 {
			t.Fatalf("%d listings in one run", got)
		}
		other := mustPut(t, mustOpen(t, config(t, f)), content(50, 100))
		time.Sleep(2 * time.Minute)
		if found := names(t, d); len(found) != 21 || !found[other] {
			t.Fatalf("listed %d", len(found))
		}
		f.Remove(f.Named(other)[0].ID)
		f.Remove(f.Named(cloud.Name("pack", content(3, 100)))[0].ID)
		time.Sleep(2 * time.Hour)
		if found := names(t, d); len(found) != 19 {
			t.Fatalf("listed %d after two were deleted elsewhere", len(found))
		}
	})
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := drivetest.New(t)
		s := cloud.New(mustOpen(t, config(t, f)), cloud.Options{})
		f.Plan(drivetest.Fault{Op: drivetest.Chunk, Skip: 1, Kind: drivetest.Hang})
		data := content(1, 1<<20)
		began := time.Now()
		if err := s.Put(t.Context(), cloud.Name("pack", data), data); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < time.Minute || waited > 2*time.Minute {
			t.Fatalf("waited %v", waited)
		}
		if _, resent := f.Resent(); resent != 0 || f.Counts()[drivetest.Session] != 1 {
			t.Fatalf("%d bytes twice, %d sessions", resent, f.Counts()[drivetest.Session])
		}
	})
}

// TestAbusive: what Drive's scanner dislikes is still its owner's.
func TestAbusive(t *testing.T) {
	f := drivetest.New(t)
	d := mustOpen(t, config(t, f))
	name := mustPut(t, d, content(1, 100))
	f.Plan(drivetest.Fault{Op: drivetest.Media, Kind: drivetest.Refuse, Status: 403, Reason: "cannotDownloadAbusiveFile"})
	wantData(t, d, name, content(1, 100))
}

// TestSecretsStayInside: no error, and nothing that is printed of our values,
// has a token, the client's secret or the address of a session.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	f := drivetest.New(t)
	c := config(t, f)
	c.State = t.TempDir()
	d := mustOpen(t, c)
	data := content(1, 1<<20)
	name := cloud.Name("pack", data)
	var said []string
	for _, op := range []drivetest.Op{drivetest.Token, drivetest.About, drivetest.IDs, drivetest.List, drivetest.Create, drivetest.Session, drivetest.Chunk, drivetest.Status, drivetest.Small, drivetest.Media, drivetest.Delete, drivetest.Get} {
		for _, kind := range []drivetest.Fault{
			{Kind: drivetest.Drop},
			{Kind: drivetest.Refuse, Status: 400, Reason: drivetest.Mark},
			{Kind: drivetest.Refuse, Status: 500},
			{Kind: drivetest.Refuse, Status: 403},
			{Kind: drivetest.Refuse, Status: 302},
			{Kind: drivetest.Expire},
			{Kind: drivetest.EndSignIn},
		} {
			kind.Op, kind.Times = op, 3
			f.Plan(kind)
			err := errors.Join(d.Put(t.Context(), name, cloud.Bytes(data)), d.Delete(t.Context(), name), listOnce(t, d),
				d.Put(t.Context(), "README.txt", cloud.Bytes(nil)), drive.Revoke(t.Context(), c.Client, drive.NewToken("gone-"+drivetest.Mark, drive.Account{}), f.Transport()))
			said = append(said, fmt.Sprint(err))
			f.Heal()
			f.Plan(drivetest.Fault{Op: drivetest.Chunk, Kind: drivetest.Drop, Times: 1})
			said = append(said, fmt.Sprint(d.Put(t.Context(), name, cloud.Bytes(data))))
			f.Heal()
			if err := c.Tokens.Save(t.Context(), drive.NewToken(f.SignedIn(drivetest.Alice()), drive.Account{})); err != nil {
				t.Fatal(err)
			}
			d = mustOpen(t, c)
		}
	}
	kept, err := c.Tokens.Load(context.WithoutCancel(t.Context()))
	said = append(said, fmt.Sprintf("%v %+v %#v %s", kept, kept, c.Client, err), fmt.Sprintf("%+v %#v", d, d))
	for _, text := range said {
		for _, secret := range []string{drivetest.Mark, "upload_id"} {
			if strings.Contains(text, secret) {
				t.Errorf("said: %.300s", text)
			}
		}
	}
	if len(said) < 100 || f.Fired() < 50 {
		t.Fatalf("only %d errors of %d faults", len(said), f.Fired())
	}
}
