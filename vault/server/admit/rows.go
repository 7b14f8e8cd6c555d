package admit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/server/store"
)

// RowFormat begins the sealed body of an admission. That of a record begins with 0x02
// (docs/vault-protocol.md, "What a vault keeps"): whoever opens a row knows what it is, and
// nobody who can only write to the store can change it.
const RowFormat = 0x81

// rowFormat begins a row, as it begins that of a record: length of the handle (2), handle,
// sealed body.
const rowFormat = 1

var (
	errFull = errors.New("admit: the admission is full")
	errRow  = errors.New("admit: damaged row")
)

// What an admission is by.
const (
	byInvitation byte = 1 + iota
	byAccount
)

// An admission names a row: what let the records of the row in.
type admission struct {
	kind  byte
	about []byte // random bytes and expiry of the invitation, or the account
}

// name is where the row lies. It is keyed. With a plain hash, who knows issuer and subject
// of somebody else could choose a record of that name, and so keep him out for ever; and
// who reads the store could tell who has an account.
func (d *Desk) name(a admission) (id store.ID) {
	copy(id[:], d.mac(labelAdmission, []byte{a.kind}, a.about))
	return id
}

// A place is one record of an admission.
type place struct {
	record   [16]byte
	admitted int64 // when it got its last ticket, in unix seconds
}

// join puts record into the row of a, which has room for limit records; the same record a
// second time takes no second place. When it returns nil, the row is durable. errFull;
// [protocol.ErrUnknownOutcome], [protocol.ErrInternal].
func (d *Desk) join(ctx context.Context, a admission, limit int, record [16]byte) error {
	id := d.name(a)
	// Whoever is faster leaves one place less, so that races end.
	for range limit + 2 {
		row, revision, err := d.cfg.Store.Fetch(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			err = d.create(ctx, id, a.kind, record)
		case err != nil:
			return fmt.Errorf("fetch admission: %w: %w", protocol.ErrInternal, err)
		default:
			err = d.extend(ctx, id, a.kind, row, revision, limit, record)
		}
		if !errors.Is(err, errOvertaken) {
			return err
		}
	}
	return fmt.Errorf("change admission: always overtaken: %w", protocol.ErrInternal)
}

// errOvertaken says that another request, or another server, has changed the row meanwhile.
var errOvertaken = errors.New("admit: overtaken")

func (d *Desk) create(ctx context.Context, id store.ID, kind byte, record [16]byte) error {
	handle, err := d.cfg.Sealer.NewKey(ctx, id)
	if err != nil {
		return fmt.Errorf("make key of admission: %w: %w", protocol.ErrInternal, err)
	}
	row, err := d.seal(ctx, id, handle, kind, []place{d.place(record)})
	if err != nil {
		return err
	}
	err = outcome("create admission", d.cfg.Store.Create(ctx, id, row))
	if errors.Is(err, errOvertaken) {
		// In a token each key takes room. This one seals nothing that anybody has.
		if destroyErr := d.cfg.Sealer.DestroyKey(ctx, id, handle); destroyErr != nil {
			return fmt.Errorf("destroy unused key: %w: %w", protocol.ErrInternal, destroyErr)
		}
	}
	return err
}

func (d *Desk) extend(ctx context.Context, id store.ID, kind byte, row []byte, revision store.Revision, limit int, record [16]byte) error {
	handle, sealed, err := splitRow(row)
	if err != nil {
		return fmt.Errorf("%w: %w", protocol.ErrInternal, err)
	}
	body, err := d.cfg.Sealer.Open(ctx, id, handle, sealed)
	if err != nil {
		return fmt.Errorf("open admission: %w: %w", protocol.ErrInternal, err)
	}
	places, err := decodeBody(kind, body)
	if err != nil {
		return fmt.Errorf("%w: %w", protocol.ErrInternal, err)
	}
	places = slices.DeleteFunc(places, func(p place) bool { return p.record == record })
	if len(places) >= limit {
		if places, err = d.vacate(ctx, kind, places); err != nil {
			return err
		}
	}
	if len(places) >= limit {
		return errFull
	}
	row, err = d.seal(ctx, id, handle, kind, append(places, d.place(record)))
	if err != nil {
		return err
	}
	return outcome("replace admission", d.cfg.Store.Replace(ctx, id, revision, row))
}

func (d *Desk) place(record [16]byte) place { return place{record, d.cfg.Clock().Unix()} }

// vacate drops the places of records that are no more. An invitation is for one record,
// whatever becomes of it.
func (d *Desk) vacate(ctx context.Context, kind byte, places []place) ([]place, error) {
	if kind != byAccount || d.cfg.Fate == nil {
		return places, nil
	}
	var kept []place
	for _, p := range places {
		state, destroyed, err := d.cfg.Fate(ctx, p.record)
		if err != nil {
			return nil, fmt.Errorf("look at record of the account: %w: %w", protocol.ErrInternal, err)
		}
		if !d.vacant(p, state, destroyed) {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

// vacant says whether nothing can come of a place any more: its record was destroyed, or
// never made, and the ticket for it has expired.
func (d *Desk) vacant(p place, state protocol.State, destroyed time.Time) bool {
	now := d.cfg.Clock()
	switch state {
	case protocol.StateNone:
		return now.Sub(time.Unix(p.admitted, 0)) > TicketLife
	case protocol.StateDestroyed:
		return now.Sub(destroyed) >= PlaceRest
	}
	return false
}

func (d *Desk) seal(ctx context.Context, id store.ID, handle []byte, kind byte, places []place) ([]byte, error) {
	sealed, err := d.cfg.Sealer.Seal(ctx, id, handle, encodeBody(kind, places))
	if err != nil {
		return nil, fmt.Errorf("seal admission: %w: %w", protocol.ErrInternal, err)
	}
	row := binary.BigEndian.AppendUint16([]byte{rowFormat}, uint16(len(handle)))
	return append(append(row, handle...), sealed...), nil
}

// outcome sorts what a store says about a write.
func outcome(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrChanged), errors.Is(err, store.ErrNotFound):
		return errOvertaken
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrRow):
		return fmt.Errorf("%s: %w: %w", verb, protocol.ErrInternal, err)
	}
	return fmt.Errorf("%s: %w: %w", verb, protocol.ErrUnknownOutcome, err)
}

func splitRow(row []byte) (handle, sealed []byte, err error) {
	if len(row) < 3 || row[0] != rowFormat {
		return nil, nil, fmt.Errorf("split row: %w", errRow)
	}
	n := int(binary.BigEndian.Uint16(row[1:]))
	if len(row) < 3+n {
		return nil, nil, fmt.Errorf("split row: cut: %w", errRow)
	}
	return row[3 : 3+n], row[3+n:], nil
}

const placeSize = 16 + 8

// encodeBody returns what is sealed: format, kind, number of places (1), places, each:
// record (16), when it got its last ticket (8).
func encodeBody(kind byte, places []place) []byte {
	body := []byte{RowFormat, kind, byte(len(places))}
	for _, p := range places {
		body = append(body, p.record[:]...)
		body = binary.BigEndian.AppendUint64(body, uint64(p.admitted))
	}
	return body
}

// decodeBody is the reverse. errRow, also for what encodeBody would not have written.
func decodeBody(kind byte, body []byte) ([]place, error) {
	const head = 3
	if len(body) < head || body[0] != RowFormat || body[1] != kind {
		return nil, fmt.Errorf("decode admission: %w", errRow)
	}
	n := int(body[2])
	if n == 0 || n > AccountRecords || len(body) != head+placeSize*n {
		return nil, fmt.Errorf("decode admission: %d places in %d bytes: %w", n, len(body), errRow)
	}
	places := make([]place, 0, n)
	for b := body[head:]; len(b) > 0; b = b[placeSize:] {
		places = append(places, place{[16]byte(b), int64(binary.BigEndian.Uint64(b[16:]))})
	}
	return places, nil
}
