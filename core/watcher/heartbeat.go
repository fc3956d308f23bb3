package watcher

import (
	"time"

	"vsync/core/fmt"
	"vsync/core/wire"
)

// A heartbeat finds out whether the connection is dead (PROTOCOL.md, section 13).
type heartbeat struct {
	opened   time.Time
	received time.Time // last frame that came
	answered time.Time // last one that was more than a pong, or a pong when nothing more was due
	sent     time.Time // last frame that the connection took
	pushed   time.Time // last part of a push that it took: a pong waits behind what is on the line
	pinged   time.Time // when the last ping was queued
	probed   time.Time // when it was asked whether it still lives; zero: something came since
	n        uint64    // number of the last ping
	text     bool      // the hub takes pings as text
}

func (h *heartbeat) open(now time.Time) {
	h.opened, h.received, h.answered, h.sent = now, now, now, now
}

func (h *heartbeat) heard(now time.Time) { h.received, h.probed = now, time.Time{} }

func (h *heartbeat) wrote(now time.Time, push bool) {
	h.sent = now
	if push {
		h.pushed = now
	}
}

func (h *heartbeat) welcomeBy() time.Time { return h.opened.Add(wire.HelloTimeout) }

func (h *heartbeat) unwelcome(now time.Time) bool { return !now.Before(h.welcomeBy()) }

// pingAt is when silence, either way, has lasted long enough. A ping that the line does not take is
// not followed by another at once.
func (h *heartbeat) pingAt() time.Time {
	return later(earlier(h.received, h.sent), h.pinged).Add(wire.PingAfter)
}

// deadAt is when silence has lasted too long; soon after the connection was probed.
func (h *heartbeat) deadAt() time.Time {
	at := later(h.received, h.pushed).Add(wire.DeviceGiveUp)
	if h.probed.IsZero() {
		return at
	}
	return earlier(at, later(h.probed, h.pushed).Add(wire.ProbeGiveUp))
}

func (h *heartbeat) next() time.Time { return earlier(h.pingAt(), h.deadAt()) }

// beat gives up a dead connection, and pings a silent one.
func (s *Session) beat(now time.Time) {
	h := &s.heart
	if !now.Before(h.deadAt()) {
		s.end(Result{Outcome: Ended, Silent: true, Text: fmt.Sprintf("nothing came for %v", now.Sub(h.received))})
		return
	}
	if by := s.answerBy(); !by.IsZero() && !now.Before(by) {
		s.end(Result{Outcome: Ended, Silent: true, Text: fmt.Sprintf("the hub answers pings, and nothing else since %v", now.Sub(by.Add(-wire.AnswerGiveUp)))})
		return
	}
	if !now.Before(h.pingAt()) {
		s.ping(now)
	}
}

// beaten notes the answer to a ping.
func (s *Session) beaten(now time.Time) {
	if !s.due() {
		s.heart.answered = now
	}
}

// due reports whether the hub owes more than answers to pings.
func (s *Session) due() bool {
	reason, _ := s.awaits()
	return reason == ForChanges || reason == ForConfirmation
}

// answerBy is when a hub that lives and does not do its part is left, zero while nothing is due from it.
func (s *Session) answerBy() time.Time {
	if !s.due() {
		return time.Time{}
	}
	return later(s.heart.answered, s.heart.pushed).Add(wire.AnswerGiveUp)
}

// probe pings, and gives up soon what is silent then. One that is probed is not given more time by being probed again.
func (s *Session) probe(now time.Time) {
	if s.heart.probed.IsZero() {
		s.heart.probed = now
		s.ping(now)
	}
}

func (s *Session) ping(now time.Time) {
	h := &s.heart
	h.pinged = now
	if h.text {
		s.control = append(s.control, []byte(wire.TextPing))
		return
	}
	h.n++
	s.send(&wire.Ping{N: h.n})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
