package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// choice is one draw: a number, or the name of the action that was picked. Names, so that a stored history means the same when
// actions come and go or change their weights.
type choice struct {
	name string
	n    uint64
}

// line is what was drawn in one step.
type line []choice

// choices is where everything that a history leaves to chance is drawn, but for what engines draw for themselves. It draws
// from a generator and may note what it drew, or reads what was noted. What is missing there is 0, or the first action: nothing
// happens then, as far as possible.
type choices struct {
	random  *rand.Rand // nil: what was noted is read
	noting  bool
	lines   []line
	at, pos int // of what is read: the line, and the place in it
}

func drawn(seed uint64) *choices {
	return &choices{random: rand.New(rand.NewPCG(seed, 0x7673796e63))}
}

// next begins another line.
func (c *choices) next() {
	switch {
	case c.random == nil:
		c.at, c.pos = c.at+1, 0
	case c.noting:
		c.lines = append(c.lines, nil)
	}
}

func (c *choices) note(x choice) {
	if c.noting {
		last := &c.lines[len(c.lines)-1]
		*last = append(*last, x)
	}
}

func (c *choices) read() (x choice) {
	if c.at < len(c.lines) && c.pos < len(c.lines[c.at]) {
		x = c.lines[c.at][c.pos]
	}
	c.pos++
	return x
}

// IntN draws a number from 0 to n−1.
func (c *choices) IntN(n int) int {
	if c.random == nil {
		return int(c.read().n % uint64(n))
	}
	k := c.random.IntN(n)
	c.note(choice{n: uint64(k)})
	return k
}

// Shuffle brings n things into another order; without choices they stay as they are.
func (c *choices) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, i-c.IntN(i+1))
	}
}

// pick draws one of some actions, each as often as its weight says.
func (c *choices) pick(actions []action) action {
	if c.random == nil {
		name := c.read().name
		i := slices.IndexFunc(actions, func(a action) bool { return a.name == name })
		return actions[max(i, 0)]
	}
	sum := 0
	for _, a := range actions {
		sum += a.weight
	}
	n := c.random.IntN(sum)
	i := slices.IndexFunc(actions, func(a action) bool {
		n -= a.weight
		return n < 0
	})
	c.note(choice{name: actions[i].name})
	return actions[i]
}

// History is a history as it can be written down, lived again, and made shorter:
//
//	seed 42                   of the engines' own randomness
//	plan devices=2 steps=…    what can happen; what is not named is 0
//	begin 0 17 3              what was drawn before the first step
//	deliver 2 0 1             a step: the action, and what was drawn in it; zeros at the end are left out
//	work put 3 0 12
//	heal 1 0                  what was drawn after the last step
type History struct {
	seed        uint64
	plan        plan
	begin, heal line
	steps       []line
	extra       func(*Sim) []action // what tests let happen besides
}

// String is the history as text; ParseHistory reads it.
func (h *History) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\nplan%s\nbegin%s\n", h.seed, h.plan.String(), h.begin)
	for _, step := range h.steps {
		fmt.Fprintln(&b, strings.TrimPrefix(step.String(), " "))
	}
	fmt.Fprintf(&b, "heal%s\n", h.heal)
	return b.String()
}

func (l line) String() string {
	end := len(l)
	for end > 0 && l[end-1] == (choice{}) {
		end--
	}
	var b strings.Builder
	for _, x := range l[:end] {
		b.WriteByte(' ')
		if x.name != "" {
			b.WriteString(x.name)
		} else {
			b.WriteString(strconv.FormatUint(x.n, 10))
		}
	}
	return b.String()
}

// ParseHistory reads what String wrote. Lines that begin with # are comments.
func ParseHistory(text string) (*History, error) {
	h := &History{}
	healed := false
	for row := range strings.Lines(text) {
		row = strings.TrimSpace(row)
		word, rest, _ := strings.Cut(row, " ")
		var err error
		switch word {
		case "", "#":
		case "seed":
			h.seed, err = strconv.ParseUint(rest, 10, 64)
		case "plan":
			h.plan, err = parsePlan(rest)
		case "begin":
			h.begin = parseLine(rest)
		case "heal":
			h.heal, healed = parseLine(rest), true
		default:
			h.steps = append(h.steps, parseLine(row))
		}
		if err != nil {
			return nil, fmt.Errorf("sim: the line %q of a history: %w", row, err)
		}
	}
	if !healed || h.plan.devices == 0 {
		return nil, fmt.Errorf("sim: a history has a line that begins with plan, names devices there, and ends with heal")
	}
	return h, nil
}

func parseLine(text string) (l line) {
	for _, word := range strings.Fields(text) {
		if n, err := strconv.ParseUint(word, 10, 64); err == nil {
			l = append(l, choice{n: n})
		} else {
			l = append(l, choice{name: word})
		}
	}
	return l
}

// Run lives the history and returns how it failed, nil if it did not.
func (h *History) Run(trace bool) (Stats, *Failure) {
	s := newSim(h.seed, trace)
	s.plan, s.rnd = h.plan, h.choices()
	s.plan.steps = len(h.steps)
	if h.extra != nil {
		s.extra = h.extra(s)
	}
	return s.run()
}

func (h *History) choices() *choices {
	return &choices{lines: slices.Concat([]line{h.begin}, h.steps, []line{h.heal})}
}

// Record lives the history of a seed and writes it down.
func Record(seed uint64) (*History, *Failure) {
	s := newSim(seed, false)
	s.plan = s.draw()
	s.rnd.noting, s.rnd.lines = true, make([]line, 1)
	_, failure := s.run()
	h := &History{seed: seed, plan: s.plan, begin: s.rnd.lines[0], steps: s.rnd.lines[1:]}
	if n := len(h.steps); n > s.plan.steps {
		h.steps, h.heal = h.steps[:n-1], h.steps[n-1]
	}
	return h, failure
}
