package changelog

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"vsync/core/change"
	"vsync/core/fmt"
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
	cache  cache
	fills  map[uint64]uint64 // holes that are filled, by their first commit: the commit that holds what stands for them
	size   int64             // bytes appended since opening
}

// pending is a commit that was formed and is not confirmed.
type pending struct {
	name Name
	tail []byte
	sum  summary
	size int
}

// Open reads the log of a store. from is the segment to begin with, as Start gave it, zero for the beginning; summaries
// cover what lies before. Each record from there on is handed to visit, in order, when the log can already be asked for
// what its segment holds; Last is then that of the segment.
//
// The incarnation must be higher than any before, also after a connection to the store was lost: a log that another engine
// has written since is refused with store.ErrLocked. Damage is a *CorruptError.
func Open(ctx context.Context, st store.Store, inc uint64, from Name, visit func(*Log, Record) error) (*Log, error) {
	return openLog(ctx, st, inc, from, nil, visit)
}

func openLog(ctx context.Context, st store.Store, inc uint64, from Name, end *Position, visit func(*Log, Record) error) (*Log, error) {
	l := &Log{st: st, inc: inc, index: newIndex()}
	if from.First > 0 { // else there is nothing to know of what lies before
		if err := l.index.load(ctx, st, from); err != nil {
			return nil, err
		}
	}
	if err := l.readOn(ctx, from, end, visit); err != nil {
		return nil, err
	}
	return l, nil
}

// readOn reads segments from one on, which follow on what the index knows.
func (l *Log) readOn(ctx context.Context, from Name, end *Position, visit func(*Log, Record) error) error {
	l.last = l.index.last()
	segs, err := readSegments(ctx, l.st, from)
	if err != nil {
		return err
	}
	for _, s := range segs {
		if s.name.Incarnation >= l.inc {
			return fmt.Errorf("changelog: incarnation %016x has written commit %d, and this engine is %016x: open the store again: %w", s.name.Incarnation, s.name.First, l.inc, store.ErrLocked)
		}
	}
	chain, err := validChain(segs, end)
	if err != nil {
		return err
	}
	if from.First > 0 && (len(chain) == 0 || chain[0].name != from) {
		return &CorruptError{Segment: from, Problem: "the checkpoint needs it, and the log that is there does not begin with it"}
	}
	for _, s := range chain {
		if err := l.replaySegment(s, visit); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) replaySegment(s *segment, visit func(*Log, Record) error) error {
	if want := l.last + 1; s.name.First != want {
		return &CorruptError{Segment: s.name, Problem: fmt.Sprintf("the commit before it is %d: one is missing", l.last)}
	}
	sum := summary{name: s.name}
	d := &decoded{name: s.name, size: len(s.data)}
	for off := s.records; off < len(s.data); {
		rec, n, err := readRecord(s.name, l.last+1, s.data[off:])
		if err != nil {
			return err
		}
		off += n
		l.last++
		sum.add(rec.Commit, rec.Items)
		sum.size = off
		d.recs = append(d.recs, rec)
	}
	if sum.last == 0 {
		return &CorruptError{Segment: s.name, Problem: "it holds no commit"}
	}
	l.index.extend(sum)
	l.read = Position{s.name, uint32(len(s.data))}
	d.last = l.last
	l.cache.add(d) // what is visited is often looked up at once
	for _, rec := range d.recs {
		if err := visit(l, rec); err != nil {
			return err
		}
	}
	return nil
}

// readSegments reads all rows from a segment on.
func readSegments(ctx context.Context, st store.Store, from Name) ([]*segment, error) {
	var out []*segment
	r := store.Range{From: from.row(0), To: []byte{rowSegment + 1}, MaxBytes: 4 << 20}
	err := store.Each(ctx, st, r, func(r store.Row) error {
		name, part, ok := parseRow(r.Key)
		if !ok {
			return &CorruptError{Problem: fmt.Sprintf("the row key %x is none of a segment", r.Key)}
		}
		if part == 0 {
			s, err := parseHead(name, r.Value)
			out = append(out, s)
			return err
		}
		if n := len(out); n == 0 || out[n-1].name != name || out[n-1].have != int(part) {
			return &CorruptError{Segment: name, Problem: fmt.Sprintf("the part before part %d is missing", part)}
		}
		s := out[len(out)-1]
		s.data = append(s.data, r.Value...)
		s.have++
		return nil
	})
	return out, err
}

// validChain leaves those segments that are the log, cut to what counts.
//
// Backwards from the highest incarnation, or from where the log was cut: the first segment of each names where the one before ends.
func validChain(segs []*segment, cut *Position) ([]*segment, error) {
	if cut == nil {
		segs = withoutTorn(segs)
	}
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
	if cut != nil {
		end, inc = *cut, cut.Incarnation
	}
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

// withoutTorn drops the last segment of the last incarnation if parts of it are missing: the engine died while it
// was written, so nobody was told of it. Where nothing else of that incarnation is there, the same goes for the one before:
// it is where the next one has to go on.
func withoutTorn(segs []*segment) []*segment {
	for {
		last, others := -1, false
		for i, s := range segs {
			if last < 0 || s.name.Incarnation >= segs[last].name.Incarnation {
				others = last >= 0 && s.name.Incarnation == segs[last].name.Incarnation
				last = i
			}
		}
		if last < 0 || segs[last].whole() {
			return segs
		}
		segs = slices.Delete(segs, last, last+1)
		if others {
			return segs
		}
	}
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

// Begun says that this incarnation has a segment.
func (l *Log) Begun() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.opened
}

// Append adds the rows of the next commit to tx. It counts when Committed is called, and is forgotten at the next Append.
// The rows of the log come in the order in which any beginning of them does no harm.
func (l *Log) Append(tx *store.Tx, items []Item) (commit uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	commit = l.last + 1
	body := bodyLen(items)
	size := uvarintLen(uint64(body)) + 4 + body
	p := &pending{name: Name{commit, l.inc}}
	if l.tail != nil && len(l.tail)+size <= TailMax {
		p.name, p.size = l.name, size
		p.tail = append(make([]byte, 0, len(l.tail)+size), l.tail...)
	} else {
		var pred *Position
		if !l.opened {
			pred = &l.read
		}
		parts := (headSize(pred) + size + partMax - 1) / partMax
		p.size = headSize(pred) + size
		p.tail = appendHead(room(p.size), p.name, parts, pred)
	}
	p.tail = appendRecord(p.tail, l.inc, commit, body, items)
	for i := 0; i*partMax < len(p.tail); i++ {
		tx.Put(p.name.row(uint16(i)), p.tail[i*partMax:min(len(p.tail), (i+1)*partMax)])
	}
	p.sum = summary{name: p.name, size: p.size}
	p.sum.add(commit, items)
	l.next = p
	return commit
}

// rooms are what large segments were made in: dense writers make many, one after the other.
var rooms sync.Pool

// room returns a slice of no length that has room for n bytes.
func room(n int) []byte {
	if n > TailMax {
		if b, _ := rooms.Get().(*[]byte); b != nil && cap(*b) >= n {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, n)
}

// Committed says that the transaction of the last Append is stored.
func (l *Log) Committed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.next
	if p == nil {
		return
	}
	l.next = nil
	l.last++
	l.name, l.tail, l.opened = p.name, p.tail, true
	if len(l.tail) > TailMax {
		rooms.Put(new(p.tail)) // the store has kept nothing of it
		l.tail = nil
	}
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
		if i = l.index.segs.len() - 1; i < 0 {
			return Name{}
		}
	}
	return l.index.segs.at(i).name
}

// Summaries adds to tx the summary rows of what lies before a segment and has none yet; done is to be called
// when tx is committed.
func (l *Log) Summaries(tx *store.Tx, before Name) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	after := l.index.write(tx, before)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.index.rows = after
	}
}

// IncarnationOf returns which incarnation wrote a commit.
func (l *Log) IncarnationOf(commit uint64) (uint64, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if i := l.index.at(commit); i >= 0 {
		return l.index.segs.at(i).name.Incarnation, true
	}
	return 0, false
}

// Records returns commits from the given one on, in order: those of one segment. Empty means that there are none.
func (l *Log) Records(ctx context.Context, from uint64) ([]Record, error) {
	d, err := l.segment(ctx, func(x *index) int { return x.at(from) })
	if d == nil {
		return nil, err
	}
	return d.recs[from-d.name.First:], nil
}

// BySeq returns the commits of the segment that holds a feed sequence or, if none does, the first later one. It is for hubs: a
// device's sequences do not grow along its log where it went back.
func (l *Log) BySeq(ctx context.Context, seq uint64) ([]Record, error) {
	d, err := l.segment(ctx, func(x *index) int { return x.segs.bySeq(seq) })
	if d == nil {
		return nil, err
	}
	return d.recs, nil
}

// Find returns the bytes of a batch, the commit that brought them, and whether the log has them. Where a batch came
// more than once it is the latest; what its device gave up with its id is not found.
func (l *Log) Find(ctx context.Context, v change.Version) (batch []byte, rec Record, ok bool, err error) {
	d, err := l.segment(ctx, func(x *index) int { return x.byVersion(v) })
	if d == nil {
		return nil, Record{}, false, err
	}
	at, ok := d.find(v)
	if !ok {
		return nil, Record{}, false, &CorruptError{Segment: d.name, Problem: fmt.Sprintf("its summary names the batch %s, and it does not hold it", v)}
	}
	rec = d.recs[at.rec]
	return BatchBytes(rec.Items[at.item]), rec, true, nil
}

// FindAt is Find as of a commit: where others came under the same name after it, it is the latest up to then.
func (l *Log) FindAt(ctx context.Context, v change.Version, commit uint64) (batch []byte, rec Record, ok bool, err error) {
	batch, rec, ok, err = l.Find(ctx, v)
	if err != nil || !ok || rec.Commit <= commit {
		return batch, rec, ok, err
	}
	l.mu.RLock()
	segs := l.index.before(v, commit)
	l.mu.RUnlock()
	for _, i := range segs {
		d, err := l.segment(ctx, func(*index) int { return i })
		if err != nil {
			return nil, Record{}, false, err
		}
		if rec, batch := d.findAt(v, commit); batch != nil {
			return batch, rec, true, nil
		}
	}
	return nil, Record{}, false, nil
}

// Has says whether the log holds the bytes of a batch.
func (l *Log) Has(v change.Version) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.index.blockOf(v) >= 0
}

// Held returns the lowest generation from which on the log holds all batches of a device up to last; last+1 if none.
func (l *Log) Held(d change.DeviceID, last change.Generation) change.Generation {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.index.held(d, last)
}

// segment returns the records of the segment that pick finds, as far as they count; nil where it finds none.
func (l *Log) segment(ctx context.Context, pick func(*index) int) (*decoded, error) {
	l.mu.RLock()
	i := pick(&l.index)
	if i < 0 {
		l.mu.RUnlock()
		return nil, nil
	}
	s := l.index.segs.at(i)
	name, last := s.name, s.last
	fill, filled := l.fills[name.First]
	var tail []byte
	if name == l.name {
		tail = l.tail
	}
	l.mu.RUnlock()
	if d, ok := l.cache.get(name, last); ok {
		return d, nil
	}
	if filled {
		return l.filled(ctx, name, last, fill)
	}
	d, err := l.decode(ctx, name, last, tail)
	if _, is := errors.AsType[*CorruptError](err); is { // what was only read wrong is right the next time: nobody gives up a batch for that
		d, err = l.decode(ctx, name, last, tail)
	}
	if err != nil {
		return nil, err
	}
	l.cache.add(d)
	return d, nil
}

func (l *Log) decode(ctx context.Context, name Name, last uint64, tail []byte) (*decoded, error) {
	seg, err := l.readSegment(ctx, name, tail)
	if err != nil {
		return nil, err
	}
	d := &decoded{name: name, last: last, size: len(seg.data)}
	for off, c := seg.records, name.First; c <= last; c++ {
		rec, n, err := readRecord(name, c, seg.data[min(off, len(seg.data)):])
		if err != nil {
			return nil, err
		}
		d.recs, off = append(d.recs, rec), off+n
	}
	return d, nil
}

func (l *Log) readSegment(ctx context.Context, name Name, tail []byte) (*segment, error) {
	if tail != nil {
		return parseHead(name, tail)
	}
	rows, err := l.st.Scan(ctx, store.Range{From: name.row(0), To: store.Successor(name.row(0xffff))})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, &CorruptError{Segment: name, Problem: "its rows are missing"}
	}
	seg, err := parseHead(name, rows[0].Value)
	if err != nil {
		return nil, err
	}
	for _, r := range rows[1:] {
		seg.data = append(seg.data, r.Value...)
		seg.have++
	}
	if !seg.whole() {
		return nil, &CorruptError{Segment: name, Problem: fmt.Sprintf("%d of its %d parts are there", seg.have, seg.parts)}
	}
	return seg, nil
}

// BatchBytes returns the bytes of the batch that an item holds, nil if it holds none.
func BatchBytes(it Item) []byte {
	switch it.Kind {
	case ItemBatch:
		return it.Data
	case ItemEntry:
		_, w := binary.Uvarint(it.Data)
		if kind, _, _, body, ok := change.CutEntry(it.Data[max(w, 0):]); ok && kind == change.EntryBatch {
			return body
		}
	}
	return nil
}
