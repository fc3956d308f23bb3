package changelog

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"

	"vsync/core/change"
	"vsync/core/store"
)

// Log is the log of one store. Append and Committed belong to the one writer; everything else may be called from any goroutine.
type Log struct {
	st  store.Store
	inc uint64

	mu     sync.RWMutex
	index  index
	last   uint64   // last commit
	read   Position // what was read of the log at opening, for this incarnation's first segment
	opened bool     // this incarnation has written its first segment
	tail   []byte   // the segment that the next commit may be appended to, if it is ours
	name   Name     // its name
	next   *pending
	cache  segmentCache
	size   int64 // bytes appended since opening
}

// pending is a commit that was formed and is not confirmed.
type pending struct {
	name Name
	tail []byte
	sum  summary
	size int
}

// Open reads the log of a store. from is the segment to begin with, as a Pointer gave it; summaries cover what lies before.
// Each record from there on is handed to visit, in order. The incarnation must be higher than any before.
func Open(ctx context.Context, st store.Store, inc uint64, from Name, visit func(Record) error) (*Log, error) {
	l := &Log{st: st, inc: inc, index: newIndex()}
	if err := l.index.load(ctx, st, from); err != nil {
		return nil, err
	}
	if n := len(l.index.segs); n > 0 {
		l.last = l.index.segs[n-1].last
	}
	segs, err := readSegments(ctx, st, from)
	if err != nil {
		return nil, err
	}
	chain, err := validChain(segs)
	if err != nil {
		return nil, err
	}
	if from.First > 0 && (len(chain) == 0 || chain[0].name != from) {
		return nil, &CorruptError{Segment: from, Problem: "it is missing, and the checkpoint needs it"}
	}
	for _, s := range chain {
		if err := l.replaySegment(s, visit); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *Log) replaySegment(s *segment, visit func(Record) error) error {
	if want := l.last + 1; s.name.First != want {
		return &CorruptError{Segment: s.name, Problem: fmt.Sprintf("the commit before it is %d: one is missing", l.last)}
	}
	sum := summary{name: s.name}
	for off := s.records; off < len(s.data); {
		rec, n, err := readRecord(s.name, l.last+1, s.data[off:])
		if err != nil {
			return err
		}
		off += n
		l.last++
		sum.add(rec.Commit, rec.Items)
		sum.size = off
		if err := visit(rec); err != nil {
			return err
		}
	}
	if sum.last == 0 {
		return &CorruptError{Segment: s.name, Problem: "it holds no commit"}
	}
	l.index.extend(sum)
	l.read = Position{s.name, uint32(len(s.data))}
	return nil
}

// readSegments reads all rows from a segment on.
func readSegments(ctx context.Context, st store.Store, from Name) ([]*segment, error) {
	var out []*segment
	start := from.row(0)
	for {
		rows, err := st.Scan(ctx, store.Range{From: start, To: []byte{rowSegment + 1}, MaxBytes: 4 << 20})
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return out, nil
		}
		for _, r := range rows {
			name, part, ok := parseRow(r.Key)
			if !ok {
				return nil, &CorruptError{Problem: fmt.Sprintf("the row key %x is none of a segment", r.Key)}
			}
			if part == 0 {
				s, err := parseHead(name, r.Value)
				if err != nil {
					return nil, err
				}
				out = append(out, s)
				continue
			}
			s := (*segment)(nil)
			if len(out) > 0 {
				s = out[len(out)-1]
			}
			if s == nil || s.name != name || int(part) != s.have {
				return nil, &CorruptError{Segment: name, Problem: fmt.Sprintf("part %d stands alone", part)}
			}
			s.data = append(s.data, r.Value...)
			s.have++
		}
		start = append(rows[len(rows)-1].Key, 0)
	}
}

// validChain leaves those segments that are the log, cut to what counts.
//
// Backwards from the highest incarnation: its first segment names where the one before ends.
func validChain(segs []*segment) ([]*segment, error) {
	segs = withoutTorn(segs)
	starts := map[uint64]*segment{}
	var inc uint64
	for _, s := range segs {
		if s.pred != nil {
			starts[s.name.Incarnation] = s
		}
		inc = max(inc, s.name.Incarnation)
	}
	var chain []*segment
	end := Position{Length: ^uint32(0), Name: Name{First: ^uint64(0)}}
	for i := len(segs) - 1; i >= 0; i-- {
		s := segs[i]
		if s.name.Incarnation != inc || s.name.First > end.First {
			continue
		}
		if s.name.First == end.First {
			if int(end.Length) > len(s.data) {
				return nil, &CorruptError{Segment: s.name, Problem: fmt.Sprintf("it has %d bytes, and the segment after it was written when it had %d", len(s.data), end.Length)}
			}
			s.data = s.data[:end.Length]
		}
		if !s.whole() {
			return nil, &CorruptError{Segment: s.name, Problem: fmt.Sprintf("%d of its %d parts are there", s.have, s.parts)}
		}
		chain = append(chain, s)
		if first := starts[inc]; first == s && s.pred.First != 0 {
			end, inc = *s.pred, s.pred.Incarnation
		}
	}
	for i, j := 0, len(chain)-1; i < j; i, j = i+1, j-1 {
		chain[i], chain[j] = chain[j], chain[i]
	}
	return chain, nil
}

// withoutTorn drops the very last segment if parts of it are missing: the engine died while it was written, so nobody
// was told of it.
func withoutTorn(segs []*segment) []*segment {
	last := -1
	for i, s := range segs {
		if last < 0 || s.name.Incarnation >= segs[last].name.Incarnation {
			last = i
		}
	}
	if last < 0 || segs[last].whole() {
		return segs
	}
	return slices.Delete(segs, last, last+1)
}

// Last is the number of the last commit.
func (l *Log) Last() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.last
}

// Size is how many bytes were appended since the log was opened.
func (l *Log) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.size
}

// Append adds the rows of the next commit to tx. It counts when Committed is called, and is forgotten at the next Append.
func (l *Log) Append(tx *store.Tx, items []Item) (commit uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	commit = l.last + 1
	p := &pending{sum: summary{}}
	if l.tail != nil {
		grown := appendRecord(append(make([]byte, 0, len(l.tail)+512), l.tail...), l.inc, commit, items)
		if len(grown) <= TailMax {
			p.name, p.tail, p.size = l.name, grown, len(grown)-len(l.tail)
			tx.Put(p.name.row(0), grown)
		}
	}
	if p.tail == nil {
		l.appendSegment(tx, p, commit, items)
	}
	p.sum.name = p.name
	p.sum.add(commit, items)
	l.next = p
	return commit
}

func (l *Log) appendSegment(tx *store.Tx, p *pending, commit uint64, items []Item) {
	p.name = Name{commit, l.inc}
	var pred *Position
	if !l.opened {
		pred = &l.read
	}
	b := appendHead(make([]byte, 0, 4096), p.name, 1, pred)
	b = appendRecord(b, l.inc, commit, items)
	parts := (len(b) + partMax - 1) / partMax
	b[18], b[19] = byte(parts>>8), byte(parts)
	for i := range parts {
		tx.Put(p.name.row(uint16(i)), b[i*partMax:min(len(b), (i+1)*partMax)])
	}
	p.tail, p.size = b, len(b)
}

// Committed says that the transaction of the last Append is stored.
func (l *Log) Committed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.next
	l.next = nil
	l.last++
	l.name, l.tail, l.opened = p.name, p.tail, true
	if len(l.tail) > TailMax {
		l.tail = nil
	}
	p.sum.size = p.size
	l.size += int64(p.size)
	l.index.extend(p.sum)
	l.cache.forget(p.name)
}

// Start is the segment where reading must begin so that every commit after the given one is seen.
func (l *Log) Start(commit uint64) Name {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := l.index.at(commit + 1)
	if i < 0 { // nothing after it yet: the last segment may still grow
		if i = len(l.index.segs) - 1; i < 0 {
			return Name{}
		}
	}
	return l.index.segs[i].name
}

// Summaries adds to tx the summary rows of what lies before a segment and has none yet; done is to be called
// when tx is committed.
func (l *Log) Summaries(tx *store.Tx, before Name) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, upTo := l.index.summaryRows(before)
	for _, r := range rows {
		tx.Put(r.Key, r.Value)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.index.written(rows, upTo)
	}
}

// IncarnationOf returns which incarnation wrote a commit.
func (l *Log) IncarnationOf(commit uint64) (uint64, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if i := l.index.at(commit); i >= 0 {
		return l.index.segs[i].name.Incarnation, true
	}
	return 0, false
}

// Records returns commits from the given one on, in order: those of one segment. Empty means that there are none.
func (l *Log) Records(ctx context.Context, from uint64) ([]Record, error) {
	l.mu.RLock()
	i := l.index.at(from)
	var s summary
	if i >= 0 {
		s = l.index.segs[i].copy()
	}
	l.mu.RUnlock()
	if i < 0 {
		return nil, nil
	}
	recs, err := l.segment(ctx, s)
	if err != nil {
		return nil, err
	}
	return recs[sort.Search(len(recs), func(i int) bool { return recs[i].Commit >= from }):], nil
}

// BySeq returns the commits of the segment that holds a feed sequence or, if none does, the first later one.
func (l *Log) BySeq(ctx context.Context, seq uint64) ([]Record, error) {
	l.mu.RLock()
	i := l.index.bySeq(seq)
	var s summary
	if i >= 0 {
		s = l.index.segs[i].copy()
	}
	l.mu.RUnlock()
	if i < 0 {
		return nil, nil
	}
	return l.segment(ctx, s)
}

// Find returns the bytes of a batch, the commit that brought them, and whether the log has them.
func (l *Log) Find(ctx context.Context, v change.Version) (batch []byte, rec Record, ok bool, err error) {
	l.mu.RLock()
	s, ok := l.index.byVersion(v)
	l.mu.RUnlock()
	if !ok {
		return nil, Record{}, false, nil
	}
	recs, err := l.segment(ctx, s)
	if err != nil {
		return nil, Record{}, false, err
	}
	for i := len(recs) - 1; i >= 0; i-- { // the latest: a device that came back under a new id may have left an earlier one
		for _, it := range recs[i].Items {
			if got, _, has := batchOf(it); has && got == v {
				return BatchBytes(it), recs[i], true, nil
			}
		}
	}
	return nil, Record{}, false, &CorruptError{Segment: s.name, Problem: fmt.Sprintf("its summary names the batch %s, and it does not hold it", v)}
}

// Has says whether the log holds the bytes of a batch.
func (l *Log) Has(v change.Version) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, ok := l.index.byVersion(v)
	return ok
}

// Held returns the lowest generation from which on the log holds all batches of a device up to last; last+1 if none.
func (l *Log) Held(d change.DeviceID, last change.Generation) change.Generation {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.index.held(d, last)
}

// segment returns the records of a segment that count.
func (l *Log) segment(ctx context.Context, s summary) ([]Record, error) {
	if recs, ok := l.cache.get(s.name, s.last); ok {
		return recs, nil
	}
	rows, err := l.st.Scan(ctx, store.Range{From: s.name.row(0), To: append(s.name.row(0xffff), 0)})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, &CorruptError{Segment: s.name, Problem: "its rows are missing"}
	}
	seg, err := parseHead(s.name, rows[0].Value)
	if err != nil {
		return nil, err
	}
	for _, r := range rows[1:] {
		seg.data = append(seg.data, r.Value...)
	}
	var recs []Record
	for off, c := seg.records, s.name.First; c <= s.last; c++ {
		rec, n, err := readRecord(s.name, c, seg.data[min(off, len(seg.data)):])
		if err != nil {
			return nil, err
		}
		recs, off = append(recs, rec), off+n
	}
	l.cache.add(s.name, s.last, recs)
	return recs, nil
}
