package change

import (
	"reflect"
	"testing"
)

func TestDifference(t *testing.T) {
	a, b, c := device(1), device(2), device(3)
	for _, row := range []struct {
		about                          string
		source, destination, reclaimed Vector
		want                           []Span
	}{
		{"equal", Vector{a: 3, b: 5}, Vector{a: 3, b: 5}, nil, nil},
		{"source empty", nil, Vector{a: 3}, nil, nil},
		{"both empty", nil, Vector{}, nil, nil},
		{"source stale", Vector{a: 2, b: 4}, Vector{a: 3, b: 5}, nil, nil},
		{"source fresher", Vector{a: 4, b: 9}, Vector{a: 3, b: 5}, nil, []Span{{a, 4, 4}, {b, 6, 9}}},
		{"partly fresher, partly stale", Vector{a: 4, b: 4}, Vector{a: 3, b: 5, c: 2}, nil, []Span{{a, 4, 4}}},
		{"scrambled order", Vector{c: 2, a: 1, b: 3}, Vector{b: 1, c: 1}, nil, []Span{{a, 1, 1}, {b, 2, 3}, {c, 2, 2}}},
		{"destination empty", Vector{a: 3, b: 1}, nil, nil, []Span{{a, 1, 3}, {b, 1, 1}}},
		{"limited by what was reclaimed", Vector{a: 9, b: 5, c: 2}, Vector{a: 3}, Vector{a: 5, b: 5, c: 1}, []Span{{a, 6, 9}, {c, 2, 2}}},
	} {
		// Maps have an order of their own each time; the spans must not.
		for range 20 {
			if got := Difference(row.source, row.destination, row.reclaimed); !reflect.DeepEqual(got, row.want) {
				t.Fatalf("%s: %v, want %v", row.about, got, row.want)
			}
		}
		if row.reclaimed == nil && !reflect.DeepEqual(row.destination.Missing(row.source), row.want) {
			t.Errorf("%s: Missing differs", row.about)
		}
		if got := row.destination.CoversAll(row.source); row.reclaimed == nil && got != (row.want == nil) {
			t.Errorf("%s: CoversAll is %v", row.about, got)
		}
	}
}

// Whatever the vectors, a destination that takes what it lacks has the element-wise maximum.
func TestVectorTakesMissing(t *testing.T) {
	source, have := Vector{device(1): 4, device(2): 1, device(3): 7}, Vector{device(1): 2, device(2): 5, device(4): 1}
	taken, raised := have.Clone(), have.Clone()
	for _, s := range have.Missing(source) {
		for g := s.First; g <= s.Last; g++ {
			v := Version{s.Device, g}
			if taken.Covers(v) {
				t.Errorf("%v is held and missing", v)
			}
			taken.Raise(v)
		}
	}
	raised.Max(source)
	if !reflect.DeepEqual(taken, raised) || !raised.CoversAll(source) || !raised.CoversAll(have) || have.CoversAll(source) {
		t.Errorf("taken %v, raised %v", taken, raised)
	}
	if want := (Vector{device(1): 2, device(2): 5, device(4): 1}); !reflect.DeepEqual(have, want) {
		t.Errorf("a clone's change reached its origin: %v", have)
	}
}

func TestVectorCovers(t *testing.T) {
	v := Vector{device(1): 3}
	v.Raise(Version{device(1), 2})
	for gen, want := range map[Generation]bool{0: true, 1: true, 3: true, 4: false} {
		if got := v.Covers(Version{device(1), gen}); got != want {
			t.Errorf("generation %d: %v", gen, got)
		}
	}
	if v.Covers(Version{device(2), 1}) {
		t.Error("a device never heard of is covered")
	}
	if Vector(nil).Clone() == nil {
		t.Error("a clone of nil cannot be raised")
	}
}
