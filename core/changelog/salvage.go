package changelog

import (
	"bytes"
	"context"
	"encoding/binary"

	"vsync/core/fmt"
	"vsync/core/order"
	"vsync/core/store"
)

// Salvage is what can be read of a log that is damaged.
//
//	whole up to Cut │ hole │ Behind: records that can be read, and belong to nothing any more
type Salvage struct {
	Cut     uint64    // the last commit before the hole
	At      Position  // where it ends; zero where it ends before the segment that was asked for
	Over    *Over     // there is a hole before a commit that is known otherwise: Cut is where the next one begins
	Behind  []Record  // in their order
	Damaged []Damaged // rows that hold nothing that counts
	Partly  []Damaged // rows of which the end cannot be read, and the beginning counts
}

// Damaged is one row of a damaged segment.
type Damaged struct {
	Row     []byte
	Problem string
}

// Over is a log whose records up to a commit are not needed, and from a segment on cannot be read.
//
//	summaries │ Lost … Last │ Next …
type Over struct {
	Lost Name   // segment in which the hole begins
	Hole uint64 // the first commit that cannot be read
	Last uint64 // commit up to which nothing is read
	Next Name   // segment of the commit behind it; zero where there is none
}

// Read reads the log from a segment on as far as it can be read. What it held up to the commit known is known otherwise; 0: nothing. A commit
// that cannot be taken up, though it can be read, counts as the hole; 0: none.
func Read(ctx context.Context, st store.Store, from Name, known, stuck uint64) (*Salvage, error) {
	v := &salvage{segs: map[Name]*broken{}, recs: map[uint64]found{}, stuck: stuck}
	r := store.Range{From: from.row(0), To: []byte{rowSegment + 1}, MaxBytes: 4 << 20}
	err := store.Each(ctx, st, r, func(r store.Row) error { v.row(r); return nil })
	if err != nil {
		return nil, err
	}
	v.out.Cut = max(from.First, 1) - 1
	v.records()
	v.cut(from, known)
	return &v.out, nil
}

// broken is a segment of which rows may be missing.
type broken struct {
	name    Name
	seg     *segment // nil: its head cannot be read
	rows    [][]byte
	problem string
}

// found is a record, and where it ends.
type found struct {
	rec Record
	at  Position
}

type salvage struct {
	segs  map[Name]*broken
	recs  map[uint64]found
	stuck uint64
	out   Salvage
}

// Before returns the segment before one, as the summaries have it; zero where there is none.
func Before(ctx context.Context, st store.Store, from Name) (Name, error) {
	x := newIndex()
	if err := x.load(ctx, st, from); err != nil || x.segs.len() == 0 {
		return Name{}, err
	}
	return x.segs.tail().name, nil
}

func (v *salvage) row(r store.Row) {
	name, part, ok := parseRow(r.Key)
	if !ok {
		v.out.Damaged = append(v.out.Damaged, Damaged{bytes.Clone(r.Key), "its key is none of a segment"})
		return
	}
	b := v.segs[name]
	if b == nil {
		b = &broken{name: name}
		v.segs[name] = b
	}
	b.rows = append(b.rows, bytes.Clone(r.Key))
	switch {
	case part == 0:
		var err error
		if b.seg, err = parseHead(name, r.Value); err != nil {
			b.problem = err.(*CorruptError).Problem
		}
	case b.seg != nil && b.seg.have == int(part):
		b.seg.data = append(b.seg.data, r.Value...)
		b.seg.have++
	case b.problem == "":
		b.problem = fmt.Sprintf("the part before part %d is missing", part)
	}
}

// records reads what can be read. What a later incarnation has written instead does not count: that begins with its first segment.
func (v *salvage) records() {
	names := order.KeysBy(v.segs, compareNames)
	for _, name := range names {
		b, void := v.segs[name], ^uint64(0)
		for _, other := range names {
			if other.Incarnation > name.Incarnation {
				void = min(void, other.First)
			}
		}
		good := false
		if b.seg != nil && b.seg.whole() && b.problem == "" {
			good = v.recordsOf(b, void)
		} else if b.problem == "" && b.seg != nil {
			b.problem = fmt.Sprintf("%d of its %d parts are there", b.seg.have, b.seg.parts)
		}
		if !good {
			for _, row := range b.rows {
				v.out.Damaged = append(v.out.Damaged, Damaged{row, b.problem})
			}
		}
	}
}

func compareNames(a, b Name) int { return bytes.Compare(a.row(0), b.row(0)) }

// recordsOf reads the records of a segment, those behind one that is damaged too, if that says its length; false if there is none that
// counts before such a one, and it is not void.
func (v *salvage) recordsOf(b *broken, void uint64) bool {
	off, good, partly := b.seg.records, false, false
	for c := b.name.First; off < len(b.seg.data) && c < void; c++ {
		rec, n, err := readRecord(b.name, c, b.seg.data[off:])
		if err != nil {
			b.problem = err.(*CorruptError).Problem
			if c > b.name.First && !partly {
				partly = true
				for _, row := range b.rows {
					v.out.Partly = append(v.out.Partly, Damaged{row, b.problem})
				}
			}
			size, w := binary.Uvarint(b.seg.data[off:])
			if w <= 0 || size > uint64(len(b.seg.data)) {
				return good
			}
			off += w + 4 + int(size)
			continue
		}
		off, good = off+n, good || c == b.name.First
		v.recs[c] = found{rec, Position{b.name, uint32(off)}}
	}
	if off == b.seg.records && b.name.First < void {
		b.problem = "it holds no commit"
		return false
	}
	return good || b.name.First >= void
}

// cut finds the hole.
func (v *salvage) cut(from Name, known uint64) {
	v.run()
	if next, is := v.recs[known+1]; v.out.Cut < known && from.First > 0 {
		v.out.Over = &Over{Lost: from, Hole: v.out.Cut + 1, Last: known}
		v.out.Cut, v.out.At = known, Position{}
		if is && next.at.First == known+1 && v.stuck != known+1 { // else the segment that holds it cannot be read to there
			v.out.Over.Next = next.at.Name
			v.run()
		}
	}
	for _, c := range order.Keys(v.recs) {
		if c > v.out.Cut {
			v.out.Behind = append(v.out.Behind, v.recs[c].rec)
		}
	}
}

// run goes on as long as there are records.
func (v *salvage) run() {
	for {
		f, ok := v.recs[v.out.Cut+1]
		if !ok || f.rec.Commit == v.stuck {
			return
		}
		v.out.Cut, v.out.At = f.rec.Commit, f.at
	}
}

// OpenOver is OpenAt for a log with a hole that is passed over. What lies in it is known by its commits alone.
func OpenOver(ctx context.Context, st store.Store, inc uint64, over Over, end Position, visit func(*Log, Record) error) (*Log, error) {
	l := &Log{st: st, inc: inc, index: newIndex()}
	if over.Lost.First > 1 { // else there is nothing to know of what lies before
		if err := l.index.load(ctx, st, over.Lost); err != nil {
			return nil, err
		}
	}
	l.index.extend(summary{name: over.Lost, last: over.Last})
	l.read = Position{Name: over.Lost}
	if over.Next.First == 0 {
		l.last = over.Last
		return l, nil
	}
	return l, l.readOn(ctx, over.Next, &end, visit)
}

// OpenAt is Open for a log that counts up to a position; the first commit of this incarnation makes that so for ever.
func OpenAt(ctx context.Context, st store.Store, inc uint64, from Name, end Position, visit func(*Log, Record) error) (*Log, error) {
	return openLog(ctx, st, inc, from, &end, visit)
}
