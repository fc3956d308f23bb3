package e2e

import (
	"testing"
)

// noStorage goes in front of the worker's script: a browser that gives no IndexedDB.
const noStorage = "Object.defineProperty(globalThis, 'indexedDB', { value: undefined });\n"

// lost wants a page to have been told that what it was told is gone, and the application to come up again without it.
func (p *tab) lost(hosting, was string) {
	p.t.Helper()
	p.js(nil, `await e2e.status((s) => s.phase === 'closed' && s.error?.code === 'STORAGE_LOST')`)
	p.fails("STORAGE_LOST", `open it again`, `await notes.get('1')`)
	p.fails("STORAGE_LOST", `open it again`, `await notes.put('1', 2)`)
	var again string
	p.js(&again, `await db.close(); const device = await e2e.open({ hosting: args[0] });
		if (await e2e.notes.get('1') !== undefined) throw new Error('it is not lost');
		await e2e.notes.put('2', 2); await e2e.db.synced(); return device`, hosting)
	if again == was {
		p.t.Errorf("the device is %s, as before its storage was lost", again)
	}
}

// TestMemoryLost: where a browser gives no storage, the tab that leads has all there is, and takes it along. Who followed it is told.
func TestMemoryLost(t *testing.T) {
	for _, hosting := range []string{"leader", "tab"} {
		w := newWorld(t, nil)
		w.site.before["/vsync-worker.js"] = noStorage
		a := w.visit(anna)
		var device string
		a.js(&device, `await e2e.open({ hosting: args[0] }); e2e.db.pause(); await e2e.notes.put('1', 1); return e2e.db.device`, hosting)
		if hosting == "tab" {
			a.endWorkers()
			a.lost(hosting, device)
			continue
		}
		b := w.visit(anna)
		b.js(nil, `await e2e.open({ hosting: args[0] });
			if (e2e.db.device !== args[1] || await e2e.notes.get('1') !== 1 || e2e.db.status.current.hosting !== 'follower') throw new Error('not in one memory')`, hosting, device)
		a.close()
		b.lost(hosting, device)
	}
}

// TestDataDeletedMeanwhile: the site's data is deleted while no engine has it. A page that the browser has kept as it was knows better, when it
// is shown again, than to go on in an empty database.
func TestDataDeletedMeanwhile(t *testing.T) {
	w := newWorld(t, nil)
	a := w.visit(anna)
	var device string
	a.js(&device, `await e2e.open(); e2e.db.pause(); await e2e.notes.put('1', 1); return e2e.db.device`)
	if err := a.Go(soon(t), w.site.URL+"/elsewhere"); err != nil {
		t.Fatal(err)
	}
	w.endEngines()
	if err := a.Eval(soon(t), nil, `new Promise((ok, no) => { const r = indexedDB.deleteDatabase('vsync:e2e'); r.onsuccess = () => ok(); r.onerror = () => no(r.error) })`); err != nil {
		t.Fatal(err)
	}
	if !a.back() {
		t.Fatal("the browser has not kept the page")
	}
	a.lost("auto", device)
}

// deaf goes in front of the worker's script: when a test says so, its engine goes on and hears nothing of its pages any more.
const deaf = `{
	let deaf = false;
	(globalThis.deafen = new BroadcastChannel('deafen')).onmessage = () => { deaf = true };
	const begin = WebAssembly.instantiateStreaming;
	WebAssembly.instantiateStreaming = async (...args) => {
		const { instance } = await begin(...args), { vsync_pages_receive } = instance.exports;
		const exports = { ...instance.exports, vsync_pages_receive: (...args) => deaf || vsync_pages_receive(...args) };
		return { instance: Object.create(WebAssembly.Instance.prototype, { exports: { value: exports } }) };
	};
}
`

// hasty goes there too, and into the page: what counts time by timers counts ten times as fast.
const hasty = `{
	const set = setTimeout;
	globalThis.setTimeout = (fn, ms, ...more) => set(fn, ms / 10, ...more);
}
`

// TestEngineHangs: an engine lives and answers nothing. Its page says that it looks for another one, which does what was asked.
func TestEngineHangs(t *testing.T) {
	for _, hosting := range []string{"shared", "leader", "tab"} {
		w := newWorld(t, nil)
		w.site.before["/vsync-worker.js"] = deaf
		w.site.before["/vsync.js"] = hasty
		a := w.visit(anna)
		a.js(nil, `await e2e.open({ hosting: args[0] }); await e2e.notes.put('1', 1)`, hosting)
		a.js(nil, `const deafen = new BroadcastChannel('deafen'); deafen.postMessage(1); deafen.close();
			await new Promise((next) => setTimeout(next, 1000));
			e2e.put = notes.put('2', 2); e2e.put.catch(() => {});
			await e2e.status((s) => s.waiting?.for === 'engine' && s.waiting.since > 0 && s.error?.code === 'ENGINE_LOST' && /no sign of life/.test(s.error.message))`)
		a.js(nil, `await e2e.put; if (await notes.get('2') !== 2 || await notes.get('1') !== 1) throw new Error('it is not there'); await db.synced()`)
	}
}
