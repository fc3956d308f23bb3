package edge

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
)

// Live and catching up at the same time, over and over: writers push, readers come and go at random
// places with random credit, entries are told later than they can be read, and hardly anything stays
// recent. Every device checks that each sequence comes exactly once, in order, with the running hash.
func TestJoinOfLiveAndCatchUp(t *testing.T) {
	everyReplica(t, joinOfLiveAndCatchUp)
}

func joinOfLiveAndCatchUp(t *testing.T, r Replica) {
	const writers, readers, each = 4, 8, 120
	if f, is := r.(*fake); is {
		f.lag = true
	}
	h := NewHub(r, Config{Database: "db", Frame: wire.MinFrameBudget, Recent: 20_000})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range writers + readers {
		all.Go(func() {
			s := &stroller{device: newDevice(byte(100 + i)), hub: h, rand: rand.New(rand.NewPCG(1, uint64(i))), until: writers * each}
			if i < writers {
				s.writes = each
			}
			if err := s.run(ctx); err != nil {
				t.Errorf("device %d at %d: %v", i, s.device.seq, err)
				cancel()
			}
		})
	}
	all.Wait()
	if s := h.Stats(); s.Head != writers*each || s.Connections != 0 {
		t.Errorf("%d batches: %+v", writers*each, s)
	}
	h.recent.mu.Lock()
	defer h.recent.mu.Unlock()
	if h.recent.bytes > 40_000 || len(h.recent.loading) > 0 {
		t.Errorf("%d bytes are recent, %d are being read", h.recent.bytes, len(h.recent.loading))
	}
}

// A stroller is a device that connects for a while, again and again, until it has seen everything.
type stroller struct {
	device *device
	hub    *Hub
	rand   *rand.Rand
	writes int               // batches still to write
	until  uint64            // sequence to get to
	pushed change.Generation // last one pushed on this connection
	pushes int               // on this connection since everything was answered
}

func (s *stroller) run(ctx context.Context) error {
	for s.device.seq < s.until {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	return nil
}

// connect lives through one connection: this goroutine is its reader, another pushes.
func (s *stroller) connect(ctx context.Context) error {
	d := s.device
	d.conn, d.join = s.hub.Connect(0, Peer{}), wire.Joiner{}
	defer d.conn.Close()
	hello := d.hello()
	hello.Credit = uint64(1 + s.rand.IntN(30_000))
	if err := d.conn.Receive(ctx, 0, frame(hello)); err != nil {
		return err
	}
	s.pushed, s.pushes = d.base, 0
	for range 1 + s.rand.IntN(60) {
		if s.busy() && s.rand.IntN(2) == 0 {
			if err := s.push(ctx); err != nil {
				return err
			}
		}
		b, err := s.poll(ctx)
		if b == nil {
			return err
		}
		if _, _, err := d.take(b); err != nil {
			return err
		}
		if s.rand.IntN(3) > 0 && d.seq > 0 {
			if err := d.conn.Receive(ctx, 0, frame(&wire.Seen{Seq: d.seq, Hash: d.hash})); err != nil {
				return err
			}
		}
	}
	return nil
}

// busy reports whether there is something to write or to push.
func (s *stroller) busy() bool { return s.writes > 0 || s.device.last() > s.device.base }

// poll waits for a frame; nil when a device should do something else.
func (s *stroller) poll(ctx context.Context) ([]byte, error) {
	if s.busy() || s.device.seq == s.until {
		return s.device.conn.Poll(ctx)
	}
	wait, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	b, err := s.device.conn.Next(wait)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, nil // no credit, or nothing to come
	}
	return b, err
}

// push sends a few new batches, behind those that the hub may have already; large ones in parts.
func (s *stroller) push(ctx context.Context) error {
	d := s.device
	if d.base >= s.pushed {
		s.pushed, s.pushes = d.base, 0
	}
	for range 1 + s.rand.IntN(3) {
		if s.writes > 0 && d.last()-d.base < 10 {
			d.write(s.rand.IntN(20) * s.rand.IntN(500))
			s.writes--
		}
	}
	from := s.pushed + 1
	if s.pushes += int(d.last() - s.pushed); from > d.last() || s.pushes > wire.MaxPushes {
		return nil
	}
	s.pushed = d.last()
	return d.push(ctx, 0, from, d.last(), wire.MinFrameBudget)
}

// One device, many connections at the same time: the last one lives, and every batch is taken once.
func TestSupersedingUnderConcurrency(t *testing.T) {
	everyReplica(t, supersedingUnderConcurrency)
}

func supersedingUnderConcurrency(t *testing.T, r Replica) {
	h := NewHub(r, Config{Database: "db"})
	origin := newDevice('A')
	for range 50 {
		origin.write(10)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			d := newDevice('A')
			d.batches, d.hashes = origin.batches, origin.hashes
			for range 20 {
				d.seq, d.hash, d.base, d.join = 0, change.Hash{}, 0, wire.Joiner{}
				d.conn = h.Connect(0, Peer{})
				c := d.conn
				if err := c.Receive(context.Background(), 0, frame(d.hello())); err != nil && overIsFine(err) != nil {
					t.Error(err)
				}
				pushAll(t, d, 1)
				drain(t, d)
			}
		})
	}
	all.Wait()
	if s := h.Stats(); s.Head != 50 || s.Connections != 1 || s.Streaming != 1 {
		t.Errorf("got %+v", s)
	}
}
