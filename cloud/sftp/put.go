package sftp

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"coffer/cloud"
)

const (
	tempPrefix = ".coffer-tmp-" // as in every folder of ours
	tempDigits = 16
	// farewell is how long cleaning up may take after a failure. It is shorter
	// than what a Store waits for a request that it has cancelled.
	farewell = 3 * time.Second
	// maxLitter bounds what is remembered of files that could not be removed;
	// what is forgotten is found by Maintain.
	maxLitter = 256
)

// Put implements [cloud.Driver].
func (d *Driver) Put(ctx context.Context, name string, src cloud.Source) error {
	v, err := d.enter(ctx)
	if err != nil {
		return settle(ctx, err)
	}
	defer v.leave()
	return settle(ctx, d.put(ctx, v, name, src))
}

func (d *Driver) put(ctx context.Context, v *visit, name string, src cloud.Source) error {
	there, err := d.holds(ctx, v, name, src)
	if err != nil || there {
		return err
	}
	d.clean(ctx, v)
	how, err := d.method(ctx, v)
	if err != nil {
		return err
	}
	temp, err := d.stage(ctx, v, src)
	if err != nil {
		return err
	}
	refusal := d.publish(ctx, v, how, temp, name) // COMMIT
	if refusal == nil {
		return nil
	}
	d.discard(ctx, v, temp)
	if !isRefusal(refusal) {
		return refusal
	}
	// The name is taken: another writer was faster. Or there is another reason.
	if there, err = d.holds(ctx, v, name, src); err != nil || there {
		return err
	}
	return fmt.Errorf("publish: %w", d.explain(ctx, v, d.folder, 0, refusal))
}

// holds reports whether name has the bytes of src already. Other bytes, or
// something that is not a file, are ErrExists.
func (d *Driver) holds(ctx context.Context, v *visit, name string, src cloud.Source) (bool, error) {
	a, err := v.lstat(ctx, d.at(name))
	if isCode(err, codeNoSuchFile) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for object: %w", err)
	}
	if size, ok := a.bytes(); !ok || !a.regular() || size != src.Size() {
		return false, cloud.ErrExists
	}
	sum := sha256.New()
	r := d.reader(ctx, v, d.at(name), 0, src.Size(), nil)
	_, err = io.Copy(sum, r)
	_ = r.Close() // nothing is lost with a handle for reading
	if errors.Is(err, cloud.ErrNotFound) {
		return false, nil // deleted since
	}
	if err != nil {
		return false, fmt.Errorf("read back: %w", err)
	}
	if [32]byte(sum.Sum(nil)) != src.SHA256() {
		return false, cloud.ErrExists
	}
	return true, nil
}

// stage writes and flushes src under a temporary name, or leaves nothing.
func (d *Driver) stage(ctx context.Context, v *visit, src cloud.Source) (temp string, err error) {
	temp = d.temp(v)
	handle, err := v.open(ctx, d.at(temp), openWrite|openCreate|openExcl)
	if err != nil {
		if !isRefusal(err) {
			d.leaveBehind(temp) // it may have been made
		}
		if isCode(err, codeNoSuchFile) {
			return "", d.gone(ctx, v)
		}
		return "", fmt.Errorf("open temporary file: %w", d.explain(ctx, v, d.folder, src.Size(), err))
	}
	err = d.fill(ctx, v, handle, src)
	if err == nil {
		err = v.about(ctx, kindClose, handle) // some file systems report the failed write only now
		handle = ""
	}
	if err == nil {
		err = measure(ctx, v, d.at(temp), src.Size())
	}
	if err == nil {
		return temp, nil
	}
	if isRefusal(err) {
		err = d.explain(ctx, v, d.folder, src.Size(), err)
	}
	d.abandon(ctx, v, handle, temp)
	return "", fmt.Errorf("write temporary file: %w", err)
}

// measure requires that path has size bytes.
func measure(ctx context.Context, v *visit, path string, size int64) error {
	a, err := v.lstat(ctx, path)
	if err != nil {
		return err
	}
	if has, ok := a.bytes(); !ok || has != size {
		return fmt.Errorf("%w: the server kept %d of %d bytes", cloud.ErrChecksum, has, size)
	}
	return nil
}

// fill writes src to the handle and flushes it, if its bytes are the promised ones.
func (d *Driver) fill(ctx context.Context, v *visit, handle string, src cloud.Source) error {
	sum := sha256.New()
	if err := send(ctx, v.channel, handle, src, sum); err != nil {
		return err
	}
	if [32]byte(sum.Sum(nil)) != src.SHA256() {
		return cloud.ErrChecksum
	}
	return d.flush(ctx, v, handle)
}

// send writes all of src, many pieces at once, and adds them to sum.
func send(ctx context.Context, c *channel, handle string, src cloud.Source, sum hash.Hash) error {
	var line []*ticket
	defer func() {
		for _, t := range line {
			c.giveUp(t)
		}
	}()
	size, ahead := src.Size(), window/c.writePiece
	for off := int64(0); off < size || len(line) > 0; {
		if off < size && len(line) < ahead {
			n := int(min(int64(c.writePiece), size-off))
			t, err := sendPiece(ctx, c, handle, src, sum, off, n)
			if err != nil {
				return err
			}
			line = append(line, t)
			off += int64(n)
			continue
		}
		r, err := c.finish(ctx, line[0])
		line = line[1:]
		if err != nil {
			return err
		}
		if err := c.checked(r.status()); err != nil {
			return err
		}
		alive(src)
	}
	return ctx.Err()
}

// alive tells whoever watches the source that the transfer moves: what is under way at
// once takes minutes on a slow line, and all of it has been read long before it arrives.
func alive(src io.ReaderAt) {
	var b [1]byte
	_, _ = src.ReadAt(b[:], 0)
}

// sendPiece reads n bytes of src right into the packet that takes them there.
func sendPiece(ctx context.Context, c *channel, handle string, src io.ReaderAt, sum hash.Hash, off int64, n int) (*ticket, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	head := lengthWord + 1 + 4 + 4 + len(handle) + 8 + 4
	packet := c.buffer(head + n)[:head+n]
	if got, err := src.ReadAt(packet[head:], off); got < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read source: %w", err)
	}
	sum.Write(packet[head:])
	return c.begin(ctx, func(id uint32) []byte {
		appendWriteHeader(packet[:0], id, handle, off, n)
		return sealed(packet)
	})
}

// publish gives temp its name. A refusal means: not done, perhaps because the
// name is taken.
func (d *Driver) publish(ctx context.Context, v *visit, how way, temp, name string) error {
	from, to := d.at(temp), d.at(name)
	switch how {
	case byLink:
		if err := v.link(ctx, from, to); err != nil {
			return err
		}
		d.discard(ctx, v, temp) // done already: what happens to temp changes nothing
		return nil
	case byRename:
		return v.rename(ctx, from, to)
	}
	// The server's rename replaces. Whole objects matter more than one winner, so
	// rename after a look; within this process the turnstile makes it exclusive.
	if err := d.loose.enter(ctx); err != nil {
		return err
	}
	defer d.loose.leave()
	switch _, err := v.lstat(ctx, to); {
	case err == nil:
		return &statusError{codeExists}
	case !isCode(err, codeNoSuchFile):
		return err
	}
	return v.rename(ctx, from, to)
}

// temp returns a new temporary name. It needs no secrecy, for the file is made
// exclusively; the id of the SSH session keeps computers apart.
func (d *Driver) temp(v *visit) string {
	seed := binary.BigEndian.AppendUint64(v.home.client.SessionID(), d.counter.Add(1))
	sum := sha256.Sum256(seed)
	return tempPrefix + hex.EncodeToString(sum[:])[:tempDigits]
}

// isTemp reports whether name is that of an upload under way, or of one that died.
func isTemp(name string) bool {
	digits, ok := strings.CutPrefix(name, tempPrefix)
	return ok && len(digits) == tempDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// abandon closes the handle, if it is open, and removes the file. It is done even
// when the operation was cancelled, but not for long.
func (d *Driver) abandon(ctx context.Context, v *visit, handle, temp string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if handle != "" {
		// First this: some systems do not remove what is open. If it fails,
		// removing is still worth a try.
		_ = v.about(ctx, kindClose, handle)
	}
	d.discard(ctx, v, temp)
}

// discard removes a temporary file, or remembers that it is still to be removed.
func (d *Driver) discard(ctx context.Context, v *visit, temp string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	err := v.about(ctx, kindRemove, d.at(temp))
	if err != nil && !isCode(err, codeNoSuchFile) {
		d.leaveBehind(temp)
	}
}

func (d *Driver) leaveBehind(temp string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.litter) < maxLitter {
		d.litter = append(d.litter, temp)
	}
}

// clean removes what earlier operations had to leave behind when their link
// broke, and returns how many files.
func (d *Driver) clean(ctx context.Context, v *visit) int {
	d.mu.Lock()
	litter := d.litter
	d.litter = nil
	d.mu.Unlock()
	removed := 0
	for i, temp := range litter {
		err := v.about(ctx, kindRemove, d.at(temp))
		switch {
		case err == nil:
			removed++
		case !isRefusal(err):
			for _, rest := range litter[i:] {
				d.leaveBehind(rest)
			}
			return removed
		case !isCode(err, codeNoSuchFile):
			d.leaveBehind(temp)
		}
	}
	return removed
}

// Delete implements [cloud.Driver].
func (d *Driver) Delete(ctx context.Context, name string) error {
	v, err := d.enter(ctx)
	if err != nil {
		return settle(ctx, err)
	}
	defer v.leave()
	return settle(ctx, d.remove(ctx, v, name))
}

func (d *Driver) remove(ctx context.Context, v *visit, name string) error {
	a, err := v.lstat(ctx, d.at(name))
	if err == nil && !a.regular() {
		return nil // foreign
	}
	if err == nil {
		err = v.about(ctx, kindRemove, d.at(name))
	}
	if isCode(err, codeNoSuchFile) {
		if err = d.gone(ctx, v); errors.Is(err, cloud.ErrNotFound) {
			return nil
		}
	}
	if isRefusal(err) {
		err = d.explain(ctx, v, d.folder, noRoom, err)
	}
	return err
}
