package merge

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Sets and texts that come and go, become something else and come again, at one path and below it, with what counts as a whole between, and changes that
// were made under other rules: folding many gives what folding each gives, and no state that was looked at changes afterwards.
func TestFoldingManyOfSmallSets(t *testing.T) {
	const writes = 100
	all := []string{`{"s":"set","m.s":"set","m.t":"text","c":"counter"}`, `{"*":"set"}`, `{"s":"text","m":"set"}`, `{"m.s":"text","s":"set"}`}
	for n, text := range all {
		r, other := rulesOf(t, text), rulesOf(t, all[(n+1)%len(all)])
		for seed := range rounds(80) {
			rnd := rand.New(rand.NewPCG(seed, 8))
			seen := []State{born(version('a', 1), encoded(t, sparse(rnd)))}
			fold := r.Fold(seen[0])
			var looked, was []State
			for gen := 2; gen < writes; gen++ {
				base := seen[max(0, len(seen)-1-rnd.IntN([]int{4, 100}[seed%2]))]
				value := encoded(t, sparse(rnd))
				w := Write{version('a'+byte(rnd.IntN(3)), gen), r.Diff(base.Value, base, value), value}
				switch rnd.IntN(12) {
				case 0:
					w.Changes = other.Diff(base.Value, base, value)
				case 1:
					if rnd.IntN(3) == 0 {
						w.Changes = nil
					} else {
						w.Changes = []byte{fromNothing}
					}
				}
				w.Changes, w.Value = bytes.Clone(w.Changes), bytes.Clone(w.Value)
				next := r.Apply(seen[len(seen)-1], w)
				fold.Apply(w)
				if rnd.IntN(10) == 0 {
					next.Deleted = !next.Deleted
					fold.Delete(next.Deleted)
				}
				if rnd.IntN(6) == 0 || gen == writes-1 {
					got := fold.State()
					if !sameState(got, next) {
						t.Fatalf("%s, seed %d: %d writes one by one gave %s, %x, and in one go %s, %x", text, seed, gen-1, js(t, next.Value), next.Marks, js(t, got.Value), got.Marks)
					}
					looked = append(looked, got)
					was = append(was, State{bytes.Clone(got.Value), got.Origin, bytes.Clone(got.Marks), got.Deleted})
				}
				seen = append(seen, next)
			}
			for i := range looked {
				if !sameState(looked[i], was[i]) {
					t.Fatalf("%s, seed %d: a state that was looked at has changed", text, seed)
				}
			}
		}
	}
}

// sparse is a document of few members, lines and kinds.
func sparse(rnd *rand.Rand) map[string]any {
	var part func(depth int) any
	part = func(depth int) any {
		switch k := rnd.IntN(12); {
		case k < 6:
			list := []any{}
			size := []int{5, 5, 5, 60}[rnd.IntN(4)]
			for range rnd.IntN(size) {
				list = append(list, rnd.IntN(size))
			}
			return list
		case k < 8:
			return []string{"", "a", "a\nb", "b\n", "a\nb\nc\n"}[rnd.IntN(5)]
		case k < 9:
			return rnd.IntN(5)
		case k < 11 && depth < 2:
			m := map[string]any{}
			for _, key := range []string{"s", "t"} {
				if rnd.IntN(3) > 0 {
					m[key] = part(depth + 1)
				}
			}
			return m
		}
		return nil
	}
	out := map[string]any{}
	for _, key := range []string{"s", "m", "c"} {
		if rnd.IntN(5) > 0 {
			out[key] = part(0)
		}
	}
	return out
}
