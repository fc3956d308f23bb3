package pages

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"vsync/core/store"
)

// TestACommitBetweenStepsIsNotTakenForWritten: a step has stopped in the middle of a page's range. Then a commit changes a key below
// that place and one above it, and the next step writes the page again for the one above. Its stamp says that the page has that
// commit, so it has to have all of it, or replay passes over what it lacks.
func TestACommitBetweenStepsIsNotTakenForWritten(t *testing.T) {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(1, 1)), st: store.NewMemory(), m: tableModel{'o': {}, 'p': {}}}
	tb := New(w.st, 1)
	commit := func(val string, keys ...string) {
		w.commit++
		for _, k := range keys {
			w.m['o'][k] = []byte(val)
			tb.Apply([]Change{{RowKey('o', k), []byte(val)}})
			w.log = append(w.log, change{w.commit, 'o', k, []byte(val)})
		}
	}
	commit("1", "a", "b", "c")
	flush(t, w.st, tb, Stamp{Commit: w.commit}, 1<<20)
	w.log = nil
	commit("2", "b")
	commit("2", "p")
	tb.Set('p', "p", []byte("1")) // in another table, for a step of its own
	w.m['p']["p"] = []byte("1")
	w.log = append(w.log, change{w.commit, 'p', "p", []byte("1")})
	cp := tb.Begin()
	commitStep(t, w.st, cp, Stamp{Commit: w.commit}, 1)()
	if cp.Done() {
		t.Fatal("one step wrote everything")
	}
	commit("3", "a", "z")
	commitStep(t, w.st, cp, Stamp{Commit: w.commit}, 1)()
	w.check(tb)
	w.replayed(2)
	for !cp.Done() {
		commitStep(t, w.st, cp, Stamp{Commit: w.commit}, 1)()
	}
	w.replayed(3)
}

// TestCommitsBetweenSteps: as an engine has it, one step follows each commit; it dies anywhere, in a step too. What is in the pages
// and what is in the log since the last checkpoint that came to its end is everything.
func TestCommitsBetweenSteps(t *testing.T) {
	for seed := range few(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 14)), st: store.NewMemory(), m: tableModel{'o': {}, 'p': {}}}
			w.wide = seed%2 == 0
			for range 20 {
				w.liveOn()
			}
		})
	}
}

// liveOn is the life of an engine that commits between the steps of its checkpoint.
func (w *world) liveOn() {
	w.t.Helper()
	w.inc++
	tb := w.replayed(w.inc)
	w.change(tb)
	cp, from := tb.Begin(), w.commit
	limit := 1 << uint(w.rnd.IntN(15))
	for range 60 {
		tx := &store.Tx{}
		done, err := cp.Step(context.Background(), tx, Stamp{Commit: w.commit}, limit)
		if err != nil {
			w.t.Fatal(err)
		}
		dies := w.rnd.IntN(30) == 0
		if dies {
			tx.Ops = tx.Ops[:w.rnd.IntN(len(tx.Ops)+1)]
		}
		if err := w.st.Commit(context.Background(), tx); err != nil {
			w.t.Fatal(err)
		}
		if dies {
			return
		}
		done()
		if cp.Done() {
			w.log = slices.DeleteFunc(w.log, func(c change) bool { return c.commit <= from })
			w.check(tb)
			if w.rnd.IntN(2) == 0 {
				return
			}
			cp, from = tb.Begin(), w.commit
		}
		w.touch(tb)
	}
}

// touch is a small commit, of a few keys that are near each other or not.
func (w *world) touch(tb *Tables) {
	w.commit++
	for range w.rnd.IntN(12) {
		c := change{w.commit, "op"[w.rnd.IntN(2)], oddKey(w.rnd), []byte(fmt.Sprint(w.commit))}
		if w.rnd.IntN(6) == 0 {
			c.val = nil
		}
		tb.Apply([]Change{{RowKey(c.table, c.key), c.val}})
		if w.m[c.table][c.key] = c.val; c.val == nil {
			delete(w.m[c.table], c.key)
		}
		w.log = append(w.log, c)
	}
}
