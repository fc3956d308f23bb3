package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"vsync/core/change"
)

// Bounds of a history.
const (
	// healSteps bounds what healing may take: about ten times what the longest history has needed.
	healSteps = 60_000
	// healTime bounds it in virtual ms. The longest delays are a minute.
	healTime = 60 * 60_000
	// traceLength bounds the events that a failure shows, the first and the last: most histories are shorter.
	traceLength = 2000
	// maxDevices bounds devices together with their copies.
	maxDevices = 8
)

// start is the virtual time at the beginning, ms since 1970.
const start = 1_700_000_000_000

// Failure is a promise that was broken, or an engine that panicked.
type Failure struct {
	Seed    uint64
	Promise string // that was broken, or what else went wrong, without names: two failures of one cause mostly have the same
	Step    int
	Text    string
	Trace   []string // the first and the last events, oldest first; only of a history that was traced
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d: %s\n  %s", f.Seed, f.Text, strings.Join(f.Trace, "\n  "))
}

// Stats count what happened, so that a test can see that the simulation still reaches it.
type Stats map[string]int

// Sim is one history.
type Sim struct {
	seed       uint64
	rnd        *choices
	entropy    *rand.ChaCha8 // of the engines
	ctx        context.Context
	now        uint64 // ms since 1970
	step       int
	plan       plan
	sweep      *sweeping // nil: faults are drawn
	healing    bool
	healedFrom int // connections with higher numbers are of the healing

	hub       *hub
	devices   []*device
	dead      []*device // that will not come back: their storage is gone
	conns     []*conn
	rogue     *rogue
	model     *model                  // of the feed as the hub has it
	left      []*model                // of feeds that the hub had before it lost something, the latest last
	gone      map[string]bool         // what was in a feed, and then nobody had any more
	writes    map[string]*write       // by note
	dismissed map[change.Version]bool // by any device
	sent      map[change.Hash]string  // where the hub may lose data: the notes of batches that came to it

	unreadable map[change.Version]string // notes of own batches of devices that stood in a segment that was damaged

	deployed uint64                // the latest rules that an application has
	order    map[string]neighbours // of lines, behind the ids of their objects: which stood before and behind, when they were put in

	names   int // given to devices and connections
	tabs    int
	tracing bool
	events  []string
	stats   Stats
	extra   []action // of tests
}

// Run lives one history and returns how it failed, nil if it did not.
func Run(seed uint64, trace bool) (stats Stats, failure *Failure) {
	s := newSim(seed, trace)
	s.plan = s.draw()
	return s.run()
}

func (s *Sim) run() (stats Stats, failure *Failure) {
	defer func() {
		if p := recover(); p != nil {
			failure = s.failure(p)
		}
		stats = s.stats
		s.stop()
	}()
	s.logf("plan%v", &s.plan)
	s.live()
	s.rnd.next()
	s.heal()
	s.checkEnd()
	return s.stats, nil
}

func newSim(seed uint64, trace bool) *Sim {
	s := &Sim{seed: seed, rnd: drawn(seed), ctx: context.Background(), now: start, tracing: trace,
		writes: map[string]*write{}, sent: map[change.Hash]string{}, gone: map[string]bool{}, dismissed: map[change.Version]bool{}, unreadable: map[change.Version]string{}, stats: Stats{}}
	var key [32]byte
	copy(key[:], fmt.Sprintf("vsync %d", seed))
	s.entropy = rand.NewChaCha8(key)
	s.model = newModel(s)
	return s
}

// broken is what fail panics with: it ends a history from any depth.
type broken struct{ format, text string }

func (s *Sim) fail(format string, args ...any) {
	panic(broken{format, fmt.Sprintf(format, args...)})
}

func (s *Sim) failure(p any) *Failure {
	f := &Failure{Seed: s.seed, Promise: "panic", Step: s.step, Trace: s.events}
	if b, is := p.(broken); is {
		f.Promise, f.Text = b.format, b.text
		if name, _, numbered := strings.Cut(b.format, ":"); numbered && strings.HasPrefix(name, "promise ") {
			f.Promise = name
		}
	} else {
		stack := make([]byte, 16<<10)
		f.Text = fmt.Sprintf("panic: %v\n%s", p, stack[:runtime.Stack(stack, false)])
	}
	f.Text = fmt.Sprintf("step %d: %s", s.step, f.Text)
	return f
}

func (s *Sim) logf(format string, args ...any) {
	if !s.tracing {
		return
	}
	line := fmt.Sprintf("%4d %8d  ", s.step, s.now-start) + fmt.Sprintf(format, args...)
	if len(s.events) >= traceLength {
		s.events = slices.Delete(s.events, traceLength/2, traceLength/2+1) // how it began shows, too
	}
	s.events = append(s.events, line)
}

func (s *Sim) count(what string) { s.stats[what]++ }

// chance is true in so many of a hundred cases; where nothing is drawn it is not.
func (s *Sim) chance(percent int) bool { return s.rnd.IntN(100) >= 100-percent }

func (s *Sim) time() time.Time { return time.UnixMilli(int64(s.now)) }

// action is something that can happen in a step.
type action struct {
	name   string // one word, for ever: stored histories have it
	weight int
	do     func()
}

func (s *Sim) live() {
	s.hub = s.newHub()
	for range s.plan.devices {
		s.newDevice()
	}
	p := &s.plan
	late := p.late
	actions := []action{
		{"work", 40, s.work},
		{"deliver", 50, s.deliver},
		{"advance", 25, s.advance},
		{"crash", p.crash, s.crashOne},
		{"power", p.power, s.powerCut},
		{"clone", p.clone, s.cloneOne},
		{"restore", p.restore, s.restoreOne},
		{"jump", p.jump, s.jumpClock},
		{"cut", p.cut, s.cutOne},
		{"stall", p.stall, s.stallOne},
		{"rogue", p.rogue, s.rogueActs},
		{"garbage", p.garbage, s.garbage},
		{"again", p.cut, s.sentAgain},
		{"sleep", p.stall, s.sleepOne},
		{"checkpoint", p.checkpoint, s.checkpointOne},
		{"damage", p.damage, s.damageOne},
		{"hurt", p.hurt, s.hurtOne},
		{"loss", p.loss, s.loseAtHub},
		{"check", 2, s.checkOne},
		{"join", 1, func() {
			if late > 0 {
				late--
				s.newDevice()
				s.did("device joined")
			}
		}},
	}
	if p.loss > 0 {
		actions = append(actions, action{"forge", p.asks, s.forge})
	}
	actions = append(actions, s.extra...)
	for s.step = 1; s.step <= p.steps; s.step++ {
		s.rnd.next()
		s.rnd.pick(actions).do()
		s.pump()
	}
}

// advance lets time pass: mostly a little, sometimes so much that heartbeats and delays run out.
func (s *Sim) advance() {
	s.now += uint64(s.rnd.IntN([]int{5, 5, 5, 50, 50, 1000, 12_000, 70_000}[s.rnd.IntN(8)])) + 1
}

// pump lets everything do what it does by itself at this moment, but for frames that arrive.
func (s *Sim) pump() {
	s.hub.pump()
	for _, d := range s.devices {
		d.pump()
	}
	for _, c := range s.conns {
		c.pump()
	}
	s.sweepConns()
	s.checkConns()
	for _, d := range s.devices {
		d.stand()
	}
}

// heal takes all faults away and runs until nothing is left to do.
func (s *Sim) heal() {
	s.healing = true
	s.healedFrom = s.names
	s.logf("healing")
	s.rogue = nil
	s.hub.heal()
	for _, d := range s.devices {
		d.heal()
	}
	for _, c := range s.conns {
		c.stalled = 0
	}
	until := s.now + healTime
	for n := 0; !s.quiet(); n++ {
		s.step++
		if n > healSteps || s.now > until {
			s.fail("promise 6: not quiet after %d steps and %d ms:\n%s", n, s.now-until+healTime, s.standing())
		}
		s.pump()
		if !s.deliverAny() {
			s.now += s.untilNext()
		}
	}
	s.logf("quiet")
}

// untilNext is how long nothing happens by itself.
func (s *Sim) untilNext() uint64 {
	next := s.now + 1000 // the hub's tick
	for _, d := range s.devices {
		if at := d.due(); at > s.now {
			next = min(next, at)
		}
	}
	return max(next-s.now, 1)
}

func (s *Sim) quiet() bool {
	if s.hub.r == nil {
		return false
	}
	for _, d := range s.devices {
		if !d.quiet() {
			return false
		}
	}
	return true
}

// standing says where everything stands, for a failure of promise 6.
func (s *Sim) standing() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  hub: head %v\n", s.hub.head())
	for _, d := range s.devices {
		fmt.Fprintf(&b, "  %s: %s\n", d.name, d.standing())
	}
	return b.String()
}

func (s *Sim) stop() {
	for _, d := range append(s.devices, s.dead...) {
		d.watch.stop()
	}
	if s.hub != nil {
		s.hub.buried()
	}
	for _, d := range s.devices {
		d.buried()
	}
}
