package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"vsync/core/store"
)

func testEmpty(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	wantNone(t, s, "a")
	wantNone(t, s, "")
	wantAll(t, s)
	want(t, s, store.Range{Reverse: true})
	mustCommit(t, s, &store.Tx{})
	mustCommit(t, s, &store.Tx{Durability: store.Strict})
	var tx store.Tx
	tx.Delete([]byte("a"))
	tx.DeleteRange(nil, nil)
	mustCommit(t, s, &tx)
	wantAll(t, s)
}

func testPutGetDelete(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	put(t, s, "a", "1", "b", "2")
	wantGet(t, s, "a", "1")
	wantGet(t, s, "b", "2")
	wantNone(t, s, "aa")

	put(t, s, "a", "longer than before")
	put(t, s, "b", "")
	wantAll(t, s, "a", "longer than before", "b", "")

	var tx store.Tx
	tx.Delete([]byte("a"))
	tx.Delete([]byte("never there"))
	mustCommit(t, s, &tx)
	wantNone(t, s, "a")
	wantAll(t, s, "b", "")
}

// Keys with zero bytes, with 0xff, that are not UTF-8, that look like numbers:
// a store that takes them for text would order or unite them otherwise.
var orderedKeys = []string{
	"\x00", "\x00\x00", "\x00\x00\x01", "\x00\x01", "\x00\xff", "\x01",
	"0", "00", "1", "10", "2", "A", "B", "a", "a\x00", "a\x00b", "aa", "ab", "b", "z",
	"\x7f", "\x80", "\xc3\xa9", "\xed\xa0\x80", "\xfe", "\xff", "\xff\x00", "\xff\xff", "\xff\xff\xff",
}

func testOrderedByBytes(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	var forward, backward []string
	for i, k := range orderedKeys {
		forward = append(forward, k, fmt.Sprint(i))
	}
	for i := len(orderedKeys) - 1; i >= 0; i-- {
		backward = append(backward, orderedKeys[i], fmt.Sprint(i))
	}
	// The order of writing must not matter: multiplying by a number that is
	// prime to the length visits every key once.
	for i := range orderedKeys {
		j := i * 11 % len(orderedKeys)
		put(t, s, orderedKeys[j], fmt.Sprint(j))
	}
	wantAll(t, s, forward...)
	want(t, s, store.Range{Reverse: true}, backward...)
	for i, k := range orderedKeys {
		wantGet(t, s, k, fmt.Sprint(i))
		want(t, s, store.Range{From: []byte(k)}, forward[2*i:]...)
		want(t, s, store.Range{To: []byte(k)}, forward[:2*i]...)
	}
}

func testLowerBound(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	put(t, s, "P\x00a", "1", "P\x00m", "2", "P\x00\xff", "3", "Q", "4")
	first := func(from, key, value string) {
		t.Helper()
		want(t, s, store.Range{From: []byte(from), Limit: 1}, key, value)
	}
	first("", "P\x00a", "1")
	first("P\x00a", "P\x00a", "1")
	first("P\x00a\x00", "P\x00m", "2")
	first("P\x00b", "P\x00m", "2")
	first("P\x00n", "P\x00\xff", "3")
	first("P\x00\xff\x00", "Q", "4")
	want(t, s, store.Range{From: []byte("P\x00\xff\x00"), To: []byte("Q"), Limit: 1})
	want(t, s, store.Range{From: []byte("R"), Limit: 1})

	want(t, s, store.Range{To: []byte("Q"), Limit: 1, Reverse: true}, "P\x00\xff", "3")
	want(t, s, store.Range{To: []byte("P\x00m"), Limit: 1, Reverse: true}, "P\x00a", "1")
	want(t, s, store.Range{To: []byte("P\x00m\x00"), Limit: 1, Reverse: true}, "P\x00m", "2")
	want(t, s, store.Range{From: []byte("P\x00b"), To: []byte("P\x00m"), Limit: 1, Reverse: true})
	want(t, s, store.Range{Limit: 1, Reverse: true}, "Q", "4")

	want(t, s, store.Range{From: []byte("Q"), To: []byte("P")})
	want(t, s, store.Range{From: []byte("Q"), To: []byte("Q")})
	want(t, s, store.Range{From: []byte("Q"), To: []byte("P"), Reverse: true})
	// Bounds may be longer than any key.
	want(t, s, store.Range{From: bytes.Repeat([]byte("P"), store.MaxKey+10)}, "Q", "4")
}

func testLimits(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	v := strings.Repeat("v", 99) // with its key a row of 100 bytes
	all := []string{"a", v, "b", v, "c", v, "d", v}
	put(t, s, all...)

	want(t, s, store.Range{Limit: 3}, all[:6]...)
	want(t, s, store.Range{Limit: 4}, all...)
	want(t, s, store.Range{Limit: 5}, all...)
	want(t, s, store.Range{MaxBytes: 1}, all[:2]...)
	want(t, s, store.Range{MaxBytes: 199}, all[:2]...)
	want(t, s, store.Range{MaxBytes: 200}, all[:4]...)
	want(t, s, store.Range{MaxBytes: 299}, all[:4]...)
	want(t, s, store.Range{MaxBytes: 10_000}, all...)
	want(t, s, store.Range{Limit: 1, MaxBytes: 250}, all[:2]...)
	want(t, s, store.Range{Limit: 3, MaxBytes: 250}, all[:4]...)

	want(t, s, store.Range{Limit: 2, Reverse: true}, "d", v, "c", v)
	want(t, s, store.Range{MaxBytes: 1, Reverse: true}, "d", v)
	want(t, s, store.Range{MaxBytes: 200, Reverse: true}, "d", v, "c", v)
	want(t, s, store.Range{From: []byte("b"), To: []byte("d"), MaxBytes: 350, Reverse: true}, "c", v, "b", v)
}

func testEach(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	var tx store.Tx
	for i := range 500 {
		tx.Put(fmt.Appendf(nil, "k%03d", i), bytes.Repeat([]byte{byte(i)}, i))
	}
	tx.Put([]byte{}, []byte("at the empty key"))
	mustCommit(t, s, &tx)

	for _, r := range []store.Range{
		{},
		{MaxBytes: 1},
		{MaxBytes: 4000},
		{MaxBytes: 4000, Reverse: true},
		{Limit: 77, MaxBytes: 4000},
		{Limit: 77, MaxBytes: 4000, Reverse: true},
		{From: []byte("k1"), To: []byte("k3"), MaxBytes: 3000},
		{From: []byte("k1"), To: []byte("k3"), MaxBytes: 3000, Reverse: true},
	} {
		var rows []store.Row
		err := store.Each(ctx, s, r, func(row store.Row) error {
			rows = append(rows, row)
			return nil
		})
		if err != nil {
			t.Fatalf("each %v: %v", r, err)
		}
		whole := r
		whole.MaxBytes = 0
		if diff := compare(rows, mustScan(t, s, whole)); diff != "" {
			t.Fatalf("each %v: %s", r, diff)
		}
	}
	stop := errors.New("stop")
	n := 0
	err := store.Each(ctx, s, store.Range{}, func(store.Row) error { n++; return stop })
	if err != stop || n != 1 {
		t.Fatalf("each with a failing function: %v after %d rows", err, n)
	}
}

func testOperationsInOrder(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	var tx store.Tx
	tx.Put([]byte("a"), []byte("first"))
	tx.Put([]byte("a"), []byte("second"))
	tx.Put([]byte("b"), []byte("goes"))
	tx.Delete([]byte("b"))
	tx.Delete([]byte("c"))
	tx.Put([]byte("c"), []byte("stays"))
	mustCommit(t, s, &tx)
	wantAll(t, s, "a", "second", "c", "stays")
}

func testDeleteRange(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	put(t, s, "a", "1", "b", "2", "c", "3", "d", "4", "e", "5")

	var tx store.Tx
	tx.Put([]byte("bb"), []byte("put before the range goes"))
	tx.DeleteRange([]byte("b"), []byte("d"))
	tx.Put([]byte("c"), []byte("put after it stays"))
	mustCommit(t, s, &tx)
	wantAll(t, s, "a", "1", "c", "put after it stays", "d", "4", "e", "5")

	tx.Reset()
	tx.DeleteRange([]byte("d"), []byte("d"))
	tx.DeleteRange([]byte("e"), []byte("a"))
	mustCommit(t, s, &tx)
	wantAll(t, s, "a", "1", "c", "put after it stays", "d", "4", "e", "5")

	tx.Reset()
	tx.DeleteRange([]byte("d"), nil)
	mustCommit(t, s, &tx)
	wantAll(t, s, "a", "1", "c", "put after it stays")

	tx.Reset()
	tx.DeleteRange(nil, []byte("c"))
	mustCommit(t, s, &tx)
	wantAll(t, s, "c", "put after it stays")

	tx.Reset()
	tx.DeleteRange(nil, nil)
	tx.Put([]byte("z"), []byte("new"))
	mustCommit(t, s, &tx)
	wantAll(t, s, "z", "new")
}

func testEmptyKeyAndValue(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	var tx store.Tx
	tx.Put([]byte("nil"), nil)
	tx.Put([]byte("empty"), []byte{})
	tx.Put(nil, []byte("at the empty key"))
	mustCommit(t, s, &tx)
	wantGet(t, s, "nil", "")
	wantGet(t, s, "empty", "")
	wantGet(t, s, "", "at the empty key")
	wantAll(t, s, "", "at the empty key", "empty", "", "nil", "")
	want(t, s, store.Range{To: []byte("\x00")}, "", "at the empty key")

	put(t, s, "", "again")
	wantGet(t, s, "", "again")
	tx.Reset()
	tx.Delete([]byte{})
	mustCommit(t, s, &tx)
	wantAll(t, s, "empty", "", "nil", "")
}

func testRowLimits(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	key := strings.Repeat("k", store.MaxKey)
	value := strings.Repeat("\x00\xff", store.MaxRow/2)
	put(t, s, key, value, key[:store.MaxKey-1]+"l", "")
	wantGet(t, s, key, value)
	wantAll(t, s, key, value, key[:store.MaxKey-1]+"l", "")
	wantNone(t, s, key+"k")

	refused := func(k, v string) {
		t.Helper()
		var tx store.Tx
		tx.Put([]byte("before"), []byte("1"))
		tx.Put([]byte(k), []byte(v))
		tx.Put([]byte("after"), []byte("1"))
		tx.Delete([]byte(key))
		err := s.Commit(ctx, &tx)
		var large *store.RowTooLarge
		if !errors.As(err, &large) {
			t.Fatalf("a key of %d and a value of %d bytes: %v, want a *RowTooLarge", len(k), len(v), err)
		}
		if large.Index != 1 || large.KeyLen != len(k) || large.ValueLen != len(v) {
			t.Fatalf("the refusal says %+v", *large)
		}
		wantAll(t, s, key, value, key[:store.MaxKey-1]+"l", "")
	}
	refused("a", value+"x")
	refused(key+"x", "")
	refused(key+"x", value+"x")
}

func testMalformedRefusedWhole(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	put(t, s, "a", "1")
	for _, tx := range []*store.Tx{
		{Ops: []store.Op{{Kind: store.OpPut, Key: []byte("b")}, {Kind: 0, Key: []byte("c")}}},
		{Ops: []store.Op{{Kind: store.OpDelete, Key: []byte("a")}, {Kind: 99}}},
		{Ops: []store.Op{{Kind: store.OpDelete, Key: []byte("a")}}, Durability: 7},
	} {
		if err := s.Commit(ctx, tx); !errors.Is(err, store.ErrInvalid) {
			t.Fatalf("commit of %v: %v, want ErrInvalid", tx, err)
		}
		wantAll(t, s, "a", "1")
	}
}

func testSlicesAreCopies(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	// One arena for all slices, as the engine's buffers are.
	arena := []byte("key-1value-1key-2value-2")
	var tx store.Tx
	tx.Put(arena[:5:5], arena[5:12:12])
	tx.Put(arena[12:17], arena[17:])
	mustCommit(t, s, &tx)
	for i := range arena {
		arena[i] = 'x'
	}
	wantAll(t, s, "key-1", "value-1", "key-2", "value-2")

	v, _, err := s.Get(ctx, []byte("key-1"))
	if err != nil {
		t.Fatal(err)
	}
	rows := mustScan(t, s, store.Range{})
	again := mustScan(t, s, store.Range{})
	_ = append(v, "appended"...)
	for i := range v {
		v[i] = 'x'
	}
	for _, row := range rows {
		_, _ = append(row.Key, "appended"...), append(row.Value, "appended"...)
		clear(row.Key)
		clear(row.Value)
	}
	wantAll(t, s, "key-1", "value-1", "key-2", "value-2")
	if string(again[0].Key) != "key-1" || string(again[1].Value) != "value-2" {
		t.Fatalf("two results share memory: %q", again)
	}
}

func testLargeTransaction(t *testing.T, place Opener) {
	s := mustOpen(t, place)
	var tx store.Tx
	var pairs []string
	for i := range 140 { // a batch of the largest size: 8 MiB
		k, v := fmt.Sprintf("L%04d", i), strings.Repeat(string(rune('a'+i%26)), store.MaxRow)
		tx.Put([]byte(k), []byte(v))
		pairs = append(pairs, k, v)
	}
	if tx.Bytes() != 140*(5+store.MaxRow) {
		t.Fatalf("the transaction puts %d bytes", tx.Bytes())
	}
	mustCommit(t, s, &tx)
	wantAll(t, s, pairs...)
	tx.Reset()
	tx.DeleteRange([]byte("L0001"), []byte("L0139"))
	mustCommit(t, s, &tx)
	wantAll(t, s, pairs[0], pairs[1], pairs[278], pairs[279])
}
