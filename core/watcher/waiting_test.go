package watcher

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vsync/core/wire"
	"vsync/edge/clock"
)

// waits wants the status to say what is waited for, and since when.
func (g *rig) waits(reason Reason, since time.Time, stalled bool) {
	g.t.Helper()
	synctest.Wait()
	want := Waiting{reason, since, stalled}
	if reason == "" {
		want = Waiting{}
	}
	if got := g.w.Status().Waiting; got != want {
		g.t.Fatalf("at %v it waits for %+v, want %+v", time.Now(), got, want)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.told); n > 0 && g.told[n-1].Waiting != want {
		g.t.Fatalf("readers were told of %+v, want %+v", g.told[n-1].Waiting, want)
	}
}

// stalls wants a wait to be marked as stalled after its bound, without anything else happening.
func (g *rig) stalls(reason Reason, since time.Time) {
	g.t.Helper()
	g.pass(since.Add(stalls[reason]).Sub(time.Now()) - 1)
	g.waits(reason, since, false)
	g.pass(1)
	g.waits(reason, since, true)
}

// Whoever keeps it waiting is named: the application, the network, the hub at each step.
func TestWaitingIsNamed(t *testing.T) {
	answer := make(chan string)
	var route chan struct{}
	inBubble(t, func(g *rig, f *Feed) {
		answer, route = make(chan string), make(chan struct{})
		f.Token = func(ctx context.Context) (string, error) {
			select {
			case text := <-answer:
				return text, nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		dial := f.Dial
		f.Dial = func(ctx context.Context, url string) (wire.Conn, error) {
			select {
			case <-route:
				return dial(ctx, url)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		g.h.write(2, put("a", 1))
		g.h.write(2, put("b", 1))
		g.h.script = []func(*peer){func(p *peer) {
			p.hello()
			time.Sleep(7 * time.Second)
			p.h.mu.Lock()
			w := p.h.welcome(p.h.hellos[0])
			p.h.mu.Unlock()
			p.send(w)
			time.Sleep(4 * time.Second)
			p.send(p.h.changes(1, 1))
			time.Sleep(20 * time.Second)
			p.send(p.h.changes(2, 2))
			for m := p.recv(); m != nil; m = p.recv() {
				if ping, ok := m.(*wire.Ping); ok {
					p.send(&wire.Pong{N: ping.N, Now: 1})
				}
			}
		}}
	}, func(g *rig) {
		from := time.Now()
		g.waits(ForToken, from, false)
		g.stalls(ForToken, from)
		answer <- "let me in"
		from = time.Now()
		g.waits(ForConnection, from, false)
		g.stalls(ForConnection, from)
		route <- struct{}{}
		from = time.Now()
		g.waits(ForWelcome, from, false)
		g.stalls(ForWelcome, from)
		g.pass(2 * time.Second)
		from = time.Now()
		g.waits(ForChanges, from, false)
		g.pass(4 * time.Second)
		from = time.Now() // a step forward
		g.waits(ForChanges, from, false)
		g.stalls(ForChanges, from)
		g.pass(5 * time.Second)
		g.is(PhaseLive)
		g.waits("", time.Time{}, false)
		g.pass(time.Hour)
		g.waits("", time.Time{}, false)
		g.r.put(t, 10)
		from = time.Now()
		g.waits(ForConfirmation, from, false)
		g.stalls(ForConfirmation, from)
		// A hub that answers pings and nothing else is left.
		g.pass(from.Add(wire.AnswerGiveUp).Sub(time.Now()) - 1)
		g.is(PhaseLive)
		g.pass(1)
		g.is(PhaseWaiting)
		g.waits(ForAttempt, time.Now(), false)
		go func() {
			for range 2 {
				select {
				case answer <- "again":
				case route <- struct{}{}:
				}
			}
		}()
		g.pass(time.Minute)
		if s := g.is(PhaseLive); s.Pending != 0 {
			t.Errorf("%+v", s)
		}
		g.waits("", time.Time{}, false)
		g.w.Pause()
		g.waits(ForResume, time.Now(), false)
		g.pass(time.Hour)
		g.waits(ForResume, time.Now().Add(-time.Hour), false)
	})
}

// This device's own storage keeps it waiting: that is told by the time alone, and taken back when it goes on.
func TestWaitingForTheStorage(t *testing.T) {
	release := make(chan struct{})
	inBubble(t, func(g *rig, f *Feed) {
		release = make(chan struct{})
		g.h.write(2, put("a", 1))
		g.r.hold = func(ctx context.Context) error { <-release; return nil }
	}, func(g *rig) {
		from := time.Now()
		g.waits(ForChanges, from, false)
		g.pass(stalls[ForStorage])
		g.waits(ForStorage, from, true)
		close(release)
		synctest.Wait()
		g.is(PhaseLive)
		g.waits("", time.Time{}, false)
	})
}

// A connection that a network took along, or a sleep, is found in seconds once there is reason to look.
func TestNudgeProbesTheConnection(t *testing.T) {
	deaf := func(p *peer) { p.greet(); p.until() }
	inBubble(t, func(g *rig, f *Feed) { g.h.script = []func(*peer){deaf} }, func(g *rig) {
		g.pass(7 * time.Second)
		g.w.Nudge()
		g.pass(wire.ProbeGiveUp - time.Second)
		g.w.Nudge() // gives it no more time
		g.pass(time.Second - 1)
		g.is(PhaseLive)
		g.pass(1)
		g.is(PhaseWaiting)
		g.pass(wire.StreamRetryDelay)
		g.is(PhaseLive)
		for range 100 { // one that lives is left alone
			g.w.Nudge()
			g.pass(time.Second)
		}
		if n := g.dials(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
	// A dial that began before is begun anew; one that has just begun goes on.
	inBubble(t, func(g *rig, f *Feed) {
		dial := f.Dial
		n := 0
		f.Dial = func(ctx context.Context, url string) (wire.Conn, error) {
			if n++; n > 1 {
				return dial(ctx, url)
			}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
	}, func(g *rig) {
		g.pass(wire.ProbeGiveUp - 1)
		g.w.Nudge()
		g.pass(1)
		g.is(PhaseConnecting)
		g.w.Nudge()
		g.is(PhaseWaiting)
		g.pass(nudgeDelay)
		g.is(PhaseLive)
	})
}

// A device that was long without a network comes back to one that does not carry at once: names are not found yet, a portal is in the
// way. The first dial fails, and the next ones are not as far apart as they had become. So it is if a dial is under way just then.
func TestNudgeForgetsTheBackoff(t *testing.T) {
	const before, takes = 10, 2 * time.Second // dials until the network is back, and how long each takes
	for _, dialing := range []bool{false, true} {
		inBubble(t, func(g *rig, f *Feed) {
			dial := f.Dial
			f.Dial = func(ctx context.Context, url string) (wire.Conn, error) {
				time.Sleep(takes)
				return dial(ctx, url)
			}
			g.h.refuse = func(n int) error {
				if n <= before {
					return errNoRoute
				}
				return nil
			}
		}, func(g *rig) {
			g.r.put(t, 10)
			for g.dials() < before {
				g.pass(time.Second)
			}
			s := g.is(PhaseWaiting)
			if s.NextAttemptAt.Sub(time.Now()) < wire.MaxRetryDelay-2*time.Second {
				t.Fatalf("the delay has not grown: %+v", s)
			}
			if dialing {
				g.pass(s.NextAttemptAt.Sub(time.Now()))
				g.is(PhaseConnecting)
			}
			g.w.Nudge()
			g.pass(nudgeDelay + takes)
			if s = g.is(PhaseWaiting); g.dials() != before+1 || s.NextAttemptAt.Sub(time.Now()) > wire.WatchRetryDelay {
				t.Errorf("%d dials, %+v at %v", g.dials(), s, time.Now())
			}
			g.pass(wire.WatchRetryDelay + takes)
			if s = g.is(PhaseLive); s.Pending != 0 || g.dials() != before+2 {
				t.Errorf("%d dials, %+v", g.dials(), s)
			}
		})
	}
}

// shifted is a clock that is wrong, and can be set, with everything that goes by it.
type shifted struct {
	clock.System
	by atomic.Int64 // ns
}

func shiftedBy(d time.Duration) *shifted {
	c := &shifted{}
	c.by.Store(int64(d))
	return c
}

func (c *shifted) Now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

// The device has slept: the connection is looked at without anybody saying so.
func TestSleepIsNoticed(t *testing.T) {
	deaf := func(p *peer) { p.greet(); p.until() }
	inBubble(t, func(g *rig, f *Feed) {
		f.Clock = &shifted{}
		g.h.script = []func(*peer){deaf}
	}, func(g *rig) {
		g.pass(time.Second)
		g.w.feed.Clock.(*shifted).by.Store(int64(14 * time.Second)) // too short for the connection to be taken for dead
		g.pass(wakeEvery - time.Second)
		g.is(PhaseLive)
		g.pass(wire.ProbeGiveUp)
		g.is(PhaseWaiting)
	})
}

// A clock that is wrong by years: connections are made, live, and are found dead as by any other.
func TestClockIsWrong(t *testing.T) {
	for _, by := range []time.Duration{-400 * 24 * time.Hour, 400 * 24 * time.Hour} {
		inBubble(t, func(g *rig, f *Feed) {
			f.Clock = shiftedBy(by)
			g.h.refuse = func(n int) error { return []error{errNoRoute, nil, nil}[n] }
			g.h.script = []func(*peer){nil, func(p *peer) { p.greet(); p.until() }}
		}, func(g *rig) {
			if s := g.is(PhaseWaiting); !s.NextAttemptAt.Equal(g.w.feed.Clock.Now().Add(wire.WatchRetryDelay)) {
				t.Errorf("%+v", s)
			}
			g.pass(wire.WatchRetryDelay)
			g.is(PhaseLive)
			g.pass(wire.DeviceGiveUp - 1)
			g.is(PhaseLive)
			g.pass(1)
			g.is(PhaseWaiting)
			g.pass(2 * wire.StreamRetryDelay)
			g.is(PhaseLive)
			g.r.put(t, 10)
			g.pass(time.Hour)
			if s := g.is(PhaseLive); s.Pending != 0 || g.dials() != 3 {
				t.Errorf("%+v, %d connections", s, g.dials())
			}
		})
	}
}
