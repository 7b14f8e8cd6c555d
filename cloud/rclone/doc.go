// Package rclone keeps objects in any of the seventy services that the user's own
// rclone reaches.
//
// The words:
//
//   - A remote is a service that the user has set up with "rclone config". It has
//     a name and a type. The place is a folder of it, NAME:PATH, as rclone writes
//     it.
//   - The child is "rclone serve webdav NAME:PATH" on this computer's loopback
//     address, with a password that it makes no use of elsewhere and that nobody
//     else knows. Package webdav speaks to it.
//
// Why this way: rclone's own configuration, sign-ins and bug fixes stay where the
// user has them, and its file holds secrets that are none of our business. It is
// never read. The password goes to the child in its environment, which only the
// same user can see, and never in its arguments, which everybody can.
//
// When a Put succeeds, the service has the object. The child runs without a cache
// of files (--vfs-cache-mode off): it sends on what it is sent, and answers when
// the service has answered; an answer before that would be a lie, and there is a
// test that holds the service back to see. Its listings are up to a minute old
// for what other devices did (--dir-cache-time). It retries nothing by itself: the
// Store above does.
//
// The child must not outlive us: a program that nobody knows of would keep the
// user's account open. On Linux the kernel ends it with us, also when we are
// killed (PR_SET_PDEATHSIG). On other Unix systems a shell between us waits for
// the end of a pipe that only we hold. On Windows the child is in a job that ends
// with its last handle.
//
// Google Drive is refused: it has a driver of its own, which knows what rclone's
// file system must hide, files of equal names above all. A remote that wraps
// another (crypt, alias) is taken for what it says it is.
//
// Oldest rclone that this was tested with: 1.60.
package rclone
