package changelog

import (
	"fmt"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// benchItems are own batches, or feed entries, with values of 200 bytes.
func benchItems(b *testing.B, n int, from change.Generation, entries bool) (items []Item) {
	for i := range n {
		raw := batchOfSize(b, change.Version{Device: device(1), Gen: from + change.Generation(i)}, 200, 1)
		if entries {
			items = append(items, entryItem(b, uint64(from)+uint64(i), raw))
		} else {
			items = append(items, Item{ItemBatch, raw})
		}
	}
	return items
}

// BenchmarkCommit is Append, the commit of a store in memory, and Committed.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 1000} {
		for _, entries := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d×200/entries=%v", n, entries), func(b *testing.B) {
				st := store.NewMemory()
				l, _ := open(b, st, 1, Name{})
				items := benchItems(b, n, 1, entries)
				tx := &store.Tx{}
				b.ReportAllocs()
				b.SetBytes(int64(bodyLen(items)))
				for b.Loop() {
					tx.Reset()
					l.Append(tx, items)
					if err := st.Commit(ctx, tx); err != nil {
						b.Fatal(err)
					}
					l.Committed()
				}
			})
		}
	}
}

// BenchmarkAppend is the log's own part of it.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d×200", n), func(b *testing.B) {
			l, _ := open(b, store.NewMemory(), 1, Name{})
			items := benchItems(b, n, 1, false)
			tx := &store.Tx{}
			b.ReportAllocs()
			for b.Loop() {
				tx.Reset()
				l.Append(tx, items)
				l.Committed()
			}
		})
	}
}

// benchLog holds 20,000 batches of 200 bytes, in commits of n.
func benchLog(b *testing.B, n int) *store.Memory {
	b.Helper()
	st := store.NewMemory()
	l, _ := open(b, st, 1, Name{})
	for g := 0; g < 20_000; g += n {
		commit(b, st, l, benchItems(b, n, change.Generation(g+1), false))
	}
	return st
}

func BenchmarkReplay(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d×200", n), func(b *testing.B) {
			st := benchLog(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Open(ctx, st, 2, Name{}, func(*Log, Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20_000, "ns/batch")
		})
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 1000} {
		for _, step := range []change.Generation{1, 7919} { // one after the other, and all over
			b.Run(fmt.Sprintf("%d×200/step=%d", n, step), func(b *testing.B) {
				l, _ := open(b, benchLog(b, n), 2, Name{})
				g := change.Generation(0)
				b.ReportAllocs()
				for b.Loop() {
					g = (g + step) % 20_000
					if _, _, ok, err := l.Find(ctx, change.Version{Device: device(1), Gen: g + 1}); err != nil || !ok {
						b.Fatal(ok, err)
					}
				}
			})
		}
	}
}
