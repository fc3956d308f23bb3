package watcher

import (
	"context"
	"errors"
	"sync"
	"testing"

	"vsync/core/change"
	"vsync/core/wire"
)

// A fakeHub keeps a feed. Tests either take messages from it by hand, or let it serve.
type fakeHub struct {
	t       testing.TB
	lineage change.Lineage

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the feed grows
	feed    []item
	last    map[change.DeviceID]chain
	hellos  []*wire.Hello
	pushed  []change.Generation // first generation of each push that came

	dials  int
	script []func(*peer) // for the first connections; then serve
	refuse func(n int) error
	limit  int // bytes that a pipe holds
}

type item struct {
	version change.Version
	raw     []byte // the entry
	ann     []byte // annotation ‖ MAC
	after   change.Hash
}

type chain struct {
	gen  change.Generation
	hash change.Hash
}

func newHub(t testing.TB) *fakeHub {
	return &fakeHub{t: t, lineage: change.Lineage{0x4c}, last: map[change.DeviceID]chain{},
		changed: make(chan struct{}), limit: 1 << 20}
}

// write puts a batch of another device into the feed.
func (h *fakeHub) write(device byte, mutations ...change.Mutation) change.Version {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	id := change.DeviceID{device}
	prev := h.last[id]
	raw, _ := batch(h.t, id, prev.gen+1, prev.hash, mutations...)
	return h.take(raw)
}

// take puts a batch into the feed. Callers hold the lock, or are alone.
func (h *fakeHub) take(raw []byte) change.Version {
	header, _, err := change.DecodeHeader(raw)
	if err != nil {
		h.t.Error(err)
	}
	h.add(change.NewBatchEntry(&header, raw, change.Annotation{Accepted: 1_700_000_000_001}))
	return header.Version()
}

// void puts the refusal of a batch into the feed.
func (h *fakeHub) void(device change.DeviceID, gen change.Generation, hash change.Hash) {
	h.add(change.NewVoidEntry(change.Version{Device: device, Gen: gen}, hash,
		change.Annotation{Accepted: 1, Reason: &change.Reason{Code: "INVALID", Message: "no"}}))
}

func (h *fakeHub) add(e *change.Entry) {
	prev := change.Hash{}
	if n := len(h.feed); n > 0 {
		prev = h.feed[n-1].after
	}
	e.Seal([]byte("0123456789abcdef"), h.lineage)
	raw, err := e.Encode()
	if err != nil {
		h.t.Error(err)
	}
	h.feed = append(h.feed, item{e.Version, raw, append(e.Annotation.Encode(), e.MAC[:]...), e.FeedHash(prev)})
	h.last[e.Version.Device] = chain{e.Version.Gen, e.Hash}
	close(h.changed)
	h.changed = make(chan struct{})
}

// welcome answers a hello.
func (h *fakeHub) welcome(hello *wire.Hello) *wire.Welcome {
	w := &wire.Welcome{Protocol: 1, Lineage: h.lineage, Epoch: 1, Now: 1, Mode: wire.ModeResume, Head: uint64(len(h.feed)), Marker: hello.Marker}
	if w.Marker.IsZero() {
		w.Marker.Epoch = 1
	}
	last := h.last[hello.Device]
	w.Last, w.Hash = last.gen, last.hash
	for i, hash := range hello.Own {
		if gen := hello.Gen + change.Generation(i) + 1; gen == last.gen && hash == last.hash {
			w.Common = gen
		}
	}
	if hello.Gen <= last.gen {
		w.Common = max(w.Common, hello.Gen)
	}
	return w
}

// changes returns the message with the entries from to to, both included.
func (h *fakeHub) changes(from, to uint64) *wire.Changes {
	m := &wire.Changes{Seq: from, Hash: h.feed[to-1].after}
	for seq := from; seq <= to; seq++ {
		m.Entries = append(m.Entries, h.feed[seq-1].raw)
	}
	return m
}

// accepted returns the message for the own batches from to to, both included.
func (h *fakeHub) accepted(from, to uint64) *wire.Accepted {
	m := &wire.Accepted{Seq: from, Gen: h.feed[from-1].version.Gen, Hash: h.feed[to-1].after}
	for seq := from; seq <= to; seq++ {
		m.Annotations = append(m.Annotations, h.feed[seq-1].ann)
	}
	return m
}

func (h *fakeHub) voided(seq uint64) *wire.Voided {
	f := h.feed[seq-1]
	return &wire.Voided{Seq: seq, Gen: f.version.Gen, Annotation: f.ann, Code: wire.CodeInvalid, Text: "no", Hash: f.after}
}

// dial is the wire.Dialer of this hub.
func (h *fakeHub) dial(ctx context.Context, url string) (wire.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.dials
	h.dials++
	if h.refuse != nil {
		if err := h.refuse(n); err != nil {
			return nil, err
		}
	}
	a, b := wire.Pipe(h.limit)
	p := &peer{h: h, conn: b}
	serve := (*peer).serve
	if n < len(h.script) && h.script[n] != nil {
		serve = h.script[n]
	}
	go func() {
		defer b.Close(wire.CloseNormal, "")
		serve(p)
	}()
	return a, nil
}

func (h *fakeHub) count() (dials int, hellos []*wire.Hello) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dials, h.hellos
}

var errNoRoute = errors.New("no route")

// A peer is the hub's end of one connection.
type peer struct {
	h    *fakeHub
	conn wire.Conn
}

// recv returns the next message; nil when the connection has ended.
func (p *peer) recv() wire.Message {
	frame, err := p.conn.Read(context.Background())
	if err != nil {
		return nil
	}
	m, err := wire.DecodeUp(frame)
	if err != nil {
		p.h.t.Errorf("the device sent: %v", err)
		return nil
	}
	return m
}

func (p *peer) send(m wire.Message) {
	frame, err := wire.Append(nil, m)
	if err != nil {
		p.h.t.Errorf("the test sends: %v", err)
	}
	p.conn.Write(context.Background(), frame) // an end shows at the next recv
}

// greet takes the hello and says welcome.
func (p *peer) greet() bool {
	hello, ok := p.recv().(*wire.Hello)
	if !ok {
		return false
	}
	p.h.mu.Lock()
	p.h.hellos = append(p.h.hellos, hello)
	w := p.h.welcome(hello)
	p.h.mu.Unlock()
	p.send(w)
	return true
}

// hello takes the hello, and no more.
func (p *peer) hello() {
	if hello, ok := p.recv().(*wire.Hello); ok {
		p.h.mu.Lock()
		p.h.hellos = append(p.h.hellos, hello)
		p.h.mu.Unlock()
	}
}

// until reads until the device ends the connection.
func (p *peer) until() {
	for p.recv() != nil {
	}
}

// serve is a whole hub, without credit: everything is streamed, every push is taken.
func (p *peer) serve() {
	if !p.greet() {
		return
	}
	p.h.mu.Lock()
	hello := p.h.hellos[len(p.h.hellos)-1]
	p.h.mu.Unlock()
	var group sync.WaitGroup
	defer group.Wait()
	gone := make(chan struct{})
	defer close(gone)
	group.Go(func() { p.stream(hello, gone) })
	var joiner wire.Joiner
	for {
		m := p.recv()
		if m == nil {
			return
		}
		if joined, err := joiner.Join(m); err != nil || joined != wire.Whole {
			continue
		}
		switch m := m.(type) {
		case *wire.Push:
			p.pushed(hello, m)
		case *wire.Ping:
			p.send(&wire.Pong{N: m.N, Now: 1})
		}
	}
}

func (p *peer) pushed(hello *wire.Hello, m *wire.Push) {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	p.h.pushed = append(p.h.pushed, m.Gen)
	for i, raw := range m.Batches {
		if gen := m.Gen + change.Generation(i); gen == p.h.last[hello.Device].gen+1 {
			p.h.take(raw)
		}
	}
}

func (p *peer) stream(hello *wire.Hello, gone chan struct{}) {
	seq := hello.Marker.Seq
	for {
		p.h.mu.Lock()
		feed, changed := p.h.feed, p.h.changed
		p.h.mu.Unlock()
		for ; seq < uint64(len(feed)); seq++ {
			at := &fakeHub{t: p.h.t, feed: feed}
			if feed[seq].version.Device == hello.Device {
				p.send(at.accepted(seq+1, seq+1))
				continue
			}
			for m := range wire.SplitChanges(seq+1, [][]byte{feed[seq].raw}, []change.Hash{feed[seq].after}, wire.FrameBudget) {
				p.send(m)
			}
		}
		select {
		case <-changed:
		case <-gone:
			return
		}
	}
}
