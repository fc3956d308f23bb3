package core

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// tableRows is everything in the tables, by its row.
func (n *node) tableRows() map[string]string {
	n.w.t.Helper()
	out := map[string]string{}
	s := n.tables.Snapshot()
	defer s.Release()
	for _, table := range []byte(allTables) {
		for kv, err := range s.Scan(n.w.ctx, table, "", "", false) {
			if err != nil {
				n.w.t.Fatal(err)
			}
			out[string(table)+kv.Key] = string(kv.Value)
		}
	}
	return out
}

// refolded holds the tables and the head against what the log says.
func (n *node) refolded() {
	n.w.t.Helper()
	rows, h, err := n.refoldingOf(n.State().Commit).run(n.w.ctx)
	if err != nil {
		n.w.t.Fatal(err)
	}
	want := n.tableRows()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if string(rows[k]) != want[k] {
			n.w.t.Errorf("the row %q is %x, and folded anew %x", k, want[k], rows[k])
		}
		delete(rows, k)
	}
	for k := range rows {
		n.w.t.Errorf("the row %q exists only when folded anew", k)
	}
	if !sameHead(&h, &n.head) {
		n.w.t.Errorf("the head is\n%+v\nand folded anew\n%+v", n.head, h)
	}
}

// story is a random life of several devices: writes, conflicts, refusals, copies that part, crashes, checkpoints.
func (w *world) story(r *rand.Rand, steps int, each func(n *node)) {
	ns := []*node{w.device(), w.device(), w.device()}
	for _, n := range append(ns, w.hub) {
		n.Kill()
		n.cp = 3000
		n.open()
	}
	for range steps {
		i := r.IntN(len(ns))
		n := ns[i]
		id := fmt.Sprint("k", r.IntN(25))
		switch r.IntN(14) {
		case 0:
			n.del(id)
		case 1:
			n.put(id, strings.Repeat("large ", 2000+r.IntN(12000)))
		case 2:
			n.push()
		case 3:
			n.pull()
		case 4:
			w.sync(ns...)
		case 5:
			gen := n.hello()
			n.put(id, "refused")
			n.refuse(gen)
		case 6:
			if ps, err := n.Problems(w.ctx); err == nil && len(ps) > 0 {
				if r.IntN(2) == 0 {
					_, err = n.Retry(w.ctx, ps[0].Version)
				} else {
					err = n.Dismiss(w.ctx, ps[0].Version)
				}
				if err != nil {
					w.t.Fatal(err)
				}
			}
		case 7: // a copy of the storage goes its own way, and the original too
			c := w.start(&node{w: w, st: n.st.Clone(), feed: true, cp: n.cp})
			c.put(id, fmt.Sprint("copy ", r.IntN(1000)))
			if len(ns) < 5 {
				ns = append(ns, c)
			} else {
				ns[(i+1)%len(ns)] = c
			}
		case 8:
			n.crash()
		default:
			for range 1 + r.IntN(8) {
				n.put(fmt.Sprint("k", r.IntN(25)), fmt.Sprintf("%d %050d", r.IntN(1000), 0))
				if r.IntN(3) == 0 {
					_, _ = n.ask(nonceOf(byte(r.IntN(90)), uint64(r.IntN(60))), fmt.Sprint("k", r.IntN(25))) // a number that was passed over is refused
				}
			}
		}
		each(n)
	}
	w.sync(ns...)
	for _, n := range append(ns, w.hub) {
		each(n)
	}
}

// What is folded anew from the log is what the tables hold, at a device and at the hub.
func TestRefoldIsTheTables(t *testing.T) {
	for seed := range uint64(6) {
		w := newWorld(t)
		r := rand.New(rand.NewPCG(seed, 1))
		w.story(r, 120, func(n *node) {
			if r.IntN(5) == 0 {
				n.refolded()
				w.hub.refolded()
			}
		})
		if t.Failed() {
			t.Fatal("seed ", seed)
		}
	}
}

// A part is what the whole has of it, and an earlier state is what it was then.
func TestRefoldOfAPart(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(7, 1))
	was := map[uint64]map[string]string{}
	w.story(r, 60, func(*node) { was[w.hub.State().Commit] = w.hub.tableRows() })
	for commit, want := range was {
		g := w.hub.refoldingOf(commit)
		g.want = func(row string) bool { return row[0] == tableObjects && row > "oc\x00k1" }
		rows, h, err := g.run(w.ctx)
		if err != nil || h.commit != commit {
			t.Fatal(err, h.commit, commit)
		}
		for k, v := range want {
			if g.want(k) && string(rows[k]) != v {
				t.Fatalf("at commit %d %q is another", commit, k)
			}
			delete(rows, k)
		}
		if len(rows) > 0 {
			t.Fatalf("at commit %d there are %d rows more", commit, len(rows))
		}
	}
}

// Without the entries above a sequence it is the feed as it was there.
func TestRefoldWithoutTheFeedsEnd(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	write := func(from, to int) {
		for i := from; i < to; i++ {
			a.put(fmt.Sprint("k", i%7), i)
			b.put(fmt.Sprint("k", i%5), -i)
			w.sync(a, b)
		}
	}
	write(0, 20)
	want, end := w.hub.tableRows(), w.hub.Head()
	write(20, 40)
	g := w.hub.refoldingOf(w.hub.State().Commit)
	g.gone = []rewind{{w.hub.State().Commit + 1, end.Seq}}
	rows, h, err := g.run(w.ctx)
	if err != nil || h.marker != end || len(rows) != len(want) {
		t.Fatal(err, h.marker, end, len(rows), len(want))
	}
	for k, v := range want {
		if string(rows[k]) != v {
			t.Errorf("%q is another", k)
		}
	}
}
