package source

// SkipMount reports whether the folder d must not be entered on a walk that
// began at a folder with the Info root: another file system begins here, and it
// is a pseudo one. Real ones, an external disk in the home folder say, are the
// caller's decision: d.Info().Device differs from root.Device.
func SkipMount(d *Dir, root Info) bool {
	return d.Info().Device != root.Device && d.PseudoFS()
}

// cacheTag is the beginning of CACHEDIR.TAG (bford.info/cachedir).
const cacheTag = "Signature: 8a477f597d28d172789f06886806bc55"

// IsCacheDir reports whether the folder says of itself, by a CACHEDIR.TAG with
// the right signature, that its contents can be made again.
func IsCacheDir(d *Dir) bool {
	f, err := d.OpenFile("CACHEDIR.TAG")
	if err != nil {
		return false
	}
	defer f.Close()
	var head [len(cacheTag)]byte
	n, _ := f.ReadAt(head[:], 0)
	return string(head[:n]) == cacheTag
}
