package watcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
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

// A device's storage gets full while the hub sends, at each of its commits in turn. That is told, what was there can be read, the hub is not
// pestered, and with room it goes on from where it stood, with nothing lost, damaged or twice.
func TestRealFullWhileCatchingUp(t *testing.T) {
	for commit := 1; ; commit++ {
		var fired bool
		synctest.Test(t, func(t *testing.T) { fired = fullAt(t, commit) })
		if t.Failed() {
			t.Fatalf("full at commit %d of catching up", commit)
		}
		if !fired {
			t.Logf("it takes %d commits to catch up", commit-1)
			if commit < 4 {
				t.Error("with so few this proves little")
			}
			return
		}
	}
}

// greetings keeps what a device has said first on its connections.
type greetings struct {
	mu     sync.Mutex
	hellos []*wire.Hello
}

// firstWord is a connection whose first message is kept.
type firstWord struct {
	wire.Conn
	to   *greetings
	said bool
}

func (c *firstWord) Write(ctx context.Context, message []byte) error {
	if !c.said {
		c.said = true
		if m, err := wire.DecodeUp(message); err == nil {
			if hello, is := m.(*wire.Hello); is {
				c.to.mu.Lock()
				c.to.hellos = append(c.to.hellos, hello)
				c.to.mu.Unlock()
			}
		}
	}
	return c.Conn.Write(ctx, message)
}

func (g *greetings) last() (n int, last *wire.Hello) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.hellos), g.hellos[len(g.hellos)-1]
}

// fullAt lets a device that was away catch up, with a storage that is full from a commit on; it says whether there was such a commit.
func fullAt(t *testing.T, commit int) (fired bool) {
	w := newTown(t, edge.Config{})
	st := store.NewMemory()
	a, b := w.move("a", st), w.move("b", store.NewMemory())
	for i := range 20 {
		a.put(t, fmt.Sprint("old ", i), i)
	}
	go a.w.Run(t.Context())
	go b.w.Run(t.Context())
	w.agree(a, b)
	a.w.Close()
	for i := range 5 {
		a.put(t, fmt.Sprint("own ", i), i)
	}
	a.put(t, "old 3", "of a")
	a.Close()
	b.put(t, "old 3", "of b")
	for i := range 60 {
		b.put(t, fmt.Sprint("new ", i), strings.Repeat("x", 16_000))
	}
	synctest.Wait()

	opening := store.NewFaulty(st.Clone())
	replica(t, "a", opening, core.RoleDevice).Close()
	full := store.NewFaulty(st.Clone(), store.Fault{On: store.Commits, N: opening.Counts()[store.Commits] + commit, Do: store.Full})
	var met greetings
	a = &citizen{Replica: replica(t, "a", full, core.RoleDevice)}
	var err error
	a.w, err = NewWatcher(a.Replica, Feed{URL: "wss://hub/v1/db", Database: "db", Clock: clock.System{}, Rand: rand.NewPCG(7, 7),
		Dial: func(ctx context.Context, url string) (wire.Conn, error) {
			conn, err := w.dial(ctx, url)
			return &firstWord{Conn: conn, to: &met}, err
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close(a, b)
	go a.w.Run(t.Context())
	synctest.Wait()
	if fired = full.Fired() > 0; fired {
		stood := a.isFull(t)
		before, _ := met.last()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if now := a.isFull(t); now != stood {
			t.Errorf("it went on without storage, from %v to %v", stood, now)
		}
		if tries, _ := met.last(); tries == before || tries > before+60 {
			t.Errorf("%d more attempts in ten minutes", tries-before)
		}
		full.Release()
		time.Sleep(3 * time.Minute) // the longest delay there is, twice
		synctest.Wait()
		if _, hello := met.last(); hello.Marker != stood {
			t.Errorf("it went on from %v, and stood at %v", hello.Marker, stood)
		}
	}
	w.agree(a, b)
	a.once(t)
	return fired
}

// isFull wants a device to tell that its storage is full, and to hold and show what it had; it returns where it stands.
func (c *citizen) isFull(t *testing.T) change.Marker {
	t.Helper()
	s := c.w.Status()
	if s.Phase != PhaseWaiting || s.Fault.Code != wire.CodeQuota || s.Fault.Message == "" || s.Marker.IsZero() {
		t.Errorf("its storage is full, and it says %+v", s)
	}
	for i := range 20 {
		if _, there, err := c.Get(t.Context(), change.Key{Collection: "notes", ID: fmt.Sprint("old ", i)}); err != nil || !there {
			t.Errorf("what was there: %v %v", there, err)
		}
	}
	raw, _ := change.Encode(1)
	if _, err := c.Put(t.Context(), change.Key{Collection: "notes", ID: "refused"}, raw); !errors.Is(err, &core.Error{Code: core.Quota}) {
		t.Errorf("a write: %v", err)
	}
	if rep, err := c.Check(t.Context()); err != nil || !rep.OK {
		t.Errorf("%v %v", err, rep.Findings)
	}
	return s.Marker
}

// once wants every object to have the versions that were written, each once.
func (c *citizen) once(t *testing.T) {
	t.Helper()
	objects := 0
	for e, err := range c.Scan(t.Context(), core.ScanRange{}) {
		if err != nil {
			t.Fatal(err)
		}
		objects++
		versions, want := 0, 1
		for _, err := range c.History(t.Context(), e.Key) {
			if err != nil {
				t.Fatal(err)
			}
			versions++
		}
		if e.Key.ID == "old 3" {
			want = 3
		}
		if versions != want || e.Conflict != (want == 3) {
			t.Errorf("%v has %d versions, conflict %v", e.Key, versions, e.Conflict)
		}
	}
	if objects != 85 {
		t.Errorf("%d objects are there, want 85", objects)
	}
}
