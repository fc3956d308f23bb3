package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"vsync/edge/e2e/proxy"
)

var minutesFlag = flag.Float64("minutes", 0, "how long TestSoak goes on; 0: it does nothing")

// TestSoak: four tabs in two browsers write for as long as one likes, through networks that cut, while all befalls them that befalls tabs.
// In the end every write that was confirmed is there exactly once, on both.
func TestSoak(t *testing.T) {
	if *minutesFlag == 0 {
		return
	}
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-args -seed %d -minutes %v", seed, *minutesFlag)
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, func(n int) proxy.Script {
		return proxy.Plan{Seed: seed + uint64(n), Gap: 250_000, Delays: 5, Stalls: 1, Cuts: 4, MaxDelay: 20 * time.Millisecond, MaxStall: 500 * time.Millisecond}.Script()
	})
	all := []*lives{{world: w, device: anna, hosting: "shared", rest: 100}, {world: w, device: bert, hosting: "leader", rest: 100}}
	for _, l := range all {
		l.more()
		l.more()
	}
	happened := map[string]int{}
	for end := time.Now().Add(time.Duration(*minutesFlag * float64(time.Minute))); time.Now().Before(end) && !t.Failed(); {
		happened[all[r.IntN(2)].befall(r)]++
	}
	t.Logf("what happened: %v", happened)
	for _, road := range w.roads {
		road.Heal()
	}
	var confirmed []string
	for _, l := range all {
		l.judge()
		confirmed = append(confirmed, l.confirmed...)
	}
	meet(t, all[0].tabs[0], all[1].tabs[0])
	for _, l := range all {
		l.holds(confirmed)
		var stored struct{ Usage, Count float64 }
		l.tabs[0].js(&stored, `return { usage: (await navigator.storage.estimate()).usage, count: await db.collection('things').count() }`)
		t.Logf("%s: %.0f objects in %.1f MB", l.device.name, stored.Count, stored.Usage/1e6)
	}
	alike(t, all[0].tabs[0], all[1].tabs[0])
}

// TestMainThread: while 100,000 objects are written and another device takes them up, no task of either page's main thread is over 50 ms.
func TestMainThread(t *testing.T) {
	if *minutesFlag == 0 {
		return
	}
	a, b := newWorld(t, nil).both()
	const objects = 100_000
	for _, p := range []*tab{a, b} {
		p.chromium() // nobody else tells of long tasks
		p.js(nil, `e2e.longestTask()`)
	}
	a.js(nil, `for (let n = 0; n < args[0]; n += 1000) {
			await notes.putMany(Array.from({ length: 1000 }, (_, i) => ['note ' + String(n + i).padStart(6, '0'), { n: n + i, text: 'x'.repeat(150) }]))
		}
		await db.synced()`, objects)
	meet(t, a, b)
	var n, wrote, caught int
	a.js(&wrote, `return e2e.longestTask()`)
	b.js(&caught, `return e2e.longestTask()`)
	b.js(&n, `return await notes.count()`)
	if n != objects {
		t.Errorf("%d objects came, want %d", n, objects)
	}
	t.Logf("the longest task took %d ms in the page that wrote, %d ms in the other one; 0: none was over 50", wrote, caught)
	if wrote+caught > 0 && !crowded(t) {
		t.Error("the main thread was busy for too long")
	}
}

// crowded says that so much else runs on the machine that a short task may take long.
func crowded(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	load := 0.0
	if _, scanned := fmt.Sscan(string(text), &load); err != nil || scanned != nil {
		t.Fatal(err, scanned)
	}
	t.Logf("the load is %.1f on %d cores", load, runtime.NumCPU())
	return load > 3*float64(runtime.NumCPU())
}

// befall lets one thing happen to a device in the middle of its writes, and says what.
func (l *lives) befall(r *rand.Rand) string {
	l.t.Helper()
	p := l.tabs[r.IntN(len(l.tabs))]
	switch n := r.IntN(20); {
	case n < 4:
		l.reloadOne(p)
		return "reload"
	case n < 7:
		l.closeOne(p, false)
		l.more()
		return "close"
	case n < 9:
		l.closeOne(p, true)
		l.more()
		return "crash"
	case n < 12:
		l.thaw(p, r)
		return "freeze"
	case n < 15:
		l.leaveAndComeBack(p)
		return "back"
	case n < 17 && l.hosting == "shared":
		l.endShared()
		return "engine"
	case n < 17:
		l.hosts("leader").endWorkers()
		return "engine"
	case n < 18:
		for _, p := range l.tabs {
			l.keep(p)
		}
		l.device.die(l.t)
		for _, p := range l.tabs {
			p.gone()
		}
		l.tabs = nil
		l.more()
		l.more()
		return "kill -9"
	case n < 19:
		l.hub.Restart()
		return "hub"
	}
	l.goOn()
	return "nothing"
}

// thaw freezes a tab for a while, in which the others go on.
func (l *lives) thaw(p *tab, r *rand.Rand) {
	l.t.Helper()
	if err := p.chromium().Freeze(soon(l.t), true); err != nil {
		l.t.Fatal(err)
	}
	l.without(p)
	l.goOn()
	for range r.IntN(3) {
		l.goOn()
	}
	if err := p.chromium().Freeze(soon(l.t), false); err != nil {
		l.t.Fatal(err)
	}
	l.tabs = append(l.tabs, p)
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
	if err := p.Back(soon(l.t)); err != nil {
		l.t.Fatal(err)
	}
	for there := false; !there; {
		err := p.Eval(soon(l.t), &there, "location.search !== ''")
		if err != nil && !strings.Contains(err.Error(), "context") && !strings.Contains(err.Error(), "page") {
			l.t.Fatal(err)
		}
	}
	if err := p.Eval(soon(l.t), &kept, "Boolean(globalThis.e2e?.db)"); err != nil {
		l.t.Fatal(err)
	}
	if !kept {
		p.ready()
		l.live(p)
	}
	return kept
}
