// Package icloud keeps objects in iCloud Drive, which has no interface of its
// own for programs: only a folder that the system keeps in step with the
// service.
//
// The words:
//
//   - The root is the synced folder of the user; see [Find]. The folder is ours
//     in it: one file an object, of the object's name.
//   - Staging is a folder of this computer outside the root. Objects are written
//     there and renamed in, whole: a file that grows under its final name would
//     be uploaded by halves, and a temporary one uploaded for nothing. Where the
//     two are on different file systems, a name that begins with a dot serves,
//     inside the folder.
//   - A file is absent if the system knows it but not its bytes: they are at the
//     service alone. On macOS that is a dataless file (SF_DATALESS of sys/stat.h),
//     on Windows a placeholder (FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS,
//     RECALL_ON_OPEN, OFFLINE). macOS before 14 keeps a stub instead: a property
//     list with the name ".NAME.icloud".
//   - A conflicted copy is what the sync client makes of two files of one name:
//     "NAME 2", "NAME (conflicted copy)". It has no object's name, and is left
//     alone.
//
// Reading an absent file downloads it, and takes as long as that takes; a read
// that waits for the network obeys no context. So everything that touches the
// folder happens in a worker (worker.go), which is left behind when it takes too
// long: [cloud.ErrWaiting]. The download goes on, and the next try finds the
// file. A stub is not downloaded by reading it; opening the name that it stands
// for does that on systems that know both, and on others nothing but Finder,
// which cannot be asked without Objective-C: then the user has to.
//
// What has been renamed in has not been uploaded. Whether it has, Windows knows
// (the in-sync state of the Cloud Files API). macOS says so by keys of NSURL,
// which again need Objective-C, so that all that can be said there is: an absent
// file is at the service, for where else would it be; of all others it is
// unknown. A full iCloud account shows nowhere at all, except that nothing
// arrives.
//
// Linux has no such folder: [cloud.ErrNoSync].
package icloud
