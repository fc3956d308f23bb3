package main

import (
	"math"
	"sync"
	"time"
)

// The other half of these is clock.ts.

//go:wasmimport vsync_clock set
func clockSet(timer, millis int32)

//go:wasmimport vsync_clock clear
func clockClear(timer int32)

// clock is the browser's. Its timers are JavaScript's own: while Go has one running, it asks for a timeout anew whenever it comes to rest,
// which a database that answers thousands of requests a second does as often.
type clock struct {
	mu     sync.Mutex
	last   int32
	timers map[int32]func()
}

var clocks = &clock{timers: map[int32]func(){}}

func (*clock) Now() time.Time { return time.Now() }

func (c *clock) AfterFunc(d time.Duration, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	timer := c.last
	c.timers[timer] = f
	// Rounded up: nobody wakes before his time.
	clockSet(timer, int32(min(max((d+time.Millisecond-1)/time.Millisecond, 0), math.MaxInt32)))
	return func() {
		if c.take(timer) != nil {
			clockClear(timer)
		}
	}
}

// take returns what a timer is for, and forgets it; nil if it has fired or was stopped.
func (c *clock) take(timer int32) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.timers[timer]
	delete(c.timers, timer)
	return f
}

//go:wasmexport vsync_clock_fired
func clockFired(timer int32) {
	defer ward()
	if f := clocks.take(timer); f != nil {
		go f()
	}
}
