package core

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/fmt"
	"vsync/core/order"
	"vsync/core/store"
)

// allTables are the tables of a replica, in their order.
const allTables = "dkopsv"

// checkBytes is how much of the tables is folded anew at a time: all of it may be more than memory holds.
const checkBytes = 16 << 20

// stored looks at the rows as they are in the store.
func (c *checker) stored() error {
	err := c.r.log.Verify(c.ctx, func(bad *changelog.CorruptError) {
		f := Finding{Scope: scopeOfRow(bad.Row), Row: bad.Row, Reason: bad.Problem}
		if f.Scope == ScopeSegment {
			c.broken = true
			c.holes = append(c.holes, bad.Segment)
			c.why[bad.Segment] = bad.Problem
		}
		c.report.add(f)
	})
	if err != nil {
		return err
	}
	for _, hole := range c.r.log.Holes() {
		if hole.Last >= c.head.base {
			c.broken = true
			c.report.find(ScopeSegment, "", "commits %d to %d are lost: with repair, what the tables hold is written into the log behind them", hole.First, hole.Last)
		}
	}
	faults, err := c.r.tables.Verify(c.ctx, c.r.log.Last())
	if err != nil {
		return err
	}
	for _, f := range faults {
		found := Finding{Scope: scopeOfRow(f.Row), Row: f.Row, Reason: f.Problem, Harmless: f.Harmless}
		if f.Mended {
			found.Repair = fromLog + " in memory; the next checkpoint writes it"
		}
		if f.Harmless {
			c.stray = append(c.stray, f.Row)
		}
		c.report.add(found)
	}
	if err := c.strays(); err != nil {
		return err
	}
	aside, err := readQuarantine(c.ctx, c.r.st)
	for _, q := range aside {
		c.report.Aside = append(c.report.Aside, q.Finding)
	}
	return err
}

// strays looks for rows of no known kind.
func (c *checker) strays() error {
	known := []byte{'L', 'M', 'O', 'P', 'Q', 'S'}
	gap := store.Range{MaxBytes: 1 << 20}
	for i := 0; i <= len(known); i++ {
		gap.To = nil
		if i < len(known) {
			gap.To = known[i : i+1]
		}
		err := store.Each(c.ctx, c.r.st, gap, func(r store.Row) error {
			if k := string(r.Key); k != string(superblockRow) && k != string(superblockTwo) {
				c.stray = append(c.stray, r.Key)
				c.report.add(Finding{Scope: ScopeRow, Row: r.Key, Reason: "no row has such a key", Harmless: true})
			}
			return nil
		})
		if err != nil || i == len(known) {
			return err
		}
		gap.From = []byte{known[i] + 1}
		if known[i] == 'S' {
			gap.From = []byte{'S'}
		}
	}
	return nil
}

// folded holds the tables and the superblock against the log, folded anew.
func (c *checker) folded() error {
	passes, err := c.passes()
	if err != nil {
		return err
	}
	for i, p := range passes {
		g := c.r.refoldingOf(c.head.commit)
		g.want = p.want
		if i == 0 {
			if g.each, err = c.superblock(); err != nil {
				return err
			}
		}
		rows, h, err := g.run(c.ctx)
		if err != nil {
			return err
		}
		if i == 0 && !sameHead(&h, &c.head) {
			c.report.find(ScopeSuperblock, "", "the replica stands at generation %d and sequence %d as %s, and the log at generation %d and sequence %d as %s",
				c.head.lastGen, c.head.marker.Seq, c.head.device, h.lastGen, h.marker.Seq, h.device)
		}
		if err := c.compare(p, rows); err != nil {
			return err
		}
	}
	return nil
}

// sameHead compares heads, but for what a hub has filled of its log: what was filled anew is said twice there.
func sameHead(a, b *head) bool {
	encoded := func(h head) []byte {
		h.fills = nil
		return (&superblock{head: h}).encode()
	}
	return bytes.Equal(encoded(*a), encoded(*b))
}

// superblock returns what compares the head in the stored superblock with that of its commit in the log.
func (c *checker) superblock() (each func(h *head), err error) {
	c.r.mu.Lock()
	unwritten := c.r.fence != nil // as it was not at opening
	c.r.mu.Unlock()
	read, err := readSuperblock(c.ctx, c.r.st)
	sb := read.sb
	for _, f := range read.bad {
		if !unwritten || sb == nil { // else the first write replaces it
			c.report.add(f)
		}
	}
	if _, twice, err := c.r.st.Get(c.ctx, superblockTwo); err != nil {
		return nil, err
	} else if sb != nil && !twice && !unwritten { // opening writes it
		c.report.add(Finding{Scope: ScopeSuperblock, Row: superblockTwo, Reason: "it is missing", Missing: true})
	}
	if sb == nil && !unwritten && len(read.bad) == 0 {
		c.report.add(Finding{Scope: ScopeSuperblock, Row: superblockRow, Reason: "it is missing", Missing: true})
	}
	if err != nil || sb == nil {
		return nil, err
	}
	if err := sb.fits(&c.r.cfg); err != nil {
		c.report.add(Finding{Scope: ScopeSuperblock, Row: superblockRow, Reason: err.Error()})
		return nil, nil
	}
	if !unwritten && sb.incarnation != c.r.inc {
		c.report.add(Finding{Scope: ScopeSuperblock, Row: superblockRow, Reason: fmt.Sprintf("it is of incarnation %x, and this is %x: another engine has opened the store, or an older copy was put there", sb.incarnation, c.r.inc)})
	}
	return func(now *head) {
		h := *now
		if h.lastGen == 0 && len(h.aliases) == 0 { // the log names no id that has not written
			h.device = sb.head.device
		}
		if leaves(c.head.rewinds, sb.head.commit, sb.head.marker.Seq) { // it stood where the feed was left, whose rules are not folded
			h.rules = sb.head.rules
		}
		if slices.ContainsFunc(c.head.fills, func(f fill) bool { return f.commit > h.commit }) { // it was written when the hole was not filled
			h.rules, h.trials = sb.head.rules, sb.head.trials
		}
		if h.commit == sb.head.commit && !sameHead(&h, &sb.head) {
			c.report.add(Finding{Scope: ScopeSuperblock, Row: superblockRow, Reason: fmt.Sprintf("what it says of commit %d is not what the log says", h.commit)})
		}
	}, nil
}

// rowSpan is a run of rows of one table: from ≤ key < to.
type rowSpan struct {
	table    byte
	from, to string
}

type pass []rowSpan

func (p pass) want(row string) bool {
	for _, s := range p {
		if row[0] == s.table && row[1:] >= s.from && (s.to == "" || row[1:] < s.to) {
			return true
		}
	}
	return false
}

// passes cuts the tables into parts of a bounded size.
func (c *checker) passes() (out []pass, err error) {
	var now pass
	size := 0
	for _, table := range []byte(allTables) {
		from := ""
		for kv, err := range c.snap.Scan(c.ctx, table, "", "", false) {
			if err != nil {
				return nil, err
			}
			if size > checkBytes {
				out, now, size = append(out, append(now, rowSpan{table, from, kv.Key})), nil, 0
				from = kv.Key
			}
			size += len(kv.Key) + len(kv.Value)
		}
		now = append(now, rowSpan{table, from, ""})
	}
	return append(out, now), nil
}

// compare holds the rows of a pass against those of the log.
func (c *checker) compare(p pass, rows map[string][]byte) error {
	for _, s := range p {
		for kv, err := range c.snap.Scan(c.ctx, s.table, s.from, s.to, false) {
			if err != nil {
				return err
			}
			row := string(s.table) + kv.Key
			if want, is := rows[row]; !is {
				c.differs(row, "it is not in the log")
			} else if !bytes.Equal(want, kv.Value) {
				c.differs(row, "it is another than the log says")
			}
			delete(rows, row)
		}
	}
	missing := make([]string, 0, len(rows))
	for row := range rows {
		missing = append(missing, row)
	}
	order.By(missing, cmp.Compare)
	for _, row := range missing {
		c.differs(row, "it is in the log only")
	}
	return nil
}

func (c *checker) differs(row, why string) {
	c.rows = append(c.rows, row)
	f := Finding{Reason: why}
	f.Scope, f.What = nameOfTableRow(row)
	c.report.add(f)
}

// nameOfTableRow says what a row of a table is about.
func nameOfTableRow(row string) (Scope, string) {
	key := row[1:]
	switch row[0] {
	case tableObjects:
		collection, id, _ := strings.Cut(key, "\x00")
		return ScopeObject, change.Key{Collection: collection, ID: id}.String()
	case tableDevices:
		if len(key) == 16 {
			return ScopeDevice, change.DeviceID([]byte(key)).String()
		}
	default:
		if v, ok := versionOfKey(key); ok {
			return ScopeProblem, v.String()
		}
	}
	return ScopeRow, fmt.Sprintf("%q", row)
}
