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
