package changelog

import (
	"encoding/binary"
	"errors"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// FuzzSegment puts any bytes where a segment should be. With mend their checksums are made to fit, so that what lies behind
// them is reached.
func FuzzSegment(f *testing.F) {
	name := Name{1, 7}
	b := batchOfSize(f, change.Version{Device: device(1), Gen: 1}, 10, 1)
	for _, pred := range []*Position{nil, {}, {Name{5, 6}, 100}} {
		head := appendHead(nil, name, 1, pred)
		for _, items := range [][]Item{nil, plain(3, 1), {{ItemBatch, b}, entryItem(f, 9, b), {ItemReentry, b[:20]}}} {
			f.Add(appendRecord(head, 7, 1, bodyLen(items), items), true)
		}
	}
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if mend {
			mendSegment(name, b)
		}
		st := store.NewMemory()
		tx := &store.Tx{}
		tx.Put(name.row(0), b[:min(len(b), store.MaxRow)])
		if err := st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		l, recs, err := tryOpen(st, 8, Name{})
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if l.Last() != uint64(len(recs)) {
			t.Fatalf("%d records, and last is %d", len(recs), l.Last())
		}
		for _, r := range recs {
			for _, it := range r.Items {
				BatchBytes(it)
				if v, _, ok := batchOf(it); ok {
					_, _, _, err = l.Find(ctx, v)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		tx.Reset()
		l.Summaries(tx, Name{First: ^uint64(0)})
		commit(t, st, l, plain(1, 1))
	})
}

// mendSegment makes the checksums of a segment fit as far as it can be read.
func mendSegment(name Name, b []byte) {
	if len(b) < headLen+sumLen {
		return
	}
	b[0] = formatSegment
	binary.BigEndian.PutUint64(b[2:], name.Incarnation)
	binary.BigEndian.PutUint64(b[10:], name.First)
	end := headLen + int(b[1]&flagFirst)*predLen
	if len(b) < end+sumLen {
		return
	}
	binary.LittleEndian.PutUint32(b[end:], checksum(b[:end]))
	at := end + sumLen
	for commit := name.First; at < len(b); commit++ {
		n, w := binary.Uvarint(b[at:])
		if w <= 0 || len(b)-at-w < 4 || n > uint64(len(b)-at-w-4) {
			return
		}
		body := b[at+w+4 : at+w+4+int(n)]
		binary.LittleEndian.PutUint32(b[at+w:], recordSum(name.Incarnation, commit, body))
		at += w + 4 + int(n)
	}
}

func checksum(b []byte) uint32 { return summarySum(nil, b) }

// FuzzSummary puts any bytes where a summary row should be; what is taken is written again alike.
func FuzzSummary(f *testing.F) {
	s := summary{name: Name{1, 7}, last: 9, size: 100, seq: 4, end: 8, spans: []span{{device(1), 4, 3}, {device(1), 2, 9}, {device(2), 1, 1}}}
	f.Add(append([]byte{formatSegment}, s.pieces()[0]...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		key := summaryKey(1, 0)
		b = binary.LittleEndian.AppendUint32(b, summarySum(key, b))
		x := newIndex()
		if err := x.loadRow(store.Row{Key: key, Value: b}, Name{First: ^uint64(0)}); err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		x.rows.stored, x.rows.from = 0, 0
		tx := &store.Tx{}
		x.write(tx, Name{First: ^uint64(0)})
		y := newIndex()
		for _, op := range tx.Ops {
			if err := y.loadRow(store.Row{Key: op.Key, Value: op.Value}, Name{First: ^uint64(0)}); err != nil {
				t.Fatal(err)
			}
		}
		if x.segs.len() != y.segs.len() || x.last() != y.last() {
			t.Fatalf("%d segments up to %d, read again %d up to %d", x.segs.len(), x.last(), y.segs.len(), y.last())
		}
		for d, ps := range x.places {
			for _, p := range ps {
				for _, g := range []change.Generation{p.from, p.to} {
					if v := (change.Version{Device: d, Gen: g}); x.byVersion(v) != y.byVersion(v) {
						t.Fatalf("%s: %d, read again %d", v, x.byVersion(v), y.byVersion(v))
					}
				}
			}
		}
	})
}
