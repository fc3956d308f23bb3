package watcher

import (
	"testing"
	"testing/synctest"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge/clock"
)

// A batch of the own id that this replica did not write: another copy of its disk did. It confirms nothing.
func TestRealForeignBatchUnderTheOwnID(t *testing.T) {
	for _, own := range []int{1, 0} {
		synctest.Test(t, func(t *testing.T) {
			h := newHub(t)
			r := replica(t, "device", store.NewMemory(), core.RoleDevice)
			defer r.Close()
			id := r.State().Device
			raw, _ := change.Encode("mine")
			if own == 1 {
				if _, err := r.Put(t.Context(), change.Key{Collection: "notes", ID: "mine"}, raw); err != nil {
					t.Fatal(err)
				}
			}
			h.script = []func(*peer){func(p *peer) {
				p.greet()
				foreign, _ := batch(t, id, 1, change.Hash{}, put("theirs", 3))
				h.mu.Lock()
				h.take(foreign)
				p.send(h.changes(1, 1))
				h.mu.Unlock()
				p.until()
			}}
			w, err := NewWatcher(r, Feed{URL: "u", Database: "db", Dial: h.dial, Clock: clock.System{}, Rand: highest{}})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			go w.Run(t.Context())
			synctest.Wait()
			t.Logf("own=%d: %+v", own, w.Status())
			if s := r.State(); s.Marker.Seq != 0 || s.ConfirmedGen != 0 {
				t.Errorf("own=%d: it was applied: %+v", own, s)
			}
			time.Sleep(10 * wire.StreamRetryDelay)
			synctest.Wait()
			if own == 0 {
				if _, err := r.Put(t.Context(), change.Key{Collection: "notes", ID: "mine"}, raw); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			s := w.Status()
			if s.Phase != PhaseLive || s.Pending != 0 || len(h.feed) != 2 || r.State().Device == id {
				t.Errorf("own=%d: %+v, %d in the feed, device %v, was %v\n%s", own, s, len(h.feed), r.State().Device, id, look(t, r))
			}
		})
	}
}
