package sqlite

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"vsync/core/store"
)

// The sizes that the engine writes: one small commit, and a full row.
var sizes = []struct {
	name  string
	bytes int
}{{"200B", 200}, {"60KB", store.MaxRow}}

// payload does not compress and is not all zero, whatever lies below.
func payload(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func benchOpen(b *testing.B) *Store {
	b.Helper()
	s, err := Open(ctx, newPlace(b).path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func logKey(i int) []byte { return fmt.Appendf(nil, "L%016x", i) }

// One appended row a commit, as the log does it. Alternating shows what the
// change of durability costs.
func BenchmarkCommit(b *testing.B) {
	modes := map[string]func(i int) store.Durability{
		"strict":      func(int) store.Durability { return store.Strict },
		"relaxed":     func(int) store.Durability { return store.Relaxed },
		"alternating": func(i int) store.Durability { return store.Durability(i % 2) },
	}
	for _, mode := range []string{"strict", "relaxed", "alternating"} {
		for _, size := range sizes {
			b.Run(mode+"/"+size.name, func(b *testing.B) {
				s := benchOpen(b)
				value := payload(size.bytes)
				b.SetBytes(int64(size.bytes))
				for i := 0; b.Loop(); i++ {
					tx := store.Tx{Durability: modes[mode](i)}
					tx.Put(logKey(i), value)
					if err := s.Commit(ctx, &tx); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			})
		}
	}
}

// A checkpoint's step: 1 MB of pages in one commit, over the ones before.
// SQLite does not write what has not changed, so each differs.
func BenchmarkCommitPages(b *testing.B) {
	s := benchOpen(b)
	value := payload(24_000)
	b.SetBytes(42 * 24_000)
	for i := 0; b.Loop(); i++ {
		tx := store.Tx{Durability: store.Strict}
		for at := 0; at < len(value); at += 1000 {
			value[at]++
		}
		for page := range 42 {
			tx.Put(fmt.Appendf(nil, "Po%04d", page), value)
		}
		if err := s.Commit(ctx, &tx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, size := range sizes {
		for _, parallel := range []bool{false, true} {
			name := size.name
			if parallel {
				name += "/parallel"
			}
			b.Run(name, func(b *testing.B) {
				const rows = 1000
				s := benchOpen(b)
				fill(b, s, rows, size.bytes)
				b.SetBytes(int64(size.bytes))
				get := func(i int) {
					if v, ok, err := s.Get(ctx, logKey(i*7919%rows)); !ok || err != nil || len(v) != size.bytes {
						b.Errorf("%d bytes, %v, %v", len(v), ok, err)
					}
				}
				if parallel {
					b.RunParallel(func(pb *testing.PB) {
						for i := rand.IntN(rows); pb.Next(); i++ {
							get(i)
						}
					})
				} else {
					for i := 0; b.Loop(); i++ {
						get(i)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
			})
		}
	}
}

// Reading a whole log of 60 MB in steps of 1 MB, as a start does.
func BenchmarkScan(b *testing.B) {
	s := benchOpen(b)
	fill(b, s, 1000, store.MaxRow)
	b.SetBytes(1000 * store.MaxRow)
	for b.Loop() {
		n := 0
		err := store.Each(ctx, s, store.Range{}, func(store.Row) error { n++; return nil })
		if err != nil || n != 1000 {
			b.Fatal(n, err)
		}
	}
}

func fill(b *testing.B, s store.Store, rows, size int) {
	b.Helper()
	value := payload(size)
	var tx store.Tx
	for i := range rows {
		tx.Put(logKey(i), value)
		if tx.Bytes() > 1<<20 || i == rows-1 {
			if err := s.Commit(ctx, &tx); err != nil {
				b.Fatal(err)
			}
			tx.Reset()
		}
	}
}
