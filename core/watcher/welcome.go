package watcher

import (
	"context"
	"time"

	"vsync/core"
	"vsync/core/fmt"
	"vsync/core/wire"
)

// welcome holds the hub's answer against what hello said, and settles own generations, before
// anything of the stream is applied.
func (s *Session) welcome(ctx context.Context, now time.Time, m *wire.Welcome) {
	if fault, ok := s.mismatch(m); ok {
		s.end(fault)
		return
	}
	s.heart.text = m.Beat
	if s.fromTrail(m) {
		s.replay(ctx, m)
		return
	}
	if s.owing {
		s.end(Result{Outcome: Again, Text: "the hub has again what this replica was to hand back"})
		return
	}
	done, err := s.replica.Settle(ctx, core.Welcome{
		Lineage: m.Lineage, Epoch: m.Epoch, Common: m.Common, Last: m.Last, LastHash: m.Hash, Head: m.Head,
	})
	switch {
	case err != nil:
		s.fail(err)
		return
	case done.Reentered:
		s.end(Result{Outcome: Reentered, Text: "this replica went another way than the hub knows: it has a new device id"})
		return
	case done.Again:
		s.end(Result{Outcome: Again, Text: "more own generations are to be compared"})
		return
	}
	s.start, s.head, s.hubs = m.Marker.Seq, m.Head, m.Last
	s.window.open(m.Limits, done.PushFrom, max(m.Last, s.hello.Base))
	s.window.alone, s.window.careful = s.cfg.Alone, s.cfg.Careful
	if s.cfg.Rest > 0 {
		s.window.rest = now.Add(s.cfg.Rest)
	}
	s.welcomed = now
	s.renew.expires(now, m.Now, m.Expires)
	s.stage = streaming
	s.part()
}

// part ends a session at the end of whose feed batches of former ids are missing, a parting one once all that the hub has of this
// device is applied, and a leaving one once the hub has all that this device has.
func (s *Session) part() {
	if s.stage != streaming || !s.Live() || s.settled < s.hubs {
		return
	}
	switch {
	case !s.cfg.Parting && !s.caughtUp && s.replica.State().Former > 0:
		s.end(Result{Outcome: Lost, Text: "the hub has lost what this device wrote under an id that it gave up since: it is written again"})
	case s.cfg.Parting:
		s.end(Result{Outcome: Parted, Text: "all that the hub has of this device id is applied"})
	case s.cfg.Leaving && s.replica.State().Pending == 0:
		s.end(Result{Outcome: Parted, Text: "the hub has all that was written under this device id"})
	}
	s.caughtUp = true
}

// mismatch finds what of a welcome this replica cannot go on with.
func (s *Session) mismatch(m *wire.Welcome) (Result, bool) {
	have := s.hello.Marker
	switch {
	case m.Protocol > wire.Protocol:
		return Result{Outcome: Refused, Code: wire.CodeVersion, Text: fmt.Sprintf(
			"expected at most protocol version %d, the hub chose %d: the hub is at fault", wire.Protocol, m.Protocol)}, true
	case !s.hello.Lineage.IsZero() && m.Lineage != s.hello.Lineage:
		return Result{Outcome: Refused, Code: wire.CodeOtherHub, Text: fmt.Sprintf(
			"expected hub %v, this one is %v: nothing is merged. Point the feed at the hub of this replica, or open a new replica for this hub",
			s.hello.Lineage, m.Lineage)}, true
	case have.IsZero() && m.Marker.Seq == 0:
		return Result{}, false
	case m.Marker.Seq == have.Seq && m.Marker.Hash == have.Hash && m.Marker.Scope == have.Scope:
		return Result{}, false
	case s.fromTrail(m) && m.Marker.Seq < have.Seq && m.Marker.Scope == have.Scope:
		return Result{}, false
	case m.Mode == wire.ModeReplay && m.Marker.Seq <= have.Seq && len(s.trail) == 0:
		return Result{Outcome: Refused, Code: wire.CodeUnknownMarker, Text: fmt.Sprintf(
			"the hub does not know place %d of this replica, only up to %d: it lost entries or another copy of it was restored. "+
				"Restore the hub's newest copy, or open a new replica; unsent writes are kept here", have.Seq, m.Marker.Seq)}, true
	}
	return s.faulty(wire.CodeProtocol, fmt.Sprintf(
		"expected a stream from place %d on, the hub announced %s from %d", have.Seq, m.Mode, m.Marker.Seq)), true
}
