package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"coffer/cloud"
)

// features are what the probe found.
type features struct {
	checks   bool // bytes that are not those of X-Amz-Content-Sha256 are refused
	sum      bool // X-Amz-Checksum-Sha256 is taken
	ifAbsent bool // If-None-Match: * is obeyed
	listed   bool // a listing showed what was put a moment before
}

// probePrefix begins the names of objects that the probe leaves if it dies. They
// are no names of ours, so no listing has them.
const probePrefix = ".coffer-probe-"

// probed returns what the server can do, tried out the first time. It costs five
// to seven small requests.
func (d *Driver) probed(ctx context.Context) (*features, error) {
	if f := d.known(); f != nil {
		return f, nil
	}
	if err := d.probing.enter(ctx); err != nil {
		return nil, err
	}
	defer d.probing.leave()
	if f := d.known(); f != nil {
		return f, nil
	}
	p := &probe{d: d, key: d.key(probePrefix + strconv.FormatInt(time.Now().UnixNano(), 36))}
	f, err := p.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("try out server: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.features = f
	return f, nil
}

func (d *Driver) known() *features {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.features
}

// A probe tries things out on one key.
type probe struct {
	d        *Driver
	key      string
	versions []string // that were made; "" for a bucket without
	found    features
}

func (p *probe) run(ctx context.Context) (*features, error) {
	err := p.lie(ctx)
	if err == nil {
		err = p.choose(ctx)
	}
	if err == nil && p.found.ifAbsent {
		err = p.repeat(ctx)
	}
	if err == nil {
		err = p.search(ctx)
	}
	gone := p.clean(ctx)
	if err == nil {
		err = gone
	}
	return &p.found, err
}

// put sends one byte. Its hash is right, or announced as another.
func (p *probe) put(ctx context.Context, right, sum, ifAbsent bool) error {
	body := []byte("x")
	digest := sha256.Sum256(body)
	announced := digest
	if !right {
		announced[0] ^= 1
	}
	opts := minio.PutObjectOptions{DisableContentSha256: true}
	if sum {
		opts.UserMetadata = map[string]string{sumHeader: base64.StdEncoding.EncodeToString(digest[:])}
	}
	if ifAbsent {
		opts.SetMatchETagExcept("*")
	}
	var made minio.UploadInfo
	err := p.d.with(ctx, func(ctx context.Context, at *place, _ *note) (err error) {
		made, err = at.core.PutObject(ctx, p.d.at.bucket, p.key, bytes.NewReader(body), 1, "", hex.EncodeToString(announced[:]), opts)
		return err
	})
	if err == nil {
		p.versions = append(p.versions, made.VersionID)
	}
	return err
}

// lie announces another hash than that of the bytes. Who takes it does not look.
func (p *probe) lie(ctx context.Context) error {
	err := p.put(ctx, false, false, false)
	switch {
	case err == nil:
		return p.clean(ctx) // for what comes next, the key must be free
	case errors.Is(err, errSum):
		p.found.checks = true
		return nil
	case isUnknown(err) && !errors.Is(err, cloud.ErrDenied):
		return nil // it has another reason not to take it: nothing is known
	}
	return err
}

// choose finds the most that a PUT may say.
func (p *probe) choose(ctx context.Context) error {
	var last error
	for _, f := range []features{{sum: true, ifAbsent: true}, {ifAbsent: true}, {sum: true}, {}} {
		last = p.put(ctx, true, f.sum, f.ifAbsent)
		if errors.Is(last, errTaken) { // by a clean that the server has not noticed yet
			last = nil
		}
		if last == nil {
			p.found.sum, p.found.ifAbsent = f.sum, f.ifAbsent
			return nil
		}
		if errors.Is(last, cloud.ErrDenied) || !isUnknown(last) {
			return last
		}
	}
	return last
}

// repeat puts the same again: a server that understood If-None-Match refuses.
func (p *probe) repeat(ctx context.Context) error {
	err := p.put(ctx, true, p.found.sum, true)
	if errors.Is(err, errTaken) || errors.Is(err, errBusy) {
		return nil
	}
	p.found.ifAbsent = false
	if isUnknown(err) {
		return nil
	}
	return err
}

// search looks whether a listing shows the object at once.
func (p *probe) search(ctx context.Context) error {
	err := p.d.eachKey(ctx, strings.TrimPrefix(p.key, p.d.at.prefix), func(k listed) bool {
		p.found.listed = p.found.listed || k.key == p.key
		return true
	})
	if isUnknown(err) {
		return nil // who may not list can still write
	}
	return err
}

// clean removes what was made. Keys that may not delete leave it there.
func (p *probe) clean(ctx context.Context) error {
	for _, version := range p.versions {
		err := p.d.removeKey(ctx, p.key, version)
		if err != nil && !isUnknown(err) {
			return err
		}
	}
	p.versions = nil
	return nil
}
