// Package target writes to this computer: it is the half of a restore that
// touches the disk.
//
// Its words:
//
//   - A Target is a folder that a restore writes below, and never outside.
//   - A Dir is an open folder in it. Every name is one path element, looked up
//     in an open folder without following links, so neither "..", nor an
//     absolute name, nor a link that was there before, that the backup itself
//     brought, or that somebody swaps in meanwhile can lead out.
//   - A temporary is a file or link on its way, named ".coffer-restore-" and 32
//     hexadecimal digits. It is complete, attributes and all, before it is
//     published under its own name in one step that never overwrites: whatever
//     kills the restore, a name has its old contents, its new ones, or none.
//   - A Policy says what happens when a name is taken; an Outcome what happened.
//   - A Meta is what a restore sets besides the contents. What this system
//     cannot take is listed in plain words (lost), never dropped silently.
//
// Names are as [SafeName] returns them: the caller calls it once for every name
// out of a backup.
//
// All methods of Target and Dir may be called by several goroutines at once, and
// so may File.WriteAt.
package target
