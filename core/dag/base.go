package dag

import (
	"context"
	"slices"

	"vsync/core/change"
	"vsync/core/order"
)

// MergeBase returns the nearest version that all the given ones descend from, counting each of them as
// its own descendant: of the common ancestors that history holds here, the newest. None has a child
// that is common too and newer, so it is a deepest one; where merges crossed and there are several
// deepest, the newest of them.
//
// False where there is none: the sides were created independently, or history before the fork is gone.
// Errors are those of Walk.
func MergeBase(ctx context.Context, lookup Lookup, leaves []change.Version) (change.Version, bool, error) {
	leaves = distinct(leaves)
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

// distinct returns versions in ascending order, each once.
func distinct(versions []change.Version) []change.Version {
	all := slices.Clone(versions)
	order.By(all, change.Version.Compare)
	return slices.Compact(all)
}
