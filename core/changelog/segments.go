package changelog

import (
	"encoding/binary"
	"slices"
	"sort"
	"sync/atomic"

	"vsync/core/change"
)

// blockSegments is how many summaries are packed together: to read one is to read those before it.
const blockSegments = 32

// segments are the summaries of all segments, in order. There is one for each 4 KB of log, kept in memory as long as the log is open, so all but
// the last ones are packed: 20 bytes each where two devices write, and not 200.
//
//	│ block: 32 summaries │ block │ … │ open: the 32 to 63 behind them (fewer of a short log), as they are │
//
//	block, for each: first − last of the one before │ last − first │ incarnation ⊕ that of the one before │ size │
//	                 seq: 0 for none, else 1 + zigzag(seq − end of the one before that has any) │ end − seq, where there is seq │
//	                 n × (device's place in devices, from, to + 1 − from)
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
	sums  []summary
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
	var full []summary
	for _, sum := range s.open[:blockSegments] {
		full = append(full, *sum)
	}
	s.blocks = append(s.blocks, s.pack(full))
	s.open = append(make([]*summary, 0, 2*blockSegments), s.open[blockSegments:]...)
}

// at returns a summary, which is not to be changed.
func (s *segments) at(i int) *summary {
	if b := i / blockSegments; b < len(s.blocks) {
		return &s.packed(b)[i%blockSegments]
	}
	return s.open[i-len(s.blocks)*blockSegments]
}

// packed are the summaries of a block.
func (s *segments) packed(b int) []summary {
	if hot := s.hot.Load(); hot != nil && hot.block == b {
		return hot.sums
	}
	hot := &unpacked{b, make([]summary, 0, blockSegments)}
	var spans []span
	s.each(b*blockSegments, (b+1)*blockSegments, func(_ int, sum *summary) bool {
		at := len(spans)
		spans = append(spans, sum.spans...)
		hot.sums = append(hot.sums, *sum)
		hot.sums[len(hot.sums)-1].spans = spans[at:len(spans):len(spans)]
		return true
	})
	s.hot.Store(hot)
	return hot.sums
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

// each calls fn for the summaries from one on up to before another, until it returns false. What it is given lasts for the call, and is not to be
// changed.
func (s *segments) each(from, to int, fn func(i int, sum *summary) bool) {
	for b := from / blockSegments; b < len(s.blocks) && b*blockSegments < to; b++ {
		u := s.unpack(b)
		for i := b * blockSegments; i < min(to, (b+1)*blockSegments); i++ {
			if u.next(); i >= from && !fn(i, &u.sum) {
				return
			}
		}
	}
	for i := max(from, len(s.blocks)*blockSegments); i < to; i++ {
		if !fn(i, s.open[i-len(s.blocks)*blockSegments]) {
			return
		}
	}
}

// set puts another in the place of a summary.
func (s *segments) set(at int, other *summary) {
	b := at / blockSegments
	if b >= len(s.blocks) {
		s.open[at-len(s.blocks)*blockSegments] = other
		return
	}
	all := slices.Clone(s.packed(b))
	all[at%blockSegments] = *other
	was := s.blocks[b]
	s.blocks[b] = s.pack(all)
	s.hot.Store(nil)
	s.blocks[b].end = was.end // and of those behind: none of them has less, some may have none
}

// clone is for who reads it beside the writer.
func (s *segments) clone() segments {
	cp := segments{blocks: slices.Clone(s.blocks), devices: slices.Clip(s.devices), hot: &atomic.Pointer[unpacked]{}}
	for _, sum := range s.open {
		own := *sum
		own.spans = slices.Clone(sum.spans)
		cp.open = append(cp.open, &own)
	}
	return cp
}

// holding returns the first summary with a last commit of at least this one; len if there is none.
func (s *segments) holding(commit uint64) int {
	b := sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i].last >= commit })
	if b == len(s.blocks) {
		return b*blockSegments + sort.Search(len(s.open), func(i int) bool { return s.open[i].last >= commit })
	}
	return s.first(b*blockSegments, func(sum *summary) bool { return sum.last >= commit })
}

// bySeq returns the first summary with a feed sequence of at least this one; −1 if none has. Sequences grow along the log.
func (s *segments) bySeq(seq uint64) int {
	b := sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i].end >= seq })
	i := s.first(b*blockSegments, func(sum *summary) bool { return sum.seq > 0 && sum.end >= seq })
	if i == s.len() {
		return -1
	}
	return i
}

// first returns the first one from one on that ok takes; len if there is none.
func (s *segments) first(from int, ok func(*summary) bool) int {
	at := s.len()
	s.each(from, at, func(i int, sum *summary) bool {
		if ok(sum) {
			at = i
			return false
		}
		return true
	})
	return at
}

func (s *segments) pack(sums []summary) block {
	var out block
	if n := len(s.blocks); n > 0 {
		out.end = s.blocks[n-1].end
	}
	b := make([]byte, 0, blockSegments*24)
	var before summary
	for i := range sums {
		sum := &sums[i]
		b = change.AppendUvarint(b, sum.name.First-before.last)
		b = change.AppendUvarint(b, sum.last-sum.name.First)
		b = change.AppendUvarint(b, sum.name.Incarnation^before.name.Incarnation)
		b = change.AppendUvarint(b, uint64(sum.size))
		if sum.seq == 0 {
			b = append(b, 0)
		} else {
			d := sum.seq - before.end
			b = change.AppendUvarint(b, 1+(d<<1^uint64(int64(d)>>63)))
			b = change.AppendUvarint(b, sum.end-sum.seq)
			before.end = sum.end
		}
		b = change.AppendUvarint(b, uint64(len(sum.spans)))
		for _, sp := range sum.spans {
			b = change.AppendUvarint(b, uint64(s.device(sp.device)))
			b = change.AppendUvarint(b, uint64(sp.from))
			b = change.AppendUvarint(b, uint64(sp.to+1-sp.from))
		}
		before.last, before.name.Incarnation = sum.last, sum.name.Incarnation
		out.last, out.end = sum.last, max(out.end, sum.end)
	}
	out.packed = slices.Clone(b)
	return out
}

func (s *segments) device(d change.DeviceID) int {
	at, ok := s.of[d]
	if !ok {
		if s.of == nil {
			s.of = map[change.DeviceID]int{}
		}
		at = len(s.devices)
		s.of[d], s.devices = at, append(s.devices, d)
	}
	return at
}

// unpacking reads a block.
type unpacking struct {
	b       []byte
	end     uint64
	devices []change.DeviceID
	sum     summary // that was read last
}

func (s *segments) unpack(b int) unpacking {
	return unpacking{b: s.blocks[b].packed, devices: s.devices}
}

func (u *unpacking) next() {
	s := &u.sum
	s.name.First = s.last + u.take()
	s.last = s.name.First + u.take()
	s.name.Incarnation ^= u.take()
	s.size = int(u.take())
	s.seq, s.end = 0, 0
	if d := u.take(); d > 0 {
		d--
		s.seq = u.end + (d>>1 ^ -(d & 1))
		s.end = s.seq + u.take()
		u.end = s.end
	}
	s.spans = s.spans[:0]
	for range u.take() {
		sp := span{device: u.devices[u.take()], from: change.Generation(u.take())}
		sp.to = sp.from + change.Generation(u.take()) - 1
		s.spans = append(s.spans, sp)
	}
}

func (u *unpacking) take() uint64 {
	v, n := binary.Uvarint(u.b)
	u.b = u.b[n:]
	return v
}
