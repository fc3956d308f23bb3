package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"vsync/web/browser"
)

// A lives is a story of tabs of one device that write without a break, whatever becomes of their engine.
type lives struct {
	*world
	device   *device
	hosting  string
	rest     int            // ms between two writes of three
	seed     func() uint32  // of what a life writes, where it writes all kinds of things
	options  map[string]any // that the database is opened with, beside hosting
	build    string         // what the address of a tab has more, for another build of the scripts
	tabs     []*tab
	accounts map[string]account // by life: what it was told so far, at the latest when it ended
	opened   int

	lost, doubled int // found by holds
}

// An account is what a life was told of its writes.
type account struct {
	Who       string
	Confirmed []string    // things
	Summed    []string    // tokens
	Fought    [][2]string // object and token
	Refused   []string    // for want of space
	Bytes     float64
}

func newLives(w *world, hosting string, tabs int) *lives {
	l := &lives{world: w, device: anna, hosting: hosting}
	l.begin(tabs)
	return l
}

// begin opens the first tabs.
func (l *lives) begin(tabs int) {
	l.t.Helper()
	l.accounts = map[string]account{}
	before := l.site.before["/vsync-worker.js"] + late
	if kind != browser.Chromium {
		before += mortal
	}
	l.site.before["/vsync-worker.js"] = before
	for range tabs {
		l.more()
	}
}

// more opens another tab, and begins to write in it.
func (l *lives) more() *tab { return l.moreAt(l.address(l.device) + l.build) }

func (l *lives) moreAt(address string) *tab {
	l.t.Helper()
	p := l.device.open(l.t, address, nil)
	l.tabs = append(l.tabs, p)
	l.live(p)
	return p
}

// live begins to write in a tab that writes nothing yet.
func (l *lives) live(p *tab) {
	l.t.Helper()
	l.opened++
	seed := uint32(0)
	if l.seed != nil {
		seed = l.seed()
	}
	l.openIn(p)
	p.js(nil, `await e2e.startLife(...args)`, fmt.Sprintf("%s %04d", l.device.name, l.opened), l.rest, seed)
}

// openIn opens the database in a tab.
func (l *lives) openIn(p *tab) {
	l.t.Helper()
	p.js(nil, `const { token, ...options } = args[1] ?? {}, hosting = args[0];
		await e2e.openLife({ hosting, ...options, ...(token && { token: () => (e2e.asked++, token) }) })`, l.hosting, l.options)
}

// go on: each tab gets writes settled.
func (l *lives) goOn() {
	l.t.Helper()
	for _, p := range l.tabs {
		var failed []string
		p.js(&failed, `return await e2e.lives()`)
		if len(failed) > 0 {
			l.t.Errorf("%s: %v", l.hosting, failed)
		}
	}
}

// keep notes what a tab that is about to end has been told so far.
func (l *lives) keep(p *tab) {
	l.t.Helper()
	var so account
	p.js(&so, `return e2e.accountSoFar()`)
	l.accounts[so.Who] = so
}

// without forgets a tab.
func (l *lives) without(p *tab) {
	l.tabs = slices.DeleteFunc(l.tabs, func(x *tab) bool { return x == p })
}

// hosts returns the tab with this hosting.
func (l *lives) hosts(hosting string) *tab {
	l.t.Helper()
	var all []string
	for _, p := range l.tabs {
		var is string
		p.js(&is, `return db.status.current.hosting`)
		if is == hosting {
			return p
		}
		all = append(all, is)
	}
	l.t.Fatalf("no tab is %s: %v", hosting, all)
	return nil
}

// judge ends all writing: everything settled, nothing that was confirmed is lost, nothing was written twice, and the watchers and
// subscriptions of all tabs saw everything, watchers once.
func (l *lives) judge() {
	l.t.Helper()
	for _, p := range l.tabs {
		l.end(p)
	}
	l.holds(l.accounts)
}

// end ends the writing of a tab: everything settled, and its watcher and its subscription saw everything.
func (l *lives) end(p *tab) {
	l.t.Helper()
	l.took(p, `return await e2e.stopLife()`)
}

// took takes the account of a life that ends.
func (l *lives) took(p *tab, body string) {
	l.t.Helper()
	var end struct {
		account
		Failed, Twice, Hostings []string
	}
	p.js(&end, body)
	if len(end.Failed) > 0 || len(end.Twice) > 0 {
		l.t.Errorf("%s: failed %v, watched twice %v", l.hosting, end.Failed, end.Twice)
	}
	l.t.Logf("%s: %d writes, by way of %v", l.hosting, len(end.Confirmed), end.Hostings)
	l.accounts[end.Who] = end.account
}

// holds wants the device to have all that was confirmed, each written once, and nothing that was refused.
func (l *lives) holds(accounts map[string]account) {
	l.t.Helper()
	confirmed, refused := []string{}, []string{}
	for _, a := range accounts {
		confirmed, refused = append(confirmed, a.Confirmed...), append(refused, a.Refused...)
	}
	var found struct{ Lost, Doubled []string }
	l.tabs[0].long(&found, `return await e2e.judgeLives(...args)`, confirmed, refused)
	for _, wrong := range append(found.Lost, found.Doubled...) {
		l.t.Errorf("%s: %s", l.hosting, wrong)
	}
	l.lost, l.doubled = l.lost+len(found.Lost), l.doubled+len(found.Doubled)
}

// mortal goes in front of the worker's script where the browser has no command that ends a shared worker: it ends itself, in the middle of
// whatever it does.
const mortal = `(globalThis.end = new BroadcastChannel('end')).onmessage = () => close();
`

// endShared ends the shared worker that holds the engine; when it returns, that one is gone. False where there is none at the moment.
func (l *lives) endShared() bool {
	l.t.Helper()
	if kind == browser.Chromium {
		err := l.endEngine(l.device)
		if err != nil && !errors.Is(err, errNoEngine) {
			l.t.Fatal(err)
		}
		return err == nil
	}
	l.tabs[0].js(nil, `const { name } = (await navigator.locks.query()).held.find(({ name }) => name.startsWith('vsync-engine:'));
		const end = new BroadcastChannel('end');
		end.postMessage(name);
		await navigator.locks.request(name, () => end.close())`)
	return true
}

// endWorkers ends the workers that a page has started.
func (p *tab) endWorkers() {
	p.t.Helper()
	if p.endThoseThere() == 0 {
		p.t.Fatal("there was no worker to be ended")
	}
}

// endThoseThere is endWorkers, and says how many there were.
func (p *tab) endThoseThere() (n int) {
	p.t.Helper()
	p.js(&n, `return e2e.workers.splice(0).map((worker) => worker.terminate()).length`)
	return n
}

// TestHostingShared: the engine in a shared worker is killed, once when it has stored what it does not know of, and tabs close, crash, reload
// in the middle of writes.
func TestHostingShared(t *testing.T) {
	l := newLives(newWorld(t, nil), "shared", 2)
	kills := 3
	if kind != browser.Chromium {
		kills = 2
	}
	for n := range kills {
		l.goOn()
		if n == 0 {
			l.landLate(l.tabs[1])
		}
		if !l.endShared() {
			t.Fatal(errNoEngine)
		}
	}
	l.goOn()
	l.closeOne(l.tabs[0], false)
	l.more()
	l.closeOne(l.tabs[0], true)
	l.reloadOne(l.tabs[0])
	l.goOn()
	l.judge()
}

// TestHostingLeader: the same where the tabs elect one that leads, as they do by themselves where there are no shared workers. In the end the
// only one left is reloaded.
func TestHostingLeader(t *testing.T) {
	w := newWorld(t, nil)
	w.lacks = []string{"SharedWorker"}
	l := newLives(w, "auto", 3)
	l.goOn()
	l.landLate(l.hosts("follower"))
	l.hosts("leader").endWorkers()
	l.goOn()
	l.closeOne(l.hosts("leader"), false)
	l.more()
	l.closeOne(l.hosts("leader"), true)
	l.goOn()
	l.reloadOne(l.hosts("leader"))
	l.goOn()
	p := l.hosts("leader")
	p.js(nil, `await e2e.stopLife(); await db.close()`)
	l.keep(p)
	l.without(p)
	l.goOn()
	p.close()
	l.reloadOne(l.hosts("leader"))
	l.goOn()
	l.hosts("leader")
	l.judge()
}

// TestHostingTab: the only tab's worker is killed, the tab is reloaded, closed, crashes, each in the middle of writes; another one comes.
func TestHostingTab(t *testing.T) {
	l := newLives(newWorld(t, nil), "tab", 1)
	for n := range 3 {
		l.goOn()
		if n == 0 {
			l.landLate(l.tabs[0])
		}
		l.tabs[0].endWorkers()
	}
	l.goOn()
	l.reloadOne(l.tabs[0])
	for _, crash := range []bool{false, true} {
		l.closeOne(l.tabs[0], crash)
		l.more()
	}
	l.goOn()
	l.judge()
}

// TestNoChannel: a browser without SharedWorker and BroadcastChannel, where each page has an engine of its own by itself. It stores like any
// other; a second page is told that the database is taken, and has it when the first one is gone.
func TestNoChannel(t *testing.T) {
	w := newWorld(t, nil)
	w.lacks = []string{"SharedWorker", "BroadcastChannel"}
	w.site.before["/vsync-worker.js"] = fast + "delete globalThis.BroadcastChannel;\n"
	first, second := w.open(anna), w.visit(anna)
	first.js(nil, `const { hosting, storage } = db.status.current;
		if (hosting !== 'tab' || storage.mode !== 'indexeddb') throw new Error(hosting + ' ' + storage.mode);
		await notes.put('1', 'stored')`)
	second.fails("LOCKED", `another tab.*close`, `await e2e.open()`)
	first.close()
	second.js(nil, `await e2e.openLife({ hosting: 'tab' }); if (await e2e.notes.get('1') !== 'stored') throw new Error('lost');
		await e2e.db.synced()`)
}

// closeOne closes a tab in the middle of writes, or its process crashes.
func (l *lives) closeOne(p *tab, crash bool) {
	l.t.Helper()
	l.goOn()
	l.keep(p)
	l.without(p)
	if crash && kind == browser.Chromium {
		if err := p.chromium().Crash(soon(l.t)); err != nil {
			l.t.Fatal(err)
		}
	}
	p.close()
	l.goOn()
}

// reloadOne reloads a tab in the middle of writes.
func (l *lives) reloadOne(p *tab) {
	l.t.Helper()
	l.goOn()
	l.keep(p)
	p.reload()
	l.live(p)
}

// TestFrozen: a tab is frozen and thawed, be it the one that leads or the only one; then the machine sleeps for a day, and wakes in another
// network.
func TestFrozen(t *testing.T) {
	for hosting, tabs := range map[string]int{"leader": 2, "shared": 2, "tab": 1} {
		w := newWorld(t, nil)
		w.site.before["/vsync-worker.js"] = fast + behind
		l := &lives{world: w, device: anna, hosting: hosting, options: map[string]any{"token": "any"}}
		l.begin(tabs)
		l.goOn()
		frozen := l.tabs[0]
		if err := frozen.chromium().Freeze(soon(t), true); err != nil {
			t.Fatal(err)
		}
		l.without(frozen)
		l.goOn()
		if err := frozen.chromium().Freeze(soon(t), false); err != nil {
			t.Fatal(err)
		}
		l.tabs = append(l.tabs, frozen)
		l.goOn()
		l.judge()
		frozen.js(nil, `await db.synced()`)
		frozen.fades(w.roads[anna], 1, func() { frozen.sleepsForADay(l.tabs[:tabs-1]...) })
	}
}

// TestBackForwardCache: the user leaves the page and comes back; the browser may have kept it as it was. Whoever waited goes on. What another
// page has destroyed meanwhile is over: whoever waited for it is told, and it can be opened anew.
func TestBackForwardCache(t *testing.T) {
	for _, hosting := range []string{"leader", "shared", "tab"} {
		if hosting != "shared" && kind == browser.WebKit {
			continue // a worker of the page ends there in the middle of a write, which WebKit does not always take well: see the README
		}
		w := newWorld(t, nil)
		l := newLives(w, hosting, 1)
		if hosting != "tab" {
			l.more()
		}
		l.goOn()
		p := l.tabs[0]
		l.keep(p)
		p.js(nil, doomed, hosting)
		if err := p.Go(soon(t), w.site.URL+"/elsewhere"); err != nil {
			t.Fatal(err)
		}
		l.without(p)
		l.goOn()
		if len(l.tabs) > 0 {
			l.tabs[0].js(nil, `await vsync.destroy('doomed', { force: true })`)
		}
		kept := l.comeBack(p)
		if kept && len(l.tabs) > 0 {
			p.js(nil, `await e2e.doom(args[0])`, hosting)
		}
		t.Logf("%s: the browser has kept the page: %v", hosting, kept)
		if !kept && kind == browser.Chromium {
			t.Error("the browser has not kept the page")
		}
		l.tabs = append(l.tabs, p)
		l.goOn()
		l.judge()
	}
}

// doomed opens a database that somebody waits for.
const doomed = `const open = (hosting) => vsync.open('doomed', { feed: e2e.feed, hosting });
	const doomed = await open(args[0]), notes2 = doomed.collection('notes');
	await notes2.put('1', 1);
	const waiting = [
		(async () => { for await (const event of doomed.watch()) void event })().catch((err) => err),
		new Promise((no) => notes2.subscribe({}, () => {}, no)),
	];
	e2e.doom = async (hosting) => {
		for (const err of await Promise.all(waiting)) {
			if (!(err instanceof vsync.VsyncError) || err.code !== 'CLOSED' || !err.message.includes('destroyed')) throw err;
		}
		const { phase, error } = doomed.status.current;
		if (phase !== 'closed' || error.code !== 'CLOSED') throw new Error(phase);
		await doomed.close();
		const again = await open(hosting);
		if (again.device === doomed.device) throw new Error('it was not destroyed');
		await again.collection('notes').put('2', 2);
		await again.close();
	}`

// TestDeploy: a new version of the scripts is deployed while old tabs are open. Both work with the engine that is there; when the
// old tabs are gone, the new version's takes over.
func TestDeploy(t *testing.T) {
	for _, hosting := range []string{"shared", "leader"} {
		w := newWorld(t, nil)
		l := newLives(w, hosting, 1)
		old := l.tabs[0]
		next := l.moreAt(w.address(anna) + "&sdk=/next/vsync.js")
		l.hosts("follower")
		l.goOn()
		l.closeOne(old, false)
		if hosting == "shared" && kind == browser.Chromium {
			if err := w.endEngineOf(anna, "/vsync-worker.js"); err != nil { // the browser does so after a while
				t.Fatal(err)
			}
			l.goOn()
		}
		l.more() // an old page from some cache
		l.goOn()
		if (hosting == "leader" || kind == browser.Chromium) && l.hosts(hosting) != next {
			t.Errorf("%s: the new version's engine has not taken over", hosting)
		}
		l.judge()
	}
}

// nextPage goes in front of the SDK, and nextWorker in front of the worker's script, to make them those of a build in which page and engine
// speak a protocol of a higher number: each HELLO says so, and where this build's engine would know it, it is the other one's that does.
const (
	nextPage = `for (const { prototype } of [MessagePort, BroadcastChannel]) {
	const { postMessage } = prototype;
	prototype.postMessage = function (data, ...more) {
		if (data instanceof Uint8Array && data[0] === 0x94 && data[1] === 1) data[3]++;
		return postMessage.call(this, data, ...more);
	};
}
`
	nextWorker = `for (const { prototype } of [MessagePort, BroadcastChannel]) {
	const { get, set } = Object.getOwnPropertyDescriptor(prototype, 'onmessage');
	Object.defineProperty(prototype, 'onmessage', { get, set(fn) {
		set.call(this, fn && ((event) => {
			const { data } = event;
			if (data instanceof Uint8Array && data[0] === 0x94 && data[1] === 1) data[3]--;
			fn.call(this, event);
		}));
	} });
}
`
)

// TestDeployOfAnotherProtocol: a new version is deployed whose pages do not understand the engine that an old tab has. That one steps aside, so
// that no forgotten tab keeps the new version from its users; the old tab says that it is old, now and when it tries again.
func TestDeployOfAnotherProtocol(t *testing.T) {
	for _, as := range []struct{ hosting, address string }{{"shared", ""}, {"shared", "&sdk=/next/vsync.js"}, {"leader", ""}} {
		w := newWorld(t, nil)
		old := w.visit(anna)
		old.js(nil, `await e2e.open({ hosting: args[0] }); e2e.db.pause(); await e2e.notes.put('1', 1)`, as.hosting)
		w.site.mu.Lock()
		w.site.before["/vsync.js"], w.site.before["/vsync-worker.js"] = nextPage, nextWorker
		w.site.mu.Unlock()
		next := anna.open(t, w.address(anna)+as.address, nil)
		next.js(nil, `await e2e.open({ hosting: args[0] }); if (await e2e.notes.get('1') !== 1) throw new Error('it is not there'); await e2e.notes.put('2', 2)`, as.hosting)
		old.js(nil, `await e2e.status((s) => s.phase === 'closed' && s.error?.code === 'VERSION' && /newer version/.test(s.error.message))`)
		old.fails("VERSION", "reload", `await notes.get('1')`)
		old.fails("VERSION", "reload", `await e2e.open({ hosting: args[0] })`, as.hosting)
		next.js(nil, `if (await notes.get('2') !== 2) throw new Error('it is not there'); await notes.put('3', 3); await db.synced()`)
		old.reload()
		old.js(nil, `await e2e.open({ hosting: args[0] }); if (await e2e.notes.get('3') !== 3) throw new Error('it is not there')`, as.hosting)
	}
}
