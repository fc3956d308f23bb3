package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
)

func TestWatchShowsMerged(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 1))
	w.sync(a, b)
	from := ""
	for e, err := range a.Watch(w.ctx, WatchOptions{Collection: "c", From: FromStart, Once: true}) {
		if err != nil {
			t.Fatal(err)
		}
		from = e.Marker
	}
	a.plus("x", 10)
	b.plus("x", 100)
	b.push()
	a.pull()
	a.push()
	a.pull()
	var got []string
	for e, err := range a.Watch(w.ctx, WatchOptions{Collection: "c", From: from, Once: true}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range e.Changes {
			v, _ := change.DecodeValue(c.Value)
			got = append(got, fmt.Sprint(v, c.Conflict))
		}
	}
	want := []string{fmt.Sprint(obj("n", 11), false), fmt.Sprint(obj("n", 111), true)}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Many foreign mutations over many own unsent ones: what is shown is made once, and the last event of each object shows it.
func TestShownOnceACommit(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 1))
	a.put("y", obj("n", 1))
	w.sync(a, b)
	for range 40 {
		a.plus("x", 10)
		a.plus("y", 10)
		b.plus("x", 1000)
	}
	for i := range 3 {
		if _, err := b.Write(w.ctx, Write{Ops: []Op{{Key: key("y"), Value: value(obj("n", 2+i))}, {Key: key("x"), Value: value(obj("n", 50_000+i))}}}); err != nil {
			t.Fatal(err)
		}
	}
	b.push()
	twin := a.st.Clone()
	from := ""
	for e, err := range a.Watch(w.ctx, WatchOptions{Collection: "c", From: FromStart, Once: true}) {
		if err != nil {
			t.Fatal(err)
		}
		from = e.Marker
	}
	a.folds = 1 << 20
	a.pull()
	rows, exact := a.objectRows(), a.lastShown(from)
	a.Kill()
	a.st, a.lazy = twin, true
	a.open()
	a.pull()
	if got := a.objectRows(); !slices.Equal(got, rows) {
		t.Errorf("made once a commit, the rows are\n%s\nand made each time\n%s", strings.Join(got, "\n"), strings.Join(rows, "\n"))
	}
	if got := a.lastShown(from); got != exact || !strings.Contains(got, fmt.Sprint(a.field("x", "n"))) {
		t.Errorf("the last events show %s, and otherwise %s", got, exact)
	}
	a.crash()
	if got := a.objectRows(); !slices.Equal(got, rows) {
		t.Errorf("after a crash the rows are\n%s\nand were\n%s", strings.Join(got, "\n"), strings.Join(rows, "\n"))
	}
	w.sync(a, b)
	w.same(a, b)
	w.checkAll(a, b)
}

// lastShown is what a watch has shown last of x and y.
func (n *node) lastShown(from string) string {
	n.w.t.Helper()
	last := map[string]string{}
	for e, err := range n.Watch(n.w.ctx, WatchOptions{Collection: "c", From: from, Once: true}) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		if e.Reset {
			n.w.t.Fatalf("watchers begin again: %+v", e)
		}
		for _, c := range e.Changes {
			v, _ := change.DecodeValue(c.Value)
			last[c.Key.ID] = fmt.Sprint(v, c.Version, c.Conflict)
		}
	}
	return fmt.Sprint(last["x"], last["y"])
}
