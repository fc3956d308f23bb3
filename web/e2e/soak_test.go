package e2e

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"vsync/edge/e2e/proxy"
)

var minutesFlag = flag.Float64("minutes", 0, "how long TestSoak goes on; 0: it does nothing")

// A soak is four tabs in two browsers that write for as long as one likes, through networks that cut, while all befalls them that befalls
// tabs: first with everything that ends engines, browsers and the hub, and from then on with what they have to live through, so that
// what they hold on to shows.
type soak struct {
	*world
	r        *rand.Rand
	all      []*soaked
	began    time.Time
	happened map[string]int
	samples  []sample
}

// A soaked is one of its devices. Its first tab stays when it has become calm, and with it the engine.
type soaked struct {
	*lives
	calm bool
	died int // times that the engine, or all of the browser, was killed
}

// renewal is how many writes a life makes before the next one begins in its tab, so that a page has not all to keep that it ever wrote.
const renewal = 500

// TestSoak: in the end every write that was confirmed is there exactly once, on both devices and on a new one, and neither memory nor storage
// grew but by what was written.
func TestSoak(t *testing.T) {
	if *minutesFlag == 0 {
		return
	}
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-args -seed %d -minutes %v", seed, *minutesFlag)
	s := newSoak(t, seed)
	defer s.sum() // also of what has failed
	length := time.Duration(*minutesFlag * float64(time.Minute))
	s.goOn(length * 2 / 5)
	for _, d := range s.all {
		d.calmDown()
	}
	s.goOn(length)
	s.sample()
	s.judge()
	for _, wrong := range grown(s.samples) {
		t.Error(wrong)
	}
}

func newSoak(t *testing.T, seed uint64) *soak {
	t.Helper()
	w := newWorld(t, func(n int) proxy.Script {
		return proxy.Plan{Seed: seed + uint64(n), Gap: 250_000, Delays: 5, Stalls: 1, Cuts: 4, MaxDelay: 20 * time.Millisecond, MaxStall: 500 * time.Millisecond}.Script()
	})
	w.site.before["/vsync-worker.js"] = scales
	s := &soak{world: w, r: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), happened: map[string]int{}}
	s.all = []*soaked{
		{lives: &lives{world: w, device: anna, hosting: "shared", rest: 100}},
		{lives: &lives{world: w, device: bert, hosting: "leader", rest: 100}},
	}
	for _, d := range s.all {
		d.more()
		d.more()
	}
	return s
}

// goOn lets things happen until so long after the beginning, and measures in between.
func (s *soak) goOn(until time.Duration) {
	s.t.Helper()
	step := time.Duration(*minutesFlag * float64(time.Minute) / 40)
	next := time.Since(s.began)
	for time.Since(s.began) < until && !s.t.Failed() {
		d := s.all[s.r.IntN(len(s.all))]
		s.happened[d.befall(s.r)]++
		d.renew()
		if time.Since(s.began) >= next {
			s.sample()
			next = max(next+step, time.Since(s.began))
		}
	}
}

// judge ends all writing, and holds what is there against what was confirmed.
func (s *soak) judge() {
	s.t.Helper()
	for _, road := range s.roads {
		road.Heal()
	}
	var confirmed []string
	for _, d := range s.all {
		for _, p := range d.tabs {
			d.end(p)
		}
		confirmed = append(confirmed, d.confirmed...)
	}
	a, b := s.all[0], s.all[1]
	meet(s.t, a.tabs[0], b.tabs[0])
	a.holds(confirmed)
	// What the hub has, a device tells that has nothing of its own.
	const new = `await db.close(); await vsync.destroy(e2e.name); await e2e.open({ hosting: args[0] })`
	digest := func() (text string) {
		a.tabs[0].js(&text, `return await e2e.digest('things')`)
		return text
	}
	had := digest()
	var has string
	b.tabs[0].js(&has, `return await e2e.digest('things')`)
	a.tabs[1].js(nil, `await db.close()`)
	a.tabs[0].js(nil, new, a.hosting)
	meet(s.t, a.tabs[0], b.tabs[0])
	if again := digest(); had != has || again != had {
		s.t.Errorf("anna holds %s, bert %s, and a new device %s", had, has, again)
	}
}

// calmDown ends all and begins anew with tabs of which the first one stays, and with it the engine that it starts.
func (l *soaked) calmDown() {
	l.t.Helper()
	l.kill()
	l.more()
	l.calm = true
}

// kill ends the browser with all of its processes, and starts it again with one tab.
func (l *soaked) kill() {
	l.t.Helper()
	for _, p := range l.tabs {
		l.keep(p)
	}
	l.device.die(l.t)
	for _, p := range l.tabs {
		p.gone()
	}
	l.tabs = nil
	l.died++
	l.more()
}

// renew begins a new life in each tab that has written enough in one.
func (l *soaked) renew() {
	l.t.Helper()
	for _, p := range l.tabs {
		var confirmed int
		p.js(&confirmed, `return e2e.confirmedCount()`)
		if confirmed >= renewal {
			l.end(p)
			l.live(p)
		}
	}
}

// befall lets one thing happen to a device in the middle of its writes, and says what.
func (l *soaked) befall(r *rand.Rand) string {
	l.t.Helper()
	if l.calm {
		return l.bear(r, l.tabs[1], r.IntN(15))
	}
	p := l.tabs[r.IntN(len(l.tabs))]
	switch n := r.IntN(20); {
	case n < 15:
		return l.bear(r, p, n)
	case n < 17 && l.hosting == "shared":
		if l.endShared() {
			l.died++
			return "engine"
		}
	case n < 17:
		ended := 0
		for _, p := range l.tabs { // none leads while the next engine is looked for
			ended += p.endThoseThere()
		}
		if ended > 0 {
			l.died++
			return "engine"
		}
	case n < 18:
		l.kill()
		l.more()
		return "kill -9"
	case n < 19:
		l.hub.Restart()
		return "hub"
	}
	l.goOn()
	return "nothing"
}

// bear lets something happen that ends one tab at most.
func (l *soaked) bear(r *rand.Rand, p *tab, n int) string {
	l.t.Helper()
	switch {
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
	}
	l.leaveAndComeBack(p)
	return "back"
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
