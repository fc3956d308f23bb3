package pages

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"

	"vsync/core/fmt"
	"vsync/core/store"
)

// Checkpoint is one pass over everything that changed. It is taken in steps, each of which is
// one transaction; between two steps the tables may change.
type Checkpoint struct {
	t      *Tables
	cursor string // table byte ‖ key: what is below has been written and committed
	upTo   uint64 // how many changes there were at Begin: what no older one has changed is for the next pass, or none would end
	done   bool
	lasts  []byte // tables whose last page the step under way writes
}

// Begin starts a pass.
func (t *Tables) Begin() *Checkpoint {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return &Checkpoint{t: t, upTo: t.changes}
}

// Done says that the whole of the tables as they were at Begin is in the pages, once the last step is committed.
func (c *Checkpoint) Done() bool { return c.done }

// Busy says that a snapshot wants the pages unchanged: the next step should wait, if it can.
func (t *Tables) Busy() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.pins) > 0
}

// Behind says that there is a snapshot of an older state than the present one, which GiveUpSnapshots would end.
func (t *Tables) Behind() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for has := range t.pins {
		if has < t.changes {
			return true
		}
	}
	return false
}

// GiveUpSnapshots ends all snapshots of older states, so that a checkpoint that cannot wait any longer goes on. Those of the present
// one stay: until something changes, a step only moves what they show.
func (t *Tables) GiveUpSnapshots() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retired = t.changes
	maps.DeleteFunc(t.pins, func(has uint64, _ int) bool { return has < t.retired })
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
	built   []*page // that stood for damaged ones, and are written
	full    bool    // a page was written in part: another step has to go on there
	err     error   // what was to be written cannot be
}

// moved is an entry that the step takes from the memory table into a page.
type moved struct {
	key string
	c   *cell
}

// Step adds the next rows, about maxBytes of them, to tx, and returns what is to be called when tx is committed; a step
// whose commit failed is done again by the next Step. stamp is where the tables stand now. Nothing may change between
// Step and the end of the commit.
func (c *Checkpoint) Step(ctx context.Context, tx *store.Tx, stamp Stamp, maxBytes int) (committed func(), err error) {
	s := &step{tx: tx, stamp: stamp}
	first, cursor := len(tx.Ops), c.cursor
	c.done = false
	c.t.mu.Lock()
	c.t.stepping = true
	s.moved = make([]moved, 0, min(c.t.mem.Len(), maxBytes/movedLeast))
	c.t.mu.Unlock()
	for s.bytes < maxBytes && !s.full {
		key, ok := c.next(cursor)
		if !ok {
			c.done = true
			break
		}
		if err := cmp.Or(c.t.writePage(ctx, s, key, maxBytes), s.err); err != nil {
			return nil, err
		}
		cursor = max(cursor, s.moved[len(s.moved)-1].key+"\x00")
	}
	for _, row := range slices.Backward(s.gone) {
		tx.Delete(row)
	}
	for _, p := range s.dropped {
		tx.DeleteRange(append(p[:refLen+1:refLen+1], 0, 0), append(p[:refLen+1:refLen+1], 0xff, 0xff))
	}
	if err := c.t.setAside(ctx, s, first); err != nil {
		return nil, err
	}
	c.lasts = s.lastTables()
	return func() {
		c.cursor = cursor
		c.t.finish(s)
	}, nil
}

func (c *Checkpoint) next(cursor string) (key string, ok bool) {
	c.t.mu.RLock()
	defer c.t.mu.RUnlock()
	c.t.mem.Ascend(cursor, func(k string, v *cell) bool {
		key, ok = k, v.since <= c.upTo
		return !ok
	})
	return key, ok
}

// finish lets the written entries go from memory.
func (t *Tables) finish(s *step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.letGo(s.moved)
	t.flushes, t.stepping = t.flushes+1, false
	t.flushed = s.stamp
	for _, table := range s.lastTables() {
		t.lasts[table] = true
	}
	t.built = slices.DeleteFunc(t.built, func(p *page) bool { return slices.Contains(s.built, p) || s.replaces(p.row) })
	t.forgetNone()
	t.cache.replace(s.gone, s.written)
}

// replaces says that a step has written a row, or removed it: a page that was built for it meanwhile lacks what the step has moved.
func (s *step) replaces(row []byte) bool {
	same := func(r []byte) bool { return string(r) == string(row) }
	return slices.ContainsFunc(s.gone, same) || slices.ContainsFunc(s.written, func(p *page) bool { return same(p.row) })
}

// letGo takes what was moved into pages, in the order of its keys, out of the memory table, where it has not changed since. Where little is left, that is put into
// a new one: taking single entries out of a tree moves all that stand behind them in their nodes. Under mu.
func (t *Tables) letGo(ms []moved) {
	if left := t.mem.Len() - len(ms); left > rebuildLeft*len(ms) {
		for _, m := range ms {
			if c, ok := t.mem.Get(m.key); ok && c == m.c {
				t.mem.Delete(m.key)
				t.bytes -= len(m.key) + len(m.c.val)
			}
		}
		return
	}
	left := newMem()
	t.mem.Ascend("", func(k string, c *cell) bool {
		for len(ms) > 0 && ms[0].key < k {
			ms = ms[1:]
		}
		if len(ms) > 0 && ms[0].key == k && ms[0].c == c {
			t.bytes -= len(k) + len(c.val)
		} else {
			left.Set(k, c) // behind all others: nothing moves
		}
		return true
	})
	t.mem = left
}

// lastTables are the tables whose last page a step writes.
func (s *step) lastTables() (tables []byte) {
	for _, p := range s.written {
		if p.last {
			tables = append(tables, p.row[1])
		}
	}
	return tables
}

// writePage writes the page of a changed key, with all changes that belong to it, or as many as a step may have.
func (t *Tables) writePage(ctx context.Context, s *step, first string, maxBytes int) error {
	table, key := first[0], first[1:]
	p, err := t.page(ctx, table, key)
	if err != nil {
		return err
	}
	row := lastRow(table)
	if p != nil {
		row = p.row
	}
	var low string
	err = t.mending(ctx, func() (err error) {
		low, err = t.lowOf(ctx, p, row)
		return err
	})
	if err != nil {
		return err
	}
	// From the beginning of the page: its stamp will say that it has everything, what came below the cursor meanwhile too.
	from := ""
	if low != "" {
		from = low + "\x00"
	}
	at := len(s.moved)
	more := false
	s.moved, more = t.changesUpTo(s.moved, table, from, key, p, max(maxBytes-s.bytes, pageTarget))
	changes := s.moved[at:]
	if more {
		t.writeLeft(s, p, low, table, changes)
		return nil
	}
	es, _ := t.mergeForWrite(s, p, low, changes, "") // where all is gone again, an empty page says up to which commit that is so
	if es, row, err = t.joinNext(ctx, s, p, row, es, maxBytes); err != nil {
		return err
	}
	t.split(s, row, low, es, s.stamp)
	return nil
}

// writeLeft writes what lies at or below the last of some changes into pages of its own. The rest of the page is put
// after them as it was, stamp and all, or an empty one that has nothing yet; what more has changed there is for another step.
func (t *Tables) writeLeft(s *step, p *page, low string, table byte, changes []moved) {
	s.full = true
	fence := changes[len(changes)-1].key[1:]
	es, rest := t.mergeForWrite(s, p, low, changes, fence)
	t.split(s, rowOf(table, fence), low, es, s.stamp)
	if p != nil {
		t.split(s, p.row, fence, rest, p.stamp)
	} else {
		t.emitPage(s, lastRow(table), Stamp{}, fence, nil)
	}
}

// joinNext adds the entries of the pages that follow as long as there are too few. The next page takes over the range of
// those before it: it is rewritten first, and they are removed after. Returns the entries and the row for them.
func (t *Tables) joinNext(ctx context.Context, s *step, p *page, row []byte, es []entry, maxBytes int) ([]entry, []byte, error) {
	for p != nil && !p.last && sizeOf(es) < pageMin && s.bytes < maxBytes {
		after := p.fence + "\x00"
		next, err := t.page(ctx, row[1], after)
		if err != nil {
			return nil, nil, err
		}
		moved, more := t.changesUpTo(s.moved, row[1], after, "", next, max(maxBytes-s.bytes, pageTarget))
		if more {
			break
		}
		changes := moved[len(s.moved):]
		s.gone = append(s.gone, p.row)
		s.moved = moved
		theirs, _ := t.mergeForWrite(s, next, p.fence, changes, "")
		es, row, p = append(es, theirs...), lastRow(row[1]), next
		if next != nil { // otherwise the table has no last page yet: its first checkpoint broke off
			row = next.row
			s.bytes += next.size
		}
	}
	return es, row, nil
}

func sizeOf(es []entry) (n int) {
	for _, e := range es {
		n += e.size() + 2
	}
	return n
}

// changesUpTo appends what has changed from a key on and belongs to page p (all there is where the table has no page),
// about maxBytes of it and everything up to the key least, and says whether there is more.
func (t *Tables) changesUpTo(out []moved, table byte, from, least string, p *page, maxBytes int) (_ []moved, more bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	size := 0
	t.mem.Ascend(string(table)+from, func(k string, c *cell) bool {
		if k[0] != table || p != nil && !p.covers(k[1:]) {
			return false
		}
		if size >= maxBytes && k[1:] > least {
			more = true
			return false
		}
		out = append(out, moved{k, c})
		size += len(k) + len(c.val) + 8
		return true
	})
	return out, more
}

// mergeForWrite lays changes over a page, up to a key if one is given; what lies above it is the rest. Large values go to
// overflow rows, and those of replaced entries are removed.
func (t *Tables) mergeForWrite(s *step, p *page, low string, changes []moved, upTo string) (out, rest []entry) {
	i, n := 0, 0
	if p != nil {
		n = p.count
		if p.held != nil {
			t.replaceBuilt(s, p)
		}
		if low != "" { // what a torn split has left below the fence of the page before
			i, _ = p.search(low + "\x00")
		}
	}
	out = make([]entry, 0, n-i+len(changes))
	for _, m := range changes {
		key := m.key[1:]
		for ; i < n; i++ {
			k, place, val, _ := p.at(i)
			if string(k) > key {
				break
			}
			if string(k) < key {
				out = append(out, t.fitting(s, entry{string(k), place, val}))
			} else if place == placeOver {
				t.dropOverflow(s, val)
			}
		}
		if m.c.val == nil {
			continue
		}
		out = append(out, t.fitting(s, entry{key, placeInline, m.c.val}))
	}
	for ; i < n; i++ {
		k, place, val, _ := p.at(i)
		if e := t.fitting(s, entry{string(k), place, val}); upTo != "" {
			rest = append(rest, e)
		} else {
			out = append(out, e)
		}
	}
	return out, rest
}

// fitting puts a value that is too large for a page into overflow rows.
func (t *Tables) fitting(s *step, e entry) entry {
	if e.place == placeInline && len(e.val) > inlineMax {
		e.place, e.val = placeOver, t.writeOverflow(s, e.val)
	}
	return e
}

// split writes entries as one page or several; the one that keeps the fence is put last.
func (t *Tables) split(s *step, row []byte, low string, es []entry, stamp Stamp) {
	limit := pageMax
	if sizeOf(es) > pageMax {
		limit = pageTarget
	}
	start, size := 0, 0
	for i, e := range es {
		if size > 0 && size+e.size()+2 > limit {
			t.emitPage(s, rowOf(row[1], es[i-1].key), stamp, low, es[start:i])
			low, start, size = es[i-1].key, i, 0
		}
		size += e.size() + 2
	}
	t.emitPage(s, row, stamp, low, es[start:])
}

func (t *Tables) emitPage(s *step, row []byte, stamp Stamp, low string, es []entry) {
	b := encodePage(row, stamp, []byte(low), es)
	s.tx.Put(row, b)
	s.bytes += len(row) + len(b)
	p, err := openPage(row, b)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("pages: a page as it would be written cannot be read: %w", err)
	}
	s.written = append(s.written, p)
}

// lowOf returns the fence of the page before the row of p, "" for the first. Without a page it is that of the last one. A page before that is
// missing is damage: it is called by steps alone, so that the store has what is cached. It runs within mending.
func (t *Tables) lowOf(ctx context.Context, p *page, row []byte) (string, error) {
	if p != nil {
		if p.held != nil {
			return string(p.low), nil
		}
		if low, ok := t.cache.exactLow(p); ok {
			return low, nil
		}
	}
	low, err := t.fenceBefore(ctx, row)
	known := t.cache.fenceBefore(row)
	if p != nil {
		known = max(known, string(p.low))
	}
	if err == nil && known > low { // else the page would be written as if there had been none, and all that it held be gone
		err = &CorruptError{Row: rowOf(row[1], known), Problem: "it is missing, and it was there"}
	}
	return low, err
}

// fenceBefore returns the greatest fence of a table before a row, "" if there is none.
func (t *Tables) fenceBefore(ctx context.Context, row []byte) (string, error) {
	rows, err := t.st.Scan(ctx, store.Range{From: []byte{rowPage, row[1]}, To: row, Limit: 1, Reverse: true})
	if err != nil {
		return "", err
	}
	low := ""
	if len(rows) > 0 {
		low = string(rows[0].Key[3:])
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.builtFence(row, low), nil
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
	from := append([]byte{rowOverflow}, ref[:min(len(ref), refLen)]...)
	over := [][]byte{}
	bad := func(why string) error { return &CorruptError{Row: row, Problem: why, Over: over} }
	if len(ref) < refLen+5 {
		return nil, bad("a reference to overflow rows is cut short")
	}
	length, w := binary.Uvarint(ref[refLen:])
	if w <= 0 || len(ref) != refLen+w+4 {
		return nil, bad("a reference to overflow rows is malformed")
	}
	rows, err := t.st.Scan(ctx, store.Range{From: append(from[:refLen+1:refLen+1], 0, 0), To: append(from[:refLen+1:refLen+1], 0xff, 0xff)})
	if err != nil {
		return nil, err
	}
	var val []byte
	for _, r := range rows {
		val, over = append(val, r.Value...), append(over, r.Key)
	}
	if uint64(len(val)) != length || crc32.Checksum(val, castagnoli) != binary.LittleEndian.Uint32(ref[refLen+w:]) {
		if len(over) == 0 {
			over = append(over, overflowKey(binary.BigEndian.Uint64(ref), binary.BigEndian.Uint32(ref[8:]), 0))
		}
		return nil, bad(fmt.Sprintf("its overflow rows %x hold %d bytes that are not the %d written", from, len(val), length))
	}
	return val, nil
}
