package core

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// problems are the versions that are listed.
func (n *node) problems() (out []change.Version) {
	n.w.t.Helper()
	ps, err := n.Problems(n.w.ctx)
	if err != nil {
		n.w.t.Fatal(err)
	}
	for _, p := range ps {
		out = append(out, p.Version)
	}
	return out
}

// refused expects that the hub's reason for refusing a batch is told to who waits for it.
func (n *node) refused(v change.Version) {
	n.w.t.Helper()
	err := n.WaitSynced(n.w.ctx, v)
	var why *Error
	if !errors.As(err, &why) || why.Code != Invalid || why.Gen == 0 || !strings.Contains(why.Message, "body") {
		n.w.t.Fatalf("%s was refused, and synced says %v", v, err)
	}
}

// What becomes of a refused batch: listed with its values, written anew over what is there now, and off the list with that. Who waits
// for it is told the reason, whatever happened since.
func TestRetry(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("x", "1")
	w.sync(a, b)
	rec, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value("bad")}, {Key: key("gone"), Delete: true}}, Note: "why"})
	if err != nil {
		t.Fatal(err)
	}
	bad := rec.Version
	a.refuse(bad.Gen)
	a.pull()
	a.refused(bad)
	a.crash()
	a.refused(bad)
	b.put("x", "since")
	w.sync(b, a)
	a.want("x", "since")

	again, err := a.Retry(w.ctx, bad)
	if err != nil || again.Version == bad {
		t.Fatal(again, err)
	}
	a.want("x", "bad")
	if ps := a.problems(); len(ps) != 0 {
		t.Fatalf("listed: %v", ps)
	}
	if _, err := a.Retry(w.ctx, bad); codeOf(err) != Invalid {
		t.Fatalf("twice: %v", err)
	}
	if err := a.Dismiss(w.ctx, bad); codeOf(err) != Invalid {
		t.Fatalf("dismissed after it was written anew: %v", err)
	}
	a.crash()
	w.sync(a, b)
	b.want("x", "bad") // what was written since was seen: no conflict
	if err := a.WaitSynced(w.ctx, again.Version); err != nil {
		t.Fatal(err)
	}
	a.refused(bad)
	for h, err := range b.History(w.ctx, key("x")) {
		if err != nil || h.Version != again.Version || h.Note != "why" {
			t.Fatalf("%+v %v", h, err)
		}
		break
	}
	if err := a.Close(); err != nil { // with a checkpoint
		t.Fatal(err)
	}
	a.st = a.st.Clone()
	a.open()
	a.refused(bad)
	a.check()
}

// A problem is known by the names from before a re-entry too, and by those that the batch got with it.
func TestRetryAcrossAReentry(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	first := a.put("x", "1")
	w.sync(a)
	old := a.put("y", "refused under the old id")
	a.refuse(old.Gen)
	a.pull()
	later := a.put("z", "refused under the new id")
	if err := a.Reenter(w.ctx); err != nil {
		t.Fatal(err)
	}
	renamed := change.Version{Device: a.State().Device, Gen: 1}
	if renamed.Device == first.Device {
		t.Fatal("no new id")
	}
	a.refuse(1)
	a.pull()
	for range 2 {
		a.refused(old)
		a.refused(later)
		a.refused(renamed)
		if err := a.WaitSynced(w.ctx, first); err != nil {
			t.Fatal(err)
		}
		a.crash()
	}
	for _, v := range []change.Version{old, later} {
		if _, err := a.Retry(w.ctx, v); err != nil {
			t.Fatalf("%s: %v", v, err)
		}
	}
	if ps := a.problems(); len(ps) != 0 {
		t.Fatalf("listed: %v", ps)
	}
	w.sync(a)
	a.want("y", "refused under the old id")
	a.want("z", "refused under the new id")
	a.refused(old)
	a.refused(later)
}

// Wherever the engine dies on the way, the batch is listed and not written anew, or written anew once and not listed.
func TestRetryIsOneCommit(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	w.sync(a)
	bad := a.put("x", "bad")
	a.refuse(bad.Gen)
	a.pull()
	a.Kill()
	states := a.diesRetrying(bad, "x")
	if len(states) != 2 || states["1 1"] == 0 || states["0 bad"] == 0 {
		t.Fatalf("problems and values afterwards: %v", states)
	}
}

// diesRetrying has the engine die before and after each commit of writing a problem anew, each time over the same store, and counts what
// is there afterwards: how many problems, and what of an object.
func (n *node) diesRetrying(v change.Version, id string) map[string]int {
	t := n.w.t
	t.Helper()
	states := map[string]int{}
	for at, fired := 1, true; fired; at++ {
		fired = false
		for _, do := range []store.FaultKind{store.CrashBefore, store.CrashAfter} {
			inner := n.st.Clone()
			broken := store.NewFaulty(inner, store.Fault{On: store.Commits, N: at, Do: do})
			r, err := Open(n.w.ctx, broken, n.config())
			if err != nil {
				fired = true
				continue
			}
			_, err = r.Retry(n.w.ctx, v)
			r.Kill()
			if broken.Fired() == 0 {
				continue
			}
			if err == nil {
				t.Errorf("%v at commit %d, and no error", do, at)
			}
			fired = true
			after := &node{w: n.w, st: inner.Clone(), feed: true}
			after.open()
			states[fmt.Sprint(len(after.problems()), " ", after.get(id))]++
			after.check()
			after.Kill()
		}
	}
	return states
}

// A void waits for its device, however long that is away, however much comes meanwhile, and whatever becomes of the hub's engine.
// What the device wrote behind it passes it by all that time.
func TestAVoidWaitsForItsDevice(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	w.hub.Kill()
	w.hub.cp = 20_000 // many checkpoints
	w.hub.open()
	first := a.put("x", "1")
	w.sync(a, b)
	bad := a.put("x", "bad")
	behind := a.put("x", "behind")
	a.refuse(bad.Gen)
	a.crash() // away, and nothing of it seen
	for round := range 10 {
		for i := range 100 {
			b.put(fmt.Sprint("k", i), fmt.Sprint(round, strings.Repeat(".", 100)))
		}
		w.sync(b)
		switch round % 3 {
		case 0:
			if err := w.hub.Checkpoint(w.ctx); err != nil {
				t.Fatal(err)
			}
		case 1:
			w.hub.crash()
		default:
			if err := w.hub.Close(); err != nil {
				t.Fatal(err)
			}
			w.hub.st = w.hub.st.Clone()
			w.hub.open()
		}
	}
	if vs := w.hub.voided; len(vs) != 1 || !vs[bad] {
		t.Fatalf("the hub knows of %v", vs)
	}
	late := a.put("x", "late") // names a version whose parent is the refused one
	copied := w.start(&node{w: w, st: a.st.Clone(), feed: true})
	for _, n := range []*node{a, copied} {
		n.pull()
		n.refused(bad)
		if ps, err := n.Problems(w.ctx); err != nil || len(ps) != 1 || ps[0].Version != bad || string(ps[0].Ops[0].Value) != string(value("bad")) {
			t.Fatalf("%+v %v", ps, err)
		}
		for _, v := range []change.Version{first, behind} {
			if err := n.WaitSynced(w.ctx, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.sync(a, b)
	b.want("x", "late!") // what the refused one replaced stays beside: its body could not be read
	if err := a.WaitSynced(w.ctx, late); err != nil {
		t.Fatal(err)
	}
	w.hub.refolded()
	a.refolded()
}

// A write over a refused version is one over what that had replaced.
func TestWriteOverARefusedVersion(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("k", 4)
	w.sync(a, b)
	five := a.put("k", 5)
	a.refuse(five.Gen)
	a.pull()
	a.want("k", "4")
	if _, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("k"), Value: value(6), Seen: []change.Version{five}}}}); err != nil {
		t.Fatal(err)
	}
	a.want("k", "6")
	w.sync(a, b)
	b.want("k", "6")
}
