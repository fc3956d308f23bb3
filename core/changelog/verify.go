package changelog

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"vsync/core/fmt"
)

// Verify reads all segments as they are stored, holds their summaries against them, and hands what does not fit to find.
func (l *Log) Verify(ctx context.Context, find func(*CorruptError)) error {
	l.mu.RLock()
	segs, stored := l.index.segs.clone(), l.index.rows.stored
	l.mu.RUnlock()
	var last uint64
	before := Name{First: ^uint64(0)}
	for i := range segs.len() {
		s := segs.at(i)
		if i > 0 && s.name.First != last+1 {
			find(&CorruptError{Segment: s.name, Problem: fmt.Sprintf("the commit before it is %d", last), Row: s.name.row(0)})
		}
		last = s.last
		if i == stored {
			before = s.name
		}
		if s.hole() {
			continue
		}
		if err := l.verifySegment(ctx, s); err != nil {
			bad, is := errors.AsType[*CorruptError](err)
			if !is {
				return err
			}
			bad.Row = s.name.row(0)
			find(bad)
		}
	}
	if stored == 0 {
		return nil
	}
	x := newIndex()
	if err := x.load(ctx, l.st, before); err != nil {
		bad, is := errors.AsType[*CorruptError](err)
		if !is {
			return err
		}
		find(bad)
		return nil
	}
	if x.segs.len() < stored {
		find(&CorruptError{Row: summaryKey(x.last()+1, 0), Problem: fmt.Sprintf("the summaries end at commit %d, and should go on to %d", x.last(), segs.at(stored-1).last)})
	}
	for i := range min(x.segs.len(), stored) {
		if s := x.segs.at(i); !s.equal(segs.at(i)) {
			find(&CorruptError{Segment: s.name, Row: summaryKey(s.name.First, 0), Problem: "its stored summary is another than that of its records"})
		}
	}
	return nil
}

// verifySegment reads a segment from the store and compares what it holds with what the index says.
func (l *Log) verifySegment(ctx context.Context, want *summary) error {
	seg, err := l.readSegment(ctx, want.name, nil)
	if err != nil {
		return err
	}
	sum := summary{name: want.name}
	off := seg.records
	for c := want.name.First; c <= want.last; c++ {
		rec, n, err := readRecord(want.name, c, seg.data[min(off, len(seg.data)):])
		if err != nil {
			return err
		}
		off += n
		sum.add(c, rec.Items)
	}
	sum.size = off
	if !sum.equal(want) {
		return &CorruptError{Segment: want.name, Problem: "it holds other batches than its summary names"}
	}
	return nil
}

func (s *summary) equal(o *summary) bool {
	return s.name == o.name && s.last == o.last && s.size == o.size && s.seq == o.seq && s.end == o.end &&
		slices.EqualFunc(s.spans, o.spans, func(a, b span) bool {
			return bytes.Equal(a.device[:], b.device[:]) && a.from == b.from && a.to == b.to
		})
}

// hole says that the segment is lost.
func (s *summary) hole() bool { return s.size == 0 }

// Hole is a run of commits that are lost.
type Hole struct{ First, Last uint64 }

// Holes returns what is lost of the log, in order, and not filled.
func (l *Log) Holes() (out []Hole) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, hole := range l.index.holes {
		if _, filled := l.fills[hole.First]; !filled {
			out = append(out, hole)
		}
	}
	return out
}

// LastOf is the last commit of a segment; false where there is none of that name, or it is lost.
func (l *Log) LastOf(n Name) (last uint64, is bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := l.index.at(n.First)
	if i < 0 {
		return 0, false
	}
	s := l.index.segs.at(i)
	return s.last, s.name == n && !s.hole()
}

// LastFrom is the last commit of the segment, or of the hole, that begins with a commit.
func (l *Log) LastFrom(first uint64) (last uint64, is bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := l.index.at(first)
	if i < 0 {
		return 0, false
	}
	s := l.index.segs.at(i)
	return s.last, s.name.First == first
}

// Lose makes a hole of the segment that holds a commit: it cannot be read, and nobody looks for it from now on. The next Summaries say so. The
// last segment is none.
func (l *Log) Lose(commit uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.index.at(commit)
	if i < 0 || i == l.index.segs.len()-1 {
		return false
	}
	l.cache.forget(l.index.segs.at(i).name)
	l.index.lose(i)
	return true
}

// Part lets the next commit begin a segment.
func (l *Log) Part() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = nil
}

// ForgetSummaries lets the next Summaries write all of them anew.
func (l *Log) ForgetSummaries() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index.rows = summaryRows{}
}
