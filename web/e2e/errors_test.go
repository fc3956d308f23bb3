package e2e

import (
	"testing"
)

// TestBadInput: what cannot be taken is refused with a code, and with a message that names it and says what to do. Nothing of
// it is written, and everything else goes on.
func TestBadInput(t *testing.T) {
	w := newWorld(t, nil)
	a := w.open(anna)
	a.js(nil, `await notes.put('1', 'kept')`)
	for _, x := range []struct{ code, pattern, body string }{
		{"INVALID", `\$\.a\[1\]\.b.*function`, `await notes.put('1', { a: [1, { b: () => 1 }] })`},
		{"INVALID", `\$\.a\[1\]\.b.*undefined`, `await notes.put('1', { a: [1, { b: undefined }] })`},
		{"INVALID", `\$.*undefined.*delete`, `await notes.put('1', undefined)`},
		{"INVALID", `\$\.x.*NaN`, `await notes.put('1', { x: NaN })`},
		{"INVALID", `\$\.x.*symbol`, `await notes.put('1', { x: Symbol('s') })`},
		{"INVALID", `\$\.x.*Map`, `await notes.put('1', { x: new Map() })`},
		{"INVALID", `\$\.x.*64`, `await notes.put('1', { x: 2n ** 64n })`},
		{"INVALID", `\$\.x.*date`, `await notes.put('1', { x: new Date(NaN) })`},
		{"INVALID", `\$\.x.*surrogate`, `await notes.put('1', { x: '\ud800' })`},
		{"INVALID", `64`, `const x = {}; x.x = x; await notes.put('1', x)`},
		{"INVALID", `id.*empty|empty.*id|1 to 512`, `await notes.put('', 1)`},
		{"INVALID", `id`, `await notes.put(7, 1)`},
		{"INVALID", `surrogate`, `await notes.get('\udfff')`},
		{"INVALID", `\$hidden`, `db.collection('$hidden')`},
		{"INVALID", `version|seen`, `await notes.put('1', 1, { seen: 'yesterday' })`},
		{"INVALID", `no|empty|nothing`, `await notes.putMany([])`},
		{"INVALID", `twice|once`, `await notes.putMany([['2', 1], ['2', 2]])`},
		{"INVALID", `nothing|no `, `await db.batch(() => {})`},
		{"INVALID", `limit`, `await notes.query({ limit: -1 })`},
		{"INVALID", `where`, `await notes.query({ where: { done: true } })`},
		{"INVALID", `prefix`, `for await (const e of db.watch({ prefix: 'a' })) void e`},
		{"KEY_TOO_LONG", `512`, `await notes.put('x'.repeat(513), 1)`},
		{"KEY_TOO_LONG", `512`, `await notes.get('ü'.repeat(257))`},
		{"KEY_TOO_LONG", `64`, `db.collection('x'.repeat(65))`},
		{"VALUE_TOO_LARGE", `1 MiB|1,?048,?576`, `await notes.put('1', new Uint8Array(1 << 20))`},
		{"VALUE_TOO_LARGE", `1 MiB|1,?048,?576`, `await db.batch((tx) => tx.put(notes, '1', 'x'.repeat(1 << 20)))`},
		{"BATCH_TOO_LARGE", `20,?000`, `await notes.putMany(Array.from({ length: 20_001 }, (_, i) => [String(i), i]))`},
		{"BATCH_TOO_LARGE", `8 MiB|8,?388,?608`, `await notes.putMany(Array.from({ length: 9 }, (_, i) => [String(i), new Uint8Array(1_000_000)]))`},
		{"UNKNOWN_MARKER", `marker`, `for await (const e of db.watch({ from: 'somewhere' })) void e`},
		{"INVALID", `from.*marker`, `for await (const e of notes.watch({ from: '' })) void e`},
		{"INVALID", `name`, `await vsync.open('Not A Name')`},
		{"INVALID", `fede`, `await vsync.open('other', { fede: 'ws://localhost' })`},
		{"INVALID", `ws://|wss://`, `await vsync.open('other', { feed: 'localhost' })`},
		{"INVALID", `durability.*(relaxed|strict)`, `await vsync.open('other', { durability: 'lazy' })`},
		{"INVALID", `hosting.*(auto|shared|tab)`, `await vsync.open('other', { hosting: 'cloud' })`},
		{"ABORTED", ``, `await vsync.open('other', { signal: AbortSignal.abort() })`},
		{"ABORTED", ``, `db.pause(); const r = await notes.put('2', 1); const stop = new AbortController();
			const wait = r.synced({ signal: stop.signal }); stop.abort(); await wait`},
		{"ABORTED", ``, `const stop = new AbortController(); const wait = db.synced({ signal: stop.signal }); stop.abort(); await wait`},
		{"ABORTED", ``, `const stop = new AbortController(); for await (const e of db.watch({ signal: stop.signal })) stop.abort()`},
	} {
		a.fails(x.code, x.pattern, x.body)
	}
	var kept []entry
	a.js(&kept, `db.resume(); await db.synced(); return e2e.plain(await notes.query())`)
	if len(kept) != 2 || kept[0].Value != "kept" {
		t.Errorf("after all of it: %+v", kept)
	}

	second := w.visit(anna)
	second.fails("INVALID", `feed.*"none".*(same|close)`, `await vsync.open('e2e')`)
	second.fails("INVALID", `durability.*"relaxed".*"strict".*(same|close)`, `await vsync.open('e2e', { feed: e2e.feed, durability: 'strict' })`)
	second.js(nil, `await e2e.open(); e2e.all = e2e.db`)

	// An application's own errors stay its own, and write nothing.
	var thrown []string
	second.js(&thrown, `const thrown = [];
		await db.batch((tx) => { tx.put(notes, '3', 1); throw new RangeError('mine') }).catch((e) => thrown.push(e.name + ' ' + e.message));
		await notes.update('3', () => { throw new RangeError('mine') }).catch((e) => thrown.push(e.name + ' ' + e.message));
		if (await notes.get('3') !== undefined) thrown.push('it was written');
		return thrown`)
	if len(thrown) != 2 || thrown[0] != "RangeError mine" || thrown[1] != "RangeError mine" {
		t.Errorf("want what the application has thrown, twice: %q", thrown)
	}

	a.js(nil, `await db.close(); await db.close()`)
	for _, body := range []string{
		`await notes.get('1')`, `await notes.getMany(['1'])`, `await notes.put('1', 1)`, `await notes.putMany([['1', 1]])`, `await notes.delete('1')`,
		`await notes.update('1', () => 1)`, `await notes.query()`, `await notes.count()`, `for await (const e of notes.scan()) void e`,
		`for await (const e of notes.history('1')) void e`, `for await (const e of db.watch()) void e`, `await db.batch((tx) => tx.put(notes, '1', 1))`,
		`await db.synced()`, `db.pause()`, `db.resume()`, `await new Promise((_, no) => notes.subscribe({}, () => {}, no))`,
	} {
		a.fails("CLOSED", `clos.*open`, body)
	}
	second.js(nil, `await notes.put('1', 'goes on')`)
	a.js(nil, `await e2e.open(); if (await e2e.notes.get('1') !== 'goes on') throw new Error(await e2e.notes.get('1'))`)
}

// TestLocalOnly: a database without a hub does all but syncing.
func TestLocalOnly(t *testing.T) {
	w := newWorld(t, nil)
	a := w.visit(anna)
	a.js(nil, `await e2e.open({ feed: undefined })`)
	a.fails("LOCAL_ONLY", `feed`, `await db.synced()`)
	a.fails("LOCAL_ONLY", `feed`, `await (await notes.put('1', 1)).synced()`)
	a.js(nil, `if (db.status.current.phase !== 'local') throw new Error(db.status.current.phase)`)
	a.reload()
	var kept int
	a.js(&kept, `await e2e.open({ feed: undefined }); return await e2e.notes.get('1')`)
	if kept != 1 {
		t.Errorf("after a reload %v is there", kept)
	}
	// What was written before there was a hub is sent when there is one.
	a.js(nil, `await db.close(); await e2e.open(); await e2e.db.synced()`)
	b := w.open(bert)
	b.js(nil, `await e2e.result('notes', {}, ([e]) => e?.value === 1)`)
}

// TestMarkerOfAnotherTime: a marker that was valid once, of a replica that is gone, makes a watch begin anew, and say so.
func TestMarkerOfAnotherTime(t *testing.T) {
	w := newWorld(t, nil)
	a := w.open(anna)
	var marker string
	a.js(&marker, `await notes.put('1', 'old'); await db.synced();
		for await (const e of db.watch({ from: 'start' })) if (e.marker !== 'start') { await db.close(); await vsync.destroy('e2e'); return e.marker }`)
	var events []event
	a.js(&events, `await e2e.open(); await e2e.db.collection('notes').put('2', 'new'); await e2e.db.synced();
		await e2e.result('notes', {}, (all) => all.length === 2);
		const events = [];
		for await (const e of e2e.db.watch({ from: args[0] })) { events.push(e2e.eventOf(e)); if (e.marker !== 'start') return events }`, marker)
	if len(events) == 0 || !events[0].Initial || !events[0].Reset {
		t.Errorf("a watch from %s begins with %s, want a reset", marker, text(events))
	}
}
