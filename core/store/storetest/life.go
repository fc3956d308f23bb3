package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"vsync/core/store"
)

func testDurabilities(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	for i, d := range []store.Durability{store.Relaxed, store.Strict, store.Strict, store.Relaxed, store.Relaxed, store.Strict} {
		tx := store.Tx{Durability: d}
		tx.Put([]byte{byte('a' + i)}, []byte(d.String()))
		mustCommit(t, s, &tx)
	}
	wantAll(t, s, "a", "relaxed", "b", "strict", "c", "strict", "d", "relaxed", "e", "relaxed", "f", "strict")
}

func testReopen(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	put(t, s, "a", "1", "b", "2", "\x00\xff", "")
	for round := range 3 {
		mustClose(t, s)
		s = mustOpen(t, place)
		if round == 0 {
			wantAll(t, s, "\x00\xff", "", "a", "1", "b", "2")
		}
		tx := store.Tx{Durability: store.Strict}
		tx.Put([]byte("a"), fmt.Append(nil, round))
		tx.Delete([]byte("b"))
		mustCommit(t, s, &tx)
	}
	mustClose(t, s)
	s = mustOpen(t, place)
	wantAll(t, s, "\x00\xff", "", "a", "2")
}

func testSecondOpen(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	put(t, s, "a", "1")
	if place.Exclusive() {
		second, err := place.Open(ctx)
		if err == nil {
			second.Close()
		}
		if !errors.Is(err, store.ErrLocked) {
			t.Fatalf("a second open: %v, want ErrLocked", err)
		}
	}
	put(t, s, "b", "2") // the first owner is not disturbed
	mustClose(t, s)
	s = mustOpen(t, place)
	wantAll(t, s, "a", "1", "b", "2")
}

// calls are all calls that a store may refuse.
func calls(s store.Store, ctx context.Context) map[string]func() error {
	tx := &store.Tx{}
	tx.Put([]byte("refused"), []byte("x"))
	return map[string]func() error{
		"get":    func() error { _, _, err := s.Get(ctx, []byte("a")); return err },
		"scan":   func() error { _, err := s.Scan(ctx, store.Range{}); return err },
		"commit": func() error { return s.Commit(ctx, tx) },
	}
}

func testClosed(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	put(t, s, "a", "1")
	mustClose(t, s)
	for name, call := range calls(s, ctx) {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after close: %v, want ErrClosed", name, err)
		}
	}
	mustClose(t, s) // a second one does nothing
	wantAll(t, mustOpen(t, place), "a", "1")
}

func testCancelledContext(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	put(t, s, "a", "1")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for name, call := range calls(s, cancelled) {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v", name, err)
		}
	}
	wantAll(t, s, "a", "1") // nothing was applied, and the store works on
	put(t, s, "b", "2")
	wantAll(t, s, "a", "1", "b", "2")
}

// A writer replaces the same rows, all with one number, and moves one row from
// key to key. Every scan beside it must see equal numbers, exactly one moved
// row, and never an older state than the scan before.
func testReadersBesideWriter(t *testing.T, place Opener) {
	const rounds, readers, width = 60, 3, 20
	s := mustOpen(t, place)
	write := func(round int) error {
		var tx store.Tx
		for i := range width {
			tx.Put(fmt.Appendf(nil, "row%02d", i), fmt.Appendf(nil, "%06d", round))
		}
		tx.DeleteRange([]byte("x"), []byte("y"))
		tx.Put(fmt.Appendf(nil, "x%06d", round*7919%rounds), fmt.Appendf(nil, "%06d", round))
		return s.Commit(ctx, &tx)
	}
	if err := write(0); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for reader := range readers {
		wg.Go(func() {
			last := ""
			for more := true; more; {
				select {
				case <-done:
					more = false // one more scan sees the last round
				default:
				}
				rows, err := s.Scan(ctx, store.Range{Reverse: reader == 1})
				if err != nil || len(rows) != width+1 {
					t.Errorf("scan beside a writer: %d rows, %v", len(rows), err)
					return
				}
				for _, row := range rows {
					if string(row.Value) != string(rows[0].Value) {
						t.Errorf("one scan saw rounds %s and %s", rows[0].Value, row.Value)
						return
					}
				}
				if now := string(rows[0].Value); now < last {
					t.Errorf("a scan saw round %s after %s", now, last)
					return
				} else {
					last = now
				}
			}
			if last != fmt.Sprintf("%06d", rounds) {
				t.Errorf("the last scan saw round %s", last)
			}
		})
	}
	for round := 1; round <= rounds; round++ {
		if err := write(round); err != nil {
			t.Errorf("commit beside readers: %v", err)
			break
		}
		// What was committed is what the writer reads.
		if v, _, err := s.Get(ctx, []byte("row00")); err != nil || string(v) != fmt.Sprintf("%06d", round) {
			t.Errorf("read after commit of round %d: %s, %v", round, v, err)
			break
		}
	}
	close(done)
	wg.Wait()
}

// Commits from several goroutines are taken one after the other: of two that
// write the same rows, one is seen, whole.
func testWritersBesideEachOther(t *testing.T, place Opener) {
	const writers, rounds = 4, 15
	s := mustOpen(t, place)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for round := range rounds {
				name := fmt.Appendf(nil, "writer %d round %d", w, round)
				var tx store.Tx
				tx.Put([]byte("a"), name)
				tx.Put(fmt.Appendf(nil, "own-%d-%02d", w, round), name)
				tx.Put([]byte("z"), name)
				if err := s.Commit(ctx, &tx); err != nil {
					t.Errorf("commit: %v", err)
				}
			}
		})
	}
	wg.Wait()
	rows := mustScan(t, s, store.Range{})
	if len(rows) != writers*rounds+2 {
		t.Fatalf("%d rows, want %d", len(rows), writers*rounds+2)
	}
	if a, z := rows[0].Value, rows[len(rows)-1].Value; string(a) != string(z) {
		t.Fatalf("the shared rows are of %q and %q", a, z)
	}
}
