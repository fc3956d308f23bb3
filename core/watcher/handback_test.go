package watcher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge"
)

func (c *citizen) wrote(t *testing.T, id, value string) {
	t.Helper()
	b, err := change.Encode(value)
	if err == nil {
		_, err = c.Put(t.Context(), change.Key{Collection: "c", ID: id}, b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// shown is all that a replica shows, as text.
func shown(t *testing.T, r *core.Replica) string {
	t.Helper()
	var b strings.Builder
	for e, err := range r.Scan(context.Background(), core.ScanRange{}) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s %x %v\n", e.Key, e.Version, e.Value, e.Conflict)
	}
	return b.String()
}

// lose puts another store under the hub, and lets all devices come back.
func (w *town) lose(st store.Store) {
	w.hub.Close()
	w.cut()
	w.replica.Close()
	w.found(st, edge.Config{})
}

// A hub that lost everything, or its last hours, once and again, with large and small entries: its devices give it all back, by
// themselves.
func TestLostFeedIsHandedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := store.NewMemory()
		w := newTown(t, edge.Config{})
		w.lose(st)
		ana, ben := w.move("ana", store.NewMemory()), w.move("ben", store.NewMemory())
		for _, c := range []*citizen{ana, ben} {
			go c.w.Run(context.Background())
		}
		settle := func() {
			t.Helper()
			for range 120 {
				time.Sleep(time.Second)
				synctest.Wait()
				if a, b := shown(t, ana.Replica), shown(t, ben.Replica); ana.State().Pending+ben.State().Pending == 0 && a == b && a == shown(t, w.replica) {
					return
				}
			}
			t.Fatalf("after two minutes\nana %+v\nben %+v\nhub %+v", ana.w.Status(), ben.w.Status(), w.replica.Head())
		}
		for i := range 40 {
			ana.wrote(t, fmt.Sprint("a", i), strings.Repeat("x", 1000*(i%9)))
		}
		ben.wrote(t, "large", strings.Repeat("l", 900_000))
		settle()
		backup := st.Clone()
		for i := range 20 {
			ben.wrote(t, fmt.Sprint("b", i), "after the backup")
			ana.wrote(t, "a1", fmt.Sprint("again ", i))
		}
		ana.wrote(t, "large too", strings.Repeat("m", 700_000))
		settle()
		want := shown(t, ana.Replica)
		for round, next := range []*store.Memory{backup, store.NewMemory(), store.NewMemory()} {
			w.lose(next.Clone())
			settle()
			if got := shown(t, ana.Replica); got != want {
				t.Fatalf("round %d: now\n%s\nwas\n%s", round, got, want)
			}
			if n := w.replica.Head(); n.Epoch < 2 { // how often it was raised depends on who came first
				t.Errorf("round %d: epoch %d", round, n.Epoch)
			}
		}
		// It goes on before those come that had more.
		ana.w.Pause()
		ben.w.Pause()
		synctest.Wait()
		w.lose(backup.Clone())
		cleo := w.move("cleo", store.NewMemory())
		go cleo.w.Run(context.Background())
		cleo.wrote(t, "c", "meanwhile")
		for cleo.State().Pending > 0 || cleo.State().Marker.IsZero() {
			time.Sleep(time.Second)
		}
		ana.w.Resume()
		ben.w.Resume()
		settle()
		cleo.w.Close()
		cleo.Close()
		if got := shown(t, ana.Replica); len(strings.Split(got, "\n")) != len(strings.Split(want, "\n"))+1 {
			t.Fatalf("now\n%s\nwas\n%s", got, want)
		}
		for _, c := range []*citizen{ana, ben} {
			if rep, err := c.Check(context.Background()); err != nil || !rep.OK {
				t.Error(rep.Findings, err)
			}
		}
		w.close(ana, ben)
	})
}

// What comes after each step, of hubs that do their part and of such as do not.
func TestCourseOfALoss(t *testing.T) {
	place := change.Place{Seq: 9, Hash: change.Hash{9}}
	lost := &wire.Error{Code: wire.CodeUnknownMarker, Text: "lost"}
	welcome := func(seq uint64, hash byte) *wire.Welcome {
		m := change.Marker{Epoch: 2, Seq: seq}
		if seq > 0 {
			m.Hash = change.Hash{hash}
		}
		return &wire.Welcome{Protocol: 1, Lineage: change.Lineage{1}, Epoch: 2, Mode: wire.ModeReplay, Marker: m, Head: 9}
	}
	for name, c := range map[string]struct {
		cfg  Config
		give []wire.Message
		want Outcome
		code wire.Code
	}{
		"the first time":                 {Config{}, []wire.Message{lost}, Unknown, wire.CodeUnknownMarker},
		"a hub of old":                   {Config{Trail: true}, []wire.Message{lost}, Refused, wire.CodeUnknownMarker},
		"lost again":                     {Config{Trail: true, HandedBack: true, Back: place}, []wire.Message{lost}, Unknown, wire.CodeUnknownMarker},
		"forgets what was left":          {Config{Trail: true}, []wire.Message{lost}, Forgotten, wire.CodeUnknownMarker},
		"has got back what was left":     {Config{Trail: true, Owing: true}, []wire.Message{welcome(0, 0), &wire.Handed{Seq: 1, Head: place}, &wire.Handed{Seq: 2, Head: change.Place{Seq: 10}}}, HandedBack, ""},
		"has what was left":              {Config{Trail: true, Owing: true}, []wire.Message{&wire.Welcome{Protocol: 1, Lineage: change.Lineage{1}, Epoch: 2, Mode: wire.ModeResume, Marker: change.Marker{Epoch: 2, Seq: 9, Hash: change.Hash{9}}, Head: 9}}, Again, ""},
		"a hub of old, to which is owed": {Config{Trail: true, Owing: true}, []wire.Message{lost}, Refused, wire.CodeUnknownMarker},
		"handed back":                    {Config{Trail: true}, []wire.Message{welcome(0, 0), &wire.Handed{Seq: 1, Taken: 1, Head: place}, &wire.Handed{Seq: 2, Head: place}}, HandedBack, ""},
		"answers nothing":                {Config{Trail: true}, []wire.Message{welcome(0, 0), &wire.Handed{Seq: 2, Head: place}}, Faulty, wire.CodeProtocol},
		"streams":                        {Config{Trail: true}, []wire.Message{welcome(0, 0), &wire.Changes{Seq: 1, Entries: [][]byte{make([]byte, 100)}}}, Faulty, wire.CodeProtocol},
		"full":                           {Config{Trail: true}, []wire.Message{welcome(0, 0), &wire.Error{Code: wire.CodeQuota, Text: "full"}}, Held, wire.CodeQuota},
		"goes":                           {Config{Trail: true}, []wire.Message{welcome(0, 0), &wire.Bye{Why: wire.WhyClosing}}, Ended, ""},
		"back to the beginning":          {Config{Trail: true, HandedBack: true, Back: place}, []wire.Message{welcome(0, 0)}, Replayed, ""},
		"a place never named":            {Config{Trail: true}, []wire.Message{welcome(1, 7)}, Faulty, wire.CodeProtocol},
		"replays without being asked":    {Config{}, []wire.Message{welcome(0, 0)}, Refused, wire.CodeUnknownMarker},
	} {
		k := newTalk(t)
		k.r.lineage = change.Lineage{1}
		k.r.marker = change.Marker{Epoch: 1, Seq: 2, Hash: change.Hash{2}}
		owes := c.cfg.Owing || c.want == Forgotten
		if owes {
			k.r.back = place
		}
		k.r.applied = [][]byte{make([]byte, 80), make([]byte, 90)}
		c.cfg.Database, c.cfg.Agent = "db", "test"
		k.s = New(k.r, c.cfg)
		k.s.Open(context.Background(), k.now)
		for i, m := range c.give {
			if done, of := k.s.Progress(); name == "handed back" && i > 0 && (int(done) != i-1 || of != 2) {
				t.Errorf("%d of %d are handed back", done, of)
			}
			for k.s.Next(context.Background()) != nil {
				k.s.Wrote(k.now)
			}
			k.give(m)
		}
		if r := k.s.Result(); r.Outcome != c.want || r.Code != c.code {
			t.Errorf("%s: %+v", name, r)
		}
		if owes && (k.r.back.Seq == 10) != (c.want == HandedBack) {
			t.Errorf("%s: it owes up to %v", name, k.r.back)
		}
		if back := len(k.r.rewinds); back != map[bool]int{true: 1}[c.want == Replayed] {
			t.Errorf("%s: it went back %d times", name, back)
		}
	}
}

// A hub loses again what it got back: the device learns in two steps what of it, and begins again with what it has left.
func TestCourseOfALossOfWhatWasLeft(t *testing.T) {
	c := newCourse()
	for i, o := range []Outcome{Unknown, Forgotten, Ended, HandedBack, Unknown, Forgotten, Again} {
		c.After(epoch, past(Result{Outcome: o}, nil))
		owing := o == Forgotten || o == Ended
		if c.Owing() != owing || c.Trail() != (o != Again) || c.HandedBack() != (o == HandedBack) {
			t.Errorf("%d, %v: trail %v, owing %v, handed back %v", i, o, c.Trail(), c.Owing(), c.HandedBack())
		}
	}
}

// An own batch that cannot be read is tried once more before the device id is given up for it; what the hub lost of a former id is not.
func TestUnreadableBatch(t *testing.T) {
	c := NewCourse(Delays{}, rand.NewPCG(1, 2))
	after := func(r Result) Step {
		s := New(newFake(1), Config{Database: "db"})
		s.end(r)
		return c.After(epoch, s)
	}
	for i, gen := range []change.Generation{7, 8, 8} {
		if step := after(Result{Outcome: Lost, Gen: gen, Code: wire.CodeCorrupt}); step.Delay > 0 || step.Reenter || c.Parting() != (i == 2) {
			t.Errorf("%d: %+v, parting %v", i, step, c.Parting())
		}
	}
	if step := after(Result{Outcome: Parted}); !step.Reenter || c.Parting() {
		t.Errorf("%+v", step)
	}
	if after(Result{Outcome: Lost}); !c.Parting() {
		t.Error("a batch of a former id is looked for once more")
	}
}
