package engine

import (
	"context"
	"sync"
	"testing"
	"time"

	"vsync/core/store"
	"vsync/wasm/port"
)

// ticker is a clock that a test moves on. A timer of it rings in the goroutine that does, or in one of its own.
type ticker struct {
	apart  bool
	mu     sync.Mutex
	now    time.Time
	timers map[*time.Time]func()
}

func (c *ticker) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *ticker) AfterFunc(d time.Duration, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timers == nil {
		c.timers = map[*time.Time]func(){}
	}
	at := c.now.Add(d)
	c.timers[&at] = f
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, &at)
	}
}

// pass lets time pass, all at once, as it does where a worker was frozen.
func (c *ticker) pass(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	for at, f := range c.timers {
		if !at.After(c.now) {
			due = append(due, f)
			delete(c.timers, at)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		if c.apart {
			go f()
		} else {
			f()
		}
	}
}

// hanging is a store whose commits do not end until they are let go.
type hanging struct {
	store.Store
	begun, free chan struct{}
}

func (h hanging) Commit(ctx context.Context, tx *store.Tx) error {
	h.begun <- struct{}{}
	<-h.free
	return h.Store.Commit(ctx, tx)
}

// A storage that ends nothing any more is named, and at last the program is ended; time in which nobody looked does not count.
func TestPulse(t *testing.T) {
	clock := &ticker{now: time.UnixMilli(1e12)}
	told, dead := make(chan struct{}, 10), make(chan struct{}, 10)
	h := hanging{store.NewMemory(), make(chan struct{}), make(chan struct{})}
	p := &pulse{Store: h, clock: clock, told: func() { told <- struct{}{} }, dead: func() { dead <- struct{}{} }}
	commit := func() chan error {
		done := make(chan error)
		go func() {
			tx := &store.Tx{}
			tx.Put([]byte("a"), []byte("b"))
			done <- p.Commit(t.Context(), tx)
		}()
		<-h.begun
		return done
	}
	for range 2 * deadBeats { // as long as one ends, none hangs
		done := commit()
		clock.pass(beat)
		h.free <- struct{}{}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	done := commit()
	clock.pass(24 * time.Hour)
	if _, is := p.stalled(); is {
		t.Error("a look after a long sleep is one look")
	}
	from := clock.Now()
	clock.pass(beat)
	<-told
	if since, is := p.stalled(); !is || !since.Equal(from) {
		t.Errorf("since %v, %v; want %v", since, is, from)
	}
	h.free <- struct{}{}
	<-done
	<-told
	if _, is := p.stalled(); is {
		t.Error("it has come to an end, and is said to hang")
	}
	done = commit()
	for range deadBeats {
		if len(dead) > 0 {
			t.Fatal("ended too early")
		}
		clock.pass(beat)
	}
	<-dead
	h.free <- struct{}{}
	<-done
	if err := p.Close(); err != nil || len(clock.timers) > 0 {
		t.Errorf("%v, %d timers are left", err, len(clock.timers))
	}
}

// hung has commits hang that the test wants to.
type hung struct {
	places
	mu    sync.Mutex
	until chan struct{} // nil: none hangs
}

func (h *hung) Open(ctx context.Context, name string, lost func(error)) (store.Store, string, error) {
	st, mode, err := h.places.Open(ctx, name, lost)
	return &hungStore{st, h}, mode, err
}

type hungStore struct {
	store.Store
	h *hung
}

func (s *hungStore) Commit(ctx context.Context, tx *store.Tx) error {
	s.h.mu.Lock()
	until := s.h.until
	s.h.mu.Unlock()
	if until != nil {
		<-until
	}
	return s.Store.Commit(ctx, tx)
}

// A local commit that hangs is named, though there is no feed; the engine answers pings all the while.
func TestStorageHangs(t *testing.T) {
	e, _ := newEngine(t, nil)
	h, clock := &hung{}, &ticker{apart: true, now: time.UnixMilli(1e12)}
	ended := make(chan struct{}, 1)
	e.cfg.Storage, e.cfg.Clock, e.cfg.End = h, clock, func() { ended <- struct{}{} }
	a := e.tab(t)
	a.hello("notes")
	until := make(chan struct{})
	h.mu.Lock()
	h.until = until
	h.mu.Unlock()
	n := a.write(op("a", 1))
	waits := func(what string) {
		t.Helper()
		a.hear("waiting for "+what, func(kind int, _ uint64, fields []any) bool {
			if kind != port.Status {
				return false
			}
			w, is := fields[0].(map[string]any)["waiting"].([]any)
			return is && w[0] == what && (what == "") != w[2].(bool)
		})
	}
	waits("")
	for stalled := false; !stalled; _, stalled = e.current().pulse.stalled() {
		a.answer(a.say(port.Ping))
		clock.pass(beat)
		time.Sleep(time.Millisecond)
	}
	waits("storage")
	h.mu.Lock()
	h.until = nil
	h.mu.Unlock()
	close(until)
	a.answer(n)
	go func() {
		for t.Context().Err() == nil { // STATUS is held back for a moment each time
			clock.pass(statusEvery)
			time.Sleep(time.Millisecond)
		}
	}()
	waits("")
	if len(ended) > 0 {
		t.Error("the program was ended")
	}
}
