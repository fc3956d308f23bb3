package core

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// holed is a device with unsent batches, and its segments before the checkpoint, where nothing but a check meets damage.
func holed(t *testing.T) (a, b *node, values map[string]string, before []store.Row) {
	a, b, values = lostWorld(t, 5)
	before, err := a.st.Scan(a.w.ctx, store.Range{From: []byte{'L'}, To: a.startOf(t)})
	if err != nil || len(before) < 4 {
		t.Fatal(err, len(before))
	}
	return a, b, values, before
}

// damageRows flips a bit in rows, or takes them away.
func (n *node) damageRows(rows []store.Row, missing bool) {
	n.w.t.Helper()
	n.Kill()
	n.st = n.st.Clone()
	tx := &store.Tx{}
	for _, r := range rows {
		bad := bytes.Clone(r.Value)
		bad[len(bad)/2] ^= 4
		if tx.Put(r.Key, bad); missing {
			tx.Ops = tx.Ops[:len(tx.Ops)-1]
			tx.Delete(r.Key)
		}
	}
	if err := n.st.Commit(n.w.ctx, tx); err != nil {
		n.w.t.Fatal(err)
	}
	n.open()
}

// repaired says that a check finds damage, that a repair mends it, and that all is as it was, now and when it is opened again.
func (n *node) repaired(values map[string]string) {
	n.w.t.Helper()
	rep, err := n.Check(n.w.ctx)
	if err != nil || rep.OK {
		n.w.t.Fatal(rep, err)
	}
	want := n.dump()
	if rep, err = n.Repair(n.w.ctx); err != nil || !rep.OK {
		n.w.t.Fatalf("%v: %v", err, rep)
	}
	for range 2 {
		rep, err := n.Check(n.w.ctx)
		if err != nil || len(rep.Findings) > 0 || len(rep.Aside) == 0 {
			n.w.t.Fatalf("%v: %v", err, rep)
		}
		if got := n.dump(); got != want {
			n.w.t.Fatalf("it shows\n%s\nand not\n%s", got, want)
		}
		for k, v := range values {
			n.want(k, v)
		}
		for _, err := range n.History(n.w.ctx, change.Key{Collection: "c", ID: "u1"}) {
			if err != nil {
				n.w.t.Fatal(err)
			}
		}
		n.Kill()
		n.st = n.st.Clone()
		n.open()
	}
}

// Segments before the checkpoint are damaged, one or all, once or twice: a check finds it, a repair writes what the tables hold into the log,
// behind the hole, and from then on nothing is found; the device goes on as before.
func TestHoleBeforeTheCheckpointIsPassedOver(t *testing.T) {
	_, _, _, before := holed(t)
	for i := range len(before) + 1 {
		for _, missing := range []bool{false, true} {
			t.Run(fmt.Sprintf("segment %d, missing %v", i, missing), func(t *testing.T) {
				a, b, values, before := holed(t)
				if i < len(before) {
					before = before[i : i+1]
				}
				a.damageRows(before, missing)
				a.repaired(values)
				damage, err := a.Damage(a.w.ctx)
				if err != nil || len(damage) < len(before) {
					t.Fatalf("%d rows were damaged, and listed are %v: %v", len(before), damage, err)
				}
				for _, f := range damage {
					if f.Scope != ScopeSegment || f.Missing != missing || len(f.Bytes) == 0 != missing {
						t.Errorf("listed: %v, with %d bytes", f, len(f.Bytes))
					}
				}
				a.put("behind", "the hole")
				a.pushLost()
				b.pull()
				a.pull()
				for k, v := range values {
					b.want(k, v)
				}
				b.want("behind", "the hole")
				if x, y := a.dump(), b.dump(); x != y {
					t.Errorf("replicas differ:\n%s\n--\n%s", x, y)
				}
				a.check()
				if err := a.Checkpoint(a.w.ctx); err != nil {
					t.Fatal(err)
				}
				rows, err := a.st.Scan(a.w.ctx, store.Range{From: []byte{'L'}, To: a.startOf(t)})
				if err != nil {
					t.Fatal(err)
				}
				a.damageRows(rows, missing) // what was written since, too
				a.repaired(values)
				a.put("behind", "two holes")
				a.w.sync(a, b)
				b.want("behind", "two holes")
				a.crash()
				a.check()
			})
		}
	}
}

// pushLost pushes as the watcher does it: where a batch is lost, the device learns what the hub has, and re-enters.
func (n *node) pushLost() {
	n.w.t.Helper()
	for range 3 {
		for from := n.hello(); ; {
			gens, batches, err := n.Unsent(n.w.ctx, from, 4096)
			if IsLost(err) {
				n.pull()
				if err := n.Reenter(n.w.ctx); err != nil {
					n.w.t.Fatal(err)
				}
				break
			}
			if err != nil {
				n.w.t.Fatal(err)
			}
			if len(gens) == 0 {
				return
			}
			var in []Incoming
			for _, b := range batches {
				in = append(in, Incoming{Device: n.State().Device, Bytes: b})
			}
			if _, err := n.w.hub.Accept(n.w.ctx, in); err != nil {
				n.w.t.Fatal(err)
			}
			from = gens[len(gens)-1] + 1
		}
	}
	n.w.t.Fatal("it stays lost")
}

// Behind a base a device goes back in the feed as any; before it, it says why it cannot. What it can read it hands back even so.
func TestGoingBackBehindAHole(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	for i := range 8 {
		b.put(fmt.Sprint("k", i), fmt.Sprintf("%05000d", i))
		w.sync(a, b)
	}
	for range 2 {
		if err := a.Checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
		a.put("x", 1)
		w.sync(a, b)
	}
	rows, err := a.st.Scan(w.ctx, store.Range{From: []byte{'L'}, To: a.startOf(t)})
	if err != nil || len(rows) < 4 {
		t.Fatal(len(rows), err)
	}
	a.damageRows(rows[1:2], false)
	a.repaired(nil)
	a.put("y", 1)
	w.sync(a, b)
	young := w.hub.st.Clone()
	a.put("z", "over the base")
	b.put("k1", "again")
	w.sync(a, b)
	back := func(st *store.Memory) (wentBack bool) {
		t.Helper()
		w.replace(st)
		c := w.device()
		c.put("c", "meanwhile")
		c.push()
		_, _, wentBack = a.meet()
		return wentBack
	}
	if !back(young) {
		t.Fatal("it did not go back")
	}
	a.check()
	w.sync(a, b)
	a.want("k1", "again")
	a.want("z", "over the base")
	a.crash()
	a.check()
	trail, err := a.Trail(w.ctx)
	if err != nil || trail[len(trail)-1] != (change.Place{}) {
		t.Fatal(trail, err)
	}
	w.replace(nil)
	c := w.device()
	c.put("c", "meanwhile")
	c.push()
	handed := 0
	for at := (AppliedCursor{}); ; {
		entries, next, err := a.Applied(w.ctx, at, 3000)
		if err != nil {
			t.Fatal(err)
		}
		if at = next; len(entries) == 0 {
			break
		}
		handed += len(entries)
	}
	if last := int(a.State().Marker.Seq); handed < 8 || handed >= last {
		t.Errorf("%d of %d are handed back", handed, last)
	}
	if err := a.GoBack(w.ctx, change.Marker{Epoch: 2}, change.Place{}); !errors.Is(err, &Error{Code: Corrupt}) {
		t.Errorf("to before the base: %v", err)
	}
	a.check()
}

// A watcher that stood before the hole begins with what is there.
func TestWatchBeforeAHole(t *testing.T) {
	a, _, _, before := holed(t)
	place := a.marker(2).String()
	now := a.marker(a.State().Commit).String()
	a.damageRows(before, false)
	a.repaired(nil)
	for from, reset := range map[string]bool{place: true, now: false} {
		first := true
		for e, err := range a.Watch(a.w.ctx, WatchOptions{From: from, Once: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if first && e.Reset != reset {
				t.Errorf("from %s: reset %v", from, e.Reset)
			}
			first = false
		}
		if first && reset {
			t.Error("no event")
		}
	}
}

// The summaries are damaged too: with repair, or without, nothing says that the device is what it was but for history.
func TestBaseIsBounded(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	for i := range 50 {
		a.put(fmt.Sprint("large", i), fmt.Sprintf("%0100000d", i))
	}
	w.sync(a, b)
	if err := a.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.put("x", 1)
	if err := a.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := a.st.Scan(w.ctx, store.Range{From: []byte{'L'}, To: a.startOf(t)})
	if err != nil {
		t.Fatal(err)
	}
	a.damageRows(rows[3:4], false)
	commit := a.State().Commit
	a.repaired(nil)
	if parts := a.State().Commit - commit; parts < 4 || parts > 8 {
		t.Errorf("the base takes %d commits", parts)
	}
	if a.head.base != commit+1 {
		t.Errorf("the base begins at commit %d, and %d expected", a.head.base, commit+1)
	}
	a.put("x", 2)
	w.sync(a, b)
	b.want("x", "2")
	a.check()
}

// A batch stands in a segment before the checkpoint, and is confirmed behind it: where the segment is damaged, replay misses the batch. With
// repair the device opens, at the place before that, and the feed comes again.
func TestConfirmedBehindTheCheckpoint(t *testing.T) {
	for _, missing := range []bool{false, true} {
		a, b, values := lostWorld(t, 0)
		rows, err := a.st.Scan(a.w.ctx, store.Range{From: []byte{'L'}, To: a.startOf(t)})
		if err != nil {
			t.Fatal(err)
		}
		a.push()
		a.pull()
		a.put("later", "unsent")
		values["later"] = "unsent"
		a.Kill()
		a.st = a.st.Clone()
		tx := &store.Tx{}
		bad := bytes.Clone(rows[2].Value)
		bad[len(bad)/2] ^= 4
		if tx.Put(rows[2].Key, bad); missing {
			tx = &store.Tx{}
			tx.Delete(rows[2].Key)
		}
		if err := a.st.Commit(a.w.ctx, tx); err != nil {
			t.Fatal(err)
		}
		_, err = Open(a.w.ctx, a.st.Clone(), a.config())
		refusedWith(t, err, Corrupt)
		c := a.config()
		c.Repair = true
		if a.Replica, err = Open(a.w.ctx, a.st, c); err != nil {
			t.Fatal(err)
		}
		for k, v := range values {
			a.want(k, v)
		}
		if rep, err := a.Repair(a.w.ctx); err != nil || !rep.OK {
			t.Fatal(rep, err)
		}
		a.pushLost()
		b.pull()
		a.pull()
		for k, v := range values {
			a.want(k, v)
			b.want(k, v)
		}
		if x, y := a.dump(), b.dump(); x != y {
			t.Errorf("replicas differ:\n%s\n--\n%s", x, y)
		}
		a.crash()
		a.check()
		b.check()
	}
}
