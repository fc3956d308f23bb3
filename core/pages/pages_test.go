package pages

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"

	"vsync/core/store"
)

// flush writes everything out in steps of maxBytes.
func flush(t *testing.T, st store.Store, tb *Tables, stamp Stamp, maxBytes int) {
	t.Helper()
	cp := tb.Begin()
	for !cp.Done() {
		tx := &store.Tx{}
		done, err := cp.Step(context.Background(), tx, stamp, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Commit(context.Background(), tx); err != nil {
			t.Fatal(err)
		}
		done()
	}
}

func equalAll(t *testing.T, tb *Tables, model map[string][]byte, table byte) {
	t.Helper()
	ctx := context.Background()
	var keys []string
	for k := range model {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, reverse := range []bool{false, true} {
		s := tb.Snapshot()
		i := 0
		for kv, err := range s.Scan(ctx, table, "", "", reverse) {
			if err != nil {
				t.Fatal(err)
			}
			want := "nothing"
			if i < len(keys) {
				want = keys[i]
				if reverse {
					want = keys[len(keys)-1-i]
				}
			}
			if kv.Key != want || !bytes.Equal(kv.Value, model[want]) {
				t.Fatalf("reverse=%v entry %d is %q (%d bytes), want %q (%d bytes)", reverse, i, kv.Key, len(kv.Value), want, len(model[want]))
			}
			i++
		}
		s.Release()
		if i != len(keys) {
			t.Fatalf("reverse=%v: %d entries, want %d", reverse, i, len(keys))
		}
	}
}

func TestTablesAgainstModel(t *testing.T) {
	for seed := range few(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			ctx := context.Background()
			st := store.NewMemory()
			model := map[string][]byte{}
			tb := New(st, 1)
			for round := range 30 {
				for range rnd.IntN(400) {
					key := fmt.Sprintf("k%05d", rnd.IntN(3000))
					switch size := rnd.IntN(20); {
					case size < 4:
						tb.Delete('o', key)
						delete(model, key)
					default:
						n := rnd.IntN(300)
						if rnd.IntN(60) == 0 {
							n = rnd.IntN(150_000)
						}
						val := bytes.Repeat([]byte{byte(rnd.IntN(256))}, n)
						tb.Set('o', key, val)
						model[key] = val
					}
				}
				if rnd.IntN(12) == 0 { // a stretch dies: pages become empty and are joined
					for k := range model {
						if k > "k01000" && k < "k02000" {
							tb.Delete('o', k)
							delete(model, k)
						}
					}
				}
				tb.Set('d', "other table", []byte{1})
				if rnd.IntN(2) == 0 {
					flush(t, st, tb, Stamp{Commit: uint64(round + 1)}, 1<<uint(10+rnd.IntN(12)))
				}
				if rnd.IntN(4) == 0 { // a new engine
					flush(t, st, tb, Stamp{Commit: uint64(round + 1)}, 1<<20)
					tb = New(st, uint64(round+2))
				}
				equalAll(t, tb, model, 'o')
				for range 50 {
					key := fmt.Sprintf("k%05d", rnd.IntN(3000))
					got, ok, err := tb.Get(ctx, 'o', key)
					want, has := model[key]
					if err != nil || ok != has || !bytes.Equal(got, want) {
						t.Fatalf("Get(%s) = %d bytes, %v, %v; want %d bytes, %v", key, len(got), ok, err, len(want), has)
					}
				}
			}
		})
	}
}

func TestNoOverflowRowsAreLeft(t *testing.T) {
	st := store.NewMemory()
	tb := New(st, 1)
	big := bytes.Repeat([]byte("x"), 130_000)
	for i := range 5 {
		tb.Set('o', "a", append(big, byte(i)))
		tb.Set('o', "b", big)
		flush(t, st, tb, Stamp{Commit: uint64(i + 1)}, 1<<20)
	}
	tb.Delete('o', "b")
	flush(t, st, tb, Stamp{Commit: 9}, 1<<20)
	rows, err := st.Scan(context.Background(), store.Range{From: []byte{'O'}, To: []byte{'P'}})
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d overflow rows (%v), want the 3 of the one value that is left", len(rows), err)
	}
}

func TestSnapshotStandsStill(t *testing.T) {
	ctx := context.Background()
	st := store.NewMemory()
	tb := New(st, 1)
	model := map[string][]byte{}
	for i := range 2000 {
		k, v := fmt.Sprintf("k%05d", i), bytes.Repeat([]byte{1}, 50)
		tb.Set('o', k, v)
		model[k] = v
	}
	flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
	s := tb.Snapshot()
	defer s.Release()
	if !tb.Busy() {
		t.Fatal("a snapshot is open, and the tables do not say so")
	}
	n := 0
	for kv, err := range s.Scan(ctx, 'o', "", "", false) {
		if err != nil || !bytes.Equal(kv.Value, model[kv.Key]) {
			t.Fatalf("%s: %v, %v", kv.Key, kv.Value, err)
		}
		n++
		tb.Set('o', fmt.Sprintf("k%05d", 1999-n%2000), []byte("new"))
		tb.Set('o', fmt.Sprintf("k%05dx", n), []byte("new"))
	}
	if n != len(model) {
		t.Fatalf("%d entries, want %d", n, len(model))
	}
	tb.GiveUpSnapshots()
	flush(t, st, tb, Stamp{Commit: 2}, 1<<20)
	if _, _, err := s.Get(ctx, 'o', "k00000"); !errors.Is(err, ErrSnapshotGone) {
		t.Fatalf("a snapshot that was given up answers %v", err)
	}
}

// TestSnapshotOfThePresentState: as long as nothing changes, a checkpoint takes nothing from a reader.
func TestSnapshotOfThePresentState(t *testing.T) {
	ctx := context.Background()
	st := store.NewMemory()
	tb := New(st, 1)
	for i := range 3000 {
		tb.Set('o', fmt.Sprintf("k%05d", i), bytes.Repeat([]byte{byte(i)}, 100))
	}
	flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
	for i := range 3000 {
		if i%3 == 0 {
			tb.Set('o', fmt.Sprintf("k%05d", i), []byte{byte(i)})
		}
	}
	s := tb.Snapshot()
	defer s.Release()
	n := 0
	for kv, err := range s.Scan(ctx, 'o', "", "", false) {
		if err != nil || kv.Key != fmt.Sprintf("k%05d", n) || kv.Value[0] != byte(n) || (len(kv.Value) == 1) != (n%3 == 0) {
			t.Fatalf("entry %d: %s %v, %v", n, kv.Key, kv.Value, err)
		}
		if n++; n == 1000 {
			if tb.Behind() {
				t.Error("nothing has changed, and a snapshot is said to be of an older state")
			}
			tb.GiveUpSnapshots()
			flush(t, st, tb, Stamp{Commit: 2}, 1<<20)
		}
	}
	if n != 3000 {
		t.Fatalf("%d entries, want 3000", n)
	}
	tb.Set('o', "k00000", []byte("later"))
	if !tb.Behind() || !tb.Busy() {
		t.Error("a snapshot is of an older state, and the tables do not say so")
	}
	tb.GiveUpSnapshots()
	if tb.Behind() || tb.Busy() {
		t.Error("all snapshots were given up, and the tables do not say so")
	}
	if _, _, err := s.Get(ctx, 'o', "k00001"); !errors.Is(err, ErrSnapshotGone) {
		t.Fatalf("a snapshot that was given up answers %v", err)
	}
}

// TestTornSteps applies every prefix of every step of a checkpoint: what the pages held before stays readable,
// or is newer, as its stamp says.
func TestTornSteps(t *testing.T) {
	ctx := context.Background()
	build := func() (*store.Memory, *Tables, map[string]string) {
		st := store.NewMemory()
		tb := New(st, 1)
		model := map[string]string{}
		for i := range 900 {
			k := fmt.Sprintf("k%05d", i*2)
			model[k] = "old" + string(bytes.Repeat([]byte{'.'}, 90))
			tb.Set('o', k, []byte(model[k]))
		}
		flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
		for i := range 900 {
			tb.Set('o', fmt.Sprintf("k%05d", i*2+1), bytes.Repeat([]byte{'n'}, 100))
		}
		for i := 300; i < 600; i++ {
			tb.Delete('o', fmt.Sprintf("k%05d", i*2))
		}
		return st, tb, model
	}
	for cut := 0; ; cut++ {
		st, tb, model := build()
		tx := &store.Tx{}
		if _, err := tb.Begin().Step(ctx, tx, Stamp{Commit: 2}, 1<<20); err != nil {
			t.Fatal(err)
		}
		if cut > len(tx.Ops) {
			break
		}
		tx.Ops = tx.Ops[:cut]
		if err := st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		again := New(st, 2)
		replay := func() {
			for i := range 900 { // what the log says after commit 1
				for _, k := range []string{fmt.Sprintf("k%05d", i*2+1), fmt.Sprintf("k%05d", i*2)} {
					stamp, err := again.Stamp(ctx, 'o', k)
					if err != nil {
						t.Fatal(err)
					}
					if stamp.Commit >= 2 {
						continue
					}
					if k[len(k)-1]%2 == 1 {
						again.Set('o', k, bytes.Repeat([]byte{'n'}, 100))
					} else if i >= 300 && i < 600 {
						again.Delete('o', k)
					}
				}
			}
		}
		replay()
		want := map[string][]byte{}
		for k, v := range model {
			want[k] = []byte(v)
		}
		for i := range 900 {
			want[fmt.Sprintf("k%05d", i*2+1)] = bytes.Repeat([]byte{'n'}, 100)
			if i >= 300 && i < 600 {
				delete(want, fmt.Sprintf("k%05d", i*2))
			}
		}
		equalAll(t, again, want, 'o')
		flush(t, st, again, Stamp{Commit: 3}, 1<<14)
		equalAll(t, New(st, 3), want, 'o')
	}
}

func TestDamagedPageIsNamed(t *testing.T) {
	ctx := context.Background()
	st := store.NewMemory()
	tb := New(st, 1)
	tb.Set('o', "a", []byte("value"))
	flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
	row, _, _ := st.Get(ctx, []byte("Po\x01"))
	for i := range row {
		bad := bytes.Clone(row)
		bad[i] ^= 0x40
		tx := &store.Tx{}
		tx.Put([]byte("Po\x01"), bad)
		if err := st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		_, _, err := New(st, 2).Get(ctx, 'o', "a")
		var ce *CorruptError
		if !errors.Is(err, store.ErrCorrupt) || !errors.As(err, &ce) || string(ce.Row) != "Po\x01" {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
}

// FuzzPage decodes any bytes, with a checksum that fits, so that what lies behind it is reached; what is taken can be read.
func FuzzPage(f *testing.F) {
	for _, es := range [][]entry{nil, {{"a", 0, []byte("b")}}, {{"a", 0, nil}, {"b", 1, make([]byte, refLen+5)}}} {
		row := []byte("Po\x00k")
		b := encodePage(row, Stamp{1, 1, 1}, []byte("low"), es)
		f.Add(row, b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, row, b []byte) {
		b = binary.LittleEndian.AppendUint32(bytes.Clone(b), checksum(row, b))
		p, err := decodePage(row, b)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		tb := New(store.NewMemory(), 1)
		for i := range p.count {
			_, place, val, ok := p.at(i)
			if !ok {
				t.Fatal("an entry of a page that was taken cannot be read")
			}
			if place == placeOver {
				if _, err := tb.readOverflow(context.Background(), row, val); err != nil && !errors.Is(err, store.ErrCorrupt) {
					t.Fatal(err)
				}
			}
		}
		p.search("x")
		p.covers("x")
	})
}
