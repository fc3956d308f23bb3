package changelog

import (
	"context"
	"encoding/binary"
	"hash/crc32"

	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/store"
)

// summaryRows says what of the index stands in rows. The last row is written anew, from the index, until it is full: the
// same segments fill the same rows, so what a checkpoint that broke off has left behind is overwritten by the next.
type summaryRows struct {
	stored int    // segments whose summaries are in rows
	from   int    // first segment of the last row; stored where the next summary begins a row
	last   []byte // key of the last row that counts
}

func summaryKey(first uint64, piece int) []byte {
	b := binary.BigEndian.AppendUint64([]byte{rowSummary}, first)
	return binary.BigEndian.AppendUint16(b, uint16(piece))
}

func summarySum(key, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b)
}

// pieces encodes a summary: in one piece unless the segment holds batches of very many devices. The later ones have
// neither size nor sequences.
func (s *summary) pieces() [][]byte {
	var out [][]byte
	size, seq, end := uint64(s.size), s.seq, s.end
	for spans := s.spans; len(out) == 0 || len(spans) > 0; {
		n := min(len(spans), pieceSpans)
		b := make([]byte, 0, 40+n*(len(change.DeviceID{})+6))
		for _, v := range []uint64{s.name.First, s.last, s.name.Incarnation, size, seq, end, uint64(n)} {
			b = change.AppendUvarint(b, v)
		}
		for _, sp := range spans[:n] {
			b = append(b, sp.device[:]...)
			b = change.AppendUvarint(b, uint64(sp.from))
			b = change.AppendUvarint(b, uint64(sp.to))
		}
		out, spans = append(out, b), spans[n:]
		size, seq, end = 0, 0, 0
	}
	return out
}

func parseSummary(b []byte) (s summary, rest []byte, ok bool) {
	var f [7]uint64
	for i := range f {
		if f[i], b, ok = cutUvarint(b); !ok {
			return s, nil, false
		}
	}
	s = summary{name: Name{f[0], f[2]}, last: f[1], size: int(f[3]), seq: f[4], end: f[5]}
	if s.name.First == 0 || s.last < s.name.First || s.end < s.seq || f[6] > pieceSpans {
		return s, nil, false
	}
	for range f[6] {
		var sp span
		if len(b) < len(sp.device) {
			return s, nil, false
		}
		copy(sp.device[:], b)
		var from, to uint64
		if from, b, ok = cutUvarint(b[len(sp.device):]); !ok {
			return s, nil, false
		}
		if to, b, ok = cutUvarint(b); !ok || from == 0 || from-1 > to || to > change.MaxNumber {
			return s, nil, false
		}
		sp.from, sp.to = change.Generation(from), change.Generation(to)
		s.spans = append(s.spans, sp)
	}
	return s, b, true
}

func cutUvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, w := binary.Uvarint(b)
	if w <= 0 {
		return 0, nil, false
	}
	return v, b[w:], true
}

// load reads the summaries of what lies before a segment.
func (x *index) load(ctx context.Context, st store.Store, before Name) error {
	all := store.Range{From: []byte{rowSummary}, To: []byte{rowSummary + 1}}
	if err := store.Each(ctx, st, all, func(r store.Row) error { return x.loadRow(r, before) }); err != nil {
		return err
	}
	x.rows.stored = x.segs.len()
	return nil
}

func (x *index) loadRow(r store.Row, before Name) error {
	bad := func(why string) error {
		return &CorruptError{Segment: Name{First: x.last() + 1}, Problem: fmt.Sprintf("the summary row %x %s", r.Key, why), Row: r.Key}
	}
	n := len(r.Value) - 4
	if n < 1 || summarySum(r.Key, r.Value[:n]) != binary.LittleEndian.Uint32(r.Value[n:]) {
		return bad("has another checksum than it was written with")
	}
	if r.Value[0] != formatSegment {
		return bad(fmt.Sprintf("has format %d, this engine knows %d", r.Value[0], formatSegment))
	}
	for b := r.Value[1:n]; len(b) > 0; {
		s, rest, ok := parseSummary(b)
		if !ok {
			return bad("cannot be read")
		}
		b = rest
		if s.name.First >= before.First { // of a checkpoint that broke off
			continue
		}
		known, tail := x.segs.len(), x.segs.tail()
		goesOn := tail != nil && tail.name == s.name && tail.last == s.last
		if !goesOn && s.name.First != x.last()+1 {
			err := &CorruptError{Segment: Name{First: x.last() + 1}, Row: summaryKey(x.last()+1, 0)}
			err.Problem = fmt.Sprintf("the summary row %x goes on at commit %d: the summary of commit %d is missing", r.Key, s.name.First, x.last()+1)
			return err
		}
		x.extend(s)
		if string(x.rows.last) != string(r.Key) {
			x.rows.from, x.rows.last = known, r.Key // behind the segment, where the row begins with a later piece of it
		}
	}
	return nil
}

// write adds to tx the rows that take the summaries of the segments before one; the result is in force when tx is stored.
func (x *index) write(tx *store.Tx, before Name) summaryRows {
	after := x.rows
	for after.stored < x.segs.len() && x.segs.at(after.stored).name.First < before.First {
		after.stored++
	}
	if after.stored == x.rows.stored {
		return after
	}
	var row []byte
	put := func() {
		if row != nil {
			tx.Put(after.last, binary.LittleEndian.AppendUint32(row, summarySum(after.last, row)))
			row = nil
		}
	}
	for i := x.rows.from; i < after.stored; i++ {
		s := x.segs.at(i)
		pieces := s.pieces()
		for n, b := range pieces {
			if len(pieces) > 1 || len(row)+len(b) > summaryRow {
				put()
			}
			if row == nil {
				row, after.from, after.last = []byte{formatSegment}, i, summaryKey(s.name.First, n)
			}
			row = append(row, b...)
		}
		if len(pieces) > 1 { // its rows are full: what follows begins a new one
			put()
			after.from = i + 1
		}
	}
	put()
	return after
}
