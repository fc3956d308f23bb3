package edge

import (
	"sync"

	"vsync/core/change"
)

// turns lets one of a device's connections at a time have its batches stored, or be told what the hub has of it.
//
// What a device that comes again is told must hold: a push of its older connection, whose socket may be dead for long, is
// stored before that, or not at all. Otherwise a device that takes a new id after what it was told would write that batch twice.
type turns struct {
	mu sync.Mutex
	of map[change.DeviceID]*turn
}

type turn struct {
	free  chan struct{} // holds one while nobody has the turn
	users int           // that hold it or wait for it
}

// take waits for the device's turn and returns what gives it back.
func (t *turns) take(d change.DeviceID) (give func()) {
	t.mu.Lock()
	mine := t.of[d]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		if t.of == nil {
			t.of = map[change.DeviceID]*turn{}
		}
		t.of[d] = mine
	}
	mine.users++
	t.mu.Unlock()
	<-mine.free
	return func() {
		mine.free <- struct{}{}
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.of, d)
		}
	}
}
