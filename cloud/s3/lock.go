package s3

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"

	"coffer/cloud"
)

// Retain implements [cloud.Locker], in compliance mode. Of an object that
// somebody hid or covered it locks the version with the right bytes.
func (d *Driver) Retain(ctx context.Context, name string, until time.Time) error {
	p, err := d.enter(ctx)
	if err != nil {
		return err
	}
	if p.lock == lockOff {
		return fmt.Errorf("the bucket was made without object lock: %w", errNoLock)
	}
	e, err := d.find(ctx, name)
	if err != nil {
		return err
	}
	return d.prolong(ctx, name, e.version, until)
}

// A retention is the lock of one version.
type retention struct {
	mode  minio.RetentionMode
	until time.Time
}

// holds reports whether nobody can take the lock off before that date.
func (r retention) holds(until time.Time) bool {
	return r.mode == minio.Compliance && !r.until.Before(until)
}

// retained asks for the lock of a version; none: the zero retention.
func (d *Driver) retained(ctx context.Context, name, version string) (retention, error) {
	query := url.Values{"retention": {""}}
	if version != "" {
		query.Set("versionId", version)
	}
	var doc struct {
		Mode            string
		RetainUntilDate string
	}
	err := d.follow(ctx, func(p *place) error {
		body, err := d.ask(ctx, p.link, d.key(name), query)
		if err != nil {
			return err
		}
		return decode(body, &doc, "Retention", "ObjectLockRetention") // the second is versitygw's
	})
	var a *answer
	switch {
	case errors.Is(err, errNoLock), errors.As(err, &a) && a.code == "InvalidRequest":
		return retention{}, nil
	case err != nil:
		return retention{}, fmt.Errorf("ask for lock: %w", err)
	case doc.Mode == "":
		return retention{}, nil
	}
	until, err := time.Parse(time.RFC3339, doc.RetainUntilDate)
	if err != nil {
		return retention{}, fmt.Errorf("ask for lock: %w", errNotS3)
	}
	return retention{minio.RetentionMode(doc.Mode), until}, nil
}

// prolong locks a version until then, at least.
func (d *Driver) prolong(ctx context.Context, name, version string, until time.Time) error {
	// S3 counts in seconds. Rounded up: "at least".
	until = until.UTC().Add(time.Second - time.Nanosecond).Truncate(time.Second)
	now, err := d.retained(ctx, name, version)
	if err != nil && !isUnknown(err) {
		return err
	}
	if now.holds(until) {
		return nil
	}
	if now.until.After(until) { // of governance mode, which the owner can take off
		until = now.until
	}
	mode := minio.Compliance
	err = d.with(ctx, func(ctx context.Context, p *place, _ *note) error {
		return p.core.PutObjectRetention(ctx, d.at.bucket, d.key(name), minio.PutObjectRetentionOptions{
			Mode: &mode, RetainUntilDate: &until, VersionID: version,
		})
	})
	var a *answer
	if errors.As(err, &a) && a.code == "InvalidRequest" {
		return fmt.Errorf("lock object: %w", errNoLock)
	}
	if err != nil {
		return fmt.Errorf("lock object: %w", err)
	}
	return nil
}

// assureLock looks once whether an object that was put with a lock has it: there
// are servers that ignore the headers, and a lock that is not there is found out
// too late.
func (d *Driver) assureLock(ctx context.Context, name, version string) error {
	if d.config.LockDays == 0 || d.sawLock(false) {
		return nil
	}
	now, err := d.retained(ctx, name, version)
	switch {
	case err != nil && errors.Is(err, cloud.ErrDenied): // these keys may not ask
	case err != nil:
		return err
	case !now.holds(d.until().Add(-time.Hour)):
		return fmt.Errorf("the server took an object and did not lock it: %w", errNoLock)
	}
	d.sawLock(true)
	return nil
}

// sawLock reports whether assureLock succeeded, or (now) that it has.
func (d *Driver) sawLock(now bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.locked = d.locked || now
	return d.locked
}
