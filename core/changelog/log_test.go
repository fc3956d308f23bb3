package changelog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

var ctx = context.Background()

func device(n byte) change.DeviceID { return change.DeviceID{0: n, 15: 0xd0} }

// batchOfSize is a batch with one value of about that size.
func batchOfSize(tb testing.TB, v change.Version, size int, fill byte) []byte {
	tb.Helper()
	value, err := change.Encode(bytes.Repeat([]byte{fill}, size))
	if err != nil {
		tb.Fatal(err)
	}
	b := &change.Batch{Header: change.Header{Device: v.Device, Gen: v.Gen, Stamp: 1},
		Mutations: []change.Mutation{{Key: change.Key{Collection: "c", ID: "o"}, Value: value}}}
	raw, err := b.Encode(change.Hash{})
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func entryItem(tb testing.TB, seq uint64, batch []byte) Item {
	tb.Helper()
	h, _, err := change.DecodeHeader(batch)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed(tb, seq, change.NewBatchEntry(&h, batch, change.Annotation{Accepted: 7}))
}

func voidItem(tb testing.TB, seq uint64, v change.Version) Item {
	tb.Helper()
	return sealed(tb, seq, change.NewVoidEntry(v, change.Hash{1}, change.Annotation{Reason: &change.Reason{Code: "INVALID"}}))
}

func sealed(tb testing.TB, seq uint64, e *change.Entry) Item {
	tb.Helper()
	data, err := e.Append(binary.AppendUvarint(nil, seq))
	if err != nil {
		tb.Fatal(err)
	}
	return Item{ItemEntry, data}
}

// plain is a commit whose items the log does not look into.
func plain(n int, fill byte) []Item {
	return []Item{{ItemMarker, []byte{fill}}, {ItemOutcome, bytes.Repeat([]byte{fill}, n)}}
}

func open(tb testing.TB, st store.Store, inc uint64, from Name) (*Log, []Record) {
	tb.Helper()
	l, recs, err := tryOpen(st, inc, from)
	if err != nil {
		tb.Fatal(err)
	}
	return l, recs
}

func tryOpen(st store.Store, inc uint64, from Name) (*Log, []Record, error) {
	var recs []Record
	l, err := Open(ctx, st, inc, from, func(_ *Log, r Record) error {
		recs = append(recs, r)
		return nil
	})
	return l, recs, err
}

func commit(tb testing.TB, st store.Store, l *Log, items []Item) {
	tb.Helper()
	tx := &store.Tx{}
	want := l.Last() + 1
	if got := l.Append(tx, items); got != want {
		tb.Fatalf("the commit after %d got the number %d", want-1, got)
	}
	if err := st.Commit(ctx, tx); err != nil {
		tb.Fatal(err)
	}
	l.Committed()
}

// same compares records with the items of the commits from first on.
func same(recs []Record, first uint64, want [][]Item) error {
	if len(recs) != len(want) {
		return fmt.Errorf("%d records, want %d", len(recs), len(want))
	}
	for i, r := range recs {
		if r.Commit != first+uint64(i) {
			return fmt.Errorf("record %d is commit %d, want %d", i, r.Commit, first+uint64(i))
		}
		if len(r.Items) != len(want[i]) {
			return fmt.Errorf("commit %d has %d items, want %d", r.Commit, len(r.Items), len(want[i]))
		}
		for j, it := range r.Items {
			if it.Kind != want[i][j].Kind || !bytes.Equal(it.Data, want[i][j].Data) {
				return fmt.Errorf("item %d of commit %d is not what was appended", j, r.Commit)
			}
		}
	}
	return nil
}

func mustSame(tb testing.TB, recs []Record, first uint64, want [][]Item) {
	tb.Helper()
	if err := same(recs, first, want); err != nil {
		tb.Fatal(err)
	}
}

func rows(tb testing.TB, st store.Store, prefix byte) []store.Row {
	tb.Helper()
	out, err := st.Scan(ctx, store.Prefix([]byte{prefix}))
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func TestWhatIsAppendedIsReplayed(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		st := store.NewMemory()
		var all [][]Item
		for inc := uint64(1); inc < 6; inc++ {
			l, recs := open(t, st, inc, Name{})
			mustSame(t, recs, 1, all)
			for range rnd.IntN(60) {
				size := rnd.IntN(400)
				switch rnd.IntN(12) {
				case 0:
					size = rnd.IntN(9000)
				case 1:
					size = partMax - 200 + rnd.IntN(400)
				case 2:
					size = rnd.IntN(5 * partMax)
				}
				items := plain(size, byte(rnd.IntN(256)))
				commit(t, st, l, items)
				all = append(all, items)
			}
			if l.Last() != uint64(len(all)) {
				t.Fatalf("last is %d, want %d", l.Last(), len(all))
			}
			for from := uint64(1); from <= l.Last(); {
				recs, err := l.Records(ctx, from)
				if err != nil || len(recs) == 0 {
					t.Fatalf("no records from %d: %v", from, err)
				}
				mustSame(t, recs, from, all[from-1:from-1+uint64(len(recs))])
				from += uint64(len(recs))
			}
			if recs, err := l.Records(ctx, l.Last()+1); recs != nil || err != nil {
				t.Fatalf("records after the last: %v, %v", recs, err)
			}
		}
	}
}

func TestNoCommitIsEmptyOrTooLarge(t *testing.T) {
	st := store.NewMemory()
	l, _ := open(t, st, 1, Name{})
	all := [][]Item{nil, {{ItemMarker, nil}}, plain(9<<20, 3), nil}
	for _, items := range all {
		commit(t, st, l, items)
	}
	_, recs := open(t, st, 2, Name{})
	mustSame(t, recs, 1, all)
}

// TestSmallCommitsShareARow: 4 KB of them, then a new row begins.
func TestSmallCommitsShareARow(t *testing.T) {
	st := store.NewMemory()
	l, _ := open(t, st, 1, Name{})
	for range 100 {
		commit(t, st, l, plain(190, 1))
	}
	got := rows(t, st, rowSegment)
	if len(got) != 5 { // 20 records of 202 bytes fill one
		t.Fatalf("%d rows, want 5", len(got))
	}
	for _, r := range got[:len(got)-1] {
		if len(r.Value) > TailMax || len(r.Value) < TailMax-300 {
			t.Errorf("a row that is full has %d bytes", len(r.Value))
		}
	}
	if l.Size() != int64(total(got)) {
		t.Errorf("size %d, rows have %d", l.Size(), total(got))
	}
}

func total(rows []store.Row) (n int) {
	for _, r := range rows {
		n += len(r.Value)
	}
	return n
}

// TestAnEngineNeverRewritesWhatAnotherWrote, small as it may be.
func TestAnEngineNeverRewritesWhatAnotherWrote(t *testing.T) {
	st := store.NewMemory()
	for inc := uint64(1); inc < 5; inc++ {
		before := rows(t, st, rowSegment)
		l, _ := open(t, st, inc, Name{})
		commit(t, st, l, plain(10, byte(inc)))
		commit(t, st, l, plain(10, byte(inc)))
		after := rows(t, st, rowSegment)
		if len(after) != len(before)+1 {
			t.Fatalf("%d rows after incarnation %d", len(after), inc)
		}
		for i, r := range before {
			if !bytes.Equal(r.Key, after[i].Key) || !bytes.Equal(r.Value, after[i].Value) {
				t.Fatalf("incarnation %d has changed row %x", inc, r.Key)
			}
		}
	}
}

// TestACommitThatFailedIsForgotten: whatever it was, and whatever comes in its place.
func TestACommitThatFailedIsForgotten(t *testing.T) {
	sizes := []int{10, TailMax + 1, 2*partMax + 1}
	for _, before := range []int{0, 1, 30} {
		for _, failed := range sizes {
			for _, next := range sizes {
				st := store.NewMemory()
				l, _ := open(t, st, 1, Name{})
				var all [][]Item
				for range before {
					all = append(all, plain(100, 1))
					commit(t, st, l, all[len(all)-1])
				}
				v := change.Version{Device: device(1), Gen: 1}
				l.Append(&store.Tx{}, []Item{{ItemBatch, batchOfSize(t, v, failed, 2)}})
				l.Append(&store.Tx{}, []Item{{ItemBatch, batchOfSize(t, v, failed, 3)}})
				if l.Last() != uint64(len(all)) || l.Has(v) {
					t.Fatal("a commit that was not confirmed counts")
				}
				for _, size := range []int{next, 5} {
					all = append(all, plain(size, 4))
					commit(t, st, l, all[len(all)-1])
				}
				l.Committed() // says nothing new
				if l.Last() != uint64(len(all)) {
					t.Fatalf("last is %d, want %d", l.Last(), len(all))
				}
				_, recs := open(t, st, 2, Name{})
				mustSame(t, recs, 1, all)
			}
		}
	}
}

func TestAnOldIncarnationIsRefused(t *testing.T) {
	st := store.NewMemory()
	l, _ := open(t, st, 5, Name{})
	commit(t, st, l, plain(1, 1))
	for _, inc := range []uint64{1, 5} {
		if _, _, err := tryOpen(st, inc, Name{}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("incarnation %d after 5: %v", inc, err)
		}
	}
}

// TestReplayMayLookUp: a confirmation needs the bytes of a batch that stands before it, in another segment or its own.
func TestReplayMayLookUp(t *testing.T) {
	st := store.NewMemory()
	l, _ := open(t, st, 1, Name{})
	var all [][]byte
	for g := change.Generation(1); g <= 50; g++ {
		b := batchOfSize(t, change.Version{Device: device(1), Gen: g}, 200, byte(g))
		all = append(all, b)
		commit(t, st, l, []Item{{ItemBatch, b}})
	}
	seen := change.Generation(0)
	_, err := Open(ctx, st, 2, Name{}, func(l *Log, r Record) error {
		for g := change.Generation(1); g <= change.Generation(r.Commit); g++ {
			b, rec, ok, err := l.Find(ctx, change.Version{Device: device(1), Gen: g})
			if err != nil || !ok || !bytes.Equal(b, all[g-1]) || rec.Commit != uint64(g) {
				return fmt.Errorf("at commit %d the batch %d: %v, %v", r.Commit, g, ok, err)
			}
			seen = g
		}
		return nil
	})
	if err != nil || seen != 50 {
		t.Fatal(seen, err)
	}
	stop := errors.New("stop")
	if _, err := Open(ctx, st, 2, Name{}, func(*Log, Record) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("what visit returns is not passed on: %v", err)
	}
}
