package core

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
)

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
