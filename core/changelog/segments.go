package changelog

import (
	"encoding/binary"
	"sort"
	"sync/atomic"

	"vsync/core/change"
)

// blockSegments is how many summaries are packed together: to read one, all of them are unpacked.
const blockSegments = 32

// segments are the summaries of all segments, in order. There is one for each 4 KB of log, kept in memory as long as the log is open, so all but
// the last ones are packed: about 22 bytes each where two devices write, and not 280.
//
//	│ block: 32 summaries │ block │ … │ open: the 32 to 63 behind them (fewer of a short log), as they are │
//
//	block, for each: first − last of the one before │ last − first │ incarnation ⊕ that of the one before │ size │
//	                 seq │ end − seq │ n × (device's place in devices, from, to + 1 − from)
//
// All are uvarints; differences are those of uint64, which wrap.
type segments struct {
	blocks  []block
	open    []*summary
	devices []change.DeviceID
	of      map[change.DeviceID]int // places in devices
	hot     *atomic.Pointer[unpacked]
}

// unpacked is the block that was looked into last: who reads a history looks into it again.
type unpacked struct {
	block int
	sums  []*summary
}

// block is what is packed; where a segment is lost, another takes its place.
type block struct {
	packed []byte
	last   uint64 // last commit
	end    uint64 // highest feed sequence of this block and those before it; 0: none
}

func (s *segments) len() int { return len(s.blocks)*blockSegments + len(s.open) }

// tail is the last summary, which may be changed; nil where there is none.
func (s *segments) tail() *summary {
	if len(s.open) == 0 {
		return nil
	}
	return s.open[len(s.open)-1]
}

// add puts one behind the others.
func (s *segments) add(sum *summary) {
	s.open = append(s.open, sum)
	if len(s.open) < 2*blockSegments {
		return
	}
	s.blocks = append(s.blocks, block{})
	s.pack(len(s.blocks)-1, s.open[:blockSegments])
	s.open = append(make([]*summary, 0, 2*blockSegments), s.open[blockSegments:]...)
}

// at returns a summary, which is not to be changed.
func (s *segments) at(i int) *summary {
	if b := i / blockSegments; b < len(s.blocks) {
		return s.unpacked(b)[i%blockSegments]
	}
	return s.open[i-len(s.blocks)*blockSegments]
}

// set puts another in the place of a summary.
func (s *segments) set(at int, other *summary) {
	b := at / blockSegments
	if b >= len(s.blocks) {
		s.open[at-len(s.blocks)*blockSegments] = other
		return
	}
	all := s.unpacked(b)
	all[at%blockSegments] = other
	s.pack(b, all)
}

// clone is for who reads it beside the writer.
func (s *segments) clone() segments {
	cp := segments{blocks: append([]block(nil), s.blocks...), devices: s.devices, hot: &atomic.Pointer[unpacked]{}}
	for _, sum := range s.open {
		own := *sum
		own.spans = append([]span(nil), sum.spans...)
		cp.open = append(cp.open, &own)
	}
	return cp
}

// latest returns the last one of a block that holds a batch, −1 if none does.
func (s *segments) latest(b int, v change.Version) int {
	for i := min(s.len(), (b+1)*blockSegments) - 1; i >= b*blockSegments; i-- {
		if s.at(i).holds(v) {
			return i
		}
	}
	return -1
}

// from returns the first one whose last commit is not before this one; len if there is none.
func (s *segments) from(commit uint64) int {
	i := blockSegments * sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i].last >= commit })
	for i < s.len() && s.at(i).last < commit {
		i++
	}
	return i
}

// bySeq returns the first one with a feed sequence of at least this one; −1 if none has. Sequences grow along the log.
func (s *segments) bySeq(seq uint64) int {
	i := blockSegments * sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i].end >= seq })
	for ; i < s.len(); i++ {
		if sum := s.at(i); sum.seq > 0 && sum.end >= seq {
			return i
		}
	}
	return -1
}

// pack makes a block anew.
func (s *segments) pack(at int, sums []*summary) {
	var out block
	if at > 0 {
		out.end = s.blocks[at-1].end
	}
	var v []uint64
	var last, inc uint64
	for _, sum := range sums {
		v = append(v, sum.name.First-last, sum.last-sum.name.First, sum.name.Incarnation^inc, uint64(sum.size), sum.seq, sum.end-sum.seq, uint64(len(sum.spans)))
		last, inc = sum.last, sum.name.Incarnation
		for _, sp := range sum.spans {
			v = append(v, uint64(s.device(sp.device)), uint64(sp.from), uint64(sp.to+1-sp.from))
		}
		out.last, out.end = sum.last, max(out.end, sum.end)
	}
	var b []byte
	for _, v := range v {
		b = change.AppendUvarint(b, v)
	}
	out.packed = append([]byte(nil), b...)
	s.blocks[at] = out // where one of it is lost, the ends of those behind are still none too low
	s.hot.Store(nil)
}

// unpacked are the summaries of a block.
func (s *segments) unpacked(b int) []*summary {
	if hot := s.hot.Load(); hot != nil && hot.block == b {
		return hot.sums
	}
	p := s.blocks[b].packed
	take := func(f []uint64) {
		for i := range f {
			v, n := binary.Uvarint(p)
			f[i], p = v, p[n:]
		}
	}
	hot := &unpacked{b, make([]*summary, blockSegments)}
	var last, inc uint64
	for i := range hot.sums {
		var f [7]uint64
		take(f[:])
		first := last + f[0]
		last, inc = first+f[1], inc^f[2]
		sum := &summary{name: Name{first, inc}, last: last, size: int(f[3]), seq: f[4], end: f[4] + f[5], spans: make([]span, f[6])}
		for j := range sum.spans {
			take(f[:3])
			sum.spans[j] = span{s.devices[f[0]], change.Generation(f[1]), change.Generation(f[1] + f[2] - 1)}
		}
		hot.sums[i] = sum
	}
	s.hot.Store(hot)
	return hot.sums
}

func (s *segments) device(d change.DeviceID) int {
	at, ok := s.of[d]
	if !ok {
		at = len(s.devices)
		s.of[d], s.devices = at, append(s.devices, d)
	}
	return at
}
