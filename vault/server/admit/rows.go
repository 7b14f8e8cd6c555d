package admit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

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

// join puts record into the row of a, which has room for limit records; the same record a
// second time changes nothing. When it returns nil, the row is durable. errFull;
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
	row, err := d.seal(ctx, id, handle, kind, [][16]byte{record})
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
	records, err := decodeBody(kind, body)
	if err != nil {
		return fmt.Errorf("%w: %w", protocol.ErrInternal, err)
	}
	if slices.Contains(records, record) {
		return nil
	}
	if len(records) >= limit {
		return errFull
	}
	row, err = d.seal(ctx, id, handle, kind, append(records, record))
	if err != nil {
		return err
	}
	return outcome("replace admission", d.cfg.Store.Replace(ctx, id, revision, row))
}

func (d *Desk) seal(ctx context.Context, id store.ID, handle []byte, kind byte, records [][16]byte) ([]byte, error) {
	sealed, err := d.cfg.Sealer.Seal(ctx, id, handle, encodeBody(kind, records))
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

// encodeBody returns what is sealed: format, kind, number of records (1), records (16 each).
func encodeBody(kind byte, records [][16]byte) []byte {
	body := []byte{RowFormat, kind, byte(len(records))}
	for _, r := range records {
		body = append(body, r[:]...)
	}
	return body
}

// decodeBody is the reverse. errRow, also for what encodeBody would not have written.
func decodeBody(kind byte, body []byte) ([][16]byte, error) {
	const head = 3
	if len(body) < head || body[0] != RowFormat || body[1] != kind {
		return nil, fmt.Errorf("decode admission: %w", errRow)
	}
	n := int(body[2])
	if n == 0 || n > AccountRecords || len(body) != head+16*n {
		return nil, fmt.Errorf("decode admission: %d records in %d bytes: %w", n, len(body), errRow)
	}
	records := make([][16]byte, n)
	for i := range records {
		copy(records[i][:], body[head+16*i:])
	}
	return records, nil
}
