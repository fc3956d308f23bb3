package watcher

import (
	"math/rand/v2"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/wire"
)

// past is a session that is over, as a Course sees it.
func past(r Result, change func(*Session)) *Session {
	s := &Session{stage: over, result: r}
	if change != nil {
		change(s)
	}
	return s
}

func newCourse() *Course { return NewCourse(Delays{}, rand.NewPCG(1, 2)) }

func TestDelaysGrowWithFullJitter(t *testing.T) {
	for _, dial := range []bool{true, false} {
		base := wire.StreamRetryDelay
		if dial {
			base = wire.WatchRetryDelay
		}
		var sums, high [12]time.Duration
		const courses = 500
		for i := range uint64(courses) {
			c := NewCourse(Delays{}, rand.NewPCG(i, 7))
			for k := range sums {
				step := c.AfterDial(Fault{})
				if !dial {
					c.attempt--
					step = c.After(epoch, past(Result{Outcome: Ended}, nil))
				}
				limit := min(wire.MaxRetryDelay, base<<k)
				if step.Delay < wire.MinRetryDelay || step.Delay > limit {
					t.Fatalf("attempt %d: %v, expected up to %v", k, step.Delay, limit)
				}
				sums[k] += step.Delay
				high[k] = max(high[k], step.Delay)
			}
		}
		for k := range sums {
			limit := min(wire.MaxRetryDelay, base<<k)
			if mean := sums[k] / courses; mean < limit*2/5 || mean > limit*3/5 || high[k] < limit*9/10 {
				t.Errorf("attempt %d: mean %v and highest %v of %v", k, mean, high[k], limit)
			}
		}
	}
}

func TestDelaysAreResetByALongLifeOnly(t *testing.T) {
	c := newCourse()
	for range 8 {
		c.AfterDial(Fault{})
	}
	lived := func(d time.Duration) *Session {
		return past(Result{Outcome: Ended}, func(s *Session) { s.welcomed = epoch.Add(-d) })
	}
	c.After(epoch, lived(wire.StreamStable-1))
	if c.attempt != 9 {
		t.Errorf("a short life counts: %d", c.attempt)
	}
	c.After(epoch, past(Result{Outcome: Ended}, nil)) // never welcome, however long ago it was opened
	if c.attempt != 10 {
		t.Errorf("%d", c.attempt)
	}
	if step := c.After(epoch, lived(wire.StreamStable)); c.attempt != 1 || step.Delay > wire.StreamRetryDelay {
		t.Errorf("%d, %v", c.attempt, step.Delay)
	}
}

// A line that breaks every few seconds, and brings something each time, is dialed again within seconds: however often it broke.
func TestWhatBringsSomethingIsTriedSoon(t *testing.T) {
	for name, brought := range map[string]func(*Session){
		"changes":           func(s *Session) { s.hello.Marker.Seq, s.applied = 3, 4 },
		"an answer":         func(s *Session) { s.confirmed = epoch },
		"nothing":           func(s *Session) { s.hello.Marker.Seq, s.applied = 3, 3 },
		"a place back only": func(s *Session) { s.hello.Marker.Seq, s.applied = 3, 2 },
	} {
		c := newCourse()
		var longest time.Duration
		for range 40 {
			longest = max(longest, c.After(epoch, past(Result{Outcome: Ended, Cut: true}, brought)).Delay)
		}
		if something := name == "changes" || name == "an answer"; (longest <= wire.StreamRetryDelay) != something {
			t.Errorf("%s: up to %v", name, longest)
		}
	}
}

// Where a line broke before a frame was through, the hub is to send little at a time, until all is there.
func TestLittleAtATimeWhereNothingCameThrough(t *testing.T) {
	ends := map[string]struct {
		result  Result
		applied uint64
		little  bool
	}{
		"nothing came":            {Result{Outcome: Ended, Cut: true}, 3, true},
		"silence":                 {Result{Outcome: Ended, Silent: true}, 3, true},
		"something came":          {Result{Outcome: Ended, Cut: true}, 4, false},
		"all was there":           {Result{Outcome: Ended, Cut: true}, 9, false},
		"the hub said why it was": {Result{Outcome: Ended}, 3, false},
	}
	end := func(c *Course, r Result, applied uint64) {
		c.After(epoch, past(r, func(s *Session) { s.welcomed, s.hello.Marker.Seq, s.applied, s.head = epoch, 3, applied, 9 }))
	}
	for name, e := range ends {
		c := newCourse()
		end(c, e.result, e.applied)
		if c.Thin() != e.little {
			t.Errorf("%s: %v", name, c.Thin())
		}
	}
	c := newCourse()
	end(c, Result{Outcome: Ended, Cut: true}, 3)
	end(c, Result{Outcome: Ended, Cut: true}, 5)
	if !c.Thin() {
		t.Error("with more to come, it is as before")
	}
	end(c, Result{Outcome: Ended, Cut: true}, 9)
	if c.Thin() {
		t.Error("all is there, and still little comes at a time")
	}
}

// A push that was not answered is no reason for suspicion while the stream brings what is to stand before the answer.
func TestAnswersStandBehindTheStream(t *testing.T) {
	c := newCourse()
	for range 9 {
		c.After(epoch, past(Result{Outcome: Ended, Cut: true}, func(s *Session) {
			s.welcomed, s.hello.Marker.Seq, s.applied, s.head, s.low, s.high = epoch, 3, 4, 9, 1, 5
		}))
	}
	if c.Careful() != 5 || c.Alone() != 0 {
		t.Errorf("careful up to %d, alone up to %d", c.Careful(), c.Alone())
	}
	for range 2 {
		c.After(epoch, past(Result{Outcome: Ended, Cut: true}, func(s *Session) {
			s.welcomed, s.hello.Marker.Seq, s.applied, s.head, s.low, s.high = epoch, 3, 3, 9, 1, 5
		}))
	}
	if c.Alone() != 5 {
		t.Errorf("nothing came, and it is pushed again and again: alone up to %d", c.Alone())
	}
}

func TestHubsWishIsAFloor(t *testing.T) {
	c := newCourse()
	for range 100 {
		c.attempt = 0
		step := c.After(epoch, past(Result{Outcome: Held, Code: wire.CodeRateLimited, Retry: 10 * time.Second}, nil))
		if step.Phase != PhaseWaiting || step.Delay < 10*time.Second || step.Delay > 15*time.Second {
			t.Fatalf("%+v", step)
		}
		if d := c.nudged(step.Delay, step.Floor); d < 10*time.Second {
			t.Fatalf("a nudge cut it to %v", d)
		}
	}
	if d := c.nudged(time.Minute, 0); d > nudgeDelay {
		t.Errorf("a nudge leaves %v", d)
	}
	if d := c.nudged(time.Millisecond, 0); d > time.Millisecond {
		t.Errorf("a nudge makes it longer: %v", d)
	}
}

func TestAtOnceIsBounded(t *testing.T) {
	c := newCourse()
	for i := range 10 {
		outcome := []Outcome{Again, Superseded, Parted, Reentered}[i%4]
		step := c.After(epoch, past(Result{Outcome: outcome}, func(s *Session) { s.welcomed = epoch }))
		if (step.Delay == 0) != (i < MaxAtOnce) || step.Reenter != (outcome == Parted) || c.Leaving() != (outcome == Superseded) || c.Parting() {
			t.Errorf("%d: %+v", i, step)
		}
	}
	c.After(epoch, past(Result{Outcome: Ended}, func(s *Session) { s.welcomed = epoch.Add(-time.Hour) }))
	if step := c.After(epoch, past(Result{Outcome: Again}, nil)); step.Delay != 0 {
		t.Errorf("%+v", step)
	}
}

func TestRefusedIsSlow(t *testing.T) {
	c := newCourse()
	for range 100 {
		step := c.After(epoch, past(Result{Outcome: Refused, Code: wire.CodeForbidden, Text: "no"}, nil))
		if step.Phase != PhaseRefused || step.Delay < wire.MaxRetryDelay/2 || step.Delay > wire.MaxRetryDelay ||
			step.Fault.Code != wire.CodeForbidden || step.Fault.Message != "no" {
			t.Fatalf("%+v", step)
		}
		step = c.After(epoch, past(Result{Outcome: Held, Code: wire.CodeCorrupt, Low: true}, nil))
		if step.Phase != PhaseWaiting || step.Delay < wire.MaxRetryDelay/2 {
			t.Fatalf("%+v", step)
		}
	}
}

// Settling gives a new id, and keeps the parent that the hub does not have: the batch is refused under its new name, too, and a parting
// session has still to come, after which that parent is left out.
func TestOwnBatchRefusedUnderTheNameOfAReentry(t *testing.T) {
	for _, between := range []Outcome{Reentered, Replayed} {
		c := newCourse()
		rejected := past(Result{Outcome: Rejected, Code: wire.CodeGap, Gen: 2, Text: "why"}, nil)
		c.After(epoch, rejected)
		c.After(epoch, rejected)
		c.After(epoch, past(Result{Outcome: between}, nil))
		anew := past(Result{Outcome: Rejected, Code: wire.CodeGap, Gen: 1, Text: "why"}, nil)
		for range 2 {
			if step := c.After(epoch, anew); step.Phase != PhaseWaiting || c.Rest() > 0 {
				t.Errorf("%v: %+v", between, step)
			}
		}
		if step := c.After(epoch, past(Result{Outcome: Parted}, nil)); !step.Reenter {
			t.Errorf("%v: %+v", between, step)
		}
		if step := c.After(epoch, anew); step.Phase != PhaseQuarantined {
			t.Errorf("%v: %+v", between, step)
		}
	}
}

// settle ─▶ re-entry ─▶ the batch is held, and the feed goes on.
func TestOwnBatchRefusedAgainAndAgain(t *testing.T) {
	c := newCourse()
	rejected := past(Result{Outcome: Rejected, Code: wire.CodeHash, Gen: 7, Text: "why"}, nil)
	if step := c.After(epoch, rejected); step.Reenter || step.Phase != PhaseWaiting || step.Delay == 0 {
		t.Errorf("%+v", step)
	}
	if step := c.After(epoch, past(Result{Outcome: Rejected, Gen: 8}, nil)); step.Reenter {
		t.Errorf("another batch: %+v", step)
	}
	c.After(epoch, rejected)
	c.After(epoch, past(Result{Outcome: Ended}, nil)) // a break in between says nothing
	if step := c.After(epoch, rejected); step.Reenter || !c.Parting() || c.Rest() != 0 {
		t.Errorf("%+v", step)
	}
	c.After(epoch, past(Result{Outcome: Ended}, nil)) // the parting session broke
	if !c.Parting() {
		t.Error("no parting session after one that broke")
	}
	if step := c.After(epoch, past(Result{Outcome: Parted}, nil)); !step.Reenter || c.Parting() {
		t.Errorf("%+v", step)
	}
	anew := past(Result{Outcome: Rejected, Code: wire.CodeHash, Gen: 1, Text: "why"}, nil) // the same batch under its new name
	if step := c.After(epoch, anew); step.Reenter || step.Phase != PhaseQuarantined || step.Fault.Gen != 1 {
		t.Errorf("%+v", step)
	}
	if c.Rest() != wire.MaxRetryDelay {
		t.Errorf("own batches rest %v", c.Rest())
	}
	if f := c.Standing(&Session{}); f.Gen != 1 || f.Code != wire.CodeHash {
		t.Errorf("%+v", f)
	}
	good := past(Result{Outcome: Ended}, func(s *Session) { s.confirmed = epoch })
	if f := c.Standing(good); !f.IsZero() {
		t.Errorf("%+v", f)
	}
	c.After(epoch, good)
	if step := c.After(epoch, anew); c.Rest() != 0 || step.Phase != PhaseWaiting {
		t.Errorf("it was answered: %+v", step)
	}
}

func TestTheSamePlaceTwice(t *testing.T) {
	c := newCourse()
	faulty := func(seq uint64) *Session {
		return past(Result{Outcome: Faulty, Code: wire.CodeHash, Seq: seq}, func(s *Session) { s.applied = seq - 1 })
	}
	if step := c.After(epoch, faulty(5)); step.Phase != PhaseWaiting || step.Delay > wire.StreamRetryDelay {
		t.Errorf("%+v", step)
	}
	if step := c.After(epoch, faulty(6)); step.Phase != PhaseWaiting {
		t.Errorf("another place: %+v", step)
	}
	c.AfterDial(Fault{})
	step := c.After(epoch, faulty(6))
	if step.Phase != PhaseQuarantined || step.Delay < wire.MaxRetryDelay/2 || step.Fault.Seq != 6 {
		t.Errorf("%+v", step)
	}
	if f := c.Standing(&Session{applied: 5}); f.Seq != 6 {
		t.Errorf("%+v", f)
	}
	if f := c.Standing(&Session{applied: 6}); !f.IsZero() {
		t.Errorf("%+v", f)
	}
	c.After(epoch, past(Result{Outcome: Ended}, func(s *Session) { s.applied = 6 }))
	if step := c.After(epoch, faulty(7)); step.Phase != PhaseWaiting {
		t.Errorf("%+v", step)
	}
}

func TestOwnFailures(t *testing.T) {
	c := newCourse()
	if step := c.AfterFailure(&core.Error{Code: core.Quota, Message: "full"}); step.Stop || step.Delay == 0 || step.Fault.Code != "QUOTA" {
		t.Errorf("%+v", step)
	}
	if step := c.AfterFailure(&core.Error{Code: core.StorageLost}); step.Stop || step.Delay < wire.MaxRetryDelay/2 {
		t.Errorf("%+v", step)
	}
	if step := c.AfterFailure(&core.Error{Code: core.Closed}); !step.Stop {
		t.Errorf("%+v", step)
	}
}

func TestDelaysAreConfiguration(t *testing.T) {
	c := NewCourse(Delays{Dial: time.Second, Stream: time.Millisecond, Max: 5 * time.Second, Stable: time.Minute}, rand.NewPCG(1, 2))
	for range 50 {
		if d := c.AfterDial(Fault{}).Delay; d > 5*time.Second {
			t.Fatal(d)
		}
	}
	if got := (Delays{}).complete(); got.Dial != 2*time.Second || got.Stream != time.Second || got.Max != time.Minute || got.Stable != 30*time.Second {
		t.Errorf("%+v", got)
	}
}
