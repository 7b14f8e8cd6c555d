// Package places takes whole backups to every kind of place and back, as people do:
// with the command line as it is built, against real servers of this computer (Apache,
// OpenSSH, rclone, versitygw) and the stand-in for Google Drive.
//
// The words: a machine is a computer with a home and a profile of its own; a site is
// a place that was made for one test, with what the command line needs to reach it; a
// tree is a folder of test files, with the names, types and times that file systems
// really have; a trouble is what goes wrong with a site and comes right again.
//
// It runs on Linux, where the servers are started as Debian has them.
// COFFER_E2E_PLACES=1 makes a server that is not installed a failure, and the trees
// as large as they are meant to be. COFFER_E2E_PLACES=0 leaves all of it out: "make
// test" runs it apart. Without the variable, a server that is missing skips its test.
// COFFER_BIN names a program to test instead of one that is built from this tree.
package places
