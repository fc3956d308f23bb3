package edge

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/meter"
)

// A Replica is what a hub needs of its database; *core.Replica in RoleHub is one. Its methods are
// called from many goroutines, never under a lock of the hub.
type Replica interface {
	Lineage() change.Lineage
	Head() change.Marker

	// Locate finds where the stream begins for a device: behind its marker, or behind the latest place of its trail that this
	// feed has. UNKNOWN_MARKER where it is neither, and the trail empty.
	Locate(ctx context.Context, at core.Whereabouts) (change.Marker, error)

	// TakeBack gives places to entries that a device hands back, as far as the hub has not got them. Head is the feed's end then,
	// orphans are those of the connection.
	TakeBack(ctx context.Context, entries [][]byte, orphans *core.Orphans) (taken int, head change.Marker, err error)

	// Claim checks that a device belongs to a subject, as it does for ever to the first that is named; else
	// FORBIDDEN. No subject, "", claims nothing.
	Claim(ctx context.Context, device change.DeviceID, subject string) error

	// Settlement finds the highest generation of a device that both sides share, and the hub's last.
	Settlement(ctx context.Context, device change.DeviceID, base change.Generation, baseHash change.Hash, own []change.Hash) (
		common, last change.Generation, lastHash change.Hash, err error)

	// Accept judges batches in order and stores the outcome. After a Refused the rest is Refused
	// too. On an error nothing was taken. It may keep the bytes.
	Accept(ctx context.Context, in []core.Incoming) ([]core.Verdict, error)

	// ReadFeed returns the entries behind a sequence, in order and without gaps: at least one if
	// there is any, else about maxBytes of them.
	ReadFeed(ctx context.Context, after uint64, maxBytes int) ([]core.FeedEntry, error)

	// OnFeed has fn called after each commit, in feed order, one call at a time. What fn gets does
	// not change later. Fn does not block and calls no method.
	OnFeed(fn func([]core.FeedEntry))
}

// A Hub is the hub of one database. Its methods may be called from any goroutine.
type Hub struct {
	replica Replica
	cfg     Config
	lineage change.Lineage
	recent  recent
	turns   turns
	meter   *meter.Meter // nil: nothing is counted
	joins   joins

	head      atomic.Uint64 // last sequence that OnFeed told, or that stood there at the start
	encoded   atomic.Uint64
	delivered atomic.Uint64

	mu       sync.Mutex // taken before a Conn's, never while the replica is called
	conns    []*Conn    // open ones, at their slot
	byDevice map[change.DeviceID]*Conn
	subjects map[string]int // connections that were greeted
	closed   bool
}

// NewHub returns the hub of a replica. It reads the replica's head, and follows its feed from then on.
func NewHub(replica Replica, cfg Config) *Hub {
	h := &Hub{replica: replica, cfg: cfg.validate(), byDevice: map[change.DeviceID]*Conn{}, subjects: map[string]int{}}
	share := 0
	if h.cfg.Auth != nil {
		h.meter = meter.New(h.cfg.Work, workSeconds)
		share = h.cfg.Joining / joiningShares
	}
	h.joins.init(h.cfg.Joining, share)
	h.recent.init(h.cfg.Recent)
	h.lineage = replica.Lineage()
	replica.OnFeed(h.onFeed)
	h.raise(replica.Head().Seq) // after OnFeed: a commit in between is told, or is in it, or both
	return h
}

// A Peer is what a host knows of the other end of a socket.
type Peer struct {
	Address string // for logs

	// Wake, where it is set, is called whenever Poll may have something new, under locks of the hub: it takes note, and does nothing else.
	// It is for hosts that have no goroutine waiting in Next.
	Wake func()
}

// Connect takes a new connection at the time now, in ms since 1970. A hub that is closed or full
// returns one that is over: Next gives the reason, then the *End.
func (h *Hub) Connect(now uint64, peer Peer) *Conn {
	c := &Conn{hub: h, peer: peer, slot: -1, wake: make(chan struct{}, 1), done: make(chan struct{}), heard: now, movedAt: now}
	c.deaf.Store(true)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		c.over(closing())
	case len(h.conns) >= h.cfg.Connections:
		c.over(refusal(&wire.Error{Code: wire.CodeRateLimited, Text: "too many connections to this database; come back later", Retry: retryBusy}))
	default:
		c.slot = len(h.conns)
		h.conns = append(h.conns, c)
	}
	return c
}

// enter lets a greeted connection into the stream, in the place of an older one of its device. ready
// runs under both locks. The error is the *End of a connection that is over already, or a *core.Error:
// only the subject that has a device connected may connect it again, and none has more than its connections.
func (h *Hub) enter(c *Conn, device change.DeviceID, grant Grant, ready func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.crowdedLocked(device, grant.Subject); err != nil {
		return err
	}
	old := h.byDevice[device]
	if old != nil && old.subject != grant.Subject {
		return &core.Error{Code: core.Forbidden, Message: "device " + device.String() + " belongs to another subject; use a storage of your own"}
	}
	if err := c.start(device, grant, ready); err != nil {
		return err
	}
	h.subjects[grant.Subject]++
	if old != nil {
		h.endLocked(old, superseded())
	}
	h.byDevice[device] = c
	c.signal()
	return nil
}

// end ends a connection for a reason. What was ended before stays as it was.
func (h *Hub) end(c *Conn, why ending) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endLocked(c, why)
}

func (h *Hub) endLocked(c *Conn, why ending) {
	if !c.over(why) {
		return
	}
	if h.byDevice[c.device] == c {
		delete(h.byDevice, c.device)
	}
	if !c.device.IsZero() {
		h.forget(c.subject)
	}
	last := len(h.conns) - 1
	h.conns[c.slot], h.conns[last].slot = h.conns[last], c.slot
	h.conns[last] = nil
	h.conns = h.conns[:last]
}

// crowded says whether a subject has no connection left for a device: before anything is stored for it.
func (h *Hub) crowded(device change.DeviceID, subject string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.crowdedLocked(device, subject)
}

func (h *Hub) crowdedLocked(device change.DeviceID, subject string) error {
	if h.meter == nil || h.subjects[subject] < h.cfg.Subject || h.byDevice[device] != nil {
		return nil
	}
	return &core.Error{Code: core.Code(wire.CodeRateLimited), Message: fmt.Sprintf(
		"this subject has %d connections to this database, which is all it may have; end one, or come back later", h.cfg.Subject)}
}

// forget counts a greeted connection of a subject off. Under mu.
func (h *Hub) forget(subject string) {
	if h.subjects[subject]--; h.subjects[subject] == 0 {
		delete(h.subjects, subject)
	}
}

// Charge counts work for a subject at the time now, in ms since 1970: the bytes that come, and what a request costs beside. It returns
// 0, or after how many ms the subject may come again: RATE_LIMITED. A hub without Auth counts nothing.
func (h *Hub) Charge(subject string, now uint64, bytes int) (retry uint64) {
	if h.meter == nil {
		return 0
	}
	return h.meter.Take(subject, now, bytes+frameCost)
}

// Tick looks after all connections at the time now, in ms since 1970: see Conn.Tick.
func (h *Hub) Tick(now uint64) {
	h.mu.Lock()
	conns := append([]*Conn(nil), h.conns...)
	h.mu.Unlock()
	for _, c := range conns {
		c.Tick(now)
	}
}

// Close says bye to all connections, and to those that still come. The replica stays open.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for len(h.conns) > 0 {
		h.endLocked(h.conns[len(h.conns)-1], closing())
	}
}

// Stats say how a hub is.
type Stats struct {
	Connections int    // open ones
	Streaming   int    // of them, those that were welcomed
	Behind      int    // of them, those that the feed's last entry was not handed out to
	Epoch       uint64 // of the feed
	Head        uint64 // last sequence of the feed
	Encoded     uint64 // stream frames encoded since the start
	Delivered   uint64 // entries handed out since the start
	Joining     int64  // bytes of unfinished parts
}

// Stats returns how the hub is.
func (h *Hub) Stats() Stats {
	epoch := h.replica.Head().Epoch
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Stats{Connections: len(h.conns), Epoch: epoch, Head: h.head.Load(), Joining: h.joins.bytes(),
		Encoded: h.encoded.Load(), Delivered: h.delivered.Load()}
	for _, c := range h.conns {
		streaming, behind := c.standing(s.Head)
		s.Streaming += btoi(streaming)
		s.Behind += btoi(behind)
	}
	return s
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
