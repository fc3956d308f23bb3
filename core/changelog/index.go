package changelog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"sync/atomic"

	"vsync/core/change"
	"vsync/core/order"
)

// summary says what a segment holds: commits, feed sequences, and whose batches' bytes.
type summary struct {
	name     Name
	last     uint64 // last commit
	size     int    // bytes
	seq, end uint64 // lowest and highest feed sequence; 0 where there is none
	spans    []span // by device: its cut, then its runs, ascending, neither touching nor overlapping
}

// span is a run of generations of one device. An empty one, with to = from−1, is a cut: the device's id was given
// up there, and what earlier segments hold of it from that generation on does not count any more.
type span struct {
	device change.DeviceID
	from   change.Generation
	to     change.Generation
}

func (sp span) cut() bool { return sp.to < sp.from }

// compareSpans orders by device, cuts before runs, runs by their first generation.
func compareSpans(a, b span) int {
	if c := bytes.Compare(a.device[:], b.device[:]); c != 0 {
		return c
	}
	if a.cut() != b.cut() {
		if a.cut() {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.from, b.from)
}

// add takes in a commit.
func (s *summary) add(commit uint64, items []Item) {
	s.last = commit
	var spans []span
	for _, it := range items {
		if it.Kind == ItemReentry {
			if old, common, ok := reentryOf(it); ok {
				cut := span{old, common + 1, common}
				spans = append(giveUp(spans, cut), cut)
			}
			continue
		}
		v, seq, ok := batchOf(it)
		if seq > 0 {
			s.reach(seq, seq)
		}
		if n := len(spans); !ok {
			continue
		} else if n > 0 && spans[n-1].device == v.Device && spans[n-1].to+1 == v.Gen {
			spans[n-1].to = v.Gen
		} else {
			spans = append(spans, span{v.Device, v.Gen, v.Gen})
		}
	}
	s.take(spans)
}

// reach widens the sequences of the segment.
func (s *summary) reach(seq, end uint64) {
	if s.seq == 0 || seq < s.seq {
		s.seq = seq
	}
	s.end = max(s.end, end)
}

// take adds what a later commit of the segment holds.
func (s *summary) take(later []span) {
	for _, sp := range later {
		if sp.cut() {
			s.spans = giveUp(s.spans, sp)
		}
	}
	s.spans = tidy(append(s.spans, later...))
}

// giveUp takes away what a cut makes void.
func giveUp(spans []span, cut span) []span {
	kept := spans[:0]
	for _, sp := range spans {
		if sp.device == cut.device {
			if sp.from >= cut.from {
				continue
			}
			sp.to = min(sp.to, cut.to)
		}
		kept = append(kept, sp)
	}
	return kept
}

// tidy sorts spans and puts together what touches or overlaps; of a device's cuts the lowest stays.
func tidy(spans []span) []span {
	if len(spans) < 2 {
		return spans
	}
	order.By(spans, compareSpans)
	out := spans[:1]
	for _, sp := range spans[1:] {
		last := &out[len(out)-1]
		switch {
		case sp.device != last.device || sp.cut() != last.cut():
			out = append(out, sp)
		case sp.cut():
		case sp.from <= last.to+1:
			last.to = max(last.to, sp.to)
		default:
			out = append(out, sp)
		}
	}
	return out
}

// place is a run of generations and the block of segments that holds it.
type place struct {
	from, to change.Generation
	block    int
}

// index finds segments by commit, by feed sequence and by version. It is kept in memory: about half a percent of the log.
type index struct {
	segs   segments
	places map[change.DeviceID][]place // ascending and disjoint
	holes  []Hole                      // what is lost, in order
	rows   summaryRows
}

func newIndex() index {
	return index{
		segs:   segments{of: map[change.DeviceID]int{}, hot: &atomic.Pointer[unpacked]{}},
		places: map[change.DeviceID][]place{},
	}
}

// last is the last commit.
func (x *index) last() uint64 {
	if t := x.segs.tail(); t != nil {
		return t.last
	}
	return 0
}

// extend takes what a commit added: to the last segment or as a new one.
func (x *index) extend(s summary) {
	if t := x.segs.tail(); t == nil || t.name != s.name {
		cp := s
		cp.spans = slices.Clone(s.spans)
		x.segs.add(&cp)
		if cp.hole() {
			x.holes = append(x.holes, Hole{s.name.First, s.last})
		}
	} else {
		if n := len(x.holes); n > 0 && t.hole() && s.size > 0 {
			x.holes = x.holes[:n-1]
		}
		t.last, t.size = s.last, t.size+s.size
		if s.seq > 0 {
			t.reach(s.seq, s.end)
		}
		t.take(s.spans)
	}
	block := (x.segs.len() - 1) / blockSegments
	for _, sp := range s.spans {
		if ps := x.places[sp.device]; sp.cut() {
			x.places[sp.device] = cutPlaces(ps, sp)
		} else {
			x.places[sp.device] = addPlace(ps, place{sp.from, sp.to, block})
		}
	}
}

// lose makes a hole of a segment. Where an id was given up in it, that goes on to count.
func (x *index) lose(i int) {
	was := x.segs.at(i)
	block := i / blockSegments
	for d, ps := range x.places {
		var left []place
		for _, p := range ps {
			if p.block != block {
				left = append(left, p)
				continue
			}
			for g := p.from; g <= p.to; g++ {
				if x.segs.latest(block, change.Version{Device: d, Gen: g}) != i {
					left = addPlace(left, place{g, g, block})
				}
			}
		}
		x.places[d] = left
	}
	if !was.hole() {
		x.holes = append(x.holes, Hole{})
		at := len(x.holes) - 1
		for ; at > 0 && x.holes[at-1].First > was.last; at-- {
			x.holes[at] = x.holes[at-1]
		}
		x.holes[at] = Hole{was.name.First, was.last}
	}
	hole := &summary{name: was.name, last: was.last}
	for _, sp := range was.spans {
		if sp.cut() {
			hole.spans = append(hole.spans, sp)
		}
	}
	x.segs.set(i, hole)
	x.rows = summaryRows{}
}

// addPlace notes where generations stand; of a generation that stands in several places the latest counts.
func addPlace(ps []place, p place) []place {
	n := len(ps)
	if n == 0 || ps[n-1].to < p.from {
		if n > 0 && ps[n-1].block == p.block && ps[n-1].to+1 == p.from {
			ps[n-1].to = p.to
			return ps
		}
		return append(ps, p)
	}
	out := make([]place, 0, n+2)
	for _, q := range ps {
		if q.from < p.from {
			out = append(out, place{q.from, min(q.to, p.from-1), q.block})
		}
	}
	out = append(out, p)
	for _, q := range ps {
		if q.to > p.to {
			out = append(out, place{max(q.from, p.to+1), q.to, q.block})
		}
	}
	return out
}

func cutPlaces(ps []place, cut span) []place {
	for len(ps) > 0 && ps[len(ps)-1].from >= cut.from {
		ps = ps[:len(ps)-1]
	}
	if n := len(ps); n > 0 {
		ps[n-1].to = min(ps[n-1].to, cut.to)
	}
	return ps
}

// at returns the segment that holds a commit, −1 if none does.
func (x *index) at(commit uint64) int {
	i := x.segs.from(commit)
	if i == x.segs.len() || commit < x.segs.at(i).name.First {
		return -1
	}
	return i
}

// byVersion returns the segment that holds the bytes of a batch, −1 if none does.
func (x *index) byVersion(v change.Version) int {
	block := x.blockOf(v)
	if block < 0 {
		return -1
	}
	return x.segs.latest(block, v)
}

// blockOf returns the block of segments one of which holds the bytes of a batch, −1 if none does.
func (x *index) blockOf(v change.Version) int {
	ps := x.places[v.Device]
	i := sort.Search(len(ps), func(i int) bool { return ps[i].to >= v.Gen })
	if i == len(ps) || v.Gen < ps[i].from {
		return -1
	}
	return ps[i].block
}

func (s *summary) holds(v change.Version) bool {
	for _, sp := range s.spans {
		if sp.device == v.Device && sp.from <= v.Gen && v.Gen <= sp.to {
			return true
		}
	}
	return false
}

// before returns the segments that may hold a batch of that name up to a commit, the latest first.
func (x *index) before(v change.Version, commit uint64) (segs []int) {
	for i := x.at(commit); i >= 0; i-- {
		if x.segs.at(i).holds(v) {
			segs = append(segs, i)
		}
	}
	return segs
}

func (x *index) held(d change.DeviceID, last change.Generation) change.Generation {
	want := last + 1
	ps := x.places[d]
	for i := len(ps) - 1; i >= 0 && ps[i].to+1 >= want; i-- {
		want = min(want, ps[i].from)
	}
	return want
}

// reentryOf reads an ItemReentry: the device id that was given up, and the last of its generations that counts.
func reentryOf(it Item) (old change.DeviceID, common change.Generation, ok bool) {
	if len(it.Data) < 17 {
		return old, 0, false
	}
	copy(old[:], it.Data)
	v, w := binary.Uvarint(it.Data[16:])
	return old, change.Generation(v), w > 0 && v < change.MaxNumber
}
