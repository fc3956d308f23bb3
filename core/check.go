package core

import (
	"bytes"
	"context"
	"encoding/binary"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/fmt"
	"vsync/core/objects"
	"vsync/core/pages"
)

// Report is what a check found.
type Report struct {
	OK       bool
	Objects  int       // objects, deleted ones among them
	Batches  int       // batches in the log
	Findings []Finding // what does not fit, at most maxFindings; one that is harmless leaves OK as it is
	Aside    []Finding // what was damaged before, and is in quarantine
}

const maxFindings = 100 // what is listed; a store with more is damaged all over

func (p *Report) find(scope Scope, what, format string, args ...any) {
	p.add(Finding{Scope: scope, What: what, Reason: fmt.Sprintf(format, args...)})
}

func (p *Report) add(f Finding) {
	p.OK = p.OK && f.Harmless
	if len(p.Findings) < maxFindings {
		p.Findings = append(p.Findings, f)
	}
}

// Check holds all stored structures against each other: the superblock, the segments and their summaries, every device's hash chain,
// the feed's running hash, the pages as they are stored and their overflow rows, every row of every table against the log folded anew,
// and every leaf of every object against the batch that wrote it. It reads everything and changes nothing.
func (r *Replica) Check(ctx context.Context) (Report, error) {
	c, err := r.check(ctx)
	if err != nil {
		return Report{}, err
	}
	return c.report, nil
}

func (r *Replica) check(ctx context.Context) (*checker, error) {
	if err := r.readable(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	h := r.head
	s := r.tables.Snapshot()
	r.mu.Unlock()
	defer s.Release()
	c := &checker{r: r, ctx: ctx, snap: s, head: h, chain: map[change.DeviceID]link{}, why: map[changelog.Name]string{}, report: Report{OK: true}}
	if err := c.stored(); err != nil {
		return nil, typed(err, "checking what is stored")
	}
	if c.broken { // nothing can be held against such a log
		return c, nil
	}
	if err := c.folded(); err != nil {
		return nil, typed(err, "folding the log anew")
	}
	if err := c.log(); err != nil {
		return nil, typed(err, "checking the log")
	}
	if err := c.objects(); err != nil {
		return nil, typed(err, "checking the objects")
	}
	if err := c.devices(); err != nil {
		return nil, typed(err, "checking the devices")
	}
	return c, nil
}

// link is the end of a device's chain, as the log has it.
type link struct {
	gen  change.Generation
	hash change.Hash
}

type checker struct {
	r      *Replica
	ctx    context.Context
	snap   *pages.Snap
	head   head
	chain  map[change.DeviceID]link
	seq    uint64
	feed   change.Hash
	leaves int // leaves and pending versions that were found in the log
	report Report

	broken bool             // the log itself is damaged
	holes  []changelog.Name // segments that are
	why    map[changelog.Name]string
	rows   []string // of the tables, that are not what the log says
	stray  [][]byte // rows of the store that nothing names
}

// log reads the log from its beginning.
func (c *checker) log() error {
	for next := c.head.beginsAt(); next <= c.head.commit; {
		recs, err := c.r.log.Records(c.ctx, next)
		if err != nil {
			return err
		}
		if len(recs) == 0 {
			c.report.find(ScopeSegment, "", "commit %d is not in the log, which should end at %d", next, c.head.commit)
			return nil
		}
		for i := range recs {
			if recs[i].Commit > c.head.commit {
				return nil
			}
			for _, it := range recs[i].Items {
				if err := c.item(recs[i].Commit, it); err != nil {
					return err
				}
			}
			next = recs[i].Commit + 1
		}
	}
	if c.seq != c.head.marker.Seq || c.feed != c.head.marker.Hash {
		c.report.find(ScopeFeed, "", "the log's feed ends at sequence %d with hash %s, and the marker says %d with %s", c.seq, c.feed, c.head.marker.Seq, c.head.marker.Hash)
	}
	return nil
}

func (c *checker) item(commit uint64, it changelog.Item) error {
	if it.Kind == changelog.ItemEntry || it.Kind == changelog.ItemConfirm {
		if seq, _ := binary.Uvarint(it.Data); leaves(c.head.rewinds, commit, seq) {
			return nil // nothing refers to it any more
		}
	}
	switch it.Kind {
	case changelog.ItemBase:
		return c.base(commit, it.Data)
	case changelog.ItemBatch:
		c.report.Batches++
		if gone, err := c.displaced(commit, it.Data); gone || err != nil || c.givenUp(it.Data) {
			return err
		}
		return c.batch(commit, it.Data)
	case changelog.ItemEntry:
		seq, e, err := entryOf(it)
		if err != nil {
			return err
		}
		c.place(commit, seq, e)
		if e.Kind == change.EntryBatch {
			c.report.Batches++
			return c.batch(commit, e.Body)
		}
		if e.Kind == change.EntryVoid && e.Version.Device != c.head.device || e.Version.Gen > c.chain[e.Version.Device].gen { // a lost own one comes late
			c.chain[e.Version.Device] = link{e.Version.Gen, e.Hash}
		}
	case changelog.ItemConfirm:
		f := &fold{ctx: c.ctx, log: c.r.log}
		seq, e, err := f.confirmOf(commit, it)
		if err != nil {
			return err
		}
		c.place(commit, seq, e)
		if v := e.Version; v.Device != c.head.device && v.Gen > c.chain[v.Device].gen { // of a former id, whose batch may stand before a base
			c.chain[v.Device] = link{v.Gen, e.Hash}
		}
	}
	return nil
}

// base takes up where the feed, and the chains of devices, stand at a base.
func (c *checker) base(commit uint64, data []byte) error {
	first, _, h, rows, err := basePartOf(data)
	if err != nil || first != c.head.base {
		return err
	}
	if h != nil {
		c.seq, c.feed = h.marker.Seq, h.marker.Hash
		if h.lastGen > 0 {
			c.chain[h.device] = link{h.lastGen, h.lastHash}
		}
	}
	for len(rows.b) > 0 {
		row, val := string(rows.bytes()), rows.bytes()
		if rows.err != nil || row == "" || row[0] != tableDevices || len(row) != 17 {
			continue
		}
		d := change.DeviceID([]byte(row[1:]))
		rec, err := decodeDevice(d, val, nil)
		if err != nil {
			return err
		}
		if rec.Last > c.chain[d].gen {
			c.chain[d] = link{rec.Last, rec.Hash}
		}
	}
	return rows.err
}

// givenUp says that a batch was written anew under another name: nothing refers to it any more, and the hub may have
// another one of that name.
func (c *checker) givenUp(batch []byte) bool {
	h, _, err := change.DecodeHeader(batch)
	if err != nil {
		return false
	}
	for _, a := range c.head.aliases {
		if a.Map(h.Version()) != h.Version() {
			return true
		}
	}
	return false
}

// displaced says that a batch was left, with what the feed had then, and that the feed has brought its name again since: this batch,
// or another.
func (c *checker) displaced(commit uint64, batch []byte) (bool, error) {
	v, ok := change.PeekVersion(batch)
	if !ok || len(c.head.rewinds) == 0 || !c.isOld(v.Device) {
		return false, nil
	}
	_, rec, ok, err := c.r.log.Find(c.ctx, v)
	return ok && rec.Commit != commit, err
}

func (c *checker) place(commit, seq uint64, e *change.Entry) {
	if seq != c.seq+1 {
		c.report.find(ScopeFeed, "", "commit %d holds sequence %d after %d", commit, seq, c.seq)
	}
	c.seq, c.feed = seq, e.FeedHash(c.feed)
	if c.r.cfg.Role == RoleHub {
		if err := e.VerifyMAC(c.r.cfg.HubKey, c.head.lineage); err != nil {
			c.report.find(ScopeFeed, fmt.Sprintf("at sequence %d", seq), "%v", err)
		}
	}
}

func (c *checker) batch(commit uint64, bytes []byte) error {
	b, err := change.DecodeAny(bytes)
	if err != nil {
		c.report.find(ScopeBatch, fmt.Sprintf("of commit %d", commit), "%v", err)
		return nil
	}
	last := c.chain[b.Device]
	loose := len(c.head.rewinds) > 0 && c.isOld(b.Device) // what was left of it may have other names in the feed by now
	if b.Gen > last.gen+1 && !loose {
		c.report.find(ScopeBatch, b.Version().String(), "commit %d brings it after generation %d", commit, last.gen)
	}
	if b.Gen == last.gen+1 && !loose && (last.gen == 0 || !last.hash.IsZero()) {
		if err := b.Follows(last.hash); err != nil {
			c.report.find(ScopeBatch, b.Version().String(), "commit %d: %v", commit, err)
		}
	}
	if b.Device != c.head.device || b.Gen >= last.gen { // what was lost of its own comes back with the feed
		c.chain[b.Device] = link{b.Gen, b.Hash}
	}
	for i := range b.Mutations {
		if err := c.mutation(b, &b.Mutations[i]); err != nil {
			return err
		}
	}
	return nil
}

// mutation compares what a batch wrote with what its object says of that version, if it is still a leaf or pending.
func (c *checker) mutation(b *change.Batch, m *change.Mutation) error {
	row, ok, err := c.snap.Get(c.ctx, tableObjects, string(m.Key.Encode()))
	if err != nil || !ok { // a refused batch may leave nothing of an object
		return err
	}
	o, err := objects.Decode(row)
	if err != nil {
		c.report.find(ScopeObject, m.Key.String(), "%v", err)
		return nil
	}
	compare := func(deleted bool, value []byte) {
		c.leaves++
		if deleted != (m.Kind == change.Delete) || !bytes.Equal(value, m.Value) {
			c.report.find(ScopeObject, m.Key.String(), "it has another value for %s than its batch", b.Version())
		}
	}
	for i := range o.Confirmed {
		if l := &o.Confirmed[i]; l.Version == b.Version() {
			compare(l.Deleted, l.Value)
		}
	}
	for i := range o.Pending {
		if p := &o.Pending[i]; p.Version == b.Version() {
			compare(p.Deleted, p.Value)
		}
	}
	return nil
}

func (c *checker) objects() error {
	n := 0
	for kv, err := range c.snap.Scan(c.ctx, tableObjects, "", "", false) {
		if err != nil {
			return err
		}
		c.report.Objects++
		if _, err := change.DecodeKey([]byte(kv.Key)); err != nil {
			c.report.find(ScopeObject, fmt.Sprintf("%q", kv.Key), "its key: %v", err)
		}
		o, err := objects.Decode(kv.Value)
		if err != nil {
			c.report.find(ScopeObject, fmt.Sprintf("%q", kv.Key), "%v", err)
			continue
		}
		n += len(o.Confirmed) + len(o.Pending)
	}
	if n != c.leaves && c.head.base == 0 { // else the batches of some are not looked at
		c.report.find(ScopeObject, "", "the objects have %d leaves and pending versions, and the log has the batches of %d", n, c.leaves)
	}
	return nil
}

func (c *checker) devices() error {
	for d, end := range c.chain {
		row, _, err := c.snap.Get(c.ctx, tableDevices, string(d[:]))
		rec, err := decodeDevice(d, row, err)
		if err != nil {
			return err
		}
		if d == c.head.device {
			if end.gen != c.head.lastGen || end.hash != c.head.lastHash {
				c.report.find(ScopeDevice, d.String(), "this device's batches end at generation %d in the log, and at %d in the superblock", end.gen, c.head.lastGen)
			}
			continue
		}
		if !c.isOld(d) && (rec.Last != end.gen || rec.Hash != end.hash) {
			c.report.find(ScopeDevice, d.String(), "its batches end at generation %d in the log, and its row says %d", end.gen, rec.Last)
		}
	}
	return nil
}

func (c *checker) isOld(d change.DeviceID) bool {
	for _, a := range c.head.aliases {
		if a.Old == d {
			return true
		}
	}
	return false
}
