package edge

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// A span is a stretch of the feed that fits into one frame, or a single entry that is larger. It does
// not change; its encoding is made once, by the first reader who can use it.
type span struct {
	after   uint64            // sequence before the first entry
	entries []core.FeedEntry  // one or more, without gaps
	bytes   int               // of the entries
	devices []change.DeviceID // that wrote them, sorted
	joined  bool              // was made of several that followed each other

	once   sync.Once
	shared []message // one frame, or the parts of one entry
	err    error

	used uint64 // when it was last asked for; under recent.mu
}

func newSpan(entries []core.FeedEntry) *span {
	s := &span{after: entries[0].Seq - 1, entries: entries, devices: make([]change.DeviceID, 0, 1)}
	for i := range entries {
		s.bytes += len(entries[i].Entry)
		if n := len(s.devices); n == 0 || s.devices[n-1] != entries[i].Device {
			s.devices = append(s.devices, entries[i].Device)
		}
	}
	slices.SortFunc(s.devices, change.DeviceID.Compare)
	s.devices = slices.Compact(s.devices)
	return s
}

// cutSpans cuts entries into spans whose frames stay within budget.
func cutSpans(entries []core.FeedEntry, budget int) []*span {
	var spans []*span
	for len(entries) > 0 {
		n := 1
		size := frameOverhead + itemOverhead + len(entries[0].Entry)
		for n < len(entries) && n < wire.MaxItems && size+itemOverhead+len(entries[n].Entry) <= budget {
			size += itemOverhead + len(entries[n].Entry)
			n++
		}
		spans = append(spans, newSpan(entries[:n:n]))
		entries = entries[n:]
	}
	return spans
}

func (s *span) last() uint64 { return s.after + uint64(len(s.entries)) }

// weight is about what the span costs in memory.
func (s *span) weight() int { return 2*s.bytes + len(s.entries)*spanOverhead }

// frame is how large a frame with all entries gets at most.
func (s *span) frame() int { return frameOverhead + len(s.entries)*itemOverhead + s.bytes }

// names reports whether the device wrote some of it.
func (s *span) names(device change.DeviceID) bool {
	_, found := slices.BinarySearchFunc(s.devices, device, change.DeviceID.Compare)
	return found
}

// messages returns the frames for readers of whom nothing is in it.
func (s *span) messages(h *Hub) ([]message, error) {
	s.once.Do(func() {
		for more := true; more && s.err == nil; {
			var m message
			m, s.err = h.encode(wire.TypeChanges, s.entries, len(s.shared))
			m.bytes, more = s.bytes, m.more
			s.shared = append(s.shared, m)
		}
	})
	return s.shared, s.err
}

// recent keeps the spans that were last asked for or told.
type recent struct {
	mu      sync.Mutex
	spans   map[uint64]*span         // by after; they may overlap
	loading map[uint64]chan struct{} // by after; closed when the reading is over
	clock   uint64
	bytes   int
	limit   int
}

func (r *recent) init(limit int) {
	r.spans, r.loading, r.limit = map[uint64]*span{}, map[uint64]chan struct{}{}, limit
}

// put keeps a span, in the place of one that begins where it does, and gives up others for it.
func (r *recent) put(s *span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putLocked(s)
}

func (r *recent) putLocked(s *span) {
	r.drop(r.spans[s.after])
	for len(r.spans) > 0 && (len(r.spans) >= recentSpans || r.bytes+s.weight() > r.limit) {
		r.drop(r.oldest())
	}
	r.clock++
	s.used = r.clock
	r.spans[s.after] = s
	r.bytes += s.weight()
}

func (r *recent) drop(s *span) {
	if s != nil {
		delete(r.spans, s.after)
		r.bytes -= s.weight()
	}
}

func (r *recent) oldest() (oldest *span) {
	for _, s := range r.spans {
		if oldest == nil || s.used < oldest.used {
			oldest = s
		}
	}
	return oldest
}

// find returns a span that has the entry behind pos: one that begins there, if there is one.
func (r *recent) find(pos uint64, budget int) *span {
	found := r.spans[pos]
	if found != nil {
		found = r.joinLocked(found, budget)
	} else {
		for _, s := range r.spans {
			if s.after < pos && pos < s.last() && (found == nil || s.after > found.after) {
				found = s
			}
		}
	}
	if found != nil {
		r.clock++
		found.used = r.clock
	}
	return found
}

// joinLocked puts small spans that follow each other together, for readers that are a little behind:
// they get one frame in place of many. It does so once for each place, so that all who come to it
// share what was made.
func (r *recent) joinLocked(s *span, budget int) *span {
	next := r.spans[s.last()]
	if s.joined || next == nil || s.frame()+next.frame() > budget {
		return s
	}
	entries := slices.Clone(s.entries)
	for size := s.frame(); next != nil && size+next.frame() <= budget && len(entries)+len(next.entries) <= wire.MaxItems; next = r.spans[next.last()] {
		size += next.frame()
		entries = append(entries, next.entries...)
	}
	whole := newSpan(entries)
	whole.joined = true
	r.putLocked(whole)
	return whole
}

// spanAt returns a span with the entry behind pos: a recent one, or one read from the replica. Who
// comes while it is being read waits for it.
func (h *Hub) spanAt(ctx context.Context, pos uint64) (*span, error) {
	r := &h.recent
	for {
		r.mu.Lock()
		if s := r.find(pos, h.cfg.Frame); s != nil {
			r.mu.Unlock()
			return s, nil
		}
		loading, others := r.loading[pos]
		if !others {
			loading = make(chan struct{})
			r.loading[pos] = loading
		}
		r.mu.Unlock()
		if !others {
			return h.load(ctx, pos, loading)
		}
		select {
		case <-loading:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// load reads what stands behind pos, about a frame of it.
func (h *Hub) load(ctx context.Context, pos uint64, loading chan struct{}) (*span, error) {
	defer func() {
		h.recent.mu.Lock()
		delete(h.recent.loading, pos)
		h.recent.mu.Unlock()
		close(loading)
	}()
	entries, err := h.replica.ReadFeed(ctx, pos, h.cfg.Frame-frameOverhead)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("expected entries behind sequence %d, got none", pos)
	}
	for i := range entries {
		if entries[i].Seq != pos+1+uint64(i) {
			return nil, fmt.Errorf("expected sequence %d, got %d", pos+1+uint64(i), entries[i].Seq)
		}
	}
	spans := cutSpans(entries, h.cfg.Frame)
	for _, s := range slices.Backward(spans) {
		h.recent.put(s) // the first last: it is the one that is used
	}
	return spans[0], nil
}
