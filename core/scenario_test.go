package core

import (
	"fmt"
	"testing"

	"vsync/core/change"
)

func TestSeen(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	v1 := a.put("x", "1")
	a.put("x", "2")
	if _, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value("side"), Seen: []change.Version{v1}}}}); err != nil {
		t.Fatal(err)
	}
	a.want("x", "side!")
	_, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value("?"), Seen: []change.Version{{Device: v1.Device, Gen: 99}}}}})
	if codeOf(err) != Invalid {
		t.Fatalf("a version that nobody has was taken as seen: %v", err)
	}
	w.sync(a)
	a.want("x", "side!")
}

func TestReentry(t *testing.T) {
	w := newWorld(t)
	a, c := w.device(), w.device()
	a.put("x", "1")
	w.sync(a, c)
	copied := a.st.Clone()
	a.put("x", "2")
	a.put("y", "2")
	w.sync(a, c)
	old := a.State().Device
	b := &node{w: w, st: copied, feed: true}
	b.open()
	v := b.put("x", "b2")
	b.put("x", "b3")
	b.crash()
	b.hello()
	if b.State().Device == old {
		t.Fatal("a copy that went another way kept the device id")
	}
	b.want("x", "b3")
	b.crash()
	b.want("x", "b3")
	w.sync(a, b, c)
	a.want("x", "b3!")
	a.want("y", "2")
	if err := b.WaitSynced(w.ctx, v); err != nil {
		t.Fatalf("a receipt from before the new id: %v", err)
	}
	for _, n := range []*node{a, b, c, w.hub} {
		n.check()
		n.crash()
	}
	w.sync(a, b, c)
}

func TestRestoredTwiceIsNotDoubled(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	w.sync(a)
	a.put("n", "pending")
	backup := a.st.Clone()
	a.put("m", "a goes on")
	a.push()
	clone := &node{w: w, st: backup.Clone(), feed: true}
	clone.open()
	clone.put("other", "way")
	clone.push()
	clone.pull()
	seq := w.hub.Head().Seq
	clone2 := &node{w: w, st: clone.st.Clone(), feed: true}
	clone2.open()
	clone2.push()
	clone2.pull()
	if got := w.hub.Head().Seq; got != seq {
		t.Fatalf("the feed grew from %d to %d", seq, got)
	}
}

func TestVoid(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("x", "1")
	w.sync(a, b)
	bad := a.put("x", "bad")
	a.put("x", "after")
	a.put("y", "other")
	// The hub gets the second batch with a body that is not the one its header names.
	from := a.hello()
	_, batches, err := a.Unsent(w.ctx, from, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	d := a.State().Device
	damaged := append([]byte{}, batches[0]...)
	damaged[len(damaged)-1] ^= 1
	vs, err := w.hub.Accept(w.ctx, []Incoming{{Device: d, Bytes: damaged}, {Device: d, Bytes: batches[1]}, {Device: d, Bytes: batches[2]}})
	if err != nil || vs[0].Kind != Voided || vs[1].Kind != Accepted || vs[2].Kind != Accepted {
		t.Fatalf("%v %+v", err, vs)
	}
	w.hub.crash()
	w.sync(a, b)
	a.want("y", "other")
	if err := a.WaitSynced(w.ctx, bad); codeOf(err) != Invalid {
		t.Fatalf("the refused batch: %v", err)
	}
	ps, err := a.Problems(w.ctx)
	if err != nil || len(ps) != 1 || ps[0].Version != bad || len(ps[0].Ops) != 1 || string(ps[0].Ops[0].Value) != string(value("bad")) {
		t.Fatalf("%v %+v", err, ps)
	}
	a.crash()
	if err := a.Dismiss(w.ctx, bad); err != nil {
		t.Fatal(err)
	}
	a.crash()
	if ps, _ := a.Problems(w.ctx); len(ps) != 0 {
		t.Fatalf("dismissed and still there: %+v", ps)
	}
	a.put("x", "closed")
	w.sync(a, b)
	b.want("x", "closed")
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	var d, other change.DeviceID
	d[0], other[0] = 1, 2
	put := func(id string, parents ...change.Version) change.Mutation {
		return change.Mutation{Kind: change.Put, Key: key(id), Parents: parents, Value: value("v")}
	}
	h1, b1 := raw(t, d, 1, change.Hash{}, put("x"))
	h2, b2 := raw(t, d, 2, h1, put("x", change.Version{Device: d, Gen: 1}))
	_, gap := raw(t, d, 4, h2, put("x"))
	_, chain := raw(t, d, 3, h1, put("x"))
	_, parent := raw(t, d, 3, h2, put("x", change.Version{Device: other, Gen: 7}))
	_, clone := raw(t, d, 2, h1, put("y"))
	_, two := raw(t, d, 3, h2, put("x"), put("y"))
	whole, err := change.Decode(two)
	if err != nil {
		t.Fatal(err)
	}
	partial := whole.Partial(func(m change.Mutation) bool { return m.Index == 0 })
	for _, c := range []struct {
		name string
		in   Incoming
		kind VerdictKind
		code string
	}{
		{"first", Incoming{Device: d, Bytes: b1}, Accepted, ""},
		{"second", Incoming{Device: d, Bytes: b2}, Accepted, ""},
		{"second again", Incoming{Device: d, Bytes: b2}, Duplicate, ""},
		{"first again", Incoming{Device: d, Bytes: b1}, Duplicate, ""},
		{"another second", Incoming{Device: d, Bytes: clone}, Refused, "HASH"},
		{"gap", Incoming{Device: d, Bytes: gap}, Refused, "GAP"},
		{"chain", Incoming{Device: d, Bytes: chain}, Refused, "HASH"},
		{"parent above the vector", Incoming{Device: d, Bytes: parent}, Refused, "GAP"},
		{"another device", Incoming{Device: other, Bytes: b2}, Refused, "FORBIDDEN"},
		{"no header", Incoming{Device: d, Bytes: b2[:20]}, Refused, "PROTOCOL"},
		{"what a reader with limited rights has", Incoming{Device: d, Bytes: partial}, Refused, "PROTOCOL"},
	} {
		vs, err := w.hub.Accept(w.ctx, []Incoming{c.in})
		if err != nil || vs[0].Kind != c.kind || vs[0].Code != c.code {
			t.Fatalf("%s: %v %+v", c.name, err, vs)
		}
	}
	if w.hub.Head().Seq != 2 {
		t.Fatalf("the feed has %d places", w.hub.Head().Seq)
	}
	w.hub.check()
}

func TestManyObjectsSurviveEverything(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	for _, n := range []*node{a, b, w.hub} {
		n.Kill()
		n.cp = 20_000
		n.open()
	}
	for round := range 12 {
		for i := range 150 {
			id := fmt.Sprintf("k%04d", (i*7+round*31)%600)
			switch {
			case i%11 == 10:
				a.del(id)
			case i%2 == 0:
				a.put(id, fmt.Sprintf("a%d-%d-%s", round, i, "................................................................"))
			default:
				b.put(id, fmt.Sprintf("b%d-%d", round, i))
			}
		}
		w.sync(a, b)
		[]*node{a, b, w.hub}[round%3].crash()
	}
	a.check()
	b.check()
	w.hub.check()
	c := w.device()
	w.sync(a, b, c)
	c.crash()
}
