package e2e

import (
	"encoding/json"
	"reflect"
	"testing"
)

// TestWatcherResumes: an application that only watches keeps the marker of the last event that it took, outside of the
// browser. It is reloaded, and its browser is killed, while both devices write; and it is told every batch exactly once, as
// if nothing had been.
func TestWatcherResumes(t *testing.T) {
	s := newStory(newWorld(t, nil))
	writer := s.open(bert)
	s.storm(bert, writer)
	a := s.open(anna)
	for _, end := range []string{"kill -9", "reload", "kill -9"} {
		s.storm(anna, a)
		s.more(60)
		if end == "reload" {
			a.reload()
			a.js(nil, `await e2e.open()`)
			continue
		}
		anna.die(t)
		a.gone()
		s.more(50) // of the other device: what comes while this one is dead
		a = s.open(anna)
	}
	s.judge(a, writer)
	if s.seen[anna].resets+s.seen[bert].resets > 0 {
		t.Errorf("watches were reset: %d of anna's, %d of bert's", s.seen[anna].resets, s.seen[bert].resets)
	}
}

// TestWatcherFromMarker: each marker of a watch is a place to go on from, before and after a reload, and what comes then is
// what came behind it, batch by batch.
func TestWatcherFromMarker(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	const all = `async (from, last) => {
		const events = [];
		for await (const e of e2e.db.watch({ from })) {
			events.push(e2e.eventOf(e));
			if (e.note === last) return events;
		}
	}`
	a.js(nil, `e2e.all = (`+all+`)('now', 'b 10')`)
	for _, p := range []*tab{a, b} {
		p.js(nil, `for (let i = 1; i <= 10; i++) {
				await db.batch((tx) => { tx.put(notes, 'x', { token: args[0] + i }); tx.put(notes, 'y', { token: args[0] + i }) }, { note: args[0] + ' ' + i });
			}
			await db.synced()`, p.name[:1])
	}
	var events []event
	a.js(&events, `return await e2e.all`)
	if len(events) != 20 {
		t.Fatalf("%d events came, want 20: %+v", len(events), events)
	}
	for round := range 2 {
		for n := 0; n < len(events)-1; n += 3 {
			var rest []event
			a.js(&rest, `return await (`+all+`)(...args)`, events[n].Marker, "b 10")
			if !reflect.DeepEqual(rest, events[n+1:]) {
				t.Errorf("round %d: behind event %d came\n%s, want\n%s", round, n, text(rest), text(events[n+1:]))
			}
		}
		a.reload()
		a.js(nil, `await e2e.open()`)
	}
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
