package e2e

import "testing"

// TestWithoutNetwork: an application that keeps itself offline is reloaded, and its browser started again, with its web server
// and the hub gone: page, SDK, engine and data are there. What was written then reaches the hub later.
func TestWithoutNetwork(t *testing.T) {
	w := newWorld(t, nil)
	a := w.open(anna)
	a.js(nil, `await vsync.keepOffline({ files: args[0] }); await notes.put('1', 'before'); await db.synced()`,
		[]string{"/page.js", "/seeing.js", "/storm.js", "/cities.js", "/rounds.js", "/lives.js", "/toil.js"})
	asked := w.site.requests()
	w.hub.Die()
	w.site.Close()
	a.reload()
	var there string
	a.js(&there, `await e2e.open(); await e2e.notes.put('2', 'without'); return await e2e.notes.get('1')`)
	if there != "before" {
		t.Errorf("after a reload without any network %q is there", there)
	}
	anna.restart(t)
	a = w.visit(anna)
	var objects []entry
	a.js(&objects, `await e2e.open(); await e2e.notes.put('3', 'after'); return e2e.plain(await e2e.notes.query())`)
	if len(objects) != 3 || objects[1].Value != "without" {
		t.Errorf("after a start without any network there is %+v", objects)
	}
	if w.site.requests() != asked {
		t.Errorf("the web server was asked %d times after it was gone", w.site.requests()-asked)
	}
	w.hub.Start()
	a.js(nil, `await e2e.db.synced()`)
	b := bert.open(t, newSite(t, w.hub.Addr()).page("ws://"+w.roads[bert].Addr()), nil)
	b.js(nil, `await e2e.open(); await e2e.result('notes', {}, (all) => all.length === 3)`)
}

// TestOnTheHubsOwnOrigin: a page that the hub itself has served uses the SDK as it is, under the hub's own rules for pages.
func TestOnTheHubsOwnOrigin(t *testing.T) {
	w := newWorld(t, nil)
	a := bareTab(t, anna, "http://"+w.hub.Addr()+"/vsync.d.ts")
	var version string
	err := a.Eval(soon(t), &version, `(async () => {
		const { open } = await import('/vsync.js');
		const db = await open('e2e', { feed: location.origin });
		const receipt = await db.collection('notes').put('1', 'of the hub\'s own page');
		await receipt.synced();
		globalThis.e2e = { db };
		return receipt.version;
	})()`)
	if err != nil {
		t.Fatalf("%v%s", err, a.standing())
	}
	b := w.open(bert)
	var e entry
	b.js(&e, `const [e] = await e2e.result('notes', {}, (all) => all.length === 1); return e`)
	if e.Version != version {
		t.Errorf("bert has %+v, and %s was written", e, version)
	}
}
