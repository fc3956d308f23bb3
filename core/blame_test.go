package core

import (
	"fmt"
	"strings"
	"testing"

	"vsync/core/change"
	"vsync/core/merge"
)

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
