package e2e

import (
	"fmt"
	"reflect"
	"testing"
)

// TestLive: what one device writes the other one shows, both ways, in the same version; and the hub has it.
func TestLive(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	var first, second, seen string
	a.js(&first, `const r = await notes.put('1', { text: 'milk' }); await r.synced(); return r.version`)
	b.js(&seen, `const [e] = await e2e.result('notes', {}, (all) => all.length === 1); return e.version`)
	if first != seen {
		t.Errorf("anna wrote %s, and bert has %s", first, seen)
	}
	b.js(&second, `const r = await notes.update('1', (note) => ({ ...note, done: true })); await r.synced(); return r.version`)
	var e entry
	a.js(&e, `const [e] = await e2e.result('notes', {}, ([e]) => e.value.done === true); return e`)
	if e.Version != second || e.Conflict || !reflect.DeepEqual(e.Value, map[string]any{"text": "milk", "done": true}) {
		t.Errorf("anna shows %+v, and bert wrote %s", e, second)
	}
	var past []string
	a.js(&past, `return (await e2e.collect(notes.history('1'))).map((v) => v.version)`)
	if !reflect.DeepEqual(past, []string{second, first}) {
		t.Errorf("the history is %v, want %v", past, []string{second, first})
	}
	for _, p := range []*tab{a, b} {
		p.js(nil, `await e2e.status((s) => s.phase === 'live' && s.pending === 0 && s.storage.mode === 'indexeddb' && s.hosting === 'shared')`)
	}
	meet(t, a, b)
	alike(t, a, b)
}

// TestValues: every kind of value there is comes out on the other device as it went in on this one.
func TestValues(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	const values = `[null, true, 0, -0, 1.5, -1e300, 2 ** 53 - 1, 2n ** 63n - 1n, -(2n ** 63n), '', 'grüße 🌍', '\u0000', new Date(0), new Date(8.64e15),
		new Uint8Array(0), Uint8Array.of(0, 255), [], [[1, [2]]], {}, { z: 1, a: { '': [null] }, constructor: 2 }, new Uint8Array(1_000_000).fill(7)]`
	a.js(nil, `for (const [i, v] of `+values+`.entries()) await notes.put(String(i), v); await db.synced()`)
	var wrong []string
	b.js(&wrong, `const values = `+values+`;
		await e2e.result('notes', {}, (all) => all.length === values.length);
		const wrong = [];
		for (const [i, v] of values.entries()) {
			const got = await notes.get(String(i));
			const same = (x, y) => JSON.stringify(e2e.plain(x)) === JSON.stringify(e2e.plain(y));
			const small = typeof v === 'bigint' || v instanceof Date || !(v instanceof Uint8Array) || got instanceof Uint8Array;
			if (!same(got, v) || !small) wrong.push(i + ': ' + JSON.stringify(e2e.plain(got))?.slice(0, 200));
		}
		return wrong`)
	for _, text := range wrong {
		t.Errorf("value %s", text)
	}
}

// TestBothOffline: both devices write while they are cut off, the same objects and others. Then they hold the same, in
// the same versions, and no write is lost.
func TestBothOffline(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	a.js(nil, `for (let i = 0; i < 10; i++) await notes.put('shared ' + i, 'base')`)
	meet(t, a, b)
	for _, p := range []*tab{a, b} {
		p.js(nil, `db.pause(); await e2e.status((s) => s.phase === 'waiting')`)
		p.js(nil, `const [name] = args;
			for (let i = 0; i < 100; i++) await notes.put(name + ' ' + i, { name, i });
			for (let i = 0; i < 10; i++) await notes.update('shared ' + i, (v) => v + ', ' + name);
			await db.batch((tx) => { for (let i = 0; i < 100; i += 2) tx.delete(notes, name + ' ' + i) })`, p.name)
	}
	for _, p := range []*tab{a, b} {
		p.js(nil, `await e2e.status((s) => s.pending === 111)`)
	}
	for _, p := range []*tab{a, b} {
		p.js(nil, `db.resume()`)
	}
	meet(t, a, b)
	objects := alike(t, a, b)
	if len(objects) != 110 {
		t.Errorf("%d objects are there, want 110", len(objects))
	}
	for _, e := range objects {
		if is := len(e.ID) > 6 && e.ID[:6] == "shared"; is != e.Conflict {
			t.Errorf("%s: conflict %v", e.ID, e.Conflict)
		}
	}
}

// A past is a version as history tells it.
type past struct {
	Version string   `json:"version"`
	Parents []string `json:"parents"`
	Value   any      `json:"value"`
	Deleted bool     `json:"deleted"`
}

// TestConflict: a conflict is seen on both devices; who writes having seen all of it closes it; and nothing of it is lost.
func TestConflict(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	a.js(nil, `await notes.put('1', 'base')`)
	meet(t, a, b)
	versions := map[string]string{}
	for _, p := range []*tab{a, b} {
		p.js(nil, `db.pause(); await e2e.status((s) => s.phase === 'waiting')`)
		var version string
		p.js(&version, `return (await notes.put('1', args[0])).version`, p.name)
		versions[p.name] = version
	}
	for _, p := range []*tab{a, b} {
		p.js(nil, `db.resume()`)
	}
	for _, p := range []*tab{a, b} {
		var e entry
		p.js(&e, `const [e] = await e2e.result('notes', {}, ([e]) => e.conflict); return e`)
		if versions[fmt.Sprint(e.Value)] != e.Version {
			t.Errorf("%s shows %+v, and %v were written", p.name, e, versions)
		}
	}
	meet(t, a, b)
	alike(t, a, b)
	var closing string
	b.js(&closing, `return (await notes.update('1', (v) => v + ', and the other')).version`)
	meet(t, a, b)
	if objects := alike(t, a, b); objects[0].Conflict || objects[0].Version != closing {
		t.Errorf("after the closing write %s: %+v", closing, objects[0])
	}
	for _, p := range []*tab{a, b} {
		var history []past
		p.js(&history, `return e2e.collect(notes.history('1'))`)
		if len(history) != 4 || history[0].Version != closing || len(history[0].Parents) != 2 || history[3].Value != "base" {
			t.Fatalf("%s: the history is %+v", p.name, history)
		}
		for _, side := range history[1:3] {
			if versions[fmt.Sprint(side.Value)] != side.Version || !reflect.DeepEqual(side.Parents, []string{history[3].Version}) {
				t.Errorf("%s: a side of the conflict is %+v", p.name, side)
			}
		}
	}
}

// TestSeen: a put that says what its writer has seen makes a conflict with what he has not.
func TestSeen(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	a.js(nil, `const { version } = await notes.put('1', 'old'); await notes.put('1', 'new'); await notes.put('1', 'late', { seen: version })`)
	meet(t, a, b)
	if objects := alike(t, a, b); len(objects) != 1 || !objects[0].Conflict {
		t.Errorf("want one object in conflict: %+v", objects)
	}
}

// TestDeleteAndRecreate: an object goes, comes again and goes, on both devices, live and cut off; both come to the same end.
func TestDeleteAndRecreate(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	for round, p := range []*tab{a, b, a} {
		p.js(nil, `for (const v of [1, 2]) { await notes.put('1', [args[0], v]); await notes.delete('1') }`, round)
		meet(t, a, b)
	}
	gone := func(p *tab, versions int) {
		t.Helper()
		var got struct {
			Value, Entry, Objects any
			History               []past
		}
		p.js(&got, `return { value: e2e.plain(await notes.get('1')), entry: e2e.plain(await notes.entry('1')), objects: await notes.count(),
			history: await e2e.collect(notes.history('1')) }`)
		if got.Value != "(undefined)" || got.Entry != "(undefined)" || got.Objects != 0.0 || len(got.History) != versions || !got.History[0].Deleted {
			t.Errorf("%s: after the deletion: %+v", p.name, got)
		}
	}
	gone(a, 12)
	gone(b, 12)
	for _, p := range []*tab{a, b} {
		p.js(nil, `db.pause(); await e2e.status((s) => s.phase === 'waiting')`)
	}
	a.js(nil, `await notes.put('1', 'again'); await notes.delete('1'); await notes.put('1', 'again and again'); await notes.delete('1')`)
	b.js(nil, `await notes.put('1', 'here too'); await notes.delete('1'); await notes.delete('1')`)
	for _, p := range []*tab{a, b} {
		p.js(nil, `db.resume()`)
	}
	meet(t, a, b)
	alike(t, a, b)
	gone(a, 12+4+3)
	gone(b, 12+4+3)
	b.js(nil, `await notes.put('1', 'there')`)
	meet(t, a, b)
	if objects := alike(t, a, b); len(objects) != 1 || objects[0].Value != "there" || objects[0].Conflict {
		t.Errorf("in the end: %+v", objects)
	}
}
