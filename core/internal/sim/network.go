package sim

import (
	"bytes"
	"errors"
	"slices"

	"vsync/core/change"
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

	who      string // the device's name, also when it has left
	heard    uint64 // when the hub was connected, or got a frame
	dirty    bool   // something on its way down was changed
	feed     *model // of the hub when it was connected
	lastUp   []byte // frames that arrived last
	lastDown []byte
	onWay    []handed // what of the stream the hub has sent and was not told to be applied
}

// handed is a message of the stream that is on its way.
type handed struct {
	last  uint64
	bytes int
}

// errCut is what an end is told when its connection is cut.
var errCut = errors.New("sim: the connection was cut")

func (s *Sim) connect(d *device) *conn {
	s.names++
	c := &conn{s: s, id: s.names, dev: d, sess: d.sess, window: 1 + s.rnd.IntN(6), who: d.name, heard: s.now, feed: s.model}
	if slices.ContainsFunc(s.conns, func(o *conn) bool { return o.who == c.who && o.hub != nil }) {
		s.did("second connection of a device")
	}
	c.hub = s.hub.edge.Connect(s.now, edge.Peer{Address: d.name})
	s.conns = append(s.conns, c)
	s.logf("conn %d: %s connects", c.id, d.name)
	s.did("connection")
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
		} else {
			c.weigh(frame)
			if !c.mute {
				c.down = append(c.down, c.s.altered(frame))
			}
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
	c.heard, c.lastUp = c.s.now, frame
	c.relieve(frame)
	c.s.pushed(frame)
	c.s.did("frame up")
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
		c.lastDown = frame
		c.s.did("frame down")
		c.s.logf("conn %d: %s gets %s", c.id, c.dev.name, describeDown(frame))
		c.sess.Frame(c.s.ctx, c.s.time(), frame)
		if len(c.down) == 0 {
			c.sess.Idle(c.s.time())
		}
		if d := c.dev; c.s.plan.maxBatch > 0 && voids(frame) && !d.lost() {
			d.compare() // before what depends on the refused batch is confirmed too
		}
	}
	c.dev.noticed()
}

// voids says that a frame tells a device that a batch of its own was refused.
func voids(frame []byte) bool {
	m, err := wire.DecodeDown(append([]byte(nil), frame...))
	_, is := m.(*wire.Voided)
	return err == nil && is
}

// left says that the device has closed its end, or died.
func (c *conn) left() {
	c.dev, c.sess = nil, nil
	c.down = nil
	if c.s.plan.halfOpen && !c.s.healing && c.s.chance(30) {
		c.mute, c.up = true, nil
		c.s.did("half open")
	}
}

// hubDied says that the hub's process is gone.
func (c *conn) hubDied() {
	c.hub = nil
	c.up = nil
	if c.s.plan.halfOpen && !c.s.healing && c.s.chance(30) {
		c.mute, c.down = true, nil
		c.s.did("half open")
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
	s.did("cut")
	if split(c.lastUp) || split(c.lastDown) {
		s.did("cut inside a split batch")
	}
	c.up, c.down = nil, nil
	if s.plan.halfOpen && s.chance(50) {
		c.mute = true
		s.did("half open")
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
		s.did("stall")
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
	changed := s.later(m)
	if changed == nil || !s.chance(30) {
		changed = s.flipped(c.down[i])
	}
	if was := withoutMACs(c.down[i]); was != nil && bytes.Equal(was, withoutMACs(changed)) {
		return // a device has no key to see that, and finds out when it hands the entry back
	}
	s.did("garbage")
	c.dirty = true
	c.down[i] = changed
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

// later is a message of the stream in which the hub says that it took the first entry a little later than it did.
func (s *Sim) later(m wire.Message) []byte {
	c, is := m.(*wire.Changes)
	if !is || c.Part.Split() {
		return nil
	}
	e, err := change.DecodeEntry(c.Entries[0])
	if err != nil {
		return nil
	}
	e.Annotation.Accepted++
	if c.Entries[0], err = e.Append(nil); err != nil {
		return nil
	}
	frame, err := wire.Append(nil, c)
	if err != nil {
		return nil
	}
	return frame
}

// sentAgain has the hub send entries again with those that follow, as it may.
func (s *Sim) sentAgain() {
	c := s.anyConn()
	if c == nil || len(c.down) == 0 || c.dev == nil || c.dirty || c.feed != s.model {
		return
	}
	i := s.rnd.IntN(len(c.down))
	m, err := wire.DecodeDown(append([]byte(nil), c.down[i]...))
	ch, is := m.(*wire.Changes)
	if err != nil || !is || ch.Part.Split() || ch.Seq < 2 {
		return
	}
	before := s.model.items[ch.Seq-2]
	if len(before.entry) > 3000 || before.name.Device == c.hubDevice() {
		return
	}
	again := &wire.Changes{Seq: ch.Seq - 1, Entries: append([][]byte{before.entry}, ch.Entries...), Hash: ch.Hash}
	frame, err := wire.Append(nil, again)
	if err != nil {
		return
	}
	c.down[i] = frame
	s.did("sent again")
	s.logf("conn %d: sequence %d is sent again to %s", c.id, ch.Seq-1, c.who)
}

func (c *conn) hubDevice() (id change.DeviceID) {
	if c.hub != nil {
		id = c.hub.Info().Device
	}
	return id
}

// sleepOne has the hub sleep while a part of a batch comes, and forget it; more parts follow, and show it.
func (s *Sim) sleepOne() {
	var can []*conn
	for _, c := range s.conns {
		if c.hub != nil && len(c.up) > 0 && begins(c.up[0]) {
			can = append(can, c)
		}
	}
	if len(can) == 0 {
		return
	}
	c := can[s.rnd.IntN(len(can))]
	c.up = c.up[1:]
	s.did("slept through a part")
	s.logf("conn %d: the hub does not get a part", c.id)
}

// begins says that a frame is the first part of a pushed batch.
func begins(frame []byte) bool {
	if len(frame) < partSize {
		return false
	}
	m, err := wire.DecodeUp(append([]byte(nil), frame...))
	p, is := m.(*wire.Push)
	return err == nil && is && p.Part.More && p.Part.Index == 0
}

// split says that a frame is a part of something, and more has to follow.
func split(frame []byte) bool {
	if len(frame) < partSize {
		return false
	}
	if m, err := wire.DecodeUp(append([]byte(nil), frame...)); err == nil {
		p, is := m.(*wire.Push)
		return is && p.Part.More
	}
	m, err := wire.DecodeDown(append([]byte(nil), frame...))
	if err != nil {
		return false
	}
	switch m := m.(type) {
	case *wire.Changes:
		return m.Part.More
	case *wire.Accepted:
		return m.Part.More
	}
	return false
}

// partSize is what a part that is not the last has at least.
const partSize = 3000

// over says that the hub has ended the connection.
func (c *conn) over() bool {
	select {
	case <-c.hub.Done():
		return true
	default:
		return false
	}
}

// idle says that both ends are there, and nothing is on its way.
func (c *conn) idle() bool {
	return c.hub != nil && !c.over() && len(c.up)+len(c.down) == 0
}

// weigh holds what the hub sends against the credit that it has.
func (c *conn) weigh(frame []byte) {
	if c.s.plan.credit == 0 {
		return
	}
	m, err := wire.DecodeDown(append([]byte(nil), frame...))
	if err != nil {
		return // pump says so
	}
	h, first := handed{}, true
	switch m := m.(type) {
	case *wire.Changes:
		h, first = handed{m.Seq + uint64(len(m.Entries)) - 1, sizeOf(m.Entries)}, m.Part.Index == 0
	case *wire.Accepted:
		h, first = handed{m.Seq + uint64(len(m.Annotations)) - 1, sizeOf(m.Annotations)}, m.Part.Index == 0
	case *wire.Voided:
		h = handed{m.Seq, len(m.Annotation)}
	default:
		return
	}
	out := h.bytes
	for _, o := range c.onWay {
		out += o.bytes
	}
	if first && len(c.onWay) > 0 && out > c.s.plan.credit {
		c.s.fail("promise 6: conn %d: the hub has %d bytes on the way to %s, which gave it credit for %d", c.id, out, c.who, c.s.plan.credit)
	}
	c.onWay = append(c.onWay, h)
}

// relieve takes what a device has seen off.
func (c *conn) relieve(frame []byte) {
	if c.s.plan.credit == 0 {
		return
	}
	if m, err := wire.DecodeUp(append([]byte(nil), frame...)); err == nil {
		if seen, is := m.(*wire.Seen); is {
			c.onWay = slices.DeleteFunc(c.onWay, func(h handed) bool { return h.last <= seen.Seq })
		}
	}
}

func sizeOf(items [][]byte) (n int) {
	for _, it := range items {
		n += len(it)
	}
	return n
}

// withoutMACs is a frame of the feed with zeros in place of the hub's proofs; nil where it cannot be read.
func withoutMACs(frame []byte) []byte {
	m, err := wire.DecodeDown(bytes.Clone(frame))
	if err != nil {
		return nil
	}
	blank := func(b []byte) { clear(b[max(0, len(b)-len(change.Hash{})):]) }
	switch m := m.(type) {
	case *wire.Changes:
		for i, b := range m.Entries {
			e, err := change.DecodeEntry(b)
			if err != nil {
				return nil
			}
			e.MAC = change.Hash{}
			if m.Entries[i], err = e.Encode(); err != nil {
				return nil
			}
		}
	case *wire.Accepted:
		for _, b := range m.Annotations {
			blank(b)
		}
	case *wire.Voided:
		blank(m.Annotation)
	}
	out, err := wire.Append(nil, m)
	if err != nil {
		return nil
	}
	return out
}
