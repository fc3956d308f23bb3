package watcher

import (
	"context"
	"slices"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/wire"
)

// A hub that does not know the marker has lost entries (PROTOCOL.md, section 8). What comes of it takes some connections, one step
// each, so that each step is stored where it has to be before the next:
//
//	hello, marker ─▶ UNKNOWN_MARKER ─▶ hello, marker, trail ─▶ replay from F ─▶ handback … handed
//	              ─▶ hello, marker, trail, back ─┬▶ resume: nothing was lost
//	                                             └▶ replay from F ─▶ GoBack to F ─▶ hello, marker F, back ─▶ resume
//
// The last hello, and all until the feed is applied up to back, name back: the hub may have lost that again.
//
//	hello, marker, back ─▶ UNKNOWN_MARKER ─▶ hello, marker, trail, back ─┬▶ replay: as above
//	                                                                     └▶ UNKNOWN_MARKER: back is what it does not know
//	              ─▶ hello, back as the marker, trail ─▶ replay from F ─▶ handback of what was left, too … handed ─▶ as above
type handing struct {
	at      core.AppliedCursor // read from the replica
	ready   []*wire.Handback   // cut into frames
	waiting []uint64           // last sequences of messages that are not answered, all parts of an entry together
	end     bool               // the replica has no more
	from    uint64             // place behind which it began
	done    uint64             // place up to which it is answered
	back    change.Place       // the end of the hub's feed, as it said last
}

// replay goes on from the earlier place that the hub named: what was applied behind it is handed back, or left if it was.
func (s *Session) replay(ctx context.Context, m *wire.Welcome) {
	if !s.cfg.HandedBack {
		s.stage = handingBack
		s.handing.at = core.AppliedCursor{Seq: m.Marker.Seq, Left: s.owing}
		s.handing.from, s.handing.done = m.Marker.Seq, m.Marker.Seq
		s.budget = m.Limits.PushBudget()
		s.handOn(ctx)
		return
	}
	to := m.Marker
	to.Epoch = m.Epoch
	if err := s.replica.GoBack(ctx, to, s.cfg.Back); err != nil {
		s.fail(err)
		return
	}
	s.end(Result{Outcome: Replayed, Text: fmt.Sprintf("the hub has lost what was behind place %d, and has gone on from there: so does this replica", m.Marker.Seq)})
}

// fromTrail reports whether a welcome begins at a place that hello named.
func (s *Session) fromTrail(m *wire.Welcome) bool {
	return m.Mode == wire.ModeReplay && slices.Contains(s.trail, change.Place{Seq: m.Marker.Seq, Hash: m.Marker.Hash})
}

// handOn ends the session when all is handed back and answered.
func (s *Session) handOn(ctx context.Context) {
	h := &s.handing
	if len(h.ready) == 0 && !h.end && len(h.waiting) < maxHandbacks {
		entries, next, err := s.replica.Applied(ctx, h.at, s.budget)
		if err != nil {
			s.fail(err)
			return
		}
		h.end = len(entries) == 0
		h.ready = slices.AppendSeq(h.ready, wire.SplitHandback(h.at.Seq+1, entries, s.budget))
		h.at = next
	}
	if h.end && len(h.ready) == 0 && len(h.waiting) == 0 {
		if s.owing {
			if err := s.replica.Owe(ctx, h.back); err != nil {
				s.fail(err)
				return
			}
		}
		s.end(Result{Outcome: HandedBack, Text: "the hub has lost entries; what this replica has of them is handed back"})
	}
}

// nextHandback returns the next frame of what the hub lost, nil while too much is not answered.
func (s *Session) nextHandback(ctx context.Context) []byte {
	h := &s.handing
	if s.handOn(ctx); s.stage != handingBack || len(h.ready) == 0 || h.ready[0].Part.Index == 0 && len(h.waiting) >= maxHandbacks {
		return nil
	}
	m := h.ready[0]
	h.ready = h.ready[1:]
	frame, err := wire.Append(nil, m)
	if err != nil {
		s.end(Result{Outcome: Failed, Code: wire.CodeInternal, Text: err.Error(), Err: err})
		return nil
	}
	if m.Part.Index == 0 {
		h.waiting = append(h.waiting, m.Seq+uint64(len(m.Entries))-1)
	}
	s.pushing = true
	return frame
}

// handed takes what comes while entries are handed back.
func (s *Session) handed(ctx context.Context, now time.Time, m wire.Message) {
	switch m := m.(type) {
	case *wire.Handed:
		h := &s.handing
		if len(h.waiting) == 0 || m.Seq != h.waiting[0] {
			s.end(s.faulty(wire.CodeProtocol, fmt.Sprintf("expected an answer to what was handed back, got one up to place %d", m.Seq)))
			return
		}
		h.waiting, h.back, h.done = h.waiting[1:], m.Head, m.Seq
		s.handOn(ctx)
	case *wire.Pong:
	case *wire.Error:
		s.refused(m)
	case *wire.Bye:
		s.dismissed(m)
	default:
		s.misplaced(m)
	}
}
