package core

import (
	"slices"
	"testing"

	"vsync/core/change"
)

// A parent that the hub will never know, because its writer has written another batch of that name since, is left out in the end.
func TestParentThatIsLostForEver(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	young := a.st.Clone()
	a.put("other", 1)
	a.put("k", 1)
	w.sync(a, b)
	b.put("k", 2)
	a.Kill()
	w.replace(nil)
	a.st = young
	a.open()
	a.put("k", "a's, again")
	a.push()
	b.pull()
	vs := b.push()
	if len(vs) != 1 || vs[0].Kind != Refused || vs[0].Code != string(Gap) {
		t.Fatal(vs)
	}
	if err := b.Reenter(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.sync(a, b)
	b.want("other", "1") // under another name
	b.want("k", "a's, again!")
}

// Hub and device were restored together, and the device has used its generations again before those come back that know the first
// batches of these names: they are orphans, and nothing is lost, doubled, or taken for another.
func TestOrphansGetNamesOfTheirOwn(t *testing.T) {
	for _, voids := range []bool{false, true} {
		w := newWorld(t)
		a, b, c := w.device(), w.device(), w.device()
		a.put("base", 1)
		w.sync(a, b, c)
		hub, device := w.hub.st.Clone(), a.st.Clone()
		if voids {
			a.refuse(a.put("never", -1).Gen)
			a.pull()
		}
		a.put("k", "first")
		if voids {
			v := a.put("never", 0)
			a.refuse(v.Gen)
			a.pull()
		}
		a.put("lost", "orphan")
		w.sync(a, b, c)
		b.put("k", "over it")
		w.sync(a, b, c)
		a.put("k", "and over that")
		c.put("later", 1)
		w.sync(a, b, c)
		young := a.st.Clone()
		a.Kill()
		w.replace(hub)
		a.st = device
		a.open()
		a.put("k", "another first")
		a.push()
		seqs := map[uint64]bool{}
		for range 2 { // twice, as where the connection breaks
			for _, n := range []*node{b, c} {
				n.pull()
				n.check()
			}
			seqs[w.hub.Head().Seq] = true
		}
		if len(seqs) != 1 {
			t.Errorf("the feed grew: %v", seqs)
		}
		w.hub.check()
		w.sync(a, b, c)
		a.want("lost", "orphan")
		a.want("later", "1")
		a.want("k", "another first!")
		for _, n := range []*node{a, b, c} {
			if h := n.history("k"); len(h) != 4 {
				t.Error(h)
			}
		}
		// The first life of the device, if it was only away: what it knows is there already.
		before := w.hub.Head().Seq
		a2 := w.start(&node{w: w, st: young, feed: true})
		for range 3 {
			a2.push()
			a2.pull()
		}
		w.sync(a, b, c, a2)
		if after := w.hub.Head().Seq; !voids && after != before {
			t.Errorf("the feed grew from %d to %d", before, after)
		}
		for _, n := range []*node{a, b, c, a2, w.hub} {
			n.crash()
		}
	}
}

// A batch that was confirmed under an id that the device gave up comes again from whoever has it, under whatever name; nothing of it
// stays behind.
func TestFormerIdsLeaveNoGhosts(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	young := a.st.Clone()
	a.put("k", "first life")
	a.put("over", 1)
	w.sync(a, b)
	if err := a.Reenter(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.put("over", 2)
	c := w.start(&node{w: w, st: young, feed: true})
	w.replace(nil)
	c.put("k", "second life") // under the generation that the first has
	c.push()
	b.pull()
	a.pull()
	a.want("over", "2!") // what it was written over has another name by now
	if vs := a.push(); len(vs) != 1 || vs[0].Code != string(Gap) {
		t.Fatal(vs)
	}
	if err := a.Reenter(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.sync(a, b, c)
	for _, n := range []*node{a, b, c, w.hub} {
		n.want("over", "2!")
		n.want("k", "second life!")
		n.crash()
	}
	if s := a.State(); s.Pending > 0 {
		t.Error(s)
	}
}

// A batch that was at the hub when its writer gave up the id, and that the hub lost before it had come back with the feed: nobody else
// has it, and it is written again.
func TestBatchOfAFormerIdThatTheHubLost(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	b.put("k", 0)
	w.sync(a, b)
	a.put("k", 1)
	a.put("x", "over nothing")
	young := a.st.Clone()
	a.push()
	a.put("later", 1)
	a.push()
	a.Kill()
	a.st = young // put back from a copy: the hub has more of its id
	a.open()
	a.hello()
	a.put("k", 2)
	if s := a.State(); s.Former != 2 || s.Pending != 3 {
		t.Fatal(s)
	}
	w.replace(nil)
	a.pull()
	b.pull()
	a.pull()
	if s := a.State(); s.Former != 2 {
		t.Fatal(s)
	}
	a.crash()
	if err := a.Reenter(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.crash()
	a.want("x", "over nothing")
	if s := a.State(); s.Former > 0 || s.Pending != 3 {
		t.Fatal(s)
	}
	w.sync(a, b)
	for _, n := range []*node{a, b, w.hub} {
		n.want("k", "2")
		n.want("x", "over nothing")
		n.crash()
	}
}

// What was refused under a former id stays refused when the device goes back behind it: what was written over it is over what that had replaced.
func TestRefusalOfAFormerIdStays(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("k", 1)
	a.put("k", "refused")
	young := a.st.Clone()
	first := change.Version{Device: a.State().Device, Gen: 1}
	a.refuse(2)
	a.put("k", "of the other life")
	a.push()
	a.Kill()
	a.st = young
	a.open()
	a.put("k", "mine")
	a.hello()
	a.pull()
	want := func() {
		t.Helper()
		e, _, err := a.Get(w.ctx, key("k"))
		if err != nil || slices.Contains(e.Frontier, first) || len(e.Frontier) != 2 {
			t.Fatal(e.Frontier, err)
		}
	}
	want()
	for range 2 {
		w.replace(nil)
		c := w.device()
		c.put("c", 1)
		c.push()
		if _, _, back := a.meet(); !back {
			t.Fatal("it did not go back")
		}
		a.check()
		a.crash()
		a.pull()
		want()
		a.check()
	}
}

// A device goes back and gives its id up, all within one segment of its log: what had confirmed its batches then is read over at opening.
func TestReentryAfterGoingBackIsReplayed(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	young := a.st.Clone()
	a.put("k", "first life")
	w.sync(a)
	w.replace(nil)
	second := w.start(&node{w: w, st: young, feed: true})
	second.put("k", "second life")
	second.push()
	a.hello()
	if a.State().Device == second.State().Device {
		t.Fatal("it kept its id")
	}
	// What it has left is handed back once more, should the hub lose it, but for what it gave up with its id and pushes.
	if left, _, err := a.Applied(w.ctx, AppliedCursor{Left: true}, 1<<20); err != nil || len(left) > 0 || a.State().Pending != 1 {
		t.Fatal(left, err, a.State())
	}
	a.pull()
	a.crash()
	w.sync(a, b, second)
	b.want("k", "second life!")
}

// Two copies of a device meet a hub that has another batch under their name. One has come back under the id of a re-entry; the other has
// written over what it wrote then, and is to come back under that id, too, since the hub has forgotten both. Its batches get an id that
// none of them names, whoever brings them.
func TestReentryIdThatOwnBatchesName(t *testing.T) {
	for _, orphaned := range []bool{false, true} {
		w := newWorld(t)
		a, e := w.device(), w.device()
		young := a.st.Clone()
		a.put("k", "first")
		a.push()
		backup := w.hub.st.Clone()
		b := w.start(&node{w: w, st: young, feed: true})
		b.put("k", "both")
		c := w.start(&node{w: w, st: b.st.Clone(), feed: true})
		b.hello()
		w.replace(nil)
		b.put("k", "b's")
		b.push()
		c.pull()
		if c.State().Device == b.State().Device {
			t.Fatal("it has the id already")
		}
		c.put("k", "c's")
		all := []*node{a, b, c, e}
		if orphaned {
			c.push()
			e.pull()
			c.Kill()
			all = []*node{e, a, b}
		}
		w.replace(backup)
		for range 2 {
			for _, n := range all {
				n.pull()
				n.push()
			}
		}
		w.sync(all...)
		w.sync(all...)
		for _, n := range append(all, w.hub) {
			if h := n.history("k"); n.get("k") != "c's!" || !slices.Contains(h, "b's") || !slices.Contains(h, "first") {
				t.Error(n.get("k"), h)
			}
			n.crash()
		}
	}
}

// A batch that power took from its writer after it was sent comes back with the feed, under the id that the writer gave up. Its receipt is
// INVALID even so: a copy of the storage may have sent another batch of that name, and the writer cannot tell which of them it is. What was
// confirmed under that id is in sync as before.
func TestReceiptOfWhatPowerTookAndTheFeedBrings(t *testing.T) {
	for _, copys := range []bool{false, true} {
		w := newWorld(t)
		a, b := w.device(), w.device()
		first := a.put("first", 1)
		w.sync(a, b)
		before := a.st.Clone()
		lost := a.put("k", "written here")
		want := "written here"
		if copys {
			want = "written by a copy"
			c := w.start(&node{w: w, st: before.Clone(), feed: true})
			if v := c.put("k", want); v != lost {
				t.Fatal(v, lost)
			}
			c.push()
		} else {
			a.push()
		}
		a.Kill()
		a.st = before
		a.open()
		w.sync(a, b)
		if a.State().Device == lost.Device {
			t.Fatal("no new id")
		}
		a.want("k", want)
		for range 2 {
			if err := a.WaitSynced(w.ctx, first); err != nil {
				t.Error(err)
			}
			if err := a.WaitSynced(w.ctx, lost); codeOf(err) != Invalid {
				t.Errorf("by a copy %v: %v", copys, err)
			}
			if err := a.Synced(w.ctx); err != nil {
				t.Error(err)
			}
			a.crash()
		}
	}
}

// What was confirmed under a former id and left comes back like anyone's, and is left once more while something is written over it: it comes
// whole again, with what the hub says of it now.
func TestBatchOfAFormerIdComesBackTwice(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("k", 1)
	second := a.put("k", 2)
	young := a.st.Clone()
	w.sync(a, b)
	if err := a.Reenter(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.replace(nil)
	c := w.device()
	c.put("c", 1) // else the feed would be what it was
	c.push()
	b.pull()
	a.pull()
	a.put("k", 3)
	w.replace(nil)
	w.start(&node{w: w, st: young, feed: true}).refuse(1)
	a.pull()
	a.crash()
	a.want("k", "3")
	for h, err := range a.History(w.ctx, key("k")) {
		if err != nil || h.Version == second && len(h.Parents) > 0 {
			t.Errorf("%v is over %v, of which the first was refused: %v", h.Version, h.Parents, err)
		}
	}
	w.sync(a, b)
	for _, n := range []*node{a, b, w.hub} {
		n.want("k", "3")
		n.crash()
	}
}
