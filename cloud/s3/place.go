package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/minio/minio-go/v7/pkg/signer"

	"coffer/cloud"
)

// defaultRegion is what servers without regions expect in signatures.
const defaultRegion = "us-east-1"

// What is known of versioning and of locks.
type (
	versioning int
	locking    int
)

const (
	versioningOff versioning = iota // never was on, or nobody may know
	versioningOn
	versioningSuspended // old versions are still there
)

const (
	lockUnknown locking = iota // the key may not ask
	lockOff
	lockOn
)

// A link is what requests need: where to, and how they are signed.
type link struct {
	region string
	base   url.URL // of the bucket
	core   *minio.Core
}

// A place is a bucket that was there.
type place struct {
	*link
	versioning versioning
	lock       locking
}

// versioned reports whether a key may have more than one state.
func (p *place) versioned() bool { return p.versioning != versioningOff }

var errNoKeys = fmt.Errorf("s3: no access key is set: %w", cloud.ErrAuth)

// keys returns what signs a request.
func (d *Driver) keys() (credentials.Value, error) {
	if d.config.Credentials == nil {
		return credentials.Value{}, errNoKeys
	}
	access, secret, token := d.config.Credentials()
	if access == "" || secret == "" { // the library would go on without signing
		return credentials.Value{}, errNoKeys
	}
	return credentials.Value{
		AccessKeyID: access, SecretAccessKey: secret, SessionToken: token, SignerType: credentials.SignatureV4,
	}, nil
}

// A keyring gives the library the keys, anew for each request.
type keyring struct {
	keys func() (credentials.Value, error)
}

func (k keyring) Retrieve() (credentials.Value, error) { return k.keys() }
func (k keyring) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	return k.keys()
}
func (k keyring) IsExpired() bool { return true }

// connect makes a link. It asks nobody.
func (d *Driver) connect(region string) (*link, error) {
	base := d.at.url()
	if s3utils.IsAmazonEndpoint(base) && !s3utils.IsAmazonFIPSEndpoint(base) && !s3utils.IsAmazonPrivateLinkEndpoint(base) {
		// The library goes to the region's own host. So must we.
		base.Host = "s3." + region + ".amazonaws.com"
		if strings.HasPrefix(region, "cn-") {
			base.Host += ".cn"
		}
	}
	core, err := minio.NewCore(base.Host, &minio.Options{
		Creds:        credentials.New(keyring{d.keys}),
		Secure:       d.at.scheme == "https",
		Transport:    d.wire,
		Region:       region,
		BucketLookup: minio.BucketLookupPath,
		MaxRetries:   1, // cloud.Store tries again; two layers that do make a hundred requests
	})
	if err != nil {
		return nil, bad("the server's name is not usable")
	}
	core.SetS3EnableDualstack(false)
	return &link{region: region, base: base, core: core}, nil
}

// ask makes a signed GET of what S3 knows of the bucket, or of a key in it, and
// returns the document. The library's own calls for these either take no
// context, sign UNSIGNED-PAYLOAD, or take nothing that Amazon would not send.
func (d *Driver) ask(ctx context.Context, l *link, key string, query url.Values) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	keys, err := d.keys()
	if err != nil {
		return nil, err
	}
	ctx, n := noted(ctx)
	target := l.base
	target.Path += key
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, bad("the server's name is not usable")
	}
	nothing := sha256.Sum256(nil)
	req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(nothing[:]))
	req = signer.SignV4(*req, keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken, l.region)
	res, err := d.wire.RoundTrip(req)
	if err != nil {
		return nil, n.failure(ctx, d.at.host, err)
	}
	defer res.Body.Close()
	if n.answer != nil {
		return nil, n.answer
	}
	body, err := readAll(res, maxAnswer)
	if err != nil {
		return nil, offline(ctx, d.at.host, err)
	}
	if code, region, is := refusalIn(body); is {
		return nil, refusal(http.StatusInternalServerError, code, region, res.Header, time.Now())
	}
	return body, nil
}

// enter returns the place, after a look at it the first time.
func (d *Driver) enter(ctx context.Context) (*place, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p := d.entered(); p != nil {
		return p, nil
	}
	if err := d.entering.enter(ctx); err != nil {
		return nil, err
	}
	defer d.entering.leave()
	if p := d.entered(); p != nil {
		return p, nil
	}
	p, err := d.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.place = p
	return p, nil
}

func (d *Driver) entered() *place {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.place
}

// look finds the bucket, or makes it, and asks what it can do.
func (d *Driver) look(ctx context.Context) (*place, error) {
	l, err := d.locate(ctx)
	if errors.Is(err, cloud.ErrNoPlace) && d.config.Create {
		l, err = d.create(ctx)
	}
	if err != nil {
		return nil, err
	}
	p := &place{link: l}
	p.versioning, err = d.askVersioning(ctx, p)
	if errors.Is(err, cloud.ErrNoPlace) && d.config.Create {
		if p.link, err = d.create(ctx); err == nil {
			p.versioning, err = d.askVersioning(ctx, p)
		}
	}
	if err != nil {
		return nil, err
	}
	if p.lock, err = d.askLock(ctx, p); err != nil {
		return nil, err
	}
	if d.config.LockDays > 0 && p.lock == lockOff {
		return nil, fmt.Errorf("the bucket was made without object lock: %w", errNoLock)
	}
	return p, nil
}

// locate finds the region. Where that is a secret, signatures for the default
// region are refused with the right one, and moved follows.
func (d *Driver) locate(ctx context.Context) (*link, error) {
	base := d.at.url()
	region := d.config.Region
	if region == "" {
		region = s3utils.GetRegionFromURL(base)
	}
	if region != "" && validRegion(region) {
		return d.connect(region)
	}
	l, err := d.connect(defaultRegion)
	if err != nil {
		return nil, err
	}
	body, err := d.ask(ctx, l, "", url.Values{"location": {""}})
	if hint := regionIn(err); hint != "" {
		return d.connect(hint)
	}
	switch {
	case isUnknown(err): // forbidden, or not known there: not everybody has regions
		return l, nil
	case err != nil:
		return nil, err
	}
	var said string
	switch err := decodeAspect(body, &said, "LocationConstraint"); {
	case isUnknown(err):
		return l, nil
	case err != nil:
		return nil, err
	}
	if said == "EU" { // as it was called until 2008
		said = "eu-west-1"
	}
	if said = strings.TrimSpace(said); said == "" || said == defaultRegion || !validRegion(said) {
		return l, nil
	}
	return d.connect(said)
}

// regionIn returns the region that a refusal sends us to, or "".
func regionIn(err error) string {
	var a *answer
	if errors.As(err, &a) && a.elsewhere() {
		return a.region
	}
	return ""
}

// validRegion bounds what becomes part of a host name.
func validRegion(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" && s[0] != '-'
}

// create makes the bucket.
func (d *Driver) create(ctx context.Context) (*link, error) {
	region := d.config.Region
	if region == "" {
		region = s3utils.GetRegionFromURL(d.at.url())
	}
	if region == "" {
		region = defaultRegion
	}
	l, err := d.connect(region)
	if err != nil {
		return nil, err
	}
	noting, n := noted(ctx)
	err = l.core.MakeBucket(noting, d.at.bucket, minio.MakeBucketOptions{Region: region, ObjectLocking: d.config.LockDays > 0})
	err = n.failure(ctx, d.at.host, err)
	if err == nil || n.answer != nil && n.answer.code == "BucketAlreadyOwnedByYou" { // another device was quicker
		return l, nil
	}
	return nil, fmt.Errorf("make bucket: %w", err)
}

// askVersioning also finds out that there is no bucket.
func (d *Driver) askVersioning(ctx context.Context, p *place) (versioning, error) {
	var doc struct{ Status string }
	err := d.askPlace(ctx, p, url.Values{"versioning": {""}}, "VersioningConfiguration", &doc)
	switch {
	case isUnknown(err):
		return versioningOff, nil
	case err != nil:
		return 0, err
	case doc.Status == "Enabled":
		return versioningOn, nil
	case doc.Status == "Suspended":
		return versioningSuspended, nil
	}
	return versioningOff, nil
}

func (d *Driver) askLock(ctx context.Context, p *place) (locking, error) {
	if p.versioning != versioningOn {
		return lockOff, nil // it needs versions
	}
	var doc struct{ ObjectLockEnabled string }
	err := d.askPlace(ctx, p, url.Values{"object-lock": {""}}, "ObjectLockConfiguration", &doc)
	var a *answer
	switch {
	case errors.As(err, &a) && (errors.Is(err, errNoLock) || errors.Is(err, cloud.ErrUnsupported) || errors.Is(err, cloud.ErrNotFound) || a.code == "InvalidRequest"):
		return lockOff, nil
	case isUnknown(err):
		return lockUnknown, nil
	case err != nil:
		return 0, err
	case doc.ObjectLockEnabled == "Enabled":
		return lockOn, nil
	}
	return lockOff, nil
}

// isUnknown: the server answered, but nothing about what was asked.
func isUnknown(err error) bool {
	var a *answer
	return errors.As(err, &a) && !errors.Is(err, ErrClock) && (errors.Is(err, cloud.ErrDenied) || errors.Is(err, cloud.ErrUnsupported) ||
		errors.Is(err, cloud.ErrNotFound) || errors.Is(err, errRefused) || errors.Is(err, errNotS3))
}

// askPlace is ask, decoded; it follows to another region once.
func (d *Driver) askPlace(ctx context.Context, p *place, query url.Values, root string, into any) error {
	body, err := d.ask(ctx, p.link, "", query)
	if hint := regionIn(err); hint != "" && hint != p.region && d.mayMove() {
		l, failed := d.connect(hint)
		if failed != nil {
			return failed
		}
		p.link = l
		body, err = d.ask(ctx, l, "", query)
	}
	if err != nil {
		return err
	}
	return decodeAspect(body, into, root)
}

// decodeAspect is decode for questions that not every server knows. Some then
// list the bucket.
func decodeAspect(body []byte, into any, root string) error {
	err := decode(body, into, root)
	if err != nil && decode(body, &page{}, "ListBucketResult") == nil {
		return &answer{status: http.StatusOK, class: cloud.ErrUnsupported}
	}
	return err
}

// mayMove is true once: two redirects are a circle.
func (d *Driver) mayMove() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.moved
	d.moved = true
	return first
}

// follow makes requests to the place. If the bucket turns out to be in another
// region, it goes there, once. op may run twice.
func (d *Driver) follow(ctx context.Context, op func(*place) error) error {
	p, err := d.enter(ctx)
	if err != nil {
		return err
	}
	err = op(p)
	hint := regionIn(err)
	if hint == "" || hint == p.region || !d.mayMove() {
		return err
	}
	l, failed := d.connect(hint)
	if failed != nil {
		return failed
	}
	there := *p
	there.link = l
	d.mu.Lock()
	d.place = &there
	d.mu.Unlock()
	return op(&there)
}

// with makes one request through the library, and classes its error. op may run
// twice, as in follow.
func (d *Driver) with(ctx context.Context, op func(context.Context, *place, *note) error) error {
	return d.follow(ctx, func(p *place) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		noting, n := noted(ctx)
		return n.failure(ctx, d.at.host, op(noting, p, n))
	})
}
