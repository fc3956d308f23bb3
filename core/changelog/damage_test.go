package changelog

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// scarred is a log as life leaves it: three engines, rows that are rewritten, commits of several parts, a zombie's last
// gasp and a torn end.
func scarred(t *testing.T) (*store.Memory, [][]Item) {
	t.Helper()
	st := store.NewMemory()
	var lives []*life
	next := func() *life {
		e := birth(t, st, lives)
		lives = append(lives, e)
		return e
	}
	a := next()
	for range 3 {
		a.write(t, st, plain(60, 1), -1)
	}
	a.write(t, st, plain(2*partMax+50, 2), -1)
	a.write(t, st, plain(50, 3), -1)
	b := next()
	b.write(t, st, plain(70, 4), -1)
	a.write(t, st, plain(40, 5), -1) // void: b has read before
	a.write(t, st, plain(partMax+10, 6), -1)
	b.write(t, st, plain(TailMax, 7), -1)
	c := next()
	c.write(t, st, plain(30, 8), -1)
	c.write(t, st, plain(30, 9), -1)
	c.write(t, st, plain(2*partMax, 9), 2) // torn
	return st, held(lives)
}

// places are the offsets of a row that are tried: all of a small one, the ends and some of a large one.
func places(n int) (out []int) {
	for i := 0; i < n; i++ {
		if testing.Short() && i%7 != 0 {
			continue
		}
		if i < 200 || i > n-200 || i%1009 == 0 {
			out = append(out, i)
		}
	}
	return out
}

func put(t *testing.T, st store.Store, key, value []byte) {
	t.Helper()
	tx := &store.Tx{}
	tx.Put(key, value)
	if err := st.Commit(ctx, tx); err != nil {
		t.Fatal(err)
	}
}

// TestEveryByteCounts: whatever byte of the log is damaged, the log says in which segment, or the byte was void.
func TestEveryByteCounts(t *testing.T) {
	st, want := scarred(t)
	void := 0
	for _, r := range rows(t, st, rowSegment) {
		name, _, _ := parseRow(r.Key)
		for _, i := range places(len(r.Value)) {
			bad := bytes.Clone(r.Value)
			bad[i] ^= 1 << (i % 8)
			put(t, st, r.Key, bad)
			_, recs, err := tryOpen(st, 9, Name{})
			var ce *CorruptError
			switch {
			case err == nil:
				void++
				mustSame(t, recs, 1, want)
				if name.Incarnation == 2 {
					t.Fatalf("byte %d of row %x is not void, and its damage was not noticed", i, r.Key)
				}
			case !errors.As(err, &ce) || !errors.Is(err, store.ErrCorrupt) || ce.Segment != name:
				t.Fatalf("byte %d of row %x: %v", i, r.Key, err)
			}
		}
		put(t, st, r.Key, r.Value)
	}
	if void == 0 {
		t.Fatal("this log has no void bytes")
	}
}

// TestEveryRowCounts: a row that is missing is noticed, unless it is void or the end of the log.
func TestEveryRowCounts(t *testing.T) {
	st, want := scarred(t)
	quiet := 0
	for _, r := range rows(t, st, rowSegment) {
		name, part, _ := parseRow(r.Key)
		tx := &store.Tx{}
		tx.Delete(r.Key)
		if err := st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		_, recs, err := tryOpen(st, 9, Name{})
		if void := name.Incarnation == 1 && name.First > 5 && part == 0 || name.Incarnation == 3 && name.First > 8; err == nil {
			quiet++
			last := name.Incarnation == 3 && name.First == 8 // its own successors stand in the same row
			if last {
				mustSame(t, recs, 1, want[:7])
			} else {
				mustSame(t, recs, 1, want)
			}
			if !void && !last && name.Incarnation != 1 {
				t.Fatalf("row %x is missing, and nobody has noticed", r.Key)
			}
		} else if ce := (*CorruptError)(nil); !errors.As(err, &ce) {
			t.Fatalf("row %x is missing: %v", r.Key, err)
		}
		put(t, st, r.Key, r.Value)
	}
	if quiet < 3 {
		t.Fatalf("%d rows are void or the last", quiet)
	}
}

// TestAShortRowIsNoticed: rows of the middle lose their ends, at each record too.
func TestAShortRowIsNoticed(t *testing.T) {
	st := store.NewMemory()
	for inc := uint64(1); inc <= 2; inc++ {
		l, _ := open(t, st, inc, Name{})
		for range 3 {
			commit(t, st, l, plain(20, 1))
		}
	}
	r := rows(t, st, rowSegment)[0]
	for n := range r.Value {
		put(t, st, r.Key, r.Value[:n])
		var ce *CorruptError
		if _, _, err := tryOpen(st, 9, Name{}); !errors.As(err, &ce) {
			t.Fatalf("the first %d bytes of %d: %v", n, len(r.Value), err)
		}
	}
}

// TestDamageIsNoticedWhenReading what lies before the checkpoint, and the rest stays readable.
func TestDamageIsNoticedWhenReading(t *testing.T) {
	st := store.NewMemory()
	l, _ := open(t, st, 1, Name{})
	batches := map[change.Generation][]byte{}
	for g := change.Generation(1); g <= 8; g++ {
		size := []int{300, 3000, 2 * partMax}[g%3]
		batches[g] = batchOfSize(t, change.Version{Device: device(1), Gen: g}, size, byte(g))
		commit(t, st, l, []Item{{ItemBatch, batches[g]}})
	}
	from := l.Start(8)
	tx := &store.Tx{}
	l.Summaries(tx, from)
	if err := st.Commit(ctx, tx); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows(t, st, rowSegment) {
		name, _, _ := parseRow(r.Key)
		if name == from {
			continue
		}
		for _, value := range [][]byte{flipped(r.Value, 3), flipped(r.Value, len(r.Value)/2), flipped(r.Value, len(r.Value)-1), nil} {
			put(t, st, r.Key, value)
			if value == nil {
				tx := &store.Tx{}
				tx.Delete(r.Key)
				if err := st.Commit(ctx, tx); err != nil {
					t.Fatal(err)
				}
			}
			again, _ := open(t, st, 2, from)
			damaged := 0
			for g, want := range batches {
				got, _, ok, err := again.Find(ctx, change.Version{Device: device(1), Gen: g})
				var ce *CorruptError
				switch {
				case err == nil && ok && bytes.Equal(got, want):
				case errors.As(err, &ce) && ce.Segment == name:
					damaged++
				default:
					t.Fatalf("generation %d with row %x damaged: %v, %v", g, r.Key, ok, err)
				}
			}
			if damaged == 0 {
				t.Fatalf("nobody has noticed what became of row %x", r.Key)
			}
		}
		put(t, st, r.Key, r.Value)
	}
}

// TestReadWrongOnce: what only one reading has wrong is not damaged. A device would write such a batch again, from what is left of it.
func TestReadWrongOnce(t *testing.T) {
	st := store.NewMemory()
	l, _ := open(t, st, 1, Name{})
	want := batchOfSize(t, change.Version{Device: device(1), Gen: 1}, 3000, 1)
	commit(t, st, l, []Item{{ItemBatch, want}})
	for _, kind := range []store.FaultKind{store.FlipBit, store.Cut} {
		for n := 1; ; n++ {
			faulty := store.NewFaulty(st, store.Fault{On: store.Scans, N: n, Do: kind, Bit: 8 * 1000})
			again, _, err := tryOpen(faulty, 2, Name{})
			if err != nil {
				continue // it is opened once more
			}
			again.cache = cache{}
			if got, _, ok, err := again.Find(ctx, change.Version{Device: device(1), Gen: 1}); err != nil || !ok || !bytes.Equal(got, want) {
				t.Fatalf("%v at scan %d: %v, %v", kind, n, ok, err)
			}
			if faulty.Fired() == 0 {
				break
			}
		}
	}
}

func flipped(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 0x10
	return b
}

// TestEverySummaryByteCounts: nothing of a summary row can change, and none can be missing.
func TestEverySummaryByteCounts(t *testing.T) {
	st := store.NewMemory()
	l, _ := open(t, st, 1, Name{})
	for i := range 1500 {
		v := change.Version{Device: device(byte(i % 40)), Gen: change.Generation(i/40 + 1)}
		commit(t, st, l, []Item{entryItem(t, uint64(i+1), batchOfSize(t, v, 1000, 1))})
	}
	from := l.Start(l.Last())
	tx := &store.Tx{}
	l.Summaries(tx, from)
	if err := st.Commit(ctx, tx); err != nil {
		t.Fatal(err)
	}
	sums := rows(t, st, rowSummary)
	if len(sums) < 3 {
		t.Fatalf("%d summary rows", len(sums))
	}
	var ce *CorruptError
	for n, r := range sums {
		for i := range r.Value {
			if i > 400 && i < len(r.Value)-400 && i%97 != 0 {
				continue
			}
			put(t, st, r.Key, flipped(r.Value, i))
			if _, _, err := tryOpen(st, 2, from); !errors.As(err, &ce) {
				t.Fatalf("byte %d of summary row %d: %v", i, n, err)
			}
		}
		put(t, st, r.Key, sums[(n+1)%len(sums)].Value)
		if _, _, err := tryOpen(st, 2, from); !errors.As(err, &ce) {
			t.Fatalf("summary row %d under the key of %d: %v", (n+1)%len(sums), n, err)
		}
		tx := &store.Tx{}
		tx.Delete(r.Key)
		if err := st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		if _, _, err := tryOpen(st, 2, from); !errors.As(err, &ce) {
			t.Fatalf("summary row %d is missing: %v", n, err)
		}
		put(t, st, r.Key, r.Value)
	}
	if _, recs := open(t, st, 2, from); len(recs) == 0 || !slices.IsSortedFunc(recs, func(a, b Record) int { return int(a.Commit) - int(b.Commit) }) {
		t.Fatal("the log is whole again, and is not read")
	}
}

// TestOnlyOneSegmentCanBeTorn: a second one that lacks parts was confirmed once.
func TestOnlyOneSegmentCanBeTorn(t *testing.T) {
	st := store.NewMemory()
	l, _ := open(t, st, 1, Name{})
	for i := range byte(4) {
		commit(t, st, l, plain(partMax+10, i))
	}
	for _, first := range []uint64{4, 3} {
		tx := &store.Tx{}
		tx.Delete(Name{first, 1}.row(1))
		if err := st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		_, recs, err := tryOpen(st, 2, Name{})
		var ce *CorruptError
		if torn := first == 4; torn && (err != nil || len(recs) != 3) || !torn && (!errors.As(err, &ce) || ce.Segment.First != 3) {
			t.Fatalf("without the end of commit %d: %d records, %v", first, len(recs), err)
		}
	}
}
