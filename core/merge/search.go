package merge

// The search for the fewest differences between two lists, as E. W. Myers found it (An O(ND) Difference Algorithm and Its Variations,
// 1986), in its form for little memory: two fronts go through the square of both lists, one from each corner. A step right leaves
// out a unit of x, a step down one of y; units that are the same cost nothing.
//
//	0 ──x──▶        diagonal k is where x-y = k; per diagonal a front knows how far it came
//	│ ╲ ahead       where the fronts meet, half of the differences lie on either side: the halves are searched
//	y   ╲╱          in the same way
//	▼ back ╲ end
//
// A front that has made maxDifferences/2 steps and met nothing goes no further. What lies up to its farthest place is searched by
// itself, and the search goes on from there, for maxStretches of such; what is left then is one difference. So the effort is bounded,
// and what is found is right, if not the least.

// unreached is how far a front is on a diagonal that it has not come to: less than any sum of two reaches can make good.
const unreached = -1 << 40

// A front is how far one can come with so many differences.
type front struct {
	x, y  []int32
	back  bool  // from the end of both
	reach []int // per diagonal, -maxDifferences/2-1 first, how much of x is behind it
}

func (f *front) at(k int) *int { return &f.reach[k+len(f.reach)/2] }

func (f *front) start(x, y []int32) {
	f.x, f.y = x, y
	if f.reach == nil {
		f.reach = make([]int, maxDifferences+3)
	}
	for i := range f.reach {
		f.reach[i] = unreached
	}
	*f.at(0) = 0
}

// step goes one difference further, the d-th, on all diagonals in the square.
func (f *front) step(d int) {
	reach, middle := f.reach, len(f.reach)/2
	n, m := len(f.x), len(f.y)
	for k := -d; k <= d; k += 2 {
		x := unreached
		if right := reach[middle+k-1] + 1; right <= n {
			x = right
		}
		if down := reach[middle+k+1]; down > x && down-k <= m {
			x = down
		}
		if x >= 0 {
			x += f.same(x, x-k)
		}
		reach[middle+k] = x
	}
}

// same counts the units that are the same from a place on.
func (f *front) same(x, y int) (n int) {
	if f.back {
		xs, ys := f.x[:len(f.x)-x], f.y[:len(f.y)-y]
		for n < len(xs) && n < len(ys) && xs[len(xs)-1-n] == ys[len(ys)-1-n] {
			n++
		}
		return n
	}
	xs, ys := f.x[x:], f.y[y:]
	for n < len(xs) && n < len(ys) && xs[n] == ys[n] {
		n++
	}
	return n
}

// A searcher holds the fronts for all parts of one search.
type searcher struct {
	x, y        []int32
	ahead, back front
	stretches   int // that ended where a front had to stop
	found       []hunk
}

// few says whether two lists have at most maxDifferences.
func few(x, y []int32) bool {
	s := searcher{back: front{back: true}}
	_, _, met := s.middle(x, y)
	return met
}

// search returns the differences between two lists: where there are few, the fewest.
func search(x, y []int32) []hunk {
	s := searcher{x: x, y: y, back: front{back: true}}
	s.part(hunk{0, len(x), 0, len(y)})
	return s.found
}

// part searches a part. It calls itself for the half on the left, which has half of the differences or no more than a front has steps.
func (s *searcher) part(p hunk) {
	for {
		for p.a0 < p.a1 && p.b0 < p.b1 && s.x[p.a0] == s.y[p.b0] {
			p.a0, p.b0 = p.a0+1, p.b0+1
		}
		for p.a0 < p.a1 && p.b0 < p.b1 && s.x[p.a1-1] == s.y[p.b1-1] {
			p.a1, p.b1 = p.a1-1, p.b1-1
		}
		if p.a0 == p.a1 || p.b0 == p.b1 {
			s.add(p)
			return
		}
		a, b, met := s.middle(s.x[p.a0:p.a1], s.y[p.b0:p.b1])
		if !met {
			if s.stretches++; s.stretches > maxStretches {
				s.add(p)
				return
			}
		}
		s.part(hunk{p.a0, p.a0 + a, p.b0, p.b0 + b})
		p.a0, p.b0 = p.a0+a, p.b0+b
	}
}

// middle returns a place on the way with the fewest differences. Both lists have units, and neither their first nor their last ones are
// the same: so there are two differences or more, and the place is no corner. Where the fronts do not meet, it is the farthest that
// the one has come to.
func (s *searcher) middle(x, y []int32) (a, b int, met bool) {
	s.ahead.start(x, y)
	s.back.start(x, y)
	delta := len(x) - len(y)
	for d := 1; d <= maxDifferences/2; d++ {
		s.ahead.step(d)
		if delta%2 != 0 {
			if a, k, met := meet(&s.ahead, &s.back, d, delta); met {
				return a, a - k, true
			}
		}
		s.back.step(d)
		if delta%2 == 0 {
			if a, k, met := meet(&s.back, &s.ahead, d, delta); met {
				return len(x) - a, len(y) - (a - k), true
			}
		}
	}
	a, b = s.ahead.farthest()
	return a, b, false
}

// meet looks whether a front that has made d steps has come to the other, whose diagonals count from the other corner.
func meet(f, other *front, d, delta int) (x, k int, met bool) {
	for k := -d; k <= d; k += 2 {
		if beyond := delta - k; beyond >= -d && beyond <= d && *f.at(k)+*other.at(beyond) >= len(f.x) {
			return *f.at(k), k, true
		}
	}
	return 0, 0, false
}

func (f *front) farthest() (x, y int) {
	for k := -maxDifferences / 2; k <= maxDifferences/2; k += 2 {
		if at := *f.at(k); at >= 0 && 2*at-k > x+y {
			x, y = at, at-k
		}
	}
	return x, y
}

// add takes a difference; one that goes on where the last one ends is the same one.
func (s *searcher) add(h hunk) {
	if n := len(s.found); n > 0 && s.found[n-1].a1 == h.a0 && s.found[n-1].b1 == h.b0 {
		s.found[n-1].a1, s.found[n-1].b1 = h.a1, h.b1
	} else if h.a0 < h.a1 || h.b0 < h.b1 {
		s.found = append(s.found, h)
	}
}
