// Package meter bounds how much each subject may have done in a time: a bucket for each, which a fixed rate fills.
package meter

import "sync"

// maxSubjects bounds the buckets, of about 100 bytes each. One that is full again is as good as none, and goes first.
const maxSubjects = 10_000

// A Meter counts for many subjects. Its methods may be called from any goroutine.
type Meter struct {
	rate, burst int64 // thousandths that a ms gives; thousandths that can be had at once

	mu sync.Mutex
	of map[string]*bucket
}

type bucket struct {
	left int64  // thousandths; may be below 0: who has taken too much waits longer
	at   uint64 // ms since 1970, when left was right
}

// New returns a meter that gives perSecond, and as much as that of some seconds at once.
func New(perSecond, seconds int) *Meter {
	return &Meter{rate: int64(perSecond), burst: 1000 * int64(perSecond) * int64(seconds), of: map[string]*bucket{}}
}

// Take takes a cost at the time now, in ms since 1970. It returns 0, or in how many ms a quarter of what can be had at once will be there
// again; then nothing was taken. The last cost that is taken may be larger than what is left.
func (m *Meter) Take(subject string, now uint64, cost int) (wait uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.of[subject]
	if b == nil {
		m.room(now)
		b = &bucket{left: m.burst, at: now}
		m.of[subject] = b
	}
	m.fill(b, now)
	if b.left <= 0 {
		return uint64((m.burst/4-b.left)/m.rate) + 1
	}
	b.left -= 1000 * int64(cost)
	return 0
}

// fill gives a bucket what has come since. Clocks may be set back: then nothing has.
func (m *Meter) fill(b *bucket, now uint64) {
	if now > b.at {
		passed := min(now-b.at, uint64((m.burst-b.left)/m.rate)+1)
		b.left = min(m.burst, b.left+int64(passed)*m.rate)
	}
	b.at = now
}

// room drops buckets where there are too many.
func (m *Meter) room(now uint64) {
	if len(m.of) < maxSubjects {
		return
	}
	for subject, b := range m.of {
		if m.fill(b, now); b.left >= m.burst {
			delete(m.of, subject)
		}
	}
	for subject := range m.of {
		if len(m.of) < maxSubjects/4*3 { // not each time anew

			return
		}
		delete(m.of, subject)
	}
}
