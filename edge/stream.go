package edge

import (
	"context"
	"fmt"
	"slices"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// A message is an encoded part of the stream: of the entries behind after, up to last.
type message struct {
	frame       []byte
	after, last uint64
	hash        change.Hash       // running hash of the feed after last
	bytes       int               // that it takes of the credit; all its parts together
	more        bool              // further parts follow
	own         change.Generation // highest generation of the reader's that is in it; 0: none
}

// A cursor is where a reader stands, and what decides on his next message.
type cursor struct {
	pos           uint64
	piece         int  // parts of pos+1 that he has
	room          int  // bytes of credit that are left
	idle          bool // nothing is on the way: the next entry may be of any size
	device        change.DeviceID
	held, ownHigh change.Generation
}

// fits reports whether a message with these entries may be handed out.
func (at *cursor) fits(entries, bytes int) bool {
	return at.piece > 0 || bytes <= at.room || at.idle && entries == 1
}

// has reports whether the reader has the bytes of the entry's batch.
func (at *cursor) has(e *core.FeedEntry) bool {
	return e.Device == at.device && e.Gen >= at.held && e.Gen <= at.ownHigh && e.Kind != change.EntryLost
}

// typeOf is the message that the entry travels in.
func (at *cursor) typeOf(e *core.FeedEntry) wire.Type {
	switch {
	case !at.has(e):
		return wire.TypeChanges
	case e.Kind == change.EntryVoid:
		return wire.TypeVoided
	}
	return wire.TypeAccepted
}

// cost is what the entry takes of the credit.
func (at *cursor) cost(e *core.FeedEntry) int {
	if at.has(e) {
		return len(e.Ann) + len(e.MAC)
	}
	return len(e.Entry)
}

// cursor returns where the reader stands; false if there is nothing for him now. Under c.mu.
func (c *Conn) cursor() (cursor, bool) {
	if !c.streaming || c.pos >= c.hub.head.Load() {
		return cursor{}, false
	}
	room := c.credit - c.onWay
	if c.piece == 0 && c.onWay > 0 && room < max(c.need, 1) {
		c.deaf.Store(true) // until seen
		return cursor{}, false
	}
	at := cursor{pos: c.pos, piece: c.piece, room: room, idle: c.onWay == 0, device: c.device, held: c.held, ownHigh: c.ownHigh}
	if c.piece > 0 {
		at.ownHigh = c.pieceHigh // the entry goes on as it began
	}
	return at, true
}

// streamed returns the next frame of the stream; nil to look again.
func (c *Conn) streamed(ctx context.Context, at cursor) ([]byte, error) {
	s, err := c.hub.spanAt(ctx, at.pos)
	if err != nil {
		return nil, c.failed(err)
	}
	m, need, err := c.hub.message(s, &at)
	if err != nil {
		return nil, c.failed(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.end != nil:
		return nil, nil
	case need > 0:
		c.need = need
		return nil, nil
	}
	c.hand(m, at.ownHigh)
	return m.frame, nil
}

// failed ends the connection for an error of the replica; Poll then finds what is said about it.
func (c *Conn) failed(err error) error {
	if ended(err) {
		return err
	}
	_ = c.fail(err)
	return nil
}

// hand notes that a message is on its way. Under c.mu.
func (c *Conn) hand(m message, ownHigh change.Generation) {
	c.moves++
	if c.piece == 0 {
		c.pieceHigh = ownHigh
		c.sent(handed{last: m.last, hash: m.hash, bytes: m.bytes})
	}
	if m.more {
		c.piece++
		return
	}
	c.hub.delivered.Add(m.last - m.after)
	c.pos, c.piece, c.need = m.last, 0, 0
	c.ownSent = max(c.ownSent, m.own)
	c.unanswered = slices.DeleteFunc(c.unanswered, func(g change.Generation) bool { return g <= c.ownSent })
}

// sent counts a message as on its way; where there are very many, together with the one before. Under
// c.mu.
func (c *Conn) sent(m handed) {
	c.onWay += m.bytes
	if n := len(c.unseen); n >= maxUnseen {
		m.bytes += c.unseen[n-1].bytes
		c.unseen[n-1] = m
		return
	}
	c.unseen = append(c.unseen, m)
}

// message returns what stands in the span behind the cursor: the span's shared encoding where nothing
// of the reader's own is in it and it fits, else one made for him. Need is not 0 if even the next entry
// does not fit: how much it takes of the credit.
func (h *Hub) message(s *span, at *cursor) (m message, need int, err error) {
	if at.pos == s.after && at.fits(len(s.entries), s.bytes) && !s.names(at.device) {
		shared, err := s.messages(h)
		if err != nil {
			return message{}, 0, err
		}
		if at.piece < len(shared) {
			return shared[at.piece], 0, nil
		}
	}
	return h.cut(s.entries[at.pos-s.after:], at)
}

// cut makes a message of as many of the entries as travel in the same type and fit.
func (h *Hub) cut(entries []core.FeedEntry, at *cursor) (m message, need int, err error) {
	typ := at.typeOf(&entries[0])
	n, bytes, size := 0, 0, frameOverhead
	for n < len(entries) && n < wire.MaxItems && at.typeOf(&entries[n]) == typ {
		cost := at.cost(&entries[n])
		size += itemOverhead + cost
		if n > 0 && (size > h.cfg.Frame || typ == wire.TypeVoided) || !at.fits(n+1, bytes+cost) {
			break
		}
		bytes += cost
		n++
	}
	if n == 0 {
		return message{}, at.cost(&entries[0]), nil
	}
	m, err = h.encode(typ, entries[:n], at.piece)
	m.bytes = bytes
	for i := range entries[:n] {
		if entries[i].Device == at.device {
			m.own = entries[i].Gen
		}
	}
	return m, 0, err
}

// encode makes the message of these entries, or one piece of a single entry that is larger than a
// frame.
func (h *Hub) encode(typ wire.Type, entries []core.FeedEntry, piece int) (message, error) {
	first, last := &entries[0], &entries[len(entries)-1]
	m := message{after: first.Seq - 1, last: last.Seq, hash: last.Hash}
	var body wire.Message
	switch typ {
	case wire.TypeVoided:
		body = &wire.Voided{Seq: first.Seq, Gen: first.Gen, Annotation: signed(first), Code: wire.Code(first.Code), Text: cut(first.Message, wire.MaxText), Hash: first.Hash}
	case wire.TypeAccepted:
		for a := range wire.SplitAccepted(first.Seq, first.Gen, signedAll(entries), hashes(entries), h.cfg.Frame) {
			if a.Part.Index == uint64(piece) {
				body, m.more = a, a.Part.More
				break
			}
		}
	default:
		for c := range wire.SplitChanges(first.Seq, items(entries, bytesOf), hashes(entries), h.cfg.Frame) {
			if c.Part.Index == uint64(piece) {
				body, m.more = c, c.Part.More
				break
			}
		}
	}
	if body == nil {
		return message{}, fmt.Errorf("expected a part %d of sequence %d", piece, first.Seq)
	}
	var err error
	m.frame, err = wire.Append(make([]byte, 0, frameSize(typ, entries, h.cfg.Frame)), body)
	h.encoded.Add(1)
	return m, err
}

// frameSize is about how large a frame with these entries gets.
func frameSize(typ wire.Type, entries []core.FeedEntry, limit int) int {
	size := frameOverhead
	for i := range entries {
		size += itemOverhead
		if e := &entries[i]; typ == wire.TypeChanges {
			size += len(e.Entry)
		} else {
			size += len(e.Ann) + len(e.MAC) + len(e.Hash)
		}
	}
	return min(size, limit)
}

func bytesOf(e *core.FeedEntry) []byte { return e.Entry }

// signed is an own batch as accepted and voided carry it.
func signed(e *core.FeedEntry) []byte { return append(slices.Clip(e.Ann), e.MAC[:]...) }

// signedAll is signed of several, in one piece of memory.
func signedAll(entries []core.FeedEntry) [][]byte {
	size := 0
	for i := range entries {
		size += len(entries[i].Ann) + len(entries[i].MAC)
	}
	room := make([]byte, 0, size)
	return items(entries, func(e *core.FeedEntry) []byte {
		from := len(room)
		room = append(append(room, e.Ann...), e.MAC[:]...)
		return room[from:len(room):len(room)]
	})
}

func items(entries []core.FeedEntry, of func(*core.FeedEntry) []byte) [][]byte {
	list := make([][]byte, len(entries))
	for i := range entries {
		list[i] = of(&entries[i])
	}
	return list
}

func hashes(entries []core.FeedEntry) []change.Hash {
	list := make([]change.Hash, len(entries))
	for i := range entries {
		list[i] = entries[i].Hash
	}
	return list
}
