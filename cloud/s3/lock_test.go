package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"coffer/cloud"
	"coffer/cloud/s3"
)

// bucketOf splits the address of a place.
func bucketOf(t *testing.T, c s3.Config) (name, prefix string) {
	t.Helper()
	_, rest, _ := strings.Cut(strings.TrimPrefix(c.Address, "https://"), "/")
	name, prefix, ok := strings.Cut(rest, "/")
	if !ok {
		t.Fatalf("no prefix in %s", c.Address)
	}
	return name, prefix + "/"
}

// TestRansomware: a thief with the keys deletes and overwrites everything, and
// tries to remove the versions and the locks. Every locked object comes back.
func TestRansomware(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	c := g.place(t, true, true)
	c.LockDays = 3
	d := mustOpen(t, c)
	want := map[string][]byte{}
	for i := range 12 {
		data := content(i, 1000*i)
		want[mustPut(t, d, data)] = data
	}
	if caps := d.Caps(); !caps.Lock || !caps.Versions {
		t.Fatalf("caps %+v", caps)
	}

	attack(t, g, c, want)

	plain := mustOpen(t, c)
	for name, data := range want {
		wantData(t, plain, name, data)
		if o, err := plain.Stat(t.Context(), name); err != nil || o.Size != int64(len(data)) {
			t.Fatalf("stat %s: %+v, %v", name, o, err)
		}
		part, err := read(t.Context(), mustOpen(t, c), name, int64(len(data)/2), 10)
		if len(data) > 0 && (err != nil || !bytes.Equal(part, data[len(data)/2:len(data)/2+10])) {
			t.Fatalf("range of %s: %v", name, err)
		}
	}
	if seen := listed(t, plain, ""); len(seen) >= len(want) {
		t.Fatalf("the thief left %d objects in the plain listing: this test attacks nothing", len(seen))
	}

	c.Recover = true
	fresh := mustOpen(t, c)
	seen := listed(t, fresh, "")
	if len(seen) != len(want) {
		t.Fatalf("%d objects recovered, want %d", len(seen), len(want))
	}
	for name, data := range want {
		if seen[name] != int64(len(data)) {
			t.Fatalf("%s: %d bytes listed, want %d", name, seen[name], len(data))
		}
		wantData(t, fresh, name, data)
	}
	// Through a Store all is checked against the names once more, and a new backup
	// to the same place puts back on top what is hidden.
	s := cloud.New(mustOpen(t, c), cloud.Options{Budget: -1})
	for name, data := range want {
		if got, err := s.Get(t.Context(), name); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("store: %v", err)
		}
		if err := s.Put(t.Context(), name, data); err != nil {
			t.Fatalf("put again: %v", err)
		}
	}
	if tidied, err := fresh.Maintain(t.Context()); err != nil || tidied != 0 {
		t.Fatalf("maintain after an attack: %d, %v", tidied, err)
	}
}

// attack does what the keys allow, and notes that the locks held.
func attack(t *testing.T, g *gateway, c s3.Config, want map[string][]byte) {
	t.Helper()
	a := g.admin(t)
	at, prefix := bucketOf(t, c)
	i := 0
	for name, data := range want {
		key := prefix + name
		garbage := bytes.Repeat([]byte("x"), len(data)+i%3) // some of the same size
		switch i % 4 {
		case 0:
			must(t, "delete", a.RemoveObject(t.Context(), at, key, minio.RemoveObjectOptions{}))
		case 1:
			overwrite(t, a, at, key, garbage)
			overwrite(t, a, at, key, garbage)
		case 2:
			overwrite(t, a, at, key, garbage)
			must(t, "delete", a.RemoveObject(t.Context(), at, key, minio.RemoveObjectOptions{}))
		case 3:
			must(t, "delete", a.RemoveObject(t.Context(), at, key, minio.RemoveObjectOptions{}))
			overwrite(t, a, at, key, garbage)
			must(t, "delete", a.RemoveObject(t.Context(), at, key, minio.RemoveObjectOptions{}))
		}
		i++
	}
	refused := 0
	for v := range a.ListObjectsIter(t.Context(), at, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, WithVersions: true}) {
		if v.Err != nil {
			t.Fatal(v.Err)
		}
		if v.IsDeleteMarker {
			continue
		}
		tomorrow, mode := time.Now().Add(24*time.Hour), minio.Governance
		err := a.PutObjectRetention(t.Context(), at, v.Key, minio.PutObjectRetentionOptions{
			Mode: &mode, RetainUntilDate: &tomorrow, VersionID: v.VersionID, GovernanceBypass: true,
		})
		if err == nil && v.IsLatest {
			continue // of the thief's own objects
		}
		if a.RemoveObject(t.Context(), at, v.Key, minio.RemoveObjectOptions{VersionID: v.VersionID, GovernanceBypass: true}) != nil {
			refused++
		}
	}
	if refused < len(want) {
		t.Fatalf("only %d of %d versions were defended", refused, len(want))
	}
}

func overwrite(t *testing.T, a *minio.Client, at, key string, data []byte) {
	t.Helper()
	_, err := a.PutObject(t.Context(), at, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{SendContentMd5: true})
	must(t, "overwrite", err)
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestRetain: a lock moves away and never nearer, and comes with every Put.
func TestRetain(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	c := g.place(t, true, true)
	c.LockDays = 2
	d := mustOpen(t, c)
	data := content(1, 5000)
	name := mustPut(t, d, data)
	at, prefix := bucketOf(t, c)
	until := func() time.Time {
		t.Helper()
		r, err := g.retention(t, at, prefix+name)
		must(t, "ask for lock", err)
		return r
	}
	near := func(got time.Time, days int) bool {
		return got.Sub(time.Now().AddDate(0, 0, days)).Abs() < time.Hour
	}
	if !near(until(), 2) {
		t.Fatalf("locked until %v", until())
	}
	for _, days := range []int{1, 5, 3} {
		must(t, "retain", d.Retain(t.Context(), name, time.Now().AddDate(0, 0, days)))
		if !near(until(), max(days, 2)) && !near(until(), 5) {
			t.Fatalf("locked until %v", until())
		}
	}
	if !near(until(), 5) {
		t.Fatalf("locked until %v, want 5 days", until())
	}
	c.LockDays = 9
	longer := mustOpen(t, c)
	must(t, "put again", longer.Put(t.Context(), name, cloud.Bytes(data)))
	if !near(until(), 9) {
		t.Fatalf("locked until %v after a second put, want 9 days", until())
	}
	wantIs(t, "retain of nothing", d.Retain(t.Context(), cloud.Name("pack", []byte("no")), time.Now()), cloud.ErrNotFound)

	// Deleting hides; other devices still have the bytes by name.
	must(t, "delete", d.Delete(t.Context(), name))
	if seen := listed(t, mustOpen(t, c), ""); len(seen) != 0 {
		t.Fatalf("listed after delete: %v", seen)
	}
	_, err := d.Stat(t.Context(), name)
	wantIs(t, "stat after delete", err, cloud.ErrNotFound)
	wantData(t, mustOpen(t, c), name, data)
	c.Recover = true
	if seen := listed(t, mustOpen(t, c), "pack-"); len(seen) != 1 {
		t.Fatalf("recovered after delete: %v", seen)
	}
}

// retention asks as the server's owner would.
func (g *gateway) retention(t *testing.T, at, key string) (time.Time, error) {
	t.Helper()
	info, err := g.admin(t).StatObject(t.Context(), at, key, minio.StatObjectOptions{})
	if err != nil {
		return time.Time{}, err
	}
	if mode := info.Metadata.Get("X-Amz-Object-Lock-Mode"); mode != "COMPLIANCE" {
		return time.Time{}, fmt.Errorf("mode %q", mode)
	}
	return time.Parse(time.RFC3339, info.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"))
}

// TestNoLock: days of lock that the bucket cannot keep are an error at once.
func TestNoLock(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for _, versions := range []bool{false, true} {
		c := g.place(t, versions, false)
		c.LockDays = 1
		d := mustOpen(t, c)
		data := content(1, 10)
		wantIs(t, "put", d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)), cloud.ErrUnsupported, cloud.ErrNoLock)
		wantIs(t, "list", listError(t, d), cloud.ErrNoLock)
		c.LockDays = 0
		d = mustOpen(t, c)
		name := mustPut(t, d, data)
		wantIs(t, "retain", d.Retain(t.Context(), name, time.Now().Add(time.Hour)), cloud.ErrNoLock)
	}
}

// TestCreate: a bucket is made if it should be, with locks if it should have some.
func TestCreate(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for _, days := range []int{0, 1} {
		c := s3.Config{Address: fmt.Sprintf("https://%s/new-bucket-%d/x", g.host, days), Credentials: gatewayKeys, Transport: g.root, LockDays: days}
		d := mustOpen(t, c)
		data := content(1, 10)
		name := cloud.Name("pack", data)
		wantIs(t, "put", d.Put(t.Context(), name, cloud.Bytes(data)), cloud.ErrNoPlace)
		_, err := d.Stat(t.Context(), name)
		wantIs(t, "stat", err, cloud.ErrNoPlace)
		c.Create = true
		d = mustOpen(t, c)
		mustPut(t, d, data)
		mustPut(t, mustOpen(t, c), data)
		if caps := d.Caps(); caps.Lock != (days > 0) || !caps.PutIfAbsent || !caps.ListAfterPut || caps.ServerSum != "sha256" {
			t.Fatalf("%d days: %+v", days, caps)
		}
		about, err := d.Describe(t.Context())
		if err != nil || !strings.Contains(about.Server, "VERSITYGW") && about.Server == "" {
			t.Fatalf("describe: %+v, %v", about, err)
		}
		must(t, "close", d.Close())
	}
}

// TestVersionsWithoutLock: what others delete or overwrite comes back; what
// Coffer deletes is gone, all versions of it.
func TestVersionsWithoutLock(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	c := g.place(t, true, false)
	d := mustOpen(t, c)
	first, second := content(1, 1000), content(2, 2000)
	name, other := mustPut(t, d, first), mustPut(t, d, second)
	at, prefix := bucketOf(t, c)
	a := g.admin(t)
	overwrite(t, a, at, prefix+name, []byte("short"))
	must(t, "delete", a.RemoveObject(t.Context(), at, prefix+other, minio.RemoveObjectOptions{}))
	fresh := mustOpen(t, c)
	wantData(t, fresh, name, first)
	wantData(t, fresh, other, second)
	must(t, "put what is hidden", fresh.Put(t.Context(), other, cloud.Bytes(second)))
	if seen := listed(t, fresh, ""); len(seen) != 2 {
		t.Fatalf("listed: %v", seen)
	}
	for _, gone := range []string{name, other} {
		must(t, "delete", fresh.Delete(t.Context(), gone))
		_, err := read(t.Context(), mustOpen(t, c), gone, 0, -1)
		wantIs(t, "get after delete", err, cloud.ErrNotFound)
	}
	for v := range a.ListObjectsIter(t.Context(), at, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, WithVersions: true}) {
		t.Fatalf("left behind: %s %s", v.Key, v.VersionID)
	}
}

// TestMaintain: what an interrupted probe left goes away, and nothing else does.
func TestMaintain(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for _, versions := range []bool{false, true} {
		c := g.place(t, versions, false)
		d := mustOpen(t, c)
		name := mustPut(t, d, content(1, 100))
		at, prefix := bucketOf(t, c)
		a := g.admin(t)
		old, fresh := prefix+".coffer-probe-b2h5vtvs4n7n", prefix+".coffer-probe-zzzzzzzzzzzz"
		for _, key := range []string{old, fresh, prefix + "notes.txt", prefix + ".coffer-probe-", prefix + "deeper/.coffer-probe-b2h5vtvs4n7n"} {
			overwrite(t, a, at, key, []byte("x"))
		}
		marker := prefix + cloud.Name("pack", []byte("never there"))
		if versions {
			must(t, "delete", a.RemoveObject(t.Context(), at, marker, minio.RemoveObjectOptions{}))
		}
		if _, err := d.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		left := map[string]bool{}
		for v := range a.ListObjectsIter(t.Context(), at, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, WithVersions: true}) {
			left[v.Key] = true
		}
		if len(left) != 5 || left[old] || left[marker] || !left[prefix+name] {
			t.Fatalf("versions %v: left %v", versions, left)
		}
	}
}

// TestDeniedKeys: a key that the server does not know, and one with a wrong secret.
func TestDeniedKeys(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for _, wrong := range [][2]string{{access, "not" + secret}, {"NOTTHEACCESSKEY", secret}, {"", ""}, {access, ""}} {
		c := g.place(t, false, false)
		c.Credentials = func() (string, string, string) { return wrong[0], wrong[1], "" }
		everyFailure(t, mustOpen(t, c), cloud.ErrAuth)
	}
}

// everyFailure requires one class of every request.
func everyFailure(t *testing.T, d *s3.Driver, class error) {
	t.Helper()
	data := content(1, 100)
	name := cloud.Name("pack", data)
	_, err := read(t.Context(), d, name, 0, -1)
	wantIs(t, "get", err, class)
	_, err = d.Stat(t.Context(), name)
	wantIs(t, "stat", err, class)
	wantIs(t, "put", d.Put(t.Context(), name, cloud.Bytes(data)), class)
	wantIs(t, "delete", d.Delete(t.Context(), name), class)
	wantIs(t, "list", listError(t, d), class)
	_, err = d.Maintain(t.Context())
	wantIs(t, "maintain", err, class)
	if err := d.Retain(t.Context(), name, time.Now()); !errors.Is(err, class) && !errors.Is(err, cloud.ErrNoLock) {
		t.Fatalf("retain: %v", err)
	}
}
