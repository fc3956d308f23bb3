package watcher

import (
	"context"
	"strings"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
)

func TestErrorsOfTheHub(t *testing.T) {
	for _, c := range []struct {
		code wire.Code
		gen  change.Generation
		want Outcome
	}{
		{"PROTOCOL", 0, Ended}, {"PROTOCOL", 3, Rejected}, {"TOO_LARGE", 3, Rejected}, {"HASH", 3, Rejected}, {"GAP", 3, Rejected},
		{"VERSION", 0, Refused}, {"VERSION", 3, Refused}, {"UNKNOWN_MESSAGE", 0, Refused}, {"INVALID", 0, Refused},
		{"OTHER_HUB", 0, Refused}, {"UNKNOWN_MARKER", 0, Unknown}, {"FORBIDDEN", 0, Refused},
		{"UNAUTHENTICATED", 0, Held}, {"RATE_LIMITED", 0, Held}, {"QUOTA", 0, Held}, {"NOT_FOUND", 0, Held}, {"CORRUPT", 0, Held},
		{"INTERNAL", 0, Ended}, {"NEVER_HEARD_OF", 0, Ended}, {"SUPERSEDED", 0, Superseded},
	} {
		for _, early := range []bool{true, false} {
			k := newTalk(t)
			k.r.put(t, 3)
			if early {
				k.s.Open(context.Background(), k.now)
			} else {
				k.greet()
			}
			k.give(&wire.Error{Code: c.code, Text: "why", Gen: c.gen, Retry: 1500})
			r := k.s.Result()
			if r.Outcome != c.want || r.Code != c.code || c.want != Superseded && (r.Text != "why" || r.Retry != 1500*time.Millisecond) || r.Gen != c.gen {
				t.Errorf("%s with generation %d: %+v", c.code, c.gen, r)
			}
		}
	}
}

func TestBye(t *testing.T) {
	pending := func(k *talk) { k.r.put(t, 3) }
	for why, want := range map[wire.Why]Outcome{wire.WhyClosing: Ended, wire.WhySlow: Ended, "tired": Ended, wire.WhySuperseded: Superseded} {
		k := greeted(t, pending)
		k.give(&wire.Bye{Why: why, Retry: 1 << 50})
		if r := k.ended(want); want == Ended && r.Retry != MaxStay {
			t.Errorf("%+v", r)
		}
		k.give(&wire.Bye{Why: why}) // nothing counts behind it
		k.s.Lost(wire.ErrClosed)
		k.s.Tick(k.now)
		k.ended(want)
	}
}

func TestReasonsFitACloseFrame(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("é", 200), strings.Repeat("x", 123)} {
		if _, reason := (Result{Text: text}).Close(); len(reason) > 123 || !strings.HasPrefix(text, reason) {
			t.Errorf("%q", reason)
		}
	}
}

// A replica that gives up its id first learns what the hub has of it, or it would write that again.
func TestParting(t *testing.T) {
	k := newTalk(t)
	k.s.cfg.Parting = true
	k.r.put(t, 3)
	k.r.put(t, 3)
	k.h.write(2, put("a", 3))
	k.h.take(k.r.own[0])
	k.greet()
	k.silent()
	k.give(k.h.changes(1, 1))
	k.silent()
	k.running()
	k.give(k.h.accepted(2, 2))
	k.ended(Parted)
	if k.r.confirmed != 1 {
		t.Errorf("confirmed %d", k.r.confirmed)
	}

	k = newTalk(t) // all is known at the welcome
	k.s.cfg.Parting = true
	k.r.put(t, 3)
	k.s.Open(context.Background(), k.now)
	k.give(k.h.welcome(expect[*wire.Hello](k)))
	k.ended(Parted)
}

// A replica whose id another has too sends what it has under that id before it gives it up: the other may have the same
// writes, and would send them under it as well.
func TestLeaving(t *testing.T) {
	k := greeted(t, func(k *talk) {})
	k.give(&wire.Bye{Why: wire.WhySuperseded})
	k.ended(Parted) // it has nothing to send

	k = greeted(t, func(k *talk) { k.r.put(t, 3) })
	k.give(&wire.Bye{Why: wire.WhySuperseded})
	k.ended(Superseded)

	k = greeted(t, func(k *talk) {
		k.s.cfg.Leaving = true
		k.r.put(t, 3)
		k.r.put(t, 3)
		k.h.write(2, put("a", 3))
	})
	push := expect[*wire.Push](k)
	if push.Gen != 1 || len(push.Batches) != 2 {
		t.Fatalf("pushed %d batches from %d", len(push.Batches), push.Gen)
	}
	k.h.take(k.r.own[0])
	k.give(k.h.changes(1, 1))
	k.give(k.h.accepted(2, 2))
	k.running()
	k.h.take(k.r.own[1])
	k.give(k.h.accepted(3, 3))
	k.ended(Parted)

	k = newTalk(t) // nothing is left to send at the welcome
	k.s.cfg.Leaving = true
	k.s.Open(context.Background(), k.now)
	k.give(k.h.welcome(expect[*wire.Hello](k)))
	k.ended(Parted)
}
