package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// world is a hub and devices that talk without sockets: what a session and a hub's connection would do, in one call.
type world struct {
	t   testing.TB
	ctx context.Context
	now atomic.Uint64
	rnd *lockedRand
	hub *node
}

type lockedRand struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func (l *lockedRand) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

// node is one replica and the store below it, which outlives it.
type node struct {
	*Replica
	w    *world
	st   *store.Memory
	role Role
	feed bool
	cp   int
	real bool // with goroutines
	lazy bool // what is shown under field rules is made once a commit
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, ctx: t.Context(), rnd: &lockedRand{r: rand.NewChaCha8([32]byte{1})}}
	w.now.Store(1_700_000_000_000)
	w.hub = w.node(RoleHub)
	return w
}

func (w *world) node(role Role) *node {
	return w.start(&node{w: w, st: store.NewMemory(), role: role, feed: true})
}

func (w *world) start(n *node) *node {
	n.open()
	w.t.Cleanup(func() { n.Close() })
	return n
}

// asyncDevice works with goroutines, as in a host.
func (w *world) asyncDevice() *node {
	return w.start(&node{w: w, st: store.NewMemory(), feed: true, real: true})
}

// local is a database without a hub.
func (w *world) local() *node { return w.start(&node{w: w, st: store.NewMemory()}) }

func (w *world) device() *node { return w.node(RoleDevice) }

func (n *node) config() Config {
	c := Config{Role: n.role, Database: "test", Now: func() uint64 { return n.w.now.Add(1) }, Rand: n.w.rnd,
		Feed: n.feed, HubKey: []byte("0123456789abcdef"), CheckpointBytes: n.cp, Go: func(f func()) { f() }}
	if n.real {
		c.Go = nil
	}
	return c
}

func (n *node) open() {
	n.w.t.Helper()
	r, err := Open(n.w.ctx, n.st, n.config())
	if err != nil {
		n.w.t.Fatal(err)
	}
	if n.lazy {
		r.folds = 0
	}
	n.Replica = r
}

// crash ends the engine without a checkpoint and opens what is stored.
func (n *node) crash() {
	n.w.t.Helper()
	n.st = n.st.Clone()
	n.Kill()
	n.open()
	n.check()
}

func (n *node) check() {
	n.w.t.Helper()
	rep, err := n.Check(n.w.ctx)
	if err != nil || !rep.OK {
		n.w.t.Fatalf("check: %v %v", err, rep.Findings)
	}
}

func key(id string) change.Key { return change.Key{Collection: "c", ID: id} }

func value(v any) []byte {
	b, err := change.Encode(v)
	if err != nil {
		panic(err)
	}
	return b
}

func (n *node) put(id string, v any) change.Version {
	n.w.t.Helper()
	r, err := n.Put(n.w.ctx, key(id), value(v))
	if err != nil {
		n.w.t.Fatal(err)
	}
	return r.Version
}

func (n *node) del(id string) change.Version {
	n.w.t.Helper()
	r, err := n.Delete(n.w.ctx, key(id))
	if err != nil {
		n.w.t.Fatal(err)
	}
	return r.Version
}

// get returns the value as text, "-" for none, with "!" behind it in a conflict.
func (n *node) get(id string) string {
	n.w.t.Helper()
	e, ok, err := n.Get(n.w.ctx, key(id))
	if err != nil {
		n.w.t.Fatal(err)
	}
	s := "-"
	if ok {
		v, err := change.DecodeValue(e.Value)
		if err != nil {
			n.w.t.Fatal(err)
		}
		s = fmt.Sprint(v)
	}
	if e.Conflict {
		s += "!"
	}
	return s
}

func (n *node) want(id, want string) {
	n.w.t.Helper()
	if got := n.get(id); got != want {
		n.w.t.Fatalf("%s is %s, want %s", id, got, want)
	}
}

// hello connects and settles until there is nothing left to settle, and returns what is to be pushed from.
func (n *node) hello() change.Generation {
	n.w.t.Helper()
	n.meet()
	for range 8 {
		h, err := n.Hello(n.w.ctx)
		if err != nil {
			n.w.t.Fatal(err)
		}
		common, last, hash, err := n.w.hub.Settlement(n.w.ctx, h.Device, h.Base, h.BaseHash, h.Own)
		if err != nil {
			n.w.t.Fatal(err)
		}
		head := n.w.hub.Head()
		s, err := n.Settle(n.w.ctx, Welcome{Lineage: n.w.hub.Lineage(), Epoch: head.Epoch, Common: common, Last: last, LastHash: hash, Head: head.Seq})
		if err != nil {
			n.w.t.Fatal(err)
		}
		if !s.Again && !s.Reentered {
			return s.PushFrom
		}
	}
	n.w.t.Fatal("eight hellos settled nothing")
	return 0
}

// meet finds the place of the hub's feed from which the device goes on; what the hub lost is handed back before anything is left.
func (n *node) meet() (handed, taken int, wentBack bool) {
	n.w.t.Helper()
	hello, err := n.Hello(n.w.ctx)
	if err != nil {
		n.w.t.Fatal(err)
	}
	back := hello.Back
	owing := false
	for round := range 6 {
		m := n.State().Marker
		begin, err := n.w.hub.Locate(n.w.ctx, Whereabouts{Marker: m, Back: back})
		if err == nil {
			if begin.Seq != m.Seq || begin.Hash != m.Hash {
				n.w.t.Fatalf("at %v, and the stream begins at %v", m, begin)
			}
			return handed, taken, round > 1
		}
		trail, terr := n.Trail(n.w.ctx)
		if codeOf(err) != UnknownMarker || terr != nil {
			n.w.t.Fatal(err, terr)
		}
		begin, err = n.w.hub.Locate(n.w.ctx, Whereabouts{m, trail, back})
		if codeOf(err) == UnknownMarker && n.State().Owing && !owing {
			owing = true
			begin, err = n.w.hub.Locate(n.w.ctx, Whereabouts{Marker: change.Marker{Epoch: m.Epoch, Seq: back.Seq, Hash: back.Hash}, Trail: trail})
		}
		if err != nil {
			n.w.t.Fatal(err)
		}
		if handed > 0 {
			if err := n.GoBack(n.w.ctx, begin, back); err != nil {
				n.w.t.Fatal(err)
			}
			n.check()
			continue
		}
		orphans := new(Orphans)
		for at := (AppliedCursor{Seq: begin.Seq, Left: owing}); ; {
			entries, next, err := n.Applied(n.w.ctx, at, 3000)
			if err != nil {
				n.w.t.Fatal(err)
			}
			if at = next; len(entries) == 0 {
				break
			}
			took, head, err := n.w.hub.TakeBack(n.w.ctx, entries, orphans)
			if err != nil {
				n.w.t.Fatal(err)
			}
			back = change.Place{Seq: head.Seq, Hash: head.Hash}
			handed, taken = handed+len(entries), taken+took
		}
		if owing {
			if err := n.Owe(n.w.ctx, back); err != nil {
				n.w.t.Fatal(err)
			}
		}
	}
	n.w.t.Fatal("a marker that stays unknown")
	return
}

// push sends what is not sent yet.
func (n *node) push() []Verdict {
	n.w.t.Helper()
	var out []Verdict
	for from := n.hello(); ; {
		gens, batches, err := n.Unsent(n.w.ctx, from, 4096)
		if err != nil {
			n.w.t.Fatal(err)
		}
		if len(gens) == 0 {
			return out
		}
		var in []Incoming
		for _, b := range batches {
			in = append(in, Incoming{Device: n.State().Device, Bytes: b})
		}
		vs, err := n.w.hub.Accept(n.w.ctx, in)
		if err != nil {
			n.w.t.Fatal(err)
		}
		out = append(out, vs...)
		from = gens[len(gens)-1] + 1
	}
}

// refuse sends what is not sent yet, one batch of it with a body that is not the one its header names, which the hub voids.
func (n *node) refuse(gen change.Generation) {
	n.w.t.Helper()
	gens, batches, err := n.Unsent(n.w.ctx, n.hello(), 1<<30)
	if err != nil {
		n.w.t.Fatal(err)
	}
	var in []Incoming
	for i, b := range batches {
		if gens[i] == gen {
			b = bytes.Clone(b)
			b[len(b)-1] ^= 1
		}
		in = append(in, Incoming{Device: n.State().Device, Bytes: b})
	}
	vs, err := n.w.hub.Accept(n.w.ctx, in)
	if err != nil {
		n.w.t.Fatal(err)
	}
	for i, v := range vs {
		if (v.Kind == Voided) != (gens[i] == gen) {
			n.w.t.Fatalf("generation %d: %+v", gens[i], v)
		}
	}
}

// pull applies the feed to its end, own batches as confirmations.
func (n *node) pull() {
	n.w.t.Helper()
	n.hello()
	held, _ := n.Hello(n.w.ctx)
	for {
		es, err := n.w.hub.ReadFeed(n.w.ctx, n.State().Marker.Seq, 2000)
		if err != nil {
			n.w.t.Fatal(err)
		}
		if len(es) == 0 {
			return
		}
		var as []Arrival
		for _, e := range es {
			a := Arrival{Seq: e.Seq, Entry: e.Entry}
			if e.Device == held.Device && e.Gen >= held.Held && e.Kind != change.EntryLost {
				a = Arrival{Seq: e.Seq, Gen: e.Gen, Ann: e.Ann, MAC: e.MAC, Void: e.Kind == change.EntryVoid}
			}
			as = append(as, a)
		}
		if err := n.Apply(n.w.ctx, as, es[len(es)-1].Hash); err != nil {
			n.w.t.Fatal(err)
		}
	}
}

// sync brings all devices to the same feed.
func (w *world) sync(ns ...*node) {
	w.t.Helper()
	for _, n := range ns {
		n.push()
	}
	for _, n := range ns {
		n.pull()
	}
	for _, n := range ns[1:] {
		if a, b := ns[0].dump(), n.dump(); a != b {
			w.t.Fatalf("replicas differ:\n%s\n--\n%s", a, b)
		}
	}
	if a, b := ns[0].dump(), w.hub.dump(); a != b {
		w.t.Fatalf("device and hub differ:\n%s\n--\n%s", a, b)
	}
}

// dump is the whole visible state as text.
func (n *node) dump() string {
	n.w.t.Helper()
	var b strings.Builder
	for e, err := range n.Scan(n.w.ctx, ScanRange{}) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x %s %v %v\n", e.Key, e.Value, e.Version, e.Conflict, e.Frontier)
	}
	return b.String()
}

// history lists an object's versions, newest first: values, "-" for deletions.
func (n *node) history(id string) (out []string) {
	n.w.t.Helper()
	for h, err := range n.History(n.w.ctx, key(id)) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		if h.Deleted {
			out = append(out, "-")
			continue
		}
		v, _ := change.DecodeValue(h.Value)
		out = append(out, fmt.Sprint(v))
	}
	return out
}

// raw makes a batch as a device would that does not keep the rules.
func raw(t testing.TB, d change.DeviceID, gen change.Generation, prev change.Hash, ms ...change.Mutation) (change.Hash, []byte) {
	t.Helper()
	b := &change.Batch{Header: change.Header{Device: d, Gen: gen, Stamp: 1}, Mutations: ms}
	bytes, err := b.Encode(prev)
	if err != nil {
		t.Fatal(err)
	}
	return b.Hash, bytes
}

func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func beUint64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

func equalStrings(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}
