package core

import (
	"fmt"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// Stories of scenario/INDEX.txt that are the replica's own. Those of the DAG, the log and the device table as structures
// are told in their packages, and those that devices and a hub show together are scripts of core/scenario, whose index has all.

// TestDeletionStories: a deletion is a version like any other, and so is the next one.
func TestDeletionStories(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	versions := map[change.Version]bool{}
	for _, v := range []change.Version{a.del("x"), a.put("x", "1"), a.del("x"), a.del("x"), a.put("x", "2"), a.del("x")} {
		if versions[v] {
			t.Errorf("%v twice", v)
		}
		versions[v] = true
	}
	e, ok, err := a.Get(w.ctx, key("x"))
	if ok || err != nil || !e.Deleted || len(e.Frontier) != 1 || e.Value != nil {
		t.Errorf("what is deleted is read as %+v, %v, %v", e, ok, err)
	}
	w.sync(a, b)
	for _, n := range []*node{a, b, w.hub} {
		n.want("x", "-")
		equalStrings(t, n.history("x"), []string{"-", "2", "-", "-", "1", "-"})
		n.crash()
		n.want("x", "-")
	}
	// Delete against update: the update is shown, whichever came first; both sides are there, and one write closes it.
	for i, deleter := range []*node{a, b} {
		id := fmt.Sprint("y", i)
		other := []*node{b, a}[i]
		deleter.put(id, "base")
		w.sync(a, b)
		deleter.del(id)
		other.put(id, "kept")
		w.sync(a, b)
		a.want(id, "kept!")
		deleter.del(id)
		w.sync(a, b)
		b.want(id, "-")
		// Delete after delete on both sides is no conflict.
		a.put(id, "again")
		w.sync(a, b)
		a.del(id)
		b.del(id)
		w.sync(a, b)
		b.want(id, "-")
	}
	w.hub.check()
}

// TestLogSurvivesReopen: generations, commits and the place in the feed go on where they were, after a clean close and a crash.
func TestLogSurvivesReopen(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	for i := range 10 {
		a.put("x", i)
	}
	w.sync(a)
	before := a.State()
	for round := range 4 {
		if round%2 == 0 {
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			a.st = a.st.Clone()
			a.open()
		} else {
			a.crash()
		}
		s := a.State()
		if s.LastGen != before.LastGen || s.Commit != before.Commit || s.Marker != before.Marker || s.Device != before.Device || s.Pending != 0 {
			t.Fatalf("%+v became %+v", before, s)
		}
		if v := a.put("x", fmt.Sprint("round", round)); v.Gen != before.LastGen+1 {
			t.Errorf("generation %d after %d", v.Gen, before.LastGen)
		}
		w.sync(a)
		before = a.State()
	}
	if h := a.history("x"); len(h) != 14 || h[0] != "round3" || h[13] != "0" {
		t.Errorf("%q", h)
	}
}

// TestFeedTwice: what the feed brings again is dropped; what leaves a place out, or leads elsewhere, is refused whole.
func TestFeedTwice(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	for i := range 6 {
		a.put(fmt.Sprint("k", i%2), i)
	}
	a.push()
	b.hello()
	es, err := w.hub.ReadFeed(w.ctx, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	frame := func(from, to int) (as []Arrival) {
		for _, e := range es[from:to] {
			as = append(as, Arrival{Seq: e.Seq, Entry: e.Entry})
		}
		return as
	}
	apply := func(from, to int, after change.Hash, want Code) {
		t.Helper()
		before := b.State()
		if err := b.Apply(w.ctx, frame(from, to), after); codeOf(err) != want || want == "" && err != nil {
			t.Fatalf("%d to %d: %v", from, to, err)
		}
		if s := b.State(); want != "" && s != before {
			t.Fatalf("%d to %d was refused, and %+v became %+v", from, to, before, s)
		}
	}
	apply(0, 3, es[2].Hash, "")
	commit := b.State().Commit
	apply(0, 3, es[2].Hash, "")
	apply(1, 2, es[1].Hash, "")
	if b.State().Commit != commit {
		t.Error("what was there already made a commit")
	}
	apply(4, 6, es[5].Hash, Gap)
	apply(3, 5, es[5].Hash, WrongHash)
	swapped := frame(3, 5)
	swapped[0].Entry, swapped[1].Entry = swapped[1].Entry, swapped[0].Entry
	if err := b.Apply(w.ctx, swapped, es[4].Hash); codeOf(err) != WrongHash {
		t.Errorf("swapped: %v", err)
	}
	apply(1, 6, es[5].Hash, "") // overlapping
	if a, b := w.hub.dump(), b.dump(); a != b {
		t.Errorf("%s\n%s", a, b)
	}
	b.crash()
}

// TestCheckpointBrokenOff: a checkpoint that breaks off at any of its commits, with any durability of what came before, and
// with writes between its steps, leaves the same replica.
func TestCheckpointBrokenOff(t *testing.T) {
	w := newWorld(t)
	base := w.device()
	for i := range 1200 {
		base.put(fmt.Sprintf("k%04d", (i*37)%700), fmt.Sprintf("%02000d", i))
		if i%400 == 399 {
			base.push()
			base.pull()
		}
	}
	want := base.dump()
	for n := 1; ; n++ {
		a := &node{w: w, st: base.st.Clone(), feed: true}
		disk := store.NewFaulty(a.st, store.Fault{On: store.Commits, N: n, Do: store.CrashBefore})
		r, err := Open(w.ctx, disk, a.config())
		if err != nil {
			if n > 1 {
				t.Fatal(err)
			}
			continue
		}
		a.Replica = r
		err = r.Checkpoint(w.ctx)
		if err == nil {
			if n < 4 {
				t.Errorf("the checkpoint took %d commits: too few to show anything", n)
			}
			break
		}
		r.Kill()
		a.st = a.st.Clone()
		a.open()
		a.check()
		a.put("between", "1")
		a.crash()
		if _, err := a.Delete(w.ctx, key("between")); err != nil {
			t.Fatal(err)
		}
		if got := a.dump(); got != want {
			t.Fatalf("broken off at commit %d it shows something else", n)
		}
		if err := a.Checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
		a.crash()
		if got := a.dump(); got != want {
			t.Fatalf("after the next checkpoint it shows something else (%d)", n)
		}
		a.Close()
	}
}
