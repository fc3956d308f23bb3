package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/store"
)

// A device's store is damaged while it is in use, or between two lives of its process, and the device goes on with what is left:
//
//	closed  ─▶ opened ─▶ or CORRUPT ─▶ opened with repair ─▶ lives, syncs ─▶ checked and repaired ─▶ whole
//	running ──────────────────────────────────────────────┘
//
// What may be missing then is little, and each kind of row has its own:
//
//	P O M S  nothing: the log has it all, or the row's double. A page that is an older copy is found by a check alone, so there is one at once.
//	L        own batches that stood in the segment and that the hub does not have. What is damaged is listed. But the end of the log may be
//	         missing without a trace, as after a power cut.
//	         Of the device's history, what stood there. All else that the hub has comes back.
//	Q        what it had kept, which is listed as damaged itself, if it is not missing altogether
//
// Logs are damaged only where that is asked for: it finds what is not mended yet.
const (
	hurtSeeds    = 1 << 41 // seeds with this bit have histories in which stores are damaged
	hurtLogSeeds = 1 << 42 // and with this one, too, logs
)

// hurtSeed is a seed of histories in which stores are damaged.
func hurtSeed(n uint64) uint64 { return hurtSeeds | n }

// drawHurts draws how often stores are damaged.
func (s *Sim) drawHurts(p *plan) {
	if s.seed&hurtSeeds != 0 {
		p.hurt, p.hurtLog = 3+s.rnd.IntN(8), s.seed&hurtLogSeeds != 0
		p.large = p.large || s.rnd.IntN(3) == 0 // so that there are rows of large values
		if p.hurtLog {
			p.loss = 0
		}
	}
}

// Kinds of rows, as long as there are such, and what can befall them.
const hurtKinds = "PLOMSQ"

var harms = []string{"flipped", "truncated", "missing", "swapped", "older"}

// hurt is what was done to a device's store, until it is whole again.
type hurt struct {
	kind byte
	harm string
	rows [][]byte

	held     map[string]bool         // notes of own batches in the segments that were damaged
	versions map[change.Version]bool // of all batches there
	from     uint64                  // the first commit that stood there
	last     uint64                  // the last commit of the log
	end      bool                    // that stood there, too
	repaired bool                    // opened with repair since
	landed   bool                    // a dead engine's last transaction came since, which may have written the row anew
}

func (h *hurt) String() string { return fmt.Sprintf("%c %s %x", h.kind, h.harm, h.rows) }

// logged says that all that was damaged is there once more, so that nobody is to notice.
func (h *hurt) logged() bool { return h.kind != 'L' && h.kind != 'Q' }

// unseen says that opening does not find it.
func (h *hurt) unseen() bool { return h.kind == 'P' && h.harm == "older" }

// hurtOne damages the store of a device, or has a damaged one checked and repaired. Once in a while it keeps a copy, of which rows
// are put back later.
func (s *Sim) hurtOne() {
	d := s.anyDevice()
	switch {
	case d.r != nil && d.lost():
	case d.hurt != nil && d.r != nil:
		d.mend()
		d.noticed()
	case d.hurt != nil:
	default:
		if d.older == nil || s.chance(15) {
			d.older = d.mem.Clone()
		}
		d.damage()
	}
}

func (d *device) damage() {
	s := d.s
	h := d.chosen()
	if h == nil {
		return
	}
	if closed := s.chance(60) || h.unseen(); closed && d.r != nil {
		if s.chance(30) {
			_ = d.r.Close()
		}
		d.down(0)
		if h = d.chosen(); h == nil || h.unseen() && d.r != nil {
			return
		}
	}
	if d.r == nil {
		d.mem = d.mem.Clone() // closing has closed it
	}
	tx := d.harmed(h)
	if tx == nil {
		return
	}
	if h.kind == 'L' {
		d.measure(h)
	}
	if h.kind == 'Q' {
		d.forgotten(h)
	}
	if err := d.mem.Commit(s.ctx, tx); err != nil {
		s.fail("the store of %s cannot be damaged: %v", d.name, err)
	}
	d.hurt = h
	s.did(fmt.Sprintf("damage %c %s", h.kind, h.harm))
	s.count(map[bool]string{true: "damage of a closed store", false: "damage of an open store"}[d.r == nil])
	s.logf("%s: its store is damaged: %s, open %v", d.name, h, d.r != nil)
}

// chosen draws what is damaged, each harm to each kind of row about as likely as any other; nil where nothing can be.
func (d *device) chosen() *hurt {
	s := d.s
	type harmful struct {
		kind byte
		harm string
		rows []store.Row
	}
	all := d.rowsOf(d.mem)
	var can []harmful
	for _, k := range []byte(hurtKinds) {
		if k == 'L' && (!s.plan.hurtLog || s.plan.rules > 0) || k == 'M' && d.holed {
			continue
		}
		for _, harm := range harms {
			rows := all[k]
			if harm == "older" {
				rows = slices.DeleteFunc(slices.Clone(rows), func(r store.Row) bool { return d.olderOf(r) == nil })
			}
			if len(rows) > 0 && (harm != "swapped" || d.neighbour(all, rows[0]) != nil) {
				can = append(can, harmful{k, harm, rows})
				if k == 'O' || k == 'Q' || k == 'M' { // which are seldom there
					can = append(can, can[len(can)-1], can[len(can)-1])
				}
			}
		}
	}
	if len(can) == 0 {
		return nil
	}
	x := can[s.rnd.IntN(len(can))]
	i := s.rnd.IntN(len(x.rows))
	if s.chance(40) {
		i = len(x.rows) - 1
	}
	h := &hurt{kind: x.kind, harm: x.harm, rows: [][]byte{x.rows[i].Key}}
	if x.harm == "swapped" {
		h.rows = append(h.rows, d.neighbour(all, x.rows[i]).Key)
	}
	return h
}

// neighbour is a row that changes places with another: one of its kind, or for those that the log has and that are alone, a page.
func (d *device) neighbour(all map[byte][]store.Row, r store.Row) *store.Row {
	of := all[r.Key[0]]
	if len(of) < 2 && (r.Key[0] == 'M' || r.Key[0] == 'O') || r.Key[0] == 'S' {
		of = all['P']
	}
	i := slices.IndexFunc(of, func(o store.Row) bool { return bytes.Equal(o.Key, r.Key) })
	if len(of) == 0 || len(of) == 1 && i == 0 {
		return nil
	}
	return &of[(i+1)%len(of)]
}

func (d *device) rowsOf(m *store.Memory) map[byte][]store.Row {
	rows, err := m.Clone().Scan(d.s.ctx, store.Range{})
	if err != nil {
		d.s.fail("the store of %s cannot be read: %v", d.name, err)
	}
	out := map[byte][]store.Row{}
	for _, r := range rows {
		out[r.Key[0]] = append(out[r.Key[0]], r)
	}
	return out
}

// olderOf is what a row held when the older copy was kept; nil where that is nothing, or the same.
func (d *device) olderOf(r store.Row) []byte {
	if d.older == nil {
		return nil
	}
	was, is, err := d.older.Get(d.s.ctx, r.Key)
	if err != nil || !is || bytes.Equal(was, r.Value) {
		return nil
	}
	return was
}

// harmed is what damages the store; nil where it would change nothing.
func (d *device) harmed(h *hurt) *store.Tx {
	s := d.s
	held := make([]store.Row, len(h.rows))
	for i, key := range h.rows {
		val, is, err := d.mem.Clone().Get(s.ctx, key)
		if err != nil || !is {
			return nil
		}
		held[i] = store.Row{Key: key, Value: val}
	}
	tx, val := &store.Tx{Durability: store.Strict}, bytes.Clone(held[0].Value)
	switch {
	case h.harm == "missing":
		tx.Delete(h.rows[0])
		return tx
	case h.harm == "older":
		val = d.olderOf(held[0])
	case h.harm == "swapped":
		val = held[1].Value
		tx.Put(h.rows[1], held[0].Value)
	case len(val) == 0:
		return nil
	case h.harm == "truncated":
		val = val[:len(val)-1-s.rnd.IntN(len(val))]
	default:
		bit := s.rnd.IntN(8 * len(val))
		val[bit/8] ^= 1 << (bit % 8)
	}
	if val == nil || bytes.Equal(val, held[0].Value) {
		return nil
	}
	tx.Put(h.rows[0], val)
	return tx
}

// measure notes what stands in the segments that are about to be damaged.
func (d *device) measure(h *hurt) {
	s := d.s
	whole, err := changelog.Read(s.ctx, d.mem.Clone(), changelog.Name{}, 0, 1) // that all lies behind a hole
	if err != nil {
		s.fail("the log of %s cannot be read: %v", d.name, err)
	}
	type segment struct{ first, inc uint64 }
	var all []segment
	for _, r := range d.rowsOf(d.mem)['L'] {
		all = append(all, segment{binary.BigEndian.Uint64(r.Key[1:]), binary.BigEndian.Uint64(r.Key[9:])})
	}
	of := func(rec *changelog.Record) (in segment) {
		for _, g := range all {
			if g.inc == rec.Incarnation && g.first <= rec.Commit && g.first >= in.first {
				in = g
			}
		}
		return in
	}
	hit := map[segment]bool{}
	for _, key := range h.rows {
		hit[segment{binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(key[9:])}] = true
	}
	h.held, h.versions, h.from = map[string]bool{}, map[change.Version]bool{}, ^uint64(0)
	for i := range whole.Behind {
		rec := &whole.Behind[i]
		h.last, h.end = max(h.last, rec.Commit), hit[of(rec)]
		if !h.end {
			continue
		}
		h.from = min(h.from, rec.Commit)
		for _, it := range rec.Items {
			batch := it.Data
			switch it.Kind {
			case changelog.ItemEntry:
				_, w := binary.Uvarint(it.Data)
				if e, err := change.DecodeEntry(it.Data[max(w, 0):]); err != nil || e.Kind != change.EntryBatch {
					continue
				} else {
					batch = e.Body
				}
			case changelog.ItemBatch:
			default:
				continue
			}
			head, _, err := change.DecodeHeader(batch)
			if err != nil {
				s.fail("the log of %s has a batch that cannot be read: %v", d.name, err)
			}
			h.versions[head.Version()] = true
			if it.Kind == changelog.ItemBatch {
				h.held[noteIn(batch, &head)] = true
				s.unreadable[head.Version()] = noteIn(batch, &head)
			}
		}
	}
}

// forgotten notes what a row of the quarantine kept that nothing else has.
func (d *device) forgotten(h *hurt) {
	for _, key := range h.rows {
		for _, r := range d.rowsOf(d.mem)['Q'] {
			if len(r.Key) < 13 || len(key) < 13 || !bytes.Equal(r.Key[:13], key[:13]) {
				continue
			}
			for n := range d.holds {
				if w := d.s.writes[n]; !w.came && bytes.Contains(r.Value, []byte(n)) {
					w.dismissed = true
				}
			}
		}
	}
	for v, x := range d.dismissals {
		x.unsure = true // a copy from before may be listed again
		d.dismissals[v] = x
	}
}

// beginsAnew says whether a store that does not open is opened with repair: browsers do that where they are told CORRUPT.
func (n *node) beginsAnew(err error) bool {
	if n.hurt == nil || n.repair || !errors.Is(err, &core.Error{Code: core.Corrupt}) {
		return false
	}
	if n.hurt.logged() && !(n.hurt.kind == 'M' && n.holed) {
		n.s.fail("promise 7: %s does not open with %s damaged, which is there once more: %v", n.name, n.hurt, err)
	}
	n.repair, n.hurt.repaired = true, true
	n.s.count("opened with repair")
	return true
}

// hopeless says that a store opens not even with repair, and need not: where a checkpoint was half written when the segment was lost in
// which it stood, some pages are of a later commit than others, and nothing says what came between.
func (n *node) hopeless(err error) bool {
	return n.repair && n.hurt != nil && n.hurt.kind == 'L' && n.s.plan.stepBytes > 0 && errors.Is(err, &core.Error{Code: core.Corrupt})
}

// beginEmpty gives a device an empty replica in place of one that does not open.
func (d *device) beginEmpty() {
	d.s.count("begun empty")
	d.s.logf("%s is given up, and begins empty", d.name)
	for n := range d.holds {
		d.maybe[n] = true
	}
	d.mem, d.held, d.late, d.repair, d.hurt, d.backup, d.older = store.NewMemory(), nil, nil, false, nil, nil, nil
	d.watch, d.seen, d.read, d.owes, d.tab = newObserver(d), nil, nil, nil, nil
	clear(d.holds)
	clear(d.dismissals)
	clear(d.cutOff)
	clear(d.unread)
	d.holed = false
	d.start()
}

// calmly leaves out of a life's faults what reads wrong: to a repair that is damage, too.
func calmly(plan []store.Fault) []store.Fault {
	return slices.DeleteFunc(slices.Clone(plan), func(f store.Fault) bool { return f.Do == store.FlipBit || f.Do == store.Cut })
}

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
		case d.holds[n] > h.last && !w.strict && s.plan.power > 0: // the engine had written the row anew, and power took that
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
