package e2e

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"

	"vsync/web/browser"
)

// A fate is what may befall a device in a soak, in the middle of its writes. befall says whether it did: false if it could not at the moment.
type fate struct {
	name   string
	often  int  // beside the others
	calm   bool // it ends one tab at most, and not the engine
	befall func(l *soaked) bool
}

var fates = []fate{
	{"reload", 4, true, func(l *soaked) bool { l.reloadOne(l.any()); return true }},
	{"close", 3, true, func(l *soaked) bool { l.closeOne(l.any(), false); l.fill(); return true }},
	{"crash", 2, true, func(l *soaked) bool { l.closeOne(l.any(), true); l.fill(); return true }},
	{"freeze", 3, true, func(l *soaked) bool { l.freezeOne(l.any()); return true }},
	{"back", 3, true, func(l *soaked) bool { l.leaveAndComeBack(l.any()); return true }},
	{"online", 1, true, func(l *soaked) bool { l.fades(true); return true }},
	{"half-open", 1, true, func(l *soaked) bool { l.fades(false); return true }},
	{"portal", 1, true, func(l *soaked) bool { l.turn("portal"); return true }},
	{"mute hub", 1, true, func(l *soaked) bool { l.turn("mute"); return true }},
	{"quota", 1, true, (*soaked).runsOutOfSpace},
	{"connection closed", 2, true, (*soaked).hangUp},
	{"sleep", 2, true, (*soaked).sleep},
	{"engine", 2, false, (*soaked).endEngines},
	{"kill -9", 1, false, func(l *soaked) bool { l.kill(); return true }},
	{"hub", 1, false, func(l *soaked) bool { l.hub.Restart(); l.goOn(); return true }},
	{"deploy", 1, false, func(l *soaked) bool { l.deploy(); return true }},
	{"hosting", 2, false, func(l *soaked) bool { l.rehost(); return true }},
	{"versionchange", 1, false, func(l *soaked) bool { l.newerProgram(); return true }},
	{"data cleared", 1, false, func(l *soaked) bool { l.clearData(); return true }},
	{"logout", 1, false, func(l *soaked) bool { l.logout(); return true }},
}

// any is the tab that something befalls.
func (l *soaked) any() *tab {
	if l.calm {
		return l.tabs[1]
	}
	return l.tabs[l.s.r.IntN(len(l.tabs))]
}

// --- tabs and machines ---

// freezeOne freezes a tab for a while, in which the others go on.
func (l *soaked) freezeOne(p *tab) {
	l.t.Helper()
	p.freeze(true)
	l.without(p)
	for range 1 + l.s.r.IntN(3) {
		l.goOn()
	}
	p.freeze(false)
	l.tabs = append(l.tabs, p)
}

func (p *tab) freeze(frozen bool) {
	p.t.Helper()
	if err := p.chromium().Freeze(soon(p.t), frozen); err != nil {
		p.t.Fatal(err)
	}
}

// leaveAndComeBack has the user go elsewhere in a tab, and back.
func (l *lives) leaveAndComeBack(p *tab) {
	l.t.Helper()
	l.keep(p)
	if err := p.Go(soon(l.t), l.site.URL+"/elsewhere"); err != nil {
		l.t.Fatal(err)
	}
	l.without(p)
	l.goOn()
	l.comeBack(p)
	l.tabs = append(l.tabs, p)
}

// comeBack goes back to the application, which the browser may have kept as it was; else it begins anew.
func (l *lives) comeBack(p *tab) (kept bool) {
	l.t.Helper()
	if kept = p.back(); !kept {
		p.ready()
		l.live(p)
	}
	return kept
}

// back goes back to the application, and says whether the browser has kept it as it was.
func (p *tab) back() (kept bool) {
	p.t.Helper()
	if err := p.Back(soon(p.t)); err != nil {
		p.t.Fatal(err)
	}
	for there := false; !there; {
		err := p.Eval(soon(p.t), &there, "location.search !== ''")
		if err != nil && !strings.Contains(err.Error(), "context") && !strings.Contains(err.Error(), "page") {
			p.t.Fatal(err)
		}
	}
	if err := p.Eval(soon(p.t), &kept, "Boolean(globalThis.e2e?.db)"); err != nil {
		p.t.Fatal(err)
	}
	return kept
}

// sleep has the machine sleep: tabs stand still, and then the engine's clock is another, which may be right, or a day ahead or behind. A calm
// device only finds that its clock was set.
func (l *soaked) sleep() bool {
	l.t.Helper()
	const day = 86_400_000
	var slept bool
	l.any().js(&slept, `return await e2e.sleepUntil(args[0])`, (l.s.r.IntN(3)-1)*day)
	if !l.calm {
		for _, frozen := range []bool{true, false} {
			for _, p := range l.tabs {
				p.freeze(frozen)
			}
		}
	}
	l.goOn()
	return slept
}

// endEngines ends the workers that have an engine, or would like to.
func (l *soaked) endEngines() bool {
	l.t.Helper()
	ended := 0
	for _, p := range l.tabs { // none leads while the next engine is looked for
		ended += p.endThoseThere()
	}
	workers, err := l.engines(l.device)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, worker := range workers {
		if browser.AsChromium(l.device.Driver).CloseTarget(context.Background(), worker.ID) == nil { // else it has ended by itself
			ended++
		}
	}
	l.goOn()
	return ended > 0
}

// deploy has the scripts stand elsewhere: tabs that are open stay with those they have, and with the engine.
func (l *soaked) deploy() {
	l.t.Helper()
	if l.build == "" {
		l.build = "&sdk=/next/vsync.js"
	} else {
		l.build = ""
	}
	l.closeOne(l.any(), false)
	l.fill()
	l.goOn()
}

// rehost closes all tabs, and opens as many as there may be where the engine runs elsewhere.
func (l *soaked) rehost() {
	l.t.Helper()
	for len(l.tabs) > 0 {
		l.closeOne(l.any(), false)
	}
	all := slices.DeleteFunc([]string{"shared", "leader", "tab"}, func(x string) bool { return x == l.hosting })
	l.hosting = all[l.s.r.IntN(len(all))]
	l.fill()
	l.goOn()
}

// --- networks ---

// nets are where a device comes into that is in another network than the hub.
type nets struct {
	portal                *portal
	portalAt, muteAt, hub string
	answers               []int // of the portal
}

func newNets(t *testing.T, hub string) nets {
	t.Helper()
	p := &portal{hub: hub}
	m := &mute{hub: hub}
	m.taken.Store(math.MinInt32) // for ever
	var at [2]string
	for i, handler := range []http.Handler{p, m} {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		at[i] = server.Listener.Addr().String()
	}
	return nets{p, at[0], at[1], hub, []int{http.StatusFound, http.StatusNetworkAuthenticationRequired, http.StatusProxyAuthRequired}}
}

// turn has the device be in another network for a while: behind a portal, where the hub does not answer, or, with "", in one that is as it
// should be. The status says what is waited for.
func (l *soaked) turn(net string) {
	l.t.Helper()
	road, p := l.roads[l.device], l.any()
	l.turned = net != ""
	l.s.nets.portal.set(l.s.nets.answers[l.s.r.IntN(len(l.s.nets.answers))])
	road.Turn(map[string]string{"portal": l.s.nets.portalAt, "mute": l.s.nets.muteAt, "": l.s.nets.hub}[net])
	switch net {
	case "portal":
		p.js(nil, `await e2e.hurried(e2e.status((s) => s.error?.code === 'OFFLINE' && /sign in|network/.test(s.error.message)))`)
	case "mute":
		p.js(nil, `await e2e.hurried(e2e.status((s) => s.waiting?.for === 'welcome'))`)
	}
	l.goOn()
}

// fades has the network go away under the connection, without a word or with one of the browser's, that it may be another.
func (l *soaked) fades(said bool) {
	l.t.Helper()
	l.roads[l.device].Deafen()
	l.goOn()
	if said {
		l.any().js(nil, `dispatchEvent(new Event('online'))`)
		l.goOn()
	}
}

// --- storage ---

// runsOutOfSpace has the browser give no more space, until a write is refused for that, and then as much as before.
func (l *soaked) runsOutOfSpace() bool {
	l.t.Helper()
	p := l.any()
	l.each(`e2e.scarce(true)`)
	for tries, refused := 1, false; !refused; tries++ { // browsers tidy up, and have space again that nobody gave them
		if tries > 24 {
			l.t.Fatalf("%s: there was no space for two minutes, and no write was refused", l.device.name)
		}
		var used float64
		p.js(&used, `return (await navigator.storage.estimate()).usage`)
		used += 100_000
		p.quota(&used)
		p.js(&refused, `return await e2e.refusal(5_000)`)
	}
	p.quota(nil)
	l.each(`await e2e.plenty(20)`)
	l.each(`e2e.scarce(false)`)
	l.goOn()
	return true
}

// each runs something in all tabs.
func (l *soaked) each(body string, args ...any) {
	l.t.Helper()
	for _, p := range l.tabs {
		p.js(nil, body, args...)
	}
}

// hangUp has the browser close the engine's connection to the storage, with a word or without, and perhaps in the middle of a commit. Nobody
// notices.
func (l *soaked) hangUp() bool {
	l.t.Helper()
	var was bool
	l.any().js(&was, `return await e2e.hangUp(args[0])`, []string{"said", "silently", "in a commit"}[l.s.r.IntN(3)])
	l.goOn()
	return was
}

// newerProgram has one come that would store otherwise, and fails: the engine steps aside, and all tabs can go on when it is gone, or have not
// heard of it.
func (l *soaked) newerProgram() {
	l.t.Helper()
	l.each(`e2e.expectEnd('VERSION')`)
	l.any().js(nil, `await e2e.newerProgram()`)
	var ended []*tab
	for _, p := range l.tabs {
		var goesOn bool
		if p.js(&goesOn, `return await e2e.survives()`); !goesOn {
			l.took(p, `return await e2e.lifeEnded()`)
			ended = append(ended, p)
		}
	}
	for _, p := range ended {
		l.live(p)
	}
	l.goOn()
}

// over takes the accounts of all tabs, whose database has ended as was expected.
func (l *soaked) over() {
	l.t.Helper()
	for _, p := range l.tabs {
		l.took(p, `return await e2e.lifeEnded()`)
	}
}

// again opens the database anew in all tabs.
func (l *soaked) again() {
	l.t.Helper()
	for _, p := range l.tabs {
		l.live(p)
	}
	l.goOn()
}

// clearData has the user clear the site's data when the hub has all of it. Whoever has the database open is told, and on another device, as which
// it begins anew, all comes back that was there.
func (l *soaked) clearData() {
	l.t.Helper()
	l.turn("")
	for _, p := range l.tabs {
		l.end(p)
	}
	l.everybody()
	p := l.tabs[0]
	var was, is, fence string
	p.js(&was, `return db.device`)
	p.js(&fence, `return await e2e.hurried(e2e.fence('before data was cleared'))`)
	p.storage(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, storage.ClearDataForOrigin, storage.ClearDataForOriginParams{Origin: l.origin(), StorageTypes: "indexeddb"})
		return err
	})
	l.each(`await e2e.status((s) => s.phase === 'closed' && s.error?.code === 'STORAGE_LOST')`)
	l.load(ballast)
	l.again()
	p.js(&is, `return db.device`)
	if is == was {
		l.t.Errorf("%s is %s, as before its data was cleared", l.device.name, is)
	}
	p.js(nil, `await e2e.hurried(e2e.sees([args[0]]))`, fence)
}

// logout has the user leave in the middle of writes, and the same one, or another, come after him. What was not sent stays for when he comes back.
func (l *soaked) logout() {
	l.t.Helper()
	l.each(`e2e.expectEnd('LOGGED_OUT')`)
	l.any().js(nil, `await vsync.logout(e2e.name)`)
	l.over()
	l.login([]string{"ada", "ben"}[l.s.r.IntN(2)])
	l.load(ballast) // who was never here has it all before him
	l.again()
}
