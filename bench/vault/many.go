package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"coffer/crypto/aead"
	"coffer/vault/protocol"
	"coffer/vault/server/store"
	"coffer/vault/server/store/bolt"
)

// A crowd is what was seen of one file.
type crowd struct {
	records  int
	file     int64
	start    memory // after opening
	loaded   memory // after openings
	swept    memory // after a look at each record
	sweep    time.Duration
	destroy  time.Duration // a record, by its owner
	openings result
}

// many compares a file of many records with one of few. Somebody asks for the few; in the file
// of many, the others are just there.
func many(ctx context.Context, o options, out io.Writer) error {
	if o.dir == "" || o.records < o.asked {
		return fmt.Errorf("-dir, and at least %d records, are needed", o.asked)
	}
	rows := newMemoryStore()
	v, err := newSubject(rows, newSoft())
	if err != nil {
		return err
	}
	defer v.core.Close()
	users, err := register(ctx, v, o.asked)
	if err != nil {
		return err
	}
	p, err := plateOf(ctx, v, users[0].g.Record)
	if err != nil {
		return err
	}
	var crowds []crowd
	for _, n := range []int{o.asked, o.records} {
		path := filepath.Join(o.dir, fmt.Sprintf("%d.db", n))
		if err := fill(ctx, path, rows, p, n); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		c, err := watch(ctx, o, v, users, path, n)
		if err != nil {
			return fmt.Errorf("%d records: %w", n, err)
		}
		crowds = append(crowds, c)
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	printCrowds(out, crowds, p.size)
	return nil
}

// fill writes the rows of the users, and others up to n in all, in the order of their names.
func fill(ctx context.Context, path string, rows *memoryStore, p *plate, n int) (err error) {
	db, err := bolt.Open(path, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ids := make([]store.ID, 0, n)
	for id := range rows.rows {
		ids = append(ids, id)
	}
	for len(ids) < n {
		ids = append(ids, store.ID(aead.Random(16)))
	}
	slices.SortFunc(ids, func(a, b store.ID) int { return bytes.Compare(a[:], b[:]) })
	for some := range slices.Chunk(ids, 20_000) {
		made := make([][]byte, len(some))
		err := together(2, func(half int) (err error) {
			for i := half; i < len(some) && err == nil; i += 2 {
				if row, ok := rows.rows[some[i]]; ok {
					made[i] = row.data
				} else {
					made[i], err = p.row(ctx, some[i])
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		err = db.Update(ctx, func(tx *bolt.Tx) error {
			for i, id := range some {
				if _, err := tx.Put(id, made[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// watch opens the file anew and asks for records in it.
func watch(ctx context.Context, o options, v *subject, users []*user, path string, n int) (c crowd, err error) {
	c.records = n
	info, err := os.Stat(path)
	if err != nil {
		return c, err
	}
	c.file = info.Size()
	db, err := bolt.Open(path, 0)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	here, err := v.on(db)
	if err != nil {
		return c, err
	}
	defer here.core.Close()
	// The other file's tries are not this one's.
	door, _ := here.inside()()
	for _, u := range users {
		u.g.Door = door
		if err := u.look(ctx, u.g); err != nil {
			return c, err
		}
	}
	victim := here.guesser(door)
	if err := victim.Register(ctx, password); err != nil {
		return c, err
	}
	if c.start, err = memoryNow(); err != nil {
		return c, err
	}
	if c.openings, err = load(ctx, users, 8, 3*o.seconds, here.inside()); err != nil {
		return c, err
	}
	if c.loaded, err = memoryNow(); err != nil {
		return c, err
	}
	begun := time.Now()
	if err := here.core.Sweep(ctx); err != nil {
		return c, err
	}
	c.sweep = time.Since(begun)
	if c.swept, err = memoryNow(); err != nil {
		return c, err
	}
	begun = time.Now()
	_, err = victim.Act(ctx, protocol.KindDestroy)
	c.destroy = time.Since(begun)
	return c, err
}

// memoryNow is what this process has after it has given back what it does not use.
func memoryNow() (memory, error) {
	debug.FreeOSMemory()
	return memoryOf(os.Getpid())
}

func printCrowds(out io.Writer, crowds []crowd, size int) {
	header, rows := []string{""}, [][]string{}
	line := func(what string, get func(crowd) string) {
		row := []string{what}
		for _, c := range crowds {
			row = append(row, get(c))
		}
		rows = append(rows, row)
	}
	for _, c := range crowds {
		header = append(header, strconv.Itoa(c.records)+" records")
	}
	rss := func(m memory) string { return mebibytes(m.Anon) + " + " + mebibytes(m.File) }
	line("file, MiB", func(c crowd) string { return mebibytes(c.file) })
	line("file, bytes a record", func(c crowd) string { return strconv.FormatInt(c.file/int64(c.records), 10) })
	line("openings/s, 8 clients, inside", func(c crowd) string { return fmt.Sprintf("%.0f", c.openings.rate()) })
	line("p50 ms", func(c crowd) string { return milliseconds(c.openings.quantile(0.5)) })
	line("p99 ms", func(c crowd) string { return milliseconds(c.openings.quantile(0.99)) })
	line("memory after the start, own + file, MiB", func(c crowd) string { return rss(c.start) })
	line("memory after openings, own + file, MiB", func(c crowd) string { return rss(c.loaded) })
	line("memory after a look at each record, own + file, MiB", func(c crowd) string { return rss(c.swept) })
	line("the look at each record at the start, s", func(c crowd) string { return fmt.Sprintf("%.2f", c.sweep.Seconds()) })
	line("to destroy one record, ms", func(c crowd) string { return milliseconds(c.destroy) })
	table(out, fmt.Sprintf("Many records in one file (bolt, soft), new rows of %d bytes", size), header, rows)
	if len(crowds) == 2 && crowds[0].openings.quantile(0.99) > 0 {
		fmt.Fprintf(out, "\np99 of the many is %.2f times that of the few. File: pages of the data file that were touched; the system drops them when it needs room.\n",
			float64(crowds[1].openings.quantile(0.99))/float64(crowds[0].openings.quantile(0.99)))
	}
}
