package core

import (
	"fmt"
	"strings"
	"testing"

	"vsync/core/store"
)

// feedWorld is a device and a hub whose feed has some segments, all of them before the checkpoint.
func feedWorld(t *testing.T) (w *world, a *node, rows []store.Row) {
	w = newWorld(t)
	a = w.device()
	w.hub.Kill()
	w.hub.cp = 3000
	w.hub.open()
	for i := range 60 {
		a.put(fmt.Sprint("k", i), strings.Repeat("x", 300))
		a.push()
		a.pull()
	}
	if err := w.hub.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	return w, a, segmentsOf(t, w.hub)
}

func segmentsOf(t *testing.T, n *node) []store.Row {
	t.Helper()
	rows, err := n.st.Scan(n.w.ctx, store.Range{From: []byte{'L'}, To: []byte{'M'}})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// opened opens a store with repair.
func (n *node) mendedOpen(t *testing.T) {
	t.Helper()
	c := n.config()
	c.Repair = true
	r, err := Open(n.w.ctx, n.st, c)
	if err != nil {
		t.Fatal(err)
	}
	n.Replica = r
}

// values is what is shown, without the names of versions.
func (n *node) values() string {
	n.w.t.Helper()
	var b strings.Builder
	for e, err := range n.Scan(n.w.ctx, ScanRange{}) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %.20x %d %v\n", e.Key, e.Value, len(e.Value), e.Conflict)
	}
	return b.String()
}

// A segment of a hub's log is damaged, in every way, and its pages are whole: nothing is missing, whether a device is there or not.
func TestHoleInAFeedIsFilled(t *testing.T) {
	w, a, rows := feedWorld(t)
	want, head := w.hub.values(), w.hub.Head()
	hub := w.hub
	hub.Kill()
	for i, r := range rows {
		for _, h := range harms(rows, nil) {
			copied, is := hub.harmRow(t, r, h)
			if !is {
				continue
			}
			t.Run(fmt.Sprintf("%d/%s", i, h.name), func(t *testing.T) {
				w.hub = copied
				defer func() { w.hub = hub }()
				copied.mendedOpen(t)
				if got := copied.values(); got != want {
					t.Fatalf("it shows\n%s\nand not\n%s", got, want)
				}
				copied.check()
				copied.refolded()
				if got := copied.Head(); got.Epoch != head.Epoch || got.Seq < head.Seq {
					t.Fatalf("the feed ends at %v, and ended at %v", got, head)
				}
				if d, err := copied.Damage(w.ctx); err != nil || len(d) == 0 {
					t.Fatal("not listed", err)
				}
				b := w.device()
				b.pull()
				b.check()
				if got := b.values(); got != want {
					t.Fatalf("a new device shows\n%s\nand not\n%s", got, want)
				}
				a2 := &node{w: w, st: a.st.Clone(), feed: true}
				a2.open()
				if handed, _, back := a2.meet(); handed > 0 || back {
					t.Error("who has all of the feed has to hand it back")
				}
				a2.put("k3", "later")
				w.sync(a2, b)
				for _, n := range []*node{a2, b, copied} {
					n.crash()
					n.refolded()
				}
			})
		}
	}
}
