package merge

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// Which units of two texts are the same. The search finds the fewest differences as long as they are few, and its effort is bounded.
// Where there are more, units that stand once in both texts are taken for the same first, those of them that are in one order, and the
// search goes on between them. Nothing but the writer's changes depends on it.

// A hunk is a difference: units a0 … a1 of one text gave way to units b0 … b1 of the other.
type hunk struct{ a0, a1, b0, b1 int }

// units are two texts, cut into lines or characters.
type units struct {
	a, b  pieces
	chars bool
	x, y  []int32 // the same units have the same numbers
	hunks []hunk
}

// pieces is a text with the places where its units begin, and its end.
type pieces struct {
	body   []byte
	starts []int
}

func (p *pieces) len() int { return len(p.starts) - 1 }

func (p *pieces) unit(i int) []byte { return p.body[p.starts[i]:p.starts[i+1]] }

func unitsOf(a, b []byte, chars bool) units {
	if chars {
		return units{a: charsOf(a), b: charsOf(b), chars: true}
	}
	return units{a: linesOf(a), b: linesOf(b)}
}

func linesOf(body []byte) pieces {
	p := pieces{body, make([]int, 1, 2+bytes.Count(body, []byte{'\n'}))}
	for at := 0; at < len(body); {
		n := bytes.IndexByte(body[at:], '\n') + 1
		if n == 0 {
			n = len(body) - at
		}
		at += n
		p.starts = append(p.starts, at)
	}
	return p
}

func charsOf(body []byte) pieces {
	p := pieces{body, make([]int, 1, len(body)+1)}
	for at := 0; at < len(body); {
		_, n := utf8.DecodeRune(body[at:])
		at += n
		p.starts = append(p.starts, at)
	}
	return p
}

// diff returns the differences in order. What is equal at both ends costs no search.
func (u *units) diff() []hunk {
	n, m := u.a.len(), u.b.len()
	head := 0
	for head < min(n, m) && bytes.Equal(u.a.unit(head), u.b.unit(head)) {
		head++
	}
	tail := 0
	for tail < min(n, m)-head && bytes.Equal(u.a.unit(n-1-tail), u.b.unit(m-1-tail)) {
		tail++
	}
	all := hunk{head, n - tail, head, m - tail}
	if all.a0 < all.a1 && all.b0 < all.b1 {
		u.number(all)
		u.between(all, hunk{head, head, head, head})
	} else {
		u.add(all)
	}
	if len(u.hunks) > MaxInserts {
		return []hunk{all}
	}
	return u.hunks
}

// add notes a difference, joined to the one before where nothing is between them.
func (u *units) add(h hunk) {
	if h.a0 == h.a1 && h.b0 == h.b1 {
		return
	}
	if n := len(u.hunks); n > 0 && u.hunks[n-1].a1 == h.a0 && u.hunks[n-1].b1 == h.b0 {
		u.hunks[n-1].a1, u.hunks[n-1].b1 = h.a1, h.b1
		return
	}
	u.hunks = append(u.hunks, h)
}

// number gives the units of a part their numbers: x[0] is that of unit a0.
func (u *units) number(part hunk) {
	u.x, u.y = make([]int32, part.a1-part.a0), make([]int32, part.b1-part.b0)
	if u.chars {
		for i := range u.x {
			r, _ := utf8.DecodeRune(u.a.unit(part.a0 + i))
			u.x[i] = r
		}
		for i := range u.y {
			r, _ := utf8.DecodeRune(u.b.unit(part.b0 + i))
			u.y[i] = r
		}
		return
	}
	known := make(map[string]int32, len(u.x))
	number := func(unit []byte) int32 {
		i, is := known[string(unit)]
		if !is {
			i = int32(len(known))
			known[string(unit)] = i
		}
		return i
	}
	for i := range u.x {
		u.x[i] = number(u.a.unit(part.a0 + i))
	}
	for i := range u.y {
		u.y[i] = number(u.b.unit(part.b0 + i))
	}
}

// between finds the differences within a part; x and y begin at base.
func (u *units) between(part, base hunk) {
	for part.a0 < part.a1 && part.b0 < part.b1 && u.x[part.a0-base.a0] == u.y[part.b0-base.b0] {
		part.a0, part.b0 = part.a0+1, part.b0+1
	}
	for part.a0 < part.a1 && part.b0 < part.b1 && u.x[part.a1-1-base.a0] == u.y[part.b1-1-base.b0] {
		part.a1, part.b1 = part.a1-1, part.b1-1
	}
	if part.a0 == part.a1 || part.b0 == part.b1 {
		u.add(part)
		return
	}
	x, y := u.x[part.a0-base.a0:part.a1-base.a0], u.y[part.b0-base.b0:part.b1-base.b0]
	if !few(x, y) {
		if once := onceInBoth(x, y); len(once) > 0 {
			u.aside(part, base, once)
			return
		}
	}
	for _, h := range search(x, y) {
		u.add(hunk{part.a0 + h.a0, part.a0 + h.a1, part.b0 + h.b0, part.b0 + h.b1})
	}
}

// aside finds the differences between units that are taken for the same.
func (u *units) aside(part, base hunk, once []match) {
	at := part
	for _, e := range once {
		u.between(hunk{at.a0, part.a0 + e.x, at.b0, part.b0 + e.y}, base)
		at.a0, at.b0 = part.a0+e.x+1, part.b0+e.y+1
	}
	u.between(at, base)
}

// A match are two units that are the same.
type match struct{ x, y int }

// onceInBoth returns units that stand once in each, as many as stand in one order.
func onceInBoth(x, y []int32) []match {
	type count struct{ x, y, at, of int32 }
	counts := make(map[int32]count, len(x))
	for i, n := range x {
		c := counts[n]
		c.x, c.at = c.x+1, int32(i)
		counts[n] = c
	}
	for i, n := range y {
		c := counts[n]
		c.y, c.of = c.y+1, int32(i)
		counts[n] = c
	}
	var once []match
	for i, n := range x {
		if c := counts[n]; c.x == 1 && c.y == 1 {
			once = append(once, match{i, int(c.of)})
		}
	}
	return rising(once)
}

// rising is a longest part of a list in which y rises.
func rising(list []match) []match {
	var ends []int // per length, the place of the match with the lowest y that a part of that length ends in
	before := make([]int, len(list))
	for i, m := range list {
		n, _ := slices.BinarySearchFunc(ends, m.y, func(j, y int) int { return list[j].y - y })
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	if len(ends) == 0 {
		return nil
	}
	out := make([]match, 0, len(ends))
	for i := ends[len(ends)-1]; i >= 0; i = before[i] {
		out = append(out, list[i])
	}
	slices.Reverse(out)
	return out
}
