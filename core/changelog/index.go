package changelog

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sort"
	"sync"

	"vsync/core/change"
	"vsync/core/store"
)

// summary says what a segment holds: commits, feed sequences, and whose batches' bytes.
type summary struct {
	name     Name
	last     uint64 // last commit
	size     int    // bytes
	seq, end uint64 // first and last feed sequence; 0 where there is none
	spans    []span
}

// span is a run of generations of one device.
type span struct {
	device change.DeviceID
	from   change.Generation
	to     change.Generation
}

func (s *summary) copy() summary { return *s }

func (s *summary) add(commit uint64, items []Item) {
	s.last = commit
	for _, it := range items {
		v, seq, ok := batchOf(it)
		if seq > 0 {
			if s.seq == 0 {
				s.seq = seq
			}
			s.end = seq
		}
		if ok {
			s.addVersion(v)
		}
	}
}

func (s *summary) addVersion(v change.Version) {
	for i := range s.spans {
		if sp := &s.spans[i]; sp.device == v.Device {
			sp.from, sp.to = min(sp.from, v.Gen), max(sp.to, v.Gen)
			return
		}
	}
	s.spans = append(s.spans, span{v.Device, v.Gen, v.Gen})
}

// place is a run of generations and the segment that holds it.
type place struct {
	from, to change.Generation
	seg      int
}

// index finds segments by commit, by feed sequence and by version. It is kept in memory: about a thousandth of the log.
type index struct {
	segs    []*summary
	places  map[change.DeviceID][]place // ascending and disjoint
	stored  int                         // segments whose summaries are in rows
	lastRow store.Row                   // the last summary row, which is appended to until it is full
}

func newIndex() index { return index{places: map[change.DeviceID][]place{}} }

// extend takes what a commit added: to the last segment or as a new one.
func (x *index) extend(s summary) {
	n := len(x.segs)
	if n == 0 || x.segs[n-1].name != s.name {
		cp := s
		cp.spans = slices.Clone(s.spans)
		x.segs = append(x.segs, &cp)
		n++
	} else {
		t := x.segs[n-1]
		t.last, t.size = s.last, t.size+s.size
		if s.seq > 0 {
			if t.seq == 0 {
				t.seq = s.seq
			}
			t.end = s.end
		}
		for _, sp := range s.spans {
			t.addVersion(change.Version{Device: sp.device, Gen: sp.from})
			t.addVersion(change.Version{Device: sp.device, Gen: sp.to})
		}
	}
	for _, sp := range s.spans {
		x.addPlace(sp, n-1)
	}
}

// addPlace notes where generations stand. Those that the device's id had before, in a life that was given up, give way.
func (x *index) addPlace(sp span, seg int) {
	ps := x.places[sp.device]
	for len(ps) > 0 {
		p := &ps[len(ps)-1]
		if p.to < sp.from {
			if p.seg == seg {
				p.to = sp.to
				return
			}
			break
		}
		if p.from >= sp.from {
			ps = ps[:len(ps)-1]
			continue
		}
		p.to = sp.from - 1
	}
	x.places[sp.device] = append(ps, place{sp.from, sp.to, seg})
}

// at returns the segment that holds a commit, −1 if none does.
func (x *index) at(commit uint64) int {
	i := sort.Search(len(x.segs), func(i int) bool { return x.segs[i].last >= commit })
	if i == len(x.segs) || commit < x.segs[i].name.First {
		return -1
	}
	return i
}

func (x *index) bySeq(seq uint64) int {
	// Sequences grow along the log; segments without any lie between.
	best := -1
	lo, hi := 0, len(x.segs)
	for lo < hi {
		mid := (lo + hi) / 2
		i := mid
		for i < hi && x.segs[i].seq == 0 {
			i++
		}
		if i == hi {
			hi = mid
		} else if x.segs[i].end >= seq {
			best, hi = i, mid
		} else {
			lo = i + 1
		}
	}
	return best
}

func (x *index) byVersion(v change.Version) (summary, bool) {
	ps := x.places[v.Device]
	i := sort.Search(len(ps), func(i int) bool { return ps[i].to >= v.Gen })
	if i == len(ps) || v.Gen < ps[i].from {
		return summary{}, false
	}
	return x.segs[ps[i].seg].copy(), true
}

func (x *index) held(d change.DeviceID, last change.Generation) change.Generation {
	want := last + 1
	ps := x.places[d]
	for i := len(ps) - 1; i >= 0 && ps[i].to+1 >= want; i-- {
		want = min(want, ps[i].from)
	}
	return want
}

// Rows.

func summaryKey(first uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{rowSummary}, first)
}

func (s *summary) append(b []byte) []byte {
	for _, v := range []uint64{s.name.First, s.last, s.name.Incarnation, uint64(s.size), s.seq, s.end, uint64(len(s.spans))} {
		b = binary.AppendUvarint(b, v)
	}
	for _, sp := range s.spans {
		b = append(b, sp.device[:]...)
		b = binary.AppendUvarint(b, uint64(sp.from))
		b = binary.AppendUvarint(b, uint64(sp.to))
	}
	return b
}

func parseSummary(b []byte) (s summary, rest []byte, ok bool) {
	var f [7]uint64
	for i := range f {
		v, w := binary.Uvarint(b)
		if w <= 0 {
			return s, nil, false
		}
		f[i], b = v, b[w:]
	}
	s = summary{name: Name{f[0], f[2]}, last: f[1], size: int(f[3]), seq: f[4], end: f[5]}
	for range f[6] {
		var sp span
		if len(b) < 18 {
			return s, nil, false
		}
		copy(sp.device[:], b)
		from, w := binary.Uvarint(b[16:])
		to, w2 := uint64(0), 0
		if w > 0 {
			to, w2 = binary.Uvarint(b[16+w:])
		}
		if w <= 0 || w2 <= 0 || from > to {
			return s, nil, false
		}
		sp.from, sp.to = change.Generation(from), change.Generation(to)
		s.spans = append(s.spans, sp)
		b = b[16+w+w2:]
	}
	return s, b, s.last >= s.name.First
}

func (x *index) load(ctx context.Context, st store.Store, before Name) error {
	start := []byte{rowSummary}
	for {
		rows, err := st.Scan(ctx, store.Range{From: start, To: []byte{rowSummary + 1}, MaxBytes: 1 << 20})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		for _, r := range rows {
			if err := x.loadRow(r, before); err != nil {
				return err
			}
		}
		start = append(rows[len(rows)-1].Key, 0)
	}
}

func (x *index) loadRow(r store.Row, before Name) error {
	bad := func() error {
		return &CorruptError{Problem: fmt.Sprintf("the summary row %x is not as it was written", r.Key)}
	}
	n := len(r.Value) - 4
	if n < 1 || r.Value[0] != formatSegment || crc32.Checksum(r.Value[:n], castagnoli) != binary.LittleEndian.Uint32(r.Value[n:]) {
		return bad()
	}
	for b := r.Value[1:n]; len(b) > 0; {
		s, rest, ok := parseSummary(b)
		if !ok {
			return bad()
		}
		b = rest
		if s.name.First >= before.First { // written by a checkpoint that did not come to its end
			continue
		}
		if len(x.segs) > 0 && s.name.First != x.segs[len(x.segs)-1].last+1 {
			return bad()
		}
		x.extend(s)
		x.stored = len(x.segs)
	}
	x.lastRow = r
	return nil
}

// summaryRows returns the rows that take the summaries of the segments before one, and how many are stored then.
func (x *index) summaryRows(before Name) (rows []store.Row, upTo int) {
	upTo = x.stored
	var row store.Row
	if len(x.lastRow.Value) > 0 && len(x.lastRow.Value) < summaryRow && x.lastFits() {
		row = store.Row{Key: x.lastRow.Key, Value: slices.Clone(x.lastRow.Value[:len(x.lastRow.Value)-4])}
	}
	flush := func() {
		if row.Key != nil {
			row.Value = binary.LittleEndian.AppendUint32(row.Value, crc32.Checksum(row.Value, castagnoli))
			rows = append(rows, row)
			row = store.Row{}
		}
	}
	for ; upTo < len(x.segs) && x.segs[upTo].name.First < before.First; upTo++ {
		b := x.segs[upTo].append(nil)
		if row.Key != nil && len(row.Value)+len(b) > summaryRow {
			flush()
		}
		if row.Key == nil {
			row = store.Row{Key: summaryKey(x.segs[upTo].name.First), Value: []byte{formatSegment}}
		}
		row.Value = append(row.Value, b...)
	}
	if upTo > x.stored {
		flush()
	}
	return rows, upTo
}

// lastFits says that the last row ends with what is stored, and not with what a checkpoint left that broke off.
func (x *index) lastFits() bool {
	if x.stored == 0 {
		return false
	}
	last := x.segs[x.stored-1].append(nil)
	v := x.lastRow.Value
	return len(v) >= len(last)+5 && string(v[len(v)-4-len(last):len(v)-4]) == string(last)
}

func (x *index) written(rows []store.Row, upTo int) {
	if len(rows) > 0 {
		x.lastRow, x.stored = rows[len(rows)-1], upTo
	}
}

// segmentCache keeps the latest decoded segments.
type segmentCache struct {
	mu   sync.Mutex
	list []cachedSegment
}

type cachedSegment struct {
	name Name
	last uint64
	recs []Record
}

func (c *segmentCache) get(n Name, last uint64) ([]Record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.list {
		if s.name == n && s.last >= last {
			copy(c.list[1:i+1], c.list[:i])
			c.list[0] = s
			return s.recs, true
		}
	}
	return nil, false
}

func (c *segmentCache) add(n Name, last uint64, recs []Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == cacheSegments {
		c.list = c.list[:cacheSegments-1]
	}
	c.list = append([]cachedSegment{{n, last, recs}}, c.list...)
}

func (c *segmentCache) forget(n Name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = slices.DeleteFunc(c.list, func(s cachedSegment) bool { return s.name == n })
}

// BatchBytes returns the bytes of the batch that an item holds, nil if it holds none.
func BatchBytes(it Item) []byte {
	switch it.Kind {
	case ItemBatch:
		return it.Data
	case ItemEntry:
		_, w := binary.Uvarint(it.Data)
		if e, err := change.DecodeEntry(it.Data[max(w, 0):]); err == nil && e.Kind == change.EntryBatch {
			return e.Body
		}
	}
	return nil
}
