package watcher

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/clock"
)

// highest draws the highest number there is, so that every delay is its limit.
type highest struct{}

func (highest) Uint64() uint64 { return 1<<64 - 1 }

// A rig is a watcher that runs, in a bubble whose time the test lets pass.
type rig struct {
	t *testing.T
	r *fakeReplica
	h *fakeHub
	w *Watcher

	mu   sync.Mutex
	told []Status
}

// inBubble runs a story. When it returns everything is closed, and nothing may be left: the bubble
// itself fails a test that leaves a goroutine behind.
func inBubble(t *testing.T, prepare func(*rig, *Feed), story func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &rig{t: t, r: newFake(1), h: newHub(t)}
		feed := Feed{URL: "wss://hub/v1/db", Database: "db", Agent: "test", Dial: g.h.dial, Clock: clock.System{}, Rand: highest{}}
		if prepare != nil {
			prepare(g, &feed)
		}
		var err error
		if g.w, err = NewWatcher(g.r, feed); err != nil {
			t.Fatal(err)
		}
		g.w.Subscribe(func(s Status) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.told = append(g.told, s)
		})
		go g.w.Run(context.Background())
		synctest.Wait()
		story(g)
		begun := time.Now()
		g.w.Close()
		if d := time.Since(begun); d != 0 {
			t.Errorf("Close took %v", d)
		}
		if p := g.w.Status().Phase; p != PhaseClosed && feed.URL != "" {
			t.Errorf("closed, and the phase is %v", p)
		}
	})
}

// pass lets time pass and everything settle.
func (g *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (g *rig) dials() int {
	n, _ := g.h.count()
	return n
}

func (g *rig) phases() (list []Phase) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.told {
		list = append(list, s.Phase)
	}
	return slices.Compact(list)
}

func (g *rig) is(want Phase) Status {
	g.t.Helper()
	synctest.Wait()
	s := g.w.Status()
	if s.Phase != want {
		g.t.Fatalf("expected the phase %v, got %+v", want, s)
	}
	return s
}

// No feed: returns at once, and nothing was touched.
func TestWatchNoStore(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) { f.URL = "" }, func(g *rig) {
		g.w.Run(context.Background())
		g.pass(time.Hour)
		if g.dials() != 0 || g.r.unsent != nil {
			t.Error("something was touched")
		}
		g.is(PhaseLocal)
	})
	if _, err := NewWatcher(newFake(1), Feed{URL: "wss://hub"}); !errors.Is(err, &core.Error{Code: core.Invalid}) {
		t.Errorf("a feed without means: %v", err)
	}
}

// Dialing fails: n delays are n or n+1 calls.
func TestWatchRPCError(t *testing.T) {
	fails := func(g *rig, f *Feed) { g.h.refuse = func(int) error { return errNoRoute } }
	inBubble(t, func(g *rig, f *Feed) { fails(g, f); f.Delays.Max = wire.WatchRetryDelay }, func(g *rig) {
		for n := range 10 {
			if calls := g.dials(); calls != n && calls != n+1 {
				t.Fatalf("%d delays, %d calls", n, calls)
			}
			g.pass(wire.WatchRetryDelay)
		}
	})
	inBubble(t, fails, func(g *rig) {
		for i, delay := range []time.Duration{2, 4, 8, 16, 32, 60, 60, 60} {
			if g.dials() != i+1 {
				t.Fatalf("%d calls after %d delays", g.dials(), i)
			}
			s := g.is(PhaseWaiting)
			if at := time.Now().Add(delay * time.Second); !s.NextAttemptAt.Equal(at) || s.Fault.Message == "" || s.Fault.Code != "" {
				t.Fatalf("%+v, expected the next attempt at %v", s, at)
			}
			g.pass(delay*time.Second - 1)
			if g.dials() != i+1 {
				t.Fatal("too early")
			}
			g.pass(1)
		}
	})
}

func TestWatchDialHangs(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) {
		f.Dial = func(ctx context.Context, _ string) (wire.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}, func(g *rig) {
		g.is(PhaseConnecting)
		g.pass(wire.DialTimeout)
		g.is(PhaseWaiting)
	})
}

// Receiving fails: the feed is opened again after the stream delay, which grows.
func TestWatchRecvError(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) {
		drop := func(p *peer) { p.greet() }
		g.h.script = []func(*peer){drop, drop, drop}
	}, func(g *rig) {
		for i, delay := range []time.Duration{1, 2, 4} {
			if g.dials() != i+1 {
				t.Fatalf("%d connections, expected %d", g.dials(), i+1)
			}
			g.is(PhaseWaiting)
			g.pass(delay*time.Second - 1)
			if g.dials() != i+1 {
				t.Fatal("too early")
			}
			g.pass(1)
		}
		g.is(PhaseLive)
	})
}

// A stream that has lived long begins with the shortest delay again.
func TestWatchLongLifeResetsTheDelay(t *testing.T) {
	leave := make(chan struct{})
	inBubble(t, func(g *rig, f *Feed) {
		leave = make(chan struct{})
		drop := func(p *peer) { p.greet() }
		stay := func(p *peer) {
			p.greet()
			<-leave
			p.send(&wire.Bye{Why: wire.WhyClosing})
			p.until()
		}
		g.h.script = []func(*peer){drop, drop, stay}
	}, func(g *rig) {
		g.pass(3 * time.Second)
		g.is(PhaseLive)
		for range 6 {
			g.pass(5 * time.Second) // pings are not answered, but 25 s are not over at the last
			if g.w.Status().Phase != PhaseLive {
				break
			}
		}
		close(leave)
		synctest.Wait()
		s := g.w.Status()
		if s.Phase != PhaseWaiting || s.NextAttemptAt.After(time.Now().Add(4*time.Second)) {
			t.Errorf("%+v at %v", s, time.Now())
		}
	})
}

// Two batches with five mutations over four objects; the marker is the last batch's; the next open
// carries it; a third batch deletes.
func TestWatchChanges(t *testing.T) {
	key := func(id string) change.Key { return change.Key{Collection: "notes", ID: id} }
	var first, second change.Version
	drop := make(chan struct{})
	inBubble(t, func(g *rig, f *Feed) {
		drop = make(chan struct{})
		first = g.h.write(2, put("a", 1), put("b", 2), put("c", 3))
		second = g.h.write(2, put("a", 4), put("d", 5))
		g.h.script = []func(*peer){func(p *peer) {
			p.greet()
			p.send(g.h.changes(1, 1))
			p.send(g.h.changes(2, 2))
			<-drop
		}}
	}, func(g *rig) {
		g.is(PhaseLive)
		want := map[change.Key]head{
			key("a"): {second, false, 2}, key("b"): {first, false, 3}, key("c"): {first, false, 3}, key("d"): {second, false, 2},
		}
		if !reflect.DeepEqual(g.r.heads, want) {
			t.Errorf("heads %v, want %v", g.r.heads, want)
		}
		marker := change.Marker{Epoch: 1, Seq: 2, Hash: g.h.feed[1].after}
		if got := g.w.Status().Marker; got != marker {
			t.Errorf("marker %+v, want %+v", got, marker)
		}
		third := g.h.write(2, del("b", first), put("c", 6))
		close(drop)
		synctest.Wait()
		g.pass(wire.StreamRetryDelay)
		if _, hellos := g.h.count(); len(hellos) != 2 || hellos[1].Marker != marker {
			t.Errorf("the next open carries %+v", hellos[1].Marker)
		}
		want[key("b")], want[key("c")] = head{third, true, 2}, head{third, false, 2}
		if !reflect.DeepEqual(g.r.heads, want) {
			t.Errorf("heads %v, want %v", g.r.heads, want)
		}
	})
}

func TestWatchLargeThingsBothWays(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) {
		g.h.limit = 100_000 // less than a frame: both ends write against each other
		for range 6 {
			g.h.write(2, put("big", 900_000))
			g.r.put(t, 900_000)
		}
	}, func(g *rig) {
		g.is(PhaseLive)
		if s := g.r.State(); s.Pending != 0 || s.Marker.Seq != 12 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWatchLocalWritesGoUp(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) { g.r.put(t, 10) }, func(g *rig) {
		g.is(PhaseLive)
		for range 100 {
			g.r.put(t, 10)
		}
		s := g.is(PhaseLive)
		if s.Pending != 0 || !s.LastConfirmedAt.Equal(time.Now()) {
			t.Errorf("%+v", s)
		}
		if n := len(g.h.feed); n != 101 {
			t.Errorf("%d batches at the hub", n)
		}
	})
}

// The hub has gone while frames were on the way: what it took is settled at the next welcome.
func TestWatchPushesAreSettledAfterABreak(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) {
		for range 3 {
			g.r.put(t, 10)
		}
		g.h.script = []func(*peer){func(p *peer) {
			p.greet()
			m := p.recv().(*wire.Push)
			g.h.mu.Lock()
			defer g.h.mu.Unlock()
			g.h.take(m.Batches[0])
			g.h.take(m.Batches[1])
		}}
	}, func(g *rig) {
		g.pass(wire.StreamRetryDelay)
		if g.r.confirmed != 3 || !slices.Equal(g.h.pushed, []change.Generation{3}) {
			t.Errorf("confirmed %d, pushed again from %v", g.r.confirmed, g.h.pushed)
		}
	})
}

func TestWatchSuperseded(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) {
		g.h.script = []func(*peer){func(p *peer) {
			p.greet()
			p.send(&wire.Bye{Why: wire.WhySuperseded})
			p.until()
		}}
	}, func(g *rig) {
		g.is(PhaseLive) // no time has passed
		_, hellos := g.h.count()
		if g.r.reentries != 1 || len(hellos) != 2 || hellos[0].Device == hellos[1].Device {
			t.Errorf("%d re-entries, %d hellos", g.r.reentries, len(hellos))
		}
	})
	// With a push on the way, what became of it is learned under the old id first.
	inBubble(t, func(g *rig, f *Feed) {
		g.r.put(t, 10)
		g.h.script = []func(*peer){func(p *peer) {
			p.greet()
			push := p.recv().(*wire.Push)
			g.h.mu.Lock()
			g.h.take(push.Batches[0])
			g.h.mu.Unlock()
			p.send(&wire.Bye{Why: wire.WhySuperseded})
			p.until()
		}}
	}, func(g *rig) {
		g.is(PhaseLive)
		_, hellos := g.h.count()
		if g.r.reentries != 1 || len(hellos) != 3 || hellos[0].Device != hellos[1].Device || hellos[1].Device == hellos[2].Device {
			t.Errorf("%d re-entries, %d hellos", g.r.reentries, len(hellos))
		}
		if len(g.h.feed) != 1 {
			t.Errorf("the batch is in the feed %d times", len(g.h.feed))
		}
	})
}

func TestWatchSettlesInSteps(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) {
		for range MaxAtOnce + 1 {
			g.r.settle = append(g.r.settle, core.Settled{Again: true})
		}
	}, func(g *rig) {
		if n := g.dials(); n != MaxAtOnce+1 {
			t.Errorf("%d connections without a delay", n)
		}
		g.is(PhaseWaiting)
		g.pass(wire.StreamRetryDelay)
		g.is(PhaseLive)
	})
}

func TestWatchTokenRefused(t *testing.T) {
	asked := 0
	inBubble(t, func(g *rig, f *Feed) {
		g.r.put(t, 10)
		f.Token = func(context.Context) (string, error) {
			asked++
			switch asked {
			case 1:
				return "", errors.New("signed out")
			case 2:
				return "old", nil
			}
			return "new", nil
		}
		g.h.script = []func(*peer){func(p *peer) {
			p.hello()
			p.send(&wire.Error{Code: wire.CodeUnauthenticated, Text: "expired"})
			p.until()
		}}
	}, func(g *rig) {
		if s := g.is(PhaseWaiting); s.Fault.Code != wire.CodeUnauthenticated || g.dials() != 0 {
			t.Errorf("%+v", s)
		}
		g.pass(wire.WatchRetryDelay)
		if s := g.is(PhaseWaiting); s.Fault.Code != wire.CodeUnauthenticated || s.Fault.Message != "expired" || s.Pending != 1 {
			t.Errorf("%+v", s)
		}
		g.w.Nudge() // the application has a new one
		g.pass(nudgeDelay)
		s := g.is(PhaseLive)
		if _, hellos := g.h.count(); s.Pending != 0 || !s.Fault.IsZero() || hellos[0].Token != "old" || hellos[1].Token != "new" {
			t.Errorf("%+v", s)
		}
	})
}

func TestWatchRefused(t *testing.T) {
	no := func(p *peer) {
		p.hello()
		p.send(&wire.Error{Code: wire.CodeForbidden, Text: "not you"})
		p.until()
	}
	inBubble(t, func(g *rig, f *Feed) { g.h.script = []func(*peer){no, no} }, func(g *rig) {
		if s := g.is(PhaseRefused); s.Fault.Code != wire.CodeForbidden || !s.NextAttemptAt.Equal(time.Now().Add(wire.MaxRetryDelay)) {
			t.Errorf("%+v", s)
		}
		g.pass(wire.MaxRetryDelay - 1)
		if g.dials() != 1 {
			t.Error("too early")
		}
		g.pass(1)
		g.is(PhaseRefused)
		g.pass(wire.MaxRetryDelay)
		g.is(PhaseLive)
	})
}

func TestWatchSilence(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) {
		g.h.script = []func(*peer){func(p *peer) { p.greet(); p.until() }, func(p *peer) { p.until() }}
	}, func(g *rig) {
		g.pass(wire.DeviceGiveUp - 1)
		g.is(PhaseLive)
		g.pass(1)
		g.is(PhaseWaiting)
		g.pass(wire.StreamRetryDelay) // the next one does not even say welcome
		g.pass(wire.HelloTimeout)
		g.is(PhaseWaiting)
	})
	inBubble(t, nil, func(g *rig) { // a hub that answers is kept
		g.pass(time.Hour)
		if g.dials() != 1 {
			t.Errorf("%d connections", g.dials())
		}
	})
}

// One entry that cannot be applied holds the feed there; the status says so; writes still go up.
func TestWatchQuarantine(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) {
		for range 3 {
			g.h.write(2, put("a", 10))
		}
		g.r.put(t, 10)
		g.r.refuse[2] = &core.Error{Code: core.Corrupt, Message: "bad"}
	}, func(g *rig) {
		g.is(PhaseWaiting)
		g.pass(wire.StreamRetryDelay)
		for i := range 3 {
			s := g.is(PhaseQuarantined)
			if s.Fault.Seq != 2 || s.Fault.Code != wire.CodeCorrupt || s.Marker.Seq != 1 {
				t.Errorf("%+v", s)
			}
			for range 20 { // more than a window
				g.r.put(t, 10)
				synctest.Wait()
			}
			if at := g.h.last[g.r.device].gen; int(at) != len(g.r.own) || g.dials() != 2+i {
				t.Errorf("own batches are held back: %v of %d, %d dials", at, len(g.r.own), g.dials())
			}
			g.pass(wire.MaxRetryDelay)
			g.is(PhaseQuarantined)
			g.pass(wire.StreamRetryDelay)
		}
		g.r.mu.Lock()
		clear(g.r.refuse)
		g.r.mu.Unlock()
		g.pass(wire.MaxRetryDelay)
		g.pass(wire.StreamRetryDelay)
		if s := g.is(PhaseLive); s.Marker.Seq != 3+61 || s.Pending != 0 || !s.Fault.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

// A batch that the hub refuses whatever is done does not keep the feed away.
func TestWatchRefusedBatchLetsTheFeedGoOn(t *testing.T) {
	refuse := func(p *peer) {
		p.greet()
		for {
			m := p.recv()
			if m == nil {
				return
			}
			if push, ok := m.(*wire.Push); ok {
				p.send(&wire.Error{Code: wire.CodeProtocol, Text: "cannot read it", Gen: push.Gen})
			}
		}
	}
	feed := func(p *peer) {
		p.greet()
		p.send(p.h.changes(1, 1))
		p.until()
	}
	inBubble(t, func(g *rig, f *Feed) {
		g.r.put(t, 10)
		g.h.script = []func(*peer){refuse, refuse, (*peer).serve, refuse, feed}
	}, func(g *rig) {
		g.pass(time.Second + 2*time.Second) // settled again, then re-entered
		if g.r.reentries != 1 {
			t.Fatalf("%d re-entries", g.r.reentries)
		}
		g.r.put(t, 10) // as a replica does that writes its batches anew
		synctest.Wait()
		s := g.is(PhaseQuarantined)
		g.h.write(2, put("a", 3))
		g.pass(time.Until(s.NextAttemptAt))
		if s := g.is(PhaseQuarantined); s.Marker.Seq != 1 || s.Fault.Gen != 1 || s.Pending != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWatchPauseAndResume(t *testing.T) {
	inBubble(t, nil, func(g *rig) {
		g.is(PhaseLive)
		g.w.Pause()
		if s := g.is(PhaseWaiting); !s.Paused || !s.NextAttemptAt.IsZero() {
			t.Errorf("%+v", s)
		}
		g.r.put(t, 10)
		g.pass(time.Hour)
		if s := g.is(PhaseWaiting); s.Pending != 1 || g.dials() != 1 {
			t.Errorf("%+v", s)
		}
		g.mu.Lock()
		if last := g.told[len(g.told)-1]; last.Pending != 1 {
			t.Errorf("told %+v", last)
		}
		g.mu.Unlock()
		g.w.Resume()
		if s := g.is(PhaseLive); s.Paused || s.Pending != 0 {
			t.Errorf("%+v", s)
		}
		g.w.Pause() // and closed while paused
		g.is(PhaseWaiting)
	})
	inBubble(t, func(g *rig, f *Feed) { g.h.refuse = func(int) error { return errNoRoute } }, func(g *rig) {
		g.w.Pause() // while waiting for the next dial
		g.pass(time.Hour)
		if s := g.is(PhaseWaiting); !s.Paused || g.dials() != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWatchStatusTellsTheWay(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) {
		for range 4 {
			g.h.write(2, put("a", 10))
		}
		g.h.refuse = func(n int) error { return []error{errNoRoute, nil}[n] }
	}, func(g *rig) {
		g.pass(wire.WatchRetryDelay)
		want := []Phase{PhaseConnecting, PhaseWaiting, PhaseConnecting, PhaseCatchingUp, PhaseLive}
		if got := g.phases(); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		progress := [][2]uint64{}
		for _, s := range g.told {
			if s.Phase == PhaseCatchingUp {
				progress = append(progress, [2]uint64{s.Received, s.Expected})
			}
		}
		if want := [][2]uint64{{0, 4}, {1, 4}, {2, 4}, {3, 4}}; !reflect.DeepEqual(slices.Compact(progress), want) {
			t.Errorf("%v", progress)
		}
		stop := g.w.Subscribe(func(Status) { t.Error("told after it was stopped") })
		stop()
		g.r.put(t, 10)
	})
}

func TestWatchEndsWithItsReplica(t *testing.T) {
	inBubble(t, func(g *rig, f *Feed) { g.r.helloErr = &core.Error{Code: core.Closed} }, func(g *rig) {
		g.is(PhaseClosed)
	})
}
