package dag

import "vsync/core/fmt"

// A Result says how a version joined the leaves of its object. It is what the watcher reports and what
// decides whether there is a conflict to look for.
type Result uint8

const (
	// FastForward: it is the only leaf now. It replaced all others, or there were none and it names no
	// parents.
	FastForward Result = iota + 1
	// Fork: leaves that it had not seen stay beside it.
	Fork
	// Known: it was a leaf already, and nothing changed.
	Known
	// Orphan: it names parents, and the object has no leaf here. It is the only leaf now; what came
	// before it is below the floor.
	Orphan
)

func (r Result) String() string {
	switch r {
	case FastForward:
		return "fast-forward"
	case Fork:
		return "fork"
	case Known:
		return "known"
	case Orphan:
		return "orphan"
	}
	return fmt.Sprintf("result %d", uint8(r))
}

// Outcome is the Result of a version that was not a leaf yet and names so many parents, where the
// object had so many leaves, of which so many were kept.
func Outcome(leaves, kept, parents int) Result {
	switch {
	case kept > 0:
		return Fork
	case leaves == 0 && parents > 0:
		return Orphan
	}
	return FastForward
}
