package dag

import "math/bits"

// sides is a set of leaves, by their place: those that a version is known to be an ancestor of. Sets
// are shared between versions and so never changed.
type sides []uint64

// side is the set of one of n leaves.
func side(n, i int) sides {
	s := make(sides, (n+63)/64)
	s[i/64] = 1 << (i % 64)
	return s
}

// with returns the union of both.
func (s sides) with(t sides) sides {
	if s.has(t) {
		return s
	}
	if t.has(s) {
		return t
	}
	union := make(sides, len(s))
	for i := range s {
		union[i] = s[i] | t[i]
	}
	return union
}

func (s sides) has(t sides) bool {
	for i := range s {
		if t[i]&^s[i] != 0 {
			return false
		}
	}
	return true
}

func (s sides) count() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}
