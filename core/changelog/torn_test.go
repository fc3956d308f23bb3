package changelog

import (
	"math/rand/v2"
	"slices"
	"testing"

	"vsync/core/store"
)

// life is an engine as the tests of incarnations see it.
type life struct {
	inc  uint64
	l    *Log
	base [][]Item // what it read
	own  [][]Item // what it wrote since
	dead bool
}

func (e *life) all() [][]Item { return append(slices.Clip(e.base), e.own...) }

// held is what the store holds when engines have written to it, dead ones still after their successors had read: what
// the latest that wrote has seen and written.
func held(lives []*life) [][]Item {
	for _, e := range slices.Backward(lives) {
		if len(e.own) > 0 {
			return e.all()
		}
	}
	return nil
}

func randomItems(rnd *rand.Rand) []Item {
	size := rnd.IntN(300)
	switch rnd.IntN(6) {
	case 0:
		size = TailMax + rnd.IntN(3000)
	case 1:
		size = rnd.IntN(4 * partMax)
	}
	return plain(size, byte(rnd.IntN(256)))
}

// write lets an engine commit; cut < 0 is a whole commit, otherwise so many operations of it are stored and the engine dies.
func (e *life) write(t *testing.T, st store.Store, items []Item, cut int) (ops int) {
	t.Helper()
	tx := &store.Tx{}
	e.l.Append(tx, items)
	ops = len(tx.Ops)
	whole := cut < 0 || cut >= ops
	if !whole {
		tx.Ops = tx.Ops[:cut]
	}
	if err := st.Commit(ctx, tx); err != nil {
		t.Fatal(err)
	}
	e.dead = cut >= 0
	if whole {
		e.own = append(e.own, items)
	}
	if cut < 0 {
		e.l.Committed()
	}
	return ops
}

func birth(t *testing.T, st store.Store, lives []*life) *life {
	t.Helper()
	inc := uint64(len(lives) + 1)
	l, recs, err := tryOpen(st, inc, Name{})
	if err != nil {
		t.Fatalf("incarnation %d: %v", inc, err)
	}
	want := held(lives)
	if err := same(recs, 1, want); err != nil {
		t.Fatalf("incarnation %d: %v", inc, err)
	}
	return &life{inc: inc, l: l, base: want}
}

// TestEveryTornCommit: two engines in turn die in a commit, at every place of it, with every size of commit and with and
// without commits before; a third reads and writes, a fourth reads.
func TestEveryTornCommit(t *testing.T) {
	sizes := []int{10, TailMax + 1, partMax + 1, 3*partMax + 1}
	before := []int{0, 25}[:few(2)]
	for _, n1 := range before {
		for _, size1 := range sizes {
			for cut1 := 0; cut1 <= 5; cut1++ {
				for _, n2 := range before {
					for _, size2 := range sizes {
						ops := 1
						for cut2 := 0; cut2 <= ops; cut2++ {
							st := store.NewMemory()
							var lives []*life
							die := func(n, size, cut int) int {
								e := birth(t, st, lives)
								lives = append(lives, e)
								for range n {
									e.write(t, st, plain(150, byte(e.inc)), -1)
								}
								return e.write(t, st, plain(size, 99), cut)
							}
							if ops1 := die(n1, size1, cut1); cut1 > ops1 {
								continue
							}
							ops = die(n2, size2, cut2)
							die(2, 10, 1)
							birth(t, st, lives)
						}
					}
				}
			}
		}
	}
}

// TestGenerationsOfEngines: engines open, write, die in the middle of a commit, and those that others have already
// followed go on writing: what they write then is void, or is read by the next, but never mixed.
func TestGenerationsOfEngines(t *testing.T) {
	for seed := range few(40) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		st := store.NewMemory()
		var lives []*life
		for range 12 {
			e := birth(t, st, lives)
			lives = append(lives, e)
			for range rnd.IntN(8) {
				w := e
				if rnd.IntN(2) == 0 { // a zombie's last gasp
					w = lives[rnd.IntN(len(lives))]
				}
				if w.dead {
					continue
				}
				cut := -1
				if rnd.IntN(4) == 0 {
					cut = rnd.IntN(4)
				}
				before := rows(t, st, rowSegment)
				w.write(t, st, randomItems(rnd), cut)
				onlyOwnRows(t, before, rows(t, st, rowSegment), w.inc)
			}
		}
		birth(t, st, lives)
	}
}

// onlyOwnRows fails if an engine has changed a row of another.
func onlyOwnRows(t *testing.T, before, after []store.Row, inc uint64) {
	t.Helper()
	now := map[string]string{}
	for _, r := range after {
		now[string(r.Key)] = string(r.Value)
	}
	for _, r := range before {
		name, _, _ := parseRow(r.Key)
		if name.Incarnation != inc && now[string(r.Key)] != string(r.Value) {
			t.Fatalf("incarnation %d has changed the row %x", inc, r.Key)
		}
	}
}
