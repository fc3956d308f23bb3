package sim

import (
	"fmt"
	"strconv"
	"strings"

	"vsync/core/store"
)

// plan says what can happen in one history. Each part is drawn by itself: a history in which everything happens at once
// hides what only shows when something does not happen.
type plan struct {
	devices    int // at the beginning
	late       int // that join later, at most
	steps      int
	crash      int // weights of steps; 0: never
	power      int
	clone      int
	restore    int
	jump       int
	cut        int
	stall      int
	rogue      int
	garbage    int
	checkpoint int
	damage     int
	loss       int               // at the hub
	faults     []store.FaultKind // of stores
	hubFaults  bool
	halfOpen   bool
	strict     int // percent of writes
	large      bool
	checkBytes int // log after which devices write pages
	hubBytes   int
	stepBytes  int // of a checkpoint's transaction
	maxBatch   int
	frame      int
	pushFrame  int
	recent     int
	credit     int
	skew       bool // clocks are off from the beginning
	keys       int
	rules      int  // weight of work under field rules, in histories of ruledSeeds
	raise      int  // of rules that are raised
	asks       int  // weight of each way to end conflicts, to ask again, and to hand back what never was
	deployed   int  // version of the rules that the application has at the beginning, and has not written
	hurt       int  // of damage to stores in use, in histories of hurtSeeds
	hurtLog    bool // logs are, too: a hub loses nothing then
}

func (s *Sim) draw() plan {
	r := s.rnd
	maybe := func(weight int) int {
		if r.IntN(2) == 0 {
			return 0
		}
		return weight
	}
	oneOf := func(ns ...int) int { return ns[r.IntN(len(ns))] }
	p := plan{
		devices: 2 + r.IntN(3), late: r.IntN(4), steps: 120 + r.IntN(240),
		crash: maybe(4), power: maybe(3), clone: oneOf(0, 0, 2, 6), restore: oneOf(0, 0, 2, 5), jump: maybe(3), cut: oneOf(0, 3, 10), stall: maybe(4),
		rogue: maybe(3), garbage: maybe(2), checkpoint: maybe(4), damage: maybe(1),
		hubFaults: r.IntN(2) == 0, halfOpen: r.IntN(2) == 0, strict: oneOf(0, 20, 100), large: r.IntN(8) == 0,
		checkBytes: oneOf(1, 500, 3000, 20_000, 1<<20), hubBytes: oneOf(1, 500, 3000, 20_000, 1<<20),
		stepBytes: oneOf(0, 1, 1),
		maxBatch:  oneOf(0, 0, 700), frame: oneOf(0, 4096), pushFrame: oneOf(0, 4096), recent: oneOf(0, 1, 3000),
		credit: oneOf(0, 0, 500, 4000), keys: 1 + r.IntN(6), skew: r.IntN(3) == 0,
	}
	if lossWeight > 0 {
		p.loss = oneOf(0, 0, lossWeight)
	}
	for k := store.Fail; k <= store.Cut; k++ {
		if r.IntN(3) == 0 {
			p.faults = append(p.faults, k)
		}
	}
	s.drawRules(&p)
	s.drawAsks(&p)
	s.drawHurts(&p)
	return p
}

// storeFaults draws what will go wrong with a store that is being opened.
func (s *Sim) storeFaults(n *node) []store.Fault {
	n.gasps = false
	if len(s.plan.faults) == 0 || s.healing || s.rnd.IntN(3) == 0 {
		return nil
	}
	f := store.Fault{Do: s.plan.faults[s.rnd.IntN(len(s.plan.faults))], Row: s.rnd.IntN(8), Bit: s.rnd.IntN(1 << 16), Bytes: 1 + s.rnd.IntN(40)}
	switch f.Do {
	case store.FlipBit, store.Cut: // of what is read; what lies in a store is damaged by itself, see damage
		f.On = []store.Counted{store.Gets, store.Scans}[s.rnd.IntN(2)]
	case store.Full:
		f.On = store.Commits
	case store.Tear:
		f.On = store.Ops
	default:
		f.On = []store.Counted{store.Commits, store.Ops, store.Calls}[s.rnd.IntN(3)]
	}
	f.N = 1 + s.rnd.IntN([]int{5, 40, 150}[s.rnd.IntN(3)])
	if n.gasps = f.Do == store.CrashBefore && s.chance(60); n.gasps {
		f.On, n.lateAfter = store.Commits, 1+s.rnd.IntN([]int{5, lateBy}[s.rnd.IntN(2)])
		f.N = 1 + f.N%40
	}
	return []store.Fault{f}
}

// field is a part of a plan, by the name that stored histories have for it.
type field struct {
	name string
	at   any // *int, *bool, *[]store.FaultKind
}

func (p *plan) fields() []field {
	return []field{
		{"devices", &p.devices}, {"late", &p.late}, {"steps", &p.steps}, {"crash", &p.crash}, {"power", &p.power},
		{"clone", &p.clone}, {"restore", &p.restore}, {"jump", &p.jump}, {"cut", &p.cut}, {"stall", &p.stall},
		{"rogue", &p.rogue}, {"garbage", &p.garbage}, {"checkpoint", &p.checkpoint}, {"damage", &p.damage}, {"loss", &p.loss},
		{"faults", &p.faults}, {"hubFaults", &p.hubFaults}, {"halfOpen", &p.halfOpen}, {"strict", &p.strict},
		{"large", &p.large}, {"checkBytes", &p.checkBytes}, {"hubBytes", &p.hubBytes}, {"stepBytes", &p.stepBytes},
		{"maxBatch", &p.maxBatch}, {"frame", &p.frame}, {"pushFrame", &p.pushFrame}, {"recent", &p.recent},
		{"credit", &p.credit}, {"skew", &p.skew}, {"keys", &p.keys}, {"rules", &p.rules}, {"raise", &p.raise}, {"deployed", &p.deployed}, {"asks", &p.asks}, {"hurt", &p.hurt}, {"hurtLog", &p.hurtLog},
	}
}

// value is what a field holds as a number; kinds of faults are the bits of one.
func (f field) value() (n int) {
	switch at := f.at.(type) {
	case *int:
		n = *at
	case *bool:
		if *at {
			n = 1
		}
	case *[]store.FaultKind:
		for _, k := range *at {
			n |= 1 << k
		}
	}
	return n
}

func (f field) set(n int) {
	switch at := f.at.(type) {
	case *int:
		*at = n
	case *bool:
		*at = n != 0
	case *[]store.FaultKind:
		*at = nil
		for k := store.Fail; k <= store.Cut; k++ {
			if n&(1<<k) != 0 {
				*at = append(*at, k)
			}
		}
	}
}

func (p *plan) String() string {
	var b strings.Builder
	for _, f := range p.fields() {
		if n := f.value(); n != 0 {
			fmt.Fprintf(&b, " %s=%d", f.name, n)
		}
	}
	return b.String()
}

func parsePlan(text string) (p plan, err error) {
	at := map[string]field{}
	for _, f := range p.fields() {
		at[f.name] = f
	}
	for _, word := range strings.Fields(text) {
		name, number, _ := strings.Cut(word, "=")
		n, err := strconv.Atoi(number)
		f, known := at[name]
		if err != nil || !known {
			return p, fmt.Errorf("a plan has no %q", word)
		}
		f.set(n)
	}
	return p, nil
}
