package sim

import (
	"fmt"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge"
)

// rogue speaks the protocol with its own hands, and breaks it.
type rogue struct {
	id   change.DeviceID
	n    int
	gen  change.Generation
	hash change.Hash

	twice bool // the last frame has another batch of a generation that the hub has
}

// rogueActs connects, says a few things, right ones among them, and leaves.
func (s *Sim) rogueActs() {
	if s.hub.r == nil {
		return
	}
	if s.rogue == nil {
		s.rogue = &rogue{}
		for i := range s.rogue.id {
			s.rogue.id[i] = byte(s.rnd.IntN(256))
		}
		if s.chance(10) {
			s.rogue.id = [16]byte{15: 1}
		}
	}
	id := s.rogue.id
	if s.chance(15) {
		if d := s.running(); d != nil { // as another device, which then goes on under a new id
			id = d.r.State().Device
		}
	}
	s.did("rogue")
	c := s.hub.edge.Connect(s.now, edge.Peer{Address: "rogue"})
	defer c.Close()
	if s.chance(10) {
		s.tell(c, s.noise())
		return
	}
	if !s.enter(c, id) {
		return
	}
	for range 1 + s.rnd.IntN(4) {
		s.rogue.twice = false
		if !s.tell(c, s.wrong(id)) {
			return
		}
		if s.rogue.twice {
			s.fail("promise 4: the hub takes another batch of a generation that it has for the same")
		}
	}
}

// tell gives the hub a frame; false when the hub is through with us, or dead.
func (s *Sim) tell(c *edge.Conn, frame []byte) bool {
	s.logf("rogue: %s", describeUp(frame))
	err := c.Receive(s.ctx, s.now, frame)
	if s.hub.lost() {
		s.hub.down(0)
		return false
	}
	for err == nil {
		var out []byte
		if out, err = c.Poll(s.ctx); out == nil {
			break
		}
		s.logf("rogue gets %s", describeDown(out))
	}
	return err == nil && s.hub.r != nil
}

// enter says hello, and learns how far the device is.
func (s *Sim) enter(c *edge.Conn, id change.DeviceID) bool {
	hello := &wire.Hello{Protocol: 1, Database: database, Device: id, LowestHeld: 1, Credit: uint64(1 + s.rnd.IntN(100_000)), Agent: "rogue"}
	w := s.welcomed(c, hello)
	if w == nil {
		return false
	}
	s.rogue.gen, s.rogue.hash = w.Last, w.Hash
	return true
}

// welcomed says hello and takes the answer; nil where that is no welcome, or the hub is through with us, or dead.
func (s *Sim) welcomed(c *edge.Conn, hello *wire.Hello) *wire.Welcome {
	frame, err := wire.Append(nil, hello)
	if err != nil {
		s.fail("%s cannot say hello: %v", hello.Agent, err)
	}
	if err := c.Receive(s.ctx, s.now, frame); err != nil {
		return nil
	}
	out, err := c.Poll(s.ctx)
	if s.hub.lost() {
		s.hub.down(0)
		return nil
	}
	if err != nil || out == nil {
		return nil
	}
	m, err := wire.DecodeDown(out)
	if w, is := m.(*wire.Welcome); err == nil && is {
		return w
	}
	return nil
}

func (s *Sim) noise() []byte {
	b := make([]byte, s.rnd.IntN(200))
	for i := range b {
		b[i] = byte(s.rnd.IntN(256))
	}
	return b
}

// wrong makes a frame, mostly with something wrong about it.
func (s *Sim) wrong(id change.DeviceID) []byte {
	r := s.rogue
	r.n++
	b := &change.Batch{Header: change.Header{Device: id, Gen: r.gen + 1, Stamp: s.now + uint64(s.rnd.IntN(1_000_000)), Note: fmt.Sprintf("rogue%d", r.n)}}
	text, _ := change.Encode(b.Note)
	b.Mutations = []change.Mutation{{Kind: change.Put, Key: s.single(), Value: text}}
	if s.chance(30) && r.gen > 0 { // of versions before, void ones among them
		b.Mutations[0].Parents = []change.Version{{Device: id, Gen: 1 + change.Generation(s.rnd.IntN(int(r.gen)))}}
	}
	if s.chance(20) && s.model.head() > 0 {
		b.Mutations[0].Parents = []change.Version{s.model.items[s.rnd.IntN(len(s.model.items))].name}
	}
	prev, take := r.hash, true
	kind := s.rnd.IntN(11)
	switch kind {
	case 8: // another one than the hub has
		if r.gen > 0 {
			b.Gen, prev, take, r.twice = r.gen, change.Hash{1, 2, byte(r.n)}, false, true
			b.Mutations[0].Parents = nil
		}
	case 0:
		b.Gen += 1 + change.Generation(s.rnd.IntN(3))
		take = false
	case 1:
		prev[3] ^= 1
		take = false
	case 2:
		b.Mutations[0].Parents = []change.Version{{Device: change.DeviceID{1, 2, 3}, Gen: 9}}
		take = false
	case 3:
		b.Device[7] ^= 1
		take = false
	}
	data, err := b.Encode(prev)
	if err != nil { // a parent of its own that does not come before it
		return s.noise()
	}
	push := &wire.Push{Gen: b.Gen, Batches: [][]byte{data}}
	switch kind {
	case 4: // its body is not the one that its header names
		data[len(data)-1] ^= 1
	case 5: // somebody else's, from the feed
		if n := s.model.head(); n > 0 {
			push.Batches[0] = s.model.items[s.rnd.IntN(int(n))].entry
			take = false
		}
	case 6: // without an end
		push.Part.More, take = true, false
	}
	frame, err := wire.Append(nil, push)
	if err != nil {
		return s.noise()
	}
	if kind == 7 {
		return s.flipped(frame)
	}
	if take {
		r.gen, r.hash = b.Gen, b.Hash
	}
	return frame
}
