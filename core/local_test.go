package core

import (
	"fmt"
	"testing"

	"vsync/core/change"
)

// A database without a hub keeps every write of an object unconfirmed, for ever. What a write costs does not grow with that.
func TestLocalOnlyManyWritesOfOneObject(t *testing.T) {
	w := newWorld(t)
	n := w.local()
	n.cp = 100_000
	n.crash()
	const writes = 3000
	var last change.Version
	for i := range writes {
		last = n.put("x", i)
		if i%7 == 0 {
			n.put(fmt.Sprint("other", i), i)
		}
	}
	row, _, err := n.tables.Get(w.ctx, tableObjects, string(key("x").Encode()))
	if err != nil || len(row) > 100 {
		t.Errorf("after %d writes of 3 bytes the object takes %d: %v", writes, len(row), err)
	}
	n.want("x", fmt.Sprint(writes-1))
	n.check()
	if h := n.history("x"); len(h) != writes || h[0] != fmt.Sprint(writes-1) || h[writes-1] != "0" {
		t.Errorf("%d versions in the history", len(h))
	}
	if err := n.WaitSynced(w.ctx, last); codeOf(err) != LocalOnly {
		t.Errorf("waiting for a hub that is none: %v", err)
	}
	if err := n.Synced(w.ctx); codeOf(err) != LocalOnly {
		t.Errorf("waiting for a hub that is none: %v", err)
	}
	n.crash()
	n.want("x", fmt.Sprint(writes-1))

	// Later it gets one.
	n.feed = true
	n.crash()
	b := w.device()
	w.sync(n, b)
	if s := n.State(); s.Pending != 0 {
		t.Errorf("%d batches are pending", s.Pending)
	}
	b.want("x", fmt.Sprint(writes-1))
	n.crash()
	w.sync(n, b)
}

// The refusal of the last of a chain shows the one before it again, which the hub took.
func TestVoidOfTheLastOfAChain(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("x", "1")
	w.sync(a, b)
	b.put("x", "elsewhere")
	w.sync(b)
	for i := range 5 {
		a.put("x", fmt.Sprint("a", i))
	}
	a.refuse(a.State().LastGen)
	a.pull()
	b.pull()
	if got, want := a.dump(), w.hub.dump(); got != want {
		t.Errorf("device and hub differ:\n%s\n%s", got, want)
	}
	a.want("x", "a3!")
	b.want("x", "a3!")
	a.crash()
	a.want("x", "a3!")
	a.put("x", "closed")
	w.sync(a, b)
	b.want("x", "closed")
}

// The refusal of one in the middle changes nothing of what is seen, and the hub comes to the same.
func TestVoidInTheMiddleOfAChain(t *testing.T) {
	for gen := change.Generation(2); gen <= 6; gen++ {
		w := newWorld(t)
		a, b := w.device(), w.device()
		a.put("x", "1")
		w.sync(a, b)
		for i := range 5 {
			a.put("x", fmt.Sprint("a", i))
			if i == 2 {
				a.crash()
			}
		}
		a.refuse(gen)
		w.sync(a, b)
		want := "a4!" // what the refused one replaced is not known any more: it stays beside
		if gen == 6 {
			want = "a3"
		}
		a.want("x", want)
		if ps, err := a.Problems(w.ctx); err != nil || len(ps) != 1 || string(ps[0].Ops[0].Value) != string(value(fmt.Sprint("a", gen-2))) {
			t.Errorf("%v %+v", err, ps)
		}
		a.crash()
		w.sync(a, b)
	}
}
