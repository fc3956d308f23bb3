package core

import (
	"fmt"
	"slices"
	"testing"

	"vsync/core/change"
)

func TestBothIncrement(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 1))
	w.sync(a, b)
	a.plus("x", 10)
	b.plus("x", 100)
	a.plus("x", 1000)
	a.wantField("x", "n", 1011)
	b.wantField("x", "n", 101)
	b.push()
	a.pull()
	a.wantField("x", "n", 1111) // b's is in the feed, its own upon it
	w.checkAll(a, b)
	w.sync(a, b)
	w.hub.wantField("x", "n", 1111)
	// Both see it, and both go on.
	a.plus("x", 1)
	b.plus("x", 2)
	w.sync(a, b)
	a.wantField("x", "n", 1114)
	a.plus("x", 1)
	w.sync(a, b)
	if e, _, _ := a.Get(w.ctx, key("x")); e.Conflict || len(e.Frontier) != 1 {
		t.Errorf("a write that saw all leaves a fork: %+v", e)
	}
	w.checkAll(a, b)
}

func TestCrissCross(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 0, "tags", []any{"p", "q"}))
	w.sync(a, b)
	a.put("x", obj("n", 1, "tags", []any{"q", "r"}))
	b.put("x", obj("n", 2, "tags", []any{"p", "s"}))
	w.sync(a, b)
	a.wantField("x", "n", 3)
	a.wantField("x", "tags", []any{"r", "s"})
	if e, _, _ := a.Get(w.ctx, key("x")); !e.Conflict || len(e.Frontier) != 2 {
		t.Errorf("two sides wrote different things: %+v", e)
	}
	a.put("x", obj("n", 13, "tags", []any{"r", "s", "t"}))
	b.put("x", obj("n", 103, "tags", []any{"s", "u"}))
	w.sync(a, b)
	a.wantField("x", "n", 113)
	a.wantField("x", "tags", []any{"s", "t", "u"})
	w.checkAll(a, b)
}

func TestDeleteUpdateDelete(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 5))
	w.sync(a, b)
	a.del("x")
	b.plus("x", 2)
	a.push()
	b.pull()
	b.wantField("x", "n", 7)
	w.sync(a, b)
	a.wantField("x", "n", 7) // an update beats a concurrent deletion
	a.del("x")
	w.sync(a, b)
	b.want("x", "-")
	w.checkAll(a, b)
	b.plus("x", 3) // another life
	b.wantField("x", "n", 3)
	w.sync(a, b)
	a.wantField("x", "n", 3)
	w.checkAll(a, b)
}

// A deleted object keeps what was there: those who have not seen the deletion go on with it.
func TestDeletedKeepsItsState(t *testing.T) {
	w, ns := ruled(t, 3)
	a, b, c := ns[0], ns[1], ns[2]
	a.put("x", obj("tags", []any{"p", "q"}))
	w.sync(ns...)
	a.del("x")
	b.put("x", obj("tags", []any{"p", "q", "r"}))
	c.put("x", obj("tags", []any{"q"}))
	a.push()
	a.pull()
	a.want("x", "-")
	w.sync(ns...)
	c.wantField("x", "tags", []any{"q", "r"})
	w.checkAll(ns...)
}

// One who names an older version as seen changed what he changed of that.
func TestSeenOlder(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	old := a.put("x", obj("n", 1))
	w.sync(a, b)
	b.plus("x", 10)
	w.sync(a, b)
	if _, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value(obj("n", 6)), Seen: []change.Version{old}}}}); err != nil {
		t.Fatal(err)
	}
	a.wantField("x", "n", 16)
	w.sync(a, b)
	b.wantField("x", "n", 16)
	seen := b.plus("x", 100) // somebody else's
	w.sync(a, b)
	b.plus("x", 1000)
	w.sync(a, b)
	if _, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value(obj("n", 117)), Seen: []change.Version{seen}}}}); err != nil {
		t.Fatal(err)
	}
	a.wantField("x", "n", 1117)
	w.sync(a, b)
	b.wantField("x", "n", 1117)
	w.checkAll(a, b)
}

// A service writes at the hub what it changed, as a device would.
func TestServiceUnderRules(t *testing.T) {
	w, ns := ruled(t, 1)
	a := ns[0]
	a.put("x", obj("n", 1))
	w.sync(a)
	a.plus("x", 10)
	if _, err := w.hub.WriteAs(w.ctx, "s", Write{Ops: []Op{{Key: key("x"), Value: value(obj("n", 101))}}}); err != nil {
		t.Fatal(err)
	}
	a.pull()
	a.wantField("x", "n", 111)
	w.sync(a)
	w.hub.wantField("x", "n", 111)
	w.checkAll(a)
}

func TestThreeLeaves(t *testing.T) {
	w, ns := ruled(t, 3)
	ns[0].put("x", obj("n", 0, "text", "1\n2\n3"))
	w.sync(ns...)
	for i, n := range ns {
		lines := []string{"1", "2", "3"}
		lines[i] = fmt.Sprint("line ", i)
		n.put("x", obj("n", 1<<i, "text", lines[0]+"\n"+lines[1]+"\n"+lines[2]))
	}
	w.sync(ns...)
	ns[0].wantField("x", "n", 7)
	ns[0].wantField("x", "text", "line 0\nline 1\nline 2")
	w.checkAll(ns...)
}

func TestRefusedIncrement(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 1))
	w.sync(a, b)
	v := a.plus("x", 10)
	a.plus("x", 1)
	a.refuse(v.Gen)
	a.pull()
	a.wantField("x", "n", 2)
	w.sync(a, b)
	w.hub.wantField("x", "n", 2)
	w.checkAll(a, b)
	if ps, err := a.Problems(w.ctx); err != nil || len(ps) != 1 {
		t.Fatal(ps, err)
	}
	b.plus("x", 100)
	w.sync(a, b)
	if _, err := a.Retry(w.ctx, v); err != nil { // adds, and does not set what it had
		t.Fatal(err)
	}
	a.wantField("x", "n", 112)
	w.sync(a, b)
	b.wantField("x", "n", 112)
	a.put("x", obj("n", 2))
	w.sync(a, b)
	// Refused while what follows is unsent.
	v = a.plus("x", 10)
	gens, batches, err := a.Unsent(w.ctx, a.hello(), 1<<20)
	if err != nil || len(gens) != 1 {
		t.Fatal(gens, err)
	}
	batches[0] = append(slices.Clone(batches[0][:len(batches[0])-1]), ^batches[0][len(batches[0])-1])
	if _, err := w.hub.Accept(w.ctx, []Incoming{{Device: v.Device, Bytes: batches[0]}}); err != nil {
		t.Fatal(err)
	}
	a.plus("x", 1)
	a.wantField("x", "n", 13)
	a.pull()
	a.wantField("x", "n", 3)
	a.check()
	w.sync(a, b)
	b.wantField("x", "n", 3)
	w.checkAll(a, b)
}

// What was written over a text whose beginning is refused counts as a whole. Its bytes have the names that they had before.
func TestRefusedBeginningOfAText(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	v := a.put("x", obj("text", "one\ntwo"))
	a.put("x", obj("text", "one\nbetween\ntwo\nthree"))
	a.put("x", obj("text", "one\ntwo\nthree"))
	a.refuse(v.Gen)
	w.sync(a, b)
	b.wantField("x", "text", "one\ntwo\nthree")
	a.put("x", obj("text", "one\ntwo\nthree\nfour"))
	b.put("x", obj("text", "zero\none\ntwo"))
	w.sync(a, b)
	b.wantField("x", "text", "zero\none\ntwo\nfour")
	w.checkAll(a, b)
}

// One who saw what was refused changed what he changed of that.
func TestSeenRefused(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 1))
	w.sync(a, b)
	seen := a.plus("x", 10)
	b.plus("x", 100)
	b.push()
	a.refuse(seen.Gen)
	a.pull()
	if _, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value(obj("n", 12)), Seen: []change.Version{seen}}}}); err != nil {
		t.Fatal(err)
	}
	a.wantField("x", "n", 102)
	w.sync(a, b)
	b.wantField("x", "n", 102)
	w.checkAll(a, b)
}
