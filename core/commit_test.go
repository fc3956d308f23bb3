package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/store"
)

// gate is a store whose commits wait until they are let through, so that a group can gather behind one.
type gate struct {
	store.Store
	mu     sync.Mutex
	shut   chan struct{} // nil: open
	fail   func(tx *store.Tx) error
	strict []bool // of each commit
	begun  chan struct{}
}

func newGate(st store.Store) *gate { return &gate{Store: st, begun: make(chan struct{}, 1000)} }

func (g *gate) close() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shut := make(chan struct{})
	g.shut = shut
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.shut = nil
		close(shut)
	}
}

func (g *gate) Commit(ctx context.Context, tx *store.Tx) error {
	g.mu.Lock()
	shut, fail := g.shut, g.fail
	g.strict = append(g.strict, tx.Durability == store.Strict)
	g.mu.Unlock()
	g.begun <- struct{}{}
	if shut != nil {
		<-shut
	}
	if fail != nil {
		if err := fail(tx); err != nil {
			return err
		}
	}
	return g.Store.Commit(ctx, tx)
}

// behindGate opens a device with real goroutines whose first commit hangs in the store; what calls start now waits for it.
func behindGate(t *testing.T) (n *node, g *gate, open func()) {
	t.Helper()
	w := newWorld(t)
	n = w.asyncDevice()
	n.Kill()
	g = newGate(n.st)
	r, err := Open(t.Context(), g, n.config())
	if err != nil {
		t.Fatal(err)
	}
	n.Replica = r
	for len(g.begun) > 0 {
		<-g.begun
	}
	open = g.close()
	go r.Put(context.Background(), key("first"), value("first"))
	<-g.begun
	return n, g, open
}

// later starts calls that queue up behind the gate, one after the other, and returns what they will return.
func (n *node) later(calls ...func() error) []chan error {
	var out []chan error
	for _, call := range calls {
		before := n.waiting()
		done := make(chan error, 1)
		go func() { done <- call() }()
		for n.waiting() == before {
			time.Sleep(10 * time.Microsecond)
		}
		out = append(out, done)
	}
	return out
}

func (n *node) waiting() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue)
}

func (n *node) putter(id, v string) func() error {
	return func() error {
		_, err := n.Put(context.Background(), key(id), value(v))
		return err
	}
}

func TestQuotaOfOneFailsNoNeighbour(t *testing.T) {
	n, g, open := behindGate(t)
	big := string(make([]byte, 10_000))
	g.fail = func(tx *store.Tx) error {
		if tx.Bytes() > 10_000 {
			return store.ErrQuota
		}
		return nil
	}
	done := n.later(n.putter("a", "1"), n.putter("big", big), n.putter("b", "2"))
	open()
	for i, want := range []Code{"", Quota, ""} {
		if err := <-done[i]; codeOf(err) != want || want == "" && err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	n.want("a", "1")
	n.want("b", "2")
	n.want("big", "-")
	if s := n.State(); s.LastGen != 3 {
		t.Errorf("generation %d: the refused write took one", s.LastGen)
	}
	n.check()
}

func TestStrictMakesItsGroupStrict(t *testing.T) {
	n, g, open := behindGate(t)
	strict := store.Strict
	done := n.later(n.putter("a", "1"), func() error {
		_, err := n.Write(context.Background(), Write{Ops: []Op{{Key: key("b"), Value: value("2")}}, Durability: &strict})
		return err
	}, n.putter("c", "3"))
	open()
	for _, d := range done {
		if err := <-d; err != nil {
			t.Error(err)
		}
	}
	if k := len(g.strict); k < 2 || !g.strict[k-1] || g.strict[k-2] {
		t.Errorf("commits were strict: %v, want only the last", g.strict)
	}
	if s := n.State(); s.Commit != 2 {
		t.Errorf("%d commits, want the first and the group", s.Commit)
	}
}

// What a check ran into is told when it is stored, and not at all where it is not.
func TestChangedIsToldAfterTheChange(t *testing.T) {
	n, g, open := behindGate(t)
	big := string(make([]byte, 10_000))
	g.fail = func(tx *store.Tx) error {
		if tx.Bytes() > 10_000 {
			return store.ErrQuota
		}
		return nil
	}
	done := n.later(n.putter("x", big), func() error {
		_, err := n.Write(context.Background(), Write{Ops: []Op{{Key: key("x"), Value: value("mine")}}, Checks: []Check{{Key: key("x")}}})
		return err
	})
	open()
	if err := <-done[0]; codeOf(err) != Quota {
		t.Errorf("the first: %v", err)
	}
	if err := <-done[1]; err != nil {
		t.Errorf("x was never written, and the check says: %v", err)
	}
	n.want("x", "mine")

	for len(g.begun) > 0 { // of the commits before
		<-g.begun
	}
	open = g.close()
	go n.Put(context.Background(), key("first"), value("again"))
	<-g.begun
	g.fail = nil
	seen := make(chan string, 1)
	e, _, _ := n.Get(t.Context(), key("x"))
	done = n.later(n.putter("x", "theirs"), func() error {
		_, err := n.Write(context.Background(), Write{Ops: []Op{{Key: key("x"), Value: value("mine")}}, Checks: []Check{{Key: key("x"), Frontier: e.Frontier}}})
		seen <- n.get("x")
		return err
	})
	open()
	if err := <-done[1]; !errors.Is(err, ErrChanged) {
		t.Errorf("the check held: %v", err)
	}
	if got := <-seen; got != "theirs" {
		t.Errorf("told that x has changed, one reads %s", got)
	}
}

func TestContextOfAWrite(t *testing.T) {
	n, _, open := behindGate(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Put(ended, key("a"), value("1")); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	queued, cancel := context.WithCancel(t.Context())
	done := n.later(func() error {
		_, err := n.Put(queued, key("b"), value("1"))
		return err
	}, n.putter("c", "1"))
	cancel()
	if err := <-done[0]; !errors.Is(err, context.Canceled) {
		t.Errorf("while it waits: %v", err)
	}
	open()
	if err := <-done[1]; err != nil {
		t.Errorf("the one behind it: %v", err)
	}
	n.want("a", "-")
	n.want("b", "-")
	n.want("c", "1")

	// One whose commit is under way is carried to its end, and says how it ended.
	n, _, open = behindGate(t)
	flying, cancel := context.WithCancel(t.Context())
	done = n.later(n.putter("c", "1"))
	open2 := make(chan error, 1)
	go func() {
		_, err := n.Put(flying, key("d"), value("1"))
		open2 <- err
	}()
	for n.waiting() < 2 {
		time.Sleep(time.Microsecond)
	}
	open()
	if err := <-done[0]; err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-open2; err == nil {
		n.want("d", "1")
	} else {
		n.want("d", "-")
	}
}

func TestLostStoreTakesNoMore(t *testing.T) {
	n, g, open := behindGate(t)
	g.fail = func(*store.Tx) error { return fmt.Errorf("unplugged: %w", store.ErrLost) }
	done := n.later(n.putter("a", "1"), n.putter("b", "1"))
	open()
	for _, d := range done {
		if err := <-d; codeOf(err) != StorageLost {
			t.Errorf("%v", err)
		}
	}
	g.fail = nil
	if err := n.putter("c", "1")(); codeOf(err) != StorageLost {
		t.Errorf("a write after the loss: %v", err)
	}
	if n.State().Failed == nil {
		t.Error("the state does not say so")
	}
	n.get("a") // reading goes on
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

func TestCloseAtAnyTime(t *testing.T) {
	for range 50 {
		w := newWorld(t)
		n := w.asyncDevice()
		var wg sync.WaitGroup
		stored := make([]change.Version, 4)
		for i := range stored {
			wg.Go(func() {
				for j := range 50 {
					rec, err := n.Put(context.Background(), key(fmt.Sprint(i, j)), value(j))
					if err != nil {
						if codeOf(err) != Closed {
							t.Errorf("%v", err)
						}
						return
					}
					stored[i] = rec.Version
				}
			})
		}
		wg.Go(func() {
			for _, err := range n.Watch(context.Background(), WatchOptions{}) {
				if err != nil && codeOf(err) != Closed {
					t.Errorf("the watcher ended with %v", err)
				}
			}
		})
		wg.Go(func() {
			if err := n.WaitSynced(context.Background(), change.Version{Device: n.State().Device, Gen: 1}); codeOf(err) != Closed && codeOf(err) != Invalid {
				t.Errorf("the wait ended with %v", err)
			}
		})
		for range 3 {
			wg.Go(func() {
				if err := n.Close(); err != nil {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		n.st = n.st.Clone()
		n.open()
		last := n.State().LastGen
		for _, v := range stored {
			if v.Gen > last {
				t.Fatalf("generation %d was confirmed, and %d is the last stored", v.Gen, last)
			}
		}
		n.check()
	}
}

// What was confirmed before the engine died is there; the store may hold more than that, and it is whole.
func TestKillAtAnyTime(t *testing.T) {
	for range 50 {
		w := newWorld(t)
		n := w.asyncDevice()
		n.Kill()
		n.cp = 3000
		n.open()
		var wg sync.WaitGroup
		var last [4]change.Version
		for i := range last {
			wg.Go(func() {
				for j := 0; ; j++ {
					rec, err := n.Put(context.Background(), key(fmt.Sprint(i, j%10)), value(j))
					if err != nil {
						if codeOf(err) != Closed {
							t.Errorf("%v", err)
						}
						return
					}
					last[i] = rec.Version
				}
			})
		}
		wg.Go(func() {
			for _, err := range n.Watch(context.Background(), WatchOptions{}) {
				if err != nil && codeOf(err) != Closed {
					t.Errorf("the watcher ended with %v", err)
				}
			}
		})
		for n.State().Commit < 20 {
			time.Sleep(10 * time.Microsecond)
		}
		n.Kill()
		wg.Wait()
		n.st = n.st.Clone()
		n.open()
		n.check()
		for _, v := range last {
			if v.Gen > n.State().LastGen {
				t.Fatalf("generation %d was confirmed, and %d is the last stored", v.Gen, n.State().LastGen)
			}
		}
	}
}

func TestClosedReplicaRefuses(t *testing.T) {
	w := newWorld(t)
	n := w.device()
	n.put("x", "1")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, err1 := n.Put(ctx, key("x"), value("2"))
	_, _, err2 := n.Get(ctx, key("x"))
	_, err3 := n.Problems(ctx)
	_, err4 := n.Check(ctx)
	_, err5 := n.Hello(ctx)
	_, _, err6 := n.Unsent(ctx, 1, 100)
	errs := []error{err1, err2, err3, err4, err5, err6, n.Checkpoint(ctx), n.Dismiss(ctx, change.Version{}), n.Reenter(ctx),
		n.WaitSynced(ctx, change.Version{Device: n.State().Device, Gen: 1}), n.Synced(ctx), n.Apply(ctx, []Arrival{{Seq: 1}}, change.Hash{})}
	for i, err := range errs {
		if codeOf(err) != Closed {
			t.Errorf("call %d: %v", i, err)
		}
	}
	for _, err := range n.Scan(ctx, ScanRange{}) {
		if codeOf(err) != Closed {
			t.Errorf("scan: %v", err)
		}
	}
	for _, err := range n.History(ctx, key("x")) {
		if codeOf(err) != Closed {
			t.Errorf("history: %v", err)
		}
	}
	for _, err := range n.Watch(ctx, WatchOptions{From: FromNow}) {
		if codeOf(err) != Closed {
			t.Errorf("watch: %v", err)
		}
	}
}

// A checkpoint that failed, or was under way, is not taken for one that was written.
func TestCheckpointAfterOneThatFailed(t *testing.T) {
	w := newWorld(t)
	n := w.device()
	n.Kill()
	f := store.NewFaulty(n.st)
	r, err := Open(t.Context(), f, n.config())
	if err != nil {
		t.Fatal(err)
	}
	n.Replica = r
	n.put("x", "1")
	f.SetFull(true)
	if err := r.Checkpoint(t.Context()); codeOf(err) != Quota {
		t.Fatalf("a checkpoint on a full disk: %v", err)
	}
	f.Release()
	if err := r.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.tables.Bytes() != 0 {
		t.Error("nothing was written")
	}
	rows, err := n.st.Scan(t.Context(), store.Range{From: []byte("P"), To: []byte("Q")})
	if err != nil || len(rows) == 0 {
		t.Errorf("%d pages, %v", len(rows), err)
	}
	n.crash()
	n.want("x", "1")
}
