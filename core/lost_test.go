package core

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"vsync/core/store"
)

// lostWorld is a device with unsent batches that span segments before its checkpoint, of which the hub may have the first ones already.
func lostWorld(t *testing.T, atHub int) (a, b *node, values map[string]string) {
	w := newWorld(t)
	a, b = w.device(), w.device()
	a.put("before", 1)
	w.sync(a, b)
	b.put("shared", "b's")
	w.sync(a, b)
	values = map[string]string{"before": "1", "shared": "a's"}
	a.put("shared", "a's")
	for i := range 24 {
		k, v := fmt.Sprint("u", i%20), fmt.Sprintf("value %d %s", i, strings.Repeat("x", 700))
		a.put(k, v)
		values[k] = v
	}
	if atHub > 0 {
		from := a.hello()
		gens, batches, err := a.Unsent(w.ctx, from, 1<<30)
		if err != nil || len(gens) <= atHub {
			t.Fatal(len(gens), err)
		}
		var in []Incoming
		for _, b := range batches[:atHub] {
			in = append(in, Incoming{Device: a.State().Device, Bytes: b})
		}
		if _, err := w.hub.Accept(w.ctx, in); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.put("after", "the checkpoint")
	values["after"] = "the checkpoint"
	if err := a.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	return a, b, values
}

// Segments before the checkpoint are damaged, with batches that the hub has not got, or has got and the device does not know it: what
// they wrote is in the pages, and goes to the hub once, and all that was written after them.
func TestUnsentBatchInADamagedSegment(t *testing.T) {
	lost := 0
	for _, atHub := range []int{0, 5, 20} {
		a, _, _ := lostWorld(t, atHub)
		rows, err := a.st.Scan(a.w.ctx, store.Range{From: []byte{'L'}, To: a.startOf(t)})
		if err != nil || len(rows) < 4 {
			t.Fatal(err, len(rows))
		}
		for i := range rows {
			t.Run(fmt.Sprintf("%d at the hub, segment %d", atHub, i), func(t *testing.T) {
				a, b, values := lostWorld(t, atHub)
				w, before := a.w, lost
				a.Kill()
				a.st = a.st.Clone()
				tx := &store.Tx{}
				bad := bytes.Clone(rows[i].Value)
				bad[len(bad)/2] ^= 4
				tx.Put(rows[i].Key, bad)
				if err := a.st.Commit(w.ctx, tx); err != nil {
					t.Fatal(err)
				}
				a.open()
				for k, v := range values {
					a.want(k, v)
				}
				for round := range 3 { // as the watcher does it: push, and where a batch is lost, learn what the hub has, and re-enter
					from := a.hello()
					for {
						gens, batches, err := a.Unsent(w.ctx, from, 4096)
						if IsLost(err) && round < 2 {
							lost++
							a.pull()
							if err := a.Reenter(w.ctx); err != nil {
								t.Fatal(err)
							}
							break
						}
						if err != nil {
							t.Fatal(err)
						}
						if len(gens) == 0 {
							break
						}
						var in []Incoming
						for _, b := range batches {
							in = append(in, Incoming{Device: a.State().Device, Bytes: b})
						}
						vs, err := w.hub.Accept(w.ctx, in)
						if err != nil {
							t.Fatal(err)
						}
						for _, v := range vs {
							if v.Kind == Refused || v.Kind == Voided {
								t.Fatal(v)
							}
						}
						from = gens[len(gens)-1] + 1
					}
				}
				a.pull()
				b.pull()
				for k, v := range values {
					a.want(k, v)
					b.want(k, v)
				}
				if x, y := a.dump(), b.dump(); x != y {
					t.Errorf("replicas differ:\n%s\n--\n%s", x, y)
				}
				b.check()
				a.Kill()
				a.open()
				for k, v := range values {
					a.want(k, v)
				}
				listed, err := a.Damage(w.ctx)
				if err != nil || (len(listed) > 0) != (lost > before) {
					t.Errorf("%d lost batches, listed: %v, %v", lost-before, listed, err)
				}
				if s := a.State(); s.Pending > 0 {
					t.Errorf("%d are pending", s.Pending)
				}
			})
		}
	}
	if lost == 0 {
		t.Error("no batch was lost")
	}
	t.Log(lost, "times a batch could not be sent")
}
