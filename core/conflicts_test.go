package core

import (
	"fmt"
	"strings"
	"testing"

	"vsync/core/change"
)

func rule(conflict any) change.Map {
	return change.Map{{Key: "version", Value: 1}, {Key: "conflict", Value: conflict}}
}

// keeping is a world whose collection "c" keeps all sides.
func keeping(t *testing.T, devices int) (*world, []*node) {
	w := newWorld(t)
	var ns []*node
	for range devices {
		ns = append(ns, w.device())
	}
	ns[0].setRules(rule("keep"))
	w.sync(ns...)
	return w, ns
}

// conflict is an object's conflict as text: the base, then the sides, the one that is shown first.
func (n *node) conflict(id string) string {
	n.w.t.Helper()
	c, ok, err := n.Conflict(n.w.ctx, key(id))
	if err != nil {
		n.w.t.Fatal(err)
	}
	if !ok {
		return ""
	}
	show := func(deleted bool, value []byte) string {
		if deleted {
			return "-"
		}
		v, _ := change.DecodeValue(value)
		return fmt.Sprint(v)
	}
	text := []string{"none:"}
	if c.Base != nil {
		text[0] = show(c.Base.Deleted, c.Base.Value) + ":"
	}
	for _, s := range c.Sides {
		text = append(text, show(s.Deleted, s.Value))
	}
	return strings.Join(text, " ")
}

func (n *node) wantConflict(id, want string) {
	n.w.t.Helper()
	if got := n.conflict(id); got != want {
		n.w.t.Fatalf("the conflict of %s is %q, want %q", id, got, want)
	}
	listed := false
	for c, err := range n.Conflicts(n.w.ctx, ScanRange{Collection: "c"}) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		listed = listed || c.Key.ID == id
	}
	if listed != (want != "") {
		n.w.t.Fatalf("%s is listed as a conflict: %v", id, listed)
	}
}

// resolve ends a conflict with a value; nil deletes.
func (n *node) resolve(id string, v any) change.Version {
	n.w.t.Helper()
	c, ok, err := n.Conflict(n.w.ctx, key(id))
	if err != nil || !ok {
		n.w.t.Fatalf("%s is in no conflict: %v", id, err)
	}
	op := Op{Key: key(id), Delete: v == nil, Seen: c.Versions()}
	if v != nil {
		op.Value = value(v)
	}
	rec, err := n.Write(n.w.ctx, Write{Ops: []Op{op}})
	if err != nil {
		n.w.t.Fatal(err)
	}
	return rec.Version
}

func TestConflictIsListedAndResolved(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("x", "base")
	a.put("y", "alone")
	w.sync(a, b)
	a.put("x", "left")
	b.put("x", "right")
	a.wantConflict("x", "")
	w.sync(a, b)
	for _, n := range []*node{a, b, w.hub} {
		n.wantConflict("x", "base: right left")
		n.wantConflict("y", "")
	}
	b.resolve("x", "both")
	b.wantConflict("x", "")
	a.wantConflict("x", "base: right left")
	w.sync(a, b) // what was resolved elsewhere is resolved
	for _, n := range []*node{a, b, w.hub} {
		n.wantConflict("x", "")
		n.want("x", "both")
	}
	w.checkAll(a, b)
}

// Created on both sides, there is no base; a deletion is a side like any, and an update beats it.
func TestConflictWithoutBase(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("x", "left")
	b.put("x", "right")
	a.put("y", "base")
	w.sync(a, b)
	a.wantConflict("x", "none: right left")
	a.del("y")
	b.put("y", "kept")
	w.sync(a, b)
	a.wantConflict("y", "base: kept -")
	a.want("y", "kept!")
	a.resolve("y", nil)
	w.sync(a, b)
	b.want("y", "-")
	b.wantConflict("y", "")
}

func TestSameResolutionOnBothSides(t *testing.T) {
	w, ns := keeping(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", "left")
	b.put("x", "right")
	w.sync(a, b)
	a.resolve("x", "right")
	b.resolve("x", "right")
	w.sync(a, b)
	for _, n := range []*node{a, b, w.hub} {
		n.wantConflict("x", "")
		n.want("x", "right")
	}
	if e, _, _ := a.Get(w.ctx, key("x")); len(e.Frontier) != 2 {
		t.Fatalf("two wrote the same: %+v", e)
	}
	// What is written next replaces both: no conflict comes back.
	b.put("x", "next")
	w.sync(a, b)
	a.want("x", "next")
	// Other resolutions at once are a conflict again.
	a.put("x", "l")
	b.put("x", "r")
	w.sync(a, b)
	a.resolve("x", "one")
	b.resolve("x", "two")
	w.sync(a, b)
	a.wantConflict("x", "r: two one") // of two nearest ancestors that crossed, the newest
	w.checkAll(a, b)
}

// Under keep, whoever does not name the other sides replaces only what he sees.
func TestKeepKeepsAllSides(t *testing.T) {
	w, ns := keeping(t, 3)
	a, b, c := ns[0], ns[1], ns[2]
	a.put("x", "a")
	b.put("x", "b")
	c.put("x", "c")
	w.sync(ns...)
	a.wantConflict("x", "none: c b a")
	a.put("x", "a2")
	a.wantConflict("x", "none: a2 b a")
	w.sync(ns...)
	b.wantConflict("x", "none: a2 b a")
	b.del("x")
	w.sync(ns...)
	c.wantConflict("x", "none: b a -")
	// A write that depends on what was read sees the same.
	e, _, err := c.Get(w.ctx, key("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value("b2")}}, Checks: []Check{{key("x"), e.Frontier}}}); err != nil {
		t.Fatal(err)
	}
	w.sync(ns...)
	a.wantConflict("x", "none: b2 a -")
	// One who resolves what he saw leaves what came meanwhile.
	saw, _, err := a.Conflict(w.ctx, key("x"))
	if err != nil {
		t.Fatal(err)
	}
	b.put("x", "b3")
	w.sync(ns...)
	if _, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value("done"), Seen: saw.Versions()}}}); err != nil {
		t.Fatal(err)
	}
	w.sync(ns...)
	c.wantConflict("x", "b2: done b3")
	c.resolve("x", "end")
	w.sync(ns...)
	a.wantConflict("x", "")
	a.want("x", "end")
	w.checkAll(ns...)
}

// Of more sides than an object has room for, those that are behind by the winner rule go; what is left can be resolved.
func TestMoreSidesThanTheLimit(t *testing.T) {
	w, ns := keeping(t, 1)
	a := ns[0]
	for i := range 70 {
		n := w.device()
		n.put("x", fmt.Sprint("side ", i))
		n.push()
		n.Close()
	}
	w.sync(a)
	c, ok, err := a.Conflict(w.ctx, key("x"))
	if err != nil || !ok || len(c.Sides) != change.MaxParents {
		t.Fatalf("%d sides, %v, %v", len(c.Sides), ok, err)
	}
	if v, _ := change.DecodeValue(c.Sides[0].Value); v != "side 69" {
		t.Errorf("shown is %v", v)
	}
	a.resolve("x", "one")
	w.sync(a)
	a.wantConflict("x", "")
	w.hub.want("x", "one")
	w.checkAll(a)
}

// Under field rules a conflict is listed too: what is shown may be none of its sides, and who writes it ends the conflict.
func TestConflictUnderFieldRules(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 1))
	w.sync(a, b)
	a.plus("x", 10)
	b.plus("x", 100)
	w.sync(a, b)
	a.wantField("x", "n", 111)
	c, ok, err := a.Conflict(w.ctx, key("x"))
	if err != nil || !ok || len(c.Sides) != 2 || c.Base == nil || string(c.Base.Value) != string(value(obj("n", 1))) {
		t.Fatalf("%+v, %v, %v", c, ok, err)
	}
	a.resolve("x", obj("n", 111))
	b.resolve("x", obj("n", 111)) // both agree with what is shown: nobody changes anything
	w.sync(a, b)
	b.wantField("x", "n", 111)
	if _, ok, _ := b.Conflict(w.ctx, key("x")); ok {
		t.Error("the conflict is still there")
	}
	a.plus("x", 1)
	b.plus("x", 2)
	w.sync(a, b)
	c, _, _ = b.Conflict(w.ctx, key("x"))
	if _, err := b.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: c.Sides[0].Value, Seen: c.Versions()}}}); err != nil { // picks one side as it is
		t.Fatal(err)
	}
	w.sync(a, b)
	a.wantField("x", "n", 113)
	w.checkAll(a, b)
}

func TestConflictsThroughCrashAndReentry(t *testing.T) {
	w, ns := keeping(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", "left")
	b.put("x", "right")
	b.push()
	a.pull() // a's is not sent
	a.wantConflict("x", "none: right left")
	a.crash()
	a.wantConflict("x", "none: right left")
	saw, _, err := a.Conflict(w.ctx, key("x"))
	if err != nil {
		t.Fatal(err)
	}
	// A copy of the disk has sent another batch under the same name: what is here gets another, and what the caller saw is known by both.
	c := w.start(&node{w: w, st: a.st.Clone(), feed: true})
	c.put("y", "copy")
	c.push()
	a.put("z", "own")
	a.pull()
	a.push()
	if _, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value("done"), Seen: saw.Versions()}}}); err != nil {
		t.Fatal(err)
	}
	a.wantConflict("x", "")
	w.sync(a, b)
	b.want("x", "done")
	w.checkAll(a, b)
}
