package watcher

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge"
)

// What a hub cannot take now is held, and nothing else is: writes go on and are kept, the status says what is waited for, the hub is
// left alone for as long as it asked for, and when the reason is gone all of it goes up without anybody's help.
func TestRealHeldQueues(t *testing.T) {
	for name, c := range map[string]struct {
		code  wire.Code
		least time.Duration // that the hub wants to be left alone
		cfg   edge.Config
		hold  func(w *town, full *store.Faulty, a *citizen) (free func())
	}{
		"UNAUTHENTICATED": {code: wire.CodeUnauthenticated, cfg: edge.Config{Auth: func(_ context.Context, token string) (edge.Grant, error) {
			if token == "old" {
				return edge.Grant{}, errors.New("expired")
			}
			return edge.Grant{}, nil
		}}, hold: func(_ *town, _ *store.Faulty, a *citizen) func() {
			var token atomic.Value
			token.Store("old")
			a.w.feed.Token = func(context.Context) (string, error) { return token.Load().(string), nil }
			return func() { token.Store("new") }
		}},
		"UNAUTHENTICATED, no token to be had": {code: wire.CodeUnauthenticated, hold: func(_ *town, _ *store.Faulty, a *citizen) func() {
			var in atomic.Bool
			a.w.feed.Token = func(context.Context) (string, error) {
				if !in.Load() {
					return "", errors.New("signed out")
				}
				return "", nil
			}
			return func() { in.Store(true) }
		}},
		"RATE_LIMITED": {code: wire.CodeRateLimited, least: 5 * time.Second, cfg: edge.Config{Connections: 1}, hold: func(w *town, _ *store.Faulty, _ *citizen) func() {
			other := w.hub.Connect(uint64(time.Now().UnixMilli()), edge.Peer{})
			return other.Close
		}},
		"QUOTA": {code: wire.CodeQuota, least: 30 * time.Second, hold: func(w *town, full *store.Faulty, _ *citizen) func() {
			full.SetFull(true)
			return full.Release
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t, c.cfg)
				w.replica.Close()
				full := store.NewFaulty(store.NewMemory())
				w.found(full, c.cfg)
				a := w.move("a", store.NewMemory())
				free := c.hold(w, full, a)
				var mu sync.Mutex
				var tries []time.Time
				a.w.feed.Dial = func(ctx context.Context, url string) (wire.Conn, error) {
					mu.Lock()
					tries = append(tries, time.Now())
					mu.Unlock()
					return w.dial(ctx, url)
				}
				a.put(t, "x", 1)
				go a.w.Run(t.Context())
				for i := range 20 {
					synctest.Wait()
					s := a.w.Status()
					if s.Phase != PhaseWaiting || s.Fault.Code != c.code || s.Fault.Message == "" || s.Pending != i+1 || s.NextAttemptAt.Before(time.Now()) {
						t.Fatalf("after %d writes: %+v", i+1, s)
					}
					a.put(t, "x", i)
					time.Sleep(time.Until(a.w.Status().NextAttemptAt)) // and a little, for what is under way then
				}
				synctest.Wait()
				if head := w.replica.Head().Seq; head != 0 {
					t.Errorf("the hub has taken %d", head)
				}
				mu.Lock()
				for i := 1; i < len(tries); i++ {
					if d := tries[i].Sub(tries[i-1]); d < c.least {
						t.Errorf("back after %v, the hub had asked for %v", d, c.least)
					}
				}
				mu.Unlock()
				free()
				time.Sleep(3 * time.Minute) // the longest delay there is, twice
				synctest.Wait()
				if s := a.w.Status(); s.Phase != PhaseLive || s.Pending != 0 || !s.Fault.IsZero() || s.LastConfirmedAt.IsZero() {
					t.Errorf("when the reason was gone: %+v", s)
				}
				if problems, err := a.Problems(t.Context()); err != nil || len(problems) != 0 || w.replica.Head().Seq != 21 {
					t.Errorf("%+v %v; the hub has %d of 21", problems, err, w.replica.Head().Seq)
				}
				w.agree(a)
				w.close(a)
			})
		})
	}
}
