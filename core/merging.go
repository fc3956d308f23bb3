package core

import (
	"bytes"
	"slices"

	"vsync/core/change"
	"vsync/core/dag"
	"vsync/core/merge"
	"vsync/core/objects"
	"vsync/core/order"
)

// Where a collection has field rules, an object's row has a state: the value that its mutations make together.
//
//	feed ─▶ leaves, as always ─▶ Apply ─▶ confirmed state ─┐
//	                                                       ├─▶ Apply, one by one ─▶ shown state ─▶ reads, turns
//	own unsent mutations, from the log, as the row says ───┘
//
// The shown state follows from the confirmed one, the own unsent mutations and the rules in force, and from nothing else: so it may be
// made anew at any time. It is, when a foreign mutation, a refusal or other rules come. When the feed passes the oldest own one, it
// stays, which is what package merge promises.

// graft takes a version from the feed into the object in f.obj. It says whether the shown state is made later.
func (f *fold) graft(v objects.Leaf, parents []change.Version, m *change.Mutation) (putOff bool, err error) {
	o, rules := &f.obj, f.head.rulesOf(m.Key.Collection)
	if !rules.Merges() && o.State == nil && len(o.Own) == 0 {
		o.Graft(v, parents)
		return false, nil
	}
	before := confirmedState(o)
	if o.Graft(v, parents) != dag.Known {
		switch {
		case rules.Merges() && !v.Deleted:
			o.SetState(rowState(rules.Apply(before, merge.Write{Version: v.Version, Changes: m.Changes, Value: m.Value})))
		case rules.Merges() && before.Value != nil:
			o.SetState(rowState(before))
		case !rules.Merges():
			o.State = nil
		}
	}
	own, first := o.Disown(v.Version)
	if own && first && slices.Equal(parents, m.Parents) { // else the hub did not know what a refused one had replaced
		return false, nil
	}
	return f.reshowSoon(m.Key)
}

func confirmedState(o *objects.Object) merge.State {
	s, deleted, ok := o.ConfirmedState()
	return mergeState(s, deleted, ok)
}

func shownState(o *objects.Object) merge.State {
	s, deleted, ok := o.ShownState()
	return mergeState(s, deleted, ok)
}

func mergeState(s objects.State, deleted, ok bool) merge.State {
	if !ok {
		return merge.State{}
	}
	return merge.State{Value: s.Value, Origin: s.Origin, Marks: s.Marks, Deleted: deleted}
}

func rowState(s merge.State) objects.State {
	return objects.State{Value: s.Value, Origin: s.Origin, Marks: s.Marks}
}

// addPending puts a version of this device on top of the object in f.obj.
func (f *fold) addPending(v objects.Leaf, m *change.Mutation) {
	o, rules := &f.obj, f.head.rulesOf(m.Key.Collection)
	if !rules.Merges() || slices.Contains(o.Own, v.Version) || o.IsPending(v.Version) {
		o.AddPending(v, m.Parents)
		return
	}
	s := shownState(o)
	o.AddPending(v, m.Parents)
	o.Own = append(o.Own, v.Version)
	if !v.Deleted {
		s = rules.Apply(s, merge.Write{Version: v.Version, Changes: m.Changes, Value: m.Value})
	}
	setShown(o, s)
}

// keepOwn has the object's shown state made anew behind a re-entry, with a version that was written again. Replay may not have it among
// the own ones: where other rules came before the re-entry, it does not find in the log what has another name by now.
func (f *fold) keepOwn(k change.Key, v change.Version) {
	o := &f.obj
	if f.head.rulesOf(k.Collection).Merges() && !slices.Contains(o.Own, v) {
		at := len(o.Own)
		for at > 0 && o.Own[at-1].Device == v.Device && o.Own[at-1].Gen > v.Gen {
			at--
		}
		o.Own = order.Insert(o.Own, at, v)
	}
	if len(o.Own) > 0 {
		f.later(k)
	}
}

func setShown(o *objects.Object, s merge.State) {
	o.Shown = nil
	if s.Value != nil {
		state := rowState(s)
		o.Shown = &state
	}
}

// reshow makes the shown state of the object in f.obj anew.
func (f *fold) reshow(k change.Key) error {
	o, rules := &f.obj, f.head.rulesOf(k.Collection)
	if o.Shown = nil; !rules.Merges() {
		o.Own = nil
	}
	if len(o.Own) == 0 {
		return nil
	}
	t := tower{fold: rules.Fold(confirmedState(o))}
	for i := range o.Confirmed {
		t.leaves = append(t.leaves, floor{o.Confirmed[i].Version, o.Confirmed[i].Deleted})
	}
	for _, v := range o.Own {
		m, ok, err := f.ownMutation(v, k)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if m.Parents, err = f.standing(m.Parents, k); err != nil {
			return err
		}
		t.add(v, &m)
	}
	setShown(o, t.fold.State())
	return nil
}

// A device that was offline for long has many own mutations, and gets many foreign ones at once. What is shown behind each of these is not
// made anew then, but once, behind the last; the event of that one shows it:
//
//	feed ─▶ foreign ─▶ foreign ─▶ … ─▶ foreign ─▶ end of what came
//	         event, as    event, as       event ◀── showPutOff
//	         it was       it was

// putOff is a turn that shows what was there before.
type putOff struct {
	row  string
	turn int
}

// lastTurn is where the latest of an object stands, in the items of the commit.
type lastTurn struct {
	item  int
	turns []turn
	at    int
}

// reshowSoon makes the shown state of the object in f.obj anew, now or later.
func (f *fold) reshowSoon(k change.Key) (putOff bool, err error) {
	n := len(f.obj.Own)
	if n == 0 || n <= f.folds || !f.head.rulesOf(k.Collection).Merges() {
		f.folds -= n
		return false, f.reshow(k)
	}
	f.later(k)
	return true, nil
}

// noticeIn is notice, but for an object whose shown state is put off: its turn is made in any case.
func (f *fold) noticeIn(turns *[]turn, m *change.Mutation, v change.Version, was look, put bool) {
	if !put {
		f.notice(turns, m, v, was)
		return
	}
	f.putOff = append(f.putOff, putOff{objectRow(m.Key), len(*turns)})
	view := f.obj.Visible()
	*turns = append(*turns, f.turn(m, &view))
}

// keepLast notes where the turns are, which are about to be added, of what is put off.
func (s *stage) keepLast(turns []turn) {
	for _, p := range s.putOff {
		if s.last == nil {
			s.last = map[string]lastTurn{}
		}
		s.last[p.row] = lastTurn{len(s.items), turns, p.turn}
	}
	s.putOff = nil
}

// showPutOff makes what was put off, and has the last turn of each object show it.
func (s *stage) showPutOff() error {
	last, told := s.last, s.reshown
	s.last = nil
	if err := s.showAnew(); err != nil {
		return err
	}
	s.reshown = told
	for row, l := range last {
		b, err := s.get(row)
		if err == nil {
			err = s.obj.Load(b)
		}
		if err != nil {
			return err
		}
		view := s.obj.Visible()
		l.turns[l.at] = s.turn(&change.Mutation{Index: l.turns[l.at].index}, &view)
		l.turns[l.at].value = bytes.Clone(l.turns[l.at].value)
	}
	for _, l := range last { // behind all, as two may share an item
		data := encodeTurns(l.turns)
		s.bytes += len(data) - len(s.items[l.item].Data)
		s.items[l.item].Data = data
	}
	return nil
}

// A tower is the confirmed layer with own mutations upon it, one by one.
type tower struct {
	leaves []floor
	fold   *merge.Fold
}

type floor struct {
	version change.Version
	deleted bool
}

func (t *tower) add(v change.Version, m *change.Mutation) {
	kept := t.leaves[:0]
	for _, l := range t.leaves {
		if !slices.Contains(m.Parents, l.version) {
			kept = append(kept, l)
		}
	}
	t.leaves = append(kept, floor{v, m.Kind == change.Delete})
	if m.Kind == change.Put {
		t.fold.Apply(merge.Write{Version: v, Changes: m.Changes, Value: m.Value})
	} else {
		t.fold.Delete(!slices.ContainsFunc(t.leaves, func(l floor) bool { return !l.deleted }))
	}
}

// standing replaces, among parents, those of this device that were refused by what they had replaced.
func (f *fold) standing(parents []change.Version, k change.Key) (out []change.Version, err error) {
	for _, p := range parents {
		if p.Device != f.head.device && !f.isAlias(p) {
			out = append(out, p)
		} else if out, err = f.appendStanding(out, p, k); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ownMutation is what an unsent batch does to an object. Of a batch that cannot be read, what the row has of it counts as a whole; false
// where it has nothing.
func (f *fold) ownMutation(v change.Version, k change.Key) (m change.Mutation, ok bool, err error) {
	b, err := f.ownBatch(v)
	if err != nil {
		return m, false, err
	}
	if b != nil {
		i := slices.IndexFunc(b.Mutations, func(m change.Mutation) bool { return m.Key == k })
		if i < 0 {
			return m, false, nil
		}
		return b.Mutations[i], true, nil
	}
	for i := range f.obj.Pending {
		if p := &f.obj.Pending[i]; p.Version == v {
			m = change.Mutation{Key: k, Value: p.Value, Parents: p.Replaces()}
			if p.Deleted {
				m.Kind = change.Delete
			}
			return m, true, nil
		}
	}
	return m, false, nil
}

// ownBatch reads an unsent batch: of this commit, or from the log; nil where it cannot be read.
func (f *fold) ownBatch(v change.Version) (*change.Batch, error) {
	for i := len(f.fresh) - 1; i >= 0; i-- { // the last: one before it may have been taken back
		if b := f.fresh[i]; b.Version() == v {
			return b, nil
		}
	}
	if b := f.known[v]; b != nil {
		return b, nil
	}
	bytes, rec, ok, err := f.log.FindAt(f.ctx, v, f.head.commit+1)
	if err != nil || !ok {
		return nil, unlessDamaged(err)
	}
	if !writtenHere(&rec, bytes) { // at replay, where a copy of this device goes on with an id that this one gives up later
		return nil, nil
	}
	b, err := change.DecodeTrusted(bytes)
	if err != nil {
		return nil, err
	}
	if f.known == nil || len(f.known) >= maxKnown {
		f.known = map[change.Version]*change.Batch{}
	}
	f.known[v] = b
	return b, nil
}

// brings keeps a batch that the log does not have yet, till the commit ends.
func (f *fold) brings(b *change.Batch) { f.fresh = append(f.fresh, b) }

// later has the shown state of an object made anew at the end of a step that changes many.
func (f *fold) later(k change.Key) {
	if f.due == nil {
		f.due = map[string]change.Key{}
	}
	f.due[objectRow(k)] = k
}

// showAnew makes what is due.
func (f *fold) showAnew() error {
	due := f.due
	f.due = nil
	for _, row := range order.Keys(due) {
		if err := f.showRow(row, due[row], func() {}); err != nil {
			return err
		}
	}
	return nil
}

// showRow makes the shown state of one row anew, after change has looked at the object.
func (f *fold) showRow(row string, k change.Key, prepare func()) error {
	if stale, err := f.rows.stale(row); err != nil || stale {
		return err
	}
	was, err := f.rows.get(row)
	if err != nil || was == nil {
		return err
	}
	if err := f.obj.Load(was); err != nil {
		return wrapf(Corrupt, err, "the object %s cannot be read", k)
	}
	before := f.obj.Visible()
	prepare()
	if err := f.reshow(k); err != nil {
		return err
	}
	now := f.obj.Encode()
	if bytes.Equal(was, now) {
		return nil
	}
	if v := f.obj.Visible(); !bytes.Equal(v.Value, before.Value) {
		f.reshown = true
	}
	f.rows.set(row, now)
	return nil
}

// rerule takes up that collections have other rules: the own unsent mutations of their objects are folded by these from now on.
//
// At replay the row of this device may be newer, and hide own mutations as confirmed already. Of an object that has others, the shown state
// is made anew when the feed passes these; where it has none, nothing is left to show then.
func (f *fold) rerule(collections []string) error {
	if len(collections) == 0 || f.head.lastGen == 0 && len(f.head.aliases) == 0 {
		return nil
	}
	own, err := f.unsentOf(collections)
	if err != nil {
		return err
	}
	rows := order.Keys(own)
	for _, row := range rows {
		o := own[row]
		if err := f.showRow(row, o.key, func() { f.obj.Own = o.versions }); err != nil {
			return err
		}
	}
	return nil
}

type ownOf struct {
	key      change.Key
	versions []change.Version
}

// unsentOf are the own unsent versions of the objects of some collections, in the order of writing, by row. One that was refused and dismissed,
// and waits behind a rewind to be refused again, is none.
func (f *fold) unsentOf(collections []string) (map[string]*ownOf, error) {
	own := map[string]*ownOf{}
	each := func(d change.DeviceID, from, upTo change.Generation) error {
		for g := from; g <= upTo; g++ {
			v := change.Version{Device: d, Gen: g}
			b, err := f.ownBatch(v)
			if err != nil {
				return err
			}
			settled, err := f.rows.get(versionRow(tableSettled, v))
			if err != nil {
				return err
			}
			if b == nil || settled != nil || f.without[v] {
				continue
			}
			for i := range b.Mutations {
				k := b.Mutations[i].Key
				if !slices.Contains(collections, k.Collection) {
					continue
				}
				row := objectRow(k)
				if own[row] == nil {
					own[row] = &ownOf{key: k}
				}
				own[row].versions = append(own[row].versions, b.Version())
			}
		}
		return nil
	}
	for _, a := range f.head.aliases {
		rec, err := f.device(a.Old)
		if err != nil {
			return nil, err
		}
		if err := each(a.Old, max(rec.Last, f.head.settledUpTo(a.Old))+1, a.Common); err != nil {
			return nil, err
		}
	}
	rec, err := f.device(f.head.device)
	if err != nil {
		return nil, err
	}
	return own, each(f.head.device, rec.Last+1, f.head.lastGen)
}
