package e2e

import (
	"fmt"
	"testing"

	"vsync/edge/e2e/judge"
	"vsync/edge/e2e/ledger"
	"vsync/edge/e2e/program"
)

// A story keeps the ledger of a test, and the mirrors of its devices.
type story struct {
	*world
	ledger *ledger.Ledger
	seen   map[*device]*mirror
}

// newStory begins before anything was written: each device has begun to watch, and so is told every batch.
func newStory(w *world) *story {
	w.t.Helper()
	s := &story{world: w, ledger: ledger.New(), seen: map[*device]*mirror{anna: newMirror("anna"), bert: newMirror("bert")}}
	for _, d := range []*device{anna, bert} {
		p := s.open(d)
		p.js(nil, `e2e.startWatch('start')`)
		if err := s.seen[d].reach(soon(w.t), func() bool { return s.seen[d].from() != "start" }); err != nil {
			w.t.Fatalf("%s: %v%s", d.name, err, p.standing())
		}
		p.close()
	}
	return s
}

// open opens a tab that tells the ledger and the device's mirror.
func (s *story) open(d *device) *tab {
	s.t.Helper()
	p := d.open(s.t, s.address(d), s.listener(d))
	p.js(nil, `await e2e.open()`)
	return p
}

func (s *story) listener(d *device) func(what, text string) {
	return func(what, text string) {
		if what == "event" {
			if err := s.seen[d].take(text); err != nil {
				s.ledger.Tell(ledger.Wrong, fmt.Sprintf("%s: %v", d.name, err))
			}
			return
		}
		s.ledger.Tell(what, text)
	}
}

// mostWrites is how many writes a life makes at most.
const mostWrites = 3000

// storm lets a tab write, watch and look. What a page tells just before its end may be lost, so all that it may come to
// write is noted as tried.
func (s *story) storm(d *device, p *tab) {
	s.t.Helper()
	life := s.seen[d].nextLife()
	for n := 1; n <= mostWrites; n++ {
		s.ledger.Tell(ledger.Tried, fmt.Sprintf("%s.%d.%d", d.name, life, n))
	}
	p.drain()
	p.js(nil, `e2e.startStorm(...args)`, d.name, life, mostWrites, life, s.seen[d].from())
}

// more waits for so many reports more.
func (s *story) more(n int) {
	s.t.Helper()
	s.ledger.More(soon(s.t), n, program.Patience)
	s.fine()
}

// fine fails the test if something is wrong.
func (s *story) fine() {
	s.t.Helper()
	for _, text := range s.ledger.Wrong() {
		s.t.Error(text)
	}
	if s.t.Failed() {
		s.t.FailNow()
	}
}

// judge ends the story: all tabs, which write no more, come to hold the same, and the hub holds each write that was
// confirmed once, and nothing that nobody wrote. Each device has been told each of them once.
func (s *story) judge(a, b *tab) {
	s.t.Helper()
	for d, p := range map[*device]*tab{anna: a, bert: b} {
		p.js(nil, `e2e.stopStorm()`)
		p.drain()
		p.js(nil, `e2e.startWatch(...args)`, s.seen[d].from())
	}
	meet(s.t, a, b)
	alike(s.t, a, b)
	s.hub.Stop(s.t)
	replica := judge.OpenHub(s.t, s.hub.Dir, database)
	judge.Checked(s.t, "the hub", replica)
	feed := judge.FeedTokens(s.t, replica)
	delete(feed, "") // the fences
	for _, finding := range s.ledger.Misplaced(feed) {
		s.t.Error(finding)
	}
	for d, p := range map[*device]*tab{anna: a, bert: b} {
		if err := s.seen[d].reach(soon(s.t), func() bool { return len(s.seen[d].unwatched(feed)) == 0 }); err != nil {
			for _, finding := range s.seen[d].unwatched(feed) {
				s.t.Errorf("%s: %s", d.name, finding)
			}
		}
		var objects map[string]string
		p.js(&objects, `return e2e.tokens()`)
		for _, finding := range s.seen[d].differs(objects) {
			s.t.Errorf("%s: %s", d.name, finding)
		}
	}
	s.fine()
	s.t.Logf("%d batches are in the feed; writes: %v", len(feed), s.ledger.Sum())
}

// TestReload: a page is reloaded while it writes, again and again. What it was told is stored, is there once.
func TestReload(t *testing.T) {
	s := newStory(newWorld(t, nil))
	a, b := s.open(anna), s.open(bert)
	s.storm(bert, b)
	for range 5 {
		s.storm(anna, a)
		s.more(150)
		a.reload()
		a.js(nil, `await e2e.open()`)
	}
	s.judge(a, b)
}

// TestReloadWhileCatchingUp: a device that is new and has much to take up is reloaded in the middle of that, again and
// again, and ends up with all of it.
func TestReloadWhileCatchingUp(t *testing.T) {
	w := newWorld(t, nil)
	a := w.open(anna)
	const objects = 60_000
	a.js(nil, `for (let n = 0; n < args[0]; n += 1000) {
			await notes.putMany(Array.from({ length: 1000 }, (_, i) => ['note ' + String(n + i).padStart(6, '0'), { n: n + i, text: 'x'.repeat(100) }]))
		}
		await db.synced()`, objects)
	b := w.open(bert)
	middles := 0
	for range 4 {
		var s struct {
			Phase    string
			Progress struct{ Received, Expected int }
		}
		b.js(&s, `return await e2e.status((s) => s.phase === 'live' || (s.phase === 'catching-up' && s.progress?.received > 0))`)
		if s.Phase == "catching-up" {
			middles++
		}
		t.Logf("reloaded while %s: %+v", s.Phase, s.Progress)
		b.reload()
		b.js(nil, `await e2e.open()`)
	}
	meet(t, a, b)
	var n int
	b.js(&n, `return await notes.count()`)
	if n != objects {
		t.Errorf("%d objects came, want %d", n, objects)
	}
	if middles == 0 {
		t.Error("no reload came in the middle: this proves nothing")
	}
	var wrong int
	b.js(&wrong, `let n = 0, wrong = 0; for await (const e of notes.scan({})) if (e.value.n !== n++ || e.conflict) wrong++; return wrong`)
	if wrong > 0 {
		t.Errorf("%d objects are wrong", wrong)
	}
}

// TestReloadWithoutHub: the hub is dead. Pages are reloaded, read and write as always; when it lives again, all arrives.
func TestReloadWithoutHub(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	a.js(nil, `await notes.put('before', 1)`)
	meet(t, a, b)
	w.hub.Die()
	for i, p := range []*tab{a, b, a, b} {
		p.reload()
		p.js(nil, `await e2e.open()`)
		var before int
		p.js(&before, `return await notes.get('before')`)
		if before != 1 {
			t.Errorf("%s has %v after a reload without the hub", p.name, before)
		}
		p.js(nil, `await notes.put(...args)`, fmt.Sprintf("%s %d", p.name, i), i)
		p.js(nil, `await e2e.status((s) => s.phase === 'waiting' && s.pending === args[0])`, 1+i/2)
	}
	w.hub.Start()
	meet(t, a, b)
	if objects := alike(t, a, b); len(objects) != 5 {
		t.Errorf("%d objects are there, want 5: %+v", len(objects), objects)
	}
}
