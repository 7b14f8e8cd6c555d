package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/crypto/hpke"
	"coffer/vault"
	"coffer/vault/protocol"
	"coffer/vault/trust"
)

func enroll(t *testing.T, c *vault.Client, root crypto.RootKey, old *vault.Slot) vault.Slot {
	t.Helper()
	slot, err := c.Enroll(t.Context(), root, secret(rightPassword), floor, old, saveNothing)
	if err != nil {
		t.Fatalf("enroll: %v", err)
	}
	return slot
}

func TestAVaultOnANetworkDoesAllThatTheEmbeddedOneDoes(t *testing.T) {
	f := newFront(t, frontOptions{})
	c := f.mustDial(vault.RemoteOptions{})
	root := crypto.NewRootKey()
	first := enroll(t, c, root, nil)
	if link, err := trust.ParseLink(first.Link); err != nil || link != f.link {
		t.Fatalf("the slot names %q: %v", first.Link, err)
	}
	slot := enroll(t, c, root, &first)
	if slot.Generation != 2 || slot.Record != first.Record {
		t.Fatalf("password change: %+v", slot)
	}
	pin := slot.Pin()
	c = f.mustDial(vault.RemoteOptions{Pin: &pin})
	var refused *vault.AttemptError
	if _, _, err := c.Open(t.Context(), slot, secret(wrongPassword)); !errors.As(err, &refused) || !errors.Is(err, vault.ErrWrongPassword) || refused.Left != 9 {
		t.Fatalf("wrong password: %v", err)
	}
	got, left, err := c.Open(t.Context(), slot, secret(rightPassword))
	if err != nil || !got.Equal(root) || left != 10 {
		t.Fatalf("right password: %v, %d left", err, left)
	}
	if err := errors.Join(c.Freeze(t.Context(), slot, root), c.Unfreeze(t.Context(), slot, root), c.Reset(t.Context(), slot, root)); err != nil {
		t.Fatal(err)
	}
	keys := root.Derive()
	events, err := c.Log(t.Context(), slot, keys.Owner())
	if err != nil || len(events) == 0 || events[0].Kind != vault.EventCommitted {
		t.Fatalf("log: %v, %v", events, err)
	}
	receipt, err := c.Destroy(t.Context(), slot, root)
	if err != nil || !receipt.Verify(pin.ReceiptKey) {
		t.Fatalf("destroy: %v", err)
	}
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, vault.ErrDestroyed) {
		t.Fatalf("open what was destroyed: %v", err)
	}
	info, err := c.Info(t.Context())
	if err != nil || vault.PinOf(info) != pin || info.Tries != 10 || c.Bundle().Name != "Ann's vault" {
		t.Fatalf("info: %+v, %v", info, err)
	}
}

func TestABundleIsKeptBeforeAnythingIsSent(t *testing.T) {
	f := newFront(t, frontOptions{})
	broken := errors.New("disk full")
	if _, err := f.dial(vault.RemoteOptions{Keep: func([]byte) error { return broken }}); !errors.Is(err, broken) {
		t.Fatalf("dial when the bundle cannot be kept: %v", err)
	}
	var kept []byte
	keep := func(signed []byte) error {
		if posts, _, _ := f.counted(); posts != 0 {
			t.Error("something was sent before the bundle was kept")
		}
		kept = signed
		return nil
	}
	f.mustDial(vault.RemoteOptions{Keep: keep})
	if !bytes.Equal(kept, f.signed) {
		t.Fatal("another bundle was kept")
	}
	f.mustDial(vault.RemoteOptions{Known: kept, Keep: func([]byte) error { t.Error("the same bundle was kept again"); return nil }})
	f.publish(func(b *trust.Bundle) { b.Sequence, b.Tries, b.Incarnation = 9, 20, 1 })
	c := f.mustDial(vault.RemoteOptions{Known: kept})
	var kinds []trust.ChangeKind
	for _, change := range c.Changes() {
		kinds = append(kinds, change.Kind)
	}
	if len(kinds) != 2 || kinds[0] != trust.ChangeTries || kinds[1] != trust.ChangeRestored {
		t.Fatalf("changes: %v", kinds)
	}
}

// TestWhoIsNotTheVaultGetsNothing: promise 8. Nothing but the question for the bundle
// reaches whoever cannot show the right one.
func TestWhoIsNotTheVaultGetsNothing(t *testing.T) {
	other := newFront(t, frontOptions{})
	now := time.Now().UTC().Truncate(time.Second)
	tests := []struct {
		name   string
		lie    func(f *front)
		second bool
		known  bool
		want   error
	}{
		{name: "another certificate", want: vault.ErrPin, lie: func(f *front) {
			f.publish(func(b *trust.Bundle) { b.TLSPins = [][32]byte{{1}} })
		}},
		{name: "no pin, and nobody vouches for the certificate", want: vault.ErrPin, lie: func(f *front) {
			f.publish(func(b *trust.Bundle) { b.TLSPins = nil })
		}},
		{name: "single-signed", second: true, want: vault.ErrSingleSigned, lie: func(f *front) {
			f.signed, _ = trust.Sign(f.bundle, f.root)
		}},
		{name: "signed by another root", want: vault.ErrBundle, lie: func(f *front) {
			f.signed, _ = trust.Sign(f.bundle, trust.NewRoot(f.bundle.VaultID))
		}},
		{name: "another vault's", want: vault.ErrBundle, lie: func(f *front) { f.signed = other.signed }},
		{name: "changed", want: vault.ErrBundle, lie: func(f *front) {
			f.signed = bytes.Replace(f.signed, []byte("tries 10"), []byte("tries 99"), 1)
		}},
		{name: "expired", want: vault.ErrExpired, lie: func(f *front) {
			f.publish(func(b *trust.Bundle) { b.Expires = now.Add(-time.Second) })
		}},
		{name: "from the future", want: vault.ErrExpired, lie: func(f *front) {
			f.publish(func(b *trust.Bundle) { b.Issued, b.Expires = now.Add(25*time.Hour), now.Add(26*time.Hour) })
		}},
		{name: "lower sequence", known: true, want: vault.ErrOlder, lie: func(f *front) {
			f.publish(func(b *trust.Bundle) { b.Sequence-- })
		}},
		{name: "two with one sequence", known: true, want: vault.ErrBundle, lie: func(f *front) {
			f.publish(func(b *trust.Bundle) { b.Tries = 99 })
		}},
		{name: "lower incarnation", known: true, want: vault.ErrOlder, lie: func(f *front) {
			f.publish(func(b *trust.Bundle) { b.Sequence++; b.Incarnation-- })
		}},
		{name: "another OPAQUE key", known: true, want: vault.ErrBundle, lie: func(f *front) {
			f.publish(func(b *trust.Bundle) { b.Sequence++; b.ServerKey = other.bundle.ServerKey })
		}},
		{name: "another OPAQUE key than the slot's", want: vault.ErrIdentity, lie: func(f *front) {
			f.publish(func(b *trust.Bundle) { b.Sequence++; b.ServerKey = other.bundle.ServerKey })
		}},
		{name: "another id than the slot's", want: vault.ErrIdentity, lie: func(f *front) {
			b := f.bundle
			b.VaultID[0] ^= 1
			key := trust.NewRoot(b.VaultID)
			f.link.Root = key.Public()
			f.signed, _ = trust.Sign(b, key)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFront(t, frontOptions{second: tt.second, change: func(b *trust.Bundle) { b.Incarnation = 3 }})
			pin := vault.Pin{VaultID: f.bundle.VaultID, ServerKey: f.bundle.ServerKey, ReceiptKey: f.bundle.ReceiptKey}
			o := vault.RemoteOptions{Pin: &pin, Keep: func([]byte) error { t.Error("the bundle was kept"); return nil }}
			if tt.known {
				o.Known, o.Pin = f.signed, nil
			}
			tt.lie(f)
			_, err := f.dial(o)
			if !errors.Is(err, tt.want) {
				t.Fatalf("dial: %v, want %v", err, tt.want)
			}
			var expired *vault.ExpiredError
			if tt.want == vault.ErrExpired && (!errors.As(err, &expired) || expired.Now.IsZero() || !expired.Expires.Equal(f.bundle.Expires)) {
				t.Fatalf("without both times: %v", err)
			}
			if posts, _, _ := f.counted(); posts != 0 || f.gets == 0 {
				t.Fatalf("%d envelopes were sent, %d bundles asked for", posts, f.gets)
			}
		})
	}
}

func TestAnotherVaultsSlotIsNotSentAnywhere(t *testing.T) {
	f, other := newFront(t, frontOptions{}), newFront(t, frontOptions{})
	slot := enroll(t, other.mustDial(vault.RemoteOptions{}), crypto.NewRootKey(), nil)
	c := f.mustDial(vault.RemoteOptions{})
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, vault.ErrIdentity) {
		t.Fatalf("open: %v", err)
	}
	if posts, _, _ := f.counted(); posts != 0 {
		t.Fatalf("%d envelopes were sent", posts)
	}
}

// TestOfflineIsToldApart: nothing has left, and the client knows.
func TestOfflineIsToldApart(t *testing.T) {
	f := newFront(t, frontOptions{})
	html := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Location", "http://10.0.0.1/login")
			w.WriteHeader(status)
			fmt.Fprint(w, "<html>Please sign in to Hotel Wi-Fi</html>")
		}
	}
	for name, page := range map[string]http.HandlerFunc{
		"a page": html(200), "a redirect": html(302), "a redirect for posts, too": html(307), "network sign-in": html(511), "not found": html(404),
		"a flood": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) },
	} {
		f.page = page
		if _, err := f.dial(vault.RemoteOptions{}); !errors.Is(err, vault.ErrPortal) || !errors.Is(err, vault.ErrOffline) {
			t.Errorf("captive portal, %s: %v", name, err)
		}
	}
	f.page = html(502)
	if _, err := f.dial(vault.RemoteOptions{}); !errors.Is(err, vault.ErrOffline) || errors.Is(err, vault.ErrPortal) {
		t.Errorf("a front without a vault: %v", err)
	}
	f.page = nil
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("proxy says no") }
	if _, err := f.dial(vault.RemoteOptions{Dial: refuse}); !errors.Is(err, vault.ErrOffline) {
		t.Errorf("no connection: %v", err)
	}
	plain := f.link
	plain.Address = deadAddress(t)
	if _, err := vault.Dial(t.Context(), plain, vault.RemoteOptions{}); !errors.Is(err, vault.ErrOffline) {
		t.Errorf("nobody listens: %v", err)
	}
	plain.Address = "vault.invalid:443"
	if _, err := vault.Dial(t.Context(), plain, vault.RemoteOptions{}); !errors.Is(err, vault.ErrOffline) {
		t.Errorf("no such name: %v", err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := vault.Dial(ended, f.link, vault.RemoteOptions{}); !errors.Is(err, vault.ErrOffline) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestWhatGoesWrongBeforeTLSStandsCostsNothing breaks connections after the dial.
func TestWhatGoesWrongBeforeTLSStandsCostsNothing(t *testing.T) {
	f := newFront(t, frontOptions{})
	var broken atomic.Bool
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil && broken.Load() {
			conn.Close() // before a byte of TLS
		}
		return conn, err
	}
	c := f.mustDial(vault.RemoteOptions{Dial: dial})
	slot := enroll(t, c, crypto.NewRootKey(), nil)
	pin := slot.Pin()
	c = f.mustDial(vault.RemoteOptions{Dial: dial, Pin: &pin})
	broken.Store(true)
	_, _, err := c.Open(t.Context(), slot, secret(rightPassword))
	if !errors.Is(err, vault.ErrOffline) || errors.Is(err, vault.ErrUnknownOutcome) {
		t.Fatalf("open: %v", err)
	}
	// Somebody takes the vault's place after the bundle was fetched.
	broken.Store(false)
	thief := newFront(t, frontOptions{})
	c = f.mustDial(vault.RemoteOptions{Pin: &pin, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if broken.Load() {
			address = thief.link.Address
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}})
	broken.Store(true)
	_, _, err = c.Open(t.Context(), slot, secret(rightPassword))
	if !errors.Is(err, vault.ErrPin) || !errors.Is(err, vault.ErrOffline) || errors.Is(err, vault.ErrUnknownOutcome) {
		t.Fatalf("open at a thief's: %v", err)
	}
	if posts, _, _ := thief.counted(); posts != 0 {
		t.Fatalf("the thief got %d envelopes", posts)
	}
}

func TestOneOfSeveralAddressesIsEnough(t *testing.T) {
	dead := deadAddress(t)
	f := newFront(t, frontOptions{change: func(b *trust.Bundle) { b.Addresses = append([]string{deadAddress(t), dead}, b.Addresses...) }})
	c := f.mustDial(vault.RemoteOptions{})
	root := crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	f.link.Address = dead // where a slot may point after years
	c = f.mustDial(vault.RemoteOptions{Known: f.signed})
	if got, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil || !got.Equal(root) {
		t.Fatalf("open: %v", err)
	}
}

// TestANewComputerFindsAVaultWhoseLinkIsDead: it has no bundle yet, and the slot tells where
// else to ask. What is none of an address there does no harm.
func TestANewComputerFindsAVaultWhoseLinkIsDead(t *testing.T) {
	dead := deadAddress(t)
	f := newFront(t, frontOptions{change: func(b *trust.Bundle) { b.Addresses = append(b.Addresses, dead) }})
	live, root := f.link.Address, crypto.NewRootKey()
	f.link.Address = dead
	slot := enroll(t, f.mustDial(vault.RemoteOptions{Also: []string{live}}), root, nil)
	if slot.Also != live {
		t.Fatalf("the slot names %q", slot.Also)
	}
	if _, err := f.dial(vault.RemoteOptions{}); !errors.Is(err, vault.ErrOffline) {
		t.Fatalf("without other addresses: %v", err)
	}
	slot.Also = "no-address http://x " + slot.Also + strings.Repeat(" example.org:1", 20)
	pin := slot.Pin()
	c := f.mustDial(vault.RemoteOptions{Pin: &pin, Also: slot.Addresses()})
	if got, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil || !got.Equal(root) {
		t.Fatalf("open: %v", err)
	}
	if n := len(slot.Addresses()); n != trust.MaxAddresses {
		t.Errorf("%d addresses of a hostile slot", n)
	}
}

func TestKeysAreReplacedBetweenTwoRequests(t *testing.T) {
	f := newFront(t, frontOptions{})
	var kept int
	c := f.mustDial(vault.RemoteOptions{Keep: func([]byte) error { kept++; return nil }})
	root := crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	replace := func() {
		key := hpke.GenerateKey()
		f.mu.Lock()
		f.keys = []*hpke.PrivateKey{key}
		f.mu.Unlock()
		f.publish(func(b *trust.Bundle) { b.Sequence++; b.HPKEKey = key.Public().Bytes() })
	}
	replace()
	if got, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil || !got.Equal(root) {
		t.Fatalf("open after the key was replaced: %v", err)
	}
	// In the middle of a login: the charged request is the one that meets the new key.
	f.set(func(x *exchange) {
		x.reply(x.deliver())
		if x.kind == protocol.KindStatus {
			f.set(nil)
			replace()
		}
	})
	if got, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil || !got.Equal(root) {
		t.Fatalf("open while the key is replaced: %v", err)
	}
	if _, charged, _ := f.counted(); charged != 3 || kept != 3 {
		t.Fatalf("%d tries charged, want 3; %d bundles kept, want 3", charged, kept)
	}
	// A new key by an old bundle, or by somebody else's word, is none.
	key := hpke.GenerateKey()
	f.mu.Lock()
	f.keys = []*hpke.PrivateKey{key}
	f.mu.Unlock()
	f.publish(func(b *trust.Bundle) { b.HPKEKey = key.Public().Bytes() })
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, vault.ErrBundle) {
		t.Fatalf("open with a second bundle of the same sequence: %v", err)
	}
}

// TestABundleExpiresWhileTheProgramRuns: the client asks anew, and goes by the answer.
func TestABundleExpiresWhileTheProgramRuns(t *testing.T) {
	f := newFront(t, frontOptions{})
	var ahead atomic.Int64
	c := f.mustDial(vault.RemoteOptions{Clock: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	slot := enroll(t, c, crypto.NewRootKey(), nil)
	ahead.Store(int64(25 * time.Hour))
	before, _, _ := f.counted()
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, vault.ErrExpired) {
		t.Fatalf("open under an expired bundle: %v", err)
	}
	if posts, _, _ := f.counted(); posts != before {
		t.Fatal("an envelope was sent under an expired bundle")
	}
	f.publish(func(b *trust.Bundle) { b.Sequence++; b.Expires = b.Expires.Add(48 * time.Hour) })
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil {
		t.Fatalf("open under the next bundle: %v", err)
	}
}

func TestThePriceIsAtLeastTheBundles(t *testing.T) {
	f := newFront(t, frontOptions{change: func(b *trust.Bundle) { b.Floor = protocol.Cost{MemoryKiB: 128 << 10, Time: 5, Threads: 4} }})
	slot := enroll(t, f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey(), nil)
	if slot.MemoryKiB != 128<<10 || slot.Time != 5 || slot.Threads != 4 {
		t.Fatalf("the slot pays %d KiB, %d passes, %d lanes", slot.MemoryKiB, slot.Time, slot.Threads)
	}
}

func TestAnInvitationIsUsedOnce(t *testing.T) {
	f := newFront(t, frontOptions{register: trust.RegisterInvite})
	if _, err := f.mustDial(vault.RemoteOptions{}).Enroll(t.Context(), crypto.NewRootKey(), secret(rightPassword), floor, nil, func(vault.Pending) error {
		t.Error("something was saved")
		return nil
	}); !errors.Is(err, vault.ErrNotAdmitted) {
		t.Fatalf("enroll without an invitation: %v", err)
	}
	if posts, _, _ := f.counted(); posts != 0 {
		t.Fatalf("%d envelopes were sent without an invitation", posts)
	}
	token, err := f.desk.Invite(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	f.link.Invite = token
	c := f.mustDial(vault.RemoteOptions{})
	root := crypto.NewRootKey()
	// The program dies when it has the ticket, and nothing of the invitation is left.
	f.set(func(x *exchange) {
		if x.kind == protocol.KindBegin {
			x.cut()
			return
		}
		x.reply(x.deliver())
	})
	var pending vault.Pending
	if _, err := c.Enroll(t.Context(), root, secret(rightPassword), floor, nil, func(p vault.Pending) error { pending = p; return nil }); !errors.Is(err, vault.ErrUnknownOutcome) {
		t.Fatalf("enroll: %v", err)
	}
	if pending.Ticket == [32]byte{} || bytes.Contains([]byte(pending.Slot.Link), []byte("invite")) {
		t.Fatalf("pending: %+v", pending)
	}
	f.set(nil)
	f.link.Invite = ""
	slot, err := f.mustDial(vault.RemoteOptions{}).Resume(t.Context(), pending, root, secret(rightPassword))
	if err != nil {
		t.Fatalf("resume with the ticket: %v", err)
	}
	// The ticket's hour is over, the invitation is still this record's.
	pending.Ticket[0] ^= 1
	again := f.mustDial(vault.RemoteOptions{}).WithAdmission(vault.Admission{Invitation: token})
	if _, err := again.Enroll(t.Context(), crypto.NewRootKey(), secret(rightPassword), floor, nil, saveNothing); !errors.Is(err, vault.ErrInvitation) {
		t.Fatalf("another record with the same invitation: %v", err)
	}
	// A record that is there needs none.
	enroll(t, f.mustDial(vault.RemoteOptions{}), root, &slot)
}

func TestAnOldTicketIsRenewed(t *testing.T) {
	f := newFront(t, frontOptions{register: trust.RegisterInvite})
	token, err := f.desk.Invite(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := f.mustDial(vault.RemoteOptions{}).WithAdmission(vault.Admission{Invitation: token})
	f.set(func(x *exchange) { x.cut() })
	var pending vault.Pending
	root := crypto.NewRootKey()
	if _, err := c.Enroll(t.Context(), root, secret(rightPassword), floor, nil, func(p vault.Pending) error { pending = p; return nil }); err == nil {
		t.Fatal("enrolled without a vault")
	}
	f.set(nil)
	pending.Ticket = [32]byte{0, 0, 0, 0, 1}
	if _, err := c.Resume(t.Context(), pending, root, secret(rightPassword)); err != nil {
		t.Fatalf("resume: %v", err)
	}
}

// TestManyGuessersGetNoMoreThanTheirTries: 16 at once, through one client that others use,
// too.
func TestManyGuessersGetNoMoreThanTheirTries(t *testing.T) {
	f := newFront(t, frontOptions{})
	var seen atomic.Int64
	c := f.mustDial(vault.RemoteOptions{KeepSeen: func(s vault.Seen) error {
		if old := seen.Swap(int64(s.Serial)); old > int64(s.Serial) {
			t.Errorf("seen %d after %d", s.Serial, old)
		}
		return nil
	}})
	slot := enroll(t, c, crypto.NewRootKey(), nil)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			_, _, err := c.Open(t.Context(), slot, secret(wrongPassword))
			if err == nil || errors.Is(err, vault.ErrVaultRolledBack) || errors.Is(err, vault.ErrOffline) {
				t.Errorf("open: %v", err)
			}
		})
		group.Go(func() {
			if _, err := c.Status(t.Context(), slot); err != nil {
				t.Errorf("status: %v", err)
			}
		})
	}
	group.Wait()
	if _, _, answers := f.counted(); answers > 10 || answers == 0 {
		t.Fatalf("%d answers to 10 tries", answers)
	}
}
