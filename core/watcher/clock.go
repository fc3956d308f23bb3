package watcher

import "time"

// A Clock is the time outside. Hosts give the system's, tests their own.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own once d has passed, unless stop is called before.
	AfterFunc(d time.Duration, f func()) (stop func())
}

// An alarm rings at one moment. It may ring once too often after it was set anew, never too late.
type alarm struct {
	clock  Clock
	ring   chan struct{}
	at     time.Time // zero: not set
	cancel func()
}

func newAlarm(clock Clock) *alarm {
	return &alarm{clock: clock, ring: make(chan struct{}, 1), cancel: func() {}}
}

// set makes the alarm ring at a moment; zero: no need to. One that is set to ring before stays so:
// deadlines mostly move away, and a timer a frame would cost more than one ring in vain.
func (a *alarm) set(now, at time.Time) {
	if at.IsZero() || (!a.at.IsZero() && !at.Before(a.at)) {
		return
	}
	a.cancel()
	a.at = at
	a.cancel = a.clock.AfterFunc(at.Sub(now), func() { poke(a.ring) })
}

// rang must be called after receiving from ring.
func (a *alarm) rang() { a.at = time.Time{} }

func (a *alarm) stop() { a.cancel() }

// poke leaves a signal in a channel that holds one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
