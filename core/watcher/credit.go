package watcher

import (
	"time"

	"vsync/core/change"
	"vsync/core/wire"
)

// A credit says when the hub must hear how far the stream is applied (PROTOCOL.md, section 12), so
// that it never stands still for want of credit, and is not told after every small change.
type credit struct {
	limit uint64      // what hello gave
	used  uint64      // bytes applied since the last seen
	due   time.Time   // when seen goes out at the latest; zero: nothing to say
	hash  change.Hash // running hash at the last sequence applied
}

// spend notes that bytes of the stream were applied, and reports whether seen goes out at once.
func (c *credit) spend(now time.Time, bytes int, after change.Hash) bool {
	c.used += uint64(bytes)
	c.hash = after
	if c.due.IsZero() {
		c.due = now.Add(wire.SeenAfter)
	}
	return c.used >= c.limit/2
}

// idle reports whether seen goes out as nothing more has come: a hub with a smaller window than ours
// may be waiting for it.
func (c *credit) idle(behind bool) bool {
	return !c.due.IsZero() && (behind || c.used >= c.limit/seenShare)
}

func (c *credit) overdue(now time.Time) bool { return !c.due.IsZero() && !now.Before(c.due) }

func (s *Session) saySeen() {
	s.credit.used, s.credit.due = 0, time.Time{}
	s.send(&wire.Seen{Seq: s.applied, Hash: s.credit.hash})
}
