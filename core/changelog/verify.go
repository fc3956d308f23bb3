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
	segs := make([]summary, len(l.index.segs))
	for i, s := range l.index.segs {
		segs[i] = *s
		segs[i].spans = slices.Clone(s.spans)
	}
	stored := l.index.rows.stored
	l.mu.RUnlock()
	for i := range segs {
		if i > 0 && segs[i].name.First != segs[i-1].last+1 {
			find(&CorruptError{Segment: segs[i].name, Problem: fmt.Sprintf("the commit before it is %d", segs[i-1].last), Row: segs[i].name.row(0)})
		}
		if segs[i].hole() {
			continue
		}
		if err := l.verifySegment(ctx, &segs[i]); err != nil {
			bad, is := errors.AsType[*CorruptError](err)
			if !is {
				return err
			}
			bad.Row = segs[i].name.row(0)
			find(bad)
		}
	}
	if stored == 0 {
		return nil
	}
	x := newIndex()
	before := Name{First: ^uint64(0)}
	if stored < len(segs) {
		before = segs[stored].name
	}
	if err := x.load(ctx, l.st, before); err != nil {
		bad, is := errors.AsType[*CorruptError](err)
		if !is {
			return err
		}
		find(bad)
		return nil
	}
	if len(x.segs) < stored {
		find(&CorruptError{Row: summaryKey(x.last()+1, 0), Problem: fmt.Sprintf("the summaries end at commit %d, and should go on to %d", x.last(), segs[stored-1].last)})
	}
	for i, s := range x.segs[:min(len(x.segs), stored)] {
		if !s.equal(&segs[i]) {
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
	for _, s := range l.index.segs {
		if _, filled := l.fills[s.name.First]; s.hole() && !filled {
			out = append(out, Hole{s.name.First, s.last})
		}
	}
	return out
}

// LastOf is the last commit of a segment; false where there is none of that name, or it is lost.
func (l *Log) LastOf(n Name) (last uint64, is bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := l.index.at(n.First)
	if i < 0 || l.index.segs[i].name != n || l.index.segs[i].hole() {
		return 0, false
	}
	return l.index.segs[i].last, true
}

// LastFrom is the last commit of the segment, or of the hole, that begins with a commit.
func (l *Log) LastFrom(first uint64) (last uint64, is bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := l.index.at(first)
	if i < 0 || l.index.segs[i].name.First != first {
		return 0, false
	}
	return l.index.segs[i].last, true
}

// Lose makes a hole of the segment that holds a commit: it cannot be read, and nobody looks for it from now on. The next Summaries say so. The
// last segment is none.
func (l *Log) Lose(commit uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.index.at(commit)
	if i < 0 || i == len(l.index.segs)-1 {
		return false
	}
	l.cache.forget(l.index.segs[i].name)
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
