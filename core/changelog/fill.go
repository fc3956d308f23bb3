package changelog

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"slices"

	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/order"
	"vsync/core/store"
)

// A hole may be filled: a later commit holds records that stand for those that were lost.
//
//	… │ hole: 7 8 9 │ … │ 40: ItemFill │ …
//	     └── read as ────────┘
//
//	ItemFill: first commit uv ‖ n × (length uv ‖ body of a record)

// Filling returns the ItemFill for a hole: records from a commit on, without gaps.
func Filling(first uint64, recs [][]Item) Item {
	b := change.AppendUvarint(nil, first)
	for _, items := range recs {
		b = appendItems(change.AppendUvarint(b, uint64(bodyLen(items))), items)
	}
	return Item{ItemFill, b}
}

// filling reads an ItemFill.
func filling(data []byte) (recs []Record, ok bool) {
	first, b, ok := cutUvarint(data)
	for len(b) > 0 && ok {
		var n uint64
		if n, b, ok = cutUvarint(b); !ok || n > uint64(len(b)) {
			return nil, false
		}
		rec := Record{Commit: first + uint64(len(recs))}
		if rec.Items, ok = itemsOf(b[:n]); ok {
			recs, b = append(recs, rec), b[n:]
		}
	}
	return recs, ok && len(recs) > 0
}

// SetFills says which holes are filled, by the commits that hold what stands for them: what a checkpoint knew, whose summaries say the rest.
func (l *Log) SetFills(fills map[uint64]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fills = maps.Clone(fills)
}

// Fill lets the records of an ItemFill, which a commit holds, stand for those of the segments that held these commits.
func (l *Log) Fill(commit uint64, data []byte) error {
	recs, ok := filling(data)
	if !ok {
		return &CorruptError{Problem: fmt.Sprintf("commit %d: what it puts in the place of a hole cannot be read", commit)}
	}
	first, last := recs[0].Commit, recs[len(recs)-1].Commit
	l.mu.Lock()
	defer l.mu.Unlock()
	i, j := l.index.at(first), l.index.at(last)
	fits := i >= 0 && j >= i && l.index.segs.at(i).name.First == first && l.index.segs.at(j).last == last
	if !fits {
		return &CorruptError{Problem: fmt.Sprintf("commit %d puts records in the place of commits %d to %d, which are not all of some segments", commit, first, last)}
	}
	sum := summary{name: l.index.segs.at(i).name}
	for _, rec := range recs {
		sum.add(rec.Commit, rec.Items)
	}
	x := newIndex()
	for k := range l.index.segs.len() {
		s := l.index.segs.at(k)
		if k >= i && k <= j {
			l.cache.forget(s.name)
		}
		if k == i {
			x.extend(sum)
		} else if k < i || k > j {
			x.extend(*s)
		}
	}
	l.index = x
	if l.fills == nil {
		l.fills = map[uint64]uint64{}
	}
	l.fills[first] = commit
	return nil
}

// filled reads what stands for a hole.
func (l *Log) filled(ctx context.Context, name Name, last, at uint64) (*decoded, error) {
	recs, err := l.Records(ctx, at)
	if err != nil || len(recs) == 0 {
		return nil, err
	}
	for _, it := range recs[0].Items {
		if it.Kind != ItemFill {
			continue
		}
		if recs, ok := filling(it.Data); ok && recs[0].Commit == name.First && recs[len(recs)-1].Commit == last {
			d := &decoded{name: name, last: last, size: len(it.Data), recs: recs}
			l.cache.add(d)
			return d, nil
		}
	}
	return nil, &CorruptError{Segment: name, Problem: fmt.Sprintf("commit %d should hold what stands in its place, and does not", at)}
}

// Remains is what is left of a stretch of the log.
type Remains struct {
	Records map[uint64][]Item // by commit
	Rows    []Damaged         // all rows of segments that begin there; without a problem those whose records can all be read
}

// ReadRemains reads what can be read of a run of commits, which begins with a segment.
func ReadRemains(ctx context.Context, st store.Store, first, last uint64) (*Remains, error) {
	v := &salvage{segs: map[Name]*broken{}, recs: map[uint64]found{}}
	r := store.Range{From: Name{First: first}.row(0), To: Name{First: last + 1}.row(0), MaxBytes: 4 << 20}
	if err := store.Each(ctx, st, r, func(r store.Row) error { v.row(r); return nil }); err != nil {
		return nil, err
	}
	v.records()
	out := &Remains{Records: map[uint64][]Item{}}
	for c, f := range v.recs {
		if c <= last {
			out.Records[c] = f.rec.Items
		}
	}
	for _, c := range slices.Backward(order.KeysBy(out.Records, cmp.Compare[uint64])) { // what a later one has filled counts
		for _, it := range out.Records[c] {
			if recs, ok := filling(it.Data); it.Kind == ItemFill && ok {
				for _, rec := range recs {
					if _, is := out.Records[rec.Commit]; !is && first <= rec.Commit && rec.Commit <= last {
						out.Records[rec.Commit] = rec.Items
					}
				}
			}
		}
	}
	for _, name := range order.KeysBy(v.segs, compareNames) {
		for _, row := range v.segs[name].rows {
			out.Rows = append(out.Rows, Damaged{row, v.segs[name].problem})
		}
	}
	return out, nil
}

// FillsOf returns the first commit for which an ItemFill stands.
func FillsOf(data []byte) uint64 {
	first, _ := binary.Uvarint(data)
	return first
}
