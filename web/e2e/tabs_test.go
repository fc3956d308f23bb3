package e2e

import (
	"testing"

	"vsync/web/browser"
)

// TestTwoTabs: two tabs of an application share one engine and its data. What one puts the other one is told, whatever the
// network does; and when the first one is closed, nothing is lost and the other one goes on.
func TestTwoTabs(t *testing.T) {
	w := newWorld(t, nil)
	first, second := w.visit(anna), w.visit(anna)
	var devices [2]string
	first.js(&devices[0], `return await e2e.open()`)
	second.js(&devices[1], `return await e2e.open()`)
	if devices[0] != devices[1] {
		t.Errorf("the tabs have the devices %v", devices)
	}
	if engines, err := w.engines(anna); err != nil || len(engines) != 1 && kind == browser.Chromium {
		t.Errorf("want one shared worker, there are %+v, %v", engines, err)
	}
	w.hub.Die()
	second.js(nil, `e2e.seen = e2e.result('notes', {}, ([e]) => e?.value === 'from the first')`)
	first.js(nil, `await notes.put('1', 'from the first')`)
	second.js(nil, `await e2e.seen; await notes.put('2', 'from the second')`)
	first.js(nil, `await e2e.result('notes', { from: '2' }, ([e]) => e?.value === 'from the second')`)

	// What was called in the first tab before it is closed, is confirmed or not, but nothing that was confirmed is gone.
	var confirmed int
	first.js(&confirmed, `let n = 0; globalThis.more = (async () => { for (;; n++) await notes.put('last', n + 1) })();
		await e2e.result('notes', {}, (all) => all.some((e) => e.id === 'last' && e.value > 20)); return n`)
	first.close()
	var last int
	second.js(&last, `return await notes.get('last')`)
	if last < confirmed {
		t.Errorf("%d is there, and %d was confirmed before the tab was closed", last, confirmed)
	}
	w.hub.Start()
	b := w.open(bert)
	meet(t, second, b)
	if objects := alike(t, second, b); len(objects) != 3 {
		t.Errorf("%d objects are there, want 3", len(objects))
	}
}

// TestLastTabs: the only tab is closed in the middle of work, or its process crashes, and the application comes again in a
// new one.
func TestLastTabs(t *testing.T) {
	w := newWorld(t, nil)
	b := w.open(bert)
	for _, crash := range []bool{false, true, false, true} {
		a := w.open(anna)
		var n int
		a.js(&n, `const before = (await notes.get('n')) ?? 0; let n = before;
			for (let i = 0; i < 20; i++) await notes.put('n', ++n);
			globalThis.more = (async () => { for (;;) await notes.put('other', Math.random()) })();
			return n`)
		if crash {
			if err := a.chromium().Crash(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
		a.close()
		again := w.open(anna)
		var last int
		again.js(&last, `return await notes.get('n')`)
		if last != n {
			t.Errorf("%d is there, want %d", last, n)
		}
		meet(t, again, b)
		alike(t, again, b)
		again.close()
	}
}

// TestDatabases: an application's databases know nothing of each other, here and at the hub.
func TestDatabases(t *testing.T) {
	w := newWorld(t, nil)
	names := []string{"a", "b", "a.b-c_d"}
	for _, p := range []*tab{w.visit(anna), w.visit(bert)} {
		for _, name := range names {
			var objects []entry
			p.js(&objects, `await e2e.open({ name: args[0] });
				if (args[1] === 'anna') await e2e.notes.put('of ' + args[0], args[0]);
				await e2e.db.synced();
				return e2e.plain(await e2e.result('notes', {}, (all) => all.length > 0))`, name, p.name)
			if len(objects) != 1 || objects[0].Value != name {
				t.Errorf("%s: the database %s has %+v", p.name, name, objects)
			}
		}
	}
}
