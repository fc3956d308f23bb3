package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
)

// survived holds what a damaged log left against what it may have lost.
func (d *device) survived() {
	h, s := d.hurt, d.s
	if h.unseen() {
		d.mend()
		return
	}
	st := d.r.State()
	if !h.repaired && (h.kind != 'L' || st.Commit >= h.last) {
		return // what is damaged there nobody has met
	}
	d.holed = true
	if !h.repaired && !(h.end && (h.harm == "missing" || h.harm == "older" || h.harm == "truncated")) {
		s.fail("promise 7: %s opens at commit %d as if nothing were, with %s damaged; its log ended at %d", d.name, st.Commit, h, h.last)
	}
	if h.repaired && h.kind == 'L' && !h.landed { // else the engine before has written it once more
		d.listed()
	}
	unsent := d.unsentNotes()
	problems := d.problemVersions()
	for n := range d.holds {
		w := s.writes[n]
		switch {
		case unsent[n]:
		case w.came || w.dismissed:
			d.cutOff[n] = true
		case d.holds[n] > h.cut && !w.strict && s.plan.power > 0: // the engine had written the row anew, or opened the store since, and power took that
			s.count("lost write")
			delete(d.holds, n)
			d.maybe[n] = true
		case h.held[n] || w.voided:
			s.count("lost with a segment")
			delete(d.holds, n)
			d.maybe[n] = true
		case problems == nil || problems[w.version]:
			s.count("stranded")
			d.cutOff[n] = true
		case d.former(w): // and is awaited under that
		default:
			s.fail("promise 5: %s, %s, was confirmed at %s, and stood in no segment that is damaged (%s); it is neither unsent nor listed nor in the feed", n, w.version, d.name, h)
		}
		if _, is := d.holds[n]; is && d.holds[n] > st.Commit {
			d.holds[n] = 0
		}
	}
	h.cut = min(h.cut, st.Commit)
	for v, x := range d.dismissals {
		if x.commit >= h.from {
			x.unsure = true
			d.dismissals[v] = x
		}
	}
}

// listed holds that what is damaged is said.
func (d *device) listed() {
	if found, is := d.lists(); !is {
		d.s.fail("promise 5: %s was opened with repair, and does not list %s: %v", d.name, d.hurt, found)
	}
}

// lists says whether a segment is listed as damaged of those that were, or it cannot be told.
func (d *device) lists() (found []core.Finding, is bool) {
	found, err := d.r.Damage(d.s.ctx)
	if err != nil {
		d.mayFail(err, "listing what is damaged")
		return nil, true
	}
	return found, slices.ContainsFunc(found, func(f core.Finding) bool {
		if len(f.Row) == 0 || f.Row[0] != 'L' {
			return false
		}
		at := binary.BigEndian.Uint64(f.Row[1:])
		return at >= d.hurt.from && at <= d.hurt.last
	})
}

func (d *device) unsentNotes() map[string]bool {
	out := map[string]bool{}
	st := d.r.State()
	for from := st.ConfirmedGen + 1; from <= st.LastGen; {
		gens, batches, err := d.r.Unsent(d.s.ctx, from, 1<<20)
		if e := (*core.Error)(nil); core.IsLost(err) && errors.As(err, &e) {
			from = e.Gen + 1
			continue
		}
		if err != nil {
			d.mayFail(err, "unsent")
			return out
		}
		from += change.Generation(len(gens))
		for _, b := range batches {
			if h, _, err := change.DecodeHeader(b); err == nil {
				out[noteIn(b, &h)] = true
			}
		}
	}
	return out
}

// former says that a write is held under an id that was given up.
func (d *device) former(w *write) bool {
	if w.version.Device == d.r.State().Device {
		return false
	}
	for _, h := range d.historyOf(w.ops[0].Key) {
		if h.Note == w.note {
			return true
		}
	}
	return false
}

// problemVersions is what is listed as a problem, by its version; nil where it cannot be read.
func (d *device) problemVersions() map[change.Version]bool {
	ps, err := d.r.Problems(d.s.ctx)
	if err != nil {
		d.mayFail(err, "problems")
		return nil
	}
	out := map[change.Version]bool{}
	for _, p := range ps {
		out[p.Version] = true
	}
	return out
}

// mend checks a store and repairs it, as somebody does who is told that it is damaged. Then it is whole.
func (d *device) mend() {
	s, h := d.s, d.hurt
	fired := d.disk.Fired()
	rep, err := d.r.Repair(s.ctx)
	said := rep
	if err == nil {
		rep, err = d.r.Check(s.ctx)
	}
	if d.disk.Fired() > fired || d.lost() {
		return // later
	}
	if errors.Is(err, &core.Error{Code: core.Quota}) || errors.Is(err, store.ErrIO) && d.excused() {
		return
	}
	if h.kind == 'S' && d.excused() && !d.superblocks() {
		return // there was no room when it was opened: the first write replaces them
	}
	if err != nil || !rep.OK {
		s.fail("promise 7: %s finds after a repair, with %s damaged, %v: %v", d.name, h, err, rep.Findings)
	}
	if h.kind == 'L' {
		d.declared(said)
	}
	s.count("repaired")
	s.logf("%s is repaired", d.name)
	maps.Copy(d.unread, h.versions)
	d.unsummed = d.unsummed || h.kind == 'M' && d.holed
	d.hurt = nil
}

// superblocks says that both are there, and the same.
func (d *device) superblocks() bool {
	rows := d.rowsOf(d.mem)['S']
	return len(rows) == 2 && bytes.Equal(rows[0].Value, rows[1].Value)
}

// declared takes off what a store must hold what stood in a segment that a repair has set aside.
func (d *device) declared(rep core.Report) {
	found := slices.ContainsFunc(rep.Findings, func(f core.Finding) bool { return f.Scope == core.ScopeSegment })
	if _, is := d.lists(); !found && !is { // nor did a repair that was broken off
		return // the engine had written the segment anew meanwhile
	}
	d.holed = true
	d.listed()
	for n := range d.hurt.held {
		if _, is := d.holds[n]; !is {
			continue
		}
		if w := d.s.writes[n]; w.came {
			d.cutOff[n] = true
		} else {
			d.s.count("lost with a segment")
			delete(d.holds, n)
			d.maybe[n] = true
		}
	}
}

// gapIn says that the device's log has lost a version of an object: its history ends there.
func (d *device) gapIn(key change.Key) bool {
	if d.unsummed {
		return true
	}
	for v := range d.unread {
		it := d.s.model.named(v)
		if it == nil || it.batch == nil || slices.ContainsFunc(it.batch.Mutations, func(m change.Mutation) bool { return m.Key == key }) {
			return true
		}
	}
	return false
}

// lostBytes says that a batch stood in a segment of the device's log that was damaged.
func (d *device) lostBytes(note string) bool {
	if d.hurt != nil && d.hurt.held[note] {
		return true
	}
	for v := range d.unread {
		if it := d.s.model.named(v); d.s.unreadable[v] == note || it != nil && it.note == note {
			return true
		}
	}
	return false
}

// remains says that the device has unsent batches that cannot be read: what is left of them it writes again, under an id that no copy of
// it finds, too.
func (d *device) remains() bool {
	st := d.r.State()
	for v := range d.unread {
		if v.Device == st.Device && v.Gen > st.ConfirmedGen {
			return true
		}
	}
	return false
}

// unreadableToCopies says that a device may write again what a copy of it has brought: it cannot read the batch by which to know that.
func (s *Sim) unreadableToCopies() bool {
	return len(s.unreadable) > 0 && s.stats["clone"]+s.stats["restore"] > 0
}

// standsFor holds a batch that its device made of what its pages showed of one that cannot be read any more, against that one; false
// where it is none.
func (m *model) standsFor(seq uint64, b *change.Batch, of change.Version) bool {
	n, is := m.s.unreadable[of]
	if !is {
		return false
	}
	w := m.s.writes[n]
	for i := range b.Mutations {
		mu := &b.Mutations[i]
		if mu.Key.System() {
			continue
		}
		if w == nil || !slices.ContainsFunc(w.ops, func(o core.Op) bool {
			return o.Key == mu.Key && o.Delete == (mu.Kind == change.Delete) && bytes.Equal(o.Value, mu.Value)
		}) {
			m.s.fail("promise 5: sequence %d says of %s, which is %s and cannot be read any more, that it wrote %s", seq, of, n, mu.Key)
		}
	}
	m.s.count("what was left of a batch")
	return true
}

// isLeft says that a batch has the note of what was left of one that cannot be read any more.
func (s *Sim) isLeft(note string) bool {
	name, is := strings.CutPrefix(note, "what was left of ")
	of, err := change.ParseVersion(name)
	return is && err == nil && s.unreadable[of] != ""
}

// cutBack says that a device may show less when it is opened again.
func (d *device) cutBack() bool { return d.hurt != nil && d.hurt.kind == 'L' }
