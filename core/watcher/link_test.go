package watcher

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
)

// slowConn is a connection whose calls return a while after it was closed.
type slowConn struct {
	closed chan struct{}
	inside atomic.Int32
}

func (c *slowConn) wait() error {
	c.inside.Add(1)
	defer c.inside.Add(-1)
	<-c.closed
	time.Sleep(time.Second)
	return wire.ErrClosed
}

func (c *slowConn) Read(context.Context) ([]byte, error) { return nil, c.wait() }
func (c *slowConn) Write(context.Context, []byte) error  { return c.wait() }
func (c *slowConn) Close(code int, reason string) error  { close(c.closed); return nil }

// When a link is closed, nobody is in the connection any more, however long its calls take to return.
func TestALinkWaitsForItsGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowConn{closed: make(chan struct{})}
		l := newLink(c)
		l.send([]byte("x"))
		synctest.Wait()
		if n := c.inside.Load(); n != 2 {
			t.Fatalf("%d calls are under way, want a read and a write", n)
		}
		l.close(wire.CloseNormal, "")
		if n := c.inside.Load(); n != 0 {
			t.Errorf("the link is closed, and %d calls are still under way", n)
		}
	})
}

// skipping is a replica that leaves a generation out of what it gives to be pushed.
type skipping struct{ *fakeReplica }

func (r skipping) Unsent(ctx context.Context, from change.Generation, maxBytes int) ([]change.Generation, [][]byte, error) {
	gens, batches, err := r.fakeReplica.Unsent(ctx, from, maxBytes)
	return gens[1:], batches[1:], err
}

// What the replica gives to be pushed is pushed in order and without gaps, or not at all.
func TestGapsInTheUnsentAreNotPushed(t *testing.T) {
	k := greeted(t, func(k *talk) {
		k.r.put(t, 3)
		k.r.put(t, 3)
		k.s.replica = skipping{k.r}
	})
	k.silent()
	if r := k.s.Result(); r.Outcome != Failed || r.Code != wire.CodeInternal {
		t.Errorf("%+v", r)
	}
}
