package dag

import (
	"cmp"
	"context"
	"slices"

	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/order"
)

// Ranked returns a lookup of the given versions and their ancestors whose positions are above those of all parents, for a log that
// has records in another order: where a feed was taken up again from an earlier place, a version may stand behind one that was
// written over it before. Beside that it keeps the log's order. Where versions are their own ancestors, which no writer makes, a
// parent is left out.
//
// Errors are those of the lookup and of the context, and ErrTooWide for more than MaxAncestors versions.
func Ranked(ctx context.Context, lookup Lookup, from []change.Version) (Lookup, error) {
	nodes, err := reach(ctx, lookup, from)
	if err != nil {
		return nil, err
	}
	rank(nodes)
	return func(_ context.Context, v change.Version) (Node, bool, error) {
		n, ok := nodes[v]
		if !ok {
			return Node{}, false, nil
		}
		return *n, true, nil
	}, nil
}

// reach looks up the versions and all their ancestors.
func reach(ctx context.Context, lookup Lookup, from []change.Version) (map[change.Version]*Node, error) {
	nodes := map[change.Version]*Node{}
	met := map[change.Version]bool{}
	wait := slices.Clone(from)
	for len(wait) > 0 {
		v := wait[len(wait)-1]
		wait = wait[:len(wait)-1]
		if met[v] {
			continue
		}
		met[v] = true
		n, ok, err := lookup(ctx, v)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if len(nodes) == MaxAncestors {
			return nil, fmt.Errorf("more than %d versions: %w", MaxAncestors, ErrTooWide)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n.Version, n.Parents = v, slices.Clone(n.Parents)
		nodes[v] = &n
		wait = append(wait, n.Parents...)
	}
	return nodes, nil
}

// rank numbers the nodes anew: each behind its parents, and otherwise as they stood.
func rank(nodes map[change.Version]*Node) {
	ranked := make([]*Node, 0, len(nodes))
	for _, n := range nodes {
		ranked = append(ranked, n)
	}
	order.By(ranked, func(a, b *Node) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), a.Version.Compare(b.Version))
	})
	last := uint64(0)
	state := map[change.Version]uint8{} // 1: being placed, 2: placed
	for _, n := range ranked {
		for stack := []*Node{n}; len(stack) > 0; {
			top := stack[len(stack)-1]
			switch state[top.Version] {
			case 0:
				state[top.Version] = 1
				top.Parents = slices.DeleteFunc(top.Parents, func(p change.Version) bool { return state[p] == 1 })
				for _, p := range top.Parents {
					if q := nodes[p]; q != nil && state[p] == 0 {
						stack = append(stack, q)
					}
				}
			case 1:
				stack = stack[:len(stack)-1]
				last++
				top.Position = last
				state[top.Version] = 2
			default:
				stack = stack[:len(stack)-1]
			}
		}
	}
}
