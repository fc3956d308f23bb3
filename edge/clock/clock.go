// Package clock is the system's clock, for engines that ask none themselves: it is what hosts give to
// core/watcher.
package clock

import "time"

// System is the clock of this machine. The zero System is ready.
type System struct{}

// Now returns the present moment, with the monotonic reading that differences are taken by.
func (System) Now() time.Time { return time.Now() }

// AfterFunc calls f in its own goroutine once d has passed, unless stop is called before.
func (System) AfterFunc(d time.Duration, f func()) (stop func()) {
	timer := time.AfterFunc(d, f)
	return func() { timer.Stop() }
}
