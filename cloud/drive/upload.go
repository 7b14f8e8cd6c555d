package drive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	driveapi "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"

	"coffer/cloud"
)

// small is the size up to which an object goes in one request, without a
// session: heads and snapshots. A session also has no way to say "no bytes".
const small = 256 << 10

const mediaType = "application/octet-stream"

var (
	// errTaken: Drive has, or had, a file of that id.
	errTaken = errors.New("drive: id is taken")
	// errSession: the session is not good any more: a week passed, it is done, or
	// Drive lost it.
	errSession = errors.New("drive: upload session has ended")
)

// An upload is the way of one object to Drive.
type upload struct {
	d      *Driver
	name   string
	folder string // the id of the folder
	src    cloud.Source
	ticket ticket
}

// run sends what Drive lacks and returns the file as Drive has it then, which
// is still to be compared. A few rounds are enough: each either ends or learns
// that an id or a session of the journal is not good any more.
func (u *upload) run(ctx context.Context) (*driveapi.File, error) {
	for range 4 {
		if u.ticket.ID == "" {
			if err := u.number(ctx); err != nil {
				return nil, err
			}
		}
		f, err := u.send(ctx)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, errTaken):
			// By an upload of ours whose answer was lost; or the file of this id was
			// deleted since.
			if f, err := u.finished(ctx); f != nil || err != nil {
				return f, err
			}
			u.ticket = ticket{}
		case errors.Is(err, errSession):
			if f, err := u.finished(ctx); f != nil || err != nil {
				return f, err
			}
			u.ticket.URI = ""
		default:
			return nil, err
		}
	}
	return nil, &classed{fmt.Errorf("%w: uploads keep ending", cloud.ErrOffline)}
}

// number gives the upload an id, before anything is sent: an upload that is
// repeated under the same id cannot make a second file.
func (u *upload) number(ctx context.Context) error {
	id, err := u.d.newID(ctx)
	if err != nil {
		return err
	}
	u.ticket = ticket{Name: u.name, Folder: u.folder, ID: id, Size: u.src.Size(), SHA256: sumOf(u.src)}
	return nil
}

// finished returns the file of the ticket's id if it is there and can be this
// object; nil if there is none.
func (u *upload) finished(ctx context.Context) (*driveapi.File, error) {
	f, err := u.d.meta(ctx, u.ticket.ID)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if f.Name != u.name || f.Size != u.ticket.Size {
		u.ticket = ticket{} // not ours to touch
		return nil, nil
	}
	return f, nil
}

// send makes one round.
func (u *upload) send(ctx context.Context) (*driveapi.File, error) {
	if u.ticket.Size <= small {
		if err := u.d.journal.save(u.ticket); err != nil {
			return nil, cloud.Final(err)
		}
		return u.sendWhole(ctx)
	}
	if u.ticket.URI == "" {
		if err := u.start(ctx); err != nil {
			return nil, err
		}
		return u.chunks(ctx, 0)
	}
	off, f, err := u.ask(ctx)
	if err != nil || f != nil {
		return f, err
	}
	return u.chunks(ctx, off)
}

// metadata is what the new file is called and where it goes.
func (u *upload) metadata() ([]byte, error) {
	data, err := json.Marshal(&driveapi.File{
		Id: u.ticket.ID, Name: u.name, Parents: []string{u.folder}, MimeType: mediaType,
	})
	if err != nil {
		return nil, fmt.Errorf("describe upload: %w", err)
	}
	return data, nil
}

// create posts to the upload address.
func (u *upload) create(ctx context.Context, kind, contentType string, body []byte, header http.Header) (*http.Response, error) {
	query := url.Values{"uploadType": {kind}, "fields": {fileFields}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.d.upload+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", errSyntax)
	}
	for name := range header {
		req.Header.Set(name, header.Get(name))
	}
	req.Header.Set("Content-Type", contentType)
	res, err := u.d.http.Do(req)
	if err != nil {
		return nil, classify(err)
	}
	if err := googleapi.CheckResponse(res); err != nil {
		res.Body.Close()
		err = classify(err)
		if isNotFound(err) { // the folder, there is nothing else to be not found
			u.d.setPlace(nil)
			return nil, &classed{fmt.Errorf("%w: the folder is gone", cloud.ErrNoPlace)}
		}
		return nil, err
	}
	return res, nil
}

// sendWhole sends a small object in one request.
func (u *upload) sendWhole(ctx context.Context) (*driveapi.File, error) {
	meta, err := u.metadata()
	if err != nil {
		return nil, err
	}
	data := make([]byte, u.ticket.Size)
	if n, err := u.src.ReadAt(data, 0); n < len(data) {
		return nil, fmt.Errorf("read source: %w", err)
	}
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	for _, part := range []struct {
		kind string
		data []byte
	}{{"application/json; charset=UTF-8", meta}, {mediaType, data}} {
		w, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {part.kind}})
		if err == nil {
			_, err = w.Write(part.data)
		}
		if err != nil {
			return nil, fmt.Errorf("make request: %w", err)
		}
	}
	if err := parts.Close(); err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	res, err := u.create(ctx, "multipart", "multipart/related; boundary="+parts.Boundary(), body.Bytes(), nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return decodeFile(res)
}

// start opens a session. The journal is on the disk before the first byte goes.
func (u *upload) start(ctx context.Context) error {
	meta, err := u.metadata()
	if err != nil {
		return err
	}
	res, err := u.create(ctx, "resumable", "application/json; charset=UTF-8", meta, http.Header{
		"X-Upload-Content-Type":   {mediaType},
		"X-Upload-Content-Length": {strconv.FormatInt(u.ticket.Size, 10)}, // a full account says so here
	})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	session, err := res.Request.URL.Parse(res.Header.Get("Location"))
	if err != nil || res.Header.Get("Location") == "" || !sameOrigin(session, u.d.origin) {
		return &classed{fmt.Errorf("%w: drive opened no session", cloud.ErrOffline)}
	}
	u.ticket.URI = session.String()
	if err := u.d.journal.save(u.ticket); err != nil {
		return cloud.Final(err)
	}
	return nil
}

// chunks sends the bytes from off. After any doubt Drive is asked what it has:
// an answer may be lost after the work was done, and a chunk kept in part. If it
// gained nothing, waiting is the Store's business.
func (u *upload) chunks(ctx context.Context, off int64) (*driveapi.File, error) {
	for {
		n := min(u.d.chunk, u.ticket.Size-off)
		if n == 0 { // Drive has all the bytes, and yet the file is not finished
			return nil, errSession
		}
		next, f, err := u.sendChunk(ctx, off, n)
		if err != nil && errors.Is(err, cloud.ErrOffline) {
			var lost error
			if next, f, lost = u.ask(ctx); lost != nil {
				return nil, err
			}
		} else if err != nil {
			return nil, err
		}
		if f != nil {
			return f, nil
		}
		if next > off+n {
			return nil, errSession // it has what we did not send
		}
		if next <= off {
			if err == nil {
				err = &classed{fmt.Errorf("%w: drive kept nothing of a chunk", cloud.ErrOffline)}
			}
			return nil, err
		}
		u.d.limits.taken()
		off = next
	}
}

// sendChunk sends n bytes from off. It returns how many bytes Drive has from the
// start, or the finished file.
func (u *upload) sendChunk(ctx context.Context, off, n int64) (int64, *driveapi.File, error) {
	var broken trouble
	body := func() (io.ReadCloser, error) {
		return chunkReader{io.NewSectionReader(u.src, off, n), &broken}, nil
	}
	first, _ := body()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.ticket.URI, first)
	if err != nil {
		return 0, nil, errSession // the journal's address is none
	}
	req.ContentLength, req.GetBody = n, body
	req.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, u.ticket.Size))
	next, f, err := u.exchange(req)
	if err := broken.get(); err != nil {
		return 0, nil, fmt.Errorf("read source: %w", err)
	}
	return next, f, err
}

// ask returns how many bytes Drive has, or the file if it is finished.
func (u *upload) ask(ctx context.Context) (int64, *driveapi.File, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.ticket.URI, http.NoBody)
	if err != nil || !sameOrigin(req.URL, u.d.origin) {
		return 0, nil, errSession
	}
	req.Header.Set("Content-Range", fmt.Sprintf("bytes */%d", u.ticket.Size))
	next, f, err := u.exchange(req)
	if err == nil && f == nil && next > u.ticket.Size {
		err = errSession
	}
	return next, f, err
}

// exchange makes a request of a session and reads the answer.
func (u *upload) exchange(req *http.Request) (int64, *driveapi.File, error) {
	res, err := u.d.http.Do(req)
	if err != nil {
		return 0, nil, classify(err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK, http.StatusCreated:
		f, err := decodeFile(res)
		return u.ticket.Size, f, err
	case http.StatusPermanentRedirect: // "Resume Incomplete"
		kept, err := keptBytes(res.Header.Get("Range"))
		if err != nil {
			return 0, nil, &classed{fmt.Errorf("%w: %w", cloud.ErrOffline, err)}
		}
		return kept, nil, nil
	case http.StatusBadRequest, http.StatusNotFound, http.StatusGone,
		http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		return 0, nil, errSession
	}
	return 0, nil, classify(googleapi.CheckResponse(res))
}

// decodeFile reads the answer to a finished upload.
func decodeFile(res *http.Response) (*driveapi.File, error) {
	f := &driveapi.File{}
	if err := json.NewDecoder(res.Body).Decode(f); err != nil {
		return nil, &classed{fmt.Errorf("%w: read answer", cloud.ErrOffline)} // done or not: the next round finds out
	}
	return f, nil
}

// keptBytes reads the Range of a 308: "bytes=0-99" means 100 bytes, no header
// none. "0-99" is an older form of it.
func keptBytes(header string) (int64, error) {
	if header == "" {
		return 0, nil
	}
	digits, ok := strings.CutPrefix(strings.TrimPrefix(header, "bytes="), "0-")
	last, fits := parseSize(digits)
	if !ok || !fits || last == 1<<63-1 {
		return 0, fmt.Errorf("%w: range", errSyntax)
	}
	return last + 1, nil
}

// parseSize reads a number of bytes as it is written: no sign, no zeros before.
func parseSize(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil && strconv.FormatUint(n, 10) == s
}
