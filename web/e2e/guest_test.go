package e2e

import (
	"iter"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nhooyr.io/websocket"

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

// behind goes there too: it is a day behind, until the machine is said to have slept for it. Then timers go on as if nothing had been, as
// they do where the clock that only goes forward stands still in the meantime.
const behind = `{
	const day = 86_400_000, Real = Date, sleep = new BroadcastChannel('sleep ' + self.name);
	let off = -day;
	globalThis.Date = class extends Real {
		constructor(...args) { args.length > 0 ? super(...args) : super(Real.now() + off) }
		static now() { return Real.now() + off }
	};
	sleep.onmessage = () => { off = 0; sleep.postMessage(Date.now()) };
}
`

// TestSilentWay: somebody takes the connection and never answers. The status names what is waited for, since when, and that it takes
// too long; then another connection is made, and all goes on. Later the network goes away under it; the last time while the machine sleeps
// for a day. And in another tab a hub takes a connection without a word, and one that stands falls silent, which nothing but silence tells.
func TestSilentWay(t *testing.T) {
	silent := func(n int, d proxy.Direction) iter.Seq[proxy.Fault] {
		return func(yield func(proxy.Fault) bool) {
			if n == 0 && d == proxy.Down {
				yield(proxy.Fault{Kind: proxy.Stall, Time: time.Hour})
			}
		}
	}
	w := newWorld(t, func(int) proxy.Script { return silent })
	w.site.before["/vsync-worker.js"] = fast + behind
	a := w.visit(anna)
	a.js(nil, `await e2e.open({ token: () => String(++e2e.asked) })`)
	a.js(nil, `await notes.put('1', 1); const from = Date.now();
		await e2e.status((s) => s.waiting?.for === 'connection' && s.waiting.since <= from && s.waiting.stalled && s.pending === 1);
		await db.synced();
		await e2e.status((s) => s.phase === 'live' && !s.waiting)`)
	quiet := w.visit(anna)
	quiet.fallsSilent(w)
	wakes := []func(){func() { a.js(nil, `dispatchEvent(new Event('online'))`) }}
	if kind == browser.Chromium { // no other freezes at a test's word
		wakes = append(wakes, a.sleeps)
	}
	wakes = append(wakes, func() { a.sleepsForADay() })
	for n, wake := range wakes {
		a.fades(w.roads[anna], n+2, wake)
	}
	w.open(bert).js(nil, `const all = await e2e.result('notes', {}, (all) => all.length === args[0]);
		for (const { id } of all) if ((await e2e.collect(notes.history(id))).length !== 1) throw new Error(id + ' was delivered twice')`, len(wakes)+1)
	quiet.isFound()
}

// sleepsForADay has the clock on the wall, which the engine reads, be a day later all at once. A token of the day before is none any more.
// Others that have the database open may be asked for the new one.
func (p *tab) sleepsForADay(others ...*tab) {
	p.t.Helper()
	asked := func() (n int) {
		for _, p := range append(others, p) {
			var times int
			p.js(&times, `return e2e.asked`)
			n += times
		}
		return n
	}
	before := asked()
	p.js(nil, `const sleep = new BroadcastChannel('sleep vsync:' + e2e.name);
		const now = await new Promise((said) => { sleep.onmessage = ({ data }) => said(data); sleep.postMessage('') });
		sleep.close();
		if (Math.abs(now - Date.now()) > 60_000) throw new Error('it has not slept');
		await db.synced()`)
	if asked() == before {
		p.t.Error("no new token was asked for")
	}
}

// fallsSilent opens two databases: one gets connections without a word, and the other one that stands and dies. What becomes of them is for
// isFound.
func (p *tab) fallsSilent(w *world) {
	p.t.Helper()
	server, half := httptest.NewServer(&mute{hub: w.hub.Addr()}), w.road(nil)
	p.t.Cleanup(server.Close)
	p.js(nil, `const names = ['mute', 'half'];
		[e2e.mute, e2e.half] = await Promise.all(names.map((name, i) => vsync.open(name, { feed: args[i] })));
		await e2e.half.collection('notes').put('1', 1); await e2e.half.synced()`, server.URL, "ws://"+half.Addr())
	half.Deafen()
	p.js(nil, `const { mute, half } = e2e;
		const over = async (db, ok, words) => {
			const gone = e2e.status((s) => s.error?.message.includes(words), db);
			await db.collection('notes').put('2', 2);
			await e2e.status((s) => s.waiting && ok(s.waiting) && s.pending === 1, db);
			return (await gone).error.message;
		};
		const back = async (db) => { await db.synced(); await e2e.status((s) => s.phase === 'live' && !s.waiting && !s.error, db) };
		const named = over(mute, (w) => w.for === 'welcome' && w.stalled, 'did not answer the hello');
		const found = over(half, (w) => w.for === 'confirmation', 'nothing came for');
		e2e.over = Promise.all([found, named.then(() => back(mute)), found.then(() => back(half))])`)
}

// isFound wants both to have gone on by themselves, and silence to have been borne for its time and no longer.
func (p *tab) isFound() {
	p.t.Helper()
	var said string
	p.js(&said, `return (await e2e.over)[0]`)
	if silence := silenceIn(p.t, said); silence < wire.DeviceGiveUp || silence > 30*time.Second {
		p.t.Errorf("a connection that fell silent was given up after %v", silence)
	}
}

// A mute takes the first three connections and says nothing, so that a busy machine sees that in time; those that come then reach the hub.
type mute struct {
	hub   string
	taken atomic.Int32
}

func (m *mute) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.taken.Add(1) > 3 {
		httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: m.hub}).ServeHTTP(w, r)
		return
	}
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer socket.CloseNow()
	socket.SetReadLimit(-1) // a hello names much where much is unsent
	for err == nil {        // until the page has had enough
		_, _, err = socket.Read(r.Context())
	}
}

// silenceIn is how long nothing came, as a message says at its end.
func silenceIn(t *testing.T, message string) time.Duration {
	t.Helper()
	words := strings.Fields(message)
	silence, err := time.ParseDuration(words[len(words)-1])
	if err != nil {
		t.Fatalf("%q: %v", message, err)
	}
	return silence
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
	if silenceIn(p.t, said) >= wire.DeviceGiveUp {
		p.t.Errorf("%d: the connection was not looked at: %s", n, said)
	}
}
