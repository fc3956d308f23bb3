package engine

import (
	"context"
	"sync"
	"time"

	"vsync/core/store"
	"vsync/core/watcher"
)

// pulse is a store whose calls are watched over: each is one transaction, so one of them ends every moment while there are any. Time
// is counted by looks, as a worker that was frozen has waited for nothing.
type pulse struct {
	store.Store
	clock watcher.Clock
	told  func() // what stalled says is another; called in a goroutine of its own
	dead  func() // nothing ends any more

	mu    sync.Mutex
	calls int       // under way
	still int       // looks since one has ended
	since time.Time // the first of these looks
	set   bool      // the next look is
	stop  func()
}

func (p *pulse) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	p.begin()
	defer p.end()
	return p.Store.Get(ctx, key)
}

func (p *pulse) Scan(ctx context.Context, r store.Range) ([]store.Row, error) {
	p.begin()
	defer p.end()
	return p.Store.Scan(ctx, r)
}

func (p *pulse) Commit(ctx context.Context, tx *store.Tx) error {
	p.begin()
	defer p.end()
	return p.Store.Commit(ctx, tx)
}

func (p *pulse) Close() error {
	p.mu.Lock()
	if p.set {
		p.stop()
	}
	p.set, p.calls = true, 0 // none any more
	p.mu.Unlock()
	return p.Store.Close()
}

func (p *pulse) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls++; !p.set {
		p.arm()
	}
}

// arm sets the next look; mu is held.
func (p *pulse) arm() {
	p.set, p.stop = true, p.clock.AfterFunc(beat, p.look)
}

func (p *pulse) end() {
	p.mu.Lock()
	named := p.still >= slowBeats
	p.calls--
	p.still = 0
	p.mu.Unlock()
	if named {
		go p.told()
	}
}

func (p *pulse) look() {
	p.mu.Lock()
	p.set = false
	if p.calls <= 0 {
		p.mu.Unlock()
		return
	}
	if p.still++; p.still == 1 {
		p.since = p.clock.Now()
	}
	still := p.still
	p.arm()
	p.mu.Unlock()
	switch still {
	case slowBeats:
		go p.told()
	case deadBeats:
		p.dead()
	}
}

// stalled says since when the storage has come no further; false while it does.
func (p *pulse) stalled() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since, p.still >= slowBeats
}
