package watcher

import (
	"context"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/wire"
)

// A window is what of the own batches is on its way to the hub (PROTOCOL.md, section 9).
//
//	answered │ flights: sent, not answered │ ready: cut into frames │ from: still in the replica
//	─────────┴─────────────────────────────┴────────────────────────┴──────────────────────────▶ generation
type window struct {
	pushes int // at most so many flights
	bytes  int // of so many bytes together, or one of any size
	budget int // bytes of a frame

	from    change.Generation // the next to read from the replica; 0: before settling
	more    bool              // the replica may have it
	ready   []outgoing
	flights []flight
	flying  int // bytes of all flights

	lowest  change.Generation // the hub has all below: it cannot miss them
	sent    change.Generation // highest generation of which a part was sent
	resends int               // without an answer in between

	rest    time.Time         // nothing is pushed before; zero: no rest
	alone   change.Generation // up to it, each batch goes alone, when all before it are answered
	careful change.Generation // up to it, frames are small
	thin    bool              // all are, and one is on the way at a time
}

// An outgoing push is a frame that was not sent yet: whole batches, or one part of one.
type outgoing struct {
	push  *wire.Push
	last  change.Generation // of the batches in it
	bytes int               // of all parts together; counted at the first
}

// A flight is a push that the stream has not answered; all parts of a batch are one.
type flight struct {
	last  change.Generation
	bytes int
}

// open begins at generation from; the hub has all up to last.
func (w *window) open(limits wire.Limits, from, last change.Generation) {
	w.pushes = within(limits.Pushes, wire.MaxPushes)
	w.bytes = within(limits.Credit, wire.DefaultCredit)
	w.budget = limits.PushBudget()
	w.from, w.more = max(from, 1), true
	w.lowest, w.sent = last+1, w.from-1
}

// within returns what a hub announced, but at most the protocol's own limit; 0: not announced.
func within(announced uint64, limit int) int {
	if announced == 0 || announced > uint64(limit) {
		return limit
	}
	return int(announced)
}

// rested ends the rest when its time has come.
func (w *window) rested(now time.Time) {
	if !now.Before(w.rest) {
		w.rest = time.Time{}
	}
}

// carefully is which part of a frame's budget a small one has: a line that is cut every few hundred KB gets that through, and if it does
// not, there are few batches to go alone, each of which costs a turn and two commits of the hub.
const carefully = 8

// room returns how many bytes of batches are worth reading: one batch where it goes alone, else what a frame and the hub's credit hold.
func (w *window) room() int {
	budget := w.budget
	switch {
	case w.from <= w.alone:
		return 1
	case w.from <= w.careful || w.thin:
		budget /= carefully
	}
	return max(1, min(budget, w.bytes-w.flying))
}

// takes reports whether a push of this size may go now.
func (w *window) takes(bytes int) bool {
	return len(w.flights) == 0 || (len(w.flights) < w.pushes && w.flying+bytes <= w.bytes && !w.thin)
}

// full reports whether nothing more may go, whatever its size.
func (w *window) full() bool {
	return len(w.flights) >= w.pushes || len(w.flights) > 0 && (w.sent <= w.alone || w.thin)
}

// underway returns the generations of the first push that is not answered; zeros if there is none.
func (w *window) underway() (low, high change.Generation) {
	if len(w.flights) == 0 {
		return 0, 0
	}
	return w.lowest, w.flights[0].last
}

// fill cuts the batches from generation w.from on into frames.
func (w *window) fill(batches [][]byte) {
	for push := range wire.SplitPush(w.from, batches, w.budget) {
		push.Alone = w.from <= w.alone
		out := outgoing{push: push, last: push.Gen + change.Generation(len(push.Batches)) - 1, bytes: size(push.Batches)}
		if push.Part.Split() {
			out.bytes = len(batches[push.Gen-w.from])
		}
		w.ready = append(w.ready, out)
	}
	w.from += change.Generation(len(batches))
}

// pop returns the next frame, nil where there is none or the window is full.
func (w *window) pop() *wire.Push {
	if len(w.ready) == 0 {
		return nil
	}
	next := w.ready[0]
	if next.push.Part.Index == 0 {
		if !w.takes(next.bytes) {
			return nil
		}
		w.flights = append(w.flights, flight{last: next.last, bytes: next.bytes})
		w.flying += next.bytes
		w.sent = max(w.sent, next.last)
	}
	w.ready = w.ready[1:]
	return next.push
}

// answered lets go of what the stream has settled, up to generation gen.
func (w *window) answered(gen change.Generation) {
	w.resends = 0
	w.lowest = max(w.lowest, gen+1)
	for len(w.flights) > 0 && w.flights[0].last <= gen {
		w.flying -= w.flights[0].bytes
		w.flights = w.flights[1:]
	}
}

// rewind goes back to generation gen, and forgets what was sent from there on.
func (w *window) rewind(gen change.Generation) {
	w.ready = nil
	for n := len(w.flights); n > 0 && w.flights[n-1].last >= gen; n-- {
		w.flying -= w.flights[n-1].bytes
		w.flights = w.flights[:n-1]
	}
	w.from, w.sent, w.more = gen, gen-1, true
	w.resends++
}

// nextPush returns the next frame of own batches, nil where there is none or the window is full.
func (s *Session) nextPush(ctx context.Context) []byte {
	w := &s.window
	w.thin = s.cfg.Thin && !s.Live()
	if len(w.ready) == 0 && w.more && !w.full() && !s.readUnsent(ctx) {
		return nil
	}
	push := w.pop()
	if push == nil {
		return nil
	}
	frame, err := wire.Append(nil, push)
	if err != nil {
		s.end(Result{Outcome: Failed, Code: wire.CodeInternal, Text: err.Error(), Err: err})
		return nil
	}
	s.pushing = true
	return frame
}

// readUnsent takes the next batches from the replica, which has stored them.
func (s *Session) readUnsent(ctx context.Context) bool {
	w := &s.window
	gens, batches, err := s.replica.Unsent(ctx, w.from, w.room())
	if core.IsLost(err) {
		s.end(Result{Outcome: Lost, Code: codeOf(err), Text: err.Error(), Gen: w.from, Err: err})
		return false
	}
	if err != nil {
		s.fail(err)
		return false
	}
	w.more = len(batches) > 0
	for i, gen := range gens {
		if want := w.from + change.Generation(i); gen != want {
			s.end(Result{Outcome: Failed, Code: wire.CodeInternal, Text: fmt.Sprintf("expected own generation %d to push, the replica has %d", want, gen)})
			return false
		}
	}
	w.fill(batches)
	return w.more
}

// resend goes back to the generation that the hub misses.
func (s *Session) resend(m *wire.Resend) {
	w := &s.window
	if m.Gen < w.lowest || m.Gen > w.sent+1 {
		s.end(s.faulty(wire.CodeProtocol, fmt.Sprintf("expected a resend from %d to %d, got %d", w.lowest, w.sent+1, m.Gen)))
		return
	}
	w.rewind(m.Gen)
	if w.resends > wire.MaxResends {
		s.end(Result{Outcome: Ended, Text: fmt.Sprintf("the hub asked %d times for generation %d", w.resends, m.Gen)})
	}
}
