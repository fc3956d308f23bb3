package change

import (
	"maps"

	"vsync/core/order"
)

// A Vector is a generation vector: per device the highest generation held, all before it included.
// A device that is not in it, or stands in it with 0, has nothing held. A nil Vector can be read.
type Vector map[DeviceID]Generation

// A Span is a run of generations of one device, both ends included.
type Span struct {
	Device      DeviceID
	First, Last Generation
}

// Covers reports whether v is held.
func (vec Vector) Covers(v Version) bool { return v.Gen <= vec[v.Device] }

// CoversAll reports whether everything that other holds is held.
func (vec Vector) CoversAll(other Vector) bool {
	for d, g := range other {
		if g > vec[d] {
			return false
		}
	}
	return true
}

// Raise notes that v, and all before it of its device, is held. It never lowers.
func (vec Vector) Raise(v Version) {
	if v.Gen > vec[v.Device] {
		vec[v.Device] = v.Gen
	}
}

// Max raises vec to the element-wise maximum with other.
func (vec Vector) Max(other Vector) {
	for d, g := range other {
		vec.Raise(Version{d, g})
	}
}

// Clone returns a copy that shares nothing; never nil.
func (vec Vector) Clone() Vector {
	c := make(Vector, len(vec))
	maps.Copy(c, vec)
	return c
}

// Difference returns what source holds and destination lacks, as one span a device, in the order of
// devices. Generations at or below reclaimed are gone from the source's history and are left out; a
// nil reclaimed leaves out nothing. Nil where nothing is missing.
func Difference(source, destination, reclaimed Vector) []Span {
	var spans []Span
	for d, last := range source {
		if first := max(destination[d], reclaimed[d]) + 1; first <= last {
			spans = append(spans, Span{d, first, last})
		}
	}
	order.By(spans, func(a, b Span) int { return a.Device.Compare(b.Device) })
	return spans
}

// Missing returns what other holds and vec lacks.
func (vec Vector) Missing(other Vector) []Span { return Difference(other, vec, nil) }
