// Package storetest is the conformance suite of store.Store: what the engine
// relies on, as tests. One suite runs over every implementation, in every host,
// a browser included; hence it asks no clock, and knows no files.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Opener { return place(t) })
//	}
//
// Crashes need a process or a medium to kill, so they are tested beside each
// implementation.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"vsync/core/store"
)

// Opener is one empty place for rows: a memory, a file, a browser's database.
type Opener interface {
	// Open opens the place with all that was committed there before. The suite
	// has at most one store open at a time, except to see it refused.
	Open(ctx context.Context) (store.Store, error)
	// Exclusive says that a second Open beside an open store fails with
	// store.ErrLocked. Elsewhere the caller keeps others away.
	Exclusive() bool
}

// cases are the tests of the suite, each on a fresh place.
var cases = []struct {
	name string
	run  func(t *testing.T, place Opener)
}{
	{"Empty", testEmpty},
	{"PutGetDelete", testPutGetDelete},
	{"OrderedByBytes", testOrderedByBytes},
	{"LowerBound", testLowerBound},
	{"Limits", testLimits},
	{"Each", testEach},
	{"OperationsInOrder", testOperationsInOrder},
	{"DeleteRange", testDeleteRange},
	{"EmptyKeyAndValue", testEmptyKeyAndValue},
	{"RowLimits", testRowLimits},
	{"MalformedRefusedWhole", testMalformedRefusedWhole},
	{"SlicesAreCopies", testSlicesAreCopies},
	{"LargeTransaction", testLargeTransaction},
	{"Durabilities", testDurabilities},
	{"Reopen", testReopen},
	{"SecondOpen", testSecondOpen},
	{"Closed", testClosed},
	{"CancelledContext", testCancelledContext},
	{"ReadersBesideWriter", testReadersBesideWriter},
	{"WritersBesideEachOther", testWritersBesideEachOther},
	{"Random", func(t *testing.T, place Opener) { Random(t, place, 1, 1500) }},
	{"RandomAgain", func(t *testing.T, place Opener) { Random(t, place, 2, 1500) }},
}

// Run runs the suite; open makes a fresh place each time.
func Run(t *testing.T, open func(t *testing.T) Opener) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// ctx is the context of every call that needs no other.
var ctx = context.Background()

func mustOpen(t testing.TB, place Opener) store.Store {
	t.Helper()
	s, err := place.Open(ctx)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func mustClose(t testing.TB, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func mustCommit(t testing.TB, s store.Store, tx *store.Tx) {
	t.Helper()
	if err := s.Commit(ctx, tx); err != nil {
		t.Fatalf("commit of %d operations: %v", len(tx.Ops), err)
	}
}

// put commits rows given as key, value, key, value …
func put(t testing.TB, s store.Store, pairs ...string) {
	t.Helper()
	var tx store.Tx
	for i := 0; i < len(pairs); i += 2 {
		tx.Put([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	mustCommit(t, s, &tx)
}

func mustScan(t testing.TB, s store.Store, r store.Range) []store.Row {
	t.Helper()
	rows, err := s.Scan(ctx, r)
	if err != nil {
		t.Fatalf("scan %v: %v", r, err)
	}
	return rows
}

// want checks the rows of a range, given as key, value, key, value …
func want(t testing.TB, s store.Store, r store.Range, pairs ...string) {
	t.Helper()
	var expected []store.Row
	for i := 0; i < len(pairs); i += 2 {
		expected = append(expected, store.Row{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	if diff := compare(mustScan(t, s, r), expected); diff != "" {
		t.Fatalf("scan %v: %s", r, diff)
	}
}

// wantAll checks the whole store.
func wantAll(t testing.TB, s store.Store, pairs ...string) {
	t.Helper()
	want(t, s, store.Range{}, pairs...)
}

func wantGet(t testing.TB, s store.Store, key, value string) {
	t.Helper()
	v, ok, err := s.Get(ctx, []byte(key))
	if err != nil || !ok || string(v) != value {
		t.Fatalf("get %q: %s, %v, %v; want %s", key, brief(v), ok, err, brief([]byte(value)))
	}
	if v == nil {
		t.Fatalf("get %q: the value that is there is nil", key)
	}
}

func wantNone(t testing.TB, s store.Store, key string) {
	t.Helper()
	v, ok, err := s.Get(ctx, []byte(key))
	if err != nil || ok || v != nil {
		t.Fatalf("get %q: %s, %v, %v; want no row", key, brief(v), ok, err)
	}
}

// compare says how two results differ; empty if they do not.
func compare(got, want []store.Row) string {
	for i := range min(len(got), len(want)) {
		if !bytes.Equal(got[i].Key, want[i].Key) {
			return fmt.Sprintf("row %d has key %s, want %s", i, brief(got[i].Key), brief(want[i].Key))
		}
		if !bytes.Equal(got[i].Value, want[i].Value) {
			return fmt.Sprintf("row %d, key %s, has value %s, want %s", i, brief(got[i].Key), brief(got[i].Value), brief(want[i].Value))
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d rows, want %d", len(got), len(want))
	}
	return ""
}

// brief shows bytes without flooding the report.
func brief(b []byte) string {
	if len(b) > 40 {
		return fmt.Sprintf("%q… (%d bytes)", b[:40], len(b))
	}
	return fmt.Sprintf("%q", b)
}
