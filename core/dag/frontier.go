package dag

import (
	"slices"

	"vsync/core/change"
	"vsync/core/order"
)

// A Frontier is the set of an object's leaves: versions ascending, distinct. Its methods leave it as
// it is.
type Frontier []change.Version

// NewFrontier returns the frontier of these versions, in any order, with repetitions or without.
func NewFrontier(versions ...change.Version) Frontier {
	f := slices.Clone(Frontier(versions))
	order.By(f, change.Version.Compare)
	return slices.Compact(f)
}

// Has reports whether v is a leaf.
func (f Frontier) Has(v change.Version) bool {
	_, found := slices.BinarySearchFunc(f, v, change.Version.Compare)
	return found
}

// Equal reports whether both have the same leaves.
func (f Frontier) Equal(g Frontier) bool { return slices.Equal(f, g) }

// Graft returns the frontier after v, which replaces its parents. Whether v came before and was
// replaced since cannot be seen in a frontier: the caller drops what its generation vector covers.
func (f Frontier) Graft(v change.Version, parents []change.Version) (Frontier, Result) {
	if f.Has(v) {
		return f, Known
	}
	after := make(Frontier, 0, len(f)+1)
	for _, leaf := range f {
		if !slices.Contains(parents, leaf) {
			after = append(after, leaf)
		}
	}
	result := Outcome(len(f), len(after), len(parents))
	at, _ := slices.BinarySearchFunc(after, v, change.Version.Compare)
	return order.Insert(after, at, v), result
}

// Gap returns the first of the parents that a replica which holds so much cannot know yet: its writer
// cannot have seen it before the replica did, so something is missing in between. False where there is
// none. A parent that is held is legal even where its record is gone.
func Gap(held change.Vector, parents []change.Version) (change.Version, bool) {
	for _, p := range parents {
		if !held.Covers(p) {
			return p, true
		}
	}
	return change.Version{}, false
}
