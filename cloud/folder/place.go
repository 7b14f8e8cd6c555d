package folder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"coffer/cloud"
)

// enter opens the folder for one request, if it is the one that Open saw.
func (d *Driver) enter(ctx context.Context) (*os.Root, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	root, err := openRoot(d.path)
	if isAbsent(err) {
		return nil, cloud.Final(fmt.Errorf("%w: %w", cloud.ErrOffline, err))
	}
	if err != nil {
		return nil, classify(err)
	}
	if err := d.recognise(root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// recognise reports whether root is still our folder. A disk that was unplugged
// and plugged in again has another device number, and some mounts forget inode
// numbers; then an object that was there must still be there. Names are hashes:
// no other folder has it by chance.
func (d *Driver) recognise(root *os.Root) error {
	now, err := root.Stat(".")
	if err != nil {
		return classify(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if os.SameFile(now, d.self) {
		return nil
	}
	if !d.vouched(root) && (d.witness.Name != "" || !sameDevice(now, d.self)) {
		return cloud.Final(fmt.Errorf("%w: another folder is at this path now", cloud.ErrOffline))
	}
	d.self = now
	return nil
}

// vouched reports whether the witness is in root. The caller holds mu.
func (d *Driver) vouched(root *os.Root) bool {
	if d.witness.Name == "" {
		return false
	}
	info, err := root.Lstat(d.witness.Name)
	return err == nil && info.Mode().IsRegular() && info.Size() == d.witness.Size
}

// remember makes the object the witness if it is a better one. Heads are never
// pruned, so another device does not take them away.
func (d *Driver) remember(object cloud.Object) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.witness.Name == "" || isHead(object.Name) && !isHead(d.witness.Name) {
		d.witness = object
	}
}

func (d *Driver) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.witness.Name == name {
		d.witness = cloud.Object{}
	}
}

func isHead(name string) bool { return strings.HasPrefix(name, "head-") }
