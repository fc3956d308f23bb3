package e2e

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"vsync/edge/token"
)

// users has the hub ask for tokens; who it returns gives them.
func (w *world) users() (tokenOf func(subject string) string) {
	w.t.Helper()
	keys, err := (&token.Keys{}).With("test", token.EdDSA, rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	w.hub.Options.Keys = keys
	w.hub.Restart()
	return func(subject string) string {
		w.t.Helper()
		text, err := keys.Sign(token.Claims{Subject: subject, Databases: []string{database}, Write: true, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			w.t.Fatal(err)
		}
		return text
	}
}

// as opens the database as who has a token, if there is one; nothing is sent where a second argument is given.
const as = `globalThis.me = args[0];
	globalThis.token = () => { if (!me) throw new Error('no network'); return me; };
	await e2e.open(args[1] ? { token, feed: undefined } : { token });
	return e2e.db.device`

// TestLogout: two users of one browser, of one database. What was written before anyone came is the first one's. What one has written and not
// sent, the other does not see, and does not send, and it stands in nothing that is stored for the other; who comes back finds it. A page
// that stays open shows nothing after a logout. Without a network that of the last one is opened, and nobody's after a logout.
func TestLogout(t *testing.T) {
	w := newWorld(t, nil)
	tokenOf := w.users()
	ada, ben := tokenOf("ada"), tokenOf("ben")
	const secret = "what only ada may read"

	p := w.visit(anna)
	var nobodys, adas, bens, device string
	p.js(&nobodys, as, "")
	p.js(nil, `await notes.put('early', 0); await db.close()`)
	p.js(&adas, as, ada, "nothing is sent")
	if nobodys != adas {
		t.Errorf("before anyone came it was %s, and the first is %s", nobodys, adas)
	}
	p.js(nil, `await db.close()`)
	p.js(&bens, as, ben)
	p.js(nil, `await db.synced(); if (await notes.count() > 0) throw new Error('ben has what is the first one\'s'); await db.close()`)
	p.js(&adas, as, ada)
	stays := w.visit(anna) // another tab of the same browser
	stays.js(nil, as, ada)
	stays.js(nil, `globalThis.over = Promise.all([
			(async () => { for await (const event of notes.watch()) void event })().catch((err) => err.code),
			new Promise((no) => notes.subscribe({}, () => {}, (err) => no(err.code))),
			notes.put('last', 1).then(() => 'stored'),
		]);
		await e2e.result('notes', {}, (entries) => entries.length === 2); await db.synced()`)
	p.js(nil, `await db.synced(); db.pause(); await notes.put('unsent', args[0]); await e2e.vsync.logout('e2e')`, secret)
	for _, tab := range []*tab{p, stays} {
		tab.js(nil, `await e2e.status((s) => s.phase === 'closed' && s.error?.code === 'LOGGED_OUT')`)
		tab.fails("LOGGED_OUT", "logged out", `await notes.get('early')`)
	}
	var settled []string
	stays.js(&settled, `return await over`)
	if !slices.Equal(settled, []string{"LOGGED_OUT", "LOGGED_OUT", "stored"}) {
		t.Errorf("in the page that stayed open: %q", settled)
	}
	p.fails("UNAUTHENTICATED", "no network.*log in", `me = ''; await e2e.open({ token })`)
	p.fails("UNAUTHENTICATED", "with a token", `await e2e.open()`)
	p.fails("INVALID", "since a logout", `await e2e.vsync.destroy('e2e', { force: true })`)

	other := w.visit(anna)
	other.js(&bens, as, ben)
	other.js(nil, `await e2e.result('notes', {}, (entries) => entries.length > 0); await db.synced();
		const found = (await notes.query()).map((e) => e.id);
		if (String(found) !== 'early,last') throw new Error('ben sees ' + found);
		await notes.put('of ben', 3); await db.synced()`)
	var where []string
	other.js(&where, `return await e2e.where(args[0])`, secret)
	if !slices.Equal(where, []string{"vsync:e2e"}) {
		t.Errorf("what ada has not sent stands in %q", where)
	}
	p.js(&device, as, ada)
	if device != adas || bens == adas {
		t.Fatalf("ada is %s, and then %s; ben is %s", adas, device, bens)
	}
	for _, tab := range []*tab{p, other} {
		tab.js(nil, `await e2e.result('notes', {}, (entries) => entries.length === 4)`)
	}
	p.js(nil, `await db.synced(); await db.close()`)
	other.js(nil, `me = args[0]`, ada)

	w.hub.Restart() // asks for a token
	other.js(nil, `await e2e.status((s) => s.phase === 'closed' && s.error?.code === 'FORBIDDEN')`)
	other.fails("FORBIDDEN", "another user", `await notes.get('early')`)

	other.js(nil, as, ben)
	other.js(nil, `await db.close()`)
	p.js(&device, as, "") // the last to open it was ben
	if device != bens {
		t.Errorf("without a token %s is opened, and ben is %s", device, bens)
	}
	p.js(nil, `await notes.put('without a network', 4); await db.close();
		const names = (await indexedDB.databases()).map((d) => d.name).filter((n) => n.startsWith('vsync:e2e')).sort();
		if (names.length !== 2 || names[0] !== 'vsync:e2e' || !/^vsync:e2e~[0-9a-f]{32}$/.test(names[1])) throw new Error('there are ' + names)`)
	p.fails("UNSENT", "1 batch", `await e2e.vsync.destroy('e2e')`)
	p.js(nil, `await e2e.vsync.destroy('e2e', { force: true })`)
	p.js(&device, as, ada)
	if device != adas {
		t.Errorf("what is destroyed is ada's: she is %s, and was %s", device, adas)
	}
}

// TestLogoutOfFollowers: where tabs elect one that leads, a logout in one that follows ends the database in all of them. The next user gets
// another replica, be it led by the same tab, and who comes back finds what was not sent.
func TestLogoutOfFollowers(t *testing.T) {
	w := newWorld(t, nil)
	w.lacks = []string{"SharedWorker"}
	tokenOf := w.users()
	ada, ben := tokenOf("ada"), tokenOf("ben")
	leads, follows := w.visit(anna), w.visit(anna)
	var adas, bens, again string
	leads.js(&adas, as, ada)
	follows.js(nil, as, ada)
	follows.js(nil, `if (db.status.current.hosting !== 'follower') throw new Error(db.status.current.hosting);
		db.pause(); await notes.put('unsent', 'of ada'); await vsync.logout('e2e')`)
	for _, p := range []*tab{leads, follows} {
		p.js(nil, `await e2e.status((s) => s.phase === 'closed' && s.error?.code === 'LOGGED_OUT')`)
		p.fails("LOGGED_OUT", "logged out", `await notes.get('unsent')`)
	}
	for _, p := range []*tab{leads, follows} {
		p.js(&bens, as, ben)
		p.js(nil, `await db.synced(); if (await notes.count() > 0) throw new Error('ben has what is of ada')`)
	}
	if bens == adas {
		t.Errorf("both are %s", adas)
	}
	follows.js(nil, `await db.close()`)
	follows.js(&again, as, ada)
	follows.js(nil, `if (await notes.get('unsent') !== 'of ada') throw new Error('lost'); await db.synced()`)
	if again != adas {
		t.Errorf("ada was %s, and is %s", adas, again)
	}
}
