package dag

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"vsync/core/change"
)

// Graphs whose records stand in any order are walked as those in order: children first, each once, all of them.
func TestRanked(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 1 + r.IntN(40)
		version := func(i int) change.Version {
			return change.Version{Device: change.DeviceID{byte(1 + i%3)}, Gen: change.Generation(i + 1)}
		}
		places := r.Perm(n)
		nodes := map[change.Version]Node{}
		isParent := map[change.Version]bool{}
		for i := range n {
			node := Node{Version: version(i), Position: uint64(places[i] + 1)}
			for range r.IntN(3) {
				if i > 0 {
					p := version(r.IntN(i))
					node.Parents, isParent[p] = append(node.Parents, p), true
				}
			}
			nodes[node.Version] = node
		}
		if seed%5 == 0 && n > 2 { // a circle, which no writer makes
			first := nodes[version(0)]
			first.Parents = append(first.Parents, version(n-1))
			nodes[version(0)] = first
		}
		lookup := func(_ context.Context, v change.Version) (Node, bool, error) {
			node, ok := nodes[v]
			return node, ok, nil
		}
		var leaves []change.Version
		for v := range nodes {
			if !isParent[v] || seed%5 == 0 {
				leaves = append(leaves, v)
			}
		}
		slices.SortFunc(leaves, change.Version.Compare)
		ranked, err := Ranked(ctx, lookup, leaves)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[change.Version]int{}
		walked, err := Walk(ctx, ranked, leaves, func(node Node) error { seen[node.Version] = len(seen) + 1; return nil })
		if err != nil || len(walked.Missing) > 0 || len(seen) != n {
			t.Fatalf("seed %d: %d of %d, %v", seed, len(seen), n, err)
		}
		for v, node := range nodes {
			for _, p := range node.Parents {
				if seen[p] < seen[v] && seed%5 != 0 {
					t.Fatalf("seed %d: %v before its child %v", seed, p, v)
				}
			}
		}
		if _, _, err := MergeBase(ctx, ranked, leaves); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// What stands in order keeps it.
func TestRankedKeepsOrder(t *testing.T) {
	ctx := context.Background()
	v := func(i int) change.Version {
		return change.Version{Device: change.DeviceID{1}, Gen: change.Generation(i)}
	}
	nodes := map[change.Version]Node{
		v(1): {Position: 10}, v(2): {Position: 20}, v(3): {Position: 30, Parents: []change.Version{v(1)}}, v(4): {Position: 40, Parents: []change.Version{v(2), v(9)}},
	}
	lookup := func(_ context.Context, v change.Version) (Node, bool, error) { n, ok := nodes[v]; return n, ok, nil }
	ranked, err := Ranked(ctx, lookup, []change.Version{v(3), v(4)})
	if err != nil {
		t.Fatal(err)
	}
	var order []change.Version
	walked, err := Walk(ctx, ranked, []change.Version{v(3), v(4)}, func(n Node) error { order = append(order, n.Version); return nil })
	if err != nil || !slices.Equal(order, []change.Version{v(4), v(3), v(2), v(1)}) || !slices.Equal(walked.Missing, []change.Version{v(9)}) {
		t.Error(order, walked, err)
	}
}
