package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
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
	cut      uint64                  // where the log ended when it was opened since: what was written behind that, power may take
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
		if k == 'L' && (!s.plan.hurtLog || s.plan.rules > 0) || k == 'M' && d.holed || k == 'S' && !d.superblocks() {
			continue // the other superblock is torn off, and there was no room to write it again: nothing has what this one says
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
	h.cut = h.last
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
// which it stood, some pages are of a later commit than others, and nothing says what came between. Where a segment before it is lost, too, the
// pages of the later commit cannot be built anew.
func (n *node) hopeless(err error) bool {
	return n.repair && n.hurt != nil && n.hurt.kind == 'L' && errors.Is(err, &core.Error{Code: core.Corrupt}) &&
		(n.s.plan.stepBytes > 0 || len(n.hurt.rows) > 1 && strings.Contains(err.Error(), "pages cannot be built anew"))
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
