package edge

import (
	"context"

	"vsync/core/change"
	"vsync/core/wire"
)

// takeBack joins what came in parts and gives the replica back what it lost. The device waits for the answer before it
// goes on with more than a few.
func (c *Conn) takeBack(ctx context.Context, m *wire.Handback) error {
	if c.granted().ReadOnly { // who may not write adds nothing to the feed, and is told so: then he goes back
		if m.Part.More {
			return nil
		}
		return c.handed(m, 0, c.hub.replica.Head())
	}
	joined, err := c.join.Join(m)
	if err != nil {
		return c.fail(err)
	}
	if !c.holdParts() {
		return c.crowded()
	}
	switch joined {
	case wire.Orphan:
		return c.refuse(&wire.Error{Code: wire.CodeProtocol, Text: "expected the beginning of an entry before its other parts"})
	case wire.Waiting:
		return nil
	}
	taken, head, err := c.hub.replica.TakeBack(ctx, m.Entries, &c.orphans)
	if err != nil {
		return c.fail(err)
	}
	return c.handed(m, taken, head)
}

// handed says what was taken of a handback, and where the feed ends now.
func (c *Conn) handed(m *wire.Handback, taken int, head change.Marker) error {
	last := m.Seq + uint64(len(m.Entries)) - 1
	return c.say(&wire.Handed{Seq: last, Taken: uint64(taken), Head: change.Place{Seq: head.Seq, Hash: head.Hash}})
}
