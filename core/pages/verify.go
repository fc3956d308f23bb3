package pages

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"

	"vsync/core/fmt"
	"vsync/core/order"
	"vsync/core/store"
)

// A Fault is something in the stored pages that does not fit.
type Fault struct {
	Row      []byte // key of the row
	Problem  string
	Harmless bool // nothing reads it
	Mended   bool // a page in memory stands for it
}

// Verify reads all pages and overflow rows as they are stored: checksums, fences, the order of keys, stamps, and that each overflow
// row is named by one page. A step of a checkpoint that comes between lets it begin again.
func (t *Tables) Verify(ctx context.Context, commit uint64) ([]Fault, error) {
	for try := 0; ; try++ {
		t.mu.RLock()
		flushes := t.flushes
		t.mu.RUnlock()
		v := &verifier{t: t, commit: commit, refs: map[string]overflowRef{}, cached: t.cache.rows()}
		err := v.run(ctx)
		t.mu.RLock()
		same, between := t.flushes == flushes, t.stepping
		t.mu.RUnlock()
		if err == nil && same && !between {
			v.gone()
		}
		if err != nil || same || try == mendTries {
			return v.faults, err
		}
	}
}

type verifier struct {
	t      *Tables
	commit uint64
	refs   map[string]overflowRef // by incarnation and number, those whose rows were not seen yet
	table  byte                   // of the page before
	fence  string                 // of the page before
	faults []Fault
	cached map[string]bool // rows that are in memory, and were not seen yet

	over overflowRef // the value whose rows are read
	ref  string
	open bool
}

// overflowRef is what a page says of a large value, and what was read of it.
type overflowRef struct {
	page   []byte
	length uint64
	sum    uint32
	read   uint64
	have   uint32
	first  []byte // key of its first row
}

func (v *verifier) find(f Fault) {
	v.t.mu.RLock()
	f.Mended = v.t.builtOf(f.Row) != nil
	v.t.mu.RUnlock()
	v.faults = append(v.faults, f)
}

func (v *verifier) run(ctx context.Context) error {
	all := store.Range{From: []byte{rowPage}, To: []byte{rowPage + 1}, MaxBytes: 1 << 20}
	if err := store.Each(ctx, v.t.st, all, func(r store.Row) error { v.page(r); return nil }); err != nil {
		return err
	}
	v.t.mu.RLock()
	var missing []byte
	for table := range v.t.lasts {
		missing = append(missing, table)
	}
	v.t.mu.RUnlock()
	for _, table := range missing {
		if _, ok, err := v.t.st.Get(ctx, lastRow(table)); err != nil {
			return err
		} else if !ok {
			delete(v.cached, string(lastRow(table)))
			v.find(Fault{Row: lastRow(table), Problem: noLast(table).(*CorruptError).Problem})
		}
	}
	all = store.Range{From: []byte{rowOverflow}, To: []byte{rowOverflow + 1}, MaxBytes: 1 << 20}
	if err := store.Each(ctx, v.t.st, all, func(r store.Row) error { v.overflow(r); return nil }); err != nil {
		return err
	}
	v.close()
	for ref, o := range v.refs {
		v.find(Fault{Row: append([]byte{rowOverflow}, ref...), Problem: fmt.Sprintf("the page %q names it, and it is missing", o.page)})
	}
	return nil
}

// gone finds rows missing of which only memory knows: before a table has a last page, nothing stored does.
func (v *verifier) gone() {
	for _, row := range order.Keys(v.cached) {
		v.find(Fault{Row: []byte(row), Problem: "it is missing, and it was there"})
	}
}

func (v *verifier) page(r store.Row) {
	delete(v.cached, string(r.Key))
	p, err := decodePage(r.Key, r.Value)
	if err != nil {
		v.find(Fault{Row: r.Key, Problem: err.(*CorruptError).Problem})
		if len(r.Key) > 2 {
			v.table, v.fence = r.Key[1], string(r.Key[3:])
		}
		return
	}
	if p.row[1] != v.table {
		v.table, v.fence = p.row[1], ""
	}
	if low := string(p.low); low > v.fence {
		delete(v.cached, string(rowOf(v.table, low)))
		v.find(Fault{Row: rowOf(v.table, low), Problem: "it is missing, and the page after it says that it was there"})
	}
	if p.stamp.Commit > v.commit {
		v.find(Fault{Row: r.Key, Problem: fmt.Sprintf("its stamp is of commit %d, and the log ends at %d", p.stamp.Commit, v.commit)})
	}
	v.entries(p)
	v.fence = p.fence
}

// entries looks at the order of a page's keys, and takes up what it names. What a torn split has left below its fence counts for
// nothing.
func (v *verifier) entries(p *page) {
	before := ""
	for i := range p.count {
		k, place, val, _ := p.at(i)
		key := string(k)
		if i > 0 && key <= before || !p.covers(key) {
			v.find(Fault{Row: p.row, Problem: fmt.Sprintf("its entry %q is out of order", key)})
		}
		before = key
		if place != placeOver || v.fence != "" && key <= v.fence {
			continue
		}
		length, w := uint64(0), 0
		if len(val) > refLen {
			length, w = binary.Uvarint(val[refLen:])
		}
		if w <= 0 || len(val) != refLen+w+4 {
			v.find(Fault{Row: p.row, Problem: fmt.Sprintf("its entry %q has a malformed reference to overflow rows", key)})
			continue
		}
		v.refs[string(val[:refLen])] = overflowRef{page: p.row, length: length, sum: binary.LittleEndian.Uint32(val[refLen+w:])}
	}
}

func (v *verifier) overflow(r store.Row) {
	if len(r.Key) != 1+refLen+2 {
		v.find(Fault{Row: r.Key, Problem: "its key is none of an overflow row", Harmless: true})
		return
	}
	ref := string(r.Key[1 : 1+refLen])
	if !v.open || ref != v.ref {
		v.close()
		o, named := v.refs[ref]
		if !named {
			v.find(Fault{Row: bytes.Clone(r.Key), Problem: "no page names it", Harmless: true})
			return
		}
		o.first = bytes.Clone(r.Key)
		delete(v.refs, ref)
		v.over, v.ref, v.open = o, ref, true
	}
	v.over.read += uint64(len(r.Value))
	v.over.have = crc32.Update(v.over.have, castagnoli, r.Value)
}

// close ends the value whose rows were read.
func (v *verifier) close() {
	if o := &v.over; v.open && (o.read != o.length || o.have != o.sum) {
		v.find(Fault{Row: o.first, Problem: fmt.Sprintf("the value holds %d bytes that are not the %d that the page %q names", o.read, o.length, o.page)})
	}
	v.open = false
}

// DistrustLast is Distrust for the last page of a table, of which no key need be known.
func (t *Tables) DistrustLast(ctx context.Context, table byte, why string) error {
	t.mu.RLock()
	flushes := t.flushes
	t.mu.RUnlock()
	return t.mend(ctx, &CorruptError{Row: lastRow(table), Problem: why}, flushes)
}

// Distrust builds the page of a key anew from the log, though it can be read: what it holds is not what the log says.
func (t *Tables) Distrust(ctx context.Context, table byte, key, why string) error {
	p, err := t.page(ctx, table, key)
	if err != nil || p != nil && p.held != nil {
		return err
	}
	row := lastRow(table)
	if p != nil {
		row = p.row
	}
	t.mu.RLock()
	flushes := t.flushes
	t.mu.RUnlock()
	return t.mend(ctx, &CorruptError{Row: row, Problem: why}, flushes)
}
