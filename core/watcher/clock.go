package watcher

import (
	"sync"
	"time"
)

// A Clock is the time outside. Hosts give the system's, tests their own.
type Clock interface {
	// Now returns the present moment, as time.Now does: with a monotonic reading, by which differences are taken. So a clock that
	// is wrong by days, or is set, changes no delay.
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

// Waking is noticed by the clock on the wall, since timers, and on some systems the monotonic clock too, stand still while a device
// sleeps: a look every wakeEvery, and it has gone wakeLate further than that. A clock that is set forward looks the same, and a look
// that comes late on a busy machine; then a ping is sent in vain.
const (
	wakeEvery = 5 * time.Second
	wakeLate  = 5 * time.Second
)

// noticeWaking nudges when the device has slept, until it is stopped.
func (w *Watcher) noticeWaking() (stop func()) {
	var (
		mu    sync.Mutex
		over  bool
		end   func()
		look  func()
		clock = w.feed.Clock
		last  = clock.Now().Round(0)
	)
	arm := func() { end = clock.AfterFunc(wakeEvery, look) }
	look = func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		now := clock.Now().Round(0)
		if now.Sub(last) >= wakeEvery+wakeLate {
			w.Nudge()
		}
		last = now
		arm()
	}
	mu.Lock()
	defer mu.Unlock()
	arm()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		end()
	}
}
