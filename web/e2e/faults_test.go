package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"nhooyr.io/websocket"

	"vsync/core/wire"
	"vsync/edge/e2e/program"
	"vsync/web/browser"
)

// A trouble is what a status says of it.
type trouble struct {
	Phase string `json:"phase"`
	Error struct {
		Code, Message string
	} `json:"error"`
	Pending int `json:"pending"`
}

// says wants a page to come to say this of its sync, with a message that tells what to do.
func (p *tab) says(code string, words ...string) (said trouble) {
	p.t.Helper()
	p.js(&said, `return await e2e.status((s) => s.error?.code === args[0])`, code)
	for _, word := range words {
		if !strings.Contains(said.Error.Message, word) {
			p.t.Errorf("%s: the message of %s lacks %q: %s", p.name, code, word, said.Error.Message)
		}
	}
	return said
}

// TestNoHubThere: nobody listens at the hub's address, or a network's own page is, one after the other of its kinds. That is told, writing
// goes on, and the hub gets everything as soon as it can be reached.
func TestNoHubThere(t *testing.T) {
	w := newWorld(t, nil)
	w.site.before["/vsync-worker.js"] = fast
	a := w.open(anna) // the hub has the SDK's files
	a.js(nil, `await db.close()`)
	w.hub.Die()
	a.js(nil, `await e2e.open(); await e2e.notes.put('1', 1)`)
	a.says("OFFLINE", "ws://"+w.roads[anna].Addr(), "check that the hub runs")
	w.hub.Start()
	a.js(nil, `await db.synced(); await e2e.status((s) => s.phase === 'live' && !s.error)`)

	p := &portal{hub: w.hub.Addr(), status: http.StatusFound}
	web := httptest.NewServer(p)
	defer web.Close()
	a.js(nil, `await db.close(); await e2e.open({ name: 'away', feed: args[0] })`, web.URL)
	for n, status := range []int{http.StatusFound, http.StatusNetworkAuthenticationRequired, http.StatusProxyAuthRequired} {
		p.set(status)
		says := "sign in to this network"
		if status == http.StatusProxyAuthRequired && kind == browser.Chromium { // to a page this is as if nothing had answered
			says = "wants you to sign in"
		}
		a.js(nil, `const from = e2e.db.status.current.waiting?.since ?? 0;
			await notes.put(args[0], 1);
			await e2e.status((s) => s.phase === 'waiting' && s.error?.code === 'OFFLINE' && s.error.message.includes(args[1]) && s.error.message.includes(args[2]) &&
				s.pending === Number(args[0]) && s.waiting?.for === 'attempt' && s.waiting.since > from && s.waiting.since <= Date.now())`,
			strconv.Itoa(n+1), says, strings.TrimPrefix(web.URL, "http://"))
	}
	p.set(http.StatusOK)
	a.js(nil, `await db.synced(); await e2e.status((s) => s.phase === 'live' && s.pending === 0 && !s.waiting && !s.error)`)
}

// A portal is a network in which one has to sign in: whoever asks for anything gets this answer instead. With 200 one has signed in, and
// reaches the hub.
type portal struct {
	hub    string
	mu     sync.Mutex
	status int
}

func (p *portal) set(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

func (p *portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	status := p.status
	p.mu.Unlock()
	switch status {
	case http.StatusOK:
		httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: p.hub}).ServeHTTP(w, r)
		return
	case http.StatusProxyAuthRequired:
		w.Header().Set("Proxy-Authenticate", `Basic realm="Our café"`)
	case http.StatusFound:
		if r.URL.Path != "/login" {
			http.Redirect(w, r, "/login", status)
			return
		}
		status = http.StatusOK
	}
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	io.WriteString(w, "<!doctype html><title>Welcome to our café</title>")
}

// TestHubRefusesOrigin: a hub that has not been told of an application's origin lets none of its pages in.
func TestHubRefusesOrigin(t *testing.T) {
	w := newWorld(t, nil)
	guarded := program.Serve(t, t.TempDir())
	a := w.visit(anna)
	a.js(nil, `await e2e.open({ feed: args[0] }); await e2e.notes.put('1', 1);
		await e2e.status((s) => s.error?.code === 'OFFLINE' && s.pending === 1)`, "ws://"+guarded.Addr())
	if said := a.says("OFFLINE", "ws://"+guarded.Addr()); said.Pending != 1 {
		t.Errorf("%+v", said)
	}
}

// speak is a server that accepts the feed's subprotocol, and answers the hello with these frames.
func speak(t *testing.T, frames ...[]byte) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer socket.CloseNow()
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		if _, _, err := socket.Read(ctx); err != nil {
			return
		}
		for _, frame := range frames {
			if socket.Write(ctx, websocket.MessageBinary, frame) != nil {
				return
			}
		}
		socket.Read(ctx) // until the page has had enough
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

func frame(t *testing.T, m wire.Message) []byte {
	t.Helper()
	b, err := wire.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHubOfAnotherKind: what speaks there does not speak the protocol, or another version of it. That is told, nothing that
// it says is believed, and the database can be used.
func TestHubOfAnotherKind(t *testing.T) {
	w := newWorld(t, nil)
	a := w.visit(anna)
	for name, x := range map[string]struct {
		address, code string
		words         []string
	}{
		"garbage": {speak(t, []byte("hello, who are you?")), "PROTOCOL", nil},
		"token":   {speak(t, frame(t, &wire.Error{Code: wire.CodeUnauthenticated, Text: "this hub wants a token"})), "UNAUTHENTICATED", []string{"token"}},
		"crowd":   {speak(t, frame(t, &wire.Error{Code: wire.CodeRateLimited, Text: "too many devices at once", Retry: 60_000})), "RATE_LIMITED", []string{"too many"}},
		"version": {speak(t, frame(t, &wire.Error{Code: wire.CodeVersion, Text: "this hub speaks vsync.2 only: update the application"})), "VERSION", []string{"update"}},
	} {
		a.js(nil, `await e2e.open({ name: args[0], feed: args[1] }); await e2e.notes.put('1', 1);
			await e2e.status((s) => s.pending === 1)`, name, x.address)
		if said := a.says(x.code, x.words...); said.Pending != 1 {
			t.Errorf("%s: %+v", name, said)
		}
		a.js(nil, `if (await notes.get('1') !== 1) throw new Error('lost'); await db.close()`)
	}
}

// TestOtherHub: the hub's data is gone, and another hub, new and empty, stands at its address. The device does not give it
// what it has, keeps all of it, and says what has happened.
func TestOtherHub(t *testing.T) {
	w := newWorld(t, nil)
	a := w.open(anna)
	a.js(nil, `await notes.put('1', 'sent'); await db.synced()`)
	w.hub.Die()
	w.hub.Wipe()
	w.hub.Start()
	b := w.open(bert)
	b.js(nil, `await notes.put('2', 'of the new hub'); await db.synced()`)
	said := a.says("OTHER_HUB", "hub")
	if said.Phase != "refused" {
		t.Errorf("%+v", said)
	}
	t.Logf("OTHER_HUB: %s", said.Error.Message)
	a.js(nil, `await notes.put('3', 'not sent')`)
	a.fails("OTHER_HUB", ``, `await db.synced()`)
	var have []entry
	a.js(&have, `return e2e.plain(await notes.query())`)
	if len(have) != 2 || have[0].Value != "sent" {
		t.Errorf("the device has %+v", have)
	}
	var objects []entry
	b.js(&objects, `return e2e.plain(await notes.query())`)
	if len(objects) != 1 {
		t.Errorf("the other hub got what is not its: %+v", objects)
	}
}

// TestHubLosesItsData: the hub's files are gone, or older ones were put back, while its key is there; others write meanwhile. The browsers
// give it back what they have, nothing is lost or doubled, and watchers begin again with what is there.
func TestHubLosesItsData(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	a.js(nil, `for (let i = 0; i < 300; i++) await notes.put('a' + i, { n: i }); await db.synced()`)
	b.js(nil, `await notes.put('b', 'first'); await db.synced()`)
	meet(t, a, b)
	w.hub.Die()
	file := w.hub.File(database)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w.hub.Start()
	a.js(nil, `await notes.put('b', 'second'); await notes.delete('a0'); await db.synced()`)
	meet(t, a, b)
	for round, files := range [][]byte{nil, old} {
		b.js(nil, `db.pause()`)
		w.hub.Die()
		for _, end := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(file + end); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		if files != nil {
			if err := os.WriteFile(file, files, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.hub.Start()
		a.js(nil, fmt.Sprintf(`await notes.put('new', %d); await db.synced()`, round))
		b.js(nil, `db.resume()`)
		meet(t, a, b)
		alike(t, a, b)
		for _, p := range []*tab{a, b} {
			p.js(nil, fmt.Sprintf(`await e2e.status((s) => s.phase === 'live' && s.pending === 0);
				const all = await notes.query();
				const one = (id) => all.find((e) => e.id === id)?.value;
				if (all.length !== 301 || one('b') !== 'second' || one('a0') !== undefined || one('new') !== %d || all.some((e) => e.conflict)) throw new Error(JSON.stringify(e2e.plain(all)).slice(0, 500))`, round))
		}
	}
}

// TestUnsent: a replica with changes that no hub has is not destroyed, unless one insists.
func TestUnsent(t *testing.T) {
	w := newWorld(t, nil)
	a := w.open(anna)
	a.js(nil, `await notes.put('1', 'sent'); await db.synced(); db.pause(); await notes.put('2', 'not sent'); await db.close()`)
	a.fails("UNSENT", `1 batch.*(synced|force)`, `await vsync.destroy('e2e')`)
	a.js(nil, `await e2e.open(); db.pause?.call(e2e.db); if (await e2e.notes.get('2') !== 'not sent') throw new Error('it was destroyed')`)
	var before, after string
	a.js(&before, `const { device } = db; await db.close(); await vsync.destroy('e2e', { force: true }); return device`)
	a.js(&after, `await e2e.open(); return e2e.db.device`)
	if before == after {
		t.Errorf("the destroyed replica was %s, and so is the new one", before)
	}
	a.js(nil, `const [e] = await e2e.result('notes', {}, (all) => all.length > 0); if (e.id !== '1') throw new Error(e.id)`)
}

// TestLocked: a page that hosts its engine itself has the database to itself. Another one is told so at once.
func TestLocked(t *testing.T) {
	w := newWorld(t, nil)
	first, second := w.visit(anna), w.visit(anna)
	first.js(nil, `await e2e.open({ hosting: 'tab' }); await e2e.notes.put('1', 'of the first')`)
	from := time.Now()
	second.fails("LOCKED", `another tab.*close`, `await e2e.open({ hosting: 'tab' })`)
	second.fails("LOCKED", `another tab.*close`, `await e2e.open()`)
	t.Logf("refused twice in %v", time.Since(from))
	first.js(nil, `if (db.status.current.hosting !== 'tab') throw new Error(db.status.current.hosting); await db.synced()`)
	first.close()
	second.js(nil, `for (;;) {
			try { await e2e.open({ hosting: 'tab' }); break } catch (err) { if (err.code !== 'LOCKED') throw err }
		}
		if (await e2e.notes.get('1') !== 'of the first') throw new Error('lost')`)
}

// TestEngineLost: the worker that holds the engine is ended by the browser. Another one takes its place, and whoever waited hears of
// nothing. When no other one can start, whoever waits is told; what was confirmed is there when the database is opened again, and it is
// there once.
func TestEngineLost(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.both()
	a.js(nil, `await notes.put('n', 0); e2e.n = 0; e2e.seen = [];
		e2e.lost = (async () => { for (;;) { await notes.put('n', e2e.n + 1); e2e.n++ } })().catch((err) => err);
		e2e.sub = new Promise((_, no) => notes.subscribe({}, () => {}, no)).catch((err) => err);
		e2e.watching = (async () => { for await (const e of db.watch({ from: 'now' })) e2e.seen.push(e.changes[0].value) })().catch((err) => err);
		await e2e.result('notes', {}, ([e]) => e.value > 10)`)
	if err := w.endEngine(anna); err != nil {
		t.Fatal(err)
	}
	var seen []int
	a.js(&seen, `const goal = e2e.n + 20; await e2e.result('notes', {}, ([e]) => e.value > goal);
		await e2e.status((s) => s.phase === 'live'); return e2e.seen`)
	for i, n := range seen {
		if n != seen[0]+i {
			t.Errorf("the watcher saw %v", seen)
			break
		}
	}
	meet(t, a, b)
	w.site.lacks("/vsync-worker.js")
	if err := w.endEngine(anna); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"lost", "sub", "watching"} {
		a.fails("ENGINE_LOST", `vsync-worker\.js`, `throw await e2e[args[0]]`, what)
	}
	a.fails("ENGINE_LOST", `vsync-worker\.js`, `await notes.get('n')`)
	a.js(nil, `await e2e.status((s) => s.phase === 'closed' && s.error.code === 'ENGINE_LOST')`)
	w.site.lacks()
	var confirmed, there int
	a.js(&confirmed, `return e2e.n`)
	a.js(&there, `await e2e.open(); return await e2e.notes.get('n')`)
	if there != confirmed && there != confirmed+1 {
		t.Errorf("%d is there, and %d was confirmed", there, confirmed)
	}
	meet(t, a, b)
	alike(t, a, b)
}

// TestEngineMissing: the web server lacks a part of the SDK. What is missing is named, and when it is there, the same page can go on.
func TestEngineMissing(t *testing.T) {
	w := newWorld(t, nil)
	a := w.visit(anna)
	for _, file := range []string{"/vsync-worker.js", "/vsync.wasm"} {
		w.site.lacks(file)
		a.fails("ENGINE_LOST", regexp.QuoteMeta(file[1:]), `await e2e.open()`)
		a.fails("ENGINE_LOST", regexp.QuoteMeta(file[1:]), `await e2e.open({ hosting: 'tab' })`)
	}
	w.site.lacks()
	a.js(nil, `await e2e.open(); await e2e.notes.put('1', 1); await e2e.db.synced()`)
}

// origin is what the browser's storage goes by.
func (w *world) origin() string { return w.site.URL }

// storage runs a command on the storage of the application's origin.
func (p *tab) storage(run func(ctx context.Context, target *chromedp.Target) error) {
	p.t.Helper()
	if err := p.chromium().Do(soon(p.t), chromedp.Func(run)); err != nil {
		p.t.Fatal(err)
	}
}

// quota is what the browser lets the application keep; nil: what it always would.
func (p *tab) quota(bytes *float64) {
	p.t.Helper()
	var origin string
	p.js(&origin, `return location.origin`)
	p.storage(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, storage.OverrideQuotaForOrigin, storage.OverrideQuotaForOriginParams{Origin: origin, QuotaSize: bytes})
		return err
	})
}

// TestQuotaWhileCatchingUp: the browser gives no more space while the hub sends. The status says so, what was there is there, and when there
// is space again the rest comes by itself behind what had come.
func TestQuotaWhileCatchingUp(t *testing.T) {
	w := newWorld(t, nil)
	w.site.before["/vsync-worker.js"] = fast
	a, b := w.visit(anna), w.open(bert)
	little := 3e6
	a.quota(&little)
	a.js(nil, `await e2e.open(); await e2e.notes.put('1', 'kept'); await e2e.db.synced(); e2e.db.pause()`)
	b.js(nil, `for (let i = 0; i < 20; i++) await notes.put('large ' + i, new Uint8Array(500_000).fill(i)); await db.synced()`)
	a.js(nil, `db.resume()`)
	if said := a.says("QUOTA", "space"); said.Phase != "waiting" {
		t.Errorf("%+v", said)
	}
	var had []string
	a.js(&had, `if (await notes.get('1') !== 'kept') throw new Error('what was there is gone'); return (await notes.query()).map((e) => e.id)`)
	t.Logf("%d of 21 objects are there", len(had))
	if len(had) > 20 {
		t.Error("all came: this proves nothing")
	}
	a.quota(nil)
	a.js(nil, `await e2e.status((s) => s.phase === 'live' && !s.error)`)
	meet(t, a, b)
	var objects [2]string
	for i, p := range []*tab{a, b} {
		p.js(&objects[i], `return (await notes.query()).map((e) => [e.id, e.version, e.conflict, e.value.length]).join('\n')`)
	}
	if objects[0] != objects[1] || strings.Count(objects[0], "\n") != 20 {
		t.Errorf("anna holds\n%s\nand bert\n%s", objects[0], objects[1])
	}
}

// TestQuota: the browser gives no more space. The write says so, and has written nothing; reading, small writes and sync go on
// as far as there is space, and when there is, all does.
func TestQuota(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.visit(anna), w.open(bert)
	little := 3e6
	a.quota(&little) // before it is opened: what the browser knows of the space it believes for a while
	a.js(nil, `await e2e.open(); await e2e.notes.put('1', 'kept'); await e2e.db.synced()`)
	var confirmed []string
	a.js(&confirmed, `const confirmed = [];
		try {
			for (let i = 0; i < 100; i++) { const id = 'large ' + i; await notes.put(id, new Uint8Array(500_000).fill(i)); confirmed.push(id) }
		} catch (err) { e2e.failed = err }
		return confirmed`)
	a.fails("QUOTA", `space`, `if (e2e.failed) throw e2e.failed`)
	a.fails("QUOTA", `space`, `await db.batch((tx) => { tx.put(notes, '1', 'overwritten'); for (let i = 0; i < 8; i++) tx.put(notes, 'more ' + i, new Uint8Array(1_000_000)) })`)
	var there []string
	a.js(&there, `if (await notes.get('1') !== 'kept') throw new Error('a batch that failed was written'); return (await notes.query()).map((e) => e.id)`)
	if len(there) != len(confirmed)+1 {
		t.Errorf("%d writes were confirmed, and there are %v", len(confirmed), there)
	}
	t.Logf("%d writes of 500 kB went into a quota of 3 MB", len(confirmed))
	a.quota(nil)
	a.js(nil, `await notes.put('last', new Uint8Array(1_000_000)); await db.synced()`)
	meet(t, a, b)
	var objects int
	b.js(&objects, `return await notes.count()`)
	if objects != len(confirmed)+2 {
		t.Errorf("%d objects came to bert, want %d", objects, len(confirmed)+2)
	}
}

// TestStorageLost: the user clears the site's data while it is open. Whoever uses the database is told; when it is opened
// again it is another device, which has everything from the hub.
func TestStorageLost(t *testing.T) {
	w := newWorld(t, nil)
	a := w.open(anna)
	var device string
	a.js(&device, `for (let i = 0; i < 50; i++) await notes.put(String(i), i); await db.synced(); return db.device`)
	a.storage(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, storage.ClearDataForOrigin, storage.ClearDataForOriginParams{Origin: w.origin(), StorageTypes: "indexeddb"})
		return err
	})
	a.js(nil, `await e2e.status((s) => s.phase === 'closed' && s.error?.code === 'STORAGE_LOST')`)
	a.fails("STORAGE_LOST", `open`, `await notes.put('1', 1)`)
	a.fails("STORAGE_LOST", `open`, `await notes.get('1')`)
	var again string
	a.js(&again, `await db.close(); return await e2e.open()`)
	if again == device {
		t.Errorf("the device is %s, as before its storage was lost", again)
	}
	a.js(nil, `await e2e.result('notes', {}, (all) => all.length === 50); await e2e.notes.put('after', 1); await db.synced()`)
}

// TestCorrupt: every row of the storage is damaged, and the application comes up with what the hub has.
func TestCorrupt(t *testing.T) {
	w := newWorld(t, nil)
	a := w.open(anna)
	a.js(nil, `for (let i = 0; i < 100; i++) await notes.put(String(i), 'x'.repeat(200)); await db.synced(); await db.close()`)
	const rows = `const rows = async (change) => {
		for (const { name } of await indexedDB.databases()) {
			const db = await new Promise((ok, no) => { const r = indexedDB.open(name); r.onsuccess = () => ok(r.result); r.onerror = () => no(r.error) });
			const all = {};
			for (const store of db.objectStoreNames) {
				const tx = db.transaction(store, 'readwrite'), s = tx.objectStore(store);
				const [keys, values] = await Promise.all([s.getAllKeys(), s.getAll()].map((r) => new Promise((ok, no) => { r.onsuccess = () => ok(r.result); r.onerror = () => no(r.error) })));
				keys.forEach((key, i) => { const value = change?.(values[i]); if (value) s.put(value, key); all[store + ' ' + new Uint8Array(key)] = [...(value ?? values[i])] });
				await new Promise((ok, no) => { tx.oncomplete = ok; tx.onabort = () => no(tx.error) });
			}
			db.close();
			return all;
		}
	};`
	a.js(nil, rows+`e2e.damaged = await rows((value) => { const damaged = value.slice(); damaged[damaged.length >> 1] ^= 1; return damaged });
		if (Object.keys(e2e.damaged).length === 0) throw new Error('there are no rows')`)
	// The application comes up all the same: what is damaged is set aside, and what was there comes from the hub.
	a.js(nil, `await e2e.open(); await e2e.result('notes', {}, (all) => all.length === 100)`)
	a.js(nil, `const { ok, objects, findings, aside } = await db.check({ repair: true });
		if (!ok || objects !== 100 || findings.some((f) => !f.repaired && !f.harmless) || aside.length === 0 || !aside.every((f) => f.repaired && f.what && f.time)) throw new Error(JSON.stringify({ ok, objects, findings, aside }));
		const again = await db.check();
		if (!again.ok || again.findings.some((f) => !f.harmless)) throw new Error(JSON.stringify(again));
		await notes.put('after', 1); await db.synced()`)
	a.js(nil, `await vsync.destroy('e2e', { force: true }); await e2e.open(); await e2e.result('notes', {}, (all) => all.length === 100)`)
}

// TestStorageOfAnotherVersion: a newer build comes while a page has the database open, and changes how it is stored. The page steps aside and
// says why, and this build does not open it any more.
func TestStorageOfAnotherVersion(t *testing.T) {
	w := newWorld(t, nil)
	a := w.open(anna)
	a.js(nil, `await notes.put('1', 1); await db.synced();
		for (const { name, version } of await indexedDB.databases()) {
			await new Promise((ok, no) => { const r = indexedDB.open(name, version + 1); r.onsuccess = () => { r.result.close(); ok() }; r.onerror = () => no(r.error); r.onblocked = () => no(new Error('blocked')) });
		}`)
	if said := a.says("VERSION", "newer version", "reload"); said.Phase != "closed" {
		t.Errorf("%+v", said)
	}
	a.fails("VERSION", `newer version.*reload`, `await notes.put('2', 2)`)
	a.fails("VERSION", `newer version.*reload`, `await e2e.open()`)
}
