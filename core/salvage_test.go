package core

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// logWorld is two devices and a hub whose logs go on for some segments behind the checkpoint; the first has batches that the hub has
// not, before and behind what came with the feed. Each is told with its value.
func logWorld(t *testing.T) (a, b *node, unsent []string) {
	w := newWorld(t)
	a, b = w.device(), w.device()
	for i := range 30 {
		a.put(fmt.Sprint("k", i), i)
	}
	w.sync(a, b)
	for _, n := range []*node{a, b, w.hub} {
		if err := n.Checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		a.put(fmt.Sprint("k", i), strings.Repeat("sent ", 150+i))
		b.put(fmt.Sprint("k", i+10), strings.Repeat("theirs ", 100+i))
		if i%3 == 0 {
			w.sync(a, b)
		}
	}
	w.sync(a, b)
	for i := range 20 {
		v := fmt.Sprintf("unsent %d ", i)
		a.put(fmt.Sprint("u", i), strings.Repeat(v, 60))
		unsent = append(unsent, v)
		if i%4 == 0 {
			b.put(fmt.Sprint("k", i), i)
			b.push()
			a.pull()
		}
	}
	return a, b, unsent
}

// Every segment behind the checkpoint, damaged in every way: with repair the device opens. What it was before the hole it is again, what
// it had written behind it is there or listed with its value, and it syncs.
func TestHoleInADevicesLog(t *testing.T) {
	a, b, unsent := logWorld(t)
	w := a.w
	hub, other := w.hub, b.st.Clone()
	start := a.startOf(t)
	rows, err := a.st.Scan(w.ctx, store.Range{From: start, To: []byte{'M'}})
	if err != nil || len(rows) < 8 {
		t.Fatal(err, len(rows))
	}
	hub.Kill()
	stored, stranded := hub.st.Clone(), 0
	for i, r := range rows {
		for j, h := range harms(rows, nil) {
			copied, is := a.harmRow(t, r, h)
			if !is || testing.Short() && (i+j)%7 > 0 {
				continue
			}
			t.Run(fmt.Sprintf("%d/%s", i, h.name), func(t *testing.T) {
				w.hub = &node{w: w, st: stored.Clone(), role: RoleHub, feed: true}
				w.hub.open()
				b2 := &node{w: w, st: other.Clone(), feed: true}
				b2.open()
				copied.salvaged(t, r, h, unsent, i == len(rows)-1)
				w.meetAgain(copied)
				w.sync(copied, b2)
				for _, n := range []*node{copied, b2, w.hub} {
					n.check()
				}
				copied.died()
				w.sync(copied, b2)
				stranded += copied.settleStranded(t)
				w.sync(copied, b2)
			})
		}
	}
	w.hub = hub
	if stranded == 0 {
		t.Error("no hole has cut off a batch")
	}
}

// startOf is the row of the segment in which replay begins.
func (n *node) startOf(t *testing.T) []byte {
	t.Helper()
	s, err := readSuperblock(n.w.ctx, n.st)
	if err != nil {
		t.Fatal(err)
	}
	return s.sb.start.Key()
}

// salvaged opens with repair, and looks for every batch that was not sent.
func (n *node) salvaged(t *testing.T, r store.Row, h harmed, unsent []string, last bool) {
	t.Helper()
	if _, err := Open(n.w.ctx, n.st.Clone(), n.config()); err != nil {
		refusedWith(t, err, Corrupt, VersionUnknown)
	} else if !last { // whose loss only the hub would notice
		t.Error("it opens without repair")
	}
	c := n.config()
	c.Repair = true
	rep, err := Open(n.w.ctx, n.st, c)
	if err != nil {
		t.Fatal(err)
	}
	n.Replica = rep
	ps, err := n.Problems(n.w.ctx)
	if err != nil || len(ps) > 0 && ps[0].Version.Device == n.State().Device {
		t.Fatalf("%v: what was cut off may get its name once more: %v", err, ps)
	}
	damage, err := n.Damage(n.w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range unsent {
		e, _, err := n.Get(n.w.ctx, change.Key{Collection: "c", ID: fmt.Sprint("u", i)})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(e.Value, []byte(v)) || bytes.Contains(r.Value, []byte(v)) { // shown, or in the damaged row itself
			continue
		}
		listed := false
		for _, f := range damage {
			listed = listed || bytes.Contains(f.Bytes, []byte(v))
		}
		if !listed {
			t.Errorf("%q is neither shown nor listed: %v", v, damage)
		}
	}
}

// died is crash, of a device whose log may have a hole.
func (n *node) died() {
	n.w.t.Helper()
	n.st = n.st.Clone()
	n.Kill()
	n.open()
}

// settleStranded writes one of what a hole has cut off anew, and dismisses the rest.
func (n *node) settleStranded(t *testing.T) int {
	t.Helper()
	ps, err := n.Problems(n.w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range ps {
		if p.Code != string(Corrupt) || len(p.Ops) == 0 {
			t.Fatalf("%+v", p)
		}
		if i > 0 {
			if err := n.Dismiss(n.w.ctx, p.Version); err != nil {
				t.Fatal(err)
			}
			continue
		}
		n.Kill()
		id := p.Ops[0].Key.ID
		states := n.diesRetrying(p.Version, id)
		n.died()
		if was := fmt.Sprint(len(ps), " ", n.get(id)); len(states) != 2 || states[was] == 0 {
			t.Fatalf("problems and values where it dies while one is written anew: %v, before: %s", states, was)
		}
		before := n.State()
		var group sync.WaitGroup
		var done atomic.Int32
		for range 8 {
			group.Go(func() {
				if _, err := n.Retry(n.w.ctx, p.Version); err == nil {
					done.Add(1)
				}
			})
		}
		group.Wait()
		if done.Load() != 1 {
			t.Fatalf("written anew %d times", done.Load())
		}
		if now := n.State(); now.Commit != before.Commit+1 || now.LastGen != before.LastGen+1 {
			t.Fatalf("one commit with one batch expected: %+v, %+v", before, now)
		}
		if _, err := n.Retry(n.w.ctx, p.Version); codeOf(err) != Invalid {
			t.Fatalf("written anew twice: %v", err)
		}
		if e, _, err := n.Get(n.w.ctx, p.Ops[0].Key); err != nil || !bytes.Equal(e.Value, p.Ops[0].Value) {
			t.Fatalf("written anew it is %x, not %x, %v", e.Value, p.Ops[0].Value, err)
		}
		if states[fmt.Sprint(len(ps)-1, " ", n.get(id))] == 0 {
			t.Fatalf("problems and values where it dies while one is written anew: %v", states)
		}
	}
	n.died()
	if left, err := n.Problems(n.w.ctx); err != nil || len(left) > 0 {
		t.Fatalf("dismissed and still there: %v %v", left, err)
	}
	return len(ps)
}

// A hub's log has a hole, wherever: before the checkpoint it is filled, behind it what is behind the hole stays in service, and what stood in
// it comes back with a device that has it. Whoever is there, and whoever comes, all show the same.
func TestHoleInAHubsLog(t *testing.T) {
	a, other, _ := logWorld(t)
	w, hub := a.w, a.w.hub
	w.sync(a, other)
	if err := hub.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 24 {
		n := []*node{a, other}[i/3%2]
		n.put(fmt.Sprint("k", i%7), strings.Repeat("behind ", 90+i))
		n.put(fmt.Sprint("n", i), i)
		w.sync(a, other)
	}
	want, end := hub.values(), hub.Head().Seq
	rows := segmentsOf(t, hub)
	if len(rows) < 8 || string(rows[0].Key) >= string(hub.startOf(t)) || string(rows[len(rows)-4].Key) <= string(hub.startOf(t)) {
		t.Fatal(len(rows))
	}
	hub.Kill()
	for i, r := range rows {
		for j, h := range harms(rows, nil) {
			copied, is := hub.harmRow(t, r, h)
			if !is || testing.Short() && (i+j)%11 > 0 {
				continue
			}
			t.Run(fmt.Sprintf("%d/%s", i, h.name), func(t *testing.T) {
				defer func() { w.hub = hub }()
				w.hub = copied
				copied.mendedOpen(t)
				copied.check()
				copied.refolded()
				copied.crash()
				early := w.device()
				early.pull()
				if a, b := early.values(), copied.values(); a != b {
					t.Fatalf("without those who were there the hub shows\n%s\nand a new device\n%s", b, a)
				}
				a2 := &node{w: w, st: a.st.Clone(), feed: true}
				a2.open()
				b2 := &node{w: w, st: other.st.Clone(), feed: true}
				b2.open()
				late := w.device()
				w.sync(a2, b2, early, late)
				if got := copied.values(); got != want {
					t.Errorf("when all is handed back it shows\n%s\nand not\n%s", got, want)
				}
				for _, n := range []*node{a2, b2, early, late, copied} {
					n.crash()
					n.refolded()
					if ps, err := n.Problems(w.ctx); err != nil || len(ps) > 0 {
						t.Errorf("problems: %v %v", ps, err)
					}
				}
				if got := copied.Head().Seq; got < end {
					t.Errorf("the feed has %d entries, and had %d", got, end)
				}
			})
		}
	}
}

// The end of the log is put back to an older copy, while pages of what it held then are written, and the checkpoint is not at its end: nothing in
// the log shows that, and the pages would count as past what is written from then on.
func TestLogThatEndsBeforeItsPages(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.Kill()
	c := a.config()
	c.CheckpointBytes, c.StepBytes = 1, 1
	var err error
	if a.Replica, err = Open(w.ctx, a.st, c); err != nil {
		t.Fatal(err)
	}
	var older []store.Row
	var want string
	for len(older) == 0 || a.super.upTo < a.head.commit { // until a step was not the last of its pass
		if older, err = a.st.Scan(w.ctx, store.Range{From: []byte{'L'}, To: []byte{'M'}}); err != nil || a.head.commit > 100 {
			t.Fatal("no checkpoint takes two steps", err)
		}
		want = a.dump()
		a.put(fmt.Sprint("k", a.head.commit), strings.Repeat("long ", 20))
	}
	a.st = a.st.Clone()
	a.Kill()
	tx := &store.Tx{}
	tx.DeleteRange([]byte{'L'}, []byte{'M'})
	for _, r := range older {
		tx.Put(r.Key, r.Value)
	}
	if err := a.st.Commit(w.ctx, tx); err != nil {
		t.Fatal(err)
	}
	before := a.st.Clone()
	_, err = Open(w.ctx, a.st, c)
	refusedWith(t, err, Corrupt)
	a.st, c.Repair = before, true
	if a.Replica, err = Open(w.ctx, a.st, c); err != nil {
		t.Fatal(err)
	}
	if got := a.dump(); got != want {
		t.Fatalf("it shows\n%s\nand not\n%s", got, want)
	}
	a.check()
	a.put("behind", "it")
	a.crash()
	a.want("behind", "it")
}

// Two segments of a device's log are damaged: one that stands before the checkpoint, and the one right behind it, in which replay begins. The pages
// have what stood in the first, and the log is cut at the second.
func TestHolesBeforeAndBehindTheCheckpoint(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	for i := range 3 {
		a.put(fmt.Sprint("k", i), strings.Repeat("sent ", 2000)) // a segment each
	}
	w.sync(a)
	a.put("unsent", strings.Repeat("unsent ", 1000))
	want, began := a.dump(), a.head.commit
	a.begin()
	for a.cfg.StepBytes = 1; a.tables.Bytes() > 0; {
		if done, err := a.step(w.ctx, false); done || err != nil {
			t.Fatal(done, err)
		}
	}
	a.put("behind", strings.Repeat("behind ", 1000)) // and with it the step that ends the pass
	if a.Replica.cp != nil || a.super.head.commit != began || a.super.start.First != began+1 {
		t.Fatalf("replay begins at commit %d, and the checkpoint is of %d, not %d", a.super.start.First, a.super.head.commit, began)
	}
	a.st = a.st.Clone()
	a.Kill()
	tx, first := &store.Tx{}, string(a.startOf(t))
	for row := range rowsByKey(t, a.st) {
		if row[0] == 'L' {
			first = min(first, row)
		}
	}
	tx.Put([]byte(first), []byte("damaged"))
	tx.Put(a.startOf(t), []byte("damaged"))
	if err := a.st.Commit(w.ctx, tx); err != nil {
		t.Fatal(err)
	}
	c := a.config()
	_, err := Open(w.ctx, a.st.Clone(), c)
	refusedWith(t, err, Corrupt, VersionUnknown)
	c.Repair = true
	if a.Replica, err = Open(w.ctx, a.st, c); err != nil {
		t.Fatal(err)
	}
	if got := a.dump(); got != want {
		t.Fatalf("it shows\n%s\nand not\n%s", got, want)
	}
	if rep, err := a.Repair(w.ctx); err != nil || len(rep.Findings) == 0 {
		t.Fatal(err, rep.Findings)
	}
	a.check()
	w.meetAgain(a)
	w.sync(a)
	a.died()
	w.sync(a)
	a.check()
}

// A first checkpoint has written more pages than are mended one by one when the engine dies, and the end of the log that they stand for is damaged:
// repair opens the store all the same, and shows what the log still says.
func TestLogThatEndsBeforeVeryManyPages(t *testing.T) {
	w := newWorld(t)
	n := w.start(&node{w: w, st: store.NewMemory(), cp: 1 << 30})
	const objects = 1200
	for i := range objects {
		n.put(fmt.Sprintf("%04d", i), strings.Repeat("v", 8000))
	}
	n.begin()
	for range 8 {
		if done, err := n.step(w.ctx, false); done || err != nil {
			t.Fatal(done, err)
		}
	}
	n.Kill()
	st := n.st.Clone()
	pages, err := st.Scan(w.ctx, store.Range{From: []byte{'P'}, To: []byte{'Q'}})
	if err != nil || len(pages) < 300 {
		t.Fatalf("%d pages are written: %v", len(pages), err)
	}
	ends, err := st.Scan(w.ctx, store.Range{From: []byte{'L'}, To: []byte{'M'}, Reverse: true, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Damage(w.ctx, st, ends[0].Key, store.Fault{Do: store.FlipBit, Bit: 8*60 + 3}); err != nil {
		t.Fatal(err)
	}
	c := n.config()
	c.Repair = true
	if n.Replica, err = Open(w.ctx, st, c); err != nil {
		t.Fatal(err)
	}
	there := 0
	for e, err := range n.Scan(w.ctx, ScanRange{Collection: key("").Collection}) {
		if err != nil || len(e.Value) < 8000 {
			t.Fatalf("%s: %d bytes, %v", e.Key, len(e.Value), err)
		}
		there++
	}
	if there < objects-100 || there == objects {
		t.Errorf("%d of %d objects are there, of which the last stood in the segment that is damaged", there, objects)
	}
	if err := n.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	n.check()
}

// The hub has taken what a device had written, and the device was not told before a segment behind that was damaged: what stands before the
// hole is not written under a new name, and what the hub has not got of it is, once, when all of the feed is applied.
func TestHoleBehindWhatTheHubMayHave(t *testing.T) {
	for _, behind := range []bool{false, true} { // whether the hub has what stands behind the hole, too
		for atHub := range 9 {
			t.Run(fmt.Sprintf("%d at the hub, behind %v", atHub, behind), func(t *testing.T) {
				w := newWorld(t)
				a, b := w.device(), w.device()
				a.put("before", 1)
				w.sync(a, b)
				a.crash()
				want := map[string]string{"before": "1"}
				for i := range 8 {
					k, v := fmt.Sprint("u", i%6), fmt.Sprint("value ", i)
					a.put(k, v)
					want[k] = v
				}
				send := func(n int) {
					t.Helper()
					gens, batches, err := a.Unsent(w.ctx, a.hello(), 1<<30)
					if err != nil || len(gens) < n {
						t.Fatal(gens, err)
					}
					var in []Incoming
					for _, b := range batches[:n] {
						in = append(in, Incoming{Device: a.State().Device, Bytes: b})
					}
					if _, err := w.hub.Accept(w.ctx, in); err != nil {
						t.Fatal(err)
					}
				}
				send(atHub)
				a.crash()
				a.put("hole", "in the hole")
				at := len(segmentsOf(t, a)) - 1
				a.crash()
				a.put("behind", "the hole")
				if behind {
					send(10 - atHub)
					want["hole"], want["behind"] = "in the hole", "the hole"
				}
				rows := segmentsOf(t, a)
				a.Kill()
				bad := &store.Tx{}
				bad.Delete(rows[at].Key)
				a.st = a.st.Clone()
				if err := a.st.Commit(w.ctx, bad); err != nil {
					t.Fatal(err)
				}
				a.mendedOpen(t)
				ps, err := a.Problems(w.ctx)
				if err != nil || len(ps) != 1 || a.State().Device == ps[0].Version.Device {
					t.Fatal(ps, err)
				}
				a.put("u7", "since")
				a.put("u1", "over it")
				want["u7"], want["u1"] = "since", "over it"
				for k, v := range want {
					if k != "hole" && k != "behind" {
						a.want(k, v)
					}
				}
				w.meetAgain(a)
				w.sync(a, b)
				for k, v := range want {
					a.want(k, v)
				}
				written := map[string]int{}
				es, err := w.hub.ReadFeed(w.ctx, 0, 1<<30)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range es {
					_, b, err := change.DecodeEntryBatch(f.Entry)
					if err != nil || b == nil {
						t.Fatal(b, err)
					}
					for _, m := range b.Mutations {
						written[fmt.Sprintf("%s %s", m.Key, m.Value)]++
					}
				}
				for what, n := range written {
					if n != 1 {
						t.Errorf("%q was written %d times", what, n)
					}
				}
				for _, n := range []*node{a, b, w.hub} {
					n.crash()
				}
			})
		}
	}
}

// meetAgain is what a watcher does where batches of former ids may be missing: all of the feed is applied, and they are written again.
func (w *world) meetAgain(n *node) {
	w.t.Helper()
	n.pull()
	if n.State().Former > 0 {
		if err := n.Reenter(w.ctx); err != nil {
			w.t.Fatal(err)
		}
	}
}
