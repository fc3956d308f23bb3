package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"vsync/core/store"
)

// commit writes one row that counts the commits.
func commit(t testing.TB, s store.Store, n int, d store.Durability) {
	t.Helper()
	tx := store.Tx{Durability: d}
	tx.Put([]byte("n"), fmt.Append(nil, n))
	if err := s.Commit(ctx, &tx); err != nil {
		t.Fatal(err)
	}
}

func TestClonesAreIndependent(t *testing.T) {
	m := store.NewMemory()
	commit(t, m, 1, store.Relaxed)
	c := m.Clone()
	commit(t, m, 2, store.Relaxed)
	commit(t, c, 3, store.Relaxed)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	d := m.Clone() // of a closed one
	if got := dump(t, c) + " " + dump(t, d); got != "n=3 n=2" {
		t.Fatalf("the clones hold %q", got)
	}
	if c.Len() != 1 || c.Size() != 2 {
		t.Fatalf("a clone has %d rows of %d bytes", c.Len(), c.Size())
	}
}

func TestPowerLoss(t *testing.T) {
	m := store.NewMemory()
	m.History = 3
	left := func(lost int, want string) {
		t.Helper()
		if got := dump(t, m.PowerLoss(lost)); got != want {
			t.Fatalf("without the last %d: %q, want %q", lost, got, want)
		}
	}
	left(1, "")
	commit(t, m, 1, store.Relaxed)
	left(0, "n=1")
	left(1, "")
	commit(t, m, 2, store.Strict)
	left(1, "n=2")
	for n := 3; n <= 7; n++ {
		commit(t, m, n, store.Relaxed)
	}
	left(0, "n=7")
	left(1, "n=6")
	left(3, "n=4")
	left(9, "n=4") // the rest is as old as History allows
	commit(t, m, 8, store.Strict)
	left(9, "n=8")
}

func TestSizeFollowsTheRows(t *testing.T) {
	m := store.NewMemory()
	rng := rand.New(rand.NewPCG(3, 3))
	for range 2000 {
		var tx store.Tx
		key := func() []byte { return fmt.Append(nil, rng.IntN(100)) }
		switch rng.IntN(8) {
		case 0:
			tx.Delete(key())
		case 1:
			k := key()
			tx.DeleteRange(k, append(k, '5'))
		default:
			tx.Put(key(), make([]byte, rng.IntN(50)))
		}
		if err := m.Commit(ctx, &tx); err != nil {
			t.Fatal(err)
		}
	}
	size := 0
	rows, err := m.Scan(ctx, store.Range{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		size += len(row.Key) + len(row.Value)
	}
	if m.Size() != size || m.Len() != len(rows) {
		t.Fatalf("counts %d rows of %d bytes, holds %d of %d", m.Len(), m.Size(), len(rows), size)
	}
}

func TestPrefix(t *testing.T) {
	for _, c := range []struct {
		prefix, key string
		in          bool
	}{
		{"P", "P", true}, {"P", "P\xff\xff", true}, {"P", "Q", false}, {"P", "O\xff", false},
		{"P\xff", "P\xff\xff", true}, {"P\xff", "Q", false}, {"\xff", "\xff\xff\xff", true},
		{"", "", true}, {"", "\xff", true},
	} {
		if store.Prefix([]byte(c.prefix)).Contains([]byte(c.key)) != c.in {
			t.Errorf("prefix %q contains %q: want %v", c.prefix, c.key, c.in)
		}
	}
}

func BenchmarkMemory(b *testing.B) {
	value := make([]byte, 200)
	for _, history := range []int{0, 8} {
		b.Run(fmt.Sprintf("Commit/200B/history%d", history), func(b *testing.B) {
			m := store.NewMemory()
			m.History = history
			for i := 0; b.Loop(); i++ {
				var tx store.Tx
				tx.Put(fmt.Appendf(nil, "L%012d", i*7919%100_000), value)
				if err := m.Commit(ctx, &tx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Get/200B", func(b *testing.B) {
		m := store.NewMemory()
		var tx store.Tx
		for i := range 100_000 {
			tx.Put(fmt.Appendf(nil, "L%012d", i), value)
		}
		if err := m.Commit(ctx, &tx); err != nil {
			b.Fatal(err)
		}
		for i := 0; b.Loop(); i++ {
			if _, ok, err := m.Get(ctx, fmt.Appendf(nil, "L%012d", i*7919%100_000)); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}
