package core

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"vsync/core/store"
)

// TestCheckpointBesideReaders: a checkpoint takes nothing from a reader who has all that was written. One who has not loses his
// place, and a checkpoint that is only tried lets him finish.
func TestCheckpointBesideReaders(t *testing.T) {
	w := newWorld(t)
	n := w.local()
	const objects = 3000
	for i := range objects {
		n.put(fmt.Sprintf("%05d", i), i)
	}
	if err := n.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < objects; i += 7 {
		n.put(fmt.Sprintf("%05d", i), i)
	}
	// read reads all, calls between when it has begun, and returns how far it came.
	read := func(between func()) (came int, err error) {
		for _, err := range n.Scan(w.ctx, ScanRange{Collection: key("").Collection}) {
			if err != nil {
				return came, err
			}
			if came++; came == 10 {
				between()
			}
		}
		return came, nil
	}
	try := func(want bool) {
		t.Helper()
		if done, err := n.TryCheckpoint(w.ctx); done != want || err != nil {
			t.Errorf("a checkpoint was tried: done is %v, want %v; %v", done, want, err)
		}
	}
	if came, err := read(func() { try(true) }); came != objects || err != nil {
		t.Errorf("a reader of the present state came to %d of %d: %v", came, objects, err)
	}
	if came, err := read(func() { n.put("00001", "new"); try(false) }); came != objects || err != nil {
		t.Errorf("a reader of an older state came to %d of %d: %v", came, objects, err)
	}
	try(true)
	_, err := read(func() {
		n.put("00001", "newer")
		if err := n.Checkpoint(w.ctx); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, &Error{Code: Aborted}) {
		t.Errorf("a reader of an older state, beside a checkpoint that does not wait: %v", err)
	}
	n.check()
}

// What stands behind the stored checkpoint is known after opening too, so that a replica that is opened often knows when the next is due.
func TestLogBehindTheCheckpoint(t *testing.T) {
	w := newWorld(t)
	n := w.local()
	const each = 10_000
	write := func(id string) { n.put(id, strings.Repeat("v", each)) }
	expect := func(what string, writes int) {
		t.Helper()
		if got := n.State().LogBehind; got < int64(writes*each) || got > int64(writes*each+each/2) {
			t.Errorf("%s: %d bytes are behind the checkpoint, expected those of %d writes", what, got, writes)
		}
	}
	write("1")
	expect("a write", 1)
	n.crash()
	expect("opened", 1)
	write("2")
	n.crash()
	write("3")
	expect("opened and written, twice", 3)
	if err := n.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	expect("a checkpoint", 0)
	write("4")
	expect("a write behind it", 1)
	n.crash()
	expect("opened again", 1)
}

// TestCheckpointKeepsPace: where each commit brings more than a step of the checkpoint takes, and all of it behind what is there or all over it, neither
// memory nor the log behind the checkpoint grows with what was written.
func TestCheckpointKeepsPace(t *testing.T) {
	const behind, step, each, batches = 64 << 10, 16 << 10, 64, 200
	for name, id := range map[string]func(i int) string{
		"ascending": func(i int) string { return fmt.Sprintf("%06d", i) },
		"in between": func(i int) string { // behind the first of them, and before all others
			return []string{"", "z"}[max(0, 1-i/(20*each))] + fmt.Sprintf("%06d", i)
		},
		"scattered": func(i int) string { return fmt.Sprintf("%06d", i*7919%(each*batches)) },
		"the same":  func(i int) string { return fmt.Sprint(i % (3 * each)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			n := w.local()
			n.Kill()
			c := n.config()
			c.CheckpointBytes, c.StepBytes = behind, step
			var err error
			if n.Replica, err = Open(w.ctx, n.st, c); err != nil {
				t.Fatal(err)
			}
			text := strings.Repeat("v", 1000)
			var held int
			var log int64
			for i := range batches {
				write := Write{Ops: make([]Op, each)}
				for k := range write.Ops {
					write.Ops[k] = Op{Key: key(id(i*each + k)), Value: value(text)}
				}
				if _, err := n.Write(w.ctx, write); err != nil {
					t.Fatal(err)
				}
				held, log = max(held, n.tables.Bytes()), max(log, n.State().LogBehind)
			}
			if most := heldFactor * behind; held > most {
				t.Errorf("%d bytes stood in memory alone, expected %d at most", held, most)
			}
			if most := int64(4*heldFactor*behind + 2*each*1100); log > most || log < behind {
				t.Errorf("%d bytes of the log were behind the checkpoint, expected %d to %d", log, behind, most)
			}
			n.crash()
		})
	}
}

// TestCheckpointOfConfirmations: what confirms a write is little in the log, and all of its object in memory.
func TestCheckpointOfConfirmations(t *testing.T) {
	const behind, objects = 64 << 10, 100
	w := newWorld(t)
	n := w.start(&node{w: w, st: store.NewMemory(), feed: true, cp: behind})
	text := strings.Repeat("v", 8000)
	for i := range objects {
		n.put(fmt.Sprintf("%03d", i), text)
	}
	n.push()
	if err := n.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	n.pull()
	if held, most := n.tables.Bytes(), heldFactor*behind; held > most {
		t.Errorf("%d bytes stood in memory alone, expected %d at most", held, most)
	}
	n.crash()
}

// TestNoCheckpointBeforeItsPlace: an engine has read much of what others wrote, and is asked for nothing that it writes. A checkpoint of it would say that a
// dead engine's commit counts, in whose place another's may still come.
func TestNoCheckpointBeforeItsPlace(t *testing.T) {
	w := newWorld(t)
	a := w.local()
	for i := range 20 {
		a.put(fmt.Sprint(i), strings.Repeat("v", 1000))
	}
	a.Kill()
	b := w.start(&node{w: w, st: a.st})
	st := b.st.Clone() // in which nothing of b has landed
	b.put("x", "b")
	b.Kill()
	c := w.start(&node{w: w, st: st})
	late := &store.Tx{}
	copyRows := func(tx *store.Tx, table byte) {
		rows, err := c.st.Scan(w.ctx, store.Range{From: []byte{table}, To: []byte{table + 1}})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			tx.Put(r.Key, r.Value)
		}
	}
	fence := &store.Tx{}
	copyRows(fence, 'S')
	c.put("x", "c")
	copyRows(late, 'L')
	c.Kill()
	if err := b.st.Commit(w.ctx, fence); err != nil {
		t.Fatal(err)
	}
	d := w.start(&node{w: w, st: b.st, cp: 3000})
	d.want("x", "b")
	refused := errors.New("refused")
	if err := d.submit(w.ctx, &request{form: func(*stage) error { return refused }}); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	d.Kill()
	if err := d.st.Commit(w.ctx, late); err != nil {
		t.Fatal(err)
	}
	e := w.start(&node{w: w, st: d.st})
	e.check()
	e.want("x", "c")
}

// TestOpenedAndClosedOften: a place in the log is taken where there is something to write into pages, and not at every opening.
func TestOpenedAndClosedOften(t *testing.T) {
	w := newWorld(t)
	a, l := w.device(), w.local()
	a.put("x", 1)
	l.put("x", 1)
	w.sync(a)
	b := w.device()
	w.sync(b)
	for name, n := range map[string]*node{"hub": w.hub, "device": a, "reader": b, "local": l} {
		v, err := n.View()
		if err != nil {
			t.Fatal(err)
		}
		marker := v.Marker()
		v.Release()
		n.crash()
		was := n.State()
		for i := range 4 {
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			n.st = n.st.Clone()
			n.open()
			n.check()
			is := n.State()
			if is.Commit > was.Commit+1 || is.LogBehind != 0 || is.Marker != was.Marker {
				t.Errorf("%s: closed %d times: %+v, expected as it was, and no more than a commit more: %+v", name, i+1, is, was)
			}
		}
		if n.want("x", "1"); n == w.hub {
			continue
		}
		n.put("y", 2)
		for e, err := range n.Watch(w.ctx, WatchOptions{From: marker}) {
			if err != nil || e.Initial || len(e.Changes) != 1 || e.Changes[0].Key != key("y") {
				t.Errorf("%s: %+v, %v", name, e, err)
			}
			break
		}
	}
}
