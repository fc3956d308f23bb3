package sim

import (
	"errors"

	"vsync/core/watcher"
	"vsync/core/wire"
	"vsync/edge"
)

// conn is a connection: frames in order, each way, until it ends. Either end can be gone while the other does not know it.
type conn struct {
	s       *Sim
	id      int
	dev     *device // nil when the device has left it
	sess    *watcher.Session
	hub     *edge.Conn // nil when the hub has left it, or died
	up      [][]byte
	down    [][]byte
	stalled uint64 // nothing moves before
	mute    bool   // cut in the middle: what is sent goes nowhere, and nobody is told
	window  int    // frames that a direction holds
}

// errCut is what an end is told when its connection is cut.
var errCut = errors.New("sim: the connection was cut")

func (s *Sim) connect(d *device) *conn {
	s.names++
	c := &conn{s: s, id: s.names, dev: d, sess: d.sess, window: 1 + s.rnd.IntN(6)}
	c.hub = s.hub.edge.Connect(s.now, edge.Peer{Address: d.name})
	s.conns = append(s.conns, c)
	s.logf("conn %d: %s connects", c.id, d.name)
	s.count("connection")
	return c
}

// pump takes what both ends have to say, as long as there is room.
func (c *conn) pump() {
	for c.dev != nil && len(c.up) < c.window {
		frame := c.sess.Next(c.s.ctx)
		c.dev.noticed()
		if frame == nil || c.dev == nil {
			break
		}
		c.sess.Wrote(c.s.time())
		if !c.mute {
			c.up = append(c.up, frame)
		}
	}
	for c.hub != nil && len(c.down) < c.window {
		frame, err := c.hub.Poll(c.s.ctx)
		if err != nil {
			c.s.logf("conn %d: hub ends it: %v", c.id, err)
			c.hub = nil
		} else if frame == nil {
			break
		} else if !c.mute {
			c.down = append(c.down, c.s.altered(frame))
		}
		if c.s.hub.lost() {
			c.s.hub.down(0)
		}
	}
}

// altered is a welcome with a smaller limit of frames, so that batches travel up in parts too.
func (s *Sim) altered(frame []byte) []byte {
	if s.plan.pushFrame == 0 {
		return frame
	}
	m, err := wire.DecodeDown(frame)
	if err != nil {
		s.fail("the hub sends what cannot be read: %v", err)
	}
	w, is := m.(*wire.Welcome)
	if !is {
		return frame
	}
	w.Limits.Frame = uint64(s.plan.pushFrame)
	frame, err = wire.Append(nil, w)
	if err != nil {
		s.fail("a welcome cannot be written: %v", err)
	}
	return frame
}

// deliver lets one frame, or the end of a connection, arrive somewhere.
func (s *Sim) deliver() {
	for range 1 + s.rnd.IntN(4) {
		s.deliverAny()
		s.pump()
	}
}

func (s *Sim) deliverAny() bool {
	var can []func()
	for _, c := range s.conns {
		if c.stalled > s.now {
			continue
		}
		if c.hub != nil && (len(c.up) > 0 || c.dev == nil && !c.mute) {
			can = append(can, c.arriveUp)
		}
		if c.dev != nil && (len(c.down) > 0 || c.hub == nil && !c.mute) {
			can = append(can, c.arriveDown)
		}
	}
	if len(can) == 0 {
		return false
	}
	can[s.rnd.IntN(len(can))]()
	return true
}

func (c *conn) arriveUp() {
	if len(c.up) == 0 { // the device has left, and all that it had sent is here
		c.hub.Close()
		c.hub = nil
		return
	}
	frame := c.up[0]
	c.up = c.up[1:]
	c.s.logf("conn %d: hub gets %s", c.id, describeUp(frame))
	// What ends the connection, Poll gives behind the last frame.
	_ = c.hub.Receive(c.s.ctx, c.s.now, frame)
	if c.s.hub.lost() {
		c.s.hub.down(0)
	}
}

func (c *conn) arriveDown() {
	if len(c.down) == 0 {
		c.sess.Lost(errCut)
	} else {
		frame := c.down[0]
		c.down = c.down[1:]
		c.s.logf("conn %d: %s gets %s", c.id, c.dev.name, describeDown(frame))
		c.sess.Frame(c.s.ctx, c.s.time(), frame)
		if len(c.down) == 0 {
			c.sess.Idle(c.s.time())
		}
	}
	c.dev.noticed()
}

// left says that the device has closed its end, or died.
func (c *conn) left() {
	c.dev, c.sess = nil, nil
	c.down = nil
	if c.s.plan.halfOpen && !c.s.healing && c.s.chance(30) {
		c.mute, c.up = true, nil
	}
}

// hubDied says that the hub's process is gone.
func (c *conn) hubDied() {
	c.hub = nil
	c.up = nil
	if c.s.plan.halfOpen && !c.s.healing && c.s.chance(30) {
		c.mute, c.down = true, nil
	} else if c.s.chance(50) {
		c.down = nil
	}
}

// sweepConns forgets what both ends have left.
func (s *Sim) sweepConns() {
	kept := s.conns[:0]
	for _, c := range s.conns {
		if c.dev != nil || c.hub != nil {
			kept = append(kept, c)
		}
	}
	s.conns = kept
}

func (s *Sim) anyConn() *conn {
	if len(s.conns) == 0 {
		return nil
	}
	return s.conns[s.rnd.IntN(len(s.conns))]
}

// cutOne breaks a connection: what is on the way is lost, in the middle of a split batch too. Each end is told, or is not.
func (s *Sim) cutOne() {
	c := s.anyConn()
	if c == nil {
		return
	}
	s.logf("conn %d: cut", c.id)
	s.count("cut")
	c.up, c.down = nil, nil
	if s.plan.halfOpen && s.chance(50) {
		c.mute = true
	}
	tellDevice, tellHub := !c.mute || s.chance(50), !c.mute || s.chance(30)
	if tellHub && c.hub != nil {
		c.hub.Close()
		c.hub = nil
	}
	if tellDevice && c.dev != nil {
		c.sess.Lost(errCut)
		c.dev.noticed()
	}
}

func (s *Sim) stallOne() {
	if c := s.anyConn(); c != nil {
		c.stalled = s.now + uint64(s.rnd.IntN(40_000))
		s.logf("conn %d: stalls until %d", c.id, c.stalled-start)
	}
}

// garbage changes a frame on its way down, as a hub with a defect would. Only what the stream carries: against a
// hub that lies in its welcome there is no promise.
func (s *Sim) garbage() {
	c := s.anyConn()
	if c == nil || len(c.down) == 0 || c.dev == nil {
		return
	}
	i := s.rnd.IntN(len(c.down))
	m, err := wire.DecodeDown(c.down[i])
	if err != nil {
		return // is garbage already
	}
	switch m.(type) {
	case *wire.Changes, *wire.Accepted, *wire.Voided:
	default:
		return
	}
	s.count("garbage")
	c.down[i] = s.flipped(c.down[i])
	s.logf("conn %d: a frame for %s is changed: %s", c.id, c.dev.name, describeDown(c.down[i]))
}

func (s *Sim) flipped(frame []byte) []byte {
	b := append([]byte(nil), frame...)
	switch s.rnd.IntN(4) {
	case 0:
		return b[:s.rnd.IntN(len(b))]
	case 1:
		for i := range b {
			b[i] = byte(s.rnd.IntN(256))
		}
		return b
	}
	b[s.rnd.IntN(len(b))] ^= 1 << s.rnd.IntN(8)
	return b
}
