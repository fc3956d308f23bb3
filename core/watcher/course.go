package watcher

import (
	"math/rand/v2"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// Delays between attempts. Zero fields are the protocol's (PROTOCOL.md, section 14).
type Delays struct {
	Dial   time.Duration // base after a dial that failed
	Stream time.Duration // base after a connection that ended
	Max    time.Duration // cap of both
	Stable time.Duration // life after the welcome that resets them
}

func (d Delays) complete() Delays {
	pick := func(d, standard time.Duration) time.Duration {
		if d <= 0 {
			return standard
		}
		return d
	}
	return Delays{
		Dial: pick(d.Dial, wire.WatchRetryDelay), Stream: pick(d.Stream, wire.StreamRetryDelay),
		Max: pick(d.Max, wire.MaxRetryDelay), Stable: pick(d.Stable, wire.StreamStable),
	}
}

// A Course decides what comes after a connection. It remembers what must outlive one:
//
//	attempt   grows with every delay; back to 0 when a connection has lived, or when there is reason to look anew;
//	          and when one has brought something further
//	own       the own batch that the hub refused:     settle ─▶ parting ─▶ push seldom, the feed goes on
//	parting   the hub does not want what is sent under the device id, or it cannot be read: learn what it has ─▶ re-entry
//	leaving   the device id is another's too: send what is left under it ─▶ re-entry
//	deadly    the push at which hubs ended without a word: once ─▶ small frames; twice ─▶ its batches one by one, and the hub is told
//	lost      the hub does not know the marker: a trail, hand back ─▶ if it still does not, go back
//	thin      a connection ended without a word, and had brought nothing of what there is: little on the way at a time, until all is there
//	stream    the place that could not be applied:    ask again ─▶ held there, pushing goes on, tried seldom
//
// It asks no clock and waits for nothing.
type Course struct {
	delays  Delays
	rand    *rand.Rand
	attempt int
	atOnce  int // in a row, without a delay
	own     trouble
	stream  trouble
	deadly  deadly
	parting bool              // the device id is to be given up, with what was not sent under it
	leaving bool              // the device id is to be given up, once all is sent
	thin    bool              // lines break before they have brought anything
	unread  change.Generation // own generation that could not be read the last time; 0: none
	lost    lost
	back    change.Place // the end of the hub's feed when all was handed back
}

// thinCredit is how much is on the way at a time, either way, where lines break before a frame of full size is through. What is pushed while
// the stream is behind is not answered before that is at its end, and has the line break before it is.
const thinCredit = 32 << 10

// What the hub lost, as far as this device is concerned (handback.go).
type lost uint8

const (
	nothing    lost = iota
	unknown         // it did not know the marker
	owing           // nor up to where it had got back what was left
	handedBack      // and has got back what this device has
)

// A trouble is a fault that came n times in a row.
type trouble struct {
	n     int
	fault Fault
}

// A deadly push was under way, as the first that was not answered, when connections ended without a word. A
// network cuts lines too: so nothing is concluded from it but care.
type deadly struct {
	n         int               // connections that ended so
	low, high change.Generation // of the push, as far as it is not answered
}

// A Step is what comes next.
type Step struct {
	Phase   Phase         // what to show meanwhile
	Fault   Fault         // why
	Reenter bool          // first take a new device id
	Delay   time.Duration // then wait; 0: not at all
	Floor   time.Duration // of Delay, what no nudge may cut
	Stop    bool          // the replica is closed: there is nothing to come back with
}

// NewCourse returns a course without a past. Jitter is drawn from random.
func NewCourse(delays Delays, random rand.Source) *Course {
	return &Course{delays: delays.complete(), rand: rand.New(random)}
}

// Rest returns how long the next session lets own batches wait: see Config.
func (c *Course) Rest() time.Duration {
	if c.own.n > 2 {
		return c.delays.Max
	}
	return 0
}

// Linger returns how long the next session goes on pushing if it cannot apply the stream: see Config.
func (c *Course) Linger() time.Duration {
	if c.stream.n > 0 {
		return c.delays.Max
	}
	return 0
}

// Parting reports whether the next session is to be a parting one: see Config.
func (c *Course) Parting() bool { return c.parting }

// Leaving reports whether the next session is to be a leaving one: see Config.
func (c *Course) Leaving() bool { return c.leaving }

// Trail reports whether the next hello names earlier places: see Config.
func (c *Course) Trail() bool { return c.lost >= unknown }

// Owing reports whether the hub gets back what was left, too: see Config.
func (c *Course) Owing() bool { return c.lost == owing }

// HandedBack reports whether the hub has got back what it lost: see Config.
func (c *Course) HandedBack() bool { return c.lost == handedBack }

// Back returns where the hub's feed ended then: see Config.
func (c *Course) Back() change.Place { return c.back }

// Alone returns up to which generation the next session is to push batches one by one: see Config.
func (c *Course) Alone() change.Generation {
	if c.deadly.n < maxDeaths {
		return 0
	}
	return c.deadly.high
}

// Careful returns up to which generation the next session is to push small frames: see Config.
func (c *Course) Careful() change.Generation { return c.deadly.high }

// Thin reports whether the next session is to have little on the way: see Config.
func (c *Course) Thin() bool { return c.thin }

// Standing returns the fault of earlier connections that s has not overcome; zero: none.
func (c *Course) Standing(s *Session) Fault {
	switch {
	case !s.until.IsZero():
		return Fault{Code: s.held.Code, Message: s.held.Text, Seq: s.held.Seq}
	case c.stream.n > 1 && s.applied < c.stream.fault.Seq:
		return c.stream.fault
	case c.own.n > 2 && s.confirmed.IsZero():
		return c.own.fault
	}
	return Fault{}
}

// AfterDial returns what comes after a dial that failed, or a token that could not be had.
func (c *Course) AfterDial(f Fault) Step {
	return Step{Phase: PhaseWaiting, Fault: f, Delay: c.backoff(c.delays.Dial)}
}

// After returns what comes after a session that is over.
func (c *Course) After(now time.Time, s *Session) Step {
	c.learn(now, s)
	r := s.Result()
	if r.Outcome == Ended && (r.Cut || r.Silent) {
		c.died(s)
		c.thin = c.thin || s.Settled() && !s.Live() && !s.further()
	}
	step := Step{Phase: PhaseWaiting, Fault: Fault{Code: r.Code, Message: r.Text, Gen: r.Gen, Seq: r.Seq}}
	switch r.Outcome {
	case Again:
		if c.lost == owing { // it is not any more
			c.lost = nothing
		}
		return c.directly(step)
	case Unknown, Forgotten, HandedBack, Replayed:
		c.lost = map[Outcome]lost{Unknown: unknown, Forgotten: owing, HandedBack: handedBack, Replayed: nothing}[r.Outcome]
		c.back = s.handing.back // zero but of one that handed back
		if r.Outcome == Replayed {
			c.own = trouble{} // parents that the hub lost may be named since
		}
		return c.directly(step)
	case Reentered: // which kept all parents, also those for which the hub may have refused a batch
		c.parting, c.leaving, c.deadly, c.own = false, false, deadly{}, trouble{}
		return c.directly(step)
	case Lost: // once, it may have been the reading
		c.parting = r.Gen.IsZero() || r.Gen == c.unread
		c.unread = r.Gen
		return c.directly(step)
	case Superseded:
		c.leaving = true
		return c.directly(step)
	case Parted:
		c.parting, c.leaving, step.Reenter, c.deadly = false, false, true, deadly{}
		return c.directly(step)
	case Rejected:
		return c.rejected(step)
	case Faulty:
		return c.faulted(step, !s.until.IsZero())
	case Refused:
		step.Phase, step.Delay = PhaseRefused, c.longest()
		return step
	case Failed:
		return c.failed(step)
	}
	if r.Low {
		step.Delay = c.longest()
		return step
	}
	return c.later(step, r.Retry)
}

// AfterFailure returns what comes after the replica could not do what a step asked for.
func (c *Course) AfterFailure(err error) Step {
	s := Session{}
	s.fail(err)
	return c.failed(Step{Phase: PhaseWaiting, Fault: Fault{Code: s.result.Code, Message: s.result.Text}})
}

// learn takes from a session what it overcame.
func (c *Course) learn(now time.Time, s *Session) {
	switch {
	case s.Settled() && now.Sub(s.welcomed) >= c.delays.Stable:
		c.attempt, c.atOnce = 0, 0
	case s.further() || !s.confirmed.IsZero():
		c.attempt = 0 // whoever has much to fetch over a line that breaks often gets there, and it makes no hot loop
	}
	if s.Live() {
		c.thin = false
	}
	if s.Settled() {
		c.lost, c.back = nothing, change.Place{}
	}
	if !s.confirmed.IsZero() {
		c.own = trouble{}
	}
	if s.applied >= c.stream.fault.Seq {
		c.stream = trouble{}
	}
	c.outlived(s)
}

// died notes what was under way when a connection ended without a word. Where the stream had brought something and was not at its end, the
// answer stood behind what it had still to bring: that says nothing of the push.
func (c *Course) died(s *Session) {
	switch {
	case s.low.IsZero():
	case s.low == c.deadly.low && !s.Live() && s.further():
		c.deadly.high = min(c.deadly.high, s.high)
	case s.low == c.deadly.low:
		if c.deadly.n++; c.deadly.n <= maxDeaths {
			c.deadly.high = min(c.deadly.high, s.high) // it is in both
		}
	case c.deadly.n >= maxDeaths && s.low <= c.deadly.high: // another of those that go one by one
		c.deadly.low = s.low
	default:
		c.deadly = deadly{1, s.low, s.high}
	}
}

// outlived forgets a push that the hub has answered; where its batches go one by one, all of them.
func (c *Course) outlived(s *Session) {
	last := c.deadly.low
	if c.deadly.n >= maxDeaths {
		last = c.deadly.high
	}
	if max(s.settled, s.hubs) >= last {
		c.deadly = deadly{}
	}
}

// directly comes back without a delay, a few times; then as after any end.
func (c *Course) directly(step Step) Step {
	c.atOnce++
	if c.atOnce > MaxAtOnce {
		return c.later(step, 0)
	}
	return step
}

// rejected: the first time settling may help, the second time a new device id; then the batch is held.
func (c *Course) rejected(step Step) Step {
	if c.own.n == 1 && step.Fault.Gen != c.own.fault.Gen {
		c.own.n = 0
	}
	if step.Fault.Code == wire.CodeForbidden {
		c.own.n = max(c.own.n, 2) // another device id may write as little
	}
	c.own.n++
	c.own.fault = step.Fault
	switch c.own.n {
	case 1:
	case 2:
		c.parting = true
	default:
		step.Phase = PhaseQuarantined
	}
	return c.later(step, 0)
}

// faulted: the first time it may have happened on the way; then the feed is held at that place.
func (c *Course) faulted(step Step, lingered bool) Step {
	if step.Fault.Seq != c.stream.fault.Seq {
		c.stream.n = 0
	}
	c.stream.n++
	c.stream.fault = step.Fault
	if c.stream.n == 1 {
		return c.later(step, 0)
	}
	step.Phase = PhaseQuarantined
	if lingered {
		return c.later(step, 0) // it has waited already
	}
	step.Delay = c.longest()
	return step
}

func (c *Course) failed(step Step) Step {
	switch step.Fault.Code {
	case wire.Code(core.Closed):
		step.Stop = true
		return step
	case wire.Code(core.StorageLost):
		step.Delay = c.longest()
		return step
	}
	return c.later(step, 0)
}

// later waits as after any end of a connection, and no less than the hub asked for.
func (c *Course) later(step Step, retry time.Duration) Step {
	step.Delay = c.backoff(c.delays.Stream)
	if retry > 0 {
		step.Floor = retry + c.upTo(retry/2)
		step.Delay = max(step.Delay, step.Floor)
	}
	return step
}

// backoff returns the next delay: exponential, with full jitter.
func (c *Course) backoff(base time.Duration) time.Duration {
	limit := base
	for i := 0; i < c.attempt && limit < c.delays.Max; i++ {
		limit *= 2
	}
	c.attempt++
	return max(wire.MinRetryDelay, c.upTo(min(limit, c.delays.Max)))
}

// longest returns a delay between half the cap and the cap.
func (c *Course) longest() time.Duration {
	half := c.delays.Max / 2
	return half + c.upTo(half)
}

// upTo returns a random duration from 0 to limit.
func (c *Course) upTo(limit time.Duration) time.Duration {
	return time.Duration(c.rand.Int64N(int64(limit) + 1))
}

// Nudged says that there is reason to look anew. How often it went wrong before says nothing of now: a network that is back does not
// carry at once, and the attempts that fail meanwhile must not be as far apart as those before.
func (c *Course) Nudged() { c.attempt = 0 }

// nudged returns what is left of a delay after a nudge.
func (c *Course) nudged(left, floor time.Duration) time.Duration {
	return min(left, max(floor, c.upTo(nudgeDelay)))
}
