package core

import (
	"testing"

	"vsync/core/change"
)

// TestAnotherHub: a replica belongs to the hub that it met first. Another one, also an empty one, is refused, and nothing is sent
// to it or taken from it.
func TestAnotherHub(t *testing.T) {
	w, elsewhere := newWorld(t), newWorld(t)
	a := w.device()
	a.put("x", "1")
	w.sync(a)
	a.put("x", "2")
	before := a.State()
	other := elsewhere.hub.Lineage()
	other[0] ^= 1 // both worlds draw alike
	_, err := a.Settle(w.ctx, Welcome{Lineage: other, Epoch: 1})
	if codeOf(err) != OtherHub || a.State() != before {
		t.Errorf("%v: %+v became %+v", err, before, a.State())
	}
	a.crash()
	w.sync(a)
}

// TestAClockThatIsAhead: what a device with a wrong clock wrote counts as written at most a minute after the hub took it, and what
// the hub says about time never goes back, so that the future is not decided for ever.
func TestAClockThatIsAhead(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	ahead := w.node(RoleDevice)
	ahead.cfg.Now = func() uint64 { return w.now.Load() + 24*60*60_000 }
	ahead.put("x", "from tomorrow")
	w.sync(ahead, a, b)
	a.put("x", "base")
	w.sync(ahead, a, b)

	ahead.put("x", "from tomorrow")
	ahead.push()
	w.now.Add(2 * allowedSkew)
	a.put("x", "two minutes later")
	w.sync(a, b, ahead)
	b.want("x", "two minutes later!")
	b.put("x", "closed")
	w.sync(b, a, ahead)

	w.now.Store(w.now.Load() - 60*60_000) // the hub's own clock is set back
	last := uint64(0)
	a.put("x", "after that")
	w.sync(a, b, ahead)
	es, err := w.hub.ReadFeed(w.ctx, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range es {
		e, b, err := change.DecodeEntryBatch(f.Entry)
		if err != nil {
			t.Fatal(err)
		}
		accepted, stamp := e.Annotation.Accepted, e.Annotation.EffectiveStamp(&b.Header)
		if accepted < last || stamp != min(b.Stamp, accepted+allowedSkew) {
			t.Errorf("sequence %d: written at %d, taken at %d after %d, counts as %d", f.Seq, b.Stamp, accepted, last, stamp)
		}
		last = accepted
	}
	a.crash()
}
