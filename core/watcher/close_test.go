package watcher

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vsync/core"
	"vsync/core/wire"
	"vsync/edge/clock"
)

func TestCloseWhereverItIs(t *testing.T) {
	done := make(chan struct{})
	block := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, prepare := range map[string]func(*rig, *Feed){
		"token": func(g *rig, f *Feed) {
			f.Token = func(ctx context.Context) (string, error) { return "", block(ctx) }
		},
		"dial": func(g *rig, f *Feed) {
			f.Dial = func(ctx context.Context, _ string) (wire.Conn, error) { return nil, block(ctx) }
		},
		"greeting": func(g *rig, f *Feed) { g.h.script = []func(*peer){func(p *peer) { p.until() }} },
		"live":     nil,
		"hello is not read": func(g *rig, f *Feed) {
			g.h.limit = 1
			g.h.script = []func(*peer){func(p *peer) { <-done }}
		},
		"pushes are not read": func(g *rig, f *Feed) {
			g.h.limit = 1
			g.r.put(t, 900_000)
			g.h.script = []func(*peer){func(p *peer) { p.greet(); <-done }}
		},
		"reading ahead": func(g *rig, f *Feed) {
			for range 100 {
				g.h.write(2, put("a", 10))
			}
			g.r.hold = block
		},
		"applying": func(g *rig, f *Feed) {
			g.h.write(2, put("a", 10))
			g.r.hold = block
		},
		"reading on after a write failed": func(g *rig, f *Feed) {
			f.Dial = func(context.Context, string) (wire.Conn, error) { return &mute{closed: make(chan struct{})}, nil }
		},
		"waiting":           func(g *rig, f *Feed) { g.h.refuse = func(int) error { return errNoRoute } },
		"own storage fails": func(g *rig, f *Feed) { g.r.helloErr = &core.Error{Code: core.Quota} },
	} {
		for _, how := range []string{"Close", "Pause"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				inBubble(t, func(g *rig, f *Feed) {
					done = make(chan struct{})
					if prepare != nil {
						prepare(g, f)
					}
				}, func(g *rig) {
					if how == "Pause" {
						g.w.Pause()
						g.is(PhaseWaiting)
					}
					g.w.Close()
					g.w.Close()
					close(done)
				})
			})
		}
	}
}

// mute is a connection that takes nothing, and of which nothing comes.
type mute struct {
	closed chan struct{}
	once   sync.Once
}

func (c *mute) Read(context.Context) ([]byte, error) { <-c.closed; return nil, wire.ErrClosed }
func (c *mute) Write(context.Context, []byte) error  { return errNoRoute }
func (c *mute) Close(int, string) error              { c.once.Do(func() { close(c.closed) }); return nil }

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		w, err := NewWatcher(newFake(1), Feed{URL: "u", Database: "db", Dial: h.dial, Clock: clock.System{}, Rand: rand.NewPCG(1, 2)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go w.Run(ctx)
		synctest.Wait()
		if w.Status().Phase != PhaseLive {
			t.Error(w.Status())
		}
		cancel()
		synctest.Wait()
		if w.Status().Phase != PhaseClosed {
			t.Error(w.Status())
		}
		w.Run(context.Background()) // once is enough
		w.Close()
	})
	w, _ := NewWatcher(newFake(1), Feed{URL: "u", Dial: newHub(t).dial, Clock: clock.System{}, Rand: rand.NewPCG(1, 2)})
	w.Close()
	w.Run(context.Background()) // closed before
}

// The same outside of a bubble, with the real scheduler: the number of goroutines is what it was.
func TestNothingOutlivesClose(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		h, r := newHub(t), newFake(1)
		for range 20 {
			h.write(2, put("a", 1000))
			r.put(t, 1000)
		}
		w, err := NewWatcher(r, Feed{URL: "u", Database: "db", Dial: h.dial, Clock: clock.System{}, Rand: rand.NewPCG(1, 2)})
		if err != nil {
			t.Fatal(err)
		}
		go w.Run(context.Background())
		for w.Status().Phase == PhaseConnecting {
			runtime.Gosched()
		}
		w.Close()
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines more than before", runtime.NumGoroutine()-before)
		}
	}
}
