package e2e

import (
	"iter"
	"testing"
	"time"

	"vsync/edge/e2e/proxy"
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
// too long; then another connection is made, and all goes on.
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
}
