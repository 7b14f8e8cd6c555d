package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"coffer/vault/server/store"
)

// RunShared tests what several servers see that share one store: open gives two ways to
// the same empty store.
func RunShared(t *testing.T, open func(t *testing.T) (a, b store.Store)) {
	t.Run("WhatOneWritesTheOtherReadsAtOnce", func(t *testing.T) {
		a, b := open(t)
		must(t, a.Create(t.Context(), id(1), []byte("0")))
		for i := range 20 {
			revision := mustFetch(t, b, 1, strconv.Itoa(i))
			must(t, b.Replace(t.Context(), id(1), revision, []byte(strconv.Itoa(i+1))))
			a, b = b, a
		}
	})
	t.Run("OneDoesNotOverwriteTheOther", func(t *testing.T) {
		a, b := open(t)
		must(t, a.Create(t.Context(), id(1), []byte("one")))
		wantErr(t, b.Create(t.Context(), id(1), []byte("other")), store.ErrExists)
		revision := mustFetch(t, a, 1, "one")
		must(t, b.Replace(t.Context(), id(1), revision, []byte("two")))
		wantErr(t, a.Replace(t.Context(), id(1), revision, []byte("three")), store.ErrChanged)
		mustFetch(t, a, 1, "two")
	})
	t.Run("NoCountIsLostBetweenThem", func(t *testing.T) {
		a, b := open(t)
		count(t, a, b)
	})
}

// count has writers on both sides add up one number by compare-and-swap.
func count(t *testing.T, sides ...store.Store) {
	const writers, each = 4, 10
	must(t, sides[0].Create(t.Context(), id(1), []byte("0")))
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for range each {
				if err := increment(t, sides[n%len(sides)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	mustFetch(t, sides[0], 1, strconv.Itoa(writers*each))
}

func increment(t *testing.T, s store.Store) error {
	for {
		row, revision, err := s.Fetch(t.Context(), id(1))
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(row))
		if err != nil {
			return err
		}
		err = s.Replace(t.Context(), id(1), revision, fmt.Appendf(nil, "%d", n+1))
		if !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
}
