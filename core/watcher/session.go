package watcher

import (
	"context"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// A Replica is what the watcher needs of *core.Replica. Errors that say what to do are *core.Error.
type Replica interface {
	Hello(ctx context.Context) (core.HelloState, error)
	Settle(ctx context.Context, w core.Welcome) (core.Settled, error)
	Unsent(ctx context.Context, from change.Generation, maxBytes int) ([]change.Generation, [][]byte, error)
	Apply(ctx context.Context, arrivals []core.Arrival, after change.Hash) error
	Reenter(ctx context.Context) error
	Trail(ctx context.Context) ([]change.Place, error)
	Applied(ctx context.Context, at core.AppliedCursor, maxBytes int) ([][]byte, core.AppliedCursor, error)
	GoBack(ctx context.Context, to change.Marker, back change.Place) error
	Owe(ctx context.Context, back change.Place) error
	State() core.State
	OnUnsent(fn func())
}

// Config is what a Session says of itself.
type Config struct {
	Database string // as in the URL
	Token    string // empty: none
	Agent    string // program and version, for the hub's log
	Credit   uint64 // bytes of the stream that may be on the way; 0: wire.DefaultCredit

	// Rest is how long after the welcome own batches wait. Where the hub keeps refusing one of them,
	// the feed goes on meanwhile.
	Rest time.Duration
	// Linger is how long the session goes on pushing, deaf to the stream, after the replica could not
	// apply what came. Where that keeps happening at one place of the feed, own batches still go up.
	Linger time.Duration
	// Parting sessions push nothing, and end Parted once the replica knows all that the hub has of this
	// device: only then can the rest be written again under another device id, and nothing twice.
	Parting bool
	// Leaving sessions push as others do, and end Parted once nothing is left to be sent. A copy of this
	// replica has the device id too: of what both wrote before they were two, the hub must not get one
	// under this id and the other under a new one.
	Leaving bool
	// Alone is the last of the own generations that are pushed one by one, each when all before it are
	// answered: hubs seem to have died at one of them.
	Alone change.Generation
	// Careful is the last of the own generations that are pushed in small frames: a connection ended without a word
	// while they were under way, and what goes alone after the next is a frame.
	Careful change.Generation
	// Thin sessions have little on the way, up and down, until all is there: lines broke before they had brought anything.
	Thin bool
	// Trail has hello name earlier places of the feed: the hub did not know the marker.
	Trail bool
	// HandedBack says that the hub was given all that was applied, and that its feed ended at Back then: where
	// it has that and still does not know the marker, what it lost is left.
	HandedBack bool
	Back       change.Place
	// Owing has hello name, as if it were the marker, the place where the hub's feed ended when it had got back what the replica has left
	// since: the hub does not know that place, and so gets back what was left, too.
	Owing bool
}

type stage uint8

const (
	fresh       stage = iota // Open was not called
	greeting                 // hello is out, welcome is not in
	streaming                // settled: pushing and applying
	handingBack              // the hub gets back what it lost, and nothing else is exchanged
	over                     // result says why
)

// A Session is one connection of a device to its hub, without IO: its inputs are methods, each with
// the time of the event, its outputs are Next, Deadline and Result. Inputs call the replica, and so
// may block until its store has answered. One goroutine uses a Session.
type Session struct {
	replica Replica
	cfg     Config
	stage   stage
	result  Result

	hello   core.HelloState // what Open said
	trail   []change.Place  // and the earlier places, if it named any
	owing   bool            // and that it owes what it has left: its marker there is none
	handing handing
	budget  int      // bytes of a frame that hands back
	control [][]byte // frames that go before pushes
	pushing bool     // the frame that Next gave last was a part of a push
	joiner  wire.Joiner
	window  window
	credit  credit
	heart   heartbeat
	renew   renewal

	caughtUp  bool              // what the hub had at the welcome is applied, and own batches are answered
	applied   uint64            // last sequence stored
	start     uint64            // sequence behind which the stream began
	head      uint64            // last sequence of the feed when the hub said welcome
	hubs      change.Generation // last own generation that the hub had then
	settled   change.Generation // last own generation that the stream has answered
	held      Result            // the fault with which a session lingers
	until     time.Time         // how long it does; zero: it does not
	welcomed  time.Time
	confirmed time.Time         // when an own batch was answered last
	low, high change.Generation // at the end: the first push that was under way then; zeros: none was
}

// New returns the machine of a connection that is open and has carried nothing yet.
func New(replica Replica, cfg Config) *Session {
	if cfg.Credit == 0 {
		cfg.Credit = wire.DefaultCredit
	}
	if cfg.Thin {
		cfg.Credit = min(cfg.Credit, thinCredit)
	}
	return &Session{replica: replica, cfg: cfg, credit: credit{limit: cfg.Credit}}
}

// Open begins: the hello is the first frame that Next gives.
func (s *Session) Open(ctx context.Context, now time.Time) {
	if s.stage == fresh {
		s.heart.open(now)
		s.stage = greeting
		s.sayHello(ctx)
	}
}

// Frame takes the next frame that came, and keeps it: the caller must not use it again.
func (s *Session) Frame(ctx context.Context, now time.Time, frame []byte) {
	if s.stage == fresh || s.stage == over {
		return
	}
	s.heart.heard(now)
	if s.heart.text && wire.IsBeat(frame) {
		s.beaten(now)
		return
	}
	m, err := wire.DecodeDown(frame)
	if err != nil {
		s.blame(err)
		return
	}
	if _, pong := m.(*wire.Pong); pong {
		s.beaten(now)
	} else {
		s.heart.answered = now
	}
	if s.stage == greeting {
		s.greeted(ctx, now, m)
		return
	}
	if s.stage == handingBack {
		s.handed(ctx, now, m)
		return
	}
	joined, err := s.joiner.Join(m)
	switch {
	case err != nil:
		s.blame(err)
	case joined == wire.Orphan:
		s.end(Result{Outcome: Ended, Text: "the hub sent a part without its beginning"})
	case joined == wire.Whole:
		s.streamed(ctx, now, m)
	}
}

// greeted takes what comes while the welcome is awaited.
func (s *Session) greeted(ctx context.Context, now time.Time, m wire.Message) {
	switch m := m.(type) {
	case *wire.Welcome:
		s.welcome(ctx, now, m)
	case *wire.Error:
		s.refused(m)
	case *wire.Bye:
		s.dismissed(m)
	default:
		s.misplaced(m)
	}
}

// streamed takes what comes behind the welcome.
func (s *Session) streamed(ctx context.Context, now time.Time, m wire.Message) {
	switch m := m.(type) {
	case *wire.Changes:
		if !s.until.IsZero() {
			return
		}
		s.changes(ctx, now, m)
	case *wire.Accepted:
		s.accepted(ctx, now, m)
	case *wire.Voided:
		s.voided(ctx, now, m)
	case *wire.Resend:
		s.resend(m)
	case *wire.Pong:
		if m.Expires > 0 {
			s.renew.expires(now, m.Now, m.Expires)
		}
	case *wire.Error:
		s.refused(m)
	case *wire.Bye:
		s.dismissed(m)
	default:
		s.misplaced(m)
	}
}

// Idle says that no further frame has come: what was applied is acknowledged.
func (s *Session) Idle(now time.Time) {
	if s.stage == streaming && s.credit.idle(s.applied < s.head) {
		s.saySeen()
	}
}

// Wake says that the replica may have unsent batches.
func (s *Session) Wake() { s.window.more = true }

// Tick says that the time has come to Deadline.
func (s *Session) Tick(now time.Time) {
	switch s.stage {
	case greeting:
		if s.heart.unwelcome(now) {
			s.end(Result{Outcome: Ended, Silent: true, Text: "the hub did not answer the hello"})
		}
	case handingBack:
		s.beat(now)
	case streaming:
		if !s.until.IsZero() && !now.Before(s.until) {
			s.end(s.held)
			return
		}
		s.window.rested(now)
		s.renew.due(now)
		s.beat(now)
		if s.stage == streaming && s.credit.overdue(now) {
			s.saySeen()
		}
	}
}

// Next returns the next frame to be sent, nil while there is none. The one before must be written.
func (s *Session) Next(ctx context.Context) []byte {
	if s.stage == fresh || s.stage == over {
		return nil
	}
	if len(s.control) > 0 {
		frame := s.control[0]
		s.control = s.control[1:]
		s.pushing = false
		return frame
	}
	if s.stage == handingBack {
		return s.nextHandback(ctx)
	}
	if s.stage != streaming || s.cfg.Parting || !s.window.rest.IsZero() {
		return nil
	}
	return s.nextPush(ctx)
}

// Probe says that the network may be another one, or that the device has slept: the connection has to show soon that it lives.
func (s *Session) Probe(now time.Time) {
	if s.stage == streaming || s.stage == handingBack {
		s.probe(now)
	}
}

// Wrote says that the connection has taken the frame that Next gave last.
func (s *Session) Wrote(now time.Time) { s.heart.wrote(now, s.pushing) }

// Lost says that the connection has ended by itself, with what its Read or Write returned.
func (s *Session) Lost(err error) {
	s.end(Result{Outcome: Ended, Cut: true, Text: "the connection broke", Err: err})
}

// Deadline returns when Tick is due; zero: never.
func (s *Session) Deadline() time.Time {
	switch s.stage {
	case greeting:
		return s.heart.welcomeBy()
	case handingBack:
		return earlier(s.heart.next(), s.answerBy())
	case streaming:
		return earlier(earlier(earlier(earlier(s.heart.next(), s.answerBy()), s.credit.due), earlier(s.window.rest, s.until)), s.renew.at)
	}
	return time.Time{}
}

// Result returns how the session ended; its Outcome is Running until then.
func (s *Session) Result() Result { return s.result }

// Over reports whether the session has ended: Result says how.
func (s *Session) Over() bool { return s.stage == over }

// Settled reports whether the hub has said welcome and the replica has settled with it.
func (s *Session) Settled() bool { return !s.welcomed.IsZero() }

// Live reports whether all is applied that was in the feed at the welcome.
func (s *Session) Live() bool { return s.Settled() && s.applied >= s.head }

// further reports whether the stream has brought something that was not there before.
func (s *Session) further() bool { return s.applied > s.hello.Marker.Seq }

// Progress returns how many entries of those between the start of the stream and the feed's head at
// the welcome have been applied; while entries are handed back, how many of those are.
func (s *Session) Progress() (received, expected uint64) {
	if s.stage == handingBack {
		expected = s.applied - s.handing.from
		return min(s.handing.done-s.handing.from, expected), expected
	}
	if !s.Settled() || s.head <= s.start {
		return 0, 0
	}
	return min(s.applied, s.head) - min(s.start, s.applied), s.head - s.start
}

// awaits returns what the session waits for, and a number that is another after each step forward.
func (s *Session) awaits() (reason Reason, step uint64) {
	low, _ := s.window.underway()
	switch {
	case s.stage == greeting:
		return ForWelcome, 0
	case s.stage == handingBack:
		return ForConfirmation, s.handing.done
	case s.stage != streaming:
		return "", 0
	case !s.until.IsZero():
		return ForAttempt, 0
	case !s.Live():
		return ForChanges, s.applied
	case !low.IsZero():
		return ForConfirmation, uint64(s.settled)
	case !s.window.rest.IsZero():
		return ForAttempt, 0
	}
	return "", 0
}

// send queues a small frame. A message that may not be sent is a fault of our settings.
func (s *Session) send(m wire.Message) {
	frame, err := wire.Append(nil, m)
	if err != nil {
		s.end(Result{Outcome: Refused, Code: wire.CodeInvalid, Text: err.Error(), Err: err})
		return
	}
	s.control = append(s.control, frame)
}

// earlier returns the earlier of two moments; a zero one is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
