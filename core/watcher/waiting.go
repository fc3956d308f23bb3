package watcher

import (
	"sync"
	"time"
)

// A Reason is what sync waits for, in the words of the SDK.
type Reason string

const (
	ForToken        Reason = "token"        // the application, for a token
	ForConnection   Reason = "connection"   // the network, for an open socket
	ForWelcome      Reason = "welcome"      // the hub, for its answer to the hello
	ForChanges      Reason = "changes"      // the hub, for changes that it said it has
	ForConfirmation Reason = "confirmation" // the hub, for its answer to own batches, or to entries handed back
	ForStorage      Reason = "storage"      // this device's own storage
	ForAttempt      Reason = "attempt"      // the next attempt, whose time is known
	ForResume       Reason = "resume"       // Resume
)

// stalls is how long each may go on without a step forward before it counts as stalled: longer than a bad line takes, and shorter
// than the bounds at which a connection is given up, so that it is named before it is over. What is not here waits as it should.
var stalls = map[Reason]time.Duration{
	ForToken:        15 * time.Second,
	ForConnection:   10 * time.Second,
	ForWelcome:      5 * time.Second,
	ForChanges:      15 * time.Second,
	ForConfirmation: 15 * time.Second,
	ForStorage:      10 * time.Second,
}

// Waiting says what sync waits for. The zero Waiting is for nothing.
type Waiting struct {
	For     Reason
	Since   time.Time // the last step forward, or the beginning
	Stalled bool      // longer than it should take
}

// IsZero reports whether nothing is waited for.
func (w Waiting) IsZero() bool { return w.For == "" }

// A detector notices what waits too long. It has one timer, which is set anew when it rings and not at every step forward: steps are
// as frequent as frames.
type detector struct {
	clock Clock
	told  func() // the status has changed, by nothing but the time

	mu      sync.Mutex
	now     Waiting
	step    uint64    // how far what now waits for has come
	busy    time.Time // since when this device's storage is at work; zero: it is not
	stalled bool      // its work was found to take too long
	at      time.Time // when the timer rings; zero: none runs
	stop    func()    // the timer
	over    bool
}

// waits notes what is waited for, and how far it has come: the same at another step is a step forward.
func (d *detector) waits(reason Reason, step uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || (d.now.For == reason && d.step == step) {
		return
	}
	d.now, d.step = Waiting{}, step
	if reason != "" {
		d.now = Waiting{For: reason, Since: d.clock.Now()}
		d.arm(d.now.Since, stalls[reason])
	}
}

// works notes that the storage begins to work.
func (d *detector) works() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = d.clock.Now()
	d.arm(d.busy, stalls[ForStorage])
}

// rests notes that the storage has done its work.
func (d *detector) rests() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy, d.stalled = time.Time{}, false
}

// waiting returns what is waited for now.
func (d *detector) waiting() Waiting {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stalled {
		return Waiting{For: ForStorage, Since: d.busy, Stalled: true}
	}
	return d.now
}

// arm has the timer ring after so long, if it does not ring before. mu is held.
func (d *detector) arm(now time.Time, after time.Duration) {
	at := now.Add(after)
	if d.over || after <= 0 || (!d.at.IsZero() && !at.Before(d.at)) {
		return
	}
	if !d.at.IsZero() {
		d.stop()
	}
	d.at, d.stop = at, d.clock.AfterFunc(after, d.look)
}

// look marks what has waited too long, and comes again for what may.
func (d *detector) look() {
	d.mu.Lock()
	d.at = time.Time{}
	if d.over {
		d.mu.Unlock()
		return
	}
	now, news := d.clock.Now(), false
	late := func(since time.Time, bound time.Duration) bool {
		left := since.Add(bound).Sub(now)
		d.arm(now, left)
		return left <= 0
	}
	if bound := stalls[d.now.For]; bound > 0 && !d.now.Stalled && late(d.now.Since, bound) {
		d.now.Stalled, news = true, true
	}
	if !d.busy.IsZero() && !d.stalled && late(d.busy, stalls[ForStorage]) {
		d.stalled, news = true, true
	}
	d.mu.Unlock()
	if news {
		d.told()
	}
}

// end stops it for good.
func (d *detector) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over, d.now, d.busy, d.stalled = true, Waiting{}, time.Time{}, false
	if !d.at.IsZero() {
		d.stop()
		d.at = time.Time{}
	}
}
