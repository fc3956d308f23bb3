package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
	"vsync/core/objects"
	"vsync/core/pages"
)

// The tables, by their byte in the key of a page.
const (
	tableObjects  = 'o' // encoded change.Key → objects.Object
	tableDevices  = 'd' // device 16 → deviceRecord
	tableVoids    = 'v' // RoleHub: device 16 ‖ gen BE64 → what a voided batch had as parents
	tableAgain    = 'k' // RoleHub: device 16 ‖ gen BE64 → what is known of a name that may come again: see rejoin.go
	tableProblems = 'p' // device 16 ‖ gen BE64 → problemRecord
	tableSettled  = 's' // device 16 ‖ gen BE64 → problemRecord of one that is not listed any more
)

// rows is what a commit changes: the tables as they are, with what the commit has changed so far. A commit that is being formed
// and the replay of one that was stored go through the same steps, which are the functions of fold.
//
// A row is named by its table's byte and its key in one string: it is looked up in several places.
type rows interface {
	get(row string) ([]byte, error) // nil: none
	set(row string, val []byte)     // nil removes
	// stale says that a row is past this commit already: at replay, because its page was written later.
	stale(row string) (bool, error)
}

// fold is one commit's way into the tables and the head.
type fold struct {
	ctx    context.Context
	rows   rows
	log    *changelog.Log
	head   *head
	origin bool     // a base in the log is where the head comes from: only in a refolding
	gone   []rewind // what of the feed is left at a later commit is passed by: only in a refolding

	without map[change.Version]bool                            // own batches that are passed by: only in a refolding
	passed  map[change.Version]map[change.Key][]change.Version // what these are over

	obj  objects.Object // scratch
	room room           // of rows

	dropped []change.Version // parents that the re-entry of this commit has left out
	entire  bool             // what is taken up stands in the log with its bytes, so that watchers see it as it was written
	cutOff  bool             // this commit has gone back: of what its batches are over, the feed may bring some again

	fresh   []*change.Batch                  // own batches of this commit, which the log does not have yet
	known   map[change.Version]*change.Batch // own batches of before, that were read again
	due     map[string]change.Key            // objects whose shown state is to be made anew
	reshown bool                             // something is shown otherwise of what the commit does not name
	folds   int                              // own mutations that may still be folded again at once
	putOff  []putOff                         // of the entry that is taken up

	unheld  *[]rewind // at replay: confirmations of batches that are not in the log any more, by commit and sequence
	passing bool      // by these, of which nobody wants to know

	lastDevice change.DeviceID // whose row was asked for last, and its name: most batches come in runs
	lastRow    string
	decoded    device.Record // what decodedOf says: a device's batches come in runs
	decodedOf  []byte
}

// turn is what became visible of an object by a commit, where it is not simply what the batch wrote.
type turn struct {
	index    int // of the mutation in its batch
	winner   change.Version
	exists   bool // the winner is no deletion
	conflict bool
	value    []byte // what is shown, where it is not what the winner wrote
}

// local takes in a batch of this device; known are the rows of its objects, if they have been looked up already.
func (f *fold) local(b *change.Batch, known []had) (turns []turn, err error) {
	f.brings(b)
	if f.passesBy(b) {
		f.head.lastGen, f.head.lastHash = b.Gen, b.Hash
		f.head.wrote(b.Nonce, b.Version())
		return nil, nil
	}
	if f.cutOff {
		defer func(was func(change.Version) bool) { f.obj.Coming = was }(f.obj.Coming)
		f.obj.Coming = f.comes
	}
	err = f.each(b, known, func(m *change.Mutation) (bool, error) {
		f.addPending(objects.Leaf{Version: b.Version(), Stamp: b.Stamp, Deleted: m.Kind == change.Delete, Value: m.Value}, m)
		if view := f.obj.Visible(); view.Version != b.Version() || view.Conflict || view.Merged() {
			turns = append(turns, f.turn(m, &view))
		}
		return true, nil
	})
	if err == nil {
		f.head.lastGen, f.head.lastHash = b.Gen, b.Hash
		f.head.wrote(b.Nonce, b.Version())
	}
	return turns, err
}

// comes says that the feed has not brought a version of another device yet, or not again.
func (f *fold) comes(v change.Version) bool {
	rec, err := f.device(v.Device)
	return err == nil && v.Device != f.head.device && v.Gen > rec.Last
}

// renamed takes in a batch that this device wrote under an id that it gave up, under its new name. That may change what is visible:
// the device decides between versions of the same stamp.
func (f *fold) renamed(b *change.Batch, a device.Mapping) (turns []turn, err error) {
	f.brings(b)
	if f.passesBy(b) {
		f.head.lastGen, f.head.lastHash = b.Gen, b.Hash
		return nil, nil
	}
	err = f.each(b, nil, func(m *change.Mutation) (bool, error) {
		was := f.obj.Visible().Version
		f.obj.RenamePending(a.Old, a.Common, b.Version())
		f.keepOwn(m.Key, b.Version())
		dropped, err := f.droppedOf(m.Key)
		if err != nil {
			return false, err
		}
		f.obj.Unhide(dropped)
		if view := f.obj.Visible(); view.Version != was && view.Version != a.Map(was) {
			turns = append(turns, f.turn(m, &view))
		}
		return true, nil
	})
	if err == nil {
		f.head.lastGen, f.head.lastHash = b.Gen, b.Hash
	}
	return turns, err
}

// droppedOf are parents that the re-entry of this commit has left out, but for those that were of other objects than the one at hand: what
// its own versions hide may stand for a row of generations, of which not all are its.
func (f *fold) droppedOf(k change.Key) (out []change.Version, err error) {
	for _, v := range f.dropped {
		if of, err := f.mayBeOf(v, k); err != nil {
			return nil, err
		} else if of {
			out = append(out, v)
		}
	}
	return out, nil
}

// mayBeOf is false where the object at hand seems to hide a version of this device, and that wrote to others alone.
func (f *fold) mayBeOf(v change.Version, k change.Key) (bool, error) {
	if !f.isAlias(v) || !f.obj.IsPending(v) {
		return true, nil
	}
	batch, _, ok, err := f.log.FindAt(f.ctx, v, f.head.commit+1)
	if err != nil || !ok {
		return true, unlessDamaged(err)
	}
	of := false
	_, err = change.Walk(batch, func(m change.Mutation) bool {
		of = of || m.Key == k
		return !of
	})
	return of, err
}

// entry takes in one entry of the feed: everything but the place of the feed, which advance keeps. The batch is that of the entry,
// if it was read already.
func (f *fold) entry(e *change.Entry, b *change.Batch) (turns []turn, err error) {
	if e.Kind == change.EntryLost {
		return nil, f.lost(e)
	}
	if err := f.raise(e); err != nil {
		return nil, err
	}
	if e.Kind == change.EntryVoid {
		return f.void(e)
	}
	if b == nil {
		if b, err = change.DecodeTrusted(e.Body); err != nil {
			return nil, err
		}
	}
	stamp := e.Annotation.EffectiveStamp(&b.Header)
	err = f.each(b, nil, func(m *change.Mutation) (bool, error) {
		v := objects.Leaf{Version: e.Version, Stamp: stamp, Accepted: e.Annotation.Accepted, Deleted: m.Kind == change.Delete, Value: m.Value}
		was := f.look(v.Version)
		put, err := f.graft(v, e.Annotation.EffectiveParents(m), m)
		f.noticeIn(&turns, m, v.Version, was, put)
		return true, err
	})
	if err == nil {
		err = f.enact(b, stamp)
	}
	return turns, err
}

// raise notes in the table of devices that a batch of a device has passed.
func (f *fold) raise(e *change.Entry) error {
	name := f.rowOf(e.Version.Device)
	if stale, err := f.rows.stale(name); err != nil || stale {
		return err
	}
	rec, err := f.device(e.Version.Device)
	if err != nil {
		return err
	}
	rec.Last, rec.Hash = e.Version.Gen, e.Hash
	rec.Touch(e.Annotation.Accepted)
	row, err := rec.Append(f.room.take(40 + len(rec.Subject)))
	if err == nil {
		f.rows.set(name, row)
		f.decoded, f.decodedOf = rec, row
	}
	return err
}

// void takes a refused batch away, if it was this device's: its values are kept as a problem.
func (f *fold) void(e *change.Entry) (turns []turn, err error) {
	batch, _, ok, err := f.log.FindAt(f.ctx, e.Version, f.head.commit+1)
	if err = unlessDamaged(err); err == nil && !ok && e.Annotation.Reason.Code != keptCode {
		err = f.list(e) // of a batch that cannot be read nothing is taken away here: see voidedLost
	}
	if err != nil || !ok {
		return nil, err
	}
	b, err := change.DecodeTrusted(batch)
	if err != nil || b.Hash != e.Hash {
		return nil, err
	}
	if e.Annotation.Reason.Code == keptCode {
		f.reshown = true
		return nil, f.expect(e.Version)
	}
	if err := f.list(e); err != nil { // first: what is made anew below looks for what was refused
		return nil, err
	}
	err = f.each(b, nil, func(m *change.Mutation) (bool, error) {
		was, own := f.look(e.Version), len(f.obj.Own) > 0
		if !f.obj.DropPending(e.Version) && !own {
			return false, nil
		}
		put, err := f.reshowSoon(m.Key)
		f.noticeIn(&turns, m, e.Version, was, put)
		return true, err
	})
	return turns, err
}

// lost takes up that the hub has lost what a device wrote up to a generation. What of it is seen still comes behind it, under another name:
// so of this device's own nothing is pending any more.
func (f *fold) lost(e *change.Entry) error {
	v := e.Version
	rec, err := f.device(v.Device)
	if err != nil {
		return err
	}
	stale, err := f.rows.stale(f.rowOf(v.Device))
	if err == nil && !stale && v.Gen > rec.Last {
		err = f.raise(e)
	}
	if err != nil || v.Device != f.head.device && !slices.ContainsFunc(f.head.aliases, func(a alias) bool { return a.Old == v.Device }) {
		return err
	}
	for v.Gen = 1; v.Gen <= e.Version.Gen && err == nil; v.Gen++ { // what of before is confirmed is not pending
		err = f.expect(v)
	}
	f.reshown = true
	return err
}

// expect says of an own batch that it is not pushed again.
func (f *fold) expect(v change.Version) error {
	batch, _, ok, err := f.log.FindAt(f.ctx, v, f.head.commit+1)
	if err != nil || !ok || v.Device != f.head.device && !f.isAlias(v) {
		return unlessDamaged(err)
	}
	b, err := change.DecodeTrusted(batch)
	if err != nil {
		return err
	}
	return f.each(b, nil, func(m *change.Mutation) (bool, error) {
		if !f.obj.IsPending(v) {
			return false, nil
		}
		f.obj.Expect(v)
		f.later(m.Key)
		return true, nil
	})
}

// list keeps a refusal of this device's batch as a problem.
func (f *fold) list(e *change.Entry) error {
	name := versionRow(tableProblems, e.Version)
	stale, err := f.rows.stale(name)
	settled := false
	if err == nil && !stale {
		settled, err = f.isSettled(e.Version)
	}
	if err == nil && !stale && !settled && (e.Version.Device == f.head.device || f.isAlias(e.Version)) {
		f.rows.set(name, problemRecord{Accepted: e.Annotation.Accepted, Reason: *e.Annotation.Reason}.encode())
	}
	return err
}

func (f *fold) isAlias(v change.Version) bool {
	for _, a := range f.head.aliases {
		if a.Old == v.Device && v.Gen <= a.Common {
			return true
		}
	}
	return false
}

// each visits the mutations of a batch whose objects are not past this commit. The object stands in f.obj, where step changes
// it, and says whether it did.
func (f *fold) each(b *change.Batch, known []had, step func(m *change.Mutation) (bool, error)) error {
	var names strings.Builder
	if known == nil {
		names.Grow(namesOf(b))
	}
	if len(b.Mutations) > 1 {
		f.room.expect(rowBytes(b))
	}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		var name string
		var row []byte
		if known != nil {
			name, row = known[i].row, known[i].val
		} else {
			name = appendName(&names, m.Key)
			stale, err := f.rows.stale(name)
			if err != nil {
				return err
			}
			if stale {
				continue
			}
			if row, err = f.rows.get(name); err != nil {
				return err
			}
		}
		if err := f.obj.Load(row); err != nil {
			return wrapf(Corrupt, err, "the object %s cannot be read", m.Key)
		}
		if changed, err := step(m); err != nil {
			return err
		} else if !changed {
			continue
		}
		row = nil
		if !f.obj.IsEmpty() {
			row = f.obj.Append(f.room.take(f.obj.Size()))
		}
		f.rows.set(name, row)
	}
	return nil
}

// namesOf is what the rows of a batch's objects have in their names.
func namesOf(b *change.Batch) (n int) {
	for i := range b.Mutations {
		k := &b.Mutations[i].Key
		n += 2 + len(k.Collection) + len(k.ID)
	}
	return n
}

// appendName is objectRow at the end of others, which has room for it.
func appendName(names *strings.Builder, k change.Key) string {
	from := names.Len()
	names.WriteByte(tableObjects)
	names.WriteString(k.Collection)
	names.WriteByte(0)
	names.WriteString(k.ID)
	return names.String()[from:]
}

// had is a row as it was looked up.
type had struct {
	row string
	val []byte
}

func objectRow(k change.Key) string { return string(rune(tableObjects)) + k.Collection + "\x00" + k.ID }

// rowOf names the row of a device.
func (f *fold) rowOf(d change.DeviceID) string {
	if f.lastDevice != d || f.lastRow == "" {
		f.lastDevice, f.lastRow = d, deviceRow(d)
	}
	return f.lastRow
}

func deviceRow(d change.DeviceID) string {
	b := [1 + len(d)]byte{tableDevices}
	copy(b[1:], d[:])
	return string(b[:])
}

func versionRow(table byte, v change.Version) string { return pages.RowKey(table, versionKey(v)) }

// look is what is seen of an object before a step.
type look struct {
	version  change.Version
	conflict bool
	value    []byte
	shown    bool // the version of the step is known already: watchers have seen it as it was written
}

func (f *fold) look(v change.Version) look {
	if f.obj.IsEmpty() {
		return look{}
	}
	view := f.obj.Visible()
	own := !f.entire && (v.Device == f.head.device || f.isAlias(v)) // a pending version hides foreign ones too, that come again
	return look{view.Version, view.Conflict, view.Value, own && f.obj.IsPending(v)}
}

// notice adds a turn where what is seen of an object after a step is not what its watchers expect: that a foreign version
// shows what it wrote, and that nothing changes when one is confirmed that was written here.
func (f *fold) notice(turns *[]turn, m *change.Mutation, v change.Version, was look) {
	if !was.shown && f.obj.Is(v) {
		return
	}
	view := f.obj.Visible()
	same := view.Version == was.version && view.Conflict == was.conflict && bytes.Equal(view.Value, was.value)
	if was.shown && same || !was.shown && view.Version == v && !view.Conflict && !view.Merged() {
		return
	}
	*turns = append(*turns, f.turn(m, &view))
}

// turn is what is seen of an object by now. The value stands in it where the log would not find it by the winner's name: field rules made
// it, or the name is one of a former id, which the feed may give to another batch.
func (f *fold) turn(m *change.Mutation, v *objects.View) turn {
	t := turn{index: m.Index, winner: v.Version, exists: v.Exists(), conflict: v.Conflict}
	former := v.Version.Device != f.head.device && f.isAlias(v.Version) && f.obj.IsPending(v.Version)
	if v.Merged() || former && t.exists {
		t.value = v.Value
	}
	return t
}

// Turns in the log: n uv × (index uv ‖ flags 1: 1 exists, 2 conflict, 4 a value follows ‖ device 16 ‖ gen uv ‖ value uv bytes). Without a
// winner the device is zero.
func encodeTurns(turns []turn) []byte {
	b := change.AppendUvarint(nil, uint64(len(turns)))
	for _, t := range turns {
		b = change.AppendUvarint(b, uint64(t.index))
		var flags byte
		if t.exists {
			flags |= 1
		}
		if t.conflict {
			flags |= 2
		}
		if t.value != nil {
			flags |= 4
		}
		b = append(append(b, flags), t.winner.Device[:]...)
		b = change.AppendUvarint(b, uint64(t.winner.Gen))
		if t.value != nil {
			b = append(change.AppendUvarint(b, uint64(len(t.value))), t.value...)
		}
	}
	return b
}

func decodeTurns(b []byte) (map[int]turn, error) {
	r := &cutter{b: b}
	out := map[int]turn{}
	for range r.count(19) {
		t := turn{index: int(r.uvarint())}
		flags := r.byte()
		t.exists, t.conflict = flags&1 != 0, flags&2 != 0
		copy(t.winner.Device[:], r.take(16))
		t.winner.Gen = change.Generation(r.uvarint())
		if flags&4 != 0 {
			t.value = r.bytes()
		}
		out[t.index] = t
	}
	return out, r.err
}

func versionKey(v change.Version) string {
	return string(binary.BigEndian.AppendUint64(bytes.Clone(v.Device[:]), uint64(v.Gen)))
}

func versionOfKey(key string) (v change.Version, ok bool) {
	if len(key) != 24 {
		return v, false
	}
	copy(v.Device[:], key)
	v.Gen = change.Generation(binary.BigEndian.Uint64([]byte(key[16:])))
	return v, true
}
