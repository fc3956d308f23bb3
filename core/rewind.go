package core

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/objects"
	"vsync/core/order"
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
// confirmed there wait to be confirmed again; if the hub lost them, they are pushed again. One that was refused there waits to be refused
// again, and is not shown meanwhile if that was dismissed.
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

// rewindRow takes up a row of a rewind. Where one to an earlier place follows, or it shows what is to be left out, the row says more than is
// left of the feed, but for what the feed does not say.
func (f *fold) rewindRow(row string, val []byte, dominated bool, dropped []change.Version, refused map[change.Version]bool) error {
	if row == "" {
		return errorf(Corrupt, "a rewind in the log names no row")
	}
	if stale, err := f.rows.stale(row); err != nil || stale {
		return err
	}
	shows, err := f.showsLeftOut(row, val)
	if err != nil {
		return err
	}
	if (dominated || shows) && row[0] == tableObjects {
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

// showsLeftOut says that a row of an earlier rewind has an own batch that is to be left out, whose refusal was dismissed after that rewind.
// Then it counts as little as one that is dominated: what that rewind has left is passed by here.
func (f *fold) showsLeftOut(row string, val []byte) (bool, error) {
	if len(f.without) == 0 || len(val) == 0 || row[0] != tableObjects {
		return false, nil
	}
	if err := f.obj.Load(val); err != nil {
		return false, wrapf(Corrupt, err, "an object in a rewind of the log cannot be read")
	}
	for v := range f.without {
		if f.obj.IsPending(v) || slices.Contains(f.obj.Own, v) {
			return true, nil
		}
	}
	return false, nil
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

//go:noinline
func appendPlace(b []byte, p change.Place) []byte {
	return append(change.AppendUvarint(b, p.Seq), p.Hash[:]...)
}

// owing says that the hub may lose once more what it got back of this replica, which has left it.
func (h *head) owing() bool { return h.marker.Seq < h.back.Seq }

//go:noinline
func appendVersion(b []byte, v change.Version) []byte {
	return change.AppendUvarint(append(b, v.Device[:]...), uint64(v.Gen))
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
	f.cutOff = true
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
	g.left, g.without = b.left, b.gone
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
	order.By(dropped, change.Version.Compare)
	data := rewindData(m, rows, nil, dealtWith, slices.Compact(dropped), then.rules, &back)
	s.add(changelog.ItemRewind, data)
	s.wrote = true // what was confirmed may have to be pushed
	return s.goBack(data)
}

func rewindData(m change.Marker, rows map[string][]byte, names map[change.Version]change.Version, settled, dropped []change.Version, rules []ruling, back *change.Place) []byte {
	marker := m.Encode()
	data := append(change.AppendUvarint(nil, uint64(len(marker))), marker...)
	data = change.AppendUvarint(data, uint64(len(rows)))
	for _, row := range order.Keys(rows) {
		data = append(change.AppendUvarint(data, uint64(len(row))), row...)
		data = append(change.AppendUvarint(data, uint64(len(rows[row]))), rows[row]...)
	}
	data = change.AppendUvarint(data, uint64(len(names)))
	for _, v := range order.KeysBy(names, change.Version.Compare) {
		data = appendVersion(appendVersion(data, v), names[v])
	}
	for _, list := range [][]change.Version{settled, dropped} {
		data = change.AppendUvarint(data, uint64(len(list)))
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
