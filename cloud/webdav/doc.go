// Package webdav keeps objects in a folder of a WebDAV server: Nextcloud,
// ownCloud, Apache, a NAS, and many more.
//
// The words:
//
//   - The address is that of the folder, https://HOST[:PORT]/PATH/, without a
//     user; see [ParseAddress]. A folder is what WebDAV calls a collection.
//   - An upload is a file of a name that is no object's, "coffer-upload-" and 32
//     hex digits. It gets the object's name when all of it is there, see
//     [Driver.Put]. One whose program died is a left-over, see [Driver.Maintain].
//   - A challenge is what a server sends with a 401: how it wants to be signed in
//     to. Basic sends the password, Digest proves that it is known.
//   - The folder's own path is what the server calls the folder in its listings.
//     Behind a proxy that is often not the path of the address.
//
// Servers differ in more than they agree on, so nothing is taken on trust that
// can be looked at: an upload's size is asked for before it gets its name, a
// range must be the one that was asked for, a listing must have an end and must
// be of this folder. A page of HTML where an object or a listing should be is
// somebody else talking: the sign-in page of a hotel, a proxy.
//
// What is not promised, and why. Of many writers of one name it is usual, but not
// sure, that one wins: RFC 4918 wants "Overwrite: F" refused where the name is
// taken, but Apache looks first and renames then. Of 200 races of 16 writers at
// once, 73 had more than one winner. And listings may be late where a service is
// many computers. Neither matters to objects that are named by their hash.
//
// Nothing here depends on locks, on dates of this computer's clock, or on
// properties that a server would have to keep.
//
// Sources: RFC 4918 (WebDAV), RFC 4331 (quota), RFC 9110 (HTTP; ranges,
// challenges), RFC 7617 (Basic), RFC 7616 (Digest), RFC 9530 (digest fields).
package webdav
