package core

import (
	"errors"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// Stories that the simulation has told first: each is the shortest that shows what was wrong.

// reopenWith kills the engine, and opens what is stored with faults ahead.
func (n *node) reopenWith(plan ...store.Fault) *store.Faulty {
	n.w.t.Helper()
	n.Kill()
	n.st = n.st.Clone()
	disk := store.NewFaulty(n.st, plan...)
	r, err := Open(n.w.ctx, disk, n.config())
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.Replica = r
	return disk
}

// A checkpoint that the store refused must not be finished by the next write: its pages were never written.
func TestAFailedCheckpointIsBegunAnew(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	a.reopenWith(store.Fault{On: store.Commits, N: 2, Do: store.Fail})
	if err := a.Checkpoint(w.ctx); err == nil {
		t.Fatal("the store failed, and the checkpoint did not")
	}
	a.put("y", "2")
	a.put("z", "3")
	a.crash()
	a.want("x", "1")
	a.want("y", "2")
	w.sync(a)
}

// copyOf is a device on a copy of another one's storage.
func (n *node) copyOf() *node {
	c := &node{w: n.w, st: n.st.Clone(), feed: true}
	c.open()
	n.w.t.Cleanup(func() { c.Close() })
	return c
}

// A copy gives its id up and has nothing to write again. What the hub has under the old id was never its own: it has no other name.
func TestACopyReadsWhatTheOldIdWroteSince(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	b := a.copyOf()
	a.put("x", "a's")
	a.push()
	b.pull()
	read, _, err := b.Get(w.ctx, key("x"))
	if err != nil {
		t.Fatal(err)
	}
	b.put("x", "b's")
	_, err = b.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value("?")}}, Checks: []Check{{Key: key("x"), Frontier: read.Frontier}}})
	if !errors.Is(err, ErrChanged) {
		t.Fatalf("x was written since it was read: %v", err)
	}
	b.crash()
	_, err = b.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value("side"), Seen: read.Frontier}}})
	if err != nil {
		t.Fatal(err)
	}
	b.want("x", "side!")
	w.sync(b, a)
}

// A watcher that resumes before a re-entry meets names of the old id. They mean what this device wrote, not what
// a copy has written under them since.
func TestAWatcherResumesBeforeAReentry(t *testing.T) {
	w := newWorld(t)
	a, c := w.device(), w.device()
	a.put("x", "1")
	w.sync(a, c)
	b := a.copyOf()
	var from string
	for e, err := range b.Watch(w.ctx, WatchOptions{From: FromStart}) {
		if err != nil {
			t.Fatal(err)
		}
		from = e.Marker
		break
	}
	c.put("y", "c's")
	c.push()
	b.put("y", "b's")
	b.pull() // y shows b's, in a conflict
	a.put("z", "a's")
	a.push() // under the name that b's batch had
	b.pull()
	b.want("y", "b's!")
	b.crash()
	n := 0
	for e, err := range b.Watch(w.ctx, WatchOptions{From: from}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range e.Changes {
			if x.Key.ID == "y" && string(x.Value) != string(value("b's")) {
				t.Fatalf("event %d shows y as %x, version %s", n, x.Value, x.Version)
			}
		}
		if n++; n == 3 {
			break
		}
	}
	w.sync(a, b, c)
}

// A new hub whose disk is full does not open: devices would note a lineage that nobody knows after the next start.
func TestANewHubNeedsItsIdentityStored(t *testing.T) {
	w := newWorld(t)
	mem := store.NewMemory()
	disk := store.NewFaulty(mem)
	disk.SetFull(true)
	n := &node{w: w, role: RoleHub}
	if _, err := Open(w.ctx, disk, n.config()); codeOf(err) != Quota {
		t.Fatalf("a new hub on a full disk: %v", err)
	}
	r, err := Open(w.ctx, mem.Clone(), n.config())
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

// A copy lives on and is the first to push what both hold, after this device has said hello and before it hears the welcome. What
// the hello could not name yet is asked for again, and not written twice.
func TestWhatWasWrittenAfterTheHelloIsNotDoubled(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.pull()
	h, err := a.Hello(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	a.put("x", "once")
	b := a.copyOf()
	b.put("y", "b's")
	b.push()
	common, last, hash, err := w.hub.Settlement(w.ctx, h.Device, h.Base, h.BaseHash, h.Own)
	if err != nil {
		t.Fatal(err)
	}
	head := w.hub.Head()
	s, err := a.Settle(w.ctx, Welcome{Lineage: w.hub.Lineage(), Epoch: head.Epoch, Common: common, Last: last, LastHash: hash, Head: head.Seq})
	if err != nil || s.Reentered || !s.Again {
		t.Fatalf("%v %+v", err, s)
	}
	w.sync(a, b)
	if seq := w.hub.Head().Seq; seq != 2 {
		t.Fatalf("two batches take %d places of the feed", seq)
	}
}

// Between versions of the same stamp the device id decides, so a re-entry may change what is visible. Watchers hear of it.
func TestAReentryThatChangesTheWinnerIsShown(t *testing.T) {
	w := newWorld(t)
	for range 12 {
		a, c := w.device(), w.device()
		w.sync(a, c)
		b := a.copyOf()
		now := w.now.Load()
		b.put("x", "b's")
		w.now.Store(now)
		c.put("x", "c's")
		c.push()
		b.pull()
		x, from := b.watchX(FromStart)
		b.want("x", x+"!")
		a.put("z", "a's")
		a.push()
		b.pull()
		if now, _ := b.watchX(from); now != "" {
			x = now
		}
		b.want("x", x+"!")
		b.crash()
		b.want("x", x+"!")
		b.push()
		a.pull()
		a.want("x", x+"!")
		a.del("x")
		a.del("z")
		w.sync(a, b, c)
	}
}

// watchX reads events, to the first or to one that shows z, and returns what they showed last of x, and their marker.
func (n *node) watchX(from string) (x, marker string) {
	n.w.t.Helper()
	for e, err := range n.Watch(n.w.ctx, WatchOptions{From: from}) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		marker = e.Marker
		last := e.Initial
		for _, o := range e.Changes {
			if o.Key.ID == "x" {
				v, _ := change.DecodeValue(o.Value)
				x = v.(string)
			}
			last = last || o.Key.ID == "z"
		}
		if last {
			break
		}
	}
	return x, marker
}

// A disk that was full at opening has room again: a checkpoint is a checkpoint.
func TestCheckpointAfterAFullDisk(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	a.Kill()
	a.st = a.st.Clone()
	disk := store.NewFaulty(a.st)
	disk.SetFull(true)
	r, err := Open(w.ctx, disk, a.config())
	if err != nil {
		t.Fatal(err)
	}
	a.Replica = r
	if err := a.Checkpoint(w.ctx); codeOf(err) != Quota {
		t.Fatalf("a checkpoint without room: %v", err)
	}
	disk.Release()
	if err := a.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	if rows, err := a.st.Scan(w.ctx, store.Prefix([]byte("P"))); err != nil || len(rows) == 0 {
		t.Fatalf("a checkpoint left no pages: %v", err)
	}
	a.put("y", "2")
	a.crash()
	a.want("x", "1")
	a.want("y", "2")
}
