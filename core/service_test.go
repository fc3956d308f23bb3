package core

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"vsync/core/change"
)

func (n *node) as(subject string, nonce change.Nonce, id string, v any, checks ...Check) (change.Version, error) {
	r, err := n.WriteAs(n.w.ctx, subject, Write{Ops: []Op{{Key: key(id), Value: value(v)}}, Checks: checks, Nonce: nonce})
	return r.Version, err
}

// What a hub writes for a service replaces what is there, goes to the devices as any batch, and goes on after a crash.
func TestWriteAs(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", 1)
	w.sync(a)
	none := change.Nonce{}
	var last change.Version
	for round := range 5 {
		for _, subject := range []string{"anna", "bert", ""} {
			v, err := w.hub.as(subject, none, "x", fmt.Sprint(subject, round))
			if err != nil {
				t.Fatal(err)
			}
			if want := change.Generation(round + 1); v.Gen != want {
				t.Errorf("%v, want generation %d", v, want)
			}
			last = v
		}
		if round%2 == 0 {
			w.hub.crash()
		}
		if round == 1 {
			if err := w.hub.Checkpoint(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		w.sync(a)
		a.want("x", fmt.Sprint(round))
		if e, _, _ := w.hub.Get(w.ctx, key("x")); e.Conflict || e.Version != last {
			t.Errorf("%+v", e)
		}
	}
	w.hub.check()
	w.hub.refolded()
	if _, err := a.as("anna", none, "x", 1); codeOf(err) != Invalid {
		t.Errorf("a device wrote for another: %v", err)
	}
	if _, err := w.hub.WriteAs(w.ctx, "anna", Write{}); codeOf(err) != Invalid {
		t.Errorf("a batch of nothing: %v", err)
	}
}

// The device under which a hub writes is the subject's: another cannot come with its id, and a batch pushed under it does not stop it.
func TestServiceDevice(t *testing.T) {
	w := newWorld(t)
	v, err := w.hub.as("anna", change.Nonce{}, "x", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.hub.Claim(w.ctx, v.Device, "bert"); codeOf(err) != Forbidden {
		t.Errorf("another subject has it: %v", err)
	}
	rec, err := readDevice(w.ctx, w.hub.tables, v.Device)
	if err != nil {
		t.Fatal(err)
	}
	_, b := raw(t, v.Device, 2, rec.Hash, putOf("x", v))
	if vs, err := w.hub.Accept(w.ctx, []Incoming{{Device: v.Device, Bytes: b}}); err != nil || vs[0].Kind != Accepted {
		t.Fatal(err, vs)
	}
	if v, err = w.hub.as("anna", change.Nonce{}, "x", 2); err != nil || v.Gen != 3 {
		t.Errorf("%v %v", v, err)
	}
	stolen := w.hub.serviceDevice("carl")
	if err := w.hub.Claim(w.ctx, stolen, "bert"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.hub.as("carl", change.Nonce{}, "x", 3); codeOf(err) != Forbidden {
		t.Errorf("%v", err)
	}
}

// What is expected of objects holds when the batch gets its place, or nothing is written: of many who count, each counts once.
func TestWriteAsChecks(t *testing.T) {
	w := newWorld(t)
	missing := Check{Key: key("n")}
	v, err := w.hub.as("anna", change.Nonce{}, "n", int64(0), missing)
	if err != nil {
		t.Fatal(err)
	}
	before := w.hub.State()
	for _, c := range []Check{missing, {Key: key("n"), Frontier: []change.Version{{Device: v.Device, Gen: 9}}}, {Key: key("other"), Frontier: []change.Version{v}}} {
		if _, err := w.hub.as("anna", change.Nonce{}, "n", int64(5), c); !errors.Is(err, ErrChanged) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if now := w.hub.State(); now.Commit != before.Commit || now.Marker != before.Marker {
		t.Error("what was not written was stored")
	}
	hub := w.start(&node{w: w, st: w.hub.st.Clone(), role: RoleHub, real: true})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for done := 0; done < 20; {
				e, _, err := hub.Get(w.ctx, key("n"))
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := change.DecodeValue(e.Value)
				_, err = hub.as(fmt.Sprint("service", i%3), change.Nonce{}, "n", n.(int64)+1, Check{Key: key("n"), Frontier: e.Frontier})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, ErrChanged):
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	hub.want("n", "160")
	hub.check()
}

// A write that comes again is written once: at the same time, later, after a crash, and whatever others wrote meanwhile. Its name is
// not another's.
func TestWriteAsAgain(t *testing.T) {
	w := newWorld(t)
	was := map[uint64]change.Version{}
	again := func(i uint64) {
		t.Helper()
		before := w.hub.Head()
		v, err := w.hub.as("anna", change.Nonce{Tab: [8]byte{byte(i), byte(i >> 8), 1}, Counter: 1 + i}, fmt.Sprint(i), i)
		if want, known := was[i]; known && (err != nil || v != want || w.hub.Head() != before) {
			t.Fatalf("%d again: %v %v, want %v", i, v, err, want)
		}
		was[i] = v
	}
	for i := range uint64(30) {
		again(i)
		again(i)
		again(i / 2)
		if _, err := w.hub.as("bert", change.Nonce{Tab: [8]byte{byte(i), 0, 1}, Counter: 1 + i}, "b", i); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			w.hub.crash()
		}
	}
	before := w.hub.Head()
	if _, err := w.hub.as("anna", change.Nonce{Tab: [8]byte{5, 0, 1}, Counter: 99}, "5", 0); codeOf(err) != Invalid || w.hub.Head() != before {
		t.Errorf("another write of the same name: %v", err)
	}

	// Of those that come at once one is written, also where the commit had to be tried again one by one.
	hub := w.start(&node{w: w, st: w.hub.st.Clone(), role: RoleHub, real: true})
	before = hub.Head()
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			if _, err := hub.as("anna", change.Nonce{Tab: [8]byte{0xff, byte(i % 4)}, Counter: 7}, "once", i%4); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := hub.Head().Seq - before.Seq; n != 4 {
		t.Errorf("4 writes that came 10 times each have %d places", n)
	}

	// The names of old writes are forgotten, not those of the last thousand.
	for i := uint64(30); i < 30+maxServed+5; i++ {
		again(i)
	}
	w.hub.crash()
	again(36)
	if _, err := w.hub.as("anna", change.Nonce{Tab: [8]byte{1, 0, 1}, Counter: 2}, "1", 1); err != nil {
		t.Error(err)
	}
}

// Who asks now and then for what is new gets each batch once, from the place where a view stood, and no wait.
func TestWatchOnce(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", 0)
	w.sync(a)
	v, err := w.hub.View()
	if err != nil {
		t.Fatal(err)
	}
	at := v.Marker()
	v.Release()
	for round := range 4 {
		if round%2 == 0 {
			a.put("x", round)
			w.sync(a)
		} else if _, err := w.hub.as("anna", change.Nonce{}, "x", round); err != nil {
			t.Fatal(err)
		}
		if round == 2 {
			w.hub.crash()
		}
		var got []string
		for e, err := range w.hub.Watch(w.ctx, WatchOptions{From: at, Once: true}) {
			if err != nil || e.Initial || len(e.Changes) != 1 {
				t.Fatal(e, err)
			}
			got, at = append(got, fmt.Sprintf("%x", e.Changes[0].Value)), e.Marker
		}
		equalStrings(t, got, []string{fmt.Sprintf("%x", value(round))})
	}
}
