package edge

import "vsync/core"

// onFeed tells the readers of a commit: it puts it where they look, and wakes those that can take it.
// It runs on the replica's committer, so it encodes nothing; the first reader does.
func (h *Hub) onFeed(entries []core.FeedEntry) {
	if len(entries) == 0 {
		return
	}
	for _, s := range cutSpans(entries, h.cfg.Frame) {
		h.recent.put(s)
	}
	h.raise(entries[len(entries)-1].Seq) // before the waking: who wakes looks for it
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		if !c.deaf.Load() {
			c.signal()
		}
	}
}

// raise moves the head, never back: at the start it is told from two sides.
func (h *Hub) raise(head uint64) {
	for {
		was := h.head.Load()
		if head <= was || h.head.CompareAndSwap(was, head) {
			return
		}
	}
}
