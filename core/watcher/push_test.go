package watcher

import (
	"context"
	"slices"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
)

func TestPushesInOrderWhatTheHubLacks(t *testing.T) {
	k := greeted(t, func(k *talk) {
		for range 5 {
			k.r.put(t, 10)
		}
		k.h.take(k.r.own[0])
		k.h.take(k.r.own[1])
	})
	m := expect[*wire.Push](k)
	if m.Gen != 3 || len(m.Batches) != 3 || !slices.Equal(m.Batches[2], k.r.own[4]) {
		t.Errorf("%+v", m)
	}
	k.silent()
	k.r.put(t, 10)
	k.silent() // nobody told the session
	k.s.Wake()
	if m := expect[*wire.Push](k); m.Gen != 6 || len(m.Batches) != 1 {
		t.Errorf("%+v", m)
	}
}

func TestFramesStayWithinTheHubsBudget(t *testing.T) {
	k := newTalk(t)
	for range 40 {
		k.r.put(t, 1000)
	}
	k.s.Open(context.Background(), k.now)
	w := k.h.welcome(expect[*wire.Hello](k))
	w.Limits = wire.Limits{Frame: 5000}
	k.give(w)
	next := change.Generation(1)
	for range wire.MaxPushes / 2 {
		frame := k.s.Next(context.Background())
		m, err := wire.DecodeUp(frame)
		if err != nil || len(frame) > 5000 {
			t.Fatal(err, len(frame))
		}
		push := m.(*wire.Push)
		if push.Gen != next {
			t.Fatalf("expected generation %d, got %d", next, push.Gen)
		}
		next += change.Generation(len(push.Batches))
	}
}

// The window counts pushes, not batches, and whatever settles them opens it.
func TestWindowOf16(t *testing.T) {
	k := greeted(t, func(k *talk) {})
	fill := func() (n int) {
		for range 40 {
			k.r.put(t, 10)
			k.s.Wake()
			if m := k.next(); m == nil {
				return n
			}
			n++
		}
		return n
	}
	if n := fill(); n != wire.MaxPushes {
		t.Fatalf("%d pushes unanswered", n)
	}
	k.h.take(k.r.own[0])
	k.give(k.h.accepted(1, 1))
	if m := expect[*wire.Push](k); m.Gen != 17 {
		t.Errorf("%+v", m)
	}
	k.silent()
	for _, raw := range k.r.own[1:16] {
		k.h.take(raw)
	}
	k.give(k.h.changes(2, 16)) // own batches that come as changes settle their pushes too
	if n := fill(); n != 15 {
		t.Errorf("%d more pushes", n)
	}
	k.h.void(k.r.device, 17, k.r.hashes[16])
	k.give(k.h.voided(17))
	k.running()
	expect[*wire.Push](k)
	k.silent()
}

func TestHubsOwnWindow(t *testing.T) {
	k := newTalk(t)
	for range 3 {
		k.r.put(t, 3500)
	}
	k.s.Open(context.Background(), k.now)
	w := k.h.welcome(expect[*wire.Hello](k))
	w.Limits = wire.Limits{Frame: 4 << 10, Pushes: 3, Credit: 5000}
	k.give(w)
	expect[*wire.Push](k)
	k.silent() // one more would be over 5,000 bytes
	k.h.take(k.r.own[0])
	k.give(k.h.accepted(1, 1))
	if m := expect[*wire.Push](k); m.Gen != 2 {
		t.Errorf("%+v", m)
	}
	k.silent()
}

// A batch larger than a frame, and than all credit, is one push in parts; pings go between them.
func TestLargeBatchInParts(t *testing.T) {
	k := greeted(t, func(k *talk) {
		k.r.put(t, 1000_000)
		k.r.put(t, 300_000)
	})
	first := expect[*wire.Push](k)
	if !first.Part.More || first.Part.Index != 0 || first.Gen != 1 {
		t.Fatalf("%+v", first.Part)
	}
	k.pass(wire.PingAfter)
	expect[*wire.Ping](k)
	joiner := wire.Joiner{}
	joiner.Join(first)
	var whole *wire.Push
	for whole == nil {
		m := expect[*wire.Push](k)
		joined, err := joiner.Join(m)
		if err != nil {
			t.Fatal(err)
		}
		if joined == wire.Whole {
			whole = m
		}
	}
	if !slices.Equal(whole.Batches[0], k.r.own[0]) {
		t.Error("another batch came out")
	}
	k.silent() // the second goes over the credit
	k.h.take(k.r.own[0])
	k.give(k.h.accepted(1, 1))
	if m := expect[*wire.Push](k); m.Gen != 2 || !m.Part.More {
		t.Errorf("%+v", m)
	}
}

func TestResendGoesBack(t *testing.T) {
	k := greeted(t, func(k *talk) {})
	for range 4 {
		k.r.put(t, 10)
		k.s.Wake()
		expect[*wire.Push](k)
	}
	k.give(&wire.Resend{Gen: 2})
	if m := expect[*wire.Push](k); m.Gen != 2 || len(m.Batches) != 3 {
		t.Errorf("%+v", m)
	}
	k.silent()
	for range 4 {
		k.h.take(k.r.own[len(k.h.feed)])
	}
	k.give(k.h.accepted(1, 4))
	if w := &k.s.window; len(w.flights) != 0 || w.flying != 0 {
		t.Errorf("%+v", w)
	}
	k.give(&wire.Resend{Gen: 4}) // it was answered
	k.ended(Faulty)
}

func TestResendGivesUpABatchInParts(t *testing.T) {
	k := greeted(t, func(k *talk) { k.r.put(t, 1000_000) })
	expect[*wire.Push](k)
	expect[*wire.Push](k)
	k.give(&wire.Resend{Gen: 1})
	if m := expect[*wire.Push](k); m.Part.Index != 0 || !m.Part.More {
		t.Errorf("%+v", m.Part)
	}
	if len(k.s.window.flights) != 1 {
		t.Errorf("%d pushes unanswered", len(k.s.window.flights))
	}
}

func TestResendIsBounded(t *testing.T) {
	k := greeted(t, func(k *talk) { k.r.put(t, 10) })
	for range wire.MaxResends {
		expect[*wire.Push](k)
		k.give(&wire.Resend{Gen: 1})
		k.running()
	}
	k.give(&wire.Resend{Gen: 1})
	k.ended(Ended)
	k = greeted(t, func(k *talk) { k.r.put(t, 10) })
	expect[*wire.Push](k)
	k.give(&wire.Resend{Gen: 3})
	k.ended(Faulty)
}

func TestOwnBatchesRest(t *testing.T) {
	k := newTalk(t)
	k.s.cfg.Rest = time.Minute
	k.r.put(t, 3)
	k.h.write(2, put("a", 3))
	k.greet()
	k.silent()
	k.give(k.h.changes(1, 1))
	for range 59 {
		k.pass(time.Second)
		k.give(&wire.Pong{N: 1, Now: 1})
		if _, ok := k.next().(*wire.Push); ok {
			t.Fatal("pushed while resting")
		}
	}
	k.pass(time.Second)
	for m := k.next(); m != nil; m = k.next() {
		if _, ok := m.(*wire.Push); ok {
			return
		}
	}
	t.Error("never pushed")
}
