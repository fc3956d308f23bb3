package merge

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// fewest counts the differences as the definition has it.
func fewest(x, y []int32) int {
	before, row := make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range before {
		before[j] = j
	}
	for i := range x {
		row[0] = i + 1
		for j := range y {
			row[j+1] = 1 + min(before[j+1], row[j])
			if x[i] == y[j] {
				row[j+1] = before[j]
			}
		}
		before, row = row, before
	}
	return before[len(y)]
}

// checkFound holds what is true of any search: what was left out of the differences is the same.
func checkFound(t *testing.T, x, y []int32) (differences int) {
	t.Helper()
	found := search(x, y)
	a, b := 0, 0
	for _, h := range append(slices.Clone(found), hunk{len(x), len(x), len(y), len(y)}) {
		if h.a0 < a || h.b0 < b || h.a1 < h.a0 || h.b1 < h.b0 || !slices.Equal(x[a:h.a0], y[b:h.b0]) {
			t.Fatalf("%v, %v: %v is no difference after %d, %d", x, y, h, a, b)
		}
		a, b, differences = h.a1, h.b1, differences+h.a1-h.a0+h.b1-h.b0
	}
	return differences
}

func TestSearchFindsTheFewest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	list := func(n int, kinds int32) []int32 {
		out := make([]int32, n)
		for i := range out {
			out[i] = random.Int32N(kinds)
		}
		return out
	}
	close, far := 0, 0
	for i := range 3000 {
		x, y := list(random.IntN(12), 3), list(random.IntN(12), 3)
		switch i % 10 {
		case 0: // far apart
			x, y = list(random.IntN(400), 50), list(random.IntN(400), 50)
		case 1: // an edited copy
			x = list(300, 90)
			y = slices.Clone(x)
			for range random.IntN(40) {
				at := random.IntN(len(y))
				y = slices.Replace(y, at, min(len(y), at+random.IntN(3)), list(random.IntN(3), 90)...)
			}
		}
		differences := checkFound(t, x, y)
		switch least := fewest(x, y); {
		case least <= maxDifferences && differences != least:
			t.Fatalf("%v, %v: expected %d differences, got %d", x, y, least, differences)
		case least <= maxDifferences:
			close++
		default:
			if far++; differences > least+least/2 {
				t.Errorf("%d and %d units: %d differences, where %d would do", len(x), len(y), differences, least)
			}
		}
	}
	if close < 1000 || far < 100 {
		t.Errorf("only %d with few differences and %d with many", close, far)
	}
}

// All that differs costs no more than its length allows.
func TestSearchIsBounded(t *testing.T) {
	x, y := make([]int32, 50_000), make([]int32, 60_000)
	for i := range x {
		x[i] = int32(i)
	}
	for i := range y {
		y[i] = int32(-1 - i)
	}
	if differences := checkFound(t, x, y); differences != len(x)+len(y) {
		t.Errorf("expected all to differ, got %d", differences)
	}
}
