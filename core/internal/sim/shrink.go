package sim

import "slices"

// Shrink looks for a shorter history that fails as h does, by the same promise. It lives at most so many histories for it.
func Shrink(h *History, promise string, lives int) (*History, *Failure) {
	s := &shrinking{best: h, promise: promise, left: lives}
	if !s.try(h) {
		return h, s.failure
	}
	for before := -1; s.left > 0 && before != s.size(); {
		before = s.size()
		s.fewerSteps()
		s.calmer()
		s.smaller()
	}
	return s.best, s.failure
}

type shrinking struct {
	best    *History // of those that fail
	failure *Failure // of best
	promise string
	left    int
}

// try lives a history, and keeps it if it fails in the same way. What comes after the failing step goes.
func (s *shrinking) try(h *History) bool {
	if s.left <= 0 {
		return false
	}
	s.left--
	_, f := h.Run(false)
	if f == nil || f.Promise != s.promise {
		return false
	}
	if f.Step < len(h.steps) {
		short := *h
		short.steps = h.steps[:f.Step]
		h = &short
	}
	s.best, s.failure = h, f
	return true
}

// size is how much is left to be taken away.
func (s *shrinking) size() (n int) {
	for _, l := range slices.Concat(s.best.steps, []line{s.best.begin, s.best.heal}) {
		n += len(l)
		for _, x := range l {
			if x.n > 0 {
				n++
			}
		}
	}
	for _, f := range s.best.plan.fields() {
		if f.value() != 0 {
			n++
		}
	}
	return n
}

func (s *shrinking) copied() *History {
	h := *s.best
	h.steps = slices.Clone(h.steps)
	return &h
}

// fewerSteps takes steps away: halves, quarters, and in the end single ones, the last first.
func (s *shrinking) fewerSteps() {
	for size := (len(s.best.steps) + 1) / 2; size > 0; size /= 2 {
		for end := len(s.best.steps); end > 0; end -= size {
			end = min(end, len(s.best.steps))
			h := s.copied()
			h.steps = slices.Delete(h.steps, max(end-size, 0), end)
			s.try(h)
		}
	}
}

// calmer takes away what can happen: but for the weights of steps, which say what is checked too.
func (s *shrinking) calmer() {
	for n := 1; n < s.best.plan.devices; n++ {
		h := s.copied()
		h.plan.devices = n
		s.try(h)
	}
	for _, name := range []string{"faults", "hubFaults", "halfOpen", "large", "skew", "maxBatch", "frame", "pushFrame", "recent", "credit", "stepBytes"} {
		h := s.copied()
		for _, f := range h.plan.fields() {
			if f.name == name && f.value() != 0 {
				f.set(0)
				s.try(h)
			}
		}
	}
}

// smaller puts zeros in the place of what was drawn: of a whole step if it can be, else of one draw after the other. Steps
// may go meanwhile, at the end.
func (s *shrinking) smaller() {
	s.zeros(func(h *History) *line { return &h.heal })
	s.zeros(func(h *History) *line { return &h.begin })
	for i := 0; i < len(s.best.steps); i++ {
		s.zeros(func(h *History) *line { return &h.steps[i] })
	}
}

func (s *shrinking) zeros(pick func(*History) *line) {
	was := *pick(s.best)
	bare := line{}
	for _, x := range was {
		if x.name == "" {
			break
		}
		bare = append(bare, x)
	}
	h := s.copied()
	*pick(h) = bare
	if len(bare) == len(was) || s.try(h) {
		return
	}
	steps := len(s.best.steps)
	for i := len(was) - 1; i >= 0 && len(s.best.steps) == steps; i-- {
		now := *pick(s.best)
		if i >= len(now) || now[i] == (choice{}) || now[i].name != "" {
			continue
		}
		h, l := s.copied(), slices.Clone(now)
		l[i] = choice{}
		*pick(h) = l
		s.try(h)
	}
}
