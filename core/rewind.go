package core

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
	"vsync/core/objects"
)

// A hub may lose entries: its storage was emptied, or an older copy put back, and it has gone another way since. A device that has
// applied more than the hub has finds out by its marker, and goes through this:
//
//	marker unknown ─▶ Trail: earlier places ─▶ the hub names the latest that it has, F
//	               ─▶ Applied: what was applied behind F is handed back, and the hub takes what it has not
//	               ─▶ marker known ───────────▶ nothing was lost
//	                  marker unknown ─▶ GoBack to F ─▶ the feed again, from there
//
// GoBack leaves what the feed had behind F, in one commit:
//
//	log:  … │ entries … F │ entries F+1 … s │ rewind to F │ entries F+1, F+2 …
//	                        └─ left ───────┘              └─ as the hub has them now
//
// What is left stays in the log, and does not count any more: not for the tables, not for a later Trail. The rows that it had
// touched are folded anew, without it, and stand in the rewind, since replay cannot read the log backwards. Own batches that were
// confirmed there wait to be confirmed again; if the hub lost them, they are pushed again.
//
//	rewind in the log: marker uv bytes ‖ n uv × (row uv bytes ‖ value uv bytes; empty: no such row)
//	                   ‖ n uv × (device 16 ‖ gen uv ‖ device 16 ‖ gen uv)   what is written again behind it, and as what
//	                   ‖ n uv × (device 16 ‖ gen uv)   former ids: up to where they were handed back, or are written again
//	                   ‖ n uv × (device 16 ‖ gen uv)   versions of former ids that are pending no more
//	                   ‖ rules in force, where there are any, or back is named: see rules.go
//	                   ‖ seq uv ‖ hash 16              back, the end of the hub's feed when it had got all back; absent: as before
//
// The hub may lose again what it got back, before the device that has left it applies it anew. So that stays owed until the device has
// applied all of the feed that the hub had then. Meanwhile hello names that place: a hub that does not know it gets all back once more,
// what was left as well as what is applied.

// rewind says that in a commit the feed behind a sequence was left.
type rewind struct {
	commit uint64
	seq    uint64
}

// revived is a batch of a former id that was written again under a later one.
type revived struct {
	was, now change.Version
	commit   uint64
}

// addRewind keeps of rewinds those that say something: before one, none to the same or a later place.
func addRewind(rs []rewind, w rewind) []rewind {
	n := len(rs)
	for n > 0 && rs[n-1].seq >= w.seq {
		n--
	}
	return append(rs[:n:n], w)
}

// leaves says that what a commit holds of a sequence was left later.
func leaves(rs []rewind, commit, seq uint64) bool {
	for i := len(rs) - 1; i >= 0 && rs[i].commit > commit; i-- {
		if rs[i].seq < seq {
			return true
		}
	}
	return false
}

// isLeft says that an item with a place in the feed was left later.
func (f *fold) isLeft(it changelog.Item) bool {
	if len(f.gone) == 0 {
		return false
	}
	seq, w := binary.Uvarint(it.Data)
	return w > 0 && leaves(f.gone, f.head.commit+1, seq)
}

// left passes by an entry, or a confirmation, that was left later. The marker stands in an item of its own.
func (f *fold) left(it changelog.Item) error {
	var ann change.Annotation
	var err error
	if it.Kind == changelog.ItemEntry {
		var e *change.Entry
		if _, e, err = entryOf(it); err == nil {
			ann = e.Annotation
		}
	} else {
		c := &cutter{b: it.Data}
		c.uvarint()
		c.take(1 + 16)
		c.uvarint()
		c.take(16)
		if err = c.err; err == nil {
			ann, err = change.DecodeAnnotation(c.b)
		}
	}
	f.head.accepted = max(f.head.accepted, ann.Accepted)
	return err
}

// rewindRow takes up a row of a rewind. Where one to an earlier place follows, the row says more than is left of the feed, but for what
// the feed does not say.
func (f *fold) rewindRow(row string, val []byte, dominated bool, dropped []change.Version, refused map[change.Version]bool) error {
	if row == "" {
		return errorf(Corrupt, "a rewind in the log names no row")
	}
	if stale, err := f.rows.stale(row); err != nil || stale {
		return err
	}
	if dominated && row[0] == tableObjects {
		was, err := f.rows.get(row)
		if err == nil && len(dropped) > 0 {
			val, err = withoutPending(was, dropped, refused)
		}
		if err != nil || len(dropped) == 0 {
			return err
		}
	} else if dominated && row[0] != tableSettled && (row[0] != tableProblems || len(val) == 0) {
		return nil
	}
	if len(val) == 0 {
		val = nil
	}
	f.rows.set(row, val)
	return nil
}

// settledUpTo is the last generation of a former id of which the hub had got back what it lost, or which was written again.
func (h *head) settledUpTo(d change.DeviceID) change.Generation {
	for _, v := range h.settled {
		if v.Device == d {
			return v.Gen
		}
	}
	return 0
}

func (c *cutter) version() (v change.Version) {
	copy(v.Device[:], c.take(16))
	v.Gen = change.Generation(c.uvarint())
	return v
}

func (c *cutter) place() (p change.Place) {
	p.Seq = c.uvarint()
	copy(p.Hash[:], c.take(16))
	return p
}

func appendPlace(b []byte, p change.Place) []byte {
	return append(binary.AppendUvarint(b, p.Seq), p.Hash[:]...)
}

// owing says that the hub may lose once more what it got back of this replica, which has left it.
func (h *head) owing() bool { return h.marker.Seq < h.back.Seq }

func appendVersion(b []byte, v change.Version) []byte {
	return binary.AppendUvarint(append(b, v.Device[:]...), uint64(v.Gen))
}

// hasLeft says that an item of the log is an entry, or a confirmation, that was left later.
func (r *Replica) hasLeft(commit uint64, it changelog.Item) bool {
	if it.Kind != changelog.ItemEntry && it.Kind != changelog.ItemConfirm {
		return false
	}
	r.mu.Lock()
	gone := r.head.rewinds
	r.mu.Unlock()
	seq, _ := binary.Uvarint(it.Data)
	return leaves(gone, commit, seq)
}

// rewound says that a commit went back to an earlier place of the feed.
func rewound(rec *changelog.Record) bool {
	return slices.ContainsFunc(rec.Items, func(it changelog.Item) bool { return it.Kind == changelog.ItemRewind })
}

// goBack takes up a rewind that the log has.
func (f *fold) goBack(data []byte) (err error) {
	c := &cutter{b: data}
	m, err := change.DecodeMarker(c.bytes())
	if err != nil {
		return err
	}
	type rowValue struct {
		row string
		val []byte
	}
	var rows []rowValue
	for range c.count(2) {
		rows = append(rows, rowValue{string(c.bytes()), slices.Clone(c.bytes())})
	}
	again := f.head.revived[:len(f.head.revived):len(f.head.revived)]
	for range c.count(34) {
		v := revived{commit: f.head.commit + 1}
		v.was, v.now = c.version(), c.version()
		again = append(again, v)
	}
	dealt := slices.Clone(f.head.settled)
	for range c.count(17) {
		v := c.version()
		dealt = append(slices.DeleteFunc(dealt, func(o change.Version) bool { return o.Device == v.Device }), v)
	}
	var dropped []change.Version
	for range c.count(17) {
		dropped = append(dropped, c.version())
	}
	var rules []ruling
	if len(c.b) > 0 {
		rules = c.rules()
	}
	back := f.head.back
	if len(c.b) > 0 {
		back = c.place()
	}
	if c.err != nil {
		return errorf(Corrupt, "a rewind in the log is cut short")
	}
	dominated := leaves(f.gone, f.head.commit+1, m.Seq)
	refused := map[change.Version]bool{}
	for _, r := range rows {
		noteRefused(refused, r.row, r.val)
	}
	for _, r := range rows {
		if err := f.rewindRow(r.row, r.val, dominated, dropped, refused); err != nil {
			return err
		}
		if k, err := change.DecodeKey([]byte(r.row[1:])); r.row[0] == tableObjects && err == nil {
			f.later(k)
		}
	}
	defer func(was []ruling) { err = errors.Join(err, f.rewoundTo(was)) }(f.head.rules)
	if !dominated { // else what is left of the feed has said it
		f.head.rules = rules
	}
	f.head.marker, f.head.revived, f.head.settled, f.head.back = m, again, dealt, back
	f.head.rewinds = addRewind(f.head.rewinds, rewind{f.head.commit + 1, m.Seq})
	return nil
}

// rewoundTo makes shown states anew behind a rewind, under the rules that are in force again.
func (f *fold) rewoundTo(was []ruling) error {
	if err := f.rerule(otherRules(was, f.head.rules)); err != nil {
		return err
	}
	err := f.showAnew()
	f.reshown = false // watchers begin again behind a rewind
	return err
}

// Trail returns earlier places of the feed that is applied, the latest first, at steps that double, and the beginning as the
// last: at most 64.
func (r *Replica) Trail(ctx context.Context) ([]change.Place, error) {
	if err := r.readable(); err != nil {
		return nil, err
	}
	places, _, err := r.places(ctx)
	if err != nil {
		return nil, typed(err, "looking for earlier places of the feed")
	}
	var out []change.Place
	for back := 1; back <= len(places) && len(out) < maxTrail-1; back *= 2 {
		out = append(out, places[len(places)-back])
	}
	return append(out, change.Place{}), nil
}

// places returns the places of the feed at which commits ended, and which were not left, in order; and the sequence with which a base
// begins, 0 where there is none.
func (r *Replica) places(ctx context.Context) (out []change.Place, begin uint64, err error) {
	r.mu.Lock()
	gone, base, upTo := r.head.rewinds, r.head.beginsAt(), r.head.commit
	r.mu.Unlock()
	err = r.eachItem(ctx, base, upTo, func(commit uint64, it changelog.Item) (bool, error) {
		if it.Kind != changelog.ItemMarker {
			return true, nil
		}
		m, err := change.DecodeMarker(it.Data)
		if base > 1 && begin == 0 && len(out) == 0 {
			begin = m.Seq
		}
		if err == nil && !leaves(gone, commit, m.Seq) && (len(out) == 0 && m.Seq > 0 || len(out) > 0 && m.Seq > out[len(out)-1].Seq) {
			out = append(out, change.Place{Seq: m.Seq, Hash: m.Hash})
		}
		return true, err
	})
	return out, begin, err
}

// eachItem visits the items of commits, until visit returns false. What is lost in a hole is passed over.
func (r *Replica) eachItem(ctx context.Context, from, upTo uint64, visit func(commit uint64, it changelog.Item) (bool, error)) error {
	holes := r.log.Holes()
	for next := max(from, 1); next <= upTo; {
		if i := slices.IndexFunc(holes, func(h changelog.Hole) bool { return h.First <= next && next <= h.Last }); i >= 0 {
			next = holes[i].Last + 1
			continue
		}
		recs, err := r.log.Records(ctx, next)
		if err != nil {
			return err
		}
		if len(recs) == 0 {
			return errorf(Corrupt, "commit %d is not in the log, which ends at %d", next, upTo)
		}
		for _, rec := range recs {
			if rec.Commit > upTo {
				return nil
			}
			for _, it := range rec.Items {
				if more, err := visit(rec.Commit, it); err != nil || !more {
					return err
				}
			}
			next = rec.Commit + 1
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// AppliedCursor is a place in what a device has applied.
type AppliedCursor struct {
	Seq    uint64 // what comes behind it is read
	Left   bool   // so is all that was left, in the order in which it was applied; Seq then only counts what was read
	behind uint64 // Left: what Seq was at the beginning
	commit uint64 // in which to look for it
	item   int    // Left: items of the commit that were read
}

// Applied returns entries of the feed that were applied, as they came, behind a place: about maxBytes of them and at least one
// if there is any; and where to go on.
func (r *Replica) Applied(ctx context.Context, at AppliedCursor, maxBytes int) (entries [][]byte, next AppliedCursor, err error) {
	if err := r.readable(); err != nil {
		return nil, at, err
	}
	r.mu.Lock()
	gone, upTo := r.head.rewinds, r.head.commit
	r.mu.Unlock()
	if at.Left && at.commit == 0 {
		at.behind = at.Seq
	}
	size, in, n := 0, uint64(0), 0
	holes := len(r.log.Holes()) > 0
	err = r.eachItem(ctx, at.commit, upTo, func(commit uint64, it changelog.Item) (bool, error) {
		if commit != in {
			in, n = commit, 0
		}
		n++
		if takes, err := at.takes(gone, commit, n, it, holes); !takes {
			return err == nil, err
		}
		bytes, err := r.entryBytes(ctx, it)
		if (holes || at.Left) && errors.Is(err, errUnheld) {
			return true, nil // it was given up with its id, and is pushed under another name; or it is lost
		}
		if err != nil {
			return false, err
		}
		if len(entries) > 0 && size+len(bytes) > maxBytes {
			return false, nil
		}
		entries, size = append(entries, bytes), size+len(bytes)
		at = AppliedCursor{at.Seq + 1, at.Left, at.behind, commit, n}
		return true, nil
	})
	return entries, at, typed(err, "reading what was applied")
}

// takes says whether an item is to be read, the n-th of its commit. In a log with holes, places of the feed may be missing.
func (at *AppliedCursor) takes(gone []rewind, commit uint64, n int, it changelog.Item, holes bool) (bool, error) {
	if it.Kind != changelog.ItemEntry && it.Kind != changelog.ItemConfirm {
		return false, nil
	}
	seq, _ := binary.Uvarint(it.Data)
	left := leaves(gone, commit, seq)
	switch {
	case at.Left:
		return (commit > at.commit || n > at.item) && (left || seq > at.behind), nil
	case left || seq <= at.Seq:
		return false, nil
	case seq != at.Seq+1 && holes:
		at.Seq = seq - 1
	case seq != at.Seq+1:
		return false, errorf(Corrupt, "commit %d holds sequence %d of the feed, and %d expected", commit, seq, at.Seq+1)
	}
	return true, nil
}

// entryBytes is the entry that an item of the log stands for.
func (r *Replica) entryBytes(ctx context.Context, it changelog.Item) ([]byte, error) {
	if it.Kind == changelog.ItemEntry {
		_, w := binary.Uvarint(it.Data)
		return it.Data[w:], nil
	}
	_, e, err := (&fold{ctx: ctx, log: r.log}).confirmOf(it)
	if err != nil {
		return nil, err
	}
	return e.Encode()
}

// Owe notes, of a replica that owes what it has left of the feed, where the feed of the hub ended when it had got that back once more.
func (r *Replica) Owe(ctx context.Context, back change.Place) error {
	return r.submit(ctx, &request{alone: true, strict: true, form: func(s *stage) error {
		data := rewindData(s.state.marker, nil, nil, nil, nil, s.state.rules, &back)
		s.add(changelog.ItemRewind, data)
		return s.goBack(data)
	}})
}

// GoBack leaves all that was applied of the feed behind a place, in one commit: see above. The marker is one of those places that
// Trail names, with the hub's epoch now; back is where the hub's feed ended when it had got back what is left. Until the replica has
// applied that, it owes what it has left.
//
// Errors: UNKNOWN_MARKER where it is another; CORRUPT where the log cannot be read.
func (r *Replica) GoBack(ctx context.Context, m change.Marker, back change.Place) error {
	if r.cfg.Role != RoleDevice {
		return errorf(Invalid, "a hub's replica follows no feed")
	}
	return r.submit(ctx, &request{alone: true, strict: true, form: func(s *stage) error {
		if m.Seq >= s.state.marker.Seq {
			return errorf(UnknownMarker, "sequence %d is not behind the place %d that is applied", m.Seq, s.state.marker.Seq)
		}
		places, begin, err := r.places(ctx)
		if err != nil {
			return err
		}
		if m.Seq < begin {
			return errorf(Corrupt, "the hub has lost what was behind sequence %d, and this replica's log says no more what it held before sequence %d, since a part of it is lost: export what it shows, and begin with an empty replica", m.Seq, begin)
		}
		if here := (change.Place{Seq: m.Seq, Hash: m.Hash}); here != (change.Place{}) && !slices.Contains(places, here) {
			return errorf(UnknownMarker, "this replica never was at sequence %d with hash %s", m.Seq, m.Hash)
		}
		return r.formRewind(ctx, s, m, back)
	}})
}

func (r *Replica) formRewind(ctx context.Context, s *stage, m change.Marker, back change.Place) error {
	b, err := r.stretchBehind(ctx, s, m.Seq)
	if err != nil {
		return err
	}
	touched := b.touched
	g := r.refoldingOf(s.state.commit)
	g.left = b.left
	g.gone = addRewind(g.gone, rewind{s.state.commit + 1, m.Seq})
	g.want = func(row string) bool { return touched[row] }
	rows, then, err := g.run(ctx)
	if err != nil {
		return err
	}
	refused := map[change.Version]bool{}
	for row := range b.kept {
		touched[row] = true
		if rows[row], err = s.get(row); err != nil {
			return err
		}
		noteRefused(refused, row, rows[row])
	}
	for row, versions := range b.former {
		if rows[row], err = withoutPending(rows[row], versions, refused); err != nil {
			return err
		}
	}
	m.Scope = s.state.marker.Scope
	for row := range touched {
		rows[row] = rows[row] // nil for what is no more
	}
	var dealtWith []change.Version
	for _, a := range s.state.aliases {
		rec, err := s.device(a.Old)
		if err != nil {
			return err
		}
		dealtWith = append(dealtWith, change.Version{Device: a.Old, Gen: min(a.Common, max(rec.Last, s.state.settledUpTo(a.Old)))})
	}
	var dropped []change.Version
	for _, versions := range b.former {
		dropped = append(dropped, versions...)
	}
	slices.SortFunc(dropped, change.Version.Compare)
	data := rewindData(m, rows, nil, dealtWith, slices.Compact(dropped), then.rules, &back)
	s.add(changelog.ItemRewind, data)
	s.wrote = true // what was confirmed may have to be pushed
	return s.goBack(data)
}

func rewindData(m change.Marker, rows map[string][]byte, names map[change.Version]change.Version, settled, dropped []change.Version, rules []ruling, back *change.Place) []byte {
	marker := m.Encode()
	data := append(binary.AppendUvarint(nil, uint64(len(marker))), marker...)
	data = binary.AppendUvarint(data, uint64(len(rows)))
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		data = append(binary.AppendUvarint(data, uint64(len(row))), row...)
		data = append(binary.AppendUvarint(data, uint64(len(rows[row]))), rows[row]...)
	}
	data = binary.AppendUvarint(data, uint64(len(names)))
	for _, v := range slices.SortedFunc(maps.Keys(names), change.Version.Compare) {
		data = appendVersion(appendVersion(data, v), names[v])
	}
	for _, list := range [][]change.Version{settled, dropped} {
		data = binary.AppendUvarint(data, uint64(len(list)))
		for _, v := range list {
			data = appendVersion(data, v)
		}
	}
	if len(rules) > 0 || back != nil {
		data = appendRules(data, rules)
	}
	if back != nil {
		data = appendPlace(data, *back)
	}
	return data
}

// revive writes again what this device wrote under ids that it gave up, and which the hub had then and has lost: all of the feed is
// applied, and did not bring it. It is written under the id of today, with its own stamp and over what it was written over, so that
// what came after it wins. The commit goes back to where it stands, without the pending versions of these ids.
func (r *Replica) revive(ctx context.Context) error {
	return r.submit(ctx, &request{alone: true, strict: true, form: func(s *stage) error {
		var again []*change.Batch
		former := map[string][]change.Version{}
		for _, a := range s.state.aliases {
			rec, err := s.device(a.Old)
			if err != nil {
				return err
			}
			for g := max(rec.Last, s.state.settledUpTo(a.Old)) + 1; g <= a.Common; g++ {
				b, err := r.formerBatch(ctx, change.Version{Device: a.Old, Gen: g})
				if err != nil {
					return err
				}
				if b != nil {
					again = append(again, b)
				}
			}
		}
		rows := map[string][]byte{}
		for _, b := range again {
			for i := range b.Mutations {
				row := objectRow(b.Mutations[i].Key)
				former[row] = append(former[row], b.Version())
			}
		}
		for row, versions := range former {
			was, err := s.get(row)
			if err == nil {
				rows[row], err = withoutPending(was, versions, nil)
			}
			if err != nil {
				return err
			}
		}
		names := map[change.Version]change.Version{}
		for i, b := range again {
			names[b.Version()] = change.Version{Device: s.state.device, Gen: s.state.lastGen + 1 + change.Generation(i)}
		}
		var settled []change.Version
		for _, a := range s.state.aliases {
			settled = append(settled, change.Version{Device: a.Old, Gen: a.Common})
		}
		data := rewindData(s.state.marker, rows, names, settled, slices.SortedFunc(maps.Keys(names), change.Version.Compare), s.state.rules, nil)
		s.add(changelog.ItemRewind, data)
		if err := s.goBack(data); err != nil {
			return err
		}
		return s.writeAgain(again, names)
	}})
}

// formerBatch reads a batch of a former id; nil where it cannot be read.
func (r *Replica) formerBatch(ctx context.Context, v change.Version) (*change.Batch, error) {
	bytes, lost, err := r.ownBatch(ctx, v)
	if err != nil || lost {
		return nil, err
	}
	return change.DecodeTrusted(bytes)
}

// writeAgain writes batches of former ids as the next of today's. What was written over a refused one is over what that had replaced: the
// hub may not know it.
func (s *stage) writeAgain(batches []*change.Batch, names map[change.Version]change.Version) (err error) {
	for _, b := range batches {
		now := names[b.Version()]
		renameChanges(b, func(v change.Version) change.Version {
			if now, is := names[v]; is {
				return now
			}
			return v
		})
		b.Device, b.Gen = now.Device, now.Gen
		for i := range b.Mutations {
			m := &b.Mutations[i]
			var standing, parents, others []change.Version
			for _, p := range m.Parents {
				if standing, err = s.appendStanding(standing, p, m.Key); err != nil {
					return err
				}
			}
			for _, p := range standing {
				if now, is := names[p]; is {
					parents = append(parents, now)
				} else {
					others = append(others, p)
				}
			}
			if others, _, err = s.mapped(others, device.Mapping{}, true); err != nil {
				return err
			}
			m.Parents = append(parents, others...)
			slices.SortFunc(m.Parents, change.Version.Compare)
			m.Parents = slices.Compact(m.Parents)
		}
		if err := s.addOwn(b, func() ([]turn, error) { return s.local(b, nil) }); err != nil {
			return err
		}
	}
	return nil
}

// withoutPending takes versions of former ids out of an object's pending ones: nobody pushes them again. They were handed back, and come
// with the feed like anyone's, under whatever name. What was written over them goes on hiding them. Those that were refused do not come: what
// was written over them goes on hiding what they had replaced.
func withoutPending(row []byte, versions []change.Version, refused map[change.Version]bool) ([]byte, error) {
	o := &objects.Object{}
	if err := o.Load(row); err != nil {
		return nil, err
	}
	for _, v := range versions {
		if refused[v] {
			o.DropPending(v)
		} else {
			o.Expect(v)
		}
	}
	if o.IsEmpty() {
		return nil, nil
	}
	return o.Encode(), nil
}

// noteRefused notes what a row of a rewind says: that the hub refused a batch, and that it stays so.
func noteRefused(refused map[change.Version]bool, row string, val []byte) {
	if len(row) > 0 && len(val) > 0 && (row[0] == tableProblems || row[0] == tableSettled) {
		if v, is := versionOfKey(row[1:]); is {
			refused[v] = true
		}
	}
}
