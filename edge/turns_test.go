package edge

import (
	"context"
	"testing"
	"testing/synctest"

	"vsync/core"
	"vsync/core/change"
)

// slowStore holds an Accept back until it is let go.
type slowStore struct {
	Replica
	entered, release chan struct{}
	settled          chan struct{}
}

func (s *slowStore) Accept(ctx context.Context, in []core.Incoming) ([]core.Verdict, error) {
	close(s.entered)
	<-s.release
	return s.Replica.Accept(ctx, in)
}

func (s *slowStore) Settlement(ctx context.Context, d change.DeviceID, base change.Generation, hash change.Hash, own []change.Hash) (change.Generation, change.Generation, change.Hash, error) {
	select {
	case <-s.entered:
		close(s.settled)
	default:
	}
	return s.Replica.Settlement(ctx, d, base, hash, own)
}

// TestPushUnderWayCountsAtTheNextHello: a device pushes, its socket dies while the hub stores, and it comes again: what it is told
// contains the batch, or the batch is never stored.
func TestPushUnderWayCountsAtTheNextHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{Replica: newFake(), entered: make(chan struct{}), release: make(chan struct{}), settled: make(chan struct{})}
		h := NewHub(s, Config{Database: "db"})
		d := newDevice('A')
		d.write(1)
		d.conn = h.Connect(0, Peer{})
		if err := d.conn.Receive(t.Context(), 0, frame(d.hello())); err != nil {
			t.Fatal(err)
		}
		go d.push(t.Context(), 0, 1, 1, 1000)
		<-s.entered
		d.conn.Close()
		again := h.Connect(0, Peer{})
		greeted := make(chan error, 1)
		go func() { greeted <- again.Receive(t.Context(), 0, frame(d.hello())) }()
		synctest.Wait()
		select {
		case <-s.settled:
			t.Error("the device was told what the hub has while its push was being stored")
		default:
		}
		close(s.release)
		if err := <-greeted; err != nil {
			t.Fatal(err)
		}
		if again.last != 1 {
			t.Errorf("the device is told of generation %d, and the hub has 1", again.last)
		}
	})
}

// slowHello holds the second Settlement back until it is let go.
type slowHello struct {
	Replica
	hellos           int
	entered, release chan struct{}
}

func (s *slowHello) Settlement(ctx context.Context, d change.DeviceID, base change.Generation, hash change.Hash, own []change.Hash) (change.Generation, change.Generation, change.Hash, error) {
	if s.hellos++; s.hellos == 2 {
		close(s.entered)
		<-s.release
	}
	return s.Replica.Settlement(ctx, d, base, hash, own)
}

// TestPushBehindTheNextHelloIsDropped: a device comes again, and while it is being told what the hub has, a push of its older
// connection arrives. It is not stored any more, or the device would not know of it, and could write it again under a new id.
func TestPushBehindTheNextHelloIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowHello{Replica: newFake(), entered: make(chan struct{}), release: make(chan struct{})}
		h := NewHub(s, Config{Database: "db"})
		d := newDevice('A')
		d.write(1)
		d.conn = h.Connect(0, Peer{})
		if err := d.conn.Receive(t.Context(), 0, frame(d.hello())); err != nil {
			t.Fatal(err)
		}
		again := h.Connect(0, Peer{})
		greeted := make(chan error, 1)
		go func() { greeted <- again.Receive(t.Context(), 0, frame(d.hello())) }()
		<-s.entered
		pushed := make(chan struct{})
		go func() {
			d.push(t.Context(), 0, 1, 1, 1000)
			close(pushed)
		}()
		synctest.Wait()
		close(s.release)
		if err := <-greeted; err != nil {
			t.Fatal(err)
		}
		<-pushed
		if head := s.Head().Seq; head != 0 || again.last != 0 {
			t.Errorf("the device was told of generation %d, and the feed ends at %d", again.last, head)
		}
	})
}
