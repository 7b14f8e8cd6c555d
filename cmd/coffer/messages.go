package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"coffer/app"
)

// A message is what people read in one situation: what happened, and what to do. Each is
// a list of variants: the first whose {arguments} are all known is used, and the last
// needs none. The words follow the rules of the product: a backup, a place, a password, a
// recovery key; "that was not the password", never "you entered an invalid password".
type message struct{ says, advice []string }

func say(variants ...string) []string { return variants }

// messages has a sentence for every code of package app.
var messages = map[app.Code]message{
	app.CodeCanceled:     {say("Stopped."), nil},
	app.CodeUsage:        {say("{path} cannot be used for that.", "One of the values cannot be used."), say("Run it with --help, or with --verbose to see the details.")},
	app.CodeNotSetUp:     {say("There is no backup in this profile yet."), say("Make one with 'coffer setup', or join an existing one with 'coffer open'.")},
	app.CodeAlreadySetUp: {say("This profile has a backup already."), say("'coffer backup' goes on with it. For another backup give another profile folder: -C DIR.")},
	app.CodeProfileBusy:  {say("Another Coffer is working in this profile."), say("Wait until it is done, then try again. Nothing was changed.")},

	app.CodeLocked:         {say("The key of this backup is not on this computer."), say("Open it with --password-file, --passphrase-file or --key-file.")},
	app.CodeNoKeyring:      {say("This computer has no key store that answers."), say("Keep the key in a file that only you can read (--keep-key file), or nowhere (--keep-key ask).")},
	app.CodeKeyringWaiting: {say("The key store of this computer waits to be unlocked."), say("Unlock it on the screen and try again, or give --password-file, --passphrase-file or --key-file.")},

	app.CodePasswordShort:  {say("That password is too short."), say("It needs at least 8 characters. Nothing was set.")},
	app.CodePasswordCommon: {say("That password is one of the common ones, which are guessed first."), say("Take another one. Nothing was set.")},
	app.CodePasswordWeak:   {say("That password is easy to guess."), say("Make it longer, or take a few words that have nothing to do with each other. Nothing was set.")},
	app.CodePasswordBad:    {say("That password is too long, or has characters that cannot be typed everywhere."), say("Control characters and bytes that are not text are refused. Nothing was set.")},
	app.CodePassphraseWeak: {say("That passphrase is too easy to guess."), say("Anyone who gets the files can guess as often as they like, so it must be long: five words at least. Nothing was set.")},

	app.CodeWrongPassword:   {say("That was not the password. {tries}", "That was not the password."), nil},
	app.CodeOtherPassword:   {say("That was not the password that was last set or used on this computer. No try was used."), say("If it was changed elsewhere, open the backup here with the new one first ('coffer vault status --password-file FILE'); a forgotten one is replaced with 'coffer password change'.")},
	app.CodeNotCompared:     {say("This computer has never seen the password, and the vault that keeps it cannot be asked."), say("The key is here, so set a new password in the new vault: 'coffer password change --vault LINK'. For the vault on this computer: 'coffer vault leave', then 'coffer password change'. Nothing is uploaded again, and nothing was changed.")},
	app.CodeLastTry:         {say("That was not the password. One try is left: if it is wrong too, the vault destroys its key for good."), say("The 64 digits of your recovery sheet open the backup without a try (--key-file).")},
	app.CodeWait:            {say("The vault takes no try before {until}. No try was used.", "The vault asks to wait. No try was used."), say("The 64 digits of your recovery sheet open the backup now (--key-file).")},
	app.CodeKeyDestroyed:    {say("Too many wrong tries: the vault has destroyed its key, and no password opens this backup any more."), say("Nothing in the backup was deleted. A computer that still has the key, and the 64 digits of the recovery sheet (--key-file), open it.")},
	app.CodeRecordFrozen:    {say("The password of this backup is frozen: the vault takes no tries."), say("The 64 digits of your recovery sheet open the backup (--key-file).")},
	app.CodeWrongPassphrase: {say("That was not the passphrase."), say("The 64 digits of your recovery sheet open the backup too (--key-file).")},
	app.CodeRecoveryLine:    {say("Line {line} of the recovery key has a typing error.", "The recovery key has a typing error."), say("Compare it with the recovery sheet, digit by digit.")},
	app.CodeRecoveryShort:   {say("The recovery key is too short: it has 64 digits, in 8 lines of 8."), say("Is the last line missing?")},
	app.CodeRecoveryLong:    {say("The recovery key is too long: it has 64 digits, in 8 lines of 8."), say("Was a line typed twice?")},
	app.CodeRecoveryDigit:   {say("Line {line} of the recovery key has a character that is no digit (0-9, a-f).", "The recovery key has a character that is no digit (0-9, a-f)."), say("Compare it with the recovery sheet.")},
	app.CodeWrongKey:        {say("This key does not open this backup."), say("It is typed right, but it may belong to another backup.")},
	app.CodeKeyOfOther:      {say("This key is correct, but for a different backup, made {made} on {computer}.", "This key is correct, but for a different backup, made on {computer}.", "This key is correct, but for a different backup."), say("Look for the recovery sheet of this backup.")},
	app.CodeNoSuchWay:       {say("This backup does not open that way."), say("'coffer open' with --password-file, --passphrase-file or --key-file: the 64 digits open every backup.")},

	app.CodeVaultElsewhere:     {say("The password of this backup is in the vault on {computer}, and cannot be tried here. No try was used.", "The password of this backup is in the vault on another computer, and cannot be tried here. No try was used."), say("Open it on that computer, or here with the 64 digits of your recovery sheet (--key-file).")},
	app.CodeVaultOffline:       {say("The vault does not answer. No try was used."), say("Try again later, or use the 64 digits of your recovery sheet (--key-file).")},
	app.CodeVaultIdentity:      {say("The vault is not the one that keeps this password. Coffer stopped before sending anything."), say("Do not go on before you know why. The 64 digits of your recovery sheet open the backup without a vault (--key-file).")},
	app.CodeVaultBusy:          {say("Another program is using the vault on this computer. No try was used."), say("Close it and try again.")},
	app.CodeVaultTrouble:       {say("The vault had trouble and could not answer."), say("Try again. The 64 digits of your recovery sheet open the backup without a vault (--key-file).")},
	app.CodeOutcomeUnknown:     {say("The vault's answer was lost: the try may have been counted."), say("'coffer vault status' says how many tries are left.")},
	app.CodeVaultLink:          {say("This is not the link of a vault."), say("It begins with coffer-vault:// and ends with the key after #. Ask whoever runs the vault for the whole of it.")},
	app.CodeVaultSecondSigner:  {say("What the vault says of itself lacks the second signature that its link wants. Coffer stopped before sending anything."), say("Ask whoever signs for it second. Do not go on before you know why.")},
	app.CodeVaultExpired:       {say("What the vault says of itself has expired, or this computer's clock is wrong. Coffer stopped before sending anything."), say("Look at the clock first. Then ask whoever runs the vault to renew its bundle: 'coffer-vault bundle --renew'.")},
	app.CodeVaultOlder:         {say("The vault shows an older state of itself than this computer has seen. Coffer stopped before sending anything."), say("Somebody may have put an old copy back, or stands in between. Do not go on before you know why.")},
	app.CodeVaultRolledBack:    {say("The vault has forgotten what it knew of this password: an old copy of its store was put back. No password was sent."), say("Tries may have come back with it. Ask whoever runs the vault: one that rightly goes on from a copy says so itself ('coffer-vault backup', 'recover-epoch'), and then Coffer goes on. If nobody can explain it, take the password elsewhere, which asks this vault for nothing: 'coffer vault move LINK', or with a new one 'coffer password change --vault LINK'.")},
	app.CodeVaultEvidence:      {say("The vault's hardware did not prove that it counts the tries. No password was sent."), say("Do not go on before you know why. The 64 digits of your recovery sheet open the backup without a vault (--key-file).")},
	app.CodeVaultInvitation:    {say("This vault takes new records only from those it has invited."), say("Ask whoever runs it for a link with an invitation.")},
	app.CodeVaultInvitationBad: {say("The invitation in this link was used before, or has expired."), say("Ask whoever runs the vault for a new one.")},
	app.CodeVaultSignIn:        {say("This vault wants a sign-in before it takes a new record."), say("Run the command where a browser can be opened.")},
	app.CodeVaultSignInRefused: {say("The vault did not accept the sign-in."), say("Sign in with the account that whoever runs the vault knows. Nothing was changed.")},
	app.CodeVaultSignInFailed:  {say("The sign-in in the browser did not come to its end."), say("Nothing was changed. Try again.")},
	app.CodeVaultFull:          {say("The hardware of the vault has no room for another key."), say("Nothing was changed. Ask whoever runs the vault, or choose another one.")},
	app.CodeVaultQuota:         {say("This account has as many records in the vault as it may."), say("'coffer vault leave', in another backup, makes room; or ask whoever runs the vault.")},
	app.CodeVaultLimit:         {say("The vault has too many requests, and asks to wait until {until}. No try was used.", "The vault has too many requests, and asks to wait. No try was used."), say("Try again later.")},
	app.CodeVaultSerial:        {say("Somebody else tries the password at this moment. No try was used."), say("If that is nobody you know, see 'coffer vault log'.")},
	app.CodeVaultUnarmed:       {say("The vault's hardware waits for the owner of the backup before it takes a try. No try was used."), say("Run 'coffer vault reset' on a computer that has the key, or use the 64 digits of your recovery sheet (--key-file).")},
	app.CodeVaultSame:          {say("The password is in this vault already."), say("Nothing was changed.")},
	app.CodeNoOtherWay:         {say("Without its password nobody could be sure to open this backup again."), say("Save the recovery sheet and prove it first: 'coffer key sheet FILE.pdf', then 'coffer key verify'.")},

	app.CodePlaceMissing:     {say("There is no backup place at {place}.", "The place of the backup is not there."), say("Is the disk plugged in, and the path or address right?")},
	app.CodePlaceNotFolder:   {say("{place} is not a folder.", "The place is not a folder."), say("Choose a folder for the backup.")},
	app.CodePlaceOffline:     {say("{place} does not answer.", "The place of the backup does not answer."), say("Is the disk plugged in, or the network there? The next backup goes on from here.")},
	app.CodePlaceDenied:      {say("Coffer may not use {place}.", "Coffer may not use the place of the backup."), say("Its owner must allow you to read and write there.")},
	app.CodePlaceReadOnly:    {say("{place} is read-only: nothing can be stored there.", "The place is read-only: nothing can be stored there."), say("Make it writable, or choose another place.")},
	app.CodePlaceFull:        {say("{place} is full.", "The place of the backup is full."), say("Free some space there. Nothing is lost: the next backup goes on from here.")},
	app.CodePlaceForeign:     {say("{place} is not a Coffer backup.", "The place is not a Coffer backup."), say("Look for the folder that holds a README.txt and files named pack-... and snap-...")},
	app.CodePlaceTaken:       {say("There is a Coffer backup in {place} already.", "There is a Coffer backup in this place already."), say("Join it with 'coffer open --from PLACE', or choose another folder. Nothing was changed.")},
	app.CodePlaceOther:       {say("{place} holds another backup than the one of this profile.", "The place holds another backup than the one of this profile."), say("Was another disk plugged in? Nothing was changed.")},
	app.CodePlaceInSource:    {say("The place {place} lies inside a folder that is backed up.", "The place lies inside a folder that is backed up."), say("Choose a place outside, best on another disk.")},
	app.CodePlaceUnsupported: {say("This version of Coffer cannot use a place of the kind {scheme}.", "This version of Coffer cannot use a place of this kind."), say("'coffer help places' lists the kinds.")},
	app.CodePlaceMany:        {say("There are several backups in this place."), say("Say which: --repository ID.")},

	app.CodePlaceSignIn:        {say("The sign-in to {place} has ended: {account}.", "The sign-in to {place} has ended, or its password is wrong.", "The sign-in to the place has ended, or its password is wrong."), say("Sign in again: 'coffer place sign-in', or 'coffer place change' with the new password. Nothing is lost: the next backup goes on from here.")},
	app.CodePlaceAccount:       {say("{place} belongs to the account {account}, and another one is signed in.", "The place belongs to another account than the one that is signed in."), say("Sign in with the account of the backup. Nothing was changed.")},
	app.CodePlacePermission:    {say("Coffer was not allowed to keep files there."), say("Sign in again, and tick the box that lets Coffer see and create its own files.")},
	app.CodePlaceClient:        {say("The Google client is not usable."), say("It is the JSON that Google's console gives for a client of the type 'Desktop app', and it must still exist there: see docs/places.md.")},
	app.CodeSignInRefused:      {say("The sign-in was refused in the browser."), say("Nothing was changed. Try again when you want to allow it.")},
	app.CodeSignInTimeout:      {say("Nobody finished the sign-in in the browser."), say("Nothing was changed. Try again.")},
	app.CodePlaceTrashed:       {say("The folder {place} is in the trash of the service.", "The folder of the backup is in the trash of the service."), say("'coffer place restore-folder' takes it out again. Services empty their trash after about 30 days.")},
	app.CodePlaceLimit:         {say("{place} takes nothing more before {until}: a limit of the service is used up.", "The place takes nothing more for now: a limit of the service is used up."), say("Nothing is lost: the next backup goes on from here.")},
	app.CodePlaceHostKey:       {say("The key of the server {host} has changed: it is {offered} now, and {known} is known.", "The key of the server {host} has changed.", "The key of the server has changed."), say("Coffer stopped before sending anything. Ask whoever runs the server; only if the new key is right: 'coffer place change' with --host-key.")},
	app.CodePlaceNewHost:       {say("The server {host} is not known yet. Its key is {offered}", "The server is not known yet."), say("Compare it with what whoever runs the server tells you. If it is right, give it: --host-key SHA256:...")},
	app.CodePlaceCertificate:   {say("The certificate of {host} is refused: {reason}.", "The certificate of {host} is refused.", "The certificate of the server is refused."), say("Coffer stopped before sending anything. Is the address right? A server with a certificate of its own needs --pin, or 'coffer network --ca-file'.")},
	app.CodePlaceClock:         {say("{place} refuses requests because this computer's clock is wrong.", "The place refuses requests because this computer's clock is wrong."), say("Set the clock, and try again.")},
	app.CodePlaceArchived:      {say("Objects in {place} were moved to cold storage, and have to be thawed before they can be read.", "Objects were moved to cold storage, and have to be thawed before they can be read."), say("Thaw them at the service; and keep lifecycle rules away from this bucket.")},
	app.CodePlaceNoLock:        {say("{place} cannot lock objects.", "The place cannot lock objects."), say("Object lock is chosen when a bucket is made. Make a new one with object lock, or leave --lock-days away.")},
	app.CodePlaceWaiting:       {say("{place} has to download a part of the backup to this computer first.", "A part of the backup has to be downloaded to this computer first."), say("The download was asked for. Try again in a while.")},
	app.CodePlaceNoICloud:      {say("There is no iCloud Drive on this computer."), say("On Linux, give the path of a folder that was downloaded, or use rclone. On a Mac or a PC, switch iCloud Drive on.")},
	app.CodePlaceNoProgram:     {say("The program rclone is not installed."), say("Install it (https://rclone.org), then try again.")},
	app.CodePlaceNoRemote:      {say("rclone does not know the remote of {place}.", "rclone does not know this remote."), say("'rclone listremotes' lists those that are set up, 'rclone config' makes one.")},
	app.CodePlaceUseDrive:      {say("Google Drive is not used through rclone."), say("Give drive:FOLDER as the place: Coffer speaks to Google Drive itself.")},
	app.CodePlaceKeyPassphrase: {say("The private key for {place} is locked by a passphrase.", "The private key is locked by a passphrase."), say("Give it in a file: --ssh-passphrase-file FILE, or add the key to your SSH agent.")},
	app.CodePlaceSecret:        {say("What opens {place} is not on this computer: its password, key or sign-in is missing.", "A password, a key or a sign-in for the place is missing."), say("Give it with the command, or 'coffer place change'. 'coffer help places' lists what each kind of place wants.")},
	app.CodePlaceAddress:       {say("{place} does not name a place.", "This does not name a place."), say("'coffer help places' shows how each kind is written. A password is never part of it.")},
	app.CodePlacePlain:         {say("The connection to {place} would not be encrypted.", "The connection to this place would not be encrypted."), say("Use https. In a network of your own, --allow-plain takes http all the same: others there then see the names and sizes of objects, never what is in them.")},
	app.CodePlaceLast:          {say("This is the only place of the backup, and stays."), say("Add another one first: 'coffer place add'.")},
	app.CodePlaceUnknown:       {say("{place} is none of the places of this backup.", "This is none of the places of this backup."), say("'coffer place list' lists them.")},
	app.CodePlaceKnown:         {say("{place} is one of the places of this backup already.", "This is one of the places of this backup already."), say("Nothing was changed.")},
	app.CodeMetered:            {say("The network costs by the byte, so {place} has to wait.", "The network costs by the byte, so the backup waits."), say("'coffer backup --anyway' does not wait, 'coffer network --metered go-on' never does.")},
	app.CodeProxy:              {say("The proxy refused the connection."), say("'coffer network' shows and sets the proxy, and asks for its password.")},

	app.CodeFormatNewer:   {say("This was written by a newer version of Coffer."), say("Install the newest version and try again. Nothing was changed.")},
	app.CodeObjectDamaged: {say("The backup is damaged: the object {object} is not what was stored.", "The backup is damaged: an object is not what was stored."), say("'coffer check --read-data' names everything that is affected. Other files can still be restored.")},
	app.CodeObjectMissing: {say("The backup is damaged: the object {object} is missing.", "The backup is damaged: an object is missing."), say("'coffer check' names everything that is affected. Other files can still be restored.")},
	app.CodeDamaged:       {say("The backup is damaged."), say("'coffer check --read-data' names everything that is affected. Other files can still be restored.")},
	app.CodeRollback:      {say("The place shows an older state of the backup than was seen before: the newest backup of {computer}, of {until}, is gone.", "The place shows an older state of the backup than this computer has seen: newer backups are gone."), say("Do not go on before you know why: was an old copy of the disk put back?")},

	app.CodeSourceMissing:    {say("{path} is not there, so it could not be backed up.", "A folder to back up is not there."), say("Is a disk missing, or was it moved?")},
	app.CodeSourceUnreadable: {say("{path} could not be read.", "A folder to back up could not be read."), say("May you read it? 'ls -ld' on it says.")},
	app.CodeNoSources:        {say("There is nothing chosen to back up."), say("Name folders: 'coffer backup FOLDER...', or 'coffer setup ... FOLDER...' for every time.")},

	app.CodeNoSnapshot: {say("There is no snapshot {snapshot}.", "There is no such snapshot."), say("'coffer snapshots' lists them; 'latest' names the newest.")},
	app.CodeAmbiguous:  {say("More than one snapshot begins with {snapshot}.", "More than one snapshot begins like that."), say("Give more of its digits; 'coffer snapshots' lists them.")},
	app.CodeNoPath:     {say("There is no {path} in this snapshot.", "There is no such path in this snapshot."), say("'coffer ls' and 'coffer find' show what there is.")},

	app.CodeTargetInSource:  {say("The target lies inside a folder that is backed up."), say("Choose a target outside, or the next backup would store the restored files again.")},
	app.CodeTargetInPlace:   {say("The target {path} lies in a place that keeps the backup.", "The target lies in a place that keeps the backup."), say("Choose a target outside of it.")},
	app.CodeTargetNotEmpty:  {say("The target {path} is not empty.", "The target is not empty."), say("Say what happens to files that are there: --on-conflict keep-both, keep-newer, replace or skip.")},
	app.CodeTargetFull:      {say("The target is full."), say("Free some space; the same command goes on from here.")},
	app.CodeTargetDenied:    {say("Coffer may not write to {path}.", "Coffer may not write to the target."), say("Choose another target, or have its owner allow it.")},
	app.CodeTargetNotFolder: {say("The target {path} is not a folder.", "The target is not a folder."), say("Choose a folder.")},

	app.CodeDisk:     {say("This computer's disk had trouble with {path}.", "This computer's disk had trouble."), say("Is it full, or failing? Try again with --verbose to see the details.")},
	app.CodeInternal: {say("Something went wrong that Coffer has no words for."), say("Try again with --verbose to see the details.")},
}

// complain makes what people read from a failure; err is for --verbose.
func complain(f app.Failure, err error) complaint {
	m, ok := messages[f.Code]
	if !ok {
		m = messages[app.CodeInternal]
	}
	return complaint{
		code: f.Code, says: fill(m.says, f.Args), advice: fill(m.advice, f.Args),
		path: f.Args["path"], details: err,
	}
}

// fill returns the first variant whose arguments are all known, with them in place.
func fill(variants []string, args map[string]string) string {
	for _, v := range variants {
		if text, ok := fillOne(v, args); ok {
			return text
		}
	}
	return ""
}

func fillOne(text string, args map[string]string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		name, after, _ := strings.Cut(rest, "}")
		value := args[name]
		if value == "" {
			return "", false
		}
		b.WriteString(argText(name, value))
		text = after
	}
}

// argText writes an argument the way people say it. Moments come in RFC 3339.
func argText(name, value string) string {
	switch name {
	case "tries":
		if n, err := strconv.Atoi(value); err == nil {
			return triesText(n)
		}
	case "until":
		if t, err := time.Parse(time.RFC3339, value); err == nil {
			return dateText(t)
		}
	case "made", "since":
		if t, err := time.Parse(time.RFC3339, value); err == nil {
			return dayText(t)
		}
	}
	return printable(value)
}

// triesText says what is left of the budget of tries.
func triesText(n int) string {
	switch {
	case n == 1:
		return "1 try is left: if it is wrong, the vault destroys its key for good."
	case n <= 0:
		return "No try is left."
	}
	return fmt.Sprintf("%d tries are left.", n)
}

// passwordProblems says why a new password is not taken: the sentences of the codes that
// a file with the same password would end in.
var passwordProblems = map[app.PasswordProblem]app.Code{
	app.PasswordTooShort:   app.CodePasswordShort,
	app.PasswordCommon:     app.CodePasswordCommon,
	app.PasswordWeak:       app.CodePasswordWeak,
	app.PasswordCharacters: app.CodePasswordBad,
}

func passwordProblem(lock app.LockKind, problem app.PasswordProblem) string {
	if problem == app.PasswordTooLong {
		return "That is too long: 1,000 characters are enough for anybody."
	}
	code, ok := passwordProblems[problem]
	if lock == app.LockPassphrase && problem != app.PasswordCharacters || !ok {
		code = app.CodePassphraseWeak
	}
	c := complain(app.Failure{Code: code}, nil)
	return c.says + " " + c.advice
}

// passwordWarning says what is odd about a password that is taken all the same.
func passwordWarning(code string) string {
	switch code {
	case "leading-space":
		return "It begins with a space, which is easily overlooked."
	case "trailing-space":
		return "It ends with a space, which is easily overlooked."
	}
	return "It has something unusual about it: " + printable(code) + "."
}

// notices has a sentence for every notice of package app.
var notices = map[app.NoticeCode][]string{
	app.NoticeKeyInFile:      say("The key is kept in the file {path}: whoever can read that file can open the backup.", "The key is kept in a file of the profile: whoever can read it can open the backup."),
	app.NoticeKeyNotKept:     say("The key could not be kept on this computer: each command will need --password-file, --passphrase-file or --key-file."),
	app.NoticeVaultHere:      say("The vault is on this computer ({computer}): if it is lost, the password is lost with it. Your recovery sheet still opens the backup.", "The vault is on this computer: if it is lost, the password is lost with it. Your recovery sheet still opens the backup."),
	app.NoticeVaultServer:    say("The vault is run by {name} ({address}). When it does not answer, the password opens nothing; your recovery sheet still does.", "The vault is on a network. When it does not answer, the password opens nothing; your recovery sheet still does."),
	app.NoticeVaultSoftware:  say("It is a software vault: whoever runs it, or gets hold of its disks together with your backup, can guess the password without limit."),
	app.NoticeVaultWaiting:   say("The vault that was left ({name}) did not answer, and still has its record. Coffer asks it again after each backup.", "The vault that was left did not answer, and still has its record. Coffer asks it again after each backup."),
	app.NoticeOldPlace:       say("The place shows less than the vault knows of: the newest backup of {computer}, of {until}, is gone. Do not go on before you know why.", "The place shows less than the vault knows of: newer backups are gone. Do not go on before you know why."),
	app.NoticeSheetNotProven: say("The recovery sheet is not saved and proven yet: 'coffer key sheet FILE.pdf' makes it, 'coffer key verify' proves it."),
	app.NoticeNoReadme:       say("The place has a README.txt that is not Coffer's. It stays as it is, and the backup works without its own."),
	app.NoticeForeignFiles:   say("There are other files in the place ({count}). They stay as they are.", "There are other files in the place. They stay as they are."),
	app.NoticeOldHead:        say("The place has newer headers that this key did not make. If nobody changed the password lately, find out why."),
	app.NoticePlaceJoined:    say("{place} held this backup already: its snapshots are kept.", "The place held this backup already: its snapshots are kept."),
	app.NoticeVaultForgotten: say("An earlier set-up that was not finished left a record in the vault. It opens nothing."),
}

// sayNotices tells what the user should know of something that worked.
func (p *program) sayNotices(list []app.Notice) {
	if p.console.json {
		return // the summary carries their codes
	}
	for _, n := range list {
		if text := fill(notices[n.Code], n.Args); text != "" {
			p.console.note("Note: %s", text)
		}
	}
}

func noticeCodes(list []app.Notice) []app.NoticeCode {
	codes := make([]app.NoticeCode, 0, len(list))
	for _, n := range list {
		codes = append(codes, n.Code)
	}
	return codes
}
