package core

import (
	"fmt"
	"strings"
	"testing"

	"vsync/core/store"
)

// feedWorld is a device and a hub whose feed has some segments, all of them before the checkpoint.
func feedWorld(t *testing.T) (w *world, a *node, rows []store.Row) {
	w = newWorld(t)
	a = w.device()
	w.hub.Kill()
	w.hub.cp = 3000
	w.hub.open()
	for i := range 60 {
		a.put(fmt.Sprint("k", i), strings.Repeat("x", 300))
		a.push()
		a.pull()
	}
	if err := w.hub.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	return w, a, segmentsOf(t, w.hub)
}

func segmentsOf(t *testing.T, n *node) []store.Row {
	t.Helper()
	rows, err := n.st.Scan(n.w.ctx, store.Range{From: []byte{'L'}, To: []byte{'M'}})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// opened opens a store with repair.
func (n *node) mendedOpen(t *testing.T) {
	t.Helper()
	c := n.config()
	c.Repair = true
	r, err := Open(n.w.ctx, n.st, c)
	if err != nil {
		t.Fatal(err)
	}
	n.Replica = r
}

// values is what is shown, without the names of versions.
func (n *node) values() string {
	n.w.t.Helper()
	var b strings.Builder
	for e, err := range n.Scan(n.w.ctx, ScanRange{}) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %.20x %d %v\n", e.Key, e.Value, len(e.Value), e.Conflict)
	}
	return b.String()
}

// A segment of a hub's log is damaged, in every way, and its pages are whole: nothing is missing, whether a device is there or not.
func TestHoleInAFeedIsFilled(t *testing.T) {
	w, a, rows := feedWorld(t)
	want, head := w.hub.values(), w.hub.Head()
	hub := w.hub
	hub.Kill()
	for i, r := range rows {
		for _, h := range harms(rows, nil) {
			copied, is := hub.harmRow(t, r, h)
			if !is {
				continue
			}
			t.Run(fmt.Sprintf("%d/%s", i, h.name), func(t *testing.T) {
				w.hub = copied
				defer func() { w.hub = hub }()
				copied.mendedOpen(t)
				if got := copied.values(); got != want {
					t.Fatalf("it shows\n%s\nand not\n%s", got, want)
				}
				copied.check()
				copied.refolded()
				if got := copied.Head(); got.Epoch != head.Epoch || got.Seq < head.Seq {
					t.Fatalf("the feed ends at %v, and ended at %v", got, head)
				}
				if d, err := copied.Damage(w.ctx); err != nil || len(d) == 0 {
					t.Fatal("not listed", err)
				}
				b := w.device()
				b.pull()
				b.check()
				if got := b.values(); got != want {
					t.Fatalf("a new device shows\n%s\nand not\n%s", got, want)
				}
				a2 := &node{w: w, st: a.st.Clone(), feed: true}
				a2.open()
				if handed, _, back := a2.meet(); handed > 0 || back {
					t.Error("who has all of the feed has to hand it back")
				}
				a2.put("k3", "later")
				w.sync(a2, b)
				for _, n := range []*node{a2, b, copied} {
					n.crash()
					n.refolded()
				}
			})
		}
	}
}

// flipped damages a row of a copy of a node's store.
func (n *node) flipped(t *testing.T, key []byte) *node {
	t.Helper()
	copied := &node{w: n.w, st: n.st.Clone(), role: n.role, feed: n.feed}
	if is, err := store.Damage(n.w.ctx, copied.st, key, store.Fault{Do: store.FlipBit, Bit: 3000}); err != nil || !is {
		t.Fatal(is, err)
	}
	return copied
}

// mixedWorld is two devices and a hub with segments before and behind its checkpoint, with rules, conflicts, refusals and deletions.
func mixedWorld(t *testing.T) (w *world, a, b *node, parts []*store.Memory) {
	w = newWorld(t)
	a, b = w.device(), w.device()
	if _, _, err := a.SetRules(w.ctx, "c", value(map[string]any{"version": 1, "conflict": map[string]any{"n": "counter"}})); err != nil {
		t.Log("no rules: ", err)
	}
	w.sync(a, b)
	write := func(from, to int) {
		for i := from; i < to; i++ {
			n := []*node{a, b}[i/2%2]
			n.put(fmt.Sprint("k", i%13), map[string]any{"n": i, "s": strings.Repeat("x", 200)})
			switch {
			case i%11 == 0: // both write it
				a.put("both", map[string]any{"n": i})
				b.put("both", map[string]any{"n": -i})
			case i%17 == 0: // not of what is counted: a deletion that comes back later begins another life of the object later
				b.put("gone", i)
				b.del("gone")
			case i%19 == 0:
				gen := a.hello()
				a.put("refused", map[string]any{"n": i})
				a.refuse(gen)
			}
			if i%3 == 0 {
				w.sync(a, b)
			}
		}
		w.sync(a, b)
	}
	write(1, 60)
	if err := w.hub.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	reader := w.device()
	for i := 60; i < 120; i += 10 {
		write(i, i+10)
		reader.pull()
		parts = append(parts, reader.st.Clone())
	}
	return w, a, b, parts
}

// diesMending opens a copy of a damaged hub with repair, and lets it die at a commit: what it leaves, and whether there was such a commit.
func (n *node) diesMending(at int, do store.FaultKind) (left *node, died bool) {
	st := n.st.Clone()
	broken := store.NewFaulty(st, store.Fault{On: store.Commits, N: at, Do: do})
	c := n.config()
	c.Repair = true
	if r, err := Open(n.w.ctx, broken, c); err == nil {
		r.Kill()
	}
	return &node{w: n.w, st: st.Clone(), role: RoleHub, feed: true}, broken.Fired() > 0
}

// A hub's engine dies at each commit of a repair, before it is stored or behind it: the next repair goes on, and in the end all is as with
// one that went through; to repair once more changes nothing.
func TestRepairOfAHubDies(t *testing.T) {
	w, a, b, _ := mixedWorld(t)
	want, hub := w.hub.values(), w.hub
	rows := segmentsOf(t, hub)
	hub.Kill()
	start := string(hub.startOf(t))
	deaths := 0
	for i, r := range rows {
		if len(r.Value) < 500 || (i%3 > 0 || testing.Short()) && string(r.Key) != start {
			continue
		}
		damaged := hub.flipped(t, r.Key)
		for at, fired := 1, true; fired; at++ {
			fired = false
			for _, do := range []store.FaultKind{store.CrashBefore, store.CrashAfter} {
				n, died := damaged.diesMending(at, do)
				if !died {
					continue
				}
				fired = true
				deaths++
				n.mendedOpen(t)
				n.check()
				n.refolded()
				shown := n.values()
				n.Kill()
				n.st = n.st.Clone()
				n.mendedOpen(t)
				if got := n.values(); got != shown {
					t.Fatalf("row %d, commit %d: repaired once more it shows\n%s\nand before\n%s", i, at, got, shown)
				}
				w.hub = n
				c2 := w.device()
				c2.pull()
				if got := c2.values(); got != shown {
					t.Fatalf("row %d, commit %d: a new device shows\n%s\nand the hub\n%s", i, at, got, shown)
				}
				if string(r.Key) < start && shown != want {
					t.Fatalf("row %d, commit %d: it shows\n%s\nand not\n%s", i, at, shown, want)
				}
				a2 := &node{w: w, st: a.st.Clone(), feed: true}
				a2.open()
				b2 := &node{w: w, st: b.st.Clone(), feed: true}
				b2.open()
				w.sync(a2, b2, c2)
				if got := n.values(); got != want {
					t.Fatalf("row %d, commit %d: with all who were there it shows\n%s\nand not\n%s", i, at, got, want)
				}
				n.Kill()
			}
		}
	}
	if deaths < 10 {
		t.Errorf("it died %d times", deaths)
	}
	w.hub = hub
}

// One segment after the other is damaged, the one with what was put in the place of the first among them.
func TestHubIsDamagedAgain(t *testing.T) {
	w, a, b, _ := mixedWorld(t)
	if err := w.hub.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	want := w.hub.values()
	for round := range 12 {
		w.hub.Kill()
		rows := segmentsOf(t, w.hub)
		at := round * 7 % len(rows)
		if round%4 == 3 {
			at = len(rows) - 2
		}
		w.hub = w.hub.flipped(t, rows[at].Key)
		w.hub.mendedOpen(t)
		w.hub.check()
		w.hub.refolded()
		if got := w.hub.values(); got != want {
			t.Fatalf("round %d: it shows\n%s\nand not\n%s", round, got, want)
		}
		c := w.device()
		w.sync(a, b, c)
		c.crash()
	}
	// All summaries are lost besides.
	w.hub.Kill()
	w.hub.st = w.hub.st.Clone()
	tx := &store.Tx{}
	tx.DeleteRange([]byte{'M'}, []byte{'N'})
	if err := w.hub.st.Commit(w.ctx, tx); err != nil {
		t.Fatal(err)
	}
	w.hub.mendedOpen(t)
	w.hub.check()
	w.sync(a, b, w.device())
}

// A hub meets damage of its log while it is open: it mends it and goes on, and says what it has set aside.
func TestHubMendsWhatItMeets(t *testing.T) {
	w, a, rows := feedWorld(t)
	want := w.hub.values()
	w.hub.Kill()
	for _, i := range []int{0, len(rows) / 2} {
		hub := w.hub.flipped(t, rows[i].Key)
		c := hub.config()
		var told []Finding
		c.OnDamage = func(f Finding) { told = append(told, f) }
		r, err := Open(w.ctx, hub.st, c)
		if err != nil {
			t.Fatal(err)
		}
		hub.Replica = r
		was := w.hub
		w.hub = hub
		b := w.device()
		b.pull()
		w.sync(a, b)
		if got := b.values(); got != want {
			t.Fatalf("it shows\n%s\nand not\n%s", got, want)
		}
		if len(told) == 0 || told[0].Scope != ScopeSegment || len(told[0].Bytes) == 0 {
			t.Errorf("told was %v", told)
		}
		hub.check()
		hub.Kill()
		w.hub = was
	}
}

// Devices come back one after the other, each with a part of what the hub has lost behind its checkpoint.
func TestPartsAreHandedBack(t *testing.T) {
	w, a, _, parts := mixedWorld(t)
	want, hub := w.hub.values(), w.hub
	hub.Kill()
	defer func() { w.hub = hub }()
	rows := segmentsOf(t, hub)
	start := string(hub.startOf(t))
	for i, r := range rows {
		if string(r.Key) < start || len(r.Value) < 1000 {
			continue
		}
		w.hub = &node{w: w, st: hub.st.Clone(), role: RoleHub, feed: true}
		tx := &store.Tx{}
		tx.Delete(r.Key)
		if err := w.hub.st.Commit(w.ctx, tx); err != nil {
			t.Fatal(err)
		}
		w.hub.mendedOpen(t)
		c := w.device()
		c.pull()
		c.put("new", i)
		for _, st := range parts {
			n := &node{w: w, st: st.Clone(), feed: true}
			n.open()
			w.sync(n, c)
			n.check()
		}
		a2 := &node{w: w, st: a.st.Clone(), feed: true}
		a2.open()
		w.sync(a2, c)
		c.del("new")
		w.sync(a2, c)
		if got := w.hub.values(); got != want {
			t.Errorf("row %d: it shows\n%s\nand not\n%s", i, got, want)
		}
		w.hub.check()
		w.hub.refolded()
	}
}

// Rules are lost in a hole that is filled, wherever the engine dies that does it: who had them, who comes new and the hub agree on what is in force.
func TestRulesInAHole(t *testing.T) {
	w, _, _ := feedWorld(t)
	var all []*node
	for i := range 5 {
		n := w.device()
		n.pull()
		if _, is, err := n.SetRules(w.ctx, fmt.Sprint("r", i), value(townRules)); err != nil || !is {
			t.Fatal(is, err)
		}
		n.push()
		n.pull()
		all = append(all, n)
	}
	if err := w.hub.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	rows := segmentsOf(t, w.hub)
	w.hub.Kill()
	damaged := w.hub.flipped(t, rows[len(rows)-1].Key)
	for at, fired := 1, true; fired; at++ {
		fired = false
		for _, do := range []store.FaultKind{store.CrashBefore, store.CrashAfter} {
			n, died := damaged.diesMending(at, do)
			fired, w.hub = fired || died, n
			w.hub.mendedOpen(t)
			w.hub.check()
			w.hub.refolded()
			fresh := w.device()
			old := &node{w: w, st: all[0].st.Clone(), feed: true}
			old.open()
			w.sync(old, fresh)
			want := string(appendRules(nil, w.hub.head.rules))
			if len(w.hub.head.rules) != len(all) {
				t.Fatalf("commit %d: %d rules are in force", at, len(w.hub.head.rules))
			}
			for _, n := range []*node{old, fresh, w.hub} {
				n.crash()
				n.check()
				if got := string(appendRules(nil, n.head.rules)); got != want {
					t.Fatalf("commit %d: in force is %q, and at the hub %q", at, got, want)
				}
			}
			w.hub.Kill()
		}
	}
}
