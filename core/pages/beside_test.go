package pages

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"vsync/core/store"
)

// TestPassesBesideChanges: between the steps of a pass there are commits, steps that fail and are done again, readers, and damage that is mended; passes
// are given up, and engines die. Each page has what its stamp says, and what a pass that came to its end says to be in pages is not replayed.
func TestPassesBesideChanges(t *testing.T) {
	for seed := range few(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 21)), st: store.NewMemory(), m: tableModel{'o': {}, 'p': {}}}
			b := &beside{world: w, hurt: seed%2 == 1, recalling: recalling{map[uint64]map[string][]byte{0: {}}}}
			for range 12 {
				b.live()
			}
		})
	}
}

type beside struct {
	*world
	recalling
	hurt  bool
	begun uint64 // the last pass that came to its end
	lasts string
}

func (b *beside) live() {
	b.t.Helper()
	b.inc++
	tb := New(b.st, b.inc)
	tb.MendWith(b, b.lasts)
	tb.StandAt(Stamp{Commit: b.begun})
	for mended := -1; mended != tb.Mended(); {
		mended = tb.Mended()
		tb.Restart()
		for _, c := range b.log {
			s, err := tb.Stamp(context.Background(), c.table, c.key)
			if err != nil {
				b.t.Fatal(err)
			}
			if s.Commit < c.commit {
				tb.Apply([]Change{{RowKey(c.table, c.key), c.val}})
			}
		}
	}
	tb.StandAt(Stamp{Commit: b.commit})
	b.check(tb)
	for range 1 + b.rnd.IntN(3) {
		cp, begun := tb.Begin(), b.commit
		for n := 0; !cp.Done(); n++ {
			if b.rnd.IntN(2) == 0 {
				b.work(tb)
			}
			if b.rnd.IntN(20) == 0 {
				cp, begun = tb.Begin(), b.commit
			}
			tx := &store.Tx{}
			done, err := cp.Step(context.Background(), tx, Stamp{Commit: b.commit}, 1<<uint(12+b.rnd.IntN(7)))
			if err != nil {
				b.t.Fatal(err)
			}
			switch b.rnd.IntN(12) {
			case 0: // refused by the store
				if cp.Done() {
					cp, begun = tb.Begin(), b.commit
				}
				continue
			case 1: // its engine dies
				tx.Ops = tx.Ops[:b.rnd.IntN(len(tx.Ops)+1)]
				if err := b.st.Commit(context.Background(), tx); err != nil {
					b.t.Fatal(err)
				}
				return
			}
			if err := b.st.Commit(context.Background(), tx); err != nil {
				b.t.Fatal(err)
			}
			if b.rnd.IntN(3) == 0 {
				b.damage(tb)
				b.check(tb)
			}
			lasts := cp.Lasts()
			done()
			if cp.Done() {
				b.begun, b.lasts = begun, lasts
				for len(b.log) > 0 && b.log[0].commit <= begun {
					b.log = b.log[1:]
				}
			}
			b.check(tb)
			b.stamped()
			if n > 300 {
				b.t.Fatal("a pass has no end")
			}
		}
	}
}

func (b *beside) work(tb *Tables) {
	if b.rnd.IntN(2) == 0 {
		b.change(tb)
	} else {
		b.commit++
		b.changeStretch(tb)
	}
	at := map[string][]byte{}
	for table, m := range b.m {
		for k, val := range m {
			at[RowKey(table, k)] = val
		}
	}
	for c := uint64(len(b.at)); c <= b.commit; c++ {
		b.at[c] = at
	}
	b.damage(tb)
	b.check(tb)
}

// check reads by scans in one direction, and by keys.
func (b *beside) check(tb *Tables) {
	b.t.Helper()
	s := tb.Snapshot()
	defer s.Release()
	for _, table := range []byte("op") {
		if err := b.m.scan(s, table, "", "", b.rnd.IntN(2) == 0, -1); err != nil {
			b.t.Fatal(err)
		}
		for range 10 {
			k := []string{oddKey(b.rnd), nearKey(b.rnd)}[b.rnd.IntN(2)]
			got, ok, err := tb.Get(context.Background(), table, k)
			if want, has := b.m[table][k]; err != nil || ok != has || string(got) != string(want) {
				b.t.Fatalf("get %q: %d bytes, %v; want %d bytes, %v; %v", k, len(got), ok, len(want), has, err)
			}
		}
	}
}

// damage hurts a row, which readers may meet now or later.
func (b *beside) damage(tb *Tables) {
	if !b.hurt || b.rnd.IntN(3) > 0 {
		return
	}
	rows := append(rowsOf(b.t, b.st, rowPage), rowsOf(b.t, b.st, rowOverflow)...)
	if len(rows) == 0 {
		return
	}
	r := rows[b.rnd.IntN(len(rows))]
	if _, err := store.Damage(context.Background(), b.st, r.Key, store.Fault{Do: store.FlipBit, Bit: b.rnd.IntN(8 * len(r.Value))}); err != nil {
		b.t.Fatal(err)
	}
	if b.rnd.IntN(2) == 0 {
		tb.cache = newCache()
	}
}

// stamped holds each page against what there was at the commit that its stamp names, or at the beginning of the last pass that came to its end.
func (b *beside) stamped() {
	b.t.Helper()
	table, fence := byte(0), ""
	for _, r := range rowsOf(b.t, b.st, rowPage) {
		p, err := decodePage(r.Key, r.Value)
		if r.Key[1] != table {
			table, fence = r.Key[1], ""
		}
		low := fence
		fence = string(r.Key[3:])
		if err != nil {
			continue
		}
		want := maps.Clone(b.at[max(p.stamp.Commit, b.begun)]) // what is not newer than that is not replayed
		maps.DeleteFunc(want, func(k string, _ []byte) bool { return k[0] != table || k[1:] <= low || !p.covers(k[1:]) })
		for i := range p.count {
			k, place, val, _ := p.at(i)
			if string(k) <= low {
				continue
			}
			is, has := want[RowKey(table, string(k))]
			if !has || place == placeInline && !bytes.Equal(is, val) {
				b.t.Fatalf("page %q, of commit %d: %q is %d bytes, expected %v, %d", r.Key, p.stamp.Commit, k, len(val), has, len(is))
			}
			delete(want, RowKey(table, string(k)))
		}
		if len(want) > 0 {
			b.t.Fatalf("page %q, of commit %d, lacks %d entries", r.Key, p.stamp.Commit, len(want))
		}
	}
}
