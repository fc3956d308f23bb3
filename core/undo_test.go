package core

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
	"vsync/core/merge"
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

func paths(t *testing.T, list []merge.Difference) string {
	t.Helper()
	var out []string
	for _, d := range list {
		show := func(b []byte) string {
			if b == nil {
				return ""
			}
			v, _ := change.DecodeValue(b)
			return fmt.Sprint(v)
		}
		out = append(out, fmt.Sprintf("%s:%s→%s", strings.Join(d.Path, "."), show(d.Before), show(d.After)))
	}
	return strings.Join(out, " ")
}

func TestDiffAndBlame(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	v1 := a.put("x", obj("p", 1, "m", obj("q", 1, "r", 1)))
	v2 := a.put("x", obj("p", 2, "m", obj("q", 1, "r", 1)))
	w.sync(a, b)
	lost := a.put("x", obj("p", 2, "m", obj("q", 9, "r", 9)))
	v3 := b.put("x", obj("p", 2, "m", obj("q", 3, "r", 1))) // later: this is shown
	w.sync(a, b)
	v4 := b.put("x", obj("p", 2, "m", obj("q", 3, "r", 1), "s", 4))
	w.sync(a, b)
	for _, c := range []struct {
		from, to change.Version
		want     string
	}{
		{v1, v2, "p:1→2"}, {v2, v1, "p:2→1"}, {v1, v4, "p:1→2 m.q:1→3 s:→4"}, {v1, change.Version{}, "p:1→2 m.q:1→3 s:→4"},
		{change.Version{}, v3, "s:4→"}, {v3, lost, "m.q:3→9 m.r:1→9"}, {v3, v3, ""},
	} {
		got, err := a.Diff(w.ctx, key("x"), c.from, c.to)
		if err != nil || paths(t, got) != c.want {
			t.Errorf("%s → %s: %q, %v, want %q", c.from, c.to, paths(t, got), err, c.want)
		}
	}
	if _, err := a.Diff(w.ctx, key("x"), v1, change.Version{Device: change.DeviceID{9}, Gen: 1}); codeOf(err) != TooOld {
		t.Errorf("against a version that is not here: %v", err)
	}
	blamed := func(n *node, id string) (out []string) {
		list, err := n.Blame(w.ctx, key(id))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			if x.Older {
				t.Errorf("all of history is there: %+v", x)
			}
			out = append(out, fmt.Sprintf("%s %s", strings.Join(x.Path, "."), x.Version))
		}
		return out
	}
	for _, n := range []*node{a, b, w.hub} {
		equalStrings(t, blamed(n, "x"), []string{"p " + v2.String(), "m.q " + v3.String(), "m.r " + v1.String(), "s " + v4.String()})
		equalStrings(t, blamed(n, "none"), nil)
	}
	a.put("y", 5)
	v := a.put("y", "whole")
	equalStrings(t, blamed(a, "y"), []string{" " + v.String()})
}

// What a merge made of several counts for the newest that changed it.
func TestBlameOfWhatIsMerged(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	v1 := a.put("x", obj("n", 1, "tags", []any{"p"}, "plain", 1))
	w.sync(a, b)
	v2 := a.put("x", obj("n", 11, "tags", []any{"p"}, "plain", 1))
	v3 := b.put("x", obj("n", 101, "tags", []any{"p", "q"}, "plain", 1))
	a.push()
	w.sync(a, b)
	list, err := a.Blame(w.ctx, key("x"))
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	if list[0].Version != v3 || list[1].Version != v3 || list[2].Version != v1 {
		t.Errorf("%+v, of %s %s %s", list, v1, v2, v3)
	}
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

// shown is what there is, apart from who wrote it.
func (n *node) shown() (out []string) {
	n.w.t.Helper()
	for e, err := range n.Scan(n.w.ctx, ScanRange{Collection: "c"}) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %x", e.Key.ID, e.Value))
	}
	return out
}

func TestPast(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	type moment struct {
		marker string
		shown  []string
	}
	var was []moment
	look := func() {
		v, err := a.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Release()
		was = append(was, moment{v.Marker(), a.shown()})
	}
	look()
	for i := range 30 {
		switch i % 6 {
		case 0:
			a.put("x", obj("n", i, "tags", []any{fmt.Sprint(i)}))
		case 1:
			b.plus("x", 1000)
		case 2:
			w.sync(a, b)
		case 3:
			a.plus("x", 1)
			a.put(fmt.Sprint("k", i), i)
		case 4:
			a.del(fmt.Sprint("k", i-7))
		case 5:
			b.push()
			a.pull()
			a.crash()
		}
		look()
	}
	w.sync(a, b)
	for i, m := range was {
		p, err := a.At(m.marker)
		if err != nil {
			t.Fatal(i, err)
		}
		var got []string
		for e, err := range p.Scan(w.ctx, ScanRange{Collection: "c"}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %x", e.Key.ID, e.Value))
		}
		if !slices.Equal(got, m.shown) {
			t.Fatalf("moment %d was\n%s\nand is read as\n%s", i, strings.Join(m.shown, "\n"), strings.Join(got, "\n"))
		}
		es, err := p.Get(w.ctx, key("x"), key("none"))
		if err != nil || !es[1].Version.IsZero() || i == 0 != es[0].Version.IsZero() {
			t.Fatalf("moment %d: %+v, %v", i, es, err)
		}
	}
	limited, err := a.At(was[len(was)-1].marker)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for e := range limited.Scan(w.ctx, ScanRange{Collection: "c", Prefix: "k", Reverse: true, Limit: 2}) {
		ids = append(ids, e.Key.ID)
	}
	equalStrings(t, ids, []string{"k27"})
	for _, marker := range []string{"", "x", "0000000000000001-999999-0", strings.Replace(was[3].marker, "-", "1-", 1)} {
		if _, err := a.At(marker); codeOf(err) != UnknownMarker {
			t.Errorf("%q: %v", marker, err)
		}
	}
}

// Each event of a commit is a place of its own.
func TestPastWithinACommit(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	for i := range 5 {
		a.put("x", i)
		a.put("y", i)
	}
	w.sync(a, b) // all in one commit of b
	n := 0
	for e, err := range b.Watch(w.ctx, WatchOptions{Collection: "c", From: "start", Once: true}) {
		if err != nil || !e.Initial {
			t.Fatal(e, err)
		}
	}
	marker := fmt.Sprintf("%016x-%d-%d", 1, 0, 0)
	for e, err := range b.Watch(w.ctx, WatchOptions{Collection: "c", From: marker, Once: true}) {
		if err != nil || e.Initial {
			t.Fatal(e, err)
		}
		n++
		p, err := b.At(e.Marker)
		if err != nil {
			t.Fatal(err)
		}
		es, err := p.Get(w.ctx, e.Changes[0].Key)
		if err != nil || string(es[0].Value) != string(e.Changes[0].Value) || es[0].Version != e.Version {
			t.Fatalf("event %d: %+v, %v, want %+v", n, es, err, e.Changes[0])
		}
	}
	if n != 10 {
		t.Errorf("%d events", n)
	}
}

func TestPastByTime(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("x", 1)
	w.sync(a, b)
	noon := w.now.Load()
	w.now.Add(1000)
	a.put("x", 2)
	a.push() // accepted in the afternoon, and taken up by b in the evening
	evening := w.now.Load()
	w.now.Add(1000)
	b.put("y", 1)
	b.pull()
	b.push()
	a.pull()
	for at, want := range map[uint64]string{1: "", noon: "x 1", evening: "x 2", w.now.Load(): "x 2 y 1", 1 << 60: "x 2 y 1"} {
		for _, n := range []*node{a, b, w.hub} {
			p, err := n.AtTime(at)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for e, err := range p.Scan(w.ctx, ScanRange{}) {
				if err != nil {
					t.Fatal(err)
				}
				v, _ := change.DecodeValue(e.Value)
				got = append(got, fmt.Sprint(e.Key.ID, " ", v))
			}
			if text := strings.Join(got, " "); text != want {
				t.Errorf("at %d: %q, want %q", at, text, want)
			}
		}
	}
	a.Close()
	if _, err := a.AtTime(noon); codeOf(err) != Closed {
		t.Error(err)
	}
	if _, err := a.Blame(w.ctx, key("x")); !errors.Is(err, &Error{Code: Closed}) {
		t.Error(err)
	}
}

// Through crashes, refusals and copies of the disk: each moment is read as it was shown, as long as it is known.
func TestPastOfAnyStory(t *testing.T) {
	for seed := range uint64(3) {
		w := newWorld(t)
		type moment struct {
			n      *node
			marker string
			shown  []string
		}
		var was []moment
		r := rand.New(rand.NewPCG(seed, 5))
		w.story(r, 80, func(n *node) {
			v, err := n.View()
			if err != nil {
				t.Fatal(err)
			}
			was = append(was, moment{n, v.Marker(), n.shown()})
			v.Release()
		})
		for i, m := range was {
			p, err := m.n.At(m.marker)
			if err != nil {
				t.Fatal(seed, i, err)
			}
			var got []string
			for e, err := range p.Scan(w.ctx, ScanRange{Collection: "c"}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%s %x", e.Key.ID, e.Value))
			}
			if !slices.Equal(got, m.shown) {
				t.Fatalf("seed %d, moment %d was\n%.2000s\nand is read as\n%.2000s", seed, i, strings.Join(m.shown, "\n"), strings.Join(got, "\n"))
			}
		}
	}
}

// A hub that lost what came last, and gets it back: what was shown before, meanwhile and after is read as it was, under field rules too.
func TestPastBeforeALossAtTheHub(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	type moment struct {
		marker string
		shown  []string
	}
	var was []moment
	look := func() {
		v, err := b.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Release()
		was = append(was, moment{v.Marker(), b.shown()})
	}
	a.put("x", obj("n", 1))
	w.sync(a, b)
	backup := w.hub.st.Clone()
	look()
	a.plus("x", 10)
	w.sync(a, b)
	look()
	b.plus("x", 100)
	b.put("y", 1)
	look()
	w.replace(backup)
	b.pull()
	look()
	w.sync(a, b)
	look()
	a.plus("x", 1000)
	w.sync(a, b)
	look()
	for i, m := range was {
		p, err := b.At(m.marker)
		if err != nil {
			t.Fatal(i, err)
		}
		var got []string
		for e, err := range p.Scan(w.ctx, ScanRange{Collection: "c"}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %x", e.Key.ID, e.Value))
		}
		if !slices.Equal(got, m.shown) {
			t.Errorf("moment %d was\n%s\nand is read as\n%s", i, strings.Join(m.shown, "\n"), strings.Join(got, "\n"))
		}
	}
}
