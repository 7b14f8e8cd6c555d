// Package repo is the repository format, docs/format.md: how files become
// opaque objects and objects become files again.
//
// Words: a chunk is a piece of content, named by a keyed hash. A segment is one
// or many chunks, compressed together and sealed once. A pack is an object that
// holds segments. An index is an object that says which chunk lies in which
// pack. A tree is the folders and files of a snapshot, kept as pages of entries,
// which are chunks too. A snapshot is one backup. A head says which ways in a
// repository has.
//
// Objects are written once and never changed, and a snapshot is written after
// all that it needs. So there is nothing to lock and nothing to repair: what an
// interrupted backup left behind is either found by its footer and used, or
// harmless. Everything read is hostile until it has been opened, parsed strictly
// and bounded.
//
// The package knows no file systems and no people; package app joins them.
package repo
