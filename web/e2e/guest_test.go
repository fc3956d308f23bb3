package e2e

import (
	"iter"
	"strings"
	"testing"
	"time"

	"vsync/core/wire"
	"vsync/edge/e2e/proxy"
	"vsync/web/browser"
)

// TestMemory: a browser that gives no storage, as some private windows do. The database works, says that it is in memory, and
// what it had is at the hub when it comes again.
func TestMemory(t *testing.T) {
	w := newWorld(t, nil)
	w.site.before["/vsync-worker.js"] = "Object.defineProperty(globalThis, 'indexedDB', { value: undefined });\n"
	a := w.open(anna)
	a.js(nil, `await notes.put('1', 'kept by the hub'); await db.synced();
		await e2e.status((s) => s.storage.mode === 'memory' && s.phase === 'live')`)
	second := w.open(anna)
	second.js(nil, `if (await notes.get('1') !== 'kept by the hub' || db.status.current.storage.mode !== 'memory') throw new Error('not in one memory')`)
	var before, after string
	a.js(&before, `return db.device`)
	w.endEngines()
	second.close()
	a.close()
	b := w.open(anna)
	b.js(&after, `await e2e.result('notes', {}, ([e]) => e?.value === 'kept by the hub'); return db.device`)
	if before == after {
		t.Errorf("the device is %s again, though nothing was kept of it", after)
	}
}

// fast goes in front of the worker's script: its time runs ten times as fast.
const fast = `{
	const now = performance.now.bind(performance), set = setTimeout;
	performance.now = () => now() * 10;
	globalThis.setTimeout = (fn, ms, ...more) => set(fn, ms / 10, ...more);
}
`

// TestSilentWay: somebody takes the connection and never answers. The status names what is waited for, since when, and that it takes
// too long; then another connection is made, and all goes on. Later the network goes away under it.
func TestSilentWay(t *testing.T) {
	silent := func(n int, d proxy.Direction) iter.Seq[proxy.Fault] {
		return func(yield func(proxy.Fault) bool) {
			if n == 0 && d == proxy.Down {
				yield(proxy.Fault{Kind: proxy.Stall, Time: time.Hour})
			}
		}
	}
	w := newWorld(t, func(int) proxy.Script { return silent })
	w.site.before["/vsync-worker.js"] = fast
	a := w.open(anna)
	a.js(nil, `await notes.put('1', 1); const from = Date.now();
		await e2e.status((s) => s.waiting?.for === 'connection' && s.waiting.since <= from && s.waiting.stalled && s.pending === 1);
		await db.synced();
		await e2e.status((s) => s.phase === 'live' && !s.waiting)`)
	wakes := []func(){func() { a.js(nil, `dispatchEvent(new Event('online'))`) }}
	if kind == browser.Chromium { // no other freezes at a test's word
		wakes = append(wakes, a.sleeps)
	}
	for n, wake := range wakes {
		a.fades(w.roads[anna], n+2, wake)
	}
	w.open(bert).js(nil, `const all = await e2e.result('notes', {}, (all) => all.length === args[0]);
		for (const { id } of all) if ((await e2e.collect(notes.history(id))).length !== 1) throw new Error(id + ' was delivered twice')`, len(wakes)+1)
}

// sleeps freezes the page and thaws it.
func (p *tab) sleeps() {
	p.t.Helper()
	for _, frozen := range []bool{true, false} {
		if err := p.chromium().Freeze(soon(p.t), frozen); err != nil {
			p.t.Fatal(err)
		}
	}
}

// fades has the network go away under a connection, and wake say that it may be another one. The page goes on reading and writing, its
// status says that the hub's answer is waited for, and the connection is given up in a fraction of the time that silence alone takes.
func (p *tab) fades(road *proxy.Proxy, n int, wake func()) {
	p.t.Helper()
	road.Deafen()
	p.js(nil, `globalThis.given = e2e.status((s) => s.error?.message.includes('nothing came for'));
		await notes.put(String(args[0]), args[0]);
		if (await notes.get(String(args[0])) !== args[0]) throw new Error('not written');
		await e2e.status((s) => s.waiting?.for === 'confirmation' && s.pending === 1)`, n)
	wake()
	var said string
	p.js(&said, `const s = await given; await db.synced(); await e2e.status((s) => s.phase === 'live' && !s.waiting && !s.error); return s.error.message`)
	words := strings.Fields(said)
	silence, err := time.ParseDuration(words[len(words)-1])
	if err != nil || silence >= wire.DeviceGiveUp {
		p.t.Errorf("%d: the connection was not looked at: %s", n, said)
	}
}
