package core

import (
	"fmt"
	"slices"
	"testing"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/store"
)

// alone sends one batch as a device does that has seen hubs die at it.
func (n *node) alone(gen change.Generation) (Verdict, error) {
	n.w.t.Helper()
	_, batches, err := n.Unsent(n.w.ctx, gen, 1)
	if err != nil {
		n.w.t.Fatal(err)
	}
	vs, err := n.w.hub.Accept(n.w.ctx, []Incoming{{Device: n.State().Device, Bytes: batches[0], Alone: true}})
	if err != nil {
		return Verdict{}, err
	}
	return vs[0], nil
}

// noted says how many batches the hub's log has noted, and how many of these are over.
func (n *node) noted() (trials, tried int) {
	n.w.t.Helper()
	for next := uint64(1); next <= n.State().Commit; next++ {
		recs, err := n.log.Records(n.w.ctx, next)
		if err != nil {
			n.w.t.Fatal(err)
		}
		for _, it := range recs[0].Items {
			switch it.Kind {
			case changelog.ItemTrial:
				trials++
			case changelog.ItemTried:
				tried++
			}
		}
	}
	return trials, tried
}

// dying is a hub's store whose engine dies at its next commit but the first, which notes the batch.
func (w *world) dying() *store.Faulty {
	return store.NewFaulty(w.hub.st, store.Fault{On: store.Commits, N: 3, Do: store.CrashBefore}) // the first is that of opening
}

// A hub's engine dies at a batch that came alone. The next engine knows, and voids it; what the device wrote behind it goes on, and the
// device has the values.
func TestABatchThatKillsHubs(t *testing.T) {
	for _, after := range []string{"a crash", "a checkpoint and a crash"} {
		t.Run(after, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.device(), w.device()
			a.put("x", "1")
			w.sync(a, b)
			poison := a.put("x", "poison")
			a.put("x", "after")
			a.put("y", "other")

			w.hub.Kill()
			w.hub.st = w.hub.st.Clone()
			broken := w.dying()
			r, err := Open(w.ctx, broken, w.hub.config())
			if err != nil {
				t.Fatal(err)
			}
			living := w.hub.Replica
			w.hub.Replica = r
			if v, err := a.alone(poison.Gen); err == nil {
				t.Fatalf("the engine did not die: %+v", v)
			}
			w.hub.Replica = living
			w.hub.crash()
			if after != "a crash" {
				if err := w.hub.Checkpoint(w.ctx); err != nil {
					t.Fatal(err)
				}
				w.hub.crash()
			}
			w.hub.refolded()

			v, err := a.alone(poison.Gen)
			if err != nil || v.Kind != Voided || v.Code != string(Internal) {
				t.Fatalf("%+v, %v", v, err)
			}
			w.hub.crash()
			w.hub.refolded()
			if v, err := a.alone(poison.Gen); err != nil || v.Kind != Duplicate {
				t.Fatalf("%+v, %v", v, err)
			}
			w.sync(a, b)
			b.want("y", "other")
			if ps := a.problems(); !slices.Equal(ps, []change.Version{poison}) {
				t.Fatalf("listed: %v", ps)
			}
			if err := a.WaitSynced(w.ctx, poison); codeOf(err) != Internal {
				t.Fatal(err)
			}
			if _, err := a.Retry(w.ctx, poison); err != nil {
				t.Fatal(err)
			}
			w.sync(a, b)
			b.want("x", "poison")
			if len(w.hub.head.trials) != 0 {
				t.Fatalf("still noted: %v", w.hub.head.trials)
			}
		})
	}
}

// A hub that lives takes a batch that comes alone, however often it comes, before its turn, after it, and where the hub's disk was
// full until it was closed.
func TestAloneIsNoFault(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	a.put("x", "2")
	a.put("x", "3")
	a.hello()
	for range 10 {
		if v, err := a.alone(2); err != nil || v.Kind != Refused {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	if trials, _ := w.hub.noted(); trials != 0 {
		t.Fatal("a batch that is not the next was noted")
	}
	if v, err := a.alone(1); err != nil || v.Kind != Accepted {
		t.Fatalf("%+v, %v", v, err)
	}
	for range 10 {
		if v, err := a.alone(1); err != nil || v.Kind != Duplicate {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	if trials, tried := w.hub.noted(); trials != 1 || tried != 1 {
		t.Fatalf("%d noted, %d over", trials, tried)
	}

	// The disk is full for the batch, and for the note's end too: the engine ends it when it is closed.
	w.hub.Kill()
	w.hub.st = w.hub.st.Clone()
	broken := store.NewFaulty(w.hub.st, store.Fault{On: store.Commits, N: 3, Do: store.Full})
	r, err := Open(w.ctx, broken, w.hub.config())
	if err != nil {
		t.Fatal(err)
	}
	w.hub.Replica = r
	for range 10 {
		if v, err := a.alone(2); codeOf(err) != Quota {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	if len(r.head.trials) != 1 {
		t.Fatalf("noted: %v", r.head.trials)
	}
	broken.Release()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	w.hub.st = w.hub.st.Clone()
	w.hub.open()
	if len(w.hub.head.trials) != 0 {
		t.Fatalf("an engine that was closed left %v", w.hub.head.trials)
	}
	if v, err := a.alone(2); err != nil || v.Kind != Accepted {
		t.Fatalf("%+v, %v", v, err)
	}
	w.sync(a)
	w.hub.refolded()
}

// As many devices as are promised are noted; who comes beyond pushes the oldest out.
func TestTrialsAreBounded(t *testing.T) {
	f := &fold{head: &head{}}
	for i := range maxTrials + 10 {
		f.trying(trial{version: change.Version{Device: change.DeviceID{byte(i)}, Gen: 1}})
		f.trying(trial{version: change.Version{Device: change.DeviceID{byte(i)}, Gen: 2}})
	}
	if n := len(f.head.trials); n != maxTrials || f.head.trials[0].version.Device != (change.DeviceID{10}) {
		t.Fatalf("%d, from %v", n, f.head.trials[0])
	}
	sb := &superblock{role: RoleHub, head: *f.head}
	back, err := parseSuperblock(sb.encode())
	if err != nil || fmt.Sprint(back.head.trials) != fmt.Sprint(f.head.trials) {
		t.Fatal(back, err)
	}
}
