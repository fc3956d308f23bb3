package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
)

func (n *node) undo(v change.Version, keys ...change.Key) change.Version {
	n.w.t.Helper()
	rec, err := n.Undo(n.w.ctx, v, keys, Signed{Note: "undo"})
	if err != nil {
		n.w.t.Fatal(err)
	}
	return rec.Version
}

func (n *node) revert(id string, v change.Version) change.Version {
	n.w.t.Helper()
	rec, err := n.Revert(n.w.ctx, key(id), v, Signed{Note: "back"})
	if err != nil {
		n.w.t.Fatal(err)
	}
	return rec.Version
}

func TestUndoABatch(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("x", obj("p", 1, "q", 1))
	a.put("y", "old")
	w.sync(a, b)
	rec, err := a.Write(w.ctx, Write{Ops: []Op{
		{Key: key("x"), Value: value(obj("p", 2, "q", 1))},
		{Key: key("y"), Delete: true},
		{Key: key("z"), Value: value("new")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.sync(a, b)
	b.put("x", obj("p", 2, "q", 5)) // what happened since stays
	w.sync(a, b)
	undone := b.undo(rec.Version) // another's batch, too
	w.sync(a, b)
	a.wantField("x", "p", 1)
	a.wantField("x", "q", 5)
	a.want("y", "old")
	a.want("z", "-")
	if e, _, _ := a.Get(w.ctx, key("x")); e.Conflict {
		t.Error("undoing left a conflict")
	}
	// The undoing is a batch with a note, and is undone as any.
	for h := range a.History(w.ctx, key("z")) {
		if h.Version != undone || !h.Deleted || h.Note != "undo" {
			t.Errorf("the newest of z is %+v", h)
		}
		break
	}
	a.undo(undone)
	a.wantField("x", "p", 2)
	a.want("y", "-")
	a.want("z", "new")
	w.sync(a, b)
	w.checkAll(a, b)
}

func TestUndoOneObjectOfABatch(t *testing.T) {
	w := newWorld(t)
	a := w.local()
	rec, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value(1)}, {Key: key("y"), Value: value(1)}}})
	if err != nil {
		t.Fatal(err)
	}
	a.undo(rec.Version, key("x"))
	a.want("x", "-")
	a.want("y", "1")
	for want, err := range map[Code]func() error{
		Invalid: func() error { _, err := a.Undo(w.ctx, rec.Version, []change.Key{key("none")}, Signed{}); return err },
		TooOld: func() error {
			_, err := a.Undo(w.ctx, change.Version{Device: change.DeviceID{9}, Gen: 3}, nil, Signed{})
			return err
		},
	} {
		if got := codeOf(err()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	a.put("y", 2)
	if _, err := a.Undo(w.ctx, rec.Version, nil, Signed{}); codeOf(err) != Invalid || !strings.Contains(err.Error(), "changed again since") {
		t.Errorf("nothing is left to be undone: %v", err)
	}
	if _, err := w.hub.Undo(w.ctx, rec.Version, nil, Signed{}); codeOf(err) != Invalid {
		t.Errorf("at the hub: %v", err)
	}
}

// While others go on, under field rules: just what the batch did goes.
func TestUndoUnderFieldRules(t *testing.T) {
	w, ns := ruled(t, 3)
	a, b, c := ns[0], ns[1], ns[2]
	a.put("x", obj("n", 1, "tags", []any{"p"}, "text", "1\n2", "top", 5))
	w.sync(ns...)
	v := a.put("x", obj("n", 11, "tags", []any{"p", "q"}, "text", "0\n1\n2", "top", 9))
	b.put("x", obj("n", 101, "tags", []any{"p", "r"}, "text", "1\n2\n3", "top", 5))
	w.sync(ns...)
	c.bump("x", 1000)
	w.sync(ns...)
	c.wantField("x", "n", 1111)
	a.undo(v) // offline, while b goes on
	b.bump("x", 10000)
	w.sync(ns...)
	for _, n := range []*node{a, b, c, w.hub} {
		n.wantField("x", "n", 11101)
		n.wantField("x", "tags", []any{"p", "r"})
		n.wantField("x", "text", "1\n2\n3")
		n.wantField("x", "top", 5)
	}
	w.checkAll(ns...)
}

// bump adds to what is shown, and leaves all else.
func (n *node) bump(id string, by int64) {
	n.w.t.Helper()
	e, _, err := n.Get(n.w.ctx, key(id))
	if err != nil {
		n.w.t.Fatal(err)
	}
	v, err := change.DecodeValue(e.Value)
	if err != nil {
		n.w.t.Fatal(err)
	}
	m := v.(change.Map)
	for i := range m {
		if m[i].Key == "n" {
			m[i].Value = n.number(id) + by
		}
	}
	n.put(id, m)
}

// Undoing what ended a conflict brings back what was shown before.
func TestUndoAResolution(t *testing.T) {
	w, ns := keeping(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", "left")
	b.put("x", "right")
	w.sync(a, b)
	a.put("y", "before, in another batch")
	v := a.resolve("x", "both")
	a.undo(v)
	a.want("x", "right")
	w.sync(a, b)
	b.want("x", "right")

	w, ns = ruled(t, 2)
	a, b = ns[0], ns[1]
	a.put("x", obj("n", 1))
	w.sync(a, b)
	a.plus("x", 10)
	b.plus("x", 100)
	w.sync(a, b)
	v = a.put("x", obj("n", 1111))
	b.plus("x", 5)
	w.sync(a, b)
	b.undo(v)
	w.sync(a, b)
	a.wantField("x", "n", 116)
	w.checkAll(a, b)
}

func TestRevert(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	first := a.put("x", "first")
	a.put("x", "second")
	deleted := a.del("x")
	other := a.put("y", 1)
	w.sync(a, b)
	b.revert("x", first)
	a.put("x", "meanwhile")
	w.sync(a, b)
	a.wantConflict("x", "-: meanwhile first")
	a.revert("x", deleted) // over all that is there, as any write
	w.sync(a, b)
	b.want("x", "-")
	for v, want := range map[change.Version]Code{other: Invalid, {Device: change.DeviceID{9}, Gen: 1}: TooOld} {
		if _, err := a.Revert(w.ctx, key("x"), v, Signed{}); codeOf(err) != want {
			t.Errorf("back to %s: %v, want %s", v, err, want)
		}
	}
	w.checkAll(a, b)
}

// A batch of very many objects is undone in one commit, and reads its history in passes, not object by object.
func TestUndoALargeBatch(t *testing.T) {
	w := newWorld(t)
	a := w.local()
	ops := make([]Op, 20_000)
	for i := range ops {
		ops[i] = Op{Key: key(fmt.Sprint("k", i)), Value: value(i)}
	}
	if _, err := a.Write(w.ctx, Write{Ops: ops}); err != nil {
		t.Fatal(err)
	}
	for i := range ops {
		ops[i].Value = value(i + 1)
	}
	rec, err := a.Write(w.ctx, Write{Ops: ops})
	if err != nil {
		t.Fatal(err)
	}
	a.undo(rec.Version)
	a.want("k0", "0")
	a.want("k19999", "19999")
}

// Whatever happened: undone at once, each batch leaves what was shown before it.
func TestUndoAtOnceIsAsBefore(t *testing.T) {
	for seed := range uint64(4) {
		w := newWorld(t)
		ns := []*node{w.device(), w.device(), w.device()}
		r := rand.New(rand.NewPCG(seed, 3))
		for range 150 {
			n := ns[r.IntN(3)]
			switch r.IntN(6) {
			case 0:
				w.sync(ns...)
			case 1:
				n.crash()
			default:
				before := n.shown()
				ops := map[string]Op{}
				for range 1 + r.IntN(4) {
					id := fmt.Sprint("k", r.IntN(6))
					ops[id] = Op{Key: key(id), Value: value(obj("a", r.IntN(100), fmt.Sprint("b", r.IntN(3)), r.IntN(3)))}
					if r.IntN(4) == 0 {
						ops[id] = Op{Key: key(id), Delete: true}
					}
				}
				var list []Op
				for _, op := range ops {
					list = append(list, op)
				}
				rec, err := n.Write(w.ctx, Write{Ops: list})
				if err != nil {
					t.Fatal(err)
				}
				if r.IntN(2) == 0 {
					continue
				}
				_, err = n.Undo(w.ctx, rec.Version, nil, Signed{})
				if codeOf(err) == Invalid && slices.Equal(n.shown(), before) {
					continue // it changed nothing
				}
				if err != nil {
					t.Fatal(err)
				}
				if after := n.shown(); !slices.Equal(after, before) {
					t.Fatalf("seed %d: before\n%s\nand after it was undone\n%s", seed, strings.Join(before, "\n"), strings.Join(after, "\n"))
				}
			}
		}
		w.sync(ns...)
		w.checkAll(ns...)
	}
}
