package sim

import (
	"context"
	"slices"

	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/watcher"
	"vsync/core/wire"
)

// A hub loses data when an older copy of its store is put back, or its store is emptied. Its feed goes another way then. Devices
// stand in the feed that it had before, until they find out:
//
//	feed   1 … 7 │ 8 … 12           left; a device at 11
//	             │
//	             └─ 8' … 10' │ 11'  a copy at 7 was put back; 9' is 8, handed back
//	                         │
//	                         └─ 11"   a copy at 10' was put back
//
// So there is a model of the feed that the hub has, and one of each that it had. What was in any of them has to be in the last one in the
// end, but for what nobody had any more at some moment, because the hub and devices lost it.

// lossWeight is how often the hub loses data, in histories in which it does.
const lossWeight = 4

// hubCopy is a copy of the hub's store, with what it has in its feed.
type hubCopy struct {
	mem   *store.Memory
	items []item
}

func (h *hub) copy() *hubCopy {
	return &hubCopy{mem: h.mem.Clone(), items: slices.Clip(h.s.model.items)}
}

// loseAtHub takes a copy of the hub's store, or puts one back: at once, or when some more of the feed is there.
func (s *Sim) loseAtHub() {
	h := s.hub
	if h.r == nil || h.lost() {
		return
	}
	switch kind := s.rnd.IntN(10); {
	case kind < 3 || kind < 6 && h.backup == nil:
		h.backup = h.copy()
		s.did("hub backup")
		s.logf("hub is copied at %d", s.model.head())
	case kind < 6:
		h.lose("hub restored", h.backup)
	case kind < 9:
		h.undo = h.copy()
		h.undoAt = s.model.head() + 1 + uint64(s.rnd.IntN(6))
		s.logf("hub will go back from %d to %d", h.undoAt, s.model.head())
	default:
		h.lose("hub emptied", &hubCopy{mem: store.NewMemory()})
	}
}

// lose ends the hub's process, and starts the next one with a copy.
func (h *hub) lose(how string, to *hubCopy) {
	s := h.s
	s.did(how)
	s.logf("%s, to %d", how, len(to.items))
	kept := s.kept()
	h.down(0)
	h.mem, h.held, h.late, h.undo = to.mem.Clone(), nil, nil, nil
	s.left = append(s.left, s.model)
	for _, w := range s.writes {
		w.seq = 0
	}
	s.model = s.model.branch(to.items)
	h.up()
	s.missing(kept)
}

// saidBefore reports whether the hub has taken this at the same time before, in a feed that it lost. It may have another name and other
// effective parents now: of what came back while its name was another batch's.
func (s *Sim) saidBefore(it *item) bool {
	for _, m := range s.left {
		if slices.ContainsFunc(m.items, func(was item) bool { return was.id() == it.id() && was.accepted == it.accepted }) {
			return true
		}
	}
	return false
}

// feedOf returns the model of the feed that has a place: of the one that the hub has, if it has it, else of the latest one that
// had it; nil if none had.
func (s *Sim) feedOf(at change.Marker) *model {
	if s.model.has(at) {
		return s.model
	}
	for _, m := range slices.Backward(s.left) {
		if m.has(at) {
			return m
		}
	}
	return nil
}

func (m *model) has(at change.Marker) bool {
	return at.Seq <= m.head() && at.Hash == m.hashAt(at.Seq)
}

// stand notes where a device stands.
func (d *device) stand() {
	if d.r == nil || d.lost() {
		return
	}
	st := d.r.State()
	m := d.s.feedOf(st.Marker)
	switch {
	case m == nil: // compare says so
		return
	case st.Commit < d.commit:
		d.owed(st.Commit)
	case !st.Owing && slices.ContainsFunc(d.owes, func(o stood) bool { return o.to == 0 }):
		defer d.s.letGo(d.s.kept())
		for i := range d.owes {
			if o := &d.owes[i]; o.to == 0 {
				o.to = st.Commit
			}
		}
	case st.Owing && st.Marker.Seq < d.at:
		d.owes = append(d.owes, stood{feed: d.feed, at: d.at, from: st.Commit})
		d.s.count("owing")
	}
	d.feed, d.at, d.commit = m, st.Marker.Seq, st.Commit
}

// owed takes what the device owes back to what it owed at an earlier commit: it lost those behind.
func (d *device) owed(commit uint64) {
	d.owes = slices.DeleteFunc(d.owes, func(o stood) bool { return o.from > commit })
	for i := range d.owes {
		if o := &d.owes[i]; o.to > commit {
			o.to = 0
		}
	}
}

// kept is all that is in the feed, or in the store of a device, as far as it once was in the feed.
func (s *Sim) kept() map[string]bool {
	if len(s.left) == 0 && s.plan.loss == 0 {
		return nil
	}
	all := map[string]bool{}
	s.model.list(all, s.model.head())
	for _, d := range s.devices {
		if d.feed != nil {
			d.feed.list(all, d.at)
		}
		for _, o := range d.owes {
			if o.to == 0 {
				o.feed.list(all, o.at)
			}
		}
		for n := range d.holds {
			if s.writes[n].came {
				all[n] = true
			}
			if s.writes[n].voided {
				all[voidOf(n)] = true
			}
		}
	}
	return all
}

// letGo notes of what was kept, and is not any more because a device owes nothing now, what could not come back when it handed that back. It
// may be that it could later, when the hub has lost what was in its place, too.
func (s *Sim) letGo(kept map[string]bool) {
	now := s.kept()
	for id := range kept {
		if !now[id] && s.displaced(id) {
			s.gone[id] = true
		}
	}
}

// pushed notes what a device brings: of what is refused, the feed says no more than its hash.
func (s *Sim) pushed(frame []byte) {
	if s.plan.loss == 0 && s.plan.power == 0 && !s.plan.hurtLog {
		return
	}
	m, err := wire.DecodeUp(append([]byte(nil), frame...))
	push, is := m.(*wire.Push)
	if err != nil || !is || push.Part.Index > 0 {
		return
	}
	for _, b := range push.Batches {
		if h, _, err := change.DecodeHeader(b); err == nil {
			s.sent[h.Hash] = noteIn(b, &h)
		}
	}
}

func (m *model) list(into map[string]bool, upTo uint64) {
	for i := range m.items[:upTo] {
		into[m.items[i].id()] = true
	}
}

// missing notes what was kept, and is not any more, because stores lost it.
func (s *Sim) missing(kept map[string]bool) {
	now := s.kept()
	for id := range kept {
		if !now[id] {
			s.gone[id] = true
		}
	}
}

// checkBack holds what was in feeds that the hub lost against the one that it has. What was refused may have been pushed again since, under
// another name, and refused or taken then.
func (s *Sim) checkBack() {
	have := map[string]bool{}
	s.model.list(have, s.model.head())
	for _, d := range s.devices {
		if d.orphans() {
			for n := range d.holds {
				have[n], have[voidOf(n)] = true, true // it stands there, as its applications can see
			}
		}
	}
	for _, m := range s.left {
		for i := range m.items {
			it := &m.items[i]
			if id := it.id(); !have[id] && !have[it.note] && !s.gone[id] && !s.displaced(id) {
				s.fail("promise 5: %s, as %s, was in the feed at %d; the hub lost it, there always was a device that had it, and it is not in the feed", id, it.name, i+1)
			}
		}
	}
}

// orphans says that the device has a batch under an id that it gave up, which the hub had then and lost since: nobody pushes it, and it
// cannot be handed back where the feed did not bring it, or where another batch has its name.
func (d *device) orphans() bool {
	if !d.s.forked() {
		return false
	}
	st := d.r.State()
	if st.Pending > int(st.LastGen-st.ConfirmedGen) {
		d.s.count("orphans")
		return true
	}
	for n := range d.holds {
		if d.s.displaced(n) || d.s.displaced(voidOf(n)) && d.takesForAnothers(n) {
			return true
		}
	}
	return false
}

// takesForAnothers says that the device takes a batch for one that the feed has, which is another of that name: what it was to be told is
// that it is refused.
func (d *device) takesForAnothers(n string) bool {
	if slices.ContainsFunc(d.s.model.items, func(it item) bool { return it.batch != nil && it.note == n }) {
		return false
	}
	return d.r.WaitSynced(&parking{Context: context.Background(), park: func() bool { return false }}, d.s.writes[n].version) == nil
}

// forked says that one name may mean two batches: several stores had an id, or one forgot what it wrote, and the hub forgot it too.
// Where a batch came back under another id, and somebody has it under the first one, nobody can tell that it is the same.
func (s *Sim) forked() bool {
	return len(s.left) > 0 && s.stats["clone"]+s.stats["restore"]+s.stats["lost write"]+s.stats["rogue"] > 0
}

// renamed says that an entry came back under another name. The history of what its writer's device wrote over it names it by the first one.
func (s *Sim) renamed(it *item) bool {
	return it.back && slices.ContainsFunc(s.left, func(m *model) bool {
		return slices.ContainsFunc(m.items, func(was item) bool { return was.id() == it.id() && was.name != it.name })
	})
}

// displaced says that an entry cannot come back: in the feed that the hub has, another batch has its name, or that of one before it.
// A device lost its end, or was copied, and the hub forgot that it knew. Or it builds on one that cannot come back.
func (s *Sim) displaced(id string) bool {
	if !s.forked() {
		return false
	}
	for _, m := range s.left {
		for i := range m.items {
			if it := &m.items[i]; it.id() == id && (s.model.otherwise(m, it.name) || s.model.lacksParents(it)) {
				s.count("displaced")
				return true
			}
		}
	}
	return false
}

// otherwise says that a device's batches up to a version are others in this feed than they were in another.
func (m *model) otherwise(was *model, v change.Version) bool {
	for g := change.Generation(1); g <= v.Gen; g++ {
		at := change.Version{Device: v.Device, Gen: g}
		if now, then := m.named(at), was.named(at); now != nil && then != nil && now.id() != then.id() {
			return true
		}
	}
	return false
}

func (m *model) named(v change.Version) *item {
	if i := slices.IndexFunc(m.items, func(it item) bool { return it.name == v }); i >= 0 {
		return &m.items[i]
	}
	return nil
}

func (m *model) lacksParents(it *item) bool {
	return it.batch != nil && slices.ContainsFunc(it.batch.Mutations, func(mu change.Mutation) bool {
		return slices.ContainsFunc(mu.Parents, func(p change.Version) bool {
			return p.Device != it.name.Device && p.Gen > m.last[p.Device]
		})
	})
}

// afterLoss counts what devices did about what the hub lost.
func (s *Sim) afterLoss(o watcher.Outcome) {
	switch o {
	case watcher.Unknown:
		s.count("unknown place")
	case watcher.Forgotten:
		s.count("lost again")
	case watcher.Replayed:
		s.count("went back")
	}
}
