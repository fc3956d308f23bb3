package watcher

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge"
	"vsync/edge/clock"
)

var _ Replica = (*core.Replica)(nil)

// A town is a real hub and real replicas, with watchers and pipes between them.
type town struct {
	t       *testing.T
	rand    *rand.Rand
	replica *core.Replica
	hub     *edge.Hub
	limit   int // bytes that a pipe holds

	mu    sync.Mutex
	conns []wire.Conn // the hub's ends
	down  bool
}

// A citizen is a device of a town.
type citizen struct {
	*core.Replica
	st *store.Memory
	w  *Watcher
}

func replica(t *testing.T, name string, st store.Store, role core.Role) *core.Replica {
	t.Helper()
	r, err := core.Open(context.Background(), st, core.Config{
		Role: role, Database: "db", Feed: true, HubKey: []byte("0123456789abcdef"), CheckpointBytes: 200_000,
		Now:  func() uint64 { return uint64(time.Now().UnixMilli()) },
		Rand: rand.NewChaCha8(sha256.Sum256([]byte(name))),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newTown(t *testing.T, cfg edge.Config) *town {
	w := &town{t: t, rand: rand.New(rand.NewPCG(1, 2)), limit: 300_000}
	w.replica = replica(t, "hub", store.NewMemory(), core.RoleHub)
	cfg.Database = "db"
	w.hub = edge.NewHub(w.replica, cfg)
	return w
}

func (w *town) close(citizens ...*citizen) {
	for _, c := range citizens {
		c.w.Close()
		c.Close()
	}
	w.hub.Close()
	w.cut()
	w.replica.Close()
}

// found opens a hub in a store, in the place of the one before.
func (w *town) found(st store.Store, cfg edge.Config) {
	cfg.Database = "db"
	r := replica(w.t, "hub", st, core.RoleHub)
	hub := edge.NewHub(r, cfg)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replica, w.hub = r, hub
}

// cut breaks all connections, as a network does.
func (w *town) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close(wire.CloseAbnormal, "")
	}
	w.conns = nil
}

func (w *town) move(name string, st *store.Memory) *citizen {
	c := &citizen{Replica: replica(w.t, name, st, core.RoleDevice), st: st}
	var err error
	c.w, err = NewWatcher(c.Replica, Feed{URL: "wss://hub/v1/db", Database: "db", Agent: name, Dial: w.dial,
		Clock: clock.System{}, Rand: rand.NewPCG(7, uint64(name[0]))})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *town) dial(context.Context, string) (wire.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errNoRoute
	}
	a, b := wire.Pipe(w.limit)
	w.conns = append(w.conns, b)
	c := w.hub.Connect(uint64(time.Now().UnixMilli()), edge.Peer{})
	go func() {
		for {
			frame, err := b.Read(context.Background())
			if err != nil || c.Receive(context.Background(), uint64(time.Now().UnixMilli()), frame) != nil {
				break
			}
		}
		c.Close()
	}()
	go func() {
		for {
			frame, err := c.Next(context.Background())
			if end, ok := errors.AsType[*edge.End](err); ok {
				b.Close(end.Code, end.Reason)
				return
			}
			if err != nil || b.Write(context.Background(), frame) != nil {
				c.Close()
			}
		}
	}()
	return a, nil
}

func (c *citizen) put(t *testing.T, id string, value any) change.Version {
	t.Helper()
	raw, err := change.Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := c.Put(t.Context(), change.Key{Collection: "notes", ID: id}, raw)
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Version
}

// look returns the whole visible state as text.
func look(t *testing.T, r *core.Replica) string {
	t.Helper()
	var b strings.Builder
	for e, err := range r.Scan(context.Background(), core.ScanRange{}) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%v %x %v %v %v\n", e.Key, sha256.Sum256(e.Value), e.Version, e.Conflict, e.Frontier)
	}
	return b.String()
}

// agree fails the test unless all have everything and hold the same.
func (w *town) agree(citizens ...*citizen) {
	w.t.Helper()
	synctest.Wait()
	want := look(w.t, w.replica)
	for i, c := range citizens {
		if s := c.w.Status(); s.Phase != PhaseLive || s.Pending != 0 || s.Marker != w.replica.Head() {
			w.t.Errorf("device %d: %+v, the hub is at %d", i, s, w.replica.Head().Seq)
		}
		if got := look(w.t, c.Replica); got != want {
			w.t.Errorf("device %d holds\n%s\nand the hub\n%s", i, got, want)
		}
		if rep, err := c.Check(context.Background()); err != nil || !rep.OK {
			w.t.Errorf("device %d: %v %v", i, err, rep.Findings)
		}
	}
}

// TestWatchChanges with a real replica: heads, marker, the next open, the third batch.
func TestRealChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		first := h.write(2, put("a", 1), put("b", 2), put("c", 3))
		second := h.write(2, put("a", 4), put("d", 5))
		drop := make(chan struct{})
		h.script = []func(*peer){func(p *peer) {
			p.greet()
			p.send(h.changes(1, 2))
			<-drop
		}}
		r := replica(t, "device", store.NewMemory(), core.RoleDevice)
		defer r.Close()
		w, err := NewWatcher(r, Feed{URL: "u", Database: "db", Dial: h.dial, Clock: clock.System{}, Rand: highest{}})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		go w.Run(t.Context())
		synctest.Wait()
		heads := func(want map[string]change.Version, deleted string) {
			t.Helper()
			for id, v := range want {
				e, there, err := r.Get(t.Context(), change.Key{Collection: "notes", ID: id})
				if err != nil || there == (id == deleted) || !slices.Contains(e.Frontier, v) {
					t.Errorf("%s: %+v %v %v, want %v", id, e, there, err, v)
				}
			}
		}
		want := map[string]change.Version{"a": second, "b": first, "c": first, "d": second}
		heads(want, "")
		marker := change.Marker{Epoch: 1, Seq: 2, Hash: h.feed[1].after}
		if got := r.State().Marker; got != marker {
			t.Errorf("marker %+v, want %+v", got, marker)
		}
		third := h.write(2, del("b", first), put("c", 6))
		close(drop)
		time.Sleep(wire.StreamRetryDelay)
		synctest.Wait()
		if _, hellos := h.count(); len(hellos) != 2 || hellos[1].Marker != marker {
			t.Errorf("the next open carries %+v", hellos[1].Marker)
		}
		want["b"], want["c"] = third, third
		heads(want, "b")
	})
}

// A stream that breaks inside a split batch leaves no trace of it, in a real replica either.
func TestRealBreakInsideASplitBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		h.write(2, put("a", 3), put("big", 700_000))
		h.script = []func(*peer){func(p *peer) {
			p.greet()
			for m := range wire.SplitChanges(1, [][]byte{h.feed[0].raw}, []change.Hash{h.feed[0].after}, wire.FrameBudget) {
				if !m.Part.More {
					return
				}
				p.send(m)
			}
		}}
		r := replica(t, "device", store.NewMemory(), core.RoleDevice)
		defer r.Close()
		w, err := NewWatcher(r, Feed{URL: "u", Database: "db", Dial: h.dial, Clock: clock.System{}, Rand: highest{}})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		go w.Run(t.Context())
		synctest.Wait()
		if s := w.Status(); s.Phase != PhaseWaiting || s.Marker.Seq != 0 || look(t, r) != "" {
			t.Errorf("%+v", s)
		}
		time.Sleep(wire.StreamRetryDelay)
		synctest.Wait()
		if s := w.Status(); s.Phase != PhaseLive || s.Marker.Seq != 1 || strings.Count(look(t, r), "\n") != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// Three devices write, the network breaks again and again, and in the end all hold the same.
func TestRealDevicesConverge(t *testing.T) {
	for _, credit := range []int{0, 5000} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t, edge.Config{Credit: credit})
			var all []*citizen
			for _, name := range []string{"a", "b", "c"} {
				c := w.move(name, store.NewMemory())
				c.put(t, "mine-"+name, "written offline")
				go c.w.Run(t.Context())
				all = append(all, c)
			}
			for i := range 300 {
				c := all[w.rand.IntN(len(all))]
				size := w.rand.IntN(200)
				if i%50 == 0 {
					size = 800_000
				}
				c.put(t, fmt.Sprint(w.rand.IntN(20)), strings.Repeat("x", size))
				time.Sleep(time.Duration(w.rand.IntN(100)) * time.Millisecond)
				switch w.rand.IntN(30) {
				case 0:
					w.cut()
				case 1:
					c.w.Pause()
				default:
					c.w.Resume()
				}
			}
			for _, c := range all {
				c.w.Resume()
			}
			time.Sleep(5 * time.Minute)
			w.agree(all...)
			if n := w.replica.Head().Seq; n != 303 {
				t.Errorf("303 batches were written, the feed has %d", n)
			}
			w.close(all...)
		})
	}
}

// Two copies of one disk part: nothing is lost, nothing comes twice, and both have ids of their own.
func TestRealCopiesPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, edge.Config{})
		a := w.move("a", store.NewMemory())
		a.put(t, "before", 1)
		go a.w.Run(t.Context())
		synctest.Wait()
		b := w.move("b", a.st.Clone())
		a.put(t, "from-a", 2)
		b.put(t, "from-b", 3)
		synctest.Wait()
		go b.w.Run(t.Context())
		time.Sleep(5 * time.Minute)
		w.agree(a, b)
		if a.State().Device == b.State().Device {
			t.Error("both have one id")
		}
		if got := look(t, w.replica); strings.Count(got, "\n") != 3 {
			t.Error(got)
		}
		c := w.move("c", a.st.Clone()) // this one has written nothing: only the hub sees it
		go c.w.Run(t.Context())
		time.Sleep(5 * time.Minute)
		w.agree(a, b, c)
		if a.State().Device == c.State().Device {
			t.Error("both have one id")
		}
		w.close(a, b, c)
	})
}

// Ten thousand writes made offline go up, and down to a new device.
func TestRealBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, edge.Config{})
		a := w.move("a", store.NewMemory())
		const n = 10_000
		for i := range n {
			a.put(t, fmt.Sprint(i), i)
		}
		go a.w.Run(t.Context())
		time.Sleep(time.Minute)
		b := w.move("b", store.NewMemory())
		go b.w.Run(t.Context())
		time.Sleep(time.Minute)
		w.agree(a, b)
		w.close(a, b)
	})
}

// A replica is its first subject's. Another one's token is refused, and nothing of it is lost; the hub remembers it when it starts
// anew, and the first one goes on where he stood.
func TestRealSubjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := edge.Config{Database: "db", Auth: func(_ context.Context, token string) (edge.Grant, error) { return edge.Grant{Subject: token}, nil }}
		w := newTown(t, cfg)
		st := store.NewMemory()
		w.replica.Close()
		w.found(st, cfg)
		a, b := w.move("a", store.NewMemory()), w.move("b", store.NewMemory())
		token := "anna"
		a.w.feed.Token = func(context.Context) (string, error) { return token, nil }
		b.w.feed.Token = func(context.Context) (string, error) { return "bert", nil }
		go a.w.Run(t.Context())
		go b.w.Run(t.Context())
		a.put(t, "x", 1)
		w.agree(a, b)
		a.w.Pause()
		synctest.Wait()

		w.hub.Close() // and the engine dies
		w.replica.Kill()
		w.found(st.Clone(), cfg)
		token = "bert"
		a.put(t, "x", 2)
		a.w.Resume()
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := a.w.Status(); s.Phase != PhaseRefused || s.Fault.Code != wire.CodeForbidden || s.Pending != 1 ||
			!strings.Contains(s.Fault.Message, "another subject") {
			t.Errorf("%+v", s)
		}
		a.w.Pause()
		synctest.Wait()
		token = "anna"
		a.w.Resume()
		time.Sleep(time.Minute)
		w.agree(a, b)
		w.close(a, b)
	})
}

// Who may only read goes on reading. What it wrote all the same is held, said in the status, and goes up once it may write.
func TestRealReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, edge.Config{Auth: func(_ context.Context, token string) (edge.Grant, error) {
			return edge.Grant{Subject: "anna", ReadOnly: token == "read"}, nil
		}})
		a, b := w.move("a", store.NewMemory()), w.move("b", store.NewMemory())
		var token atomic.Value
		token.Store("read")
		a.w.feed.Token = func(context.Context) (string, error) { return token.Load().(string), nil }
		id := a.State().Device
		a.put(t, "mine", 1)
		go a.w.Run(t.Context())
		go b.w.Run(t.Context())
		time.Sleep(time.Minute)
		for i := range 10 {
			b.put(t, "x", i)
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			if a.State().Marker != w.replica.Head() {
				t.Fatalf("%d: it stands at %v, and the hub at %v", i, a.State().Marker, w.replica.Head())
			}
		}
		if s := a.w.Status(); s.Pending != 1 || s.Fault.Code != wire.CodeForbidden || !strings.Contains(s.Fault.Message, "reading only") {
			t.Errorf("%+v", s)
		}
		token.Store("write")
		time.Sleep(5 * time.Minute)
		w.agree(a, b)
		if a.State().Device != id {
			t.Error("it took another id")
		}
		w.close(a, b)
	})
}

func TestRealHubRefusesAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, edge.Config{Auth: func(_ context.Context, token string) (edge.Grant, error) {
			if token != "good" {
				return edge.Grant{}, errors.New("expired")
			}
			return edge.Grant{Subject: "anna"}, nil
		}})
		a := w.move("a", store.NewMemory())
		token := "old"
		a.w.feed.Token = func(context.Context) (string, error) { return token, nil }
		a.put(t, "x", 1)
		go a.w.Run(t.Context())
		synctest.Wait()
		if s := a.w.Status(); s.Phase != PhaseWaiting || s.Fault.Code != wire.CodeUnauthenticated || s.Pending != 1 {
			t.Errorf("%+v", s)
		}
		a.w.Pause()
		synctest.Wait()
		token = "good"
		a.w.Resume()
		w.agree(a)
		w.close(a)
	})
}

// A token is renewed over the living connection, as often as it takes; one that cannot be had in time ends it, and the next is asked for
// as ever.
func TestRealTokenIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var greeted, asked atomic.Int64
		var locked atomic.Bool
		w := newTown(t, edge.Config{Auth: func(_ context.Context, token string) (edge.Grant, error) {
			issued, err := time.Parse(time.RFC3339, token)
			if err != nil || time.Since(issued) > 10*time.Minute {
				return edge.Grant{}, errors.New("expired")
			}
			greeted.Add(1)
			return edge.Grant{Subject: "anna", Expires: uint64(issued.Add(10 * time.Minute).UnixMilli())}, nil
		}})
		a := w.move("a", store.NewMemory())
		a.w.feed.Token = func(ctx context.Context) (string, error) {
			if asked.Add(1); locked.Load() {
				return "", errors.New("nobody is there")
			}
			time.Sleep(3 * time.Second) // a server is asked
			return time.Now().Format(time.RFC3339), ctx.Err()
		}
		go a.w.Run(t.Context())
		for i := range 12 {
			time.Sleep(15 * time.Minute)
			synctest.Wait()
			a.put(t, "x", i)
			time.Sleep(time.Second)
			synctest.Wait()
			if s := a.w.Status(); s.Phase != PhaseLive || s.Pending != 0 {
				t.Fatalf("%+v", s)
			}
		}
		w.mu.Lock()
		connections := len(w.conns)
		w.mu.Unlock()
		if n := greeted.Load(); connections != 1 || n < 18 || n > 24 || asked.Load() != n {
			t.Errorf("in three hours there were %d connections, %d tokens were asked for and %d shown", connections, asked.Load(), n)
		}
		locked.Store(true)
		asked.Store(0)
		time.Sleep(20 * time.Minute)
		a.put(t, "x", "offline")
		synctest.Wait()
		if s := a.w.Status(); s.Phase == PhaseLive || s.Fault.Code != wire.CodeUnauthenticated || s.Pending != 1 || asked.Load() < 5 {
			t.Errorf("%+v, asked %d times", s, asked.Load())
		}
		locked.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := a.w.Status(); s.Phase != PhaseLive || s.Pending != 0 {
			t.Errorf("%+v", s)
		}
		w.close(a)
	})
}
