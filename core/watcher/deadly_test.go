package watcher

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge"
)

// Batches up to the one that is named go one by one, each when all before it are answered; then as ever.
func TestPushesAlone(t *testing.T) {
	k := newTalk(t)
	k.s = New(k.r, Config{Database: "db", Agent: "test", Alone: 3})
	for range 3 {
		k.r.put(t, 10)
	}
	k.r.put(t, 600_000) // in parts
	k.r.put(t, 10)
	k.h.take(k.r.own[0])
	k.greet()
	k.give(k.h.accepted(1, 1))
	for gen := change.Generation(2); gen <= 3; gen++ {
		m := expect[*wire.Push](k)
		if m.Gen != gen || len(m.Batches) != 1 || !m.Alone {
			t.Fatalf("%+v", m)
		}
		k.silent()
		k.s.Wake()
		k.silent()
		k.h.take(m.Batches[0])
		k.give(k.h.accepted(uint64(gen), uint64(gen)))
		k.running()
	}
	if m := expect[*wire.Push](k); m.Gen != 4 || m.Alone {
		t.Fatalf("%+v", m)
	}
	k.s.Lost(nil)
	if r := k.ended(Ended); !r.Cut || k.s.low != 4 || k.s.high != 4 {
		t.Errorf("%+v, under way %d to %d", r, k.s.low, k.s.high)
	}
}

// After one connection that ended without a word, what was under way goes in frames of an eighth, one behind the other; what comes behind
// that goes as ever.
func TestPushesCarefully(t *testing.T) {
	k := newTalk(t)
	k.s = New(k.r, Config{Database: "db", Agent: "test", Careful: 20})
	for range 40 {
		k.r.put(t, 10_000)
	}
	k.greet()
	var limits wire.Limits
	budget := limits.PushBudget()
	next := change.Generation(1)
	for next <= 20 {
		m := expect[*wire.Push](k)
		if m.Gen != next || m.Alone || size(m.Batches) > budget/carefully {
			t.Fatalf("%d batches from %d on, of %d bytes, alone %v", len(m.Batches), m.Gen, size(m.Batches), m.Alone)
		}
		next += change.Generation(len(m.Batches))
	}
	if m := expect[*wire.Push](k); m.Gen != next || size(m.Batches) <= budget/carefully {
		t.Fatalf("%d batches from %d on, of %d bytes", len(m.Batches), m.Gen, size(m.Batches))
	}
}

// Where lines break before they have brought anything, little is on the way, up and down, until all is there: then as ever.
func TestLittleIsOnTheWayUntilAllIsThere(t *testing.T) {
	k := newTalk(t)
	k.h.write(2, put("theirs", 3))
	k.s = New(k.r, Config{Database: "db", Agent: "test", Thin: true})
	for range 40 {
		k.r.put(t, 10_000)
	}
	k.s.Open(context.Background(), k.now)
	hello := expect[*wire.Hello](k)
	if hello.Credit != thinCredit {
		t.Errorf("a credit of %d", hello.Credit)
	}
	k.give(k.h.welcome(hello))
	k.running()
	var limits wire.Limits
	first := expect[*wire.Push](k)
	if size(first.Batches) > limits.PushBudget()/carefully {
		t.Errorf("%d bytes", size(first.Batches))
	}
	k.silent()
	k.s.Wake()
	k.silent()
	k.give(k.h.changes(1, 1))
	k.running()
	pushed := 0
	for {
		m := k.next()
		if m == nil {
			break
		}
		if push, is := m.(*wire.Push); is {
			pushed += size(push.Batches)
		}
	}
	if pushed < 300_000 {
		t.Errorf("all is there, and %d bytes are pushed", pushed)
	}
}

// A large batch that goes alone says so in each of its parts.
func TestPushesPartsAlone(t *testing.T) {
	k := newTalk(t)
	k.s = New(k.r, Config{Database: "db", Agent: "test", Alone: 1})
	k.r.put(t, 600_000)
	k.r.put(t, 10)
	k.greet()
	var join wire.Joiner
	for {
		m := expect[*wire.Push](k)
		if !m.Alone {
			t.Fatalf("part %d", m.Part.Index)
		}
		if joined, err := join.Join(m); err != nil {
			t.Fatal(err)
		} else if joined == wire.Whole {
			break
		}
	}
	k.silent()
}

func TestCourseOfADeadlyPush(t *testing.T) {
	cut := func(low, high, settled change.Generation) *Session {
		return past(Result{Outcome: Ended, Cut: true}, func(s *Session) { s.low, s.high, s.settled = low, high, settled })
	}
	said := func(settled change.Generation) *Session {
		return past(Result{Outcome: Ended, Text: "bye"}, func(s *Session) { s.low, s.high, s.settled = settled+1, settled+1, settled })
	}
	for _, c := range []struct {
		name string
		past []*Session
		want []change.Generation // Alone after each
	}{
		{"twice at the same push", []*Session{cut(5, 9, 4), cut(5, 7, 4)}, []change.Generation{0, 7}},
		{"nothing was under way", []*Session{cut(0, 0, 4), cut(0, 0, 4), cut(0, 0, 4)}, []change.Generation{0, 0, 0}},
		{"it was answered in between", []*Session{cut(5, 9, 4), cut(10, 12, 9), cut(10, 12, 9)}, []change.Generation{0, 0, 12}},
		{"the hub spoke", []*Session{said(4), said(4), said(4)}, []change.Generation{0, 0, 0}},
		{"a bye in between", []*Session{cut(5, 9, 4), said(4), cut(5, 9, 4)}, []change.Generation{0, 0, 9}},
		{"one by one", []*Session{cut(5, 9, 4), cut(5, 9, 4), cut(7, 7, 6), cut(7, 7, 6), said(8), cut(9, 9, 8), said(9)},
			[]change.Generation{0, 9, 9, 9, 9, 9, 0}},
		{"a new id", []*Session{cut(5, 9, 4), cut(5, 9, 4), past(Result{Outcome: Reentered}, nil)}, []change.Generation{0, 9, 0}},
		{"parted", []*Session{cut(5, 9, 4), cut(5, 9, 4), past(Result{Outcome: Parted}, nil)}, []change.Generation{0, 9, 0}},
		{"silence", []*Session{cut(5, 5, 4), past(Result{Outcome: Ended, Silent: true}, func(s *Session) { s.low, s.high, s.settled = 5, 5, 4 })},
			[]change.Generation{0, 5}},
		{"known at the welcome", []*Session{cut(5, 9, 4), cut(5, 9, 4), past(Result{Outcome: Ended}, func(s *Session) { s.hubs = 9 })},
			[]change.Generation{0, 9, 0}},
	} {
		course := newCourse()
		for i, s := range c.past {
			course.After(epoch, s)
			if got := course.Alone(); got != c.want[i] {
				t.Errorf("%s: after %d connections up to %d goes alone, want %d", c.name, i+1, got, c.want[i])
			}
		}
	}
}

// A cutting line loses every push that it is given, for its first connections.
type cutting struct {
	wire.Conn
	alone *atomic.Int64
}

func (c *cutting) Write(ctx context.Context, frame []byte) error {
	if m, err := wire.DecodeUp(frame); err == nil {
		if push, is := m.(*wire.Push); is {
			if push.Alone {
				c.alone.Add(1)
			}
			c.Conn.Close(wire.CloseAbnormal, "")
			return errNoRoute
		}
	}
	return c.Conn.Write(ctx, frame)
}

// A network that cuts every push, ten times and more, gets no batch refused.
func TestRealCutsAreNoDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, edge.Config{})
		a, b := w.move("a", store.NewMemory()), w.move("b", store.NewMemory())
		for i := range 20 {
			a.put(t, "x", i)
		}
		var cuts, alone atomic.Int64
		a.w.feed.Dial = func(ctx context.Context, url string) (wire.Conn, error) {
			c, err := w.dial(ctx, url)
			if err == nil && cuts.Add(1) <= 12 {
				c = &cutting{c, &alone}
			}
			return c, err
		}
		go a.w.Run(t.Context())
		go b.w.Run(t.Context())
		for s := a.w.Status(); s.Pending > 0; s = a.w.Status() {
			time.Sleep(time.Second)
		}
		w.agree(a, b)
		if problems, err := a.Problems(t.Context()); err != nil || len(problems) > 0 {
			t.Errorf("%+v %v", problems, err)
		}
		if cuts.Load() != 13 || alone.Load() != 10 {
			t.Errorf("%d connections, %d pushes alone", cuts.Load(), alone.Load())
		}
		w.close(a, b)
	})
}

// A mortal store is that of an engine which dies where it is to store what it cannot bear.
type mortal struct {
	*store.Memory
	poison []byte
	died   func()
}

func (m *mortal) Commit(ctx context.Context, tx *store.Tx) error {
	for _, op := range tx.Ops {
		if bytes.Contains(op.Value, m.poison) {
			m.died()
			return store.ErrLost
		}
	}
	return m.Memory.Commit(ctx, tx)
}

// A batch at which the hub's engine dies every time is isolated, and refused by its name at the fourth attempt. What was written
// before and behind it is taken, in this order.
func TestRealPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, edge.Config{})
		w.replica.Close()
		w.hub.Close()
		st, deaths := store.NewMemory(), 0
		var live func()
		die := func() {
			w.cut()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.down = true
			deaths++
			go live()
		}
		live = func() {
			st = st.Clone()
			w.found(&mortal{st, []byte("poison"), die}, edge.Config{})
			w.mu.Lock()
			defer w.mu.Unlock()
			w.down = false
		}
		live()
		a, b := w.move("a", store.NewMemory()), w.move("b", store.NewMemory())
		for i := range 5 {
			a.put(t, "x", i)
		}
		bad := a.put(t, "y", "poison")
		a.put(t, "y", "behind it")
		a.put(t, "z", 7)
		go a.w.Run(t.Context())
		go b.w.Run(t.Context())
		for s := a.w.Status(); s.Pending > 0; s = a.w.Status() {
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute) // b was cut too
		w.agree(a, b)
		if deaths != 3 {
			t.Errorf("the hub died %d times", deaths)
		}
		problems, err := a.Problems(t.Context())
		if err != nil || len(problems) != 1 || problems[0].Version != bad || problems[0].Code != string(core.Internal) {
			t.Errorf("%+v %v", problems, err)
		}
		for id, want := range map[string]any{"x": int64(4), "y": "behind it", "z": int64(7)} {
			e, _, err := b.Get(t.Context(), change.Key{Collection: "notes", ID: id})
			if got, _ := change.DecodeValue(e.Value); err != nil || got != want {
				t.Errorf("b holds %v of %s, want %v; %v", got, id, want, err)
			}
		}
		w.close(a, b)
	})
}
