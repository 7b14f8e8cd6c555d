package drivetest

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serveMethod is one request of the API. The caller holds mu.
func (f *Fake) serveMethod(in *incoming) result {
	switch in.op {
	case About:
		return f.about(in)
	case IDs:
		return f.generateIDs(in)
	case List:
		return f.list(in)
	case Create:
		return f.create(in)
	case Small:
		return f.small(in)
	case Session:
		return f.openSession(in)
	}
	x := f.files[in.values["fileId"]]
	if x == nil || x.deleted || x.owner != in.who.account.ID {
		return refusal(http.StatusNotFound, "notFound")
	}
	switch in.op {
	case Get:
		return ok(mustJSON(f.describe(x)))
	case Media:
		return f.media(in, x)
	case Patch:
		return f.patch(in, x)
	default:
		f.remove(x.id)
		return result{status: http.StatusNoContent, abort: -1}
	}
}

func (f *Fake) about(in *incoming) result {
	quota := map[string]any{"usage": strconv.FormatInt(f.used(in.who.account.ID), 10)}
	if f.Limit > 0 {
		quota["limit"] = strconv.FormatInt(f.Limit, 10)
	}
	return ok(mustJSON(map[string]any{
		"kind": "drive#about", "storageQuota": quota,
		"user": map[string]any{"kind": "drive#user", "permissionId": in.who.account.ID, "emailAddress": in.who.account.Email},
	}))
}

func (f *Fake) generateIDs(in *incoming) result {
	count := 10
	if text := in.URL.Query().Get("count"); text != "" {
		count, _ = strconv.Atoi(text) // checked by the description
	}
	var ids []string
	for range count {
		id := f.name("id")
		f.issued[id] = true
		ids = append(ids, id)
	}
	return ok(mustJSON(map[string]any{"kind": "drive#generatedIds", "space": "drive", "ids": ids}))
}

// describe is the resource File, with all of the fields that the fake has.
func (f *Fake) describe(x *file) map[string]any {
	d := map[string]any{
		"kind": "drive#file", "id": x.id, "name": x.name, "mimeType": x.mime, "parents": []string{x.parent},
		"trashed": f.isTrashed(x), "explicitlyTrashed": x.trashed, "createdTime": x.created.UTC().Format("2006-01-02T15:04:05.000Z"),
	}
	if len(x.props) > 0 {
		d["appProperties"] = x.props
	}
	if x.isFolder() {
		return d
	}
	d["size"] = strconv.Itoa(len(x.data))
	sums := x.sums()
	if !f.NoSHA {
		d["sha256Checksum"] = sums[0]
	}
	if !f.NoMD5 {
		d["md5Checksum"] = sums[1]
	}
	return d
}

// sums returns the SHA-256 and the MD5 of the file, or what it says they are. It
// remembers them: listings ask often.
func (x *file) sums() [2]string {
	if x.hashes[0] == "" {
		data := x.data
		if x.wrongSum {
			data = append(bytes.Clone(data), 0)
		}
		long, short := sha256.Sum256(data), md5.Sum(data)
		x.hashes = [2]string{hex.EncodeToString(long[:]), hex.EncodeToString(short[:])}
	}
	return x.hashes
}

// list is files.list: late, paged, and of what this client's user owns.
func (f *Fake) list(in *incoming) result {
	query := in.URL.Query()
	size := 100
	if text := query.Get("pageSize"); text != "" {
		size, _ = strconv.Atoi(text) // checked by the description
	}
	if f.PageSize > 0 {
		size = min(size, f.PageSize)
	}
	token := query.Get("pageToken")
	var rest []*file
	if token == "" {
		f.listings++
		matches, err := parseQuery(query.Get("q"))
		if err != nil {
			f.complain(in.Request, err.Error())
			return refusal(http.StatusBadRequest, "invalid")
		}
		rest = f.visible(in, matches)
	} else {
		var known bool
		if rest, known = f.pages[token]; !known {
			return refusal(http.StatusBadRequest, "invalid")
		}
	}
	page := rest[:min(len(rest), size)]
	answer := map[string]any{"kind": "drive#fileList", "incompleteSearch": in.fault.Kind == Incomplete}
	files := []any{}
	for _, x := range page {
		files = append(files, f.describe(x))
	}
	answer["files"] = files
	if rest = rest[len(page):]; len(rest) > 0 {
		token = f.name("page")
		f.pages[token] = rest
		answer["nextPageToken"] = token
	}
	return ok(mustJSON(answer))
}

// visible returns what a listing shows now.
func (f *Fake) visible(in *incoming, matches condition) []*file {
	var found []*file
	for _, x := range f.files {
		if x.owner != in.who.account.ID || x.shows > f.listings || x.deleted && x.hides <= f.listings {
			continue
		}
		if matches(f, x) {
			found = append(found, x)
		}
	}
	slices.SortFunc(found, func(a, b *file) int { return cmp.Compare(a.id, b.id) })
	return found
}

// metadata reads the description of a new file, and makes it. nil: refused.
func (f *Fake) metadata(in *incoming, data []byte) (*file, result) {
	var value map[string]any
	if err := json.Unmarshal(data, &value); err != nil {
		f.complain(in.Request, "body is not JSON")
		return nil, refusal(http.StatusBadRequest, "parseError")
	}
	if bad := f.api.check(in.method.Request, value, true); bad != "" {
		f.complain(in.Request, "body: "+bad)
		return nil, refusal(http.StatusBadRequest, "invalid")
	}
	var meta struct {
		ID            string            `json:"id"`
		Name          string            `json:"name"`
		MimeType      string            `json:"mimeType"`
		Parents       []string          `json:"parents"`
		AppProperties map[string]string `json:"appProperties"`
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return nil, refusal(http.StatusBadRequest, "invalid")
	}
	x := &file{id: meta.ID, name: meta.Name, mime: meta.MimeType, parent: root, props: meta.AppProperties, owner: in.who.account.ID}
	if x.id == "" {
		x.id = f.name("unasked")
	} else if !f.issued[x.id] {
		return nil, refusal(http.StatusBadRequest, "invalid")
	}
	if f.files[x.id] != nil { // deleted ones too
		return nil, refusal(http.StatusConflict, "fileIdInUse")
	}
	if len(meta.Parents) > 0 {
		x.parent = meta.Parents[0]
		p := f.files[x.parent]
		if len(meta.Parents) > 1 || p == nil || p.deleted || !p.isFolder() || p.owner != x.owner {
			return nil, refusal(http.StatusNotFound, "notFound")
		}
	}
	for key, value := range x.props {
		if len(key)+len(value) > 124 {
			return nil, refusal(http.StatusBadRequest, "invalid")
		}
	}
	return x, result{}
}

// store makes the file appear.
func (f *Fake) store(x *file) result {
	if f.files[x.id] != nil {
		return refusal(http.StatusConflict, "fileIdInUse")
	}
	x.created, x.shows = time.Now(), f.listings+1+f.Lag
	f.files[x.id] = x
	return ok(mustJSON(f.describe(x)))
}

// full reports whether n more bytes have no room.
func (f *Fake) full(owner string, n int64) bool { return f.Limit > 0 && f.used(owner)+n > f.Limit }

func (f *Fake) create(in *incoming) result {
	x, res := f.metadata(in, in.body)
	if x == nil {
		return res
	}
	return f.store(x)
}

// media is a download, whole or a range (RFC 9110, section 14).
func (f *Fake) media(in *incoming, x *file) result {
	res := result{status: http.StatusOK, header: http.Header{"Content-Type": {x.mime}}, body: x.data, abort: -1}
	text := in.Header.Get("Range")
	if text == "" {
		return res
	}
	var first, last int
	if n, err := fmt.Sscanf(text, "bytes=%d-%d", &first, &last); n != 2 || err != nil || first < 0 || last < first {
		f.complain(in.Request, "range "+text)
		return refusal(http.StatusBadRequest, "invalid")
	}
	if first >= len(x.data) {
		return refusal(http.StatusRequestedRangeNotSatisfiable, "requestedRangeNotSatisfiable")
	}
	last = min(last, len(x.data)-1)
	res.status = http.StatusPartialContent
	res.header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(x.data)))
	res.body = x.data[first : last+1]
	return res
}

// patch is files.update, of the trash and of the folder alone.
func (f *Fake) patch(in *incoming, x *file) result {
	var change map[string]any
	if err := json.Unmarshal(in.body, &change); err != nil {
		return refusal(http.StatusBadRequest, "parseError")
	}
	if bad := f.api.check(in.method.Request, change, true); bad != "" {
		f.complain(in.Request, "body: "+bad)
		return refusal(http.StatusBadRequest, "invalid")
	}
	query := in.URL.Query()
	if to := query.Get("addParents"); to != "" {
		if p := f.files[to]; p == nil || p.deleted || query.Get("removeParents") != x.parent {
			return refusal(http.StatusForbidden, "cannotAddParent") // one parent only, since 2020
		}
		x.parent = to
	}
	if trashed, said := change["trashed"].(bool); said {
		x.trashed = trashed
	}
	return ok(mustJSON(f.describe(x)))
}

// parseContentRange reads "bytes 0-99/200" and "bytes */200" (then first is -1).
func parseContentRange(text string) (first, last, total int64, good bool) {
	text, good = strings.CutPrefix(text, "bytes ")
	span, size, found := strings.Cut(text, "/")
	total, err := strconv.ParseInt(size, 10, 64)
	if !good || !found || err != nil {
		return 0, 0, 0, false
	}
	if span == "*" {
		return -1, -1, total, true
	}
	n, err := fmt.Sscanf(span, "%d-%d", &first, &last)
	return first, last, total, n == 2 && err == nil && first >= 0 && last >= first && last < total
}
