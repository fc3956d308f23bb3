//go:build !device

package core

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/objects"
	"vsync/core/order"
	"vsync/core/pages"
	"vsync/core/store"
)

// damagedRun is a stretch of the log that is whole segments, of which some commits cannot be read.
type damagedRun struct {
	changelog.Hole
	why    string
	filled bool                        // it is a hole already
	items  map[uint64][]changelog.Item // what can be read
	rows   []changelog.Damaged
}

// mendFeed looks through a hub's log, and fills what is damaged of it. It says whether there was anything.
func (r *Replica) mendFeed(ctx context.Context) (done bool, err error) {
	var names []changelog.Name
	why := map[changelog.Name]string{}
	err = r.log.Verify(ctx, func(bad *changelog.CorruptError) {
		if scopeOfRow(bad.Row) == ScopeSegment {
			names, why[bad.Segment] = append(names, bad.Segment), bad.Problem
		}
	})
	if err != nil || len(names)+len(r.log.Holes()) == 0 {
		return false, err
	}
	if err := r.fillHoles(ctx, names, why); err != nil {
		return true, err
	}
	return true, r.tell(ctx)
}

// fillHoles fills what a check has found damaged of a hub's log, and what was lost at opening.
func (r *Replica) fillHoles(ctx context.Context, damaged []changelog.Name, why map[changelog.Name]string) error {
	if err := r.Checkpoint(ctx); err != nil { // who opens the store next needs no damaged segment
		return err
	}
	r.log.Part()
	var runs []damagedRun
	for _, h := range r.log.Holes() {
		runs = append(runs, damagedRun{Hole: h, why: "it was lost when the store was opened"})
	}
	for _, name := range damaged {
		if last, is := r.log.LastOf(name); is {
			runs = append(runs, damagedRun{Hole: changelog.Hole{First: name.First, Last: last}, why: why[name]})
		}
	}
	if len(runs) == 0 {
		return nil
	}
	for i := 0; i < len(runs); i++ {
		if err := r.readRun(ctx, &runs[i]); err != nil {
			return err
		}
		runs = append(runs, r.emptied(&runs[i])...)
	}
	var commit uint64
	var fillings []changelog.Item
	err := r.submit(ctx, &request{alone: true, strict: true, form: func(s *stage) (err error) {
		commit = s.state.commit + 1
		fillings, err = r.fill(s, runs)
		return err
	}})
	if err != nil {
		return err
	}
	for _, it := range fillings {
		if err := r.log.Fill(commit, it.Data); err != nil {
			return err
		}
	}
	return r.Checkpoint(ctx)
}

// emptied are the holes whose filling is lost in a run: they are filled anew.
func (r *Replica) emptied(run *damagedRun) (again []damagedRun) {
	r.mu.Lock()
	fills := r.head.fills
	r.mu.Unlock()
	for _, f := range fills {
		if _, is := run.items[f.commit]; is || f.commit < run.First || f.commit > run.Last {
			continue
		}
		if last, is := r.log.LastFrom(f.first); is {
			again = append(again, damagedRun{Hole: changelog.Hole{First: f.first, Last: last}, filled: true})
		}
	}
	return again
}

// readRun reads what can be read: in the store, or of what stands in memory still.
func (r *Replica) readRun(ctx context.Context, run *damagedRun) error {
	left, err := changelog.ReadRemains(ctx, r.st, run.First, run.Last)
	if err != nil {
		return err
	}
	run.items, run.rows = left.Records, left.Rows
	for c := run.First; c <= run.Last; c++ {
		if _, is := run.items[c]; is {
			continue
		}
		if recs, err := r.log.Records(ctx, c); err == nil && len(recs) > 0 {
			run.items[c] = recs[0].Items
		} else if unlessDamaged(err) != nil {
			return err
		}
	}
	return nil
}

func (r *Replica) fill(s *stage, runs []damagedRun) (fillings []changelog.Item, err error) {
	b := &bridge{r: r, s: s, runs: runs, last: map[change.DeviceID]link{}, instead: map[uint64][]changelog.Item{}, at: originOf(RoleHub, &s.state).marker}
	if err := b.build(); err != nil {
		return nil, err
	}
	for _, run := range runs {
		var recs [][]changelog.Item
		for c := run.First; c <= run.Last; c++ {
			recs = append(recs, b.instead[c])
		}
		it := changelog.Filling(run.First, recs)
		fillings = append(fillings, it)
		s.add(it.Kind, it.Data)
		s.state.fills = withFill(s.state.fills, fill{run.First, s.state.commit + 1})
		if err := r.runAside(s, &run); err != nil {
			return nil, err
		}
	}
	unlike, then, err := r.unlike(s, b.instead)
	if err != nil {
		return nil, err
	}
	s.sameTrials(then.trials)
	s.patch(unlike, func(u *unlikeRow) []byte { return u.is })
	return fillings, r.writeShown(s, unlike)
}

// runAside puts the damaged rows of a run into quarantine. What of it can be read stands in what fills it.
func (r *Replica) runAside(s *stage, run *damagedRun) error {
	tx := &store.Tx{}
	key := changelog.Name{First: run.First}.Key()[:9]
	if !run.filled && !slices.ContainsFunc(run.rows, func(d changelog.Damaged) bool { return bytes.HasPrefix(d.Row, key) }) {
		if err := r.setAside(s.ctx, tx, changelog.Name{First: run.First}.Key(), run.why); err != nil {
			return err
		}
	}
	for _, d := range run.rows {
		if d.Problem != "" {
			if err := r.setAside(s.ctx, tx, d.Row, d.Problem); err != nil {
				return err
			}
		}
		tx.Delete(d.Row)
	}
	s.beside = append(s.beside, tx.Ops...)
	return nil
}

// bridge makes what stands for what cannot be read.
type bridge struct {
	r       *Replica
	s       *stage
	runs    []damagedRun
	instead map[uint64][]changelog.Item
	last    map[change.DeviceID]link // what the feed has brought so far
	first   change.Version           // the first that it brought: what says nothing when it is named once more
	at      change.Marker
	gaps    []*gap
	open    *gap // its end is not known yet
}

// gap is a stretch of the feed that is lost.
type gap struct {
	commit   uint64 // the last one that is lost
	from, to change.Marker
	ends     []*change.Entry // what devices have come to in it
	known    change.Version
}

func (b *bridge) build() error {
	for c := uint64(1); c <= b.s.state.commit; {
		if i := slices.IndexFunc(b.runs, func(h damagedRun) bool { return h.First <= c && c <= h.Last }); i >= 0 {
			items, is := b.runs[i].items[c]
			if b.instead[c] = items; !is {
				b.miss(c)
			} else if err := b.take(items); err != nil {
				return err
			}
			c++
			continue
		}
		recs, err := b.r.log.Records(b.s.ctx, c)
		if err == nil && len(recs) == 0 {
			err = errorf(Corrupt, "commit %d is not in the log", c)
		}
		if err != nil {
			return err
		}
		for _, rec := range recs {
			if err := b.take(rec.Items); err != nil {
				return err
			}
		}
		c = recs[len(recs)-1].Commit + 1
	}
	b.moved(b.s.state.marker)
	if err := b.ends(); err != nil {
		return err
	}
	for _, g := range b.gaps {
		if err := b.close(g); err != nil {
			return err
		}
	}
	return nil
}

func (b *bridge) miss(commit uint64) {
	if b.open == nil {
		b.open = &gap{from: b.at, known: b.first}
		b.gaps = append(b.gaps, b.open)
	}
	b.open.commit = commit
}

// moved says where the feed stands.
func (b *bridge) moved(m change.Marker) {
	if b.open != nil {
		b.open.to, b.open = m, nil
	}
	b.at = m
}

func (b *bridge) take(items []changelog.Item) error {
	for _, it := range items {
		switch it.Kind {
		case changelog.ItemBefore, changelog.ItemEpoch:
			m, err := change.DecodeMarker(it.Data)
			if err != nil {
				return err
			}
			b.moved(m)
		case changelog.ItemEntry:
			seq, e, err := entryOf(it)
			if err != nil {
				return err
			}
			b.at.Seq, b.at.Hash = seq, e.FeedHash(b.at.Hash)
			v := e.Version
			if had := b.last[v.Device].gen; v.Gen > had+1 && e.Kind != change.EntryLost {
				b.end(change.NewLostEntry(change.Version{Device: v.Device, Gen: v.Gen - 1}, change.Hash{}, 0, change.Hash{}))
			} else if v.Gen <= had {
				continue
			}
			b.last[v.Device] = link{v.Gen, e.Hash}
			if b.first.IsZero() && e.Kind != change.EntryLost {
				b.first = v
			}
		}
	}
	return nil
}

// end puts what a device has come to into the latest gap that has room for it.
func (b *bridge) end(e *change.Entry) {
	for _, g := range slices.Backward(b.gaps) {
		if g != b.open && uint64(len(g.ends)) < g.to.Seq-g.from.Seq {
			g.ends = append(g.ends, e)
			return
		}
	}
}

// ends adds the devices of which the feed has nothing behind what is lost.
func (b *bridge) ends() error {
	snap := b.s.tables.Snapshot()
	defer snap.Release()
	for kv, err := range snap.Scan(b.s.ctx, tableDevices, "", "", false) {
		if err != nil || len(kv.Key) != 16 {
			return err
		}
		d := change.DeviceID([]byte(kv.Key))
		rec, err := decodeDevice(d, kv.Value, nil)
		if err != nil {
			return err
		}
		if rec.Last > b.last[d].gen {
			b.end(change.NewLostEntry(change.Version{Device: d, Gen: rec.Last}, rec.Hash, rec.Contact, change.Hash{}))
		}
	}
	return nil
}

// close makes the record of a gap.
func (b *bridge) close(g *gap) error {
	n := g.to.Seq - g.from.Seq
	if g.to.Seq < g.from.Seq || n > 0 && len(g.ends) == 0 && g.known.IsZero() {
		return errorf(Corrupt, "what stands behind commit %d of the log begins at sequence %d, and what stands before it ends at %d", g.commit, g.to.Seq, g.from.Seq)
	}
	var items []changelog.Item
	if g.from.Seq == 0 {
		items = append(items, changelog.Item{Kind: changelog.ItemIdentity, Data: b.s.state.lineage[:]})
	}
	items = append(items, changelog.Item{Kind: changelog.ItemBefore, Data: g.from.Encode()})
	sealer := change.NewSealer(b.r.cfg.HubKey, b.s.state.lineage)
	for i := uint64(1); i <= n; i++ {
		e := change.NewLostEntry(g.known, change.Hash{}, 0, change.Hash{})
		if k := min(i, uint64(len(g.ends))); k > 0 {
			e = g.ends[k-1]
		}
		var running change.Hash
		if i == n {
			running = g.to.Hash
		}
		e = change.NewLostEntry(e.Version, e.Hash, e.Annotation.Accepted, running)
		sealer.Seal(e)
		data, err := e.Append(change.AppendUvarint(nil, g.from.Seq+i))
		if err != nil {
			return err
		}
		items = append(items, changelog.Item{Kind: changelog.ItemEntry, Data: data})
	}
	if g.to.Epoch != g.from.Epoch {
		items = append(items, changelog.Item{Kind: changelog.ItemEpoch, Data: g.to.Encode()})
	}
	b.instead[g.commit] = items
	return nil
}

// unlikeRow is a row of the tables that is another than the log says.
type unlikeRow struct {
	row      string
	is, says []byte // in the tables, by the log; nil: there is none
}

// asStreamed is a commit without what devices do not get of it.
func asStreamed(rec changelog.Record) changelog.Record {
	rec.Items = slices.DeleteFunc(slices.Clone(rec.Items), func(it changelog.Item) bool { return it.Kind == changelog.ItemBase })
	return rec
}

// unlike holds the tables against the log, with what stands for its holes, as a new device would fold it: what an earlier repair has
// patched does not count.
func (r *Replica) unlike(s *stage, instead map[uint64][]changelog.Item) (out []unlikeRow, then head, err error) {
	snap := s.tables.Snapshot()
	defer snap.Release()
	passes, err := (&checker{r: r, ctx: s.ctx, snap: snap}).passes()
	if err != nil {
		return nil, then, err
	}
	for _, p := range passes {
		g := r.refoldingOf(s.state.commit)
		g.want, g.instead, g.cut = p.want, instead, asStreamed
		rows, h, err := g.run(s.ctx)
		if err != nil {
			return nil, then, err
		}
		then = h
		for _, span := range p {
			for kv, err := range snap.Scan(s.ctx, span.table, span.from, span.to, false) {
				if err != nil {
					return nil, then, err
				}
				row := pages.RowKey(span.table, kv.Key)
				if says, is := rows[row]; !is || !bytes.Equal(says, kv.Value) {
					out = append(out, unlikeRow{row, bytes.Clone(kv.Value), says})
				}
				delete(rows, row)
			}
		}
		for _, row := range order.KeysBy(rows, cmp.Compare[string]) {
			out = append(out, unlikeRow{row, nil, rows[row]})
		}
	}
	return out, then, nil
}

// patch adds rows to the commit as they are from there on, for whoever folds the log.
func (s *stage) patch(rows []unlikeRow, val func(u *unlikeRow) []byte) {
	if len(rows) == 0 {
		return
	}
	data := appendBasePart(s.state.commit+1, false, nil)
	for i := range rows {
		v := val(&rows[i])
		data = append(change.AppendUvarint(data, uint64(len(rows[i].row))), rows[i].row...)
		data = append(change.AppendUvarint(data, uint64(len(v))), v...)
	}
	s.add(changelog.ItemBase, data)
}

// sameTrials lets the log say what trials are under way.
func (s *stage) sameTrials(says []trial) {
	if slices.Equal(says, s.state.trials) {
		return
	}
	for _, t := range says {
		s.add(changelog.ItemTried, t.version.Device[:])
	}
	for _, t := range s.state.trials {
		s.add(changelog.ItemTrial, t.append(nil))
	}
}

// shown is a version that is to be written again.
type shown struct {
	key     change.Key
	leaf    objects.Leaf
	parents []change.Version
}

// writeShown writes again what the tables show of objects of which the log says something else, as the hub's own device. Rules come first.
func (r *Replica) writeShown(s *stage, unlike []unlikeRow) error {
	var rules, others []shown
	for i := range unlike {
		u := &unlike[i]
		if u.row[0] != tableObjects {
			continue
		}
		again, err := u.shown()
		if err != nil {
			return err
		}
		if len(again) > 0 && again[0].key.Collection == change.RulesCollection {
			for j := range again { // later than what is lost: in force are these then, for who has that and for who comes new
				again[j].leaf.Stamp = min(again[j].leaf.Stamp+1, change.MaxNumber)
			}
			rules = append(rules, again...)
		} else {
			others = append(others, again...)
		}
	}
	now := renamedTo{}
	all := append(rules, others...)
	for len(all) > 0 {
		n, size, keys := 0, 0, map[change.Key]bool{}
		for n < len(all) && n < change.MaxMutations && size < groupBytes && all[n].leaf.Stamp == all[0].leaf.Stamp && !keys[all[n].key] {
			size += len(all[n].leaf.Value) + rowOverhead
			keys[all[n].key] = true
			n++
		}
		if err := r.writeAs(s, r.serviceDeviceOf(s.state.lineage, ""), all[:n], now); err != nil {
			return err
		}
		all = all[n:]
	}
	return s.rename(now)
}

// shown are the versions that make the row that is out of that which the log says.
func (u *unlikeRow) shown() (out []shown, err error) {
	key, err := change.DecodeKey([]byte(u.row[1:]))
	if err != nil {
		return nil, err
	}
	is, says := &objects.Object{}, &objects.Object{}
	if err := errors.Join(is.Load(u.is), says.Load(u.says)); err != nil {
		return nil, wrapf(Corrupt, err, "the object %s cannot be read", key)
	}
	var parents []change.Version
	for _, l := range slices.Concat(is.Confirmed, says.Confirmed) {
		if !slices.Contains(parents, l.Version) && len(parents) < change.MaxParents {
			parents = append(parents, l.Version)
		}
	}
	leaves := slices.Clone(is.Confirmed)
	slices.SortStableFunc(leaves, func(a, b objects.Leaf) int { return cmp.Compare(rankOf(a), rankOf(b)) })
	if len(leaves) == 0 {
		leaves = append(leaves, objects.Leaf{Deleted: true})
	}
	if last := &leaves[len(leaves)-1]; is.State != nil && !last.Deleted { // what is written without changes counts as a whole
		last.Value = is.State.Value
	}
	for i := range leaves {
		l := shown{key: key, leaf: leaves[i]}
		if l.leaf.Deleted {
			l.leaf.Value = nil
		}
		if i == 0 {
			l.parents = parents
		}
		out = append(out, l)
	}
	return out, nil
}

// rankOf lets deletions come first.
func rankOf(l objects.Leaf) int {
	if l.Deleted {
		return 0
	}
	return 1
}

// renamedTo says of versions what they are now, by object.
type renamedTo map[change.Version][]renamedObject

type renamedObject struct {
	key change.Key
	now change.Version
}

// writeAs writes one batch of a device of the hub's own.
func (r *Replica) writeAs(s *stage, d change.DeviceID, list []shown, now renamedTo) error {
	rec, err := s.device(d)
	if err != nil {
		return err
	}
	b := &change.Batch{Header: change.Header{Device: d, Gen: rec.Last + 1, Stamp: list[0].leaf.Stamp, Note: "what was shown, behind a hole of the log"}}
	for _, l := range list {
		m := change.Mutation{Kind: change.Put, Key: l.key, Value: l.leaf.Value, Parents: slices.Clone(l.parents)}
		if l.leaf.Deleted {
			m.Kind = change.Delete
		}
		b.Mutations = append(b.Mutations, m)
		if v := l.leaf.Version; !v.IsZero() && !r.log.Has(v) {
			now[v] = append(now[v], renamedObject{l.key, b.Version()})
		}
	}
	bytes, err := b.Encode(rec.Hash)
	if err == nil {
		b, err = change.DecodeTrusted(bytes)
	}
	if err != nil {
		return err
	}
	return r.place(s, change.NewBatchEntry(&b.Header, bytes, change.Annotation{Accepted: r.acceptedAt(s)}), b)
}

// rename lets lost versions that were leaves be those that were written again, where later batches name them as parents.
func (s *stage) rename(now renamedTo) error {
	var rows []unlikeRow
	for _, v := range order.KeysBy(now, change.Version.Compare) {
		row := versionRow(tableVoids, v)
		was, err := s.get(row)
		if err != nil {
			return err
		}
		if was != nil { // it is void, and passed by already
			continue
		}
		b := &change.Batch{}
		for i, o := range now[v] {
			b.Mutations = append(b.Mutations, change.Mutation{Index: i, Key: o.key, Parents: []change.Version{o.now}})
		}
		val := encodeVoid(change.Hash{}, b, nil)
		s.set(row, val)
		s.voided = append(s.voided, v)
		rows = append(rows, unlikeRow{row: row, is: val})
	}
	s.patch(rows, func(u *unlikeRow) []byte { return u.is })
	return nil
}
