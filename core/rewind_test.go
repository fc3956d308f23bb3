package core

import (
	"fmt"
	"slices"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// replace puts another store under the hub, as an operator does while it is down; nil is an empty one.
func (w *world) replace(st *store.Memory) {
	w.t.Helper()
	w.hub.Kill()
	if st == nil {
		st = store.NewMemory()
	}
	w.hub.st = st.Clone()
	w.hub.open()
	w.hub.check()
}

func TestEmptiedHubGetsItsFeedBack(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	for i := range 50 {
		a.put(fmt.Sprint("a", i), i)
		b.put(fmt.Sprint("b", i%7), i)
		w.sync(a, b)
	}
	a.put("x", "late")
	a.push()
	a.pull() // b does not know it
	lineage, head := w.hub.Lineage(), w.hub.Head()
	w.replace(nil)
	if w.hub.Lineage() != lineage {
		t.Fatal("the hub has another lineage")
	}
	// The one that knows less comes first: what it had is a beginning of what was.
	if handed, taken, back := b.meet(); handed != 100 || taken != 100 || back {
		t.Fatal(handed, taken, back)
	}
	if handed, taken, back := a.meet(); taken != 1 || back {
		t.Fatal(handed, taken, back)
	}
	now := w.hub.Head()
	if now.Epoch != 2 {
		t.Error(now)
	}
	if now.Epoch = head.Epoch; now != head {
		t.Fatalf("the hub stands at %v, and stood at %v", now, head)
	}
	w.sync(a, b)
	for _, n := range []*node{a, b, w.hub} {
		n.want("x", "late")
		n.crash()
	}
	if a.State().Marker.Epoch != 2 {
		t.Error(a.State().Marker)
	}
	w.sync(a, b)
}

// A hub that has gone another way since: the device that had more hands it back and goes back itself.
func TestHubPutBackHasGoneOn(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.device(), w.device(), w.device()
	a.put("k", 1)
	w.sync(a, b, c)
	backup := w.hub.st.Clone()
	a.put("k", 2)
	a.put("gone", "a's")
	b.put("own", "b's")
	w.sync(a, b)
	a.put("unsent", 1)
	w.replace(backup)
	c.put("k", 3)
	c.put("new", "c's")
	c.push()
	events := follow(a)
	if handed, taken, back := a.meet(); handed < 3 || taken != 3 || !back {
		t.Fatal(handed, taken, back)
	}
	if handed, taken, back := b.meet(); handed < 3 || taken != 0 || !back {
		t.Fatal(handed, taken, back)
	}
	a.want("k", "2") // its own, which is unsent again
	w.sync(a, b, c)
	w.sync(a, b, c)
	for _, n := range []*node{a, b, c, w.hub} {
		n.want("gone", "a's")
		n.want("own", "b's")
		n.want("new", "c's")
		n.want("unsent", "1")
		if n.get("k") != a.get("k") || n.get("k") != "3!" {
			t.Error(n.get("k"))
		}
		n.crash()
		if err := n.Checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
		n.crash()
	}
	w.sync(a, b, c)
	if !slices.ContainsFunc(events(), func(e Event) bool { return e.Reset }) {
		t.Error("the watcher was not told to begin again")
	}
}

// follow watches from now on, and returns what gives the events up to the last commit.
func follow(n *node) func() []Event {
	from := n.marker(n.State().Commit).String()
	return func() (out []Event) {
		last := n.marker(n.State().Commit).String()
		for e, err := range n.Watch(n.w.ctx, WatchOptions{From: from}) {
			if err != nil {
				n.w.t.Fatal(err)
			}
			if out = append(out, e); e.Marker == last || len(out) > 100 {
				break
			}
		}
		return out
	}
}

// Losing data again and again, with crashes and checkpoints in between: what any device has, comes back, and nothing twice.
func TestHubLosesDataAgainAndAgain(t *testing.T) {
	for _, checkpoints := range []bool{false, true} {
		t.Run(fmt.Sprint("checkpoints ", checkpoints), func(t *testing.T) {
			w := newWorld(t)
			ns := []*node{w.device(), w.device(), w.device()}
			backups := []*store.Memory{nil}
			total := 0
			for round := range 12 {
				for i := range 6 {
					n := ns[(round+i)%3]
					n.put(fmt.Sprint("k", i%4), fmt.Sprint(round, " ", i))
					total++
					if i%2 == 0 {
						n.push()
						n.pull()
					}
				}
				if checkpoints {
					if err := ns[round%3].Checkpoint(w.ctx); err != nil {
						t.Fatal(err)
					}
				}
				if round%3 == 0 {
					backups = append(backups, w.hub.st.Clone())
				}
				if round%2 == 0 {
					w.replace(backups[(round*7)%len(backups)])
				}
				ns[(round+1)%3].crash()
				w.sync(ns[(round+2)%3], ns[round%3])
			}
			w.sync(ns...)
			w.sync(ns...)
			for _, n := range append(ns, w.hub) {
				n.check()
				n.crash()
			}
			if seq := w.hub.Head().Seq; seq != uint64(total) {
				t.Errorf("%d batches were written, and the feed has %d", total, seq)
			}
		})
	}
}

// A refusal that was dismissed stays so, and one that waits is listed once.
func TestRefusalsAreHandedBack(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("k", 1)
	w.sync(a, b)
	backup := w.hub.st.Clone()
	seen := a.put("k", 2)
	a.refuse(seen.Gen)
	a.pull()
	if err := a.Dismiss(w.ctx, seen); err != nil {
		t.Fatal(err)
	}
	kept := a.put("k", 3)
	a.refuse(kept.Gen)
	a.pull()
	b.pull()
	w.replace(backup)
	b.put("other", 1)
	b.push() // b hands the refusals back
	a.pull()
	b.pull()
	for _, n := range []*node{a, b} {
		n.want("k", "1")
		n.crash()
	}
	ps, err := a.Problems(w.ctx)
	if err != nil || len(ps) != 1 || ps[0].Version != kept {
		t.Fatal(ps, err)
	}
	if err := a.refusal(w.ctx, seen); err == nil {
		t.Error("that it was refused is forgotten")
	}
	w.sync(a, b)
}

// What was never in the feed does not come back as if it had been.
func TestForgedEntriesAreNotTakenBack(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	for i := range 5 {
		a.put("k", i)
	}
	w.sync(a)
	entries, _, err := a.Applied(w.ctx, AppliedCursor{}, 1<<20)
	if err != nil || len(entries) != 5 {
		t.Fatal(len(entries), err)
	}
	w.replace(nil)
	forge := func(change func(b []byte) []byte) [][]byte {
		var out [][]byte
		for _, e := range entries {
			out = append(out, change(slices.Clone(e)))
		}
		return out
	}
	for name, bad := range map[string][][]byte{
		"cut":         forge(func(b []byte) []byte { return b[:len(b)-1] }),
		"empty":       {nil, {}},
		"annotation":  forge(func(b []byte) []byte { b[5] ^= 1; return b }),
		"mac":         forge(func(b []byte) []byte { b[12] ^= 1; return b }),
		"without one": entries[1:],
	} {
		if n, _, err := w.hub.TakeBack(w.ctx, bad, new(Orphans)); n != 0 || err != nil {
			t.Errorf("%s: %d taken, %v", name, n, err)
		}
	}
	twice := append(slices.Clone(entries), entries...)
	if n, _, err := w.hub.TakeBack(w.ctx, twice, new(Orphans)); n != 5 || err != nil {
		t.Error(n, err)
	}
	w.hub.check()
	w.sync(a)
}

func TestGoBackOnlyToWhereItWas(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("k", 1)
	w.sync(a)
	a.put("k", 2)
	w.sync(a)
	for _, m := range []change.Marker{a.State().Marker, {Epoch: 1, Seq: 1, Hash: change.Hash{1}}, {Epoch: 1, Seq: 9}} {
		if err := a.GoBack(w.ctx, m, change.Place{}); codeOf(err) != UnknownMarker {
			t.Errorf("%v: %v", m, err)
		}
	}
	a.want("k", "2")
	a.check()
}

// An unsent batch over a version that the hub lost, and got back behind it: no conflict with it, and the history in its order.
func TestUnsentOverWhatComesAgain(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.device(), w.device(), w.device()
	a.put("k", 1)
	a.put("gone", 1)
	w.sync(a, b)
	b.put("k", 2)
	b.put("k", 3)
	b.del("gone")
	w.replace(nil)
	c.put("x", 1)
	c.push()
	if _, taken, back := b.meet(); taken != 2 || !back {
		t.Fatal(taken, back)
	}
	look := func(state string) {
		t.Helper()
		b.want("k", "3")
		b.want("gone", "-")
		equalStrings(t, b.history("k"), []string{"3", "2", "1"})
		equalStrings(t, b.history("gone"), []string{"-", "1"})
		if base, ok, err := b.MergeBase(w.ctx, key("k")); err != nil || !ok || base.Version.Device != b.State().Device {
			t.Fatal(state, base, ok, err)
		}
		b.crash()
	}
	look("gone back")
	b.pull()
	look("as the hub has it")
	b.push()
	b.pull()
	look("confirmed")
	w.sync(a, b, c)
}

// A device goes back twice, the second time further. What it wrote over an entry that the first time has left is over it still when that
// comes again.
func TestUnsentOverWhatWasLeftBefore(t *testing.T) {
	for _, touched := range []bool{true, false} {
		w := newWorld(t)
		a, b, c := w.device(), w.device(), w.device()
		b.put("other", 1)
		if touched {
			b.put("k", 1)
		}
		w.sync(a, b)
		first := w.hub.st.Clone()
		b.put("k", 2)
		w.sync(a, b)
		a.put("k", 3)
		back := func(st *store.Memory) {
			t.Helper()
			w.replace(st)
			c.put("c", w.hub.Head().Seq)
			c.push()
			if _, _, back := a.meet(); !back {
				t.Fatal("it did not go back")
			}
			a.check()
			a.crash()
			a.check()
		}
		back(first)
		back(nil)
		a.pull()
		b.pull()
		a.pull()
		a.want("k", "3")
		w.sync(a, b, c)
		for _, n := range []*node{a, b, c, w.hub} {
			n.want("k", "3")
			n.crash()
		}
	}
}

// What a device has handed back and left, the hub loses again before the device has applied it anew: it has it still, and hands it back
// until it is there, whatever is lost in between.
func TestHubLosesAgainWhatItGotBack(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.device(), w.device(), w.device()
	a.put("k", 0)
	w.sync(a, b, c)
	backup := w.hub.st.Clone()
	a.put("former", 1)
	b.put("gone", 1)
	a.refuse(a.put("never", 1).Gen)
	w.sync(a, b)
	if err := a.Reenter(w.ctx); err != nil { // nobody pushes again what has its former id
		t.Fatal(err)
	}
	b.Kill()
	for round, next := range []*store.Memory{backup, backup, nil, backup, nil} {
		w.replace(next)
		c.put("c", round)
		c.push()
		if handed, _, back := a.meet(); handed < 3 || !back && round == 0 {
			t.Fatal(round, handed, back)
		}
		if s := a.State(); !s.Owing || s.Marker.Seq > 1 {
			t.Fatal(round, s)
		}
		if round%2 == 1 {
			a.crash()
			if err := a.Checkpoint(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		a.crash()
		w.hub.check()
	}
	if handed, _, _ := a.meet(); handed > 0 {
		t.Error("it hands back what the hub has")
	}
	w.sync(a, c)
	w.sync(a, c)
	for _, n := range []*node{a, c, w.hub} {
		n.want("former", "1")
		n.want("gone", "1")
		n.want("never", "-")
		n.want("c", "4")
		n.crash()
	}
	if s := a.State(); s.Owing || s.Pending > 0 {
		t.Error(s)
	}
	problems, err := a.Problems(w.ctx)
	if err != nil || len(problems) != 1 {
		t.Error(problems, err)
	}
}
