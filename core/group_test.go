package core

import (
	"context"
	"testing"

	"vsync/core/change"
)

// TestARefusedFeedLeavesItsGroupAlone: what of the feed was taken up before the fault showed is taken back, though the commit in
// which that happened is stored, for its neighbours' sake.
func TestARefusedFeedLeavesItsGroupAlone(t *testing.T) {
	n, g, open := behindGate(t)
	open()
	other := n.w.device()
	other.put("x", "theirs")
	other.put("y", "theirs")
	other.push()
	es, err := n.w.hub.ReadFeed(n.w.ctx, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	n.hello()
	for len(g.begun) > 0 {
		<-g.begun
	}
	open = g.close()
	go n.Put(context.Background(), key("second"), value("second"))
	<-g.begun
	arrivals := []Arrival{{Seq: 1, Entry: es[0].Entry}, {Seq: 2, Entry: es[1].Entry}}
	apply := func(after change.Hash) func() error {
		return func() error { return n.Apply(context.Background(), arrivals, after) }
	}
	done := n.later(n.putter("a", "1"), apply(es[0].Hash), n.putter("b", "2"))
	open()
	for i, want := range []Code{"", WrongHash, ""} {
		if err := <-done[i]; codeOf(err) != want || want == "" && err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	commits := len(g.strict)
	if s := n.State(); s.Marker.Seq != 0 || s.LastGen != 4 {
		t.Errorf("after a feed that was refused: %+v", s)
	}
	n.want("x", "-")
	n.crash()
	n.want("b", "2")
	if err := apply(es[1].Hash)(); err != nil {
		t.Error(err)
	}
	n.want("y", "theirs")
	n.check()
	if commits > 5 {
		t.Errorf("%d commits: the three requests were no group, so this proves nothing", commits)
	}
}

// TestAFeedThatBreaksAChain: the hub's running hash says that an entry is its own, and the device's chain that the batch in it does
// not follow the one before.
func TestAFeedThatBreaksAChain(t *testing.T) {
	n := newWorld(t).device()
	n.hello()
	d := change.DeviceID{7}
	put := func(id string) change.Mutation {
		return change.Mutation{Kind: change.Put, Key: key(id), Value: value("v")}
	}
	first, one := raw(t, d, 1, change.Hash{}, put("x"))
	_, two := raw(t, d, 2, first, put("x"))
	_, stray := raw(t, d, 2, change.Hash{1}, put("x"))
	running := change.Hash{}
	arrive := func(seq uint64, batch []byte) (Arrival, change.Hash) {
		h, _, err := change.DecodeHeader(batch)
		if err != nil {
			t.Fatal(err)
		}
		e := change.NewBatchEntry(&h, batch, change.Annotation{Accepted: 1})
		bytes, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return Arrival{Seq: seq, Entry: bytes}, e.FeedHash(running)
	}
	apply := func(seq uint64, batch []byte, want Code) {
		t.Helper()
		before := n.State()
		a, after := arrive(seq, batch)
		err := n.Apply(n.w.ctx, []Arrival{a}, after)
		if codeOf(err) != want || want == "" && err != nil {
			t.Errorf("sequence %d: %v", seq, err)
		}
		if err == nil {
			running = after
		} else if s := n.State(); s != before {
			t.Errorf("it was refused, and %+v became %+v", before, s)
		}
	}
	apply(1, one, "")
	apply(2, stray, WrongHash)
	apply(2, two, "")
	n.crash()
}
