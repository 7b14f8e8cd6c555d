// Package source reads this computer: what is in a folder, what a file says
// about itself, and its bytes. It decides nothing about backups.
//
// Its words:
//
//   - A Dir is an open folder. Everything below it is reached by one name at a
//     time, so no path is ever too long, and no folder that somebody renames or
//     swaps for a link while we read can lead elsewhere.
//   - An Info is what one lstat says; two of them tell whether a file changed.
//   - An Extra is what costs more system calls: names of owner and group,
//     extended attributes.
//   - A File is an open regular file. ReadSmall reads a small one whole with
//     the fewest system calls.
//   - An Extent is a range of bytes: of data between holes, or unreadable.
//   - Rules say what is left out, in the manner of gitignore.
//   - A reason is the short English phrase of an error, for a report.
//
// Links are never followed, FIFOs never waited for, nothing is opened for
// writing, and times of last access are left alone where the system lets us.
//
// Names are raw bytes in a string, whatever their encoding. On Windows they are
// WTF-8, as package os gives them.
//
// A Dir may be used by several goroutines at once, with two exceptions: Names,
// which moves the position of the folder, and Close, which must come after the
// last use. A File has the same rule for Read and Close.
package source
