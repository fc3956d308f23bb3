package pages

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"vsync/core/store"
)

// Checkpoint is one pass over everything that changed. It is taken in steps, each of which is
// one transaction; between two steps the tables may change.
type Checkpoint struct {
	t      *Tables
	cursor string // table byte ‖ key: what is below has been written
	done   bool
}

// Begin starts a pass.
func (t *Tables) Begin() *Checkpoint { return &Checkpoint{t: t} }

// Done says that the whole of the tables as they were at Begin is in the pages.
func (c *Checkpoint) Done() bool { return c.done }

// Busy says that a snapshot wants the pages unchanged: the next step should wait, if it can.
func (t *Tables) Busy() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.pins > 0
}

// GiveUpSnapshots ends all snapshots, so that a checkpoint that cannot wait any longer goes on.
func (t *Tables) GiveUpSnapshots() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retired++
	t.pins = 0
}

// step is what one transaction of a checkpoint changes.
type step struct {
	tx      *store.Tx
	stamp   Stamp
	gone    [][]byte
	written []*page
	moved   []moved
	dropped [][]byte // prefixes of overflow rows that no page names any more
	bytes   int
}

// moved is an entry that the step takes from the memory table into a page.
type moved struct {
	key string
	c   *cell
}

// Step adds the next rows, about maxBytes of them, to tx, and returns what is to be called when tx is committed.
// stamp is where the tables stand now. No Set or Delete may come between Step and the end of the commit.
func (c *Checkpoint) Step(ctx context.Context, tx *store.Tx, stamp Stamp, maxBytes int) (committed func(), err error) {
	s := &step{tx: tx, stamp: stamp}
	for s.bytes < maxBytes {
		key, ok := c.next()
		if !ok {
			c.done = true
			break
		}
		if err := c.t.writePage(ctx, s, key); err != nil {
			return nil, err
		}
		last := s.moved[len(s.moved)-1].key
		c.cursor = last + "\x00"
	}
	for _, row := range s.gone {
		tx.Delete(row)
	}
	for _, p := range s.dropped {
		tx.DeleteRange(append(p[:refLen+1:refLen+1], 0, 0), append(p[:refLen+1:refLen+1], 0xff, 0xff))
	}
	return func() { c.t.finish(s) }, nil
}

func (c *Checkpoint) next() (key string, ok bool) {
	c.t.mu.RLock()
	defer c.t.mu.RUnlock()
	c.t.mem.Ascend(c.cursor, func(k string, _ *cell) bool {
		key, ok = k, true
		return false
	})
	return key, ok
}

// finish lets the written entries go from memory.
func (t *Tables) finish(s *step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range s.moved {
		if c, ok := t.mem.Get(m.key); ok && c == m.c {
			t.mem.Delete(m.key)
			t.bytes -= len(m.key) + len(m.c.val)
		}
	}
	t.flushes++
	t.cache.replace(s.gone, s.written)
}

// writePage writes the page of a changed key, with all changes that belong to it.
func (t *Tables) writePage(ctx context.Context, s *step, first string) error {
	table, key := first[0], first[1:]
	p, err := t.page(ctx, table, key)
	if err != nil {
		return err
	}
	low, row := "", lastRow(table)
	if p != nil {
		row = p.row
		if low, err = t.lowOf(ctx, p); err != nil {
			return err
		}
	}
	changes := t.changesUpTo(table, key, p)
	es, err := t.mergeForWrite(ctx, s, p, low, changes)
	if err != nil {
		return err
	}
	s.moved = append(s.moved, changes...)
	if len(es) == 0 && p == nil {
		return nil
	}
	if len(es) == 0 && !p.last {
		if es, row, err = t.joinNext(ctx, s, p); err != nil {
			return err
		}
	}
	t.split(s, row, low, es)
	return nil
}

// joinNext empties a page into the one after it, which then covers its range: it is rewritten first, the
// empty one removed after. Returns the entries and the row of the next page, whose own changes come too.
func (t *Tables) joinNext(ctx context.Context, s *step, p *page) ([]entry, []byte, error) {
	table := p.row[1]
	s.gone = append(s.gone, p.row)
	after := p.fence + "\x00"
	next, err := t.page(ctx, table, after)
	if err != nil {
		return nil, nil, err
	}
	if next == nil {
		return nil, nil, &CorruptError{Row: p.row, Problem: "no last page follows it"}
	}
	changes := t.changesUpTo(table, after, next)
	es, err := t.mergeForWrite(ctx, s, next, p.fence, changes)
	s.moved = append(s.moved, changes...)
	return es, next.row, err
}

// changesUpTo returns what has changed from a key on and belongs to page p; all there is where the table has no page.
func (t *Tables) changesUpTo(table byte, from string, p *page) []moved {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []moved
	t.mem.Ascend(string(table)+from, func(k string, c *cell) bool {
		if k[0] != table || p != nil && !p.covers(k[1:]) {
			return false
		}
		out = append(out, moved{k, c})
		return true
	})
	return out
}

// mergeForWrite lays changes over a page; large values go to overflow rows, and those of replaced entries are removed.
func (t *Tables) mergeForWrite(ctx context.Context, s *step, p *page, low string, changes []moved) ([]entry, error) {
	var out []entry
	i, n := 0, 0
	if p != nil {
		n = p.count
		if low != "" { // what a torn split has left below the fence of the page before
			i, _ = p.search(low + "\x00")
		}
	}
	for _, m := range changes {
		key := m.key[1:]
		for ; i < n; i++ {
			k, place, val, _ := p.at(i)
			if string(k) > key {
				break
			}
			if string(k) < key {
				out = append(out, entry{string(k), place, val})
			} else if place == placeOver {
				t.dropOverflow(s, val)
			}
		}
		if m.c.val == nil {
			continue
		}
		e := entry{key, placeInline, m.c.val}
		if len(m.c.val) > inlineMax {
			e.place, e.val = placeOver, t.writeOverflow(s, m.c.val)
		}
		out = append(out, e)
	}
	for ; i < n; i++ {
		k, place, val, _ := p.at(i)
		out = append(out, entry{string(k), place, val})
	}
	return out, nil
}

// split writes entries as one page or several; the one that keeps the fence is put last.
func (t *Tables) split(s *step, row []byte, low string, es []entry) {
	total := 0
	for _, e := range es {
		total += e.size() + 2
	}
	limit := pageMax
	if total > pageMax {
		limit = pageTarget
	}
	start, size := 0, 0
	for i, e := range es {
		if size > 0 && size+e.size()+2 > limit {
			t.emitPage(s, rowOf(row[1], es[i-1].key), low, es[start:i])
			low, start, size = es[i-1].key, i, 0
		}
		size += e.size() + 2
	}
	t.emitPage(s, row, low, es[start:])
}

func (t *Tables) emitPage(s *step, row []byte, low string, es []entry) {
	b := encodePage(row, s.stamp, []byte(low), es)
	s.tx.Put(row, b)
	s.bytes += len(row) + len(b)
	p, err := decodePage(row, b)
	if err != nil {
		panic("pages: an encoded page cannot be read: " + err.Error())
	}
	s.written = append(s.written, p)
}

// lowOf returns the fence of the page before p, "" for the first.
func (t *Tables) lowOf(ctx context.Context, p *page) (string, error) {
	if low, ok := t.cache.exactLow(p); ok {
		return low, nil
	}
	rows, err := t.st.Scan(ctx, store.Range{From: []byte{rowPage, p.row[1]}, To: p.row, Limit: 1, Reverse: true})
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return string(rows[0].Key[3:]), nil
}

// refLen is the length of what names the overflow rows of a value: incarnation and number.
const refLen = 12

func overflowKey(inc uint64, n uint32, part uint16) []byte {
	b := binary.BigEndian.AppendUint64([]byte{rowOverflow}, inc)
	b = binary.BigEndian.AppendUint32(b, n)
	return binary.BigEndian.AppendUint16(b, part)
}

func (t *Tables) writeOverflow(s *step, val []byte) (ref []byte) {
	n := t.over
	t.over++
	for part := 0; part*overflowRow < len(val); part++ {
		piece := val[part*overflowRow : min(len(val), (part+1)*overflowRow)]
		s.tx.Put(overflowKey(t.inc, n, uint16(part)), piece)
	}
	s.bytes += len(val)
	ref = binary.BigEndian.AppendUint64(nil, t.inc)
	ref = binary.BigEndian.AppendUint32(ref, n)
	ref = binary.AppendUvarint(ref, uint64(len(val)))
	return binary.LittleEndian.AppendUint32(ref, crc32.Checksum(val, castagnoli))
}

// dropOverflow removes the rows of a replaced value. The removal stands at the end of the step, after the page that
// named them has been replaced.
func (t *Tables) dropOverflow(s *step, ref []byte) {
	if len(ref) < refLen {
		return
	}
	s.dropped = append(s.dropped, append([]byte{rowOverflow}, ref[:refLen]...))
}

func (t *Tables) readOverflow(ctx context.Context, row, ref []byte) ([]byte, error) {
	bad := func(why string) error { return &CorruptError{Row: row, Problem: why} }
	if len(ref) < refLen+5 {
		return nil, bad("a reference to overflow rows is cut short")
	}
	length, w := binary.Uvarint(ref[refLen:])
	if w <= 0 || len(ref) != refLen+w+4 {
		return nil, bad("a reference to overflow rows is malformed")
	}
	from := append([]byte{rowOverflow}, ref[:refLen]...)
	rows, err := t.st.Scan(ctx, store.Range{From: append(from[:refLen+1:refLen+1], 0, 0), To: append(from[:refLen+1:refLen+1], 0xff, 0xff)})
	if err != nil {
		return nil, err
	}
	var val []byte
	for _, r := range rows {
		val = append(val, r.Value...)
	}
	if uint64(len(val)) != length || crc32.Checksum(val, castagnoli) != binary.LittleEndian.Uint32(ref[refLen+w:]) {
		return nil, bad(fmt.Sprintf("its overflow rows %x hold %d bytes that are not the %d written", from, len(val), length))
	}
	return val, nil
}
