package edge

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// A Conn is a hub's end of one connection.
//
//	opened ── hello ──▶ streaming ────────────┬─ error, bye, silence, Close ──▶ over
//	             └────▶ handing back, no stream ┘
//
// One goroutine at a time calls Receive and one calls Next or Poll, at the same time; Tick, Close and
// the rest are for any.
type Conn struct {
	hub  *Hub
	peer Peer
	slot int           // in hub.conns, under hub.mu
	wake chan struct{} // has a value when there may be something to hand out
	done chan struct{} // closed when the connection is over
	deaf atomic.Bool   // it is of no use to wake it for news: it has no credit, or streams not yet

	// Set by start under hub.mu and mu, then left alone: either lock is enough to read them.
	device  change.DeviceID
	subject string

	mu        sync.Mutex
	grant     Grant    // what the device may do; from start on
	end       *End     // nil while it lives
	answers   [][]byte // what is not of the stream, handed out before it; at most maxAnswers and the last word
	streaming bool

	pos    uint64   // last sequence handed out whole
	piece  int      // parts of pos+1 that were handed out
	credit int      // bytes that may be on the way
	onWay  int      // bytes of unseen
	need   int      // bytes of pos+1, once it was found not to fit; 0 before
	unseen []handed // handed out, not confirmed; in order, at most maxUnseen

	held       change.Generation   // lowest own generation whose bytes the device has
	ownHigh    change.Generation   // highest own generation that it has shown to have
	pieceHigh  change.Generation   // ownHigh when the first part of pos+1 was handed out
	ownSent    change.Generation   // highest own generation that the stream has answered
	unanswered []change.Generation // last generations of pushes that the stream has not answered

	heard     uint64 // when the device was last heard, ms since 1970
	busy      bool   // Receive is at work: what the device says meanwhile waits
	moves     uint64 // counts what of the stream was handed out, and what was seen
	movesThen uint64 // moves when movedAt was set
	movedAt   uint64 // when a reader with something to read last moved on
	joined    int    // bytes of what waits for its end, counted in hub.joins
	partAt    uint64 // when the last part of it came

	// Only for the goroutine that calls Receive.
	join     wire.Joiner
	handing  bool // the device hands back what the hub lost, and the connection carries nothing else
	orphans  core.Orphans
	last     change.Generation // last own generation that the hub is known to have
	passed   uint64            // while awaiting: parts of it up to this one were on the way before; those behind it may be
	awaiting change.Generation // what a resend asked for; pushes beyond it are not looked at; 0: nothing
}

// A handed message is on its way to the device.
type handed struct {
	last  uint64      // its last sequence
	hash  change.Hash // running hash of the feed after it
	bytes int         // that it takes of the credit
}

// Receive takes a frame that came at the time now, in ms since 1970, and keeps it. It returns when the
// frame has had its effect: a push is stored then. The error is an *End when the connection is over, or
// that of the context.
func (c *Conn) Receive(ctx context.Context, now uint64, frame []byte) error {
	return c.ReceiveAll(ctx, now, [][]byte{frame})
}

// ReceiveAll is Receive for frames that came one behind the other. Pushes that follow each other share a commit.
func (c *Conn) ReceiveAll(ctx context.Context, now uint64, frames [][]byte) error {
	if end := c.hear(now); end != nil {
		return end
	}
	defer c.rest()
	for len(frames) > 0 {
		n, err := c.receive(ctx, now, frames)
		if err != nil {
			return err
		}
		if frames = frames[n:]; len(frames) > 0 {
			if err := c.ended(); err != nil {
				return err
			}
		}
	}
	return nil
}

// receive takes the first frame, and as many behind it as go with it: how many.
func (c *Conn) receive(ctx context.Context, now uint64, frames [][]byte) (n int, err error) {
	m, err := wire.DecodeUp(frames[0])
	if err != nil {
		return 1, c.refuse(answer(err))
	}
	if hello, is := m.(*wire.Hello); is != c.device.IsZero() {
		return 1, c.refuse(&wire.Error{Code: wire.CodeProtocol, Text: fmt.Sprintf("expected hello as the first message and only then, got %v", m.Type())})
	} else if is {
		return 1, c.greet(ctx, now, hello)
	}
	if _, is := m.(*wire.Ping); !is && (m.Type() == wire.TypeHandback) != c.handing {
		return 1, c.refuse(&wire.Error{Code: wire.CodeProtocol, Text: fmt.Sprintf("expected handback where the stream begins at an earlier place than the marker, and only there, got %v", m.Type())})
	}
	if why := c.unfit(now, m, len(frames[0])); why != nil {
		return 1, c.refuse(why)
	}
	switch m := m.(type) {
	case *wire.Push:
		others := c.gather(now, m, frames)
		return 1 + len(others), c.push(ctx, m, others)
	case *wire.Handback:
		return 1, c.takeBack(ctx, m)
	case *wire.Seen:
		return 1, c.see(m)
	case *wire.Token:
		return 1, c.renew(ctx, now, m)
	case *wire.Ping:
		return 1, c.say(&wire.Pong{N: m.N, Now: now})
	}
	return 1, nil // DecodeUp has no others
}

// hear notes that the device lives and that Receive is at work.
func (c *Conn) hear(now uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return c.end
	}
	c.heard = max(c.heard, now)
	c.busy = true
	return nil
}

// Heard notes that the device has lived at a time, in ms since 1970: for hosts that answer its beats.
func (c *Conn) Heard(at uint64) {
	c.mu.Lock()
	c.heard = max(c.heard, at)
	c.mu.Unlock()
}

func (c *Conn) rest() {
	c.mu.Lock()
	c.busy = false
	c.mu.Unlock()
}

// see takes what the device has applied off its credit.
func (c *Conn) see(m *wire.Seen) error {
	if wrong := c.saw(m); wrong != nil {
		return c.refuse(wrong)
	}
	return nil
}

func (c *Conn) saw(m *wire.Seen) *wire.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Seq > c.pos {
		return &wire.Error{Code: wire.CodeProtocol, Text: fmt.Sprintf("expected seen of at most sequence %d, which is all that was sent, got %d", c.pos, m.Seq)}
	}
	n := 0
	for ; n < len(c.unseen) && c.unseen[n].last <= m.Seq; n++ {
		out := c.unseen[n]
		if out.last == m.Seq && !m.Hash.IsZero() && m.Hash != out.hash {
			return &wire.Error{Code: wire.CodeHash, Text: fmt.Sprintf("expected the feed's hash %v after sequence %d, got %v", out.hash, m.Seq, m.Hash)}
		}
		c.onWay -= out.bytes
	}
	if n > 0 {
		c.unseen = append(c.unseen[:0], c.unseen[n:]...)
		c.moves++
		c.deaf.Store(false)
		c.signal()
	}
	return nil
}

// say queues an answer, before what is left of the stream.
func (c *Conn) say(m wire.Message) error {
	frame, err := wire.Append(nil, m)
	if err != nil {
		return c.refuse(answer(err))
	}
	c.mu.Lock()
	full := c.queue(frame)
	c.mu.Unlock()
	return c.queued(full)
}

// queue says that there are too many answers already. Under c.mu.
func (c *Conn) queue(frame []byte) (full bool) {
	if len(c.answers) >= maxAnswers {
		return true
	}
	if c.end == nil {
		c.answers = append(c.answers, frame)
		c.signal()
	}
	return false
}

func (c *Conn) queued(full bool) error {
	if full {
		c.hub.end(c, slow())
	}
	return c.ended()
}

// refuse ends the connection by the device's fault, or by one of ours that concerns it.
func (c *Conn) refuse(e *wire.Error) error {
	c.hub.end(c, refusal(e))
	return c.ended()
}

// start makes an opened connection a greeted one.
func (c *Conn) start(device change.DeviceID, grant Grant, ready func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return c.end
	}
	c.device, c.subject, c.grant = device, grant.Subject, grant
	ready()
	c.deaf.Store(false)
	return nil
}

// over ends the connection with a last word. It reports false if it was over before.
func (c *Conn) over(why ending) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return false
	}
	c.end = &why.End
	if why.last != nil {
		if frame, err := wire.Append(nil, why.last); err == nil {
			c.answers = append(c.answers, frame)
		}
	}
	c.hub.joins.hold(c.subject, c.joined, 0)
	c.joined, c.unseen, c.unanswered = 0, nil, nil
	c.deaf.Store(true)
	close(c.done)
	c.signal()
	return true
}

// ended returns the *End of a connection that is over.
func (c *Conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		return nil
	}
	return c.end
}

// signal lets a waiting Next look again, or the host.
func (c *Conn) signal() {
	if c.peer.Wake != nil {
		c.peer.Wake()
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Next waits for the next frame for the device. It is shared with other connections: not to be
// changed. The error is an *End behind the last frame, or the context's.
func (c *Conn) Next(ctx context.Context) ([]byte, error) {
	for {
		frame, err := c.Poll(ctx)
		if frame != nil || err != nil {
			return frame, err
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Poll returns the next frame for the device, nil if there is none now: see Next.
func (c *Conn) Poll(ctx context.Context) ([]byte, error) {
	for {
		c.mu.Lock()
		if len(c.answers) > 0 {
			frame := c.answers[0]
			c.answers = c.answers[1:]
			c.mu.Unlock()
			return frame, nil
		}
		if c.end != nil {
			c.mu.Unlock()
			return nil, c.end
		}
		at, ok := c.cursor()
		c.mu.Unlock()
		if !ok {
			return nil, nil
		}
		if frame, err := c.streamed(ctx, at); frame != nil || err != nil {
			return frame, err
		}
	}
}

// Tick looks at the time now, in ms since 1970, whether the device is silent, or a reader is slow. Call
// it every second or so.
func (c *Conn) Tick(now uint64) {
	if why, over := c.overdue(now); over {
		c.hub.end(c, why)
	}
}

func (c *Conn) overdue(now uint64) (why ending, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	behind := c.streaming && c.pos < c.hub.head.Load()
	if c.busy {
		c.heard, c.partAt = max(c.heard, now), max(c.partAt, now)
	}
	if c.busy || !behind || c.moves != c.movesThen {
		c.movesThen, c.movedAt = c.moves, now
	}
	switch {
	case c.end != nil:
		return ending{}, false
	case c.device.IsZero() && passed(c.heard, now, wire.HelloTimeout):
		return refusal(&wire.Error{Code: wire.CodeProtocol, Text: fmt.Sprintf("expected hello within %v", wire.HelloTimeout)}), true
	case passed(c.heard, now, wire.HubGiveUp):
		return silent(), true
	case c.grant.expired(now):
		return refusal(expired()), true
	case c.joined > 0 && passed(c.partAt, now, wire.PartTimeout):
		return refusal(&wire.Error{Code: wire.CodeProtocol, Text: fmt.Sprintf("expected the next part within %v of the one before", wire.PartTimeout)}), true
	case passed(c.movedAt, now, c.hub.cfg.SlowAfter):
		return slow(), true
	}
	return ending{}, false
}

// passed reports whether now is d or more after then. Clocks may be set back: then it is not.
func passed(then, now uint64, d time.Duration) bool {
	return now > then && now-then >= uint64(d.Milliseconds())
}

// Done is closed when the connection is over. What Next still has should be written within a short
// time, and the socket closed then.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close says that the socket is gone. It does not touch a newer connection of the same device.
func (c *Conn) Close() { c.hub.end(c, gone()) }

// A ConnInfo says what a connection is, for logs.
type ConnInfo struct {
	Peer    Peer
	Device  change.DeviceID // zero before its hello
	Subject string
	Pos     uint64 // last sequence that was handed out
}

// Info returns what the connection is.
func (c *Conn) Info() ConnInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ConnInfo{Peer: c.peer, Device: c.device, Subject: c.subject, Pos: c.pos}
}

// standing reports whether the connection streams, and whether it is behind head.
func (c *Conn) standing(head uint64) (streaming, behind bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streaming, c.streaming && c.pos < head
}
