package pages

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"vsync/core/store"
)

// TestAPageReadBeforeAndAfterACommit: one reader has read a page, and another reads it again when a checkpoint has split it. What
// the first knew of the old page, that a key belongs to it, was kept for the new one.
func TestAPageReadBeforeAndAfterACommit(t *testing.T) {
	ctx := context.Background()
	st := &overtaken{Store: store.NewMemory()}
	tb := New(st, 1)
	m := tableModel{'o': {}}
	for i := range 200 {
		k := fmt.Sprintf("k%04d", i)
		m['o'][k] = bytes.Repeat([]byte{byte(i)}, 100)
		tb.Set('o', k, m['o'][k])
	}
	flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
	tb = New(st, 2)
	for i := 200; i < 500; i++ {
		k := fmt.Sprintf("k%04d", i)
		m['o'][k] = bytes.Repeat([]byte{byte(i)}, 100)
		tb.Set('o', k, m['o'][k])
	}
	get := func(k string) {
		t.Helper()
		if got, ok, err := tb.Get(ctx, 'o', k); err != nil || ok != (m['o'][k] != nil) || !bytes.Equal(got, m['o'][k]) {
			t.Errorf("get %s: %d bytes, %v, %v", k, len(got), ok, err)
		}
	}
	var done func()
	st.before = func() {
		get("k0010")
		done = commitStep(t, st, tb.Begin(), Stamp{Commit: 2}, 1<<20)
	}
	get("k0499x")
	get("k0010")
	if err := m.scan(tb.Snapshot(), 'o', "k0010", "", false, -1); err != nil {
		t.Error(err)
	}
	done()
	get("k0010")
}

// meddled is a store in which, around every read, something else may happen.
type meddled struct {
	store.Store
	meddle func()
}

func (s *meddled) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	s.meddle()
	val, ok, err := s.Store.Get(ctx, key)
	s.meddle()
	return val, ok, err
}

func (s *meddled) Scan(ctx context.Context, r store.Range) ([]store.Row, error) {
	s.meddle()
	rows, err := s.Store.Scan(ctx, r)
	s.meddle()
	return rows, err
}

// TestReadsThatAreOvertakenAnywhere: around every read of the store, and between the entries of a scan, a checkpoint may store a
// step of whatever size, or hear that it is stored, and another may read. Now and then an engine dies in a step, and the next one
// reads what that has left.
func TestReadsThatAreOvertakenAnywhere(t *testing.T) {
	for seed := range few(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 12)), st: store.NewMemory(), m: tableModel{'o': {}, 'p': {}}}
			for range 6 {
				w.liveMeddled()
			}
		})
	}
}

// liveMeddled is the life of an engine, beside whose reads the steps of its checkpoints are.
func (w *world) liveMeddled() {
	w.t.Helper()
	w.inc++
	tb := w.replayed(w.inc)
	if w.rnd.IntN(2) == 0 { // it has read nothing yet
		tb.cache, tb.none = newCache(), map[byte]string{}
	}
	for range 1 + w.rnd.IntN(4) {
		for range 1 + w.rnd.IntN(4) {
			w.changeStretch(tb)
		}
		e := &meddler{w: w, tb: tb, cp: tb.Begin()}
		tb.st = &meddled{w.st, e.meddle}
		for range 1 + w.rnd.IntN(4) {
			e.read()
		}
		tb.st = w.st
		e.end()
		if e.cp.Done() {
			w.log = nil
		} else if w.rnd.IntN(3) == 0 {
			e.step(true)
			return
		}
	}
}

func nearKey(rnd *rand.Rand) string { return fmt.Sprintf("k%04d", rnd.IntN(2000)) }

// changeStretch is a commit that changes neighbours, all or some of them, or removes them.
func (w *world) changeStretch(tb *Tables) {
	w.commit++
	val := oddValue(w.rnd)
	if w.rnd.IntN(4) > 0 {
		val = val[:min(len(val), w.rnd.IntN(150))]
	}
	if w.rnd.IntN(3) == 0 {
		val = nil
	}
	var cs []Change
	i, every := w.rnd.IntN(2000), 1+w.rnd.IntN(3)
	end := min(2000, i+w.rnd.IntN(1500), i+1+100_000/(1+len(val)))
	for ; i < end; i += every {
		k := fmt.Sprintf("k%04d", i)
		if val == nil && i%40 == 0 { // some stay
			continue
		}
		cs = append(cs, Change{RowKey('o', k), val})
		w.log = append(w.log, change{w.commit, 'o', k, val})
		if w.m['o'][k] = val; val == nil {
			delete(w.m['o'], k)
		}
	}
	tb.Apply(cs)
}

// meddler is what happens beside a read.
type meddler struct {
	w     *world
	tb    *Tables
	cp    *Checkpoint
	done  func() // of the step that is stored
	depth int
}

func (e *meddler) meddle() {
	if e.depth > 1 || e.w.rnd.IntN(3) > 0 {
		return
	}
	e.depth++
	defer func() { e.depth-- }()
	switch e.w.rnd.IntN(6) {
	case 0:
		e.end()
	case 1, 2:
		if e.done == nil && !e.cp.Done() {
			e.step(false)
		}
	default:
		e.read()
	}
}

func (e *meddler) end() {
	if e.done != nil {
		e.done()
		e.done = nil
	}
}

// step stores a step, or a part of one.
func (e *meddler) step(torn bool) {
	read := e.tb.st
	e.tb.st = e.w.st
	defer func() { e.tb.st = read }()
	tx := &store.Tx{}
	done, err := e.cp.Step(context.Background(), tx, Stamp{Commit: e.w.commit}, 1<<uint(12+e.w.rnd.IntN(9)))
	if err != nil {
		e.w.t.Fatal(err)
	}
	if torn {
		tx.Ops = tx.Ops[:e.w.rnd.IntN(len(tx.Ops)+1)]
	}
	if err := e.w.st.Commit(context.Background(), tx); err != nil {
		e.w.t.Fatal(err)
	}
	e.done = done
}

// read compares a scan, or some entries, with what there is.
func (e *meddler) read() {
	e.w.t.Helper()
	const table = 'o'
	rnd := e.w.rnd
	from, to := nearKey(rnd), nearKey(rnd)
	s := e.tb.Snapshot()
	defer s.Release()
	for range 3 {
		got, ok, err := e.tb.Get(context.Background(), table, from)
		if rnd.IntN(2) == 0 {
			got, ok, err = s.Get(context.Background(), table, from)
		}
		if want, has := e.w.m[table][from]; err != nil || ok != has || !bytes.Equal(got, want) {
			e.w.t.Fatalf("get %q: %d bytes, %v, %v; want %d bytes, %v", from, len(got), ok, err, len(want), has)
		}
		from = nearKey(rnd)
	}
	if rnd.IntN(2) == 0 {
		from = ""
	}
	if rnd.IntN(2) == 0 {
		to = ""
	}
	err := e.w.m.scanBeside(s, table, from, to, rnd.IntN(3) > 0, func(int) {
		if rnd.IntN(100) == 0 {
			e.meddle()
		}
	})
	if err != nil {
		e.w.t.Fatal(err)
	}
}
