package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"vsync/core/store"
)

// TestEnginesThatDieInACheckpoint: again and again an engine dies in a step, at any place of it; the next one replays what
// the pages do not say that they have. Nothing is lost, whatever lies around from those before.
func TestEnginesThatDieInACheckpoint(t *testing.T) {
	for seed := range few(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), st: store.NewMemory(), m: tableModel{'o': {}, 'p': {}}}
			w.wide = seed%2 == 0
			for range 25 {
				w.live()
			}
		})
	}
}

type world struct {
	t      *testing.T
	rnd    *rand.Rand
	st     *store.Memory
	m      tableModel
	log    []change // since the last checkpoint that came to its end
	commit uint64
	inc    uint64
	wide   bool // small entries, many of them in a page
}

// change is what the log has of one key.
type change struct {
	commit uint64
	table  byte
	key    string
	val    []byte
}

// live is the life of one engine: it replays, changes things, begins a checkpoint, and dies or not.
func (w *world) live() {
	w.t.Helper()
	ctx := context.Background()
	w.inc++
	tb := w.replayed(w.inc)
	for range w.rnd.IntN(3) {
		w.change(tb)
		w.check(tb)
	}
	cp := tb.Begin()
	for !cp.Done() {
		tx := &store.Tx{}
		done, err := cp.Step(ctx, tx, Stamp{Commit: w.commit}, 1<<uint(12+w.rnd.IntN(9)))
		if err != nil {
			w.t.Fatal(err)
		}
		torn := w.rnd.IntN(4) == 0
		if torn {
			tx.Ops = tx.Ops[:w.rnd.IntN(len(tx.Ops)+1)]
		}
		if err := w.st.Commit(ctx, tx); err != nil {
			w.t.Fatal(err)
		}
		if torn {
			return
		}
		done()
		w.check(tb)
	}
	w.log = nil
}

// replayed opens the tables, and brings them to the end of the log.
func (w *world) replayed(inc uint64) *Tables {
	w.t.Helper()
	tb := New(w.st, inc)
	for _, c := range w.log {
		s, err := tb.Stamp(context.Background(), c.table, c.key)
		if err != nil {
			w.t.Fatal(err)
		}
		if s.Commit < c.commit {
			tb.Apply([]Change{{RowKey(c.table, c.key), c.val}})
		}
	}
	w.check(tb)
	return tb
}

// change is a commit, of random keys or of a whole stretch of them.
func (w *world) change(tb *Tables) {
	w.commit++
	var cs []change
	dying := w.rnd.IntN(3) == 0
	if dying {
		from, to := oddKey(w.rnd), oddKey(w.rnd)
		for k := range w.m['o'] {
			if k >= from && k < to {
				cs = append(cs, change{w.commit, 'o', k, nil})
			}
		}
	}
	for range w.rnd.IntN(400) {
		c := change{w.commit, "op"[w.rnd.IntN(2)], oddKey(w.rnd), oddValue(w.rnd)}
		if w.wide {
			c.val = c.val[:min(len(c.val), 40)]
			c.key += fmt.Sprint(w.rnd.IntN(99))
		}
		if w.rnd.IntN(4) == 0 {
			c.val = nil
		}
		cs = append(cs, c)
	}
	for _, c := range cs {
		tb.Apply([]Change{{RowKey(c.table, c.key), c.val}})
		if c.val == nil {
			delete(w.m[c.table], c.key)
		} else {
			w.m[c.table][c.key] = c.val
		}
	}
	w.log = append(w.log, cs...)
}

func (w *world) check(tb *Tables) {
	w.t.Helper()
	s := tb.Snapshot()
	defer s.Release()
	err := checkRows(w.st)
	for _, table := range []byte("op") {
		for _, reverse := range []bool{false, true} {
			err = errors.Join(err, w.m.scan(s, table, "", "", reverse, -1))
		}
		for range 20 {
			k := oddKey(w.rnd)
			got, ok, e := tb.Get(context.Background(), table, k)
			if want, has := w.m[table][k]; e != nil || ok != has || string(got) != string(want) {
				err = errors.Join(err, e, fmt.Errorf("get %q: %d bytes, %v; want %d bytes, %v", k, len(got), ok, len(want), has))
			}
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestTornJoins: many pages become one, and the step breaks off at each of its operations. What stays is in the page that it
// was in or in the one that took it over.
func TestTornJoins(t *testing.T) {
	ctx := context.Background()
	for cut, ops := 0, 1; cut <= ops; cut++ {
		w := &world{t: t, rnd: rand.New(rand.NewPCG(1, 11)), st: store.NewMemory(), m: tableModel{'o': {}, 'p': {}}, commit: 2}
		tb := New(w.st, 1)
		for i := range 1500 {
			k := fmt.Sprintf("k%04d", i)
			w.m['o'][k] = make([]byte, 150)
			tb.Set('o', k, w.m['o'][k])
		}
		flush(t, w.st, tb, Stamp{Commit: 1}, 1<<20)
		for i := range 1500 {
			if k := fmt.Sprintf("k%04d", i); i%50 > 0 {
				delete(w.m['o'], k)
				tb.Delete('o', k)
				w.log = append(w.log, change{2, 'o', k, nil})
			}
		}
		tx := &store.Tx{}
		if _, err := tb.Begin().Step(ctx, tx, Stamp{Commit: 2}, 1<<20); err != nil {
			t.Fatal(err)
		}
		if ops = len(tx.Ops); ops < 6 {
			t.Fatalf("a step of %d operations joins nothing", ops)
		}
		tx.Ops = tx.Ops[:cut]
		if err := w.st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		tb = w.replayed(2)
		flush(t, w.st, tb, Stamp{Commit: 3}, 1<<14)
		w.check(New(w.st, 3))
	}
}

// TestATornSplitThatIsOvertaken: the left page of a split is stored, and the right one is still as it was, with older entries of
// the left one in it. While a scan comes down, at any read of it, a checkpoint joins the two: the older entries were given then.
func TestATornSplitThatIsOvertaken(t *testing.T) {
	ctx := context.Background()
	for at, overtaken := 1, true; overtaken; at++ {
		w := &world{t: t, rnd: rand.New(rand.NewPCG(1, 13)), st: store.NewMemory(), m: tableModel{'o': {}, 'p': {}}, commit: 2}
		tb := New(w.st, 1)
		put := func(i int, val byte) {
			k := fmt.Sprintf("k%04d", i)
			if w.m['o'][k] = bytes.Repeat([]byte{val}, 90); val == 0 {
				delete(w.m['o'], k)
			}
			tb.Apply([]Change{{RowKey('o', k), w.m['o'][k]}})
			w.log = append(w.log, change{w.commit, 'o', k, w.m['o'][k]})
		}
		for i := range 250 {
			put(i, 1)
		}
		flush(t, w.st, tb, Stamp{Commit: 2}, 1<<20)
		w.commit++
		for i := range 500 {
			put(i, 2)
		}
		tx := &store.Tx{}
		if _, err := tb.Begin().Step(ctx, tx, Stamp{Commit: 3}, 1<<20); err != nil {
			t.Fatal(err)
		}
		tx.Ops = tx.Ops[:1]
		if err := w.st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		tb = w.replayed(2)
		w.commit++
		for i := range 500 {
			if i%20 > 0 {
				put(i, 0)
			}
		}
		tb.cache = newCache()
		s := tb.Snapshot()
		reads := 0
		tb.st = &meddled{w.st, func() {
			if reads++; reads == at {
				flush(t, w.st, tb, Stamp{Commit: 4}, 1<<20)
			}
		}}
		if err := w.m.scan(s, 'o', "", "", true, -1); err != nil {
			t.Errorf("at read %d: %v", at, err)
		}
		overtaken = reads >= at
		if n := len(rowsOf(t, w.st, rowPage)); n != 1 && overtaken {
			t.Errorf("at read %d: %d pages", at, n)
		}
	}
}
