package core

import (
	"fmt"
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

// TestAloneWritesNothingToRead: a replica that has its store alone opens and reads without a write. Its first write marks its life, however
// many lives without one were before.
func TestAloneWritesNothingToRead(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "0")
	cfg := a.config()
	cfg.Alone = true
	live := func(want string) (commits func() int) {
		a.Kill()
		a.st = a.st.Clone()
		counted := store.NewFaulty(a.st)
		var err error
		if a.Replica, err = Open(w.ctx, counted, cfg); err != nil {
			t.Fatal(err)
		}
		a.want("x", want)
		a.check()
		return func() int { return counted.Counts()[store.Commits] }
	}
	marked := func() uint64 {
		read, err := readSuperblock(w.ctx, a.st)
		if err != nil {
			t.Fatal(err)
		}
		return read.sb.incarnation
	}
	for i := range 4 {
		for range i {
			if commits := live(fmt.Sprint(i)); commits() != 0 {
				t.Fatalf("%d commits, and nothing was written", commits())
			}
		}
		commits := live(fmt.Sprint(i))
		if marked() >= a.inc {
			t.Fatalf("incarnation %x after %x", a.inc, marked())
		}
		a.put("x", fmt.Sprint(i+1))
		if commits() != 2 || marked() != a.inc {
			t.Fatalf("%d commits, and the superblock is of %x; %x has written", commits(), marked(), a.inc)
		}
		a.check()
	}
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
