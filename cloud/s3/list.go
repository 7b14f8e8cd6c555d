package s3

import (
	"context"
	"encoding/xml"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"coffer/cloud"
)

// Bounds of a listing by a server that means no good. Empty pages are honest
// ones, if many deleted objects lie between two that are there.
const (
	maxEmptyPages = 2_000
	maxListedKeys = 20_000_000
)

var (
	errCircle   = cloud.Final(fmt.Errorf("s3: listing goes in a circle, or does not end: %w", errNotS3))
	errLastPage = cloud.Final(fmt.Errorf("s3: listing says that there is more, but not where: %w", errNotS3))
)

// A page is one answer to ListObjectsV2 or ListObjectVersions.
type page struct {
	IsTruncated           bool
	EncodingType          string
	NextContinuationToken string
	NextKeyMarker         string
	NextVersionIDMarker   string `xml:"NextVersionIdMarker"`
	CommonPrefixes        []struct{ Prefix string }
	Items                 []item `xml:",any"` // in the server's order
}

// An item is a Contents, a Version or a DeleteMarker.
type item struct {
	XMLName   xml.Name
	Key       string
	Size      int64
	VersionID string `xml:"VersionId"`
	IsLatest  bool
}

// A listed key is an item of a page, decoded.
type listed struct {
	key     string // whole
	size    int64
	version string
	marker  bool // a delete marker
	latest  bool
}

// keys returns the keys of the page. What cannot be one of ours is left out.
func (p *page) keys() []listed {
	var found []listed
	for _, i := range p.Items {
		kind := i.XMLName.Local
		if kind != "Contents" && kind != "Version" && kind != "DeleteMarker" {
			continue
		}
		key, ok := p.plain(i.Key)
		if !ok || i.Size < 0 {
			continue
		}
		found = append(found, listed{key: key, size: i.Size, version: i.VersionID, marker: kind == "DeleteMarker", latest: i.IsLatest})
	}
	return found
}

// plain decodes a key. They come percent-encoded, because XML 1.0 has no way to
// write some characters that a foreign key may have.
func (p *page) plain(key string) (string, bool) {
	if p.EncodingType != "url" {
		return key, true
	}
	decoded, err := url.QueryUnescape(key)
	return decoded, err == nil
}

// next returns what the next page is asked for with; empty: the page does not say.
func (p *page) next() url.Values {
	if p.NextContinuationToken != "" {
		return url.Values{"continuation-token": {p.NextContinuationToken}}
	}
	key, ok := p.plain(p.NextKeyMarker)
	if !ok || key == "" {
		return nil
	}
	next := url.Values{"key-marker": {key}}
	if p.NextVersionIDMarker != "" {
		next.Set("version-id-marker", p.NextVersionIDMarker)
	}
	return next
}

// List implements [cloud.Driver].
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		p, err := d.enter(ctx)
		if err != nil {
			yield(cloud.Object{}, err)
			return
		}
		wanted := true
		show := func(o cloud.Object) bool {
			wanted = yield(o, nil)
			return wanted
		}
		if d.config.Recover && p.versioned() {
			err = d.eachRecovered(ctx, prefix, show)
		} else {
			err = d.eachKey(ctx, prefix, func(k listed) bool {
				name, ours := d.nameOf(k.key, prefix)
				return !ours || show(cloud.Object{Name: name, Size: k.size})
			})
		}
		if err != nil && wanted {
			yield(cloud.Object{}, err)
		}
	}
}

// nameOf returns the name of a key, if it is one of ours with that prefix.
func (d *Driver) nameOf(key, prefix string) (string, bool) {
	name, ok := strings.CutPrefix(key, d.at.prefix)
	return name, ok && cloud.ValidName(name) && strings.HasPrefix(name, prefix)
}

// eachKey lists the current keys of the place's own level whose names begin with
// prefix, ours or not, until f has enough.
func (d *Driver) eachKey(ctx context.Context, prefix string, f func(listed) bool) error {
	query := d.query(prefix)
	query.Set("list-type", "2")
	return d.eachPage(ctx, query, func(keys []listed, _ *page) (bool, error) {
		for _, k := range keys {
			if !f(k) {
				return false, nil
			}
		}
		return true, nil
	})
}

// query asks for keys of the place's own level: those behind another slash come
// as one common prefix, so that a big foreign folder costs nothing.
func (d *Driver) query(prefix string) url.Values {
	return url.Values{"prefix": {d.key(prefix)}, "delimiter": {"/"}, "encoding-type": {"url"}}
}

// eachPage asks for page after page until f has enough. It notices circles with
// little memory: a landmark is kept, and moved further each time a power of two
// of pages has passed it (Brent's algorithm).
func (d *Driver) eachPage(ctx context.Context, query url.Values, f func([]listed, *page) (bool, error)) error {
	var landmark [2]string // the query and the first key of a page
	passed, power, empty, total := 0, 1, 0, 0
	for {
		doc, err := d.askPage(ctx, query)
		if err != nil {
			return fmt.Errorf("list bucket: %w", err)
		}
		keys := doc.keys()
		if more, err := f(keys, doc); err != nil || !more {
			return err
		}
		if !doc.IsTruncated {
			return nil
		}
		total, empty = total+len(doc.Items), empty+1
		here := [2]string{query.Encode(), ""}
		if len(keys) > 0 {
			empty, here[1] = 0, keys[0].key+"\x00"+keys[0].version
		} else if len(doc.CommonPrefixes) > 0 {
			empty = 0
		}
		if here[0] == landmark[0] || here[1] != "" && here[1] == landmark[1] || empty > maxEmptyPages || total > maxListedKeys {
			return errCircle
		}
		if passed++; passed == power {
			landmark, passed, power = here, 0, 2*power
		}
		next := doc.next()
		if len(next) == 0 {
			return errLastPage
		}
		for key, value := range next {
			query[key] = value
		}
	}
}

func (d *Driver) askPage(ctx context.Context, query url.Values) (*page, error) {
	roots := []string{"ListBucketResult"}
	if query.Has("versions") {
		roots = []string{"ListVersionsResult", "ListBucketVersionsResult"} // the second is not Amazon's
	}
	var doc page
	err := d.follow(ctx, func(p *place) error {
		body, err := d.ask(ctx, p.link, "", query)
		if err != nil {
			return err
		}
		return decode(body, &doc, roots...)
	})
	return &doc, err
}
