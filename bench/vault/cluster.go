package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"coffer/crypto/aead"
	"coffer/vault/server/store"
)

func dialEtcd(ctx context.Context, o options) (*clientv3.Client, error) {
	if o.etcd == "" {
		return nil, errors.New("-etcd is needed")
	}
	return clientv3.New(clientv3.Config{Context: ctx, Endpoints: []string{o.etcd}, DialTimeout: 5 * time.Second})
}

// compareBare prints what etcd alone does with the transactions of an opening, and which
// part of that the vault has reached.
func compareBare(ctx context.Context, o options, out io.Writer, all []measured, limit bounds) (err error) {
	client, err := dialEtcd(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeClient(client)) }()
	row := aead.Random(8 << 10) // a record whose log is full
	var rows [][]string
	for _, n := range o.clients {
		ids := make([]store.ID, n)
		for i := range ids {
			ids[i] = store.ID(aead.Random(16))
		}
		bare, err := measure(n, o.seconds, func(i, _ int) error { return bareOpening(ctx, client, ids[i], row) })
		if err != nil {
			return fmt.Errorf("etcd alone: %w", err)
		}
		for _, m := range all {
			if m.pair != "etcd, soft" || m.clients != n || m.way == wayFresh {
				continue
			}
			both := 1 / (1/bare.rate() + 1/limit[m.way])
			rows = append(rows, []string{
				strconv.Itoa(n), m.way, fmt.Sprintf("%.0f", bare.rate()), milliseconds(bare.quantile(0.99)),
				fmt.Sprintf("%.0f", m.rate()), fmt.Sprintf("%.2f", m.rate()/bare.rate()),
				fmt.Sprintf("%.0f", both), fmt.Sprintf("%.2f", m.rate()/both),
			})
		}
	}
	table(out, "The vault on etcd, and etcd alone",
		[]string{"clients", "way", "bare openings/s", "bare p99 ms", "vault openings/s", "share of bare", "bound of both", "share of it"}, rows)
	fmt.Fprint(out, "\nBare: two reads and two conditional writes of 8 KiB, as an opening has them. Bound of both: etcd, client and vault share the\n"+
		"cores, so the times of bare etcd and of the cryptography add up. (For 1 client that is too hard: there, etcd mostly waits for the disk.)\n")
	return nil
}

func closeClient(c *clientv3.Client) error {
	if err := c.Close(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func bareOpening(ctx context.Context, c *clientv3.Client, id store.ID, row []byte) error {
	key := "bare/" + string(id[:])
	for range 2 {
		read, err := c.Get(ctx, key)
		if err != nil {
			return err
		}
		revision := int64(0)
		if len(read.Kvs) > 0 {
			revision = read.Kvs[0].ModRevision
		}
		answer, err := c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
			Then(clientv3.OpPut(key, string(row))).Commit()
		if err != nil {
			return err
		}
		if !answer.Succeeded {
			return errors.New("somebody else writes here")
		}
	}
	return nil
}

// An etcdState is what an etcd takes.
type etcdState struct {
	disk, used int64
	memory
}

// settled compacts and defragments, and looks.
func settled(ctx context.Context, o options, c *clientv3.Client) (s etcdState, err error) {
	mark, err := c.Put(ctx, "bench/mark", "")
	if err != nil {
		return s, err
	}
	if _, err = c.Compact(ctx, mark.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return s, err
	}
	if _, err = c.Defragment(ctx, o.etcd); err != nil {
		return s, err
	}
	return look(ctx, o, c)
}

func look(ctx context.Context, o options, c *clientv3.Client) (s etcdState, err error) {
	status, err := c.Status(ctx, o.etcd)
	if err != nil {
		return s, err
	}
	s.disk, s.used = status.DbSize, status.DbSizeInUse
	s.memory, err = memoryOf(o.etcdPID)
	return s, err
}

// cluster fills an etcd with rows and prints what one costs.
func cluster(ctx context.Context, o options, out io.Writer) (err error) {
	client, err := dialEtcd(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeClient(client)) }()
	p, err := newPlate(ctx)
	if err != nil {
		return err
	}
	before, err := settled(ctx, o, client)
	if err != nil {
		return err
	}
	for first := 0; first < o.records; first += 64 {
		var puts []clientv3.Op
		for range min(64, o.records-first) {
			id := store.ID(aead.Random(16))
			row, err := p.row(ctx, id)
			if err != nil {
				return err
			}
			puts = append(puts, clientv3.OpPut("coffer-vault/1/row/"+string(id[:]), string(row)))
		}
		if _, err := client.Txn(ctx).Then(puts...).Commit(); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	filled, err := look(ctx, o, client)
	if err != nil {
		return err
	}
	after, err := settled(ctx, o, client)
	if err != nil {
		return err
	}
	each := func(what string, get func(etcdState) int64) []string {
		n := int64(o.records)
		return []string{what, strconv.FormatInt((get(filled)-get(before))/n, 10), strconv.FormatInt((get(after)-get(before))/n, 10), mebibytes(get(after))}
	}
	table(out, fmt.Sprintf("%d records in etcd, rows of %d bytes", o.records, p.size), []string{
		"", "bytes a record, filled", "bytes a record, compacted and defragmented", "MiB in all",
	}, [][]string{
		each("data file", func(s etcdState) int64 { return s.disk }),
		each("of it in use", func(s etcdState) int64 { return s.used }),
		each("memory of its own (RssAnon)", func(s etcdState) int64 { return s.Anon }),
		each("pages of the data file (RssFile)", func(s etcdState) int64 { return s.File }),
	})
	return nil
}

// A plate makes rows of new records: a real record's, sealed anew under another name.
// The vault opens them and knows them for what they are; only no password fits.
type plate struct {
	v    *subject
	body []byte // of a record
	size int    // of a row
}

// idAt is where its own name lies in the body of a record (docs/vault-protocol.md, "What a
// vault keeps").
const idAt = 1 + 1 + 2 + 2 + 8 + 8 + 8 + 1

func newPlate(ctx context.Context) (*plate, error) {
	rows := newMemoryStore()
	v, err := newSubject(rows, newSoft())
	if err != nil {
		return nil, err
	}
	defer v.core.Close()
	users, err := register(ctx, v, 1)
	if err != nil {
		return nil, err
	}
	return plateOf(ctx, v, users[0].g.Record)
}

func plateOf(ctx context.Context, v *subject, id store.ID) (*plate, error) {
	row, _, err := v.store.Fetch(ctx, id)
	if err != nil {
		return nil, err
	}
	handle, sealed := row[3:3+int(row[1])<<8+int(row[2])], row[3+int(row[1])<<8+int(row[2]):]
	body, err := v.sealer.Open(ctx, id, handle, sealed)
	if err != nil {
		return nil, err
	}
	if len(body) < idAt+16 || !slices.Equal(body[idAt:idAt+16], id[:]) {
		return nil, errors.New("a record is not laid out as this program believes")
	}
	return &plate{v: v, body: body, size: len(row)}, nil
}

// row makes the row of a record with this name.
func (p *plate) row(ctx context.Context, id store.ID) ([]byte, error) {
	handle, err := p.v.sealer.NewKey(ctx, id)
	if err != nil {
		return nil, err
	}
	body := slices.Clone(p.body)
	copy(body[idAt:], id[:])
	sealed, err := p.v.sealer.Seal(ctx, id, handle, body)
	if err != nil {
		return nil, err
	}
	row := append([]byte{1, byte(len(handle) >> 8), byte(len(handle))}, handle...)
	return append(row, sealed...), nil
}
