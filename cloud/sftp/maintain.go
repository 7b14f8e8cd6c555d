package sftp

import (
	"context"
	"fmt"

	"coffer/cloud"
)

// leftOverAge is when a temporary file belongs to nobody any more, in seconds. A day
// covers a 16 MiB pack on any line that is worth using.
const leftOverAge = 24 * 60 * 60

// Maintain implements [cloud.Maintainer]: it removes temporary files that are
// older than a day by the server's own clock, which a new file shows.
func (d *Driver) Maintain(ctx context.Context) (tidied int, err error) {
	v, err := d.enter(ctx)
	if err != nil {
		return 0, settle(ctx, err)
	}
	defer v.leave()
	tidied = d.clean(ctx, v)
	swept, err := d.sweep(ctx, v)
	return tidied + swept, settle(ctx, err)
}

func (d *Driver) sweep(ctx context.Context, v *visit) (int, error) {
	now, err := d.clock(ctx, v)
	if err != nil {
		return 0, fmt.Errorf("ask for the time: %w", err)
	}
	var old []string
	err = d.walk(ctx, v, func(e entry) (bool, error) {
		if isTemp(e.name) && e.regular() && e.has&hasTimes != 0 && e.time < now && now-e.time > leftOverAge {
			old = append(old, e.name)
		}
		return len(old) < maxSwept, nil
	})
	if err != nil {
		return 0, err
	}
	for i, temp := range old {
		err := v.about(ctx, kindRemove, d.at(temp))
		if err != nil && !isCode(err, codeNoSuchFile) {
			return i, fmt.Errorf("remove left-over: %w", err)
		}
	}
	return len(old), nil
}

// maxSwept is how many left-overs are removed in one go; the next call goes on.
const maxSwept = 10_000

// clock returns the time of the server, in seconds since 1970: that of a file which
// was just written.
func (d *Driver) clock(ctx context.Context, v *visit) (uint32, error) {
	temp := d.temp(v)
	defer d.discard(ctx, v, temp)
	if err := d.probe(ctx, v, temp, 1); err != nil {
		return 0, err
	}
	a, err := v.lstat(ctx, d.at(temp))
	if err != nil {
		return 0, err
	}
	if a.has&hasTimes == 0 {
		return 0, fmt.Errorf("%w: the server does not tell times", cloud.ErrUnsupported)
	}
	return a.time, nil
}
