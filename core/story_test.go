package core

import (
	"testing"

	"vsync/core/store"
)

// Stories that the simulation has told first: each is the shortest that shows what was wrong.

// reopenWith kills the engine, and opens what is stored with faults ahead.
func (n *node) reopenWith(plan ...store.Fault) *store.Faulty {
	n.w.t.Helper()
	n.Kill()
	n.st = n.st.Clone()
	disk := store.NewFaulty(n.st, plan...)
	r, err := Open(n.w.ctx, disk, n.config())
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.Replica = r
	return disk
}

// A checkpoint that the store refused must not be finished by the next write: its pages were never written.
func TestAFailedCheckpointIsBegunAnew(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	a.reopenWith(store.Fault{On: store.Commits, N: 2, Do: store.Fail})
	if err := a.Checkpoint(w.ctx); err == nil {
		t.Fatal("the store failed, and the checkpoint did not")
	}
	a.put("y", "2")
	a.put("z", "3")
	a.crash()
	a.want("x", "1")
	a.want("y", "2")
	w.sync(a)
}
