package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coffer/app"
)

// A placeKeeper keeps the places of a profile.
type placeKeeper interface {
	Places() ([]app.Place, error)
	AddPlace(ctx context.Context, dest string, create bool) (app.Place, []app.Notice, error)
	RemovePlace(ctx context.Context, id string) error
	ChangePlace(ctx context.Context, id string, c app.Connection) (app.PlaceInfo, error)
	UsePlace(idOrDest string) error
	CopyPlace(ctx context.Context, from, to string, o app.CopyOptions) (app.CopySummary, error)
	TestPlace(ctx context.Context, dest string, step func(app.PlaceCheck)) (app.PlaceTest, error)
	RestoreFolder(ctx context.Context, id string) (int, error)
	Disconnect(ctx context.Context, id string) error
}

func (p *program) placeCommand() *cobra.Command {
	return p.group("place", "The places that keep the backup", `
A backup can lie in several places: a disk, Google Drive, a server. 'coffer backup' makes
one in each; a place that cannot be reached waits, and catches up when it is back. Each
place is whole by itself and opens in the same ways.`,
		p.placeListCommand(), p.placeAddCommand(), p.placeRemoveCommand(), p.placeCopyCommand(),
		p.placeTestCommand(), p.placeChangeCommand(), p.placeSignInCommand(),
		p.placeRestoreFolderCommand(), p.placeDisconnectCommand())
}

// placeRecord is a place as JSON.
type placeRecord struct {
	ID          string     `json:"id"`
	Place       string     `json:"place"`
	Kind        string     `json:"kind"`
	Account     string     `json:"account,omitempty"`
	State       string     `json:"state"`
	Code        app.Code   `json:"code,omitempty"`
	LastBackup  *time.Time `json:"last_backup,omitempty"`
	Free        int64      `json:"free"`
	Stored      int64      `json:"stored"`
	BytesADay   int64      `json:"bytes_a_day"`
	EnoughUntil string     `json:"enough_until,omitempty"`
}

func placeOf(place app.Place) placeRecord {
	r := placeRecord{
		ID: place.ID, Place: place.Dest, Kind: place.Kind, Account: place.Account, State: place.State,
		Code: place.Trouble.Code, Free: place.Free, Stored: place.Stored, BytesADay: place.Grows,
	}
	if !place.LastBackup.IsZero() {
		r.LastBackup = &place.LastBackup
	}
	if !place.Enough.IsZero() {
		r.EnoughUntil = place.Enough.Format(time.DateOnly)
	}
	return r
}

func (p *program) placeListCommand() *cobra.Command {
	return p.command("list", "List the places, their health and their room", `
Lists the places of this backup, as this computer knows them: no place is asked.

  coffer place list`,
		cobra.NoArgs, func(_ context.Context, _ []string) error {
			return p.withProfile(func(a profile, _ app.Config) error {
				places, err := a.Places()
				if err != nil {
					return err
				}
				return p.sayPlaces(places)
			})
		})
}

func (p *program) sayPlaces(places []app.Place) error {
	if !p.console.json {
		return p.console.result("%s", placesText(places))
	}
	for _, place := range places {
		if err := p.console.record("place", placeOf(place)); err != nil {
			return err
		}
	}
	return p.console.record("summary", struct {
		Places int `json:"places"`
	}{len(places)})
}

func placesText(places []app.Place) string {
	rows := [][]string{{"ID", "Place", "State", "Last backup", "Stored", "Free"}}
	for _, place := range places {
		name := printable(place.Dest)
		if place.Account != "" {
			name += " (" + printable(place.Account) + ")"
		}
		last := "never"
		if !place.LastBackup.IsZero() {
			last = dateText(place.LastBackup)
		}
		rows = append(rows, []string{place.ID, name, stateText(place), last, knownBytes(place.Stored), roomText(place.Free, place.Enough)})
	}
	return table(rows)
}

// stateText says how a place is, with the reason where something is wrong.
func stateText(place app.Place) string {
	words := map[string]string{
		app.PlaceNever: "no backup yet", app.PlaceSafe: "safe", app.PlaceWaiting: "waiting",
		app.PlaceLate: "late", app.PlaceTrouble: "trouble",
	}
	text := words[place.State]
	if text == "" {
		text = printable(place.State)
	}
	if place.Trouble.Code != "" {
		text += ": " + string(place.Trouble.Code)
	}
	return text
}

func knownBytes(n int64) string {
	if n < 0 {
		return "-"
	}
	return bytesText(n)
}

func roomText(free int64, enough time.Time) string {
	text := knownBytes(free)
	if !enough.IsZero() {
		text += ", enough until about " + monthText(enough)
	}
	return text
}

// monthText is as exact as a forecast may be.
func monthText(t time.Time) string {
	if time.Until(t) < 60*24*time.Hour {
		return dayText(t)
	}
	return t.Local().Format("January 2006")
}

func (p *program) placeAddCommand() *cobra.Command {
	var connect connectFlags
	var secrets secretFlags
	cmd := p.command("add PLACE", "Keep the backup in one more place", `
Adds a place to this backup: an empty one, which the next backup fills, or one that holds
this backup already, such as a folder that was copied or downloaded. How each kind of place
is written, and what it wants to know: 'coffer help places'.

  coffer place add /media/disk2/Backup
  coffer place add sftp://ann@nas.example/backup --ssh-key ~/.ssh/id_ed25519
  coffer place add drive: --drive-client client.json`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			return p.withKey(ctx, &secrets, func(a profile) error {
				dest, err := p.connect(ctx, a, &connect, args[0])
				if err != nil {
					return err
				}
				place, notices, err := a.AddPlace(ctx, dest, true)
				if err != nil {
					return err
				}
				p.sayNotices(notices)
				if p.console.json {
					return p.console.record("summary", placeOf(place))
				}
				return p.console.done("Added %s as place %s.\nNext: coffer backup, or to bring the older backups there too: coffer place copy", printable(place.Dest), place.ID)
			})
		})
	connect.add(cmd)
	secrets.add(cmd)
	return cmd
}

func (p *program) placeRemoveCommand() *cobra.Command {
	return p.command("remove ID", "Forget a place; nothing there is deleted", `
Takes a place off this backup, and forgets its password or sign-in. What is stored there
stays, and can be added again.

  coffer place list
  coffer place remove 3f0c2a91`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			return p.withProfile(func(a profile, _ app.Config) error {
				if err := a.RemovePlace(ctx, args[0]); err != nil {
					return err
				}
				return p.donePlace("Removed. Nothing was deleted there.")
			})
		})
}

// donePlace ends a command that has nothing more to say.
func (p *program) donePlace(format string, args ...any) error {
	if p.console.json {
		return p.console.record("summary", struct{}{})
	}
	return p.console.done(format, args...)
}

func (p *program) placeCopyCommand() *cobra.Command {
	var connect connectFlags
	cmd := p.command("copy FROM TO", "Bring the backups of one place to another", `
Copies what one place has and another lacks, without the original files and without a
password: everything stays sealed. Each object is checked on its way. It may be stopped and
goes on where it was. FROM and TO are IDs or places; TO may be a new one, which is added.

To move a backup: copy it, then 'coffer place remove' the old place.

  coffer place copy /media/disk/Backup /media/disk2/Backup
  coffer place copy 3f0c2a91 sftp://ann@nas.example/backup --ssh-key ~/.ssh/id_ed25519`,
		cobra.ExactArgs(2), func(ctx context.Context, args []string) error {
			return p.withProfile(func(a profile, _ app.Config) error {
				to, err := p.connectNew(ctx, a, &connect, args[1])
				if err != nil {
					return err
				}
				s, err := a.CopyPlace(ctx, args[0], to, app.CopyOptions{Progress: p.newProgress().show})
				if err != nil {
					return p.stoppedAs(err, "Nothing is lost: the same command goes on from here.")
				}
				return p.sayCopy(s)
			})
		})
	connect.add(cmd)
	return cmd
}

// connectNew is connect for a place that may be one of the profile's already.
func (p *program) connectNew(ctx context.Context, a profile, f *connectFlags, dest string) (string, error) {
	places, err := a.Places()
	if err != nil {
		return "", err
	}
	for _, place := range places {
		if place.ID == dest || place.Dest == dest {
			return dest, nil
		}
	}
	return p.connect(ctx, a, f, dest)
}

func (p *program) sayCopy(s app.CopySummary) error {
	status := exitDone
	if len(s.Damaged) > 0 {
		status = exitDamaged
	}
	if p.console.json {
		if err := p.console.record("summary", s); err != nil {
			return err
		}
		return ended(status)
	}
	text := fmt.Sprintf("Copied %s of %s (%s) in %s.", number(s.Copied), count(s.Objects, "object", "objects"), bytesText(s.Bytes), seconds(s.Seconds))
	if len(s.Damaged) > 0 {
		text += fmt.Sprintf("\n%s damaged in the place that was read, and left out:\n  %s", count(int64(len(s.Damaged)), "object is", "objects are"), strings.Join(s.Damaged, "\n  "))
	}
	if err := p.console.done("%s", text); err != nil {
		return err
	}
	return ended(status)
}

func (p *program) placeChangeCommand() *cobra.Command {
	var connect connectFlags
	var address string
	cmd := p.command("change ID", "Change how a place is reached", `
Stores another password, key, certificate pin or host key of a place, or a new address of
the same backup. It is tried before it is stored.

  coffer place change 3f0c2a91 --place-password-file new.txt
  coffer place change 3f0c2a91 --host-key SHA256:...
  coffer place change 3f0c2a91 --address /mnt/disk/Backup`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			return p.withProfile(func(a profile, _ app.Config) error {
				place, err := placeNamed(a, args[0])
				if err != nil {
					return err
				}
				kind := kindOf(a.PlaceKinds(), place.Kind+":")
				conn, err := connect.connection(p, kind, address)
				if err != nil {
					return err
				}
				defer wipeAll(conn.Secrets)
				if _, err := p.tryChange(kind, conn, func(c app.Connection) (app.PlaceInfo, error) { return a.ChangePlace(ctx, place.ID, c) }); err != nil {
					return err
				}
				return p.donePlace("Changed, and tried: the place answers.")
			})
		})
	connect.add(cmd)
	cmd.Flags().StringVar(&address, "address", "", "the new `PLACE`, which holds the same backup")
	return cmd
}

// tryChange is reach without asking for what the place knows already.
func (p *program) tryChange(kind app.PlaceKind, conn app.Connection, open func(app.Connection) (app.PlaceInfo, error)) (app.PlaceInfo, error) {
	known := kind
	known.Fields = nil
	for _, f := range kind.Fields {
		f.Optional = true
		known.Fields = append(known.Fields, f)
	}
	return p.reach(known, conn, open)
}

// placeNamed finds a place of the profile by its ID or text.
func placeNamed(a placeKeeper, ref string) (app.Place, error) {
	places, err := a.Places()
	if err != nil {
		return app.Place{}, err
	}
	for _, place := range places {
		if place.ID == ref || place.Dest == ref {
			return place, nil
		}
	}
	return app.Place{}, &app.PlaceError{Place: ref, Err: app.ErrPlaceUnknown}
}

func (p *program) placeSignInCommand() *cobra.Command {
	var connect connectFlags
	cmd := p.command("sign-in ID", "Sign in to a place again, in the browser", `
Signs in to Google Drive again, when the sign-in has ended or was revoked. It must be the
account that the backup belongs to. Nothing else stops meanwhile, and nothing is lost.

  coffer place sign-in 3f0c2a91`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			return p.withProfile(func(a profile, _ app.Config) error {
				place, err := placeNamed(a, args[0])
				if err != nil {
					return err
				}
				conn, err := connect.connection(p, kindOf(a.PlaceKinds(), place.Kind+":"), place.Dest)
				if err != nil {
					return err
				}
				if _, token := conn.Secrets["token"]; token {
					_, err = a.ChangePlace(ctx, place.ID, app.Connection{Options: conn.Options, Secrets: conn.Secrets})
				} else {
					_, err = a.SignIn(ctx, conn, p.browser)
				}
				if err != nil {
					return err
				}
				return p.donePlace("Signed in. The next backup goes on from where it was.")
			})
		})
	connect.add(cmd)
	return cmd
}

func (p *program) placeRestoreFolderCommand() *cobra.Command {
	return p.command("restore-folder ID", "Take a place out of the trash of its service", `
When the folder of a backup was put into the trash of Google Drive, this takes it out
again. Services empty their trash after about 30 days.

  coffer place restore-folder 3f0c2a91`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			return p.withProfile(func(a profile, _ app.Config) error {
				n, err := a.RestoreFolder(ctx, args[0])
				if err != nil {
					return err
				}
				if p.console.json {
					return p.console.record("summary", struct {
						Restored int `json:"restored"`
					}{n})
				}
				return p.console.done("%s out of the trash.", count(int64(n), "thing came", "things came"))
			})
		})
}

func (p *program) placeDisconnectCommand() *cobra.Command {
	return p.command("disconnect ID", "Withdraw Coffer's sign-in at a service", `
Withdraws at Google what Coffer was allowed, and forgets it here. The files stay where they
are, and so does the place: 'coffer place sign-in' connects it again.

  coffer place disconnect 3f0c2a91`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			return p.withProfile(func(a profile, _ app.Config) error {
				if err := a.Disconnect(ctx, args[0]); err != nil {
					return err
				}
				return p.donePlace("Signed out. The files stay where they are.")
			})
		})
}
