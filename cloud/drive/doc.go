// Package drive keeps objects in a folder of Google Drive.
//
// The words:
//
//   - The place is a visible folder of the user's Drive, "Coffer Backups" or
//     another name, known again by a private property (appProperties) and not by
//     its name or where it lies: the user may rename and move it.
//   - A file is Drive's: it has an id, and a name that need not be unique. An
//     object is the file of its name that counts, see [Driver].
//   - A session is an upload under way. Its address is a secret: who has it may
//     write the file, for a week, without signing in.
//   - The journal is what outlives the process: for each upload its id and its
//     session, so that a killed program goes on at the byte.
//   - The client is what Google calls the program: an id and a "secret" that
//     is none (RFC 8252, section 8.5). Users can bring their own.
//   - The account is whose Drive it is. A place belongs to one account.
//
// Why an uploader of our own: the one of google.golang.org/api gives up when
// Drive asks to slow down by a 403, cannot go on after a restart, ignores that a
// chunk may be kept in part, and leaves two files after an answer that was lost.
// Here each file gets its id before the first byte is sent, so a repeated upload
// is refused by Drive itself (409), and then looked at and compared.
//
// The permission asked for is drive.file: files that this client made, and no
// others. The hidden appDataFolder is never used, for Google deletes it when the
// user disconnects the program.
//
// Sources: Drive API v3 reference, "Resumable uploads" and "Handle errors" of
// its guides, as in the discovery document of google.golang.org/api; RFC 6749
// (OAuth 2.0), RFC 7636 (PKCE), RFC 8252 (native programs).
package drive
