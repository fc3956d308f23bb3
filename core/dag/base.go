package dag

import (
	"context"

	"vsync/core/change"
)

// MergeBase returns the nearest version that all the given ones descend from, counting each of them as
// its own descendant: of the common ancestors that history holds here, the newest. None has a child
// that is common too and newer, so it is a deepest one; where merges crossed and there are several
// deepest, the newest of them.
//
// False where there is none: the sides were created independently, or history before the fork is gone.
// Errors are those of Walk.
func MergeBase(ctx context.Context, lookup Lookup, leaves []change.Version) (change.Version, bool, error) {
	leaves = NewFrontier(leaves...)
	w := walk[sides]{lookup: lookup, merge: sides.with}
	for i, v := range leaves {
		if err := w.push(ctx, v, nil, side(len(leaves), i)); err != nil {
			return change.Version{}, false, err
		}
	}
	for w.waiting() {
		n, seen := w.pop()
		if seen.count() == len(leaves) {
			return n.Version, true, nil
		}
		if err := w.pushParents(ctx, n, seen); err != nil {
			return change.Version{}, false, err
		}
	}
	return change.Version{}, false, nil
}

// Descends reports whether v descends from ancestor: whether a way of parents leads there. A version
// descends from itself. It needs no record of the ancestor; where history between the two is gone, it
// reports false. Errors are those of Walk.
func Descends(ctx context.Context, lookup Lookup, v, ancestor change.Version) (bool, error) {
	if v == ancestor {
		return true, nil
	}
	end, held, err := lookup(ctx, ancestor)
	if err != nil {
		return false, err
	}
	w := walk[struct{}]{lookup: lookup, merge: func(a, _ struct{}) struct{} { return a }}
	if err := w.push(ctx, v, nil, struct{}{}); err != nil {
		return false, err
	}
	for w.waiting() {
		n, _ := w.pop()
		if held && n.Position <= end.Position {
			return false, nil
		}
		for _, p := range n.Parents {
			if p == ancestor {
				return true, nil
			}
		}
		if err := w.pushParents(ctx, n, struct{}{}); err != nil {
			return false, err
		}
	}
	return false, nil
}
