package sim

import (
	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/edge"
)

// hub is the hub's process and its store.
type hub struct {
	node
	edge   *edge.Hub
	ticked uint64

	backup *hubCopy
	undo   *hubCopy // what is put back as soon as the feed has come so far; nil: nothing
	undoAt uint64
}

// tapped is a hub's replica with somebody who hears what it tells.
type tapped struct {
	*core.Replica
	hear func([]core.FeedEntry)
}

func (t tapped) OnFeed(fn func([]core.FeedEntry)) {
	t.Replica.OnFeed(func(es []core.FeedEntry) {
		t.hear(es)
		fn(es)
	})
}

func (s *Sim) newHub() *hub {
	h := &hub{node: node{s: s, name: "hub", role: core.RoleHub, mem: store.NewMemory(), cp: s.plan.hubBytes}}
	h.up()
	return h
}

func (h *hub) up() {
	if h.s.plan.hubFaults {
		h.start()
	} else if err := h.open(nil); err != nil {
		h.s.fail("the hub does not open: %v", err)
	}
	h.s.model.reopened(h)
	h.edge = edge.NewHub(tapped{h.r, h.s.model.told}, edge.Config{Database: database, MaxBatch: h.s.plan.maxBatch,
		Frame: h.s.plan.frame, Recent: h.s.plan.recent, Credit: h.s.plan.credit})
}

// down ends the process. Its sockets are gone; devices notice at once, or when nothing comes for long.
func (h *hub) down(lost int) {
	if h.r == nil {
		return
	}
	h.s.logf("hub goes down, lost %d", lost)
	h.s.count("hub crash")
	h.kill(lost)
	h.edge = nil
	for _, c := range h.s.conns {
		c.hubDied()
	}
}

func (h *hub) pump() {
	if h.lost() {
		h.down(0)
	}
	if h.r == nil {
		h.up()
	}
	if h.undo != nil && h.s.model.head() >= h.undoAt && !h.lost() {
		h.lose("hub rolled back", h.undo)
	}
	if h.s.now >= h.ticked+1000 {
		h.ticked = h.s.now
		h.edge.Tick(h.s.now)
	}
}

func (h *hub) heal() {
	h.undo = nil
	if h.r == nil || h.lost() || !h.spent() {
		h.down(0)
	}
	h.disk.Release()
	h.pump()
	if h.unsettled() {
		h.down(0)
		h.pump()
	}
}

func (h *hub) head() change.Marker {
	if h.r == nil {
		return change.Marker{}
	}
	return h.r.Head()
}
