package watcher

import (
	"fmt"
	"time"

	"vsync/core/wire"
)

// A heartbeat finds out whether the connection is dead (PROTOCOL.md, section 13).
type heartbeat struct {
	opened   time.Time
	received time.Time // last frame that came
	sent     time.Time // last frame that the connection took
	pushed   time.Time // last part of a push that it took: a pong waits behind what is on the line
	pinged   time.Time // when the last ping was queued
	n        uint64    // number of the last ping
	text     bool      // the hub takes pings as text
}

func (h *heartbeat) open(now time.Time) {
	h.opened, h.received, h.sent = now, now, now
}

func (h *heartbeat) heard(now time.Time) { h.received = now }

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

func (h *heartbeat) deadAt() time.Time { return later(h.received, h.pushed).Add(wire.DeviceGiveUp) }

func (h *heartbeat) next() time.Time { return earlier(h.pingAt(), h.deadAt()) }

// beat gives up a dead connection, and pings a silent one.
func (s *Session) beat(now time.Time) {
	h := &s.heart
	if !now.Before(h.deadAt()) {
		s.end(Result{Outcome: Ended, Silent: true, Text: fmt.Sprintf("nothing came for %v", now.Sub(h.received))})
		return
	}
	if !now.Before(h.pingAt()) {
		h.pinged = now
		if h.text {
			s.control = append(s.control, []byte(wire.TextPing))
			return
		}
		h.n++
		s.send(&wire.Ping{N: h.n})
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
