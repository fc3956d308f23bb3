package e2e

import (
	"crypto/rand"
	"flag"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"vsync/edge/e2e/proxy"
	"vsync/edge/token"
)

var minutesFlag = flag.Float64("minutes", 0, "how long TestSoak goes on; 0: it does nothing")

// A soak is four tabs in two browsers that write for as long as one likes, through networks that cut, while all befalls them that befalls
// tabs: first with everything that ends engines, browsers and the hub, and from then on with what they have to live through, so that
// what they hold on to shows.
type soak struct {
	*world
	r          *mathrand.Rand
	keys       *token.Keys
	nets       nets
	all        []*soaked
	began      time.Time
	calm       time.Duration // after the beginning, when it has become so; 0: not yet
	decks      map[bool][]*fate
	happened   map[string]int
	samples    []sample
	forks, sum int // found by judge: how often two wrote what they had both from one, and what was added to sums
}

// A soaked is one of its devices. Its first tab stays when it has become calm, and with it the engine.
type soaked struct {
	*lives
	s       *soak
	home    string          // the hosting that it has when it is calm
	subject string          // who has logged in
	others  map[string]bool // who did before
	calm    bool
	turned  bool // its way does not lead to the hub
}

const (
	// renewal is how many writes a life makes before the next one begins in its tab, so that a page has not all to keep that it ever wrote.
	renewal = 500
	// ballast is in the database before anything else, and larger than what engines keep at hand of it: then their memory is full from
	// the beginning, and not only when so much was written.
	ballast = 15_000_000
	// enough is how long a soak goes on at least, in minutes, in which all has to happen that may befall it.
	enough = 8
	// atLeast is of how many samples in the calm time one can tell what has grown in it.
	atLeast = 10
)

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
	s := newSoak(t, seed, ballast)
	defer s.report() // also of what has failed
	length := time.Duration(*minutesFlag * float64(time.Minute))
	s.goOn(length * 2 / 5)
	for _, d := range s.all {
		d.calmDown()
	}
	s.calm = time.Since(s.began)
	s.goOn(length)
	s.sample()
	s.judge()
	if *minutesFlag >= enough {
		wrong := slices.Concat(s.missing(), s.idle())
		if n := s.calmSamples(); n < atLeast {
			wrong = append(wrong, fmt.Sprintf("there are %d samples of the calm time, too few to tell what has grown: it wants more time, or a machine that has less to do", n))
		} else {
			wrong = append(wrong, grown(s.samples, s.calm)...)
		}
		for _, wrong := range wrong {
			t.Error(wrong)
		}
	}
}

func newSoak(t *testing.T, seed uint64, ballast int) *soak {
	t.Helper()
	began := time.Now()
	w := newWorld(t, func(n int) proxy.Script {
		return proxy.Plan{Seed: seed + uint64(n), Gap: 250_000, Delays: 5, Stalls: 1, Cuts: 4, MaxDelay: 20 * time.Millisecond, MaxStall: 500 * time.Millisecond}.Script()
	})
	keys, err := (&token.Keys{}).With("soak", token.EdDSA, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.hub.Options.Keys, w.hub.Options.Env = keys, []string{"GODEBUG=gctrace=1"}
	w.hub.Restart()
	w.site.before["/vsync-worker.js"] = bench
	s := &soak{world: w, r: mathrand.New(mathrand.NewPCG(seed, 0)), keys: keys, nets: newNets(t, w.hub.Addr()),
		decks: map[bool][]*fate{}, happened: map[string]int{}}
	for i, d := range []*device{anna, bert} {
		home := []string{"shared", "leader"}[i]
		s.all = append(s.all, &soaked{s: s, home: home, others: map[string]bool{},
			lives: &lives{world: w, device: d, hosting: home, rest: 100, seed: s.r.Uint32, accounts: map[string]account{}}})
	}
	for _, d := range s.all {
		d.login("ada")
		d.load(ballast)
		d.fill()
	}
	t.Logf("all is there after %v", time.Since(began).Round(time.Second))
	s.began = time.Now()
	return s
}

// load has a device know the rules, and have what is there before anything else, by a way that nobody spoils: through one that cuts, all of it
// takes as long as many things that befall tabs.
func (l *soaked) load(ballast int) {
	l.t.Helper()
	p := l.visit(l.device)
	p.js(nil, `e2e.feed = args[0]`, "ws://"+l.hub.Addr())
	l.openIn(p)
	p.js(nil, `await db.synced();
		if (await e2e.db.collection('ballast').count() === 0) await e2e.writeBallast(args[0]);
		await e2e.result('ballast', {}, (all) => all.length * 4000 >= args[0]); await db.close()`, ballast)
	p.close()
}

// goOn lets things happen until so long after the beginning, and measures in between.
func (s *soak) goOn(until time.Duration) {
	s.t.Helper()
	step := max(10*time.Second, time.Duration(*minutesFlag*float64(time.Minute)/40))
	next := time.Since(s.began)
	for (time.Since(s.began) < until || s.owes(until)) && !s.t.Failed() {
		d := s.all[s.r.IntN(len(s.all))]
		if d.turned && s.r.IntN(2) == 0 {
			d.turn("")
		}
		e := s.next(d.calm)
		name := e.name
		began := time.Now()
		if !e.befall(d) {
			name = "nothing"
			d.goOn()
		}
		s.happened[name]++
		if took := time.Since(began); took > 10*time.Second {
			s.t.Logf("%v: %s of %s took %v", time.Since(s.began).Round(time.Second), name, d.device.name, took.Round(time.Second))
		}
		d.renew()
		if time.Since(s.began) >= next {
			from := time.Since(s.began)
			s.sample()
			took := time.Since(s.began) - from
			next = time.Since(s.began) + max(step-took, 3*took) // most of the time is for what happens
		}
	}
}

// owes is whether something has not happened yet that ends engines, or too little was measured since nothing does: for that there is a little
// more time on a busy machine.
func (s *soak) owes(until time.Duration) bool {
	if time.Since(s.began) >= until*3/2 || *minutesFlag < enough {
		return false
	}
	return s.calm == 0 && len(s.missing()) > 0 || s.calm > 0 && s.calmSamples() < atLeast-1
}

// calmSamples is how often was measured in the calm time.
func (s *soak) calmSamples() (n int) {
	for _, m := range s.samples {
		if m.at >= s.calm {
			n++
		}
	}
	return n
}

// next is what happens next. Each comes once before any comes again, and then all as often as they do.
func (s *soak) next(calm bool) *fate {
	deck, dealt := s.decks[calm]
	if len(deck) == 0 {
		for i := range fates {
			for n := 0; n < fates[i].often && (n == 0 || dealt) && (!calm || fates[i].calm); n++ {
				deck = append(deck, &fates[i])
			}
		}
		s.r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	}
	s.decks[calm] = deck[1:]
	return deck[0]
}

// missing says what did not happen.
func (s *soak) missing() (wrong []string) {
	for _, e := range fates {
		if s.happened[e.name] == 0 {
			wrong = append(wrong, "nothing of this kind has happened: "+e.name)
		}
	}
	return wrong
}

// idle says what was not put to the test.
func (s *soak) idle() (wrong []string) {
	for what, n := range map[string]int{"conflicts": s.forks, "additions to sums": s.sum, "cuts": s.cuts()} {
		if n == 0 {
			wrong = append(wrong, "there were no "+what)
		}
	}
	return wrong
}

func (s *soak) cuts() (n int) {
	for _, road := range s.roads {
		n += road.Stats().Cuts()
	}
	return n
}

// judge ends all writing, and holds what is there against what was confirmed.
func (s *soak) judge() {
	s.t.Helper()
	for _, road := range s.roads {
		road.Heal()
	}
	accounts := map[string]account{}
	for _, d := range s.all {
		d.turn("")
		for _, p := range d.tabs {
			d.end(p)
		}
		d.everybody()
		maps.Copy(accounts, d.accounts)
	}
	a, b := s.all[0], s.all[1]
	meet(s.t, a.tabs[0], b.tabs[0])
	a.holds(accounts)
	a.holdsMore(accounts)
	had, has := a.digest(), b.digest()
	// What the hub has, a device tells that has nothing of its own.
	for _, p := range a.tabs {
		p.js(nil, `await db.close()`)
	}
	a.tabs[0].js(nil, `await vsync.destroy(e2e.name)`)
	a.openIn(a.tabs[0])
	meet(s.t, a.tabs[0], b.tabs[0])
	if again := a.digest(); had != has || again != had {
		s.t.Errorf("anna holds %s\nbert %s\na new device %s", had, has, again)
	}
}

// holdsMore is holds for what several write.
func (l *soaked) holdsMore(accounts map[string]account) {
	l.t.Helper()
	summed, fought := []string{}, [][2]string{}
	for _, a := range accounts {
		summed, fought = append(summed, a.Summed...), append(fought, a.Fought...)
	}
	var sums, fights struct {
		Wrong        []string
		There, Forks int
	}
	l.tabs[0].long(&sums, `return await e2e.judgeSums(...args)`, summed)
	l.tabs[0].long(&fights, `return await e2e.judgeFought(...args)`, fought)
	for _, wrong := range append(sums.Wrong, fights.Wrong...) {
		l.t.Error(wrong)
		if strings.Contains(wrong, "missing") {
			l.lost++
		} else {
			l.doubled++
		}
	}
	l.s.forks, l.s.sum = fights.Forks, sums.There
}

func (l *soaked) digest() (text string) {
	l.t.Helper()
	var all []string
	for _, collection := range []string{"things", "sums", "fought", "ballast"} {
		l.tabs[0].long(&text, `return await e2e.digest(args[0])`, collection)
		all = append(all, collection+": "+text)
	}
	return strings.Join(all, "; ")
}

// login is who the tabs that open the database from now on open it for.
func (l *soaked) login(subject string) {
	l.t.Helper()
	text, err := l.s.keys.Sign(token.Claims{Subject: subject, Databases: []string{database}, Write: true, Expires: time.Now().Add(1000 * time.Hour)})
	if err != nil {
		l.t.Fatal(err)
	}
	if l.subject != "" && l.subject != subject {
		l.others[l.subject] = true
	}
	delete(l.others, subject)
	l.subject = subject
	l.options = map[string]any{"token": text, "collections": map[string]any{"sums": map[string]any{"version": 1, "conflict": map[string]string{"n": "counter", "by": "set"}}}}
}

// synced waits until the hub has what was written.
const synced = `await e2e.hurried(db.synced())`

// everybody has the hub get what all have written who ever logged in here, of whom one is left. No tab writes meanwhile.
func (l *soaked) everybody() {
	l.t.Helper()
	p := l.tabs[0]
	p.long(nil, synced)
	for _, other := range slices.Sorted(maps.Keys(l.others)) {
		me := l.subject
		p.js(nil, `await vsync.logout(e2e.name)`)
		l.login(other)
		l.openIn(p)
		p.long(nil, synced)
		p.js(nil, `await vsync.logout(e2e.name)`)
		l.login(me)
		for _, p := range l.tabs {
			l.openIn(p)
		}
		delete(l.others, other)
	}
}

// calmDown ends all and begins anew with tabs of which the first one stays, and with it the engine that it starts.
func (l *soaked) calmDown() {
	l.t.Helper()
	l.hosting, l.build = l.home, ""
	l.kill()
	l.calm = true
}

// kill ends the browser with all of its processes, and starts it again.
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
	l.fill()
}

// fill opens the tabs that there are to be.
func (l *soaked) fill() {
	l.t.Helper()
	for want := map[string]int{"shared": 2, "leader": 2, "tab": 1}[l.hosting]; len(l.tabs) < want; {
		l.more()
	}
}

// renew begins a new life in each tab that has written enough in one.
func (l *soaked) renew() {
	l.t.Helper()
	for _, p := range l.tabs {
		if p.scale().Writes >= renewal {
			l.end(p)
			l.live(p)
		}
	}
}

// A lifeScale is how much a life was told is stored.
type lifeScale struct {
	Who           string
	Writes, Bytes float64
}

func (p *tab) scale() (s lifeScale) {
	p.t.Helper()
	p.js(&s, `return e2e.scaleOfLife()`)
	return s
}
