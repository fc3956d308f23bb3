package core

import (
	"testing"

	"vsync/core/store"
)

// TestFullDiskCanBeOpened: what is there can be read; writes are refused until there is room again.
func TestFullDiskCanBeOpened(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	a.Kill()
	full := store.NewFaulty(a.st.Clone(), store.Fault{})
	full.SetFull(true)
	r, err := Open(w.ctx, full, a.config())
	if err != nil {
		t.Fatal(err)
	}
	a.Replica = r
	a.want("x", "1")
	if _, err := a.Put(w.ctx, key("x"), value("2")); codeOf(err) != Quota {
		t.Fatalf("a write without room: %v", err)
	}
	a.want("x", "1")
	full.Release()
	a.put("x", "3")
	a.want("x", "3")
	a.check()
}

// TestOwnBatchAsChanges: the feed may bring a device its own batches whole. They are confirmed, and no watcher sees them twice.
func TestOwnBatchAsChanges(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	a.put("y", "2")
	a.push()
	es, err := w.hub.ReadFeed(w.ctx, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var as []Arrival
	for _, e := range es {
		as = append(as, Arrival{Seq: e.Seq, Entry: e.Entry})
	}
	if err := a.Apply(w.ctx, as, es[len(es)-1].Hash); err != nil {
		t.Fatal(err)
	}
	if s := a.State(); s.Pending != 0 {
		t.Fatalf("%d batches are still pending", s.Pending)
	}
	a.put("end", "0")
	seen := 0
	for e, err := range a.Watch(w.ctx, WatchOptions{From: watchMarker{a.inc, 0, 0}.String()}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Initial {
			t.Fatal("the log begins at commit 1, and the watch did not begin there")
		}
		seen++
		if e.Changes[0].Key.ID == "end" {
			break
		}
	}
	if seen != 3 {
		t.Fatalf("%d events, want 3", seen)
	}
	a.crash()
}
