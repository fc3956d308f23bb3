package pages

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"vsync/core/fmt"
	"vsync/core/order"
	"vsync/core/store"
)

// Mender builds anew what a damaged row has held.
type Mender interface {
	// Refold returns the entries for which want says so, by their RowKey, as they stood at a stamp's commit.
	Refold(ctx context.Context, at Stamp, want func(row string) bool) (map[string][]byte, error)
	// SetAside adds to tx what keeps a damaged row, before the same transaction replaces it.
	SetAside(ctx context.Context, tx *store.Tx, row []byte, reason string) error
	// Met says that damage was met, and that its entries are there again: a checkpoint will write them.
	Met(row []byte, reason string)
}

// MendWith sets who helps where a row is damaged; without one, reading it is a CorruptError. lasts names the tables that have
// a last page: where one is missing, nothing else would show it.
//
//	damaged page ─▶ Refold its range ─▶ built page, in memory ─▶ the next step writes it; the damaged bytes are set aside
//
// A built page stands for the rows between two fences, and hides them. What it holds is of the commit of the last step: what a row of
// that range held then, or holds since without a change. No snapshot is older, and what is newer stands in the memory table.
func (t *Tables) MendWith(m Mender, lasts string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mender = m
	for i := range len(lasts) {
		t.lasts[lasts[i]] = true
	}
}

// StandAt says up to where pages may be current that no step of these tables has written.
func (t *Tables) StandAt(at Stamp) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flushed = at
}

// Restart forgets all that stands in memory but pages that were built for damaged ones.
func (t *Tables) Restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mem, t.bytes = newMem(), 0
	for _, p := range t.built {
		t.touch(p)
	}
}

// Lasts names the tables that have a last page, once the steps so far are committed.
func (c *Checkpoint) Lasts() string {
	c.t.mu.RLock()
	defer c.t.mu.RUnlock()
	var out []byte
	for table := range c.t.lasts {
		out = append(out, table)
	}
	for _, table := range c.lasts {
		if !c.t.lasts[table] {
			out = append(out, table)
		}
	}
	order.By(out, cmp.Compare)
	return string(slices.Compact(out))
}

// Mended says how many pages were built anew and are not written yet.
func (t *Tables) Mended() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.built)
}

// setAside is a row that is damaged.
type setAside struct {
	row    []byte
	reason string
}

// mending repeats a read as long as it meets damage that can be mended.
func (t *Tables) mending(ctx context.Context, read func() error) error {
	for try := 0; ; try++ {
		t.mu.RLock()
		flushes := t.flushes
		t.mu.RUnlock()
		err := read()
		if err == nil {
			return nil // without what an error needs: most reads end here
		}
		bad, is := errors.AsType[*CorruptError](err)
		if !is || t.mender == nil || try == mendTries {
			return err
		}
		if failed := t.mend(ctx, bad, flushes); failed != nil {
			return &CorruptError{Row: bad.Row, Problem: bad.Problem + fmt.Sprintf("; and it cannot be built anew: %v", failed)}
		}
	}
}

// mend builds a page that stands for a damaged one. Where a step has come between, it does nothing: the read is repeated.
func (t *Tables) mend(ctx context.Context, bad *CorruptError, flushes uint64) error {
	t.mends.Lock()
	defer t.mends.Unlock()
	t.mu.RLock()
	at, over, full := t.flushed, t.flushes != flushes || t.builtOf(bad.Row) != nil, len(t.built) >= builtPages
	t.mu.RUnlock()
	if over {
		return nil
	}
	if full {
		return fmt.Errorf("%d pages are damaged: check and repair the whole store", builtPages)
	}
	p, err := t.build(ctx, bad, at)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flushes != flushes {
		return nil
	}
	t.stand(p)
	return nil
}

// stand puts a built page in the place of a damaged one. The caller holds mu.
func (t *Tables) stand(p *page) {
	t.built = append(t.built, p)
	t.forgetNone()
	t.touch(p)
	for _, a := range p.aside {
		t.mender.Met(a.row, a.reason)
	}
}

func (t *Tables) build(ctx context.Context, bad *CorruptError, at Stamp) (*page, error) {
	ps, err := t.buildAll(ctx, []*CorruptError{bad}, at)
	if err != nil {
		return nil, err
	}
	return ps[0], nil
}

// buildAll builds the pages of damaged rows, which are in order, from one reading of the log.
func (t *Tables) buildAll(ctx context.Context, bads []*CorruptError, at Stamp) (ps []*page, err error) {
	for _, bad := range bads {
		low, err := t.fenceBefore(ctx, bad.Row)
		if err != nil {
			return nil, err
		}
		ps = append(ps, &page{row: bad.Row, fence: string(bad.Row[3:]), last: bad.Row[2] == 1, low: []byte(low), stamp: at, held: []entry{}})
	}
	of := func(row string) *page {
		i, _ := slices.BinarySearchFunc(ps, rowOf(row[0], row[1:]), func(p *page, row []byte) int { return bytes.Compare(p.row, row) })
		if i < len(ps) && ps[i].row[1] == row[0] && row[1:] > string(ps[i].low) {
			return ps[i]
		}
		return nil
	}
	rows, err := t.mender.Refold(ctx, at, func(row string) bool { return of(row) != nil })
	if err != nil {
		return nil, err
	}
	for row, val := range rows {
		p := of(row)
		p.held = append(p.held, entry{row[1:], placeInline, val})
	}
	for i, p := range ps {
		order.By(p.held, func(a, b entry) int { return compareKeys(a.key, b.key) })
		p.count = len(p.held)
		if err := t.replaced(ctx, p, bads[i]); err != nil {
			return nil, err
		}
	}
	return ps, nil
}

// replaced notes the rows that a built page takes the place of: the damaged ones, and values in overflow rows.
func (t *Tables) replaced(ctx context.Context, p *page, bad *CorruptError) error {
	for _, row := range bad.Over {
		p.aside = append(p.aside, setAside{row, bad.Problem})
	}
	b, ok, err := t.st.Get(ctx, bad.Row)
	if err != nil {
		return err
	}
	was, damaged := decodePage(bad.Row, b)
	if damaged != nil || len(bad.Over) == 0 {
		p.aside = append(p.aside, setAside{bad.Row, bad.Problem})
	}
	if !ok || damaged != nil {
		return nil
	}
	for i := range was.count {
		if _, place, val, _ := was.at(i); place == placeOver && len(val) >= refLen {
			p.refs = append(p.refs, val)
		}
	}
	return nil
}

func compareKeys(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// touch lets the next pass come by a built page where nothing has changed in its range. The caller holds mu.
func (t *Tables) touch(p *page) {
	table := p.row[1]
	from := RowKey(table, after(string(p.low)))
	found := false
	t.mem.Ascend(from, func(k string, _ *cell) bool {
		found = k[0] == table && p.covers(k[1:])
		return false
	})
	if found {
		return
	}
	if len(p.held) > 0 {
		t.set(RowKey(table, p.held[0].key), &cell{val: p.held[0].val})
		return
	}
	t.set(RowKey(table, string(p.low)+"\x00"), &cell{})
}

// builtOf returns the built page of a row. The caller holds mu.
func (t *Tables) builtOf(row []byte) *page {
	for _, p := range t.built {
		if string(p.row) == string(row) {
			return p
		}
	}
	return nil
}

// builtFor returns the built page of a key (last: that of the end of the table), nil if there is none. The caller holds mu.
func (t *Tables) builtFor(table byte, key string, last bool) *page {
	for _, p := range t.built {
		if p.row[1] == table && (last && p.last || !last && (key > string(p.low) || len(p.low) == 0) && p.covers(key)) {
			return p
		}
	}
	return nil
}

// builtFence returns the greatest fence of built pages before a row, or low if that is greater. The caller holds mu.
func (t *Tables) builtFence(row []byte, low string) string {
	for _, p := range t.built {
		if p.row[1] == row[1] && !p.last && string(p.row) < string(row) {
			low = max(low, p.fence)
		}
	}
	return low
}

// replaceBuilt adds to a step what goes with the writing of a built page.
func (t *Tables) replaceBuilt(s *step, p *page) {
	s.built = append(s.built, p)
	for _, ref := range p.refs {
		t.dropOverflow(s, ref)
	}
}

// setAside puts the damaged rows that a step replaces before everything else that it does.
func (t *Tables) setAside(ctx context.Context, s *step, first int) error {
	if len(s.built) == 0 {
		return nil
	}
	var tx store.Tx
	for _, p := range s.built {
		for _, a := range p.aside {
			if err := t.mender.SetAside(ctx, &tx, a.row, a.reason); err != nil {
				return err
			}
			if a.row[0] == rowOverflow {
				s.tx.Delete(a.row)
			}
		}
	}
	behind := append(tx.Ops, s.tx.Ops[first:]...)
	s.tx.Ops = append(s.tx.Ops[:first], behind...)
	return nil
}

// DistrustAfter builds all pages anew that are current beyond a commit: the log does not go so far any more. It is for opening: nobody reads yet.
// However many they are, they stand in memory together.
func (t *Tables) DistrustAfter(ctx context.Context, commit uint64) error {
	var bads []*CorruptError
	all := store.Range{From: []byte{rowPage}, To: []byte{rowPage + 1}, MaxBytes: 1 << 20}
	err := store.Each(ctx, t.st, all, func(r store.Row) error {
		if p, err := decodePage(r.Key, r.Value); err == nil && p.stamp.Commit > commit && t.builtOf(r.Key) == nil {
			bads = append(bads, &CorruptError{Row: bytes.Clone(r.Key), Problem: fmt.Sprintf("it is current beyond commit %d, where the log was cut", commit)})
		}
		return nil
	})
	if err != nil || len(bads) == 0 {
		return err
	}
	ps, err := t.buildAll(ctx, bads, t.flushed)
	if err != nil {
		return fmt.Errorf("pages: %d pages cannot be built anew: %w", len(bads), err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range ps {
		t.stand(p)
	}
	return nil
}
