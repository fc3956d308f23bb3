package merge

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"vsync/core/change"
)

// What a writer reads back is what he wrote: Apply(seen, Diff(seen, value)) = value, whatever the values, and whatever came before.
func TestAWriterReadsBackWhatHeWrote(t *testing.T) {
	for _, rules := range []string{everyRule, `{}`, `{"*":"counter"}`, `{"*":"text"}`, `{"*":"set"}`, `{"*":"max","deep":"latest"}`} {
		r := rulesOf(t, rules)
		for seed := range rounds(500) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			s := born(version('a', 1), encoded(t, document(rnd)))
			for gen := 2; gen < 6; gen++ {
				value := encoded(t, document(rnd))
				changes := r.Diff(s.Value, s, value)
				if err := Check(changes); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if err := change.CheckValue(changes); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				next := r.Apply(s, Write{version('a', gen), changes, value})
				if !alike(t, next.Value, value, strings.Contains(rules, "set")) {
					t.Fatalf("%s, seed %d: from %s\nto   %s\nby   %s\ncame %s", rules, seed, js(t, s.Value), js(t, value), js(t, changes), js(t, next.Value))
				}
				if next.Origin != s.Origin {
					t.Fatalf("%s, seed %d: changes were not applied: %s", rules, seed, js(t, changes))
				}
				if again := decodeMarks(next.Marks).encode(); !bytes.Equal(again, next.Marks) {
					t.Fatalf("seed %d: marks %x were read as %x", seed, next.Marks, again)
				}
				s = next
			}
		}
	}
}

// Many writes that are folded in one go, from whatever they were made on, give what they give one by one, wherever one looks.
func TestFoldingManyIsApplyingEach(t *testing.T) {
	for _, rules := range []string{everyRule, `{"*":"text"}`, `{"*":"set"}`, `{"*":"max","deep":"latest"}`} {
		r := rulesOf(t, rules)
		for seed := range rounds(500) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			seen := []State{born(version('a', 1), encoded(t, document(rnd)))}
			fold := r.Fold(seen[0])
			for gen := 2; gen < 12; gen++ {
				base := seen[rnd.IntN(len(seen))]
				value := encoded(t, document(rnd))
				w := Write{version('a'+byte(rnd.IntN(3)), gen), r.Diff(base.Value, base, value), value}
				next := r.Apply(seen[len(seen)-1], w)
				if rnd.IntN(8) == 0 {
					next.Deleted = true
				}
				fold.Apply(w)
				fold.Delete(next.Deleted)
				if rnd.IntN(3) == 0 && !sameState(fold.State(), next) {
					t.Fatalf("%s, seed %d: %d writes one by one gave %s, and in one go %s", rules, seed, gen-1, js(t, next.Value), js(t, fold.State().Value))
				}
				seen = append(seen, next)
			}
			if got := fold.State(); !sameState(got, seen[len(seen)-1]) {
				t.Fatalf("%s, seed %d: all writes one by one gave %s, and in one go %s", rules, seed, js(t, seen[len(seen)-1].Value), js(t, got.Value))
			}
		}
	}
}
