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
	sum      bool // X-Amz-Checksum-Sha256 is taken, and held against the bytes
	ifAbsent bool // If-None-Match: * is obeyed
	listed   bool // a listing showed what was put a moment before
}

// probePrefix begins the names of objects that the probe leaves if it dies. They
// are no names of ours, so no listing has them.
const probePrefix = ".coffer-probe-"

// probed returns what the server can do, tried out the first time. It costs six to
// nine small requests.
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

// What a probe sends, and what it does not.
const right, wrong = "x", "y"

// sum is the checksum to announce, if one is.
func (p *probe) sum(announced bool) string {
	if announced {
		return right
	}
	return ""
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
	if err == nil && p.found.sum {
		err = p.forge(ctx)
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

// put sends one byte, and as its hashes those of announced and of checksum.
func (p *probe) put(ctx context.Context, announced, checksum string, ifAbsent bool) error {
	body := []byte(right)
	signed := sha256.Sum256([]byte(announced))
	opts := minio.PutObjectOptions{DisableContentSha256: true}
	if checksum != "" {
		digest := sha256.Sum256([]byte(checksum))
		opts.UserMetadata = map[string]string{sumHeader: base64.StdEncoding.EncodeToString(digest[:])}
	}
	if ifAbsent {
		opts.SetMatchETagExcept("*")
	}
	var made minio.UploadInfo
	err := p.d.with(ctx, func(ctx context.Context, at *place, _ *note) (err error) {
		made, err = at.core.PutObject(ctx, p.d.at.bucket, p.key, bytes.NewReader(body), 1, "", hex.EncodeToString(signed[:]), opts)
		return err
	})
	if err == nil {
		p.versions = append(p.versions, made.VersionID)
	}
	return err
}

// lie announces another hash than that of the bytes. Who takes it does not look.
func (p *probe) lie(ctx context.Context) error {
	err := p.put(ctx, wrong, "", false)
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
		last = p.put(ctx, right, p.sum(f.sum), f.ifAbsent)
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
	err := p.put(ctx, right, p.sum(p.found.sum), true)
	if errors.Is(err, errTaken) || errors.Is(err, errBusy) {
		return nil
	}
	p.found.ifAbsent = false
	if isUnknown(err) {
		return nil
	}
	return err
}

// forge announces a wrong checksum. A server that takes it only echoes what it is
// told, whatever the bytes are.
func (p *probe) forge(ctx context.Context) error {
	err := p.put(ctx, right, wrong, false)
	switch {
	case err == nil:
		p.found.sum = false
		return nil
	case errors.Is(err, errSum), isUnknown(err):
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
