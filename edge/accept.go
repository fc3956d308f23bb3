package edge

import (
	"context"
	"fmt"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// gather finds the pushes that go on right behind p, and are as whole and as ordinary as it is. What is anything else is left for itself.
// Together they are not larger than one frame may be.
func (c *Conn) gather(now uint64, p *wire.Push, frames [][]byte) (others []*wire.Push) {
	frames, bytes := frames[1:], len(frames[0])
	if len(frames) == 0 || !whole(p) || c.awaiting != 0 || c.granted().ReadOnly || c.join.Held() > 0 {
		return nil
	}
	next, room := p.Gen+change.Generation(len(p.Batches)), c.window()-1
	for _, frame := range frames {
		if bytes += len(frame); bytes > wire.MaxFrame {
			break
		}
		m, err := wire.DecodeUp(frame)
		push, is := m.(*wire.Push)
		if err != nil || !is || !whole(push) || push.Gen != next || len(others) >= room || c.unfit(now, push, len(frame)) != nil {
			break
		}
		others = append(others, push)
		next += change.Generation(len(push.Batches))
	}
	return others
}

// whole reports whether a push has all of its batches in it, and none that is to be tried alone.
func whole(p *wire.Push) bool { return p.Part == (wire.Part{}) && !p.Alone && len(p.Batches) > 0 }

// push joins what came in parts and has the replica judge it, together with others that follow it. What it takes is answered by the
// stream, in its place of the feed.
func (c *Conn) push(ctx context.Context, p *wire.Push, others []*wire.Push) error {
	if c.granted().ReadOnly {
		return c.refuse(&wire.Error{Code: wire.CodeForbidden, Gen: p.Gen,
			Text: "the token allows reading only; nothing was taken: keep what was written until there is a token that allows writing"})
	}
	if c.awaiting != 0 {
		switch {
		case p.Gen == c.awaiting && p.Part.Index > 0 && p.Part.Index <= c.passed:
			return c.resend(p) // sent again, and the beginning is missing again
		case p.Gen == c.awaiting && p.Part.Index > 0:
			c.passed = p.Part.Index
			return nil
		case p.Gen > c.awaiting || p.Part.Index > 0:
			return nil // was on the way when the resend was sent
		}
		c.awaiting = 0
	}
	if p.Part.Index == 0 && c.window() <= 0 {
		return c.refuse(&wire.Error{Code: wire.CodeProtocol, Gen: p.Gen, Text: fmt.Sprintf("expected at most %d pushes that are not answered: wait for the stream", wire.MaxPushes)})
	}
	joined, err := c.join.Join(p)
	if err != nil {
		return c.fail(err)
	}
	if !c.holdParts() {
		return c.crowded()
	}
	switch joined {
	case wire.Orphan:
		return c.resend(p)
	case wire.Waiting:
		return nil
	}
	return c.accept(ctx, p, others)
}

// accept has whole batches judged and stored, those of several pushes in one commit.
func (c *Conn) accept(ctx context.Context, p *wire.Push, others []*wire.Push) error {
	pushes, n := append([]*wire.Push{p}, others...), 0
	for _, push := range pushes {
		n += len(push.Batches)
	}
	in := make([]core.Incoming, 0, n)
	lasts := make([]change.Generation, 0, len(pushes)) // of each push
	for _, push := range pushes {
		for _, b := range push.Batches {
			one := c.incoming(b)
			one.Alone = push.Alone
			in = append(in, one)
		}
		lasts = append(lasts, p.Gen+change.Generation(len(in))-1)
	}
	last := lasts[len(lasts)-1]
	c.shows(last) // before they are in the feed, whose readers ask
	verdicts, err := c.store(ctx, in)
	if err != nil {
		return c.fail(err)
	}
	if len(verdicts) != len(in) {
		return c.fail(fmt.Errorf("expected %d verdicts, got %d", len(in), len(verdicts)))
	}
	for i, v := range verdicts {
		gen := p.Gen + change.Generation(i)
		if err := c.judged(v, gen); err != nil || c.awaiting != 0 {
			return err
		}
		if gen == lasts[0] {
			c.awaits(gen)
			lasts = lasts[1:]
		}
	}
	return c.ended()
}

// store has batches stored, unless the device has come again meanwhile.
func (c *Conn) store(ctx context.Context, in []core.Incoming) ([]core.Verdict, error) {
	defer c.hub.turns.take(c.device)()
	if err := c.ended(); err != nil {
		return nil, err
	}
	return c.hub.replica.Accept(ctx, in)
}

// incoming is a batch as the replica wants it: of one that is too large for this hub, the header only.
func (c *Conn) incoming(batch []byte) core.Incoming {
	if len(batch) > c.hub.cfg.MaxBatch {
		if _, body, err := change.DecodeHeader(batch); err == nil {
			return core.Incoming{Device: c.device, Bytes: batch[:body:body], Oversize: true}
		}
	}
	return core.Incoming{Device: c.device, Bytes: batch}
}

// judged acts on the verdict about the batch that came as generation gen.
func (c *Conn) judged(v core.Verdict, gen change.Generation) error {
	if v.Kind != core.Refused {
		if v.Gen != gen {
			return c.refuse(&wire.Error{Code: wire.CodeProtocol, Gen: gen, Text: fmt.Sprintf("expected batch of generation %d at this place of the push, got %d", gen, v.Gen)})
		}
		c.last = max(c.last, gen)
		return nil
	}
	if v.Gen.IsZero() {
		v.Gen = gen
	}
	// GAP says that something before is missing: an own batch, which the device has and sends again,
	// or one of another device, which it cannot send.
	if core.Code(v.Code) == core.Gap && v.Gen > c.last+1 {
		return c.resend(nil)
	}
	return c.refuse(answer(&core.Error{Code: core.Code(v.Code), Message: v.Message, Gen: v.Gen}))
}

// resend asks for the device's batches behind the last that it is known to have, because of a part without its beginning, or because
// of something else: nil. What is on the way behind it is not looked at.
func (c *Conn) resend(part *wire.Push) error {
	c.join.Reset()
	c.holdParts()
	c.mu.Lock()
	c.last = max(c.last, c.ownSent) // others hand back what this device has written
	c.awaiting, c.passed = c.last+1, ^uint64(0)
	frame, err := wire.Append(nil, &wire.Resend{Gen: c.awaiting})
	full := err == nil && c.queue(frame) // before more of the stream goes
	c.mu.Unlock()
	if err != nil {
		return c.fail(err)
	}
	if part != nil && part.Gen == c.awaiting {
		c.passed = part.Part.Index
	}
	return c.queued(full)
}

// holdParts counts the parts that wait for their end. It reports false if the hub has no room for them.
func (c *Conn) holdParts() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return true
	}
	was := c.joined
	c.joined, c.partAt = c.join.Held(), c.heard
	return c.hub.joins.hold(c.subject, was, c.joined)
}

// crowded ends the connection of a device for whose parts there is no room.
func (c *Conn) crowded() error {
	return c.refuse(&wire.Error{Code: wire.CodeRateLimited, Text: "too many large batches are on the way to this database; come back later", Retry: retryBusy})
}

// shows notes that the device has its generations up to gen, so that the stream need not bring their
// bytes.
func (c *Conn) shows(gen change.Generation) {
	c.mu.Lock()
	c.ownHigh = max(c.ownHigh, gen)
	c.mu.Unlock()
}

// window is how many pushes the device may send now.
func (c *Conn) window() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return wire.MaxPushes - len(c.unanswered)
}

// awaits notes a push as unanswered until the stream has passed its last generation; it may have
// done so already.
func (c *Conn) awaits(last change.Generation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last > c.ownSent && c.end == nil {
		c.unanswered = append(c.unanswered, last)
	}
}
