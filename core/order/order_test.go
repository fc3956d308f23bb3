package order

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

type pair struct{ key, at int }

func byKey(a, b pair) int { return cmp.Compare(a.key, b.key) }
func same(a, b pair) bool { return a.key == b.key }

func TestAsPackageSlices(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		list := make([]pair, n)
		set := map[int]bool{}
		for i := range list {
			list[i] = pair{random.IntN(n/2 + 1), i}
			set[list[i].key] = true
		}
		want, stable, by, pointed := slices.Clone(list), slices.Clone(list), slices.Clone(list), slices.Clone(list)
		slices.SortStableFunc(want, byKey)
		StableByPointer(stable, func(a, b *pair) int { return byKey(*a, *b) })
		By(by, byKey)
		ByPointer(pointed, func(a, b *pair) int { return byKey(*a, *b) })
		if !slices.Equal(stable, want) || !slices.EqualFunc(by, want, same) || !slices.EqualFunc(pointed, want, same) {
			t.Fatalf("expected %v, got %v, %v and %v", want, stable, by, pointed)
		}
		slices.SortFunc(by, func(a, b pair) int { return cmp.Compare(a.at, b.at) })
		if !slices.Equal(by, list) {
			t.Fatalf("%v has other elements than %v", by, list)
		}
		if at := random.IntN(n + 1); !slices.Equal(Insert(slices.Clone(list), at, pair{-1, -1}), slices.Insert(slices.Clone(list), at, pair{-1, -1})) {
			t.Fatalf("inserted elsewhere than at %d of %d", at, n)
		}
		if keys := Keys(set); !slices.Equal(keys, slices.Sorted(maps.Keys(set))) {
			t.Fatalf("keys %v of %v", keys, set)
		}
	}
}
