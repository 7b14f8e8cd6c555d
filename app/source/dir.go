package source

import "slices"

// Names returns the raw names in the folder, sorted bytewise, without "." and
// "..".
func (d *Dir) Names() ([]string, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// ReadNames returns the raw names in the folder at path, sorted bytewise.
func ReadNames(path string) ([]string, error) {
	d, err := OpenDir(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Names()
}

// Lstat says what has this name in the folder at path. For more than one name
// open the folder.
func Lstat(path, name string) (Info, error) {
	d, err := OpenDir(path)
	if err != nil {
		return Info{}, err
	}
	defer d.Close()
	return d.Lstat(name)
}
