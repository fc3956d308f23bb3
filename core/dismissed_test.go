package core

import (
	"strings"
	"testing"

	"vsync/core/change"
)

// A refusal that was dismissed, and that the hub lost, stays so where its device goes back: when it comes again, and when it cannot,
// because a copy of the device has taken its name. What it was written over is shown, if only that is unsent again. What is written again with it, and was over it before the device knew, is over what it had replaced.
func TestDismissedRefusalStaysSo(t *testing.T) {
	for _, c := range []struct{ taken, unknowing bool }{{false, false}, {true, false}, {true, true}} {
		dismissedStaysSo(t, c.taken, c.unknowing)
	}
}

func dismissedStaysSo(t *testing.T, taken, unknowing bool) {
	w := newWorld(t)
	a, b, c := w.device(), w.device(), w.device()
	a.put("k", "base")
	w.sync(a, b, c)
	hub, young := w.hub.st.Clone(), a.st.Clone()
	a.put("m", "below it")
	r, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("k"), Value: value("refused")}, {Key: key("m"), Value: value("refused")}}})
	if err != nil {
		t.Fatal(err)
	}
	v := r.Version
	a.refuse(v.Gen)
	if unknowing {
		a.put("k", "over it")
	}
	a.pull()
	if err := a.Dismiss(w.ctx, v); err != nil {
		t.Fatal(err)
	}
	if !unknowing {
		a.put("k", "over it")
	}
	a.put("l", "unsent")
	w.replace(hub)
	if taken {
		c = w.start(&node{w: w, st: young, feed: true})
	}
	c.put("other", 1)
	c.push()
	a.crash()
	if _, _, back := a.meet(); !back {
		t.Fatal("the device did not go back")
	}
	for range 2 {
		a.want("k", "over it")
		a.want("m", "below it")
		a.crash()
	}
	w.sync(a, b, c)
	w.sync(a, b, c)
	for _, n := range []*node{a, b, c, w.hub} {
		n.want("k", "over it")
		n.want("l", "unsent")
		n.want("m", "below it")
		n.crash()
		equalStrings(t, n.history("k"), []string{"over it", "base"})
	}
	w.same(a, b, c)
	if ps, err := a.Problems(w.ctx); err != nil || len(ps) > 0 {
		t.Error(taken, ps, err)
	}
	if err := a.refusalOf(v); codeOf(err) == "" {
		t.Errorf("%v: that it was refused is forgotten", taken)
	}
}

// A device goes back, so that a batch is unsent again that was refused; it is refused once more, and dismissed; and the device goes back again,
// to the same place or to a later one. What it shows there is not built on what the first going back noted, when the batch was to be sent; and where a copy
// has taken the batch's name meanwhile, it is not written again under another.
func TestDismissedBetweenTwoLosses(t *testing.T) {
	for _, c := range []struct{ later, taken bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		dismissedBetween(t, c.later, c.taken)
	}
}

func dismissedBetween(t *testing.T, later, taken bool) {
	w := newWorld(t)
	a, b, c := w.device(), w.device(), w.device()
	a.put("k", "base")
	w.sync(a, b, c)
	before, young := w.hub.st.Clone(), a.st.Clone()
	b.put("l", "theirs")
	b.put("n", "theirs") // the first going back has no row of it
	w.sync(b, a)
	a.put("m", "below it")
	r, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("k"), Value: value("refused")}, {Key: key("l"), Value: value("refused")}, {Key: key("m"), Value: value("refused")}}})
	if err != nil {
		t.Fatal(err)
	}
	a.refuse(r.Version.Gen)
	a.pull()
	a.put("l", "over it")
	w.replace(before.Clone())
	c.put("other", 1)
	c.push()
	b.meet()
	c.put("large", strings.Repeat("x", 3000)) // so much that what comes behind it is applied in a commit of its own
	c.push()
	if later {
		before = w.hub.st.Clone()
	}
	first := a.goesBack()
	a.pull()
	if err := a.Dismiss(w.ctx, r.Version); err != nil {
		t.Fatal(err)
	}
	w.replace(before)
	if taken {
		c = w.start(&node{w: w, st: young, feed: true})
		c.put("another", 1)
	}
	c.put("another", 2)
	c.push()
	if second := a.goesBack(); second > first != later {
		t.Fatalf("went back to %d, and then to %d", first, second)
	}
	for range 2 {
		a.want("k", "base")
		a.want("l", "over it")
		a.want("m", "below it")
		a.crash()
	}
	a.pull()
	a.want("l", "over it")
	w.sync(a, b, c)
	w.sync(a, b, c)
	for _, n := range []*node{a, b, c, w.hub} {
		n.want("k", "base")
		n.want("l", "over it")
		n.want("m", "below it")
		equalStrings(t, n.history("k"), []string{"base"})
	}
	w.same(a, b, c)
	if ps, err := a.Problems(w.ctx); err != nil || len(ps) > 0 {
		t.Error(later, taken, ps, err)
	}
}

// goesBack says to which place a device goes back.
func (n *node) goesBack() uint64 {
	n.w.t.Helper()
	if _, _, back := n.meet(); !back {
		n.w.t.Fatal("the device did not go back")
	}
	return n.State().Marker.Seq
}

// refusalOf is what a caller is told who waits for a batch that has passed the hub.
func (n *node) refusalOf(v change.Version) error {
	_, err := n.passed(n.w.ctx, v)
	return err
}

// A refusal that was dismissed, and that the hub lost: what was refused is not shown either where rules come while it was unsent, whether the device
// has gone back to behind them, or to before, so that the feed brings them once more.
func TestDismissedUnderRules(t *testing.T) {
	for _, again := range []bool{false, true} {
		w := newWorld(t)
		a, b, c := w.device(), w.device(), w.device()
		a.put("k", obj("n", 1))
		w.sync(a, b, c)
		a.put("k", obj("n", 2)) // unsent again, so that what is shown is made of what is
		v := a.put("k", obj("n", 12))
		before := w.hub.st.Clone()
		b.setRules(townRules)
		b.push()
		if !again {
			before = w.hub.st.Clone()
			a.pull()
			a.wantField("k", "n", 12)
		}
		a.refuse(v.Gen)
		a.pull()
		if err := a.Dismiss(w.ctx, v); err != nil {
			t.Fatal(err)
		}
		a.put("l", "unsent")
		w.replace(before)
		c.put("other", 1)
		c.push()
		a.crash()
		if _, _, back := a.meet(); !back {
			t.Fatal("the device did not go back")
		}
		a.wantField("k", "n", 2)
		es, err := w.hub.ReadFeed(w.ctx, a.State().Marker.Seq, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es[:len(es)-1] { // all but the refusal
			if err := a.Apply(w.ctx, []Arrival{{Seq: e.Seq, Entry: e.Entry}}, e.Hash); err != nil {
				t.Fatal(err)
			}
			a.wantField("k", "n", 2)
			a.crash()
			a.wantField("k", "n", 2)
		}
		w.sync(a, b, c)
		a.wantField("k", "n", 2)
		w.same(a, b, c)
	}
}
