package e2e

import (
	"fmt"
	"testing"
)

// TestReload: a page is reloaded while it writes, again and again. What it was told is stored, is there once.
func TestReload(t *testing.T) {
	s := newStory(newWorld(t, nil))
	a, b := s.open(anna), s.open(bert)
	s.storm(bert, b)
	for range 4 {
		s.storm(anna, a)
		s.more(80)
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
