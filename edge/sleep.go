package edge

import (
	"encoding/binary"
	"fmt"
	"slices"

	"vsync/core/change"
	"vsync/core/wire"
)

// MaxFrozen bounds what Freeze returns, in bytes. Hosts can keep 2 KiB with a sleeping socket.
const MaxFrozen = 2048

// maxFrozenUnseen bounds the records of what is on the way that are kept in a sleep, of at most 36 bytes each: beyond it they are put
// together, so that credit comes back in larger steps.
const maxFrozenUnseen = 16

// A frozen connection, numbers as uvarint:
//
//	format     3
//	state      1 byte: 0 opened, with nothing behind it; 1 streaming; 2 handing back
//	lineage    16 bytes
//	device     16 bytes
//	subject    length, bytes
//	read only  0 or 1
//	expires    ms since 1970
//	pos piece credit held ownHigh pieceHigh ownSent last awaiting
//	moved      ms since 1970, when a reader who is behind last moved on; 0: he is not, or has moved since somebody looked
//	unanswered n, n × generation
//	unseen     n, n × (last sequence, bytes, hash 16 bytes)
//
// What came of a push in parts is not kept: the part that comes next misses its beginning, and is answered with resend.
const (
	frozenFormat = 3

	frozenOpened    = 0
	frozenStreaming = 1
	frozenHanding   = 2
)

// Freeze returns what Thaw needs to go on with the connection in another hub of the same replica: for hosts that forget everything
// but their sockets while nothing happens. It is called between frames: while no Receive, Next or Poll is at work, and Poll has nothing
// left. A connection that is over has nothing to be kept: nil.
func (c *Conn) Freeze() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.end != nil:
		return nil
	case c.device.IsZero():
		return []byte{frozenFormat, frozenOpened}
	}
	state := byte(frozenStreaming)
	if c.handing {
		state = frozenHanding
	}
	b := append(make([]byte, 0, 256), frozenFormat, state)
	b = append(b, c.hub.lineage[:]...)
	b = append(b, c.device[:]...)
	b = binary.AppendUvarint(b, uint64(len(c.subject)))
	b = append(b, c.subject...)
	b = append(b, byte(btoi(c.grant.ReadOnly)))
	b = binary.AppendUvarint(b, c.grant.Expires)
	for _, n := range []uint64{c.pos, uint64(c.piece), uint64(c.credit), uint64(c.held), uint64(c.ownHigh), uint64(c.pieceHigh),
		uint64(c.ownSent), uint64(c.last), uint64(c.awaiting), c.standsSince(), uint64(len(c.unanswered))} {
		b = binary.AppendUvarint(b, n)
	}
	for _, g := range c.unanswered {
		b = binary.AppendUvarint(b, uint64(g))
	}
	unseen := fewer(c.unseen, maxFrozenUnseen)
	b = binary.AppendUvarint(b, uint64(len(unseen)))
	for _, m := range unseen {
		b = binary.AppendUvarint(b, m.last)
		b = binary.AppendUvarint(b, uint64(m.bytes))
		b = append(b, m.hash[:]...)
	}
	return b
}

// standsSince returns since when a reader who is behind has not moved on: a sleep is no excuse. Under mu.
func (c *Conn) standsSince() uint64 {
	if !c.streaming || c.pos >= c.hub.head.Load() || c.moves != c.movesThen {
		return 0
	}
	return c.movedAt
}

// fewer puts the last of what is on the way together, so that at most n records are left.
func fewer(list []handed, n int) []handed {
	if len(list) <= n {
		return list
	}
	few := slices.Clone(list[:n])
	for _, m := range list[n:] {
		m.bytes += few[n-1].bytes
		few[n-1] = m
	}
	return few
}

// Thaw goes on with a connection that was frozen, at the time now, in ms since 1970. One that does not fit this hub any more is over: the
// device is told to come again. An error says that the bytes are none of Freeze's; the socket is to be closed.
func (h *Hub) Thaw(now uint64, peer Peer, frozen []byte) (*Conn, error) {
	f, err := readFrozen(frozen)
	if err != nil {
		return nil, err
	}
	c := h.Connect(now, peer)
	if f.state == frozenOpened || c.ended() != nil {
		return c, nil
	}
	if f.lineage != h.lineage || f.pos > h.head.Load() && f.state == frozenStreaming {
		h.end(c, closing())
		return c, nil
	}
	if err := h.enter(c, f.device, f.grant, func() { c.resume(f) }); err != nil {
		_ = c.fail(err)
	}
	return c, nil
}

// resume sets what Freeze kept. Under both locks.
func (c *Conn) resume(f *frozen) {
	c.handing, c.streaming = f.state == frozenHanding, f.state == frozenStreaming
	c.pos, c.piece, c.credit = f.pos, f.piece, f.credit
	c.held, c.ownHigh, c.pieceHigh, c.ownSent = f.held, f.ownHigh, f.pieceHigh, f.ownSent
	c.passed = ^uint64(0)
	c.last, c.awaiting, c.unanswered, c.unseen = f.last, f.awaiting, f.unanswered, f.unseen
	if f.moved > 0 {
		c.movedAt = min(c.movedAt, f.moved)
	}
	for _, m := range c.unseen {
		c.onWay += m.bytes
	}
}

// frozen is what readFrozen reads.
type frozen struct {
	state                             byte
	lineage                           change.Lineage
	pos                               uint64
	device                            change.DeviceID
	grant                             Grant
	piece, credit                     int
	held, ownHigh, pieceHigh, ownSent change.Generation
	last, awaiting                    change.Generation
	moved                             uint64
	unanswered                        []change.Generation
	unseen                            []handed
}

func readFrozen(b []byte) (*frozen, error) {
	wrong := fmt.Errorf("edge: expected a connection as Freeze has kept it, got %d bytes that are none", len(b))
	if len(b) < 2 || len(b) > MaxFrozen || b[0] != frozenFormat || b[1] > frozenHanding {
		return nil, wrong
	}
	f := &frozen{state: b[1]}
	r := &frozenReader{b: b[2:]}
	if f.state != frozenOpened {
		f.read(r)
	}
	if r.bad || len(r.b) > 0 {
		return nil, wrong
	}
	return f, nil
}

func (f *frozen) read(r *frozenReader) {
	copy(f.lineage[:], r.bytes(len(f.lineage)))
	copy(f.device[:], r.bytes(len(f.device)))
	f.grant.Subject = string(r.bytes(r.count(MaxFrozen)))
	f.grant.ReadOnly = r.count(1) == 1
	f.grant.Expires = r.number()
	f.pos, f.piece, f.credit = r.number(), r.count(change.MaxBatch), r.count(1<<30)
	for _, g := range []*change.Generation{&f.held, &f.ownHigh, &f.pieceHigh, &f.ownSent, &f.last, &f.awaiting} {
		*g = change.Generation(r.number())
	}
	f.moved = r.number()
	for range r.count(wire.MaxPushes) {
		f.unanswered = append(f.unanswered, change.Generation(r.number()))
	}
	for range r.count(maxFrozenUnseen) {
		m := handed{last: r.number(), bytes: r.count(1 << 30)}
		copy(m.hash[:], r.bytes(len(m.hash)))
		f.unseen = append(f.unseen, m)
	}
	if f.device.IsZero() {
		r.bad = true
	}
}

// A frozenReader reads until something is wrong, and zeros from then on.
type frozenReader struct {
	b   []byte
	bad bool
}

func (r *frozenReader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *frozenReader) count(limit int) int {
	n := r.number()
	if n > uint64(limit) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *frozenReader) bytes(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
