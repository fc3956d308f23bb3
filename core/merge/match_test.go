package merge

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// whole puts the second text together from the first and the differences, and counts the units that differ.
func whole(t *testing.T, a, b []byte, chars bool) (body []byte, differences int) {
	t.Helper()
	u := unitsOf(a, b, chars)
	at, to := 0, 0
	for _, h := range u.diff() {
		if h.a0 < at || h.a1 < h.a0 || h.b1 < h.b0 || h.a0-at != h.b0-to || h.a0 == h.a1 && h.b0 == h.b1 {
			t.Fatalf("%q to %q: %+v", a, b, u.hunks)
		}
		body = append(body, a[u.a.starts[at]:u.a.starts[h.a0]]...)
		body = append(body, b[u.b.starts[h.b0]:u.b.starts[h.b1]]...)
		at, to = h.a1, h.b1
		differences += h.a1 - h.a0 + h.b1 - h.b0
	}
	return append(body, a[u.a.starts[at]:]...), differences
}

// longest is the length of the longest common subsequence, by the book.
func longest(a, b []string) int {
	best := make([][]int, len(a)+1)
	for i := range best {
		best[i] = make([]int, len(b)+1)
	}
	for i := range a {
		for j := range b {
			best[i+1][j+1] = max(best[i][j+1], best[i+1][j])
			if a[i] == b[j] {
				best[i+1][j+1] = best[i][j] + 1
			}
		}
	}
	return best[len(a)][len(b)]
}

// Few differences are found as the fewest there can be.
func TestTheFewestDifferencesAreFound(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		list := func() (units []string) {
			for range rnd.IntN(30) {
				units = append(units, []string{"a", "b", "c", "ü", "東"}[rnd.IntN(1+int(seed%5))])
			}
			return units
		}
		a, b := list(), list()
		want := len(a) + len(b) - 2*longest(a, b)
		for _, sep := range []string{"", "\n"} {
			x, y := []byte(strings.Join(append(a, ""), sep)), []byte(strings.Join(append(b, ""), sep))
			if body, n := whole(t, x, y, sep == ""); !bytes.Equal(body, y) || n != want {
				t.Fatalf("seed %d: %q to %q gave %q with %d differences, not %d", seed, x, y, body, n, want)
			}
		}
	}
}

// Where there are many, those that stand once in both are still found to be the same.
func TestManyDifferences(t *testing.T) {
	var a, b, kept strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&a, "old %d\n", i)
		fmt.Fprintf(&b, "new %d\n}\n", i)
		if i%3 == 0 {
			fmt.Fprintf(&a, "kept %d\n}\n", i)
			fmt.Fprintf(&b, "kept %d\n", i)
			fmt.Fprintf(&kept, "kept %d\n", i)
		}
	}
	u := unitsOf([]byte(a.String()), []byte(b.String()), false)
	u.number(hunk{0, u.a.len(), 0, u.b.len()})
	u.between(hunk{0, u.a.len(), 0, u.b.len()}, hunk{})
	equal := u.a.len()
	for _, h := range u.hunks {
		equal -= h.a1 - h.a0
	}
	if want := strings.Count(kept.String(), "\n"); equal < want {
		t.Errorf("%d lines are taken for the same, of %d at least", equal, want)
	}
	if body, _ := whole(t, []byte(a.String()), []byte(b.String()), false); string(body) != b.String() {
		t.Error("another text came")
	}
	shuffled := strings.SplitAfter(a.String(), "\n")
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	if body, _ := whole(t, []byte(a.String()), []byte(strings.Join(shuffled, "")), false); string(body) != strings.Join(shuffled, "") {
		t.Error("another text came")
	}
}
