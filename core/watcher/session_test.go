package watcher

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// A talk is a session with its surroundings; the time is what the test says.
type talk struct {
	t   *testing.T
	s   *Session
	r   *fakeReplica
	h   *fakeHub
	now time.Time
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newTalk(t *testing.T) *talk {
	r := newFake(1)
	return &talk{t: t, r: r, h: newHub(t), now: epoch, s: New(r, Config{Database: "db", Agent: "test"})}
}

// greeted is a talk behind the welcome.
func greeted(t *testing.T, prepare func(*talk)) *talk {
	k := newTalk(t)
	prepare(k)
	k.greet()
	return k
}

func (k *talk) greet() {
	k.t.Helper()
	k.s.Open(context.Background(), k.now)
	hello := expect[*wire.Hello](k)
	k.give(k.h.welcome(hello))
	k.running()
}

// next returns what the session sends now; nil for nothing.
func (k *talk) next() wire.Message {
	k.t.Helper()
	frame := k.s.Next(context.Background())
	if frame == nil {
		return nil
	}
	m, err := wire.DecodeUp(frame)
	if err != nil {
		k.t.Fatal(err)
	}
	k.s.Wrote(k.now)
	return m
}

func expect[M wire.Message](k *talk) M {
	k.t.Helper()
	m := k.next()
	got, ok := m.(M)
	if !ok {
		k.t.Fatalf("expected %T, got %+v (%+v)", got, m, k.s.Result())
	}
	return got
}

func (k *talk) silent() {
	k.t.Helper()
	if m := k.next(); m != nil {
		k.t.Fatalf("expected nothing to send, got %+v", m)
	}
}

func (k *talk) give(m wire.Message) {
	k.t.Helper()
	frame, err := wire.Append(nil, m)
	if err != nil {
		k.t.Fatal(err)
	}
	k.s.Frame(context.Background(), k.now, frame)
}

func (k *talk) running() {
	k.t.Helper()
	if k.s.Over() {
		k.t.Fatalf("the session is over: %+v", k.s.Result())
	}
}

func (k *talk) ended(want Outcome) Result {
	k.t.Helper()
	r := k.s.Result()
	if r.Outcome != want {
		k.t.Fatalf("expected the session to end %v, got %v: %+v", want, r.Outcome, r)
	}
	if want != Running && (k.next() != nil || !k.s.Deadline().IsZero()) {
		k.t.Fatal("a session that is over wants something")
	}
	return r
}

// pass lets time pass, with every Tick that is due.
func (k *talk) pass(d time.Duration) {
	end := k.now.Add(d)
	for {
		due := k.s.Deadline()
		if due.IsZero() || due.After(end) {
			break
		}
		if due.Before(k.now) {
			k.t.Fatalf("a deadline in the past: %v at %v", due, k.now)
		}
		k.now = due
		k.s.Tick(k.now)
		if next := k.s.Deadline(); !next.IsZero() && !next.After(due) {
			k.t.Fatalf("Tick at its deadline %v left it there", due)
		}
	}
	k.now = end
}

func TestHelloSaysWhatTheReplicaHas(t *testing.T) {
	k := newTalk(t)
	k.h.write(2, put("a", 3))
	k.r.put(t, 3)
	k.r.lineage = k.h.lineage
	k.r.marker = change.Marker{Epoch: 1, Seq: 1, Hash: k.h.feed[0].after}
	k.s.cfg.Token = "let me in"
	k.silent()
	k.s.Open(context.Background(), k.now)
	got := expect[*wire.Hello](k)
	want := &wire.Hello{Protocol: 1, Database: "db", Lineage: k.h.lineage, Device: k.r.device, Token: "let me in", Marker: k.r.marker,
		Own: k.r.hashes, LowestHeld: 1, Credit: wire.DefaultCredit, Agent: "test"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	k.silent() // nothing is pushed before the welcome
}

func TestWhatCannotBeSaidIsNotSaid(t *testing.T) {
	k := newTalk(t)
	k.s.cfg.Token = strings.Repeat("x", wire.MaxToken+1)
	k.s.Open(context.Background(), k.now)
	if r := k.ended(Refused); r.Code != wire.CodeInvalid {
		t.Errorf("%+v", r)
	}
	k = newTalk(t)
	k.r.helloErr = &core.Error{Code: core.StorageLost, Message: "gone"}
	k.s.Open(context.Background(), k.now)
	if r := k.ended(Failed); r.Code != "STORAGE_LOST" {
		t.Errorf("%+v", r)
	}
}

func TestWelcomeIsHeldAgainstHello(t *testing.T) {
	other := change.Marker{Epoch: 1, Seq: 1, Hash: change.Hash{9}}
	for name, c := range map[string]struct {
		spoil func(*wire.Welcome)
		want  Outcome
		code  wire.Code
	}{
		"fits":               {func(w *wire.Welcome) {}, Running, ""},
		"later epoch":        {func(w *wire.Welcome) { w.Epoch, w.Marker.Epoch = 2, 2 }, Running, ""},
		"newer protocol":     {func(w *wire.Welcome) { w.Protocol = 2 }, Refused, wire.CodeVersion},
		"other hub":          {func(w *wire.Welcome) { w.Lineage[1]++ }, Refused, wire.CodeOtherHub},
		"emptied hub":        {func(w *wire.Welcome) { w.Mode, w.Marker = wire.ModeReplay, change.Marker{Epoch: 2} }, Refused, wire.CodeUnknownMarker},
		"forked hub":         {func(w *wire.Welcome) { w.Mode, w.Marker = wire.ModeReplay, other }, Refused, wire.CodeUnknownMarker},
		"resume elsewhere":   {func(w *wire.Welcome) { w.Marker = other }, Faulty, wire.CodeProtocol},
		"resume with a hole": {func(w *wire.Welcome) { w.Marker.Seq = 7 }, Faulty, wire.CodeProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTalk(t)
			k.h.write(2, put("a", 3))
			k.r.lineage = k.h.lineage
			k.r.marker = change.Marker{Epoch: 1, Seq: 1, Hash: k.h.feed[0].after}
			k.s.Open(context.Background(), k.now)
			w := k.h.welcome(expect[*wire.Hello](k))
			c.spoil(w)
			k.give(w)
			if r := k.ended(c.want); r.Code != c.code {
				t.Errorf("%+v", r)
			}
			if c.want != Running && len(k.r.welcomes) > 0 {
				t.Error("a wrong welcome was settled")
			}
		})
	}
}

func TestOnlyAWelcomeAnswersAHello(t *testing.T) {
	k := newTalk(t)
	k.h.write(2, put("a", 3))
	k.s.Open(context.Background(), k.now)
	k.give(k.h.changes(1, 1))
	k.ended(Faulty)
	k = greeted(t, func(k *talk) {})
	k.give(k.h.welcome(&wire.Hello{}))
	if code, reason := k.ended(Faulty).Close(); code != wire.CloseFault || !strings.HasPrefix(reason, "PROTOCOL: ") {
		t.Error(code, reason)
	}
}

func TestNoWelcomeInTime(t *testing.T) {
	k := newTalk(t)
	k.s.Open(context.Background(), k.now)
	k.pass(wire.HelloTimeout - 1)
	k.running()
	k.pass(1)
	if code, _ := k.ended(Ended).Close(); code != wire.CloseSilence {
		t.Error(code)
	}
}

func TestSettlingMayAskForAnotherHello(t *testing.T) {
	for want, answer := range map[Outcome]core.Settled{Again: {Again: true}, Reentered: {Reentered: true}} {
		k := newTalk(t)
		k.r.settle = []core.Settled{answer}
		k.r.put(t, 3)
		k.s.Open(context.Background(), k.now)
		k.give(k.h.welcome(expect[*wire.Hello](k)))
		k.ended(want)
	}
}

func TestHeartbeat(t *testing.T) {
	k := greeted(t, func(k *talk) {})
	k.pass(wire.PingAfter - 1)
	k.silent()
	k.pass(1)
	ping := expect[*wire.Ping](k)
	k.give(&wire.Pong{N: ping.N, Now: 1})
	k.pass(wire.PingAfter)
	expect[*wire.Ping](k)
	k.pass(wire.PingAfter)
	expect[*wire.Ping](k)
	k.pass(wire.DeviceGiveUp - 2*wire.PingAfter - 1)
	k.running()
	k.pass(1)
	if code, _ := k.ended(Ended).Close(); code != wire.CloseSilence {
		t.Error(code)
	}
}

// A hub that sleeps has its host answer beats.
func TestHeartbeatAsText(t *testing.T) {
	k := newTalk(t)
	k.s.Open(context.Background(), k.now)
	w := k.h.welcome(expect[*wire.Hello](k))
	w.Beat = true
	k.give(w)
	for range 20 {
		k.pass(wire.PingAfter)
		if beat := k.s.Next(context.Background()); string(beat) != wire.TextPing {
			t.Fatalf("expected a beat, got %q", beat)
		}
		k.s.Wrote(k.now)
		k.s.Frame(context.Background(), k.now, []byte(wire.TextPong))
		k.running()
		k.silent()
	}
	k.pass(wire.DeviceGiveUp)
	k.ended(Ended)
}

// Who has not been told of beats takes none.
func TestABeatOutOfPlace(t *testing.T) {
	k := greeted(t, func(k *talk) {})
	k.s.Frame(context.Background(), k.now, []byte(wire.TextPong))
	k.ended(Faulty)
}

// A device that only receives says something, or the hub would take it for dead.
func TestPingWhileReceiving(t *testing.T) {
	k := greeted(t, func(k *talk) {})
	for range 9 {
		k.pass(time.Second)
		k.give(&wire.Pong{N: 1, Now: 1})
		k.silent()
	}
	k.pass(time.Second)
	expect[*wire.Ping](k)
}

// On a slow line a pong waits behind what is being pushed.
func TestPushingKeepsTheConnection(t *testing.T) {
	k := greeted(t, func(k *talk) { k.r.put(t, 1000_000) })
	for range 3 {
		k.pass(wire.DeviceGiveUp - 1)
		k.running()
		for {
			if _, ok := k.next().(*wire.Push); ok {
				break
			}
		}
	}
	k.pass(wire.DeviceGiveUp)
	k.ended(Ended)
}

// A line that takes nothing gets one ping, not a queue of them.
func TestBlockedLine(t *testing.T) {
	k := greeted(t, func(k *talk) {})
	for range 24 {
		k.pass(time.Second)
		k.give(&wire.Pong{N: 1, Now: 1})
	}
	if n := len(k.s.control); n > 2 {
		t.Errorf("%d pings wait", n)
	}
	k.running()
}
