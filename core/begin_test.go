package core

import (
	"testing"

	"vsync/core/change"
)

// Writes that nobody waited for are written in the order in which they were begun.
func TestBeginKeepsTheOrder(t *testing.T) {
	w := newWorld(t)
	a := w.asyncDevice()
	const writes = 200
	waits := make([]func() (Receipt, error), writes)
	for i := range waits {
		waits[i] = a.Begin(w.ctx, Write{Ops: []Op{{Key: benchKey(0), Value: value(i)}}})
	}
	first := change.Generation(0)
	for i, wait := range waits {
		rec, err := wait()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = rec.Version.Gen
		}
		if rec.Version.Gen != first+change.Generation(i) {
			t.Errorf("write %d has generation %d, the first %d", i, rec.Version.Gen, first)
		}
	}
	e, ok, err := a.Get(w.ctx, benchKey(0))
	if err != nil || !ok || string(e.Value) != string(value(writes-1)) {
		t.Errorf("%x, %v, %v", e.Value, ok, err)
	}
}

// A watch from a view's marker tells what came after the view, and nothing that the view shows.
func TestAViewAndAWatchMeet(t *testing.T) {
	w := newWorld(t)
	a := w.asyncDevice()
	put := func(i int) {
		if _, err := a.Put(w.ctx, benchKey(i), value(i)); err != nil {
			t.Fatal(err)
		}
	}
	put(0)
	put(1)
	v, err := a.View()
	if err != nil {
		t.Fatal(err)
	}
	put(2)
	n := 0
	for e, err := range v.Scan(w.ctx, ScanRange{}) {
		if err != nil || e.Key == benchKey(2) {
			t.Errorf("%s, %v", e.Key, err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("the view shows %d objects", n)
	}
	marker := v.Marker()
	v.Release()
	put(3)
	for i, want := 0, []int{2, 3}; i < len(want); i++ {
		for e, err := range a.Watch(w.ctx, WatchOptions{From: marker}) {
			if err != nil || e.Initial || len(e.Changes) != 1 || e.Changes[0].Key != benchKey(want[i]) {
				t.Fatalf("%+v, %v", e, err)
			}
			marker = e.Marker
			break
		}
	}
}
